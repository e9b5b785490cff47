//! Several stacks, and the host itself, ask for openings.

use super::*;

#[test]
fn what_others_ask_for_is_let_in_as_well() {
    let both = claimed(host(), "blog", "[9090, {\"port\": 8080, \"from\": [\"10.0.0.0/8\"]}, \"ssh\"]");
    let title = |facts: &Facts, text: &str| {
        let step = planned(facts, text).expect("it can be planned");
        step.changes.last().map(|change| change.title.clone())
    };
    assert_eq!(
        title(&both, "firewall.allow = [8080]").as_deref(),
        Some("let in 22/tcp (ssh), 8080/tcp, 9090/tcp for blog and nothing else")
    );
    assert!(risks_of(&both, "firewall.allow = [8080]").iter().all(|shut| !shut.starts_with("9090")));
    // Whoever looks, it is the same set of rules.
    let texts = ["[8080]", "[9090, { port = 8080, from = [\"10.0.0.0/8\"] }]"].map(|own| {
        let facts = claimed(host(), "blog", "[9090]");
        let facts = claimed(facts, "wiki", "[8080]");
        let step = planned(&facts, &format!("firewall.allow = {own}")).expect("it can be planned");
        let rules = step.changes.last().expect("a change");
        rules.files.iter().map(|file| file.content.clone()).collect::<Vec<_>>()
    });
    assert_eq!(texts[0], texts[1]);
    // One that narrows ssh is heard where others say nothing of it.
    let narrow = claimed(host(), "blog", "[{\"port\": \"ssh\", \"from\": [\"203.0.113.0/24\"]}, 9090]");
    assert!(
        title(&narrow, "firewall.allow = [8080]")
            .unwrap_or_default()
            .contains("22/tcp (ssh) from 203.0.113.0/24")
    );
}

#[test]
fn the_hosts_own_file_has_its_say() {
    let mut facts = host();
    put(&mut facts, "/etc/provision/host.toml", "[steps.firewall]\nallow = [9090]\n");
    let step = planned(&facts, "").expect("it can be planned");
    let rules = step.changes.last().expect("the host asks for itself");
    assert_eq!(rules.title, "let in 22/tcp (ssh), 9090/tcp for /etc/provision/host.toml and nothing else");
    put(&mut facts, "/etc/provision/host.toml", "[steps.firewall]\nalow = [9090]\n");
    let refusal = planned(&facts, "").expect_err("no such setting");
    assert!(refusal.details.join("\n").contains("alow"), "{refusal:?}");
}

#[test]
fn who_stops_asking_takes_away_its_own() {
    let facts = as_changed(
        &claimed(claimed(host(), "shop", "[8080]"), "blog", "[9090]"),
        "firewall.allow = [8080, 9090]",
    );
    let step = planned(&facts, "").expect("it can be planned");
    let rules = step.changes.last().expect("a change");
    assert_eq!(rules.title, "let in 22/tcp (ssh), 9090/tcp for blog and nothing else");
    assert_eq!(risks_of(&facts, ""), ["8080/tcp web8080 (shop)"]);
    // The last one leaves the firewall as it is.
    let alone = as_changed(&claimed(host(), "shop", "[8080]"), "firewall.allow = [8080]");
    assert!(planned(&alone, "").expect("it can be planned").changes.is_empty());
}
