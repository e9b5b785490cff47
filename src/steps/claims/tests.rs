//! What several stacks ask of one host, from facts.

use crate::facts::{Facts, Group};
use crate::plan::{Change, FileChange, PlannedStep};
use crate::steps::tests::{options, put};
use crate::steps::{Claims, Docker, FirewallOptions, Model, Refusal, Step, User, plan};

const DAEMON: &str = "/etc/docker/daemon.json";

/// A host with a good Docker, and nobody in its group.
fn host() -> Facts {
    let mut facts = crate::steps::tests::with_docker("28.3.2");
    facts.identity.user = "ann".into();
    facts.groups.insert("docker".into(), Some(Group::default()));
    facts
}

/// The changes of the steps that share, and the host as they leave it.
fn up(facts: &Facts, stack: &str, settings: &str) -> Result<(Vec<Change>, Facts), Refusal> {
    let options = options(settings);
    let steps: Vec<Box<dyn Step>> =
        vec![Box::new(Docker::new(options.docker)), Box::new(User::new(options.user))];
    let claims = Claims::read(facts, stack)?;
    let mut model = Model { facts: facts.clone(), claims, ..Model::default() };
    let planned = plan("web1", "compose", &steps, &mut model)?;
    let changes: Vec<Change> = planned.changes().cloned().collect();
    let files: Vec<FileChange> = changes.iter().flat_map(|change| change.files.clone()).collect();
    model.write(&files);
    Ok((changes, model.facts))
}

fn done(facts: &mut Facts, stack: &str, settings: &str) -> Vec<String> {
    let (changes, after) = up(facts, stack, settings).expect("it can be planned");
    *facts = after;
    changes.into_iter().map(|change| change.title).collect()
}

fn text(facts: &Facts, path: &str) -> String {
    String::from_utf8_lossy(facts.content(path).unwrap_or_default()).into_owned()
}

fn members(facts: &Facts) -> Vec<&str> {
    let group = facts.groups["docker"].as_ref().expect("a group");
    group.members.iter().map(String::as_str).collect()
}

const SHOP: &str = "docker.daemon = { log-driver = \"local\", insecure-registries = [\"a:5000\"] }";
const BLOG: &str = "user.members = [\"bob\"]\ndocker.daemon = { log-driver = \"local\", insecure-registries = [\"b:5000\"] }";

#[test]
fn any_order_ends_in_the_union() {
    for order in [["shop", "blog"], ["blog", "shop"]] {
        let mut facts = host();
        put(&mut facts, DAEMON, "{\"debug\": true}");
        for stack in order {
            let first = done(&mut facts, stack, if stack == "shop" { SHOP } else { BLOG });
            assert_eq!(
                first.last().map(String::as_str),
                Some(format!("record the claim of {stack}").as_str())
            );
        }
        for (stack, settings) in [("shop", SHOP), ("blog", BLOG), ("shop", SHOP)] {
            assert!(done(&mut facts, stack, settings).is_empty(), "{stack} after {order:?}");
        }
        let daemon: serde_json::Value = serde_json::from_str(&text(&facts, DAEMON)).expect("JSON");
        assert_eq!(daemon["debug"], true);
        assert_eq!(daemon["log-driver"], "local");
        assert_eq!(daemon["insecure-registries"].as_array().map(Vec::len), Some(2));
        let mut who = members(&facts);
        who.sort_unstable();
        assert_eq!(who, ["ann", "bob"]);
    }
}

#[test]
fn who_stops_asking_takes_away_its_own() {
    let mut facts = host();
    facts.groups.get_mut("docker").and_then(Option::as_mut).expect("a group").members.push("carl".into());
    put(&mut facts, DAEMON, "{\"insecure-registries\": [\"old:5000\"], \"log-driver\": \"json-file\"}");
    let before = (facts.groups.clone(), text(&facts, DAEMON));
    done(&mut facts, "shop", &format!("user.members = [\"carl\", \"dora\"]\n{SHOP}"));
    done(&mut facts, "blog", BLOG);
    assert_eq!(
        done(&mut facts, "shop", "user.login = false"),
        [
            "set insecure-registries in daemon.json",
            "remove dora from the group docker",
            "remove the claim of shop"
        ]
    );
    // Blog asks for the login and the driver as well, and made neither of them.
    assert_eq!(members(&facts), ["carl", "ann", "bob"]);
    assert!(text(&facts, DAEMON).contains("b:5000") && !text(&facts, DAEMON).contains("a:5000"));
    done(&mut facts, "blog", "user.login = false");
    assert_eq!(facts.groups, before.0);
    let [now, then]: [serde_json::Value; 2] =
        [text(&facts, DAEMON), before.1].map(|text| serde_json::from_str(&text).expect("JSON"));
    assert_eq!(now, then);
    assert!(!facts.files.values().any(|file| file.as_ref().is_some_and(|file| file.mode == 0o600)));
}

