//! Plans of the firewall from facts, without a host.

mod claims;
mod shut;

use crate::facts::{Facts, Listening, LoadedRule, Published, Question, Questions, Unit};
use crate::plan::{PlannedStep, Risk};
use crate::steps::tests::{bare, install, options, put};
use crate::steps::{Claims, Firewall, Model, Refusal, Step};

const ALLOW: &str =
    "firewall.allow = [8080, { port = \"8443-8445\", protocol = \"udp\", from = [\"10.0.0.0/8\"] }]";

/// A host by ssh from somewhere, with a page in a container on two ports.
fn host() -> Facts {
    let mut facts = bare();
    facts.identity.ssh_port = Some(22);
    facts.identity.ssh_client = "203.0.113.9".parse().ok();
    facts.firewall.ssh_ports = vec![22];
    facts.firewall.addresses =
        ["192.0.2.5", "2001:db8::5"].map(|address| address.parse().expect(address)).into();
    for port in [8080, 9090] {
        for address in ["0.0.0.0", "::"] {
            facts.published.push(Published {
                container: format!("shop-web{port}-1"),
                project: "shop".into(),
                service: format!("web{port}"),
                address: address.parse().expect(address),
                port,
                target: 80,
                protocol: "tcp".into(),
            });
        }
    }
    let listens = |address: &str, port, process: &str| Listening {
        protocol: "tcp".into(),
        address: address.into(),
        port,
        process: process.into(),
    };
    facts.listening = vec![
        listens("0.0.0.0", 22, "sshd"),
        listens("127.0.0.1", 25, "master"),
        listens("::", 111, "rpcbind"),
    ];
    facts
}

/// ufw as a person has it: installed, and perhaps at work.
fn with_ufw(mut facts: Facts, enabled: bool, tuples: [&str; 2]) -> Facts {
    install(&mut facts, "ufw", "0.36.2-9");
    put(&mut facts, "/etc/ufw/ufw.conf", if enabled { "ENABLED=yes\n" } else { "ENABLED=no\n" });
    put(&mut facts, "/etc/default/ufw", "IPV6=yes\nDEFAULT_INPUT_POLICY=\"DROP\"\n");
    put(&mut facts, "/etc/ufw/user.rules", tuples[0]);
    put(&mut facts, "/etc/ufw/user6.rules", tuples[1]);
    if enabled {
        facts.units.insert(super::UNIT.into(), unit("enabled", "active"));
        for (family, name) in [(4, "ufw"), (6, "ufw6")] {
            let rule = |rule: String| LoadedRule { family, table: "filter".into(), rule };
            facts.firewall.loaded.push(rule(":INPUT DROP".into()));
            facts.firewall.loaded.push(rule(format!("-A INPUT -j {name}-before-input")));
        }
    }
    facts
}

fn unit(enabled: &str, active: &str) -> Unit {
    Unit { load: "loaded".into(), active: active.into(), enabled: enabled.into() }
}

/// As the change leaves it.
fn as_changed(facts: &Facts, text: &str) -> Facts {
    let openings = options(text).firewall.openings(&[22]);
    let tuples = |v6: bool| {
        let rules = super::ufw::rules(&openings, &super::Bridges::default().names());
        let of_family = rules.iter().filter(move |rule| rule.source.addr().is_ipv6() == v6);
        of_family.map(|rule| format!("{} comment=70726f766973696f6e\n", rule.tuple())).collect::<String>()
    };
    let mut facts = with_ufw(facts.clone(), true, [&tuples(false), &tuples(true)]);
    let modes = [0o640, 0o640, 0o755];
    let texts = [false, true]
        .map(|v6| super::containers::ruleset(&openings, &super::Bridges::default(), &|_| false, v6).text);
    for ((path, text), mode) in super::OURS.into_iter().zip([&texts[0], &texts[1], super::LOADER]).zip(modes)
    {
        put(&mut facts, path, text);
        let file = facts.files.get_mut(path).and_then(Option::as_mut).expect("just put there");
        file.mode = mode;
    }
    for hook in super::HOOKS {
        put(
            &mut facts,
            hook,
            "#!/bin/sh\n[ ! -x /etc/ufw/provision.init ] || /etc/ufw/provision.init \"$1\"\n",
        );
        facts.files.get_mut(hook).and_then(Option::as_mut).expect("just put there").mode = 0o750;
    }
    for (family, text) in [(4, &texts[0]), (6, &texts[1])] {
        let rules = text.lines().filter(|line| line.starts_with("-A "));
        let rules = rules.chain(["-A FORWARD -j PROVISION-FORWARD"]);
        facts.firewall.loaded.extend(rules.map(|rule| LoadedRule {
            family,
            table: "mangle".into(),
            rule: rule.into(),
        }));
    }
    facts
}

