//! What answers before and not afterwards: refused, or named as a risk.

use super::*;

#[test]
fn what_others_serve_is_not_shut() {
    let refused = |facts: &Facts, text: &str| match planned(facts, text) {
        Ok(_) => Vec::new(),
        Err(refusal) => [vec![refusal.what], refusal.details, refusal.hints].concat(),
    };
    let mut facts = host();
    for port in &mut facts.published {
        if port.port == 9090 {
            port.project = "blog".into();
        }
    }
    assert_eq!(
        refused(&facts, "firewall.allow = [\"ssh\", 8080]"),
        [
            "these rules would close 9090/tcp, which is in use on the host; nothing was changed",
            "9090/tcp: web9090 (blog)",
            "to keep them open: `allow = [\"ssh\", 8080, 9090]` in [steps.firewall]",
            "to close them: `shut = [9090]` in [steps.firewall]",
        ]
    );
    // It may be said to be meant, and then it is a risk that is shown.
    assert_eq!(
        risks_of(&facts, "firewall = { allow = [8080], shut = [9090] }"),
        ["111/tcp rpcbind", "9090/tcp web9090 (blog)"]
    );
    // One of a program on the host, and one without a project.
    let serves = |protocol: &str, port, process: &str| Listening {
        protocol: protocol.into(),
        address: "0.0.0.0".parse().expect("an address"),
        port,
        process: process.into(),
    };
    let mut lived_in = host();
    lived_in.listening.extend([
        serves("tcp", 80, "nginx"),
        serves("udp", 51820, ""),
        serves("udp", 68, "dhclient"),
    ]);
    assert_eq!(
        refused(&lived_in, "firewall.allow = [8080]"),
        [
            "these rules would close 2 ports that are in use on the host; nothing was changed",
            "80/tcp: nginx",
            "51820/udp",
            "to keep them open: `allow = [8080, 80, { port = 51820, protocol = \"udp\" }]` in [steps.firewall]",
            "to close them: `shut = [51820, 80]` in [steps.firewall]",
        ]
    );
    assert!(
        refused(
            &claimed(lived_in, "blog", "[80, {\"port\": 51820, \"protocol\": \"udp\"}]"),
            "firewall.allow = [8080]"
        )
        .is_empty()
    );
    // A port that our rules let in until now, and that no stack's claim records.
    let former = as_changed(&facts, "firewall.allow = [8080, 9090]");
    assert_eq!(
        refused(&former, "firewall.allow = [8080]").first().map(String::as_str),
        Some("these rules would close 9090/tcp, which is in use on the host; nothing was changed")
    );
    // Also if this stack opened it itself: another project has the port now.
    let own = claimed(former.clone(), "shop", "[8080, 9090]");
    assert_eq!(refused(&own, "firewall.allow = [8080]"), refused(&former, "firewall.allow = [8080]"));
    // What is shut already is no news.
    let shut = as_changed(&facts, "firewall.allow = [8080]");
    assert!(refused(&shut, "firewall.allow = [8080, 8443]").is_empty());
    // To be shut, and asked for by another stack.
    let contrary =
        refused(&claimed(host(), "blog", "[9090]"), "firewall = { allow = [8080], shut = [\"9000-9100\"] }");
    assert_eq!(contrary.first().map(String::as_str), Some("`shut` closes 9000-9100, which blog opens"));
    let within =
        refused(&claimed(host(), "blog", "[\"9000-9100\"]"), "firewall = { allow = [8080], shut = [9090] }");
    assert_eq!(within.first().map(String::as_str), Some("`shut` closes 9090, which blog opens"));
}

#[test]
fn who_is_let_in_no_longer_is_named() {
    let narrow = "firewall.allow = [{ port = \"ssh\", from = [\"203.0.113.0/24\"] }, { port = 8080, from = [\"10.0.0.0/8\"] }, 9090]";
    let named = [
        "22/tcp sshd, except from 203.0.113.0/24",
        "111/tcp rpcbind",
        "8080/tcp web8080 (shop), except from 10.0.0.0/8",
    ];
    assert_eq!(risks_of(&host(), narrow), named);
    // Where everyone was let in by rules of ours, and where a person still lets everyone in.
    let public = as_changed(&host(), "firewall.allow = [8080, 9090]");
    assert_eq!(risks_of(&public, narrow), [named[0], named[2]]);
    let by_hand = with_ufw(
        host(),
        true,
        [
            "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in",
            "### tuple ### allow tcp 22 ::/0 any ::/0 in",
        ],
    );
    assert_eq!(risks_of(&by_hand, narrow), [named[2]]);
    let narrowed = as_changed(&host(), narrow);
    let other = narrow.replace("10.0.0.0/8", "10.1.0.0/16");
    assert!(risks_of(&narrowed, &other).is_empty(), "it was narrow before");
}

/// A machine behind this one is served by a rule made by hand: it passes the rules for containers.
#[test]
fn what_others_forward_is_not_cut() {
    let forwards = |rules: &[&str]| {
        let mut facts = host();
        facts.firewall.loaded.extend(rules.iter().map(|rule| LoadedRule {
            family: 4,
            table: "nat".into(),
            rule: (*rule).into(),
        }));
        facts
    };
    let all = "firewall.allow = [8080, 9090";
    let vm = "-A PREROUTING -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22";
    let vpn = "-A PREROUTING -p udp -m udp --dport 5000:5010 -j DNAT --to-destination 10.8.0.2";
    let refusal = planned(&forwards(&[vm, vpn]), &format!("{all}]")).expect_err("both are cut");
    assert_eq!(
        [refusal.details, refusal.hints].concat(),
        [
            "2222/tcp: forwarded to 10.0.0.5:22 by iptables, chain PREROUTING",
            "5000-5010/udp: forwarded to 10.8.0.2 by iptables, chain PREROUTING",
            "to keep them open: `allow = [8080, 9090, 2222, { port = \"5000-5010\", protocol = \"udp\" }]` in \
             [steps.firewall]",
            "to close them: `shut = [\"5000-5010\", 2222]` in [steps.firewall]",
        ]
    );
    let step = planned(&forwards(&[vm]), &format!("{all}, 2222]")).expect("it stays open");
    let risks = step.changes.iter().flat_map(|change| &change.risks);
    let mut behind = risks.filter_map(|risk| match risk {
        Risk::LetsIn { port, behind, .. } if port == "2222/tcp" => Some(behind.join(", ")),
        _ => None,
    });
    assert_eq!(behind.next().as_deref(), Some("forwarded to 10.0.0.5:22 by iptables, chain PREROUTING"));
    let shut = risks_of(&forwards(&[vm]), "firewall = { allow = [8080, 9090], shut = [2222] }");
    assert!(shut.iter().any(|risk| risk.starts_with("2222/tcp forwarded to 10.0.0.5:22")), "{shut:?}");
    // To the host itself: that is ufw's, and who listens there is known.
    let own = "-A PREROUTING -p tcp -m tcp --dport 2222 -j DNAT --to-destination 192.0.2.5:22";
    assert!(planned(&forwards(&[own]), &format!("{all}]")).is_ok());
    // Without a port there is nothing to name; once ruled, it is cut already.
    let whole = forwards(&["-A PREROUTING -d 203.0.113.5/32 -j DNAT --to-destination 10.0.0.5"]);
    let refusal = planned(&whole, &format!("{all}]")).expect_err("an address of its own");
    assert!(refusal.hints[0].contains("leave `allow` out"), "{refusal:?}");
    assert!(planned(&as_changed(&whole, &format!("{all}]")), &format!("{all}, 80]")).is_ok());
}