#[test]
fn what_a_person_has_changed_since_is_theirs() {
    let mut facts = host();
    done(&mut facts, "shop", "docker.daemon = { log-driver = \"local\", log-opts = { max-size = \"1m\" } }");
    let edited = text(&facts, DAEMON).replace("local", "journald").replace("{", "{\"debug\": true,");
    put(
        &mut facts,
        DAEMON,
        &edited.replacen("{\"debug\": true,", "{", 2).replacen('{', "{\"debug\": true,", 1),
    );
    done(&mut facts, "shop", "");
    let daemon: serde_json::Value = serde_json::from_str(&text(&facts, DAEMON)).expect("JSON");
    assert_eq!(daemon, serde_json::json!({"debug": true, "log-driver": "journald"}));
}

#[test]
fn different_values_of_one_setting() {
    let mut facts = host();
    done(&mut facts, "shop", SHOP);
    let wants = "docker.daemon = { log-driver = \"journald\" }";
    let refusal = up(&facts, "blog", wants).expect_err("a contradiction");
    assert_eq!(refusal.what, "shop and blog want different values of `log-driver` in daemon.json");
    assert_eq!(refusal.details, ["shop: \"local\"", "blog: \"journald\""]);
    // Also with the host's own file, and within tables.
    put(&mut facts, "/etc/provision/host.toml", "[steps.docker.daemon]\nlog-opts = { max-size = \"1m\" }\n");
    let refusal = up(&facts, "wiki", "docker.daemon = { log-opts = { max-size = \"2m\" } }")
        .expect_err("a contradiction");
    assert_eq!(
        refusal.what,
        "/etc/provision/host.toml and wiki want different values of `log-opts.max-size` in daemon.json"
    );
}

#[test]
fn another_login_takes_nobodys_place() {
    let mut facts = host();
    done(&mut facts, "shop", "");
    facts.identity.user = "bob".into();
    done(&mut facts, "shop", "");
    assert_eq!(members(&facts), ["ann", "bob"]);
    facts.identity.user = "ann".into();
    assert!(done(&mut facts, "shop", "").is_empty());
    // A login that was removed from the host is not added again by the next one.
    facts.identity.user = "bob".into();
    facts.groups.insert("docker".into(), Some(Group { members: vec!["bob".into()], ..Group::default() }));
    assert_eq!(done(&mut facts, "shop", ""), ["record the claim of shop"]);
    assert_eq!(members(&facts), ["bob"]);
}

#[test]
fn others_are_named_in_the_plan() {
    let mut facts = host();
    done(&mut facts, "shop", SHOP);
    let options = options("");
    let steps: Vec<Box<dyn Step>> = vec![Box::new(User::new(options.user))];
    let claims = Claims::read(&facts, "blog").expect("claims");
    let mut model = Model { facts, claims, ..Model::default() };
    let planned = plan("web1", "compose", &steps, &mut model).expect("a plan");
    let step: &PlannedStep = planned.steps.last().expect("a step");
    assert_eq!(
        step.state,
        "claims of other stacks: shop (ann in the group docker; log-driver, insecure-registries in daemon.json)"
    );
}

#[test]
fn openings_of_others_are_known_to_one_that_asks_for_none() {
    let mut facts = host();
    put(&mut facts, "/var/lib/provision/claims/shop.json", "{\"firewall\": {\"allow\": [8080, \"ssh\"]}}");
    let of = |stack: &str| -> Vec<String> {
        let claims = Claims::read(&facts, stack).expect("claims");
        let openings = FirewallOptions::openings_of_others(&claims, &[22]);
        openings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(of("blog"), ["8080/tcp for shop"]);
    assert_eq!(of("shop"), [""; 0]);
}

#[test]
fn what_cannot_be_read_is_told() {
    let mut facts = host();
    put(&mut facts, "/var/lib/provision/claims/blog.json", "{\"sites\": {}}");
    let refusal = up(&facts, "shop", "").expect_err("of a newer one");
    assert!(refusal.what.starts_with("/var/lib/provision/claims/blog.json on the host cannot be read"));
}

/// A host with many stacks: ports first, and no more than a person reads.
#[test]
fn what_others_hold_is_bounded() {
    let mut facts = host();
    for number in 0..30 {
        let claim = match number {
            0..20 => format!("{{\"user\": {{\"members\": [\"u{number}\"]}}}}"),
            20..29 => format!("{{\"docker\": {{\"daemon\": {{\"s{number}\": 1}}}}}}"),
            _ => format!("{{\"firewall\": {{\"allow\": {:?}}}}}", (8000..8100).collect::<Vec<_>>()),
        };
        put(&mut facts, &format!("/var/lib/provision/claims/a{number:02}.json"), &claim);
    }
    let claims = Claims::read(&facts, "blog").expect("claims");
    assert_eq!(
        claims.plan(&facts).expect("a step").state,
        "claims of other stacks: a29 (8000, 8001, 8002, 8003 and 96 more open), a20 (s20 in daemon.json), \
         a21 (s21 in daemon.json), a22 (s22 in daemon.json), a23 (s23 in daemon.json) and 25 more"
    );
}