fn planned(facts: &Facts, text: &str) -> Result<PlannedStep, Refusal> {
    let claims = Claims::read(facts, "shop")?;
    let mut model = Model { facts: facts.clone(), claims, ..Model::default() };
    Firewall::new(options(text).firewall, None).plan(&mut model)
}

fn reason(facts: &Facts, text: &str) -> String {
    let step = planned(facts, text).expect("it can be planned");
    step.changes
        .iter()
        .map(|change| format!("{}: {}", change.id, change.reason))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn without_allow_nothing_is_changed() {
    let mut questions = Questions::default();
    let step = Firewall::new(options("").firewall, None);
    step.questions(&mut questions);
    // It is asked only where some stack lets something in.
    let is_conditional = |question: &Question| matches!(question, Question::Claims | Question::IfOpened(_));
    assert!(questions.iter().all(is_conditional));
    let planned = planned(&with_ufw(host(), false, ["", ""]), "").expect("it can be planned");
    assert!(planned.changes.is_empty());
    assert_eq!(planned.state, "left as it is (no `allow` in [steps.firewall])");
}

#[test]
fn what_is_let_in_and_what_is_shut() {
    let step = planned(&host(), ALLOW).expect("it can be planned");
    let rules = step.changes.last().expect("a change");
    let risks: Vec<_> = rules
        .risks
        .iter()
        .map(|risk| match risk {
            Risk::LetsIn { port, from, behind } => format!("in {port} {from:?} {behind:?}"),
            Risk::ShutsOut { port, behind } => format!("out {port} {behind}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        risks,
        [
            "in 22/tcp [] [\"sshd\"]",
            "in 8080/tcp [] [\"web8080 (shop)\"]",
            "in 8443-8445/udp [\"10.0.0.0/8\"] []",
            "out 111/tcp rpcbind",
            "out 9090/tcp web9090 (shop)",
        ]
    );
    assert_eq!(
        rules.action.arguments["add"],
        "first tcp 22 any\nlast tcp 8080 any\nlast udp 8443:8445 10.0.0.0/8\n"
    );
    let v4 = String::from_utf8(rules.files[0].content.clone().expect("rules")).expect("text");
    insta::assert_snapshot!(v4);
}

#[test]
fn what_has_been_made_is_left_alone() {
    let text = ALLOW;
    let facts = as_changed(&host(), text);
    assert_eq!(reason(&facts, text), "");
    assert_eq!(
        planned(&facts, text).expect("it can be planned").state,
        "only 22/tcp (ssh), 8080/tcp, 8443-8445/udp from 10.0.0.0/8 are let in"
    );
}

type Change = fn(&mut Facts);

#[test]
fn what_differs_is_named() {
    let good = as_changed(&host(), ALLOW);
    let change = |change: Change| {
        let mut facts = good.clone();
        change(&mut facts);
        reason(&facts, ALLOW)
    };
    let cases: &[(Change, &str)] = &[
        (|facts| put(facts, "/etc/ufw/ufw.conf", "ENABLED=no\n"), "ufw is not enabled"),
        (
            |facts| facts.firewall.loaded.retain(|rule| rule.family == 4 || rule.table != "filter"),
            "ufw is enabled and its rules are not loaded",
        ),
        (
            |facts| put(facts, "/etc/default/ufw", "IPV6=yes\nDEFAULT_INPUT_POLICY=\"ACCEPT\"\n"),
            "ufw lets in what no rule names",
        ),
        (
            |facts| put(facts, "/etc/default/ufw", "DEFAULT_INPUT_POLICY=accept\nIPV6=yes\n"),
            "ufw lets in what no rule names",
        ),
        (|facts| put(facts, "/etc/default/ufw", "IPV6=no\n"), "ufw does not rule IPv6"),
        (|facts| put(facts, "/etc/default/ufw", "IPV6=yes\nIPV6=\"no\" # none\n"), "ufw does not rule IPv6"),
        (|facts| put(facts, "/etc/default/ufw", "#IPV6=yes\n"), "ufw does not rule IPv6"),
        (
            |facts| {
                facts.units.insert(super::UNIT.into(), unit("masked", "active"));
            },
            "ufw is not started at boot",
        ),
        (|facts| put(facts, super::HOOKS[1], "#!/bin/sh\n"), "published ports of containers are not ruled"),
        (
            |facts| put(facts, super::HOOKS[0], "#!/bin/sh\n"),
            "a reload of ufw would open all ports for a moment",
        ),
        (
            |facts| put(facts, super::ARMED, "20261122-1\n"),
            "an earlier change was not proven to let us in again",
        ),
        (
            |facts| facts.firewall.loaded.retain(|rule| rule.rule != "-A FORWARD -j PROVISION-FORWARD"),
            "the rules for containers are not loaded as they should be",
        ),
        (
            |facts| {
                facts
                    .firewall
                    .loaded
                    .retain(|rule| rule.family == 6 || !rule.rule.contains("--ctorigdstport 8080"))
            },
            "the rules for containers are not loaded as they should be",
        ),
        (|facts| put(facts, super::OURS[0], "*mangle\n"), "the rules for containers differ"),
        (
            |facts| put(facts, "/etc/ufw/user6.rules", ""),
            "not let in by ufw: 22/tcp from anywhere (IPv6), 8080/tcp from anywhere (IPv6)",
        ),
    ];
    for (make, expected) in cases {
        assert_eq!(change(*make), format!("firewall/rules: {expected}"));
    }
    // What is not asked for any more goes; what somebody else made stays.
    let text = "firewall.allow = []";
    assert_eq!(
        reason(&good, text),
        "firewall/rules: let in and no longer asked for: allow 8080/tcp from anywhere (IPv4), allow \
         8443-8445/udp from 10.0.0.0/8, allow 8080/tcp from anywhere (IPv6); the rules for containers differ"
    );
}

#[test]
fn the_one_who_sets_it_is_not_shut_out() {
    let narrow = "firewall.allow = [{ port = \"ssh\", from = [\"198.51.100.0/24\"] }]";
    let refusal = planned(&host(), narrow).expect_err("it shuts us out");
    assert!(refusal.what.contains("203.0.113.9"), "{}", refusal.what);
    // By number it is the same port.
    assert!(planned(&host(), "firewall.allow = [{ port = 22, from = [\"198.51.100.0/24\"] }]").is_err());
    // A rule made by hand that lets us in stays, and so do we.
    let by_hand = "### tuple ### allow tcp 22 0.0.0.0/0 any 203.0.113.0/24 in\n";
    assert!(planned(&with_ufw(host(), false, [by_hand, ""]), narrow).is_ok());
    for fits in ["203.0.113.9", "203.0.113.0/24", "0.0.0.0/0"] {
        let text = format!("firewall.allow = [{{ port = \"ssh\", from = [\"{fits}\"] }}]");
        assert!(planned(&host(), &text).is_ok(), "{fits}");
    }
    let mut other_port = host();
    other_port.identity.ssh_port = Some(2222);
    let step = planned(&other_port, "firewall.allow = []").expect("it can be planned");
    assert_eq!(step.changes[1].title, "let in 2222/tcp (ssh), 22/tcp (ssh) and nothing else");
}

/// ufw knows one of two rules that differ in nothing but what they say: ours never takes its place.
#[test]
fn a_rule_made_by_hand_is_not_replaced() {
    let by_hand = "### tuple ### deny tcp 8080 0.0.0.0/0 any 0.0.0.0/0 in\n\
                   ### tuple ### allow_log udp 8443:8445 0.0.0.0/0 any 10.0.0.0/8 in\n";
    let step = planned(&with_ufw(host(), false, [by_hand, ""]), ALLOW).expect("it can be planned");
    let rules = &step.changes[0].action.arguments;
    assert_eq!(rules["add"], "first tcp 22 any\nlast tcp 8080 ::/0\n");
    assert!(!rules["present"].contains("tcp 8080 0.0.0.0/0"), "{}", rules["present"]);
    assert_eq!(
        step.warnings,
        ["made by hand, against `allow`, and stays: deny 8080/tcp from anywhere (IPv4); remove one of them \
          (`ufw status numbered`, `ufw delete NUMBER` on the host)"]
    );
    // Where it is ssh there would be no way in.
    let ssh = |source: &str| {
        let by_hand = format!("### tuple ### reject tcp 22 0.0.0.0/0 any {source} in\n");
        planned(&with_ufw(host(), false, [&by_hand, ""]), ALLOW)
    };
    let refusal = ssh("0.0.0.0/0").expect_err("it shuts us out");
    assert!(
        refusal.what.ends_with("shuts ssh, by which we come: reject 22/tcp from anywhere (IPv4)"),
        "{}",
        refusal.what
    );
    // Ours comes before it.
    assert!(ssh("198.51.100.0/24").is_ok());
}

/// With ipv6.disable=1 ufw takes no rule for IPv6, and none is missing.
#[test]
fn a_kernel_without_ipv6() {
    let mut facts = host();
    facts.firewall.addresses.truncate(1);
    facts.files.insert(super::IPV6.into(), None);
    let step = planned(&facts, ALLOW).expect("it can be planned");
    assert_eq!(
        step.changes[1].action.arguments["add"],
        "first tcp 22 0.0.0.0/0\nlast tcp 8080 0.0.0.0/0\nlast udp 8443:8445 10.0.0.0/8\n"
    );
    let mut done = as_changed(&facts, ALLOW);
    put(&mut done, "/etc/ufw/user6.rules", "");
    // Docker may have made tables that no packet meets.
    done.firewall.loaded.retain(|rule| rule.family == 4);
    done.firewall.loaded.push(LoadedRule { family: 6, table: "filter".into(), rule: ":INPUT ACCEPT".into() });
    assert_eq!(reason(&done, ALLOW), "");
}

/// A bridge of somebody's own is called like Docker's: it is the outside all the same.
#[test]
fn bridges_that_are_not_dockers() {
    let mut facts = host();
    put(
        &mut facts,
        super::INTERFACES,
        "Inter-| Receive\n face |bytes\n    lo: 1 2\nbr-0123456789ab: 3 4\nbr-lan: 5 6\nbr-web: 7\n br0: 8\n br-x;y: 9\n",
    );
    let masked = "-A POSTROUTING -s 172.20.0.0/16 ! -o br-web -j MASQUERADE";
    facts.firewall.loaded.push(LoadedRule { family: 4, table: "nat".into(), rule: masked.into() });
    let step = planned(&facts, ALLOW).expect("it can be planned");
    let rules = String::from_utf8(step.changes[1].files[0].content.clone().expect("rules")).expect("text");
    insta::assert_snapshot!(rules);
}

#[test]
fn how_long_a_proof_is_awaited() {
    for (text, fits) in [("5", true), ("3600", true), ("0", false), ("-1", false), ("4294967295", false)] {
        let read = toml::from_str::<crate::steps::Options>(&format!("firewall.revert_after = {text}"));
        assert_eq!(read.is_ok(), fits, "{text}");
        if let Err(error) = read {
            assert!(error.message().contains("write 5 to 3600 seconds"), "{}", error.message());
        }
    }
}

#[test]
fn who_rules_already_is_not_fought() {
    let refused = |change: &dyn Fn(&mut Facts)| {
        let mut facts = host();
        change(&mut facts);
        planned(&facts, ALLOW).err().map(|refusal| refusal.what)
    };
    let loaded = |rule: &str| LoadedRule { family: 4, table: "filter".into(), rule: rule.into() };
    assert_eq!(refused(&|_| {}), None);
    for (change, expected) in [
        (
            &(|facts: &mut Facts| {
                facts.units.insert("firewalld.service".into(), unit("enabled", "active"));
            }) as &dyn Fn(&mut Facts),
            "firewalld",
        ),
        (
            &|facts| {
                facts.units.insert("netfilter-persistent.service".into(), unit("enabled", "inactive"));
            },
            "netfilter-persistent",
        ),
        (&|facts| facts.firewall.foreign_tables.push("inet mine".into()), "(inet mine)"),
        (&|facts| facts.firewall.loaded.push(loaded(":INPUT DROP")), "iptables"),
        (&|facts| facts.firewall.loaded.push(loaded("-A INPUT -p tcp --dport 9 -j REJECT")), "iptables"),
    ] {
        let what = refused(change).expect(expected);
        assert!(what.contains(expected), "{what}");
    }
    // fail2ban keeps out whom it caught, by a chain of its own.
    assert_eq!(refused(&|facts| facts.firewall.loaded.push(loaded("-A INPUT -p tcp -j f2b-sshd"))), None);
}

#[test]
fn ports_as_people_write_them() {
    for (text, expected) in [
        ("[443]", "443/tcp"),
        ("[\"https\"]", "443/tcp"),
        ("[\"8000-8010\"]", "8000-8010/tcp"),
        ("[\"8000:8010\"]", "8000-8010/tcp"),
        ("[{ port = 53, protocol = \"udp\" }]", "53/udp"),
        (
            "[{ port = 80, from = [\"10.0.0.0/8\"] }, { port = 80, from = [\"fd00::1\"] }]",
            "80/tcp from 10.0.0.0/8, fd00::1",
        ),
        ("[{ port = 80, from = [\"0.0.0.0/0\", \"::/0\"] }]", "80/tcp"),
        ("[\"ssh\"]", ""),
        ("[22]", ""),
    ] {
        let openings = options(&format!("firewall.allow = {text}")).firewall.openings(&[22]);
        let shown: Vec<_> = openings.iter().map(ToString::to_string).collect();
        let expected: Vec<_> =
            ["22/tcp (ssh)", expected].into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(shown, expected, "{text}");
    }
    for (text, expected) in [
        ("[0]", "`0` is no port"),
        ("[65536]", "`65536` is no port"),
        ("[\"8010-8000\"]", "`8010-8000` is no port"),
        ("[\"smtp\"]", "`smtp` is no port"),
        ("[{ port = 80, from = [\"10.0.0.1/8\"] }]", "the network is `10.0.0.0/8`"),
        ("[{ port = 80, from = [\"nobody\"] }]", "`nobody` is no network"),
        ("[{ port = 80, form = [] }]", "unknown field `form`"),
        ("[{ from = [] }]", "missing field `port`"),
    ] {
        let error =
            toml::from_str::<crate::steps::Options>(&format!("firewall.allow = {text}")).expect_err(text);
        assert!(error.message().contains(expected), "{text}: {}", error.message());
    }
}

/// Another stack has asked for something, and the host for itself.
fn claimed(mut facts: Facts, stack: &str, allow: &str) -> Facts {
    let path = format!("/var/lib/provision/claims/{stack}.json");
    put(&mut facts, &path, &format!("{{\"firewall\":{{\"allow\":{allow}}}}}"));
    facts
}

fn risks_of(facts: &Facts, text: &str) -> Vec<String> {
    let step = planned(facts, text).expect("it can be planned");
    let risks = step.changes.iter().flat_map(|change| &change.risks);
    let shut = risks.filter_map(|risk| match risk {
        Risk::ShutsOut { port, behind } => Some(format!("{port} {behind}")),
        _ => None,
    });
    shut.collect()
}

/// A service of the host's that containers alone reach: by Docker's bridges, and not by a network's range.
#[test]
fn what_containers_alone_reach() {
    let text = "firewall.allow = [{ port = 5432, from = ['172.16.0.0/12'], containers = true }]";
    let step = planned(&host(), text).expect("it can be planned");
    let change = step.changes.last().expect("a change");
    assert_eq!(
        change.title,
        "let in 22/tcp (ssh), 5432/tcp from containers (172.16.0.0/12) and nothing else"
    );
    let add = &change.action.arguments["add"];
    assert!(
        add.contains("last tcp 5432 172.16.0.0/12 docker0\nlast tcp 5432 172.16.0.0/12 docker_gwbridge\n"),
        "{add}"
    );
    let rules = change.files.iter().find(|file| file.path.ends_with("/provision.rules")).expect("rules");
    let rules = String::from_utf8_lossy(rules.content.as_deref().expect("a content")).into_owned();
    assert!(
        rules.contains("-A PROVISION-GUARD -i docker0 -s 172.16.0.0/12 -p tcp --dport 5432 -j RETURN"),
        "{rules}"
    );
    assert!(!rules.contains("--ctorigdstport 5432"), "{rules}");
    // ufw takes `br-+`, which is `br-lan` as well: that one is a person's own.
    let mut lived_in = host();
    let interfaces = "br-0123456789ab: 3 4\nbr-lan: 5 6\nbr-dmz: 5\nbr-web: 7\n";
    put(&mut lived_in, super::INTERFACES, interfaces);
    let masked = "-A POSTROUTING -s 172.20.0.0/16 ! -o br-web -j MASQUERADE";
    lived_in.firewall.loaded.push(LoadedRule { family: 4, table: "nat".into(), rule: masked.into() });
    let input = |facts: &Facts| {
        let step = planned(facts, text).expect("it can be planned");
        let files = &step.changes.last().expect("a change").files;
        let rules = files.iter().find(|file| file.path.ends_with("/provision.rules")).expect("rules");
        let rules = String::from_utf8_lossy(rules.content.as_deref().expect("a content")).into_owned();
        let rules = rules.lines().filter_map(|line| line.strip_prefix("-A PROVISION-INPUT "));
        rules.filter(|rule| !rule.contains("+ -j RETURN")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        input(&lived_in),
        [
            "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            "-i br-web -j RETURN",
            "-i br-dmz -s 172.16.0.0/12 -p tcp --dport 5432 -j DROP",
            "-i br-lan -s 172.16.0.0/12 -p tcp --dport 5432 -j DROP",
            "-i br-+ -s 172.16.0.0/12 -p tcp --dport 5432 -j DROP",
        ]
    );
    // What its owner lets in stays let in.
    let by_hand = "### tuple ### allow tcp 5432 0.0.0.0/0 any 172.20.0.0/16 in_br-lan\n";
    put(&mut lived_in, super::RULES[0], by_hand);
    assert!(input(&lived_in).is_empty(), "{:?}", input(&lived_in));
    let done = as_changed(&host(), text);
    assert!(planned(&done, text).expect("it can be planned").changes.is_empty());
    // As an older provision has let them in: from everywhere.
    let former = as_changed(&host(), "firewall.allow = [{ port = 5432, from = ['172.16.0.0/12'] }]");
    let step = planned(&former, text).expect("it can be planned");
    let change = step.changes.last().expect("a change");
    assert!(
        change.reason.contains("no longer asked for: allow 5432/tcp from 172.16.0.0/12"),
        "{}",
        change.reason
    );
}
