//! Tables: what is declared, what listens and what answered, and what is said of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::facts::{Facts, Listening, Published};

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 5));
const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5));

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn listening(protocol: &str, address: &str, port: u16, process: &str) -> Listening {
    Listening { protocol: protocol.into(), address: address.into(), port, process: process.into() }
}

fn published(address: &str, port: u16, protocol: &str, service: &str) -> Published {
    Published {
        container: format!("three-{service}-1"),
        project: "three".into(),
        service: service.into(),
        address: ip(address),
        port,
        target: 80,
        protocol: protocol.into(),
    }
}

/// sshd, a container on 8080, a process of IPv4 alone on 9999, and others.
fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.identity.ssh_port = Some(22);
    facts.firewall.addresses = vec![V4, V6];
    facts.listening = vec![
        listening("tcp", "0.0.0.0", 22, "sshd"),
        listening("tcp", "::", 22, "sshd"),
        listening("tcp", "0.0.0.0", 8080, "docker-proxy"),
        listening("tcp", "::", 8080, "dockerd"),
        listening("tcp", "0.0.0.0", 9999, "nc"),
        listening("tcp", "127.0.0.1", 6379, "redis-server"),
        listening("udp", "0.0.0.0", 5353, "avahi-daemon"),
    ];
    facts.published = vec![published("0.0.0.0", 8080, "tcp", "web"), published("::", 8080, "tcp", "web")];
    facts
}

fn declared(first: u16, last: u16, from: &[&str]) -> Declaration {
    let nets = |from: &[&str]| from.iter().filter_map(|net| net.parse().ok()).collect();
    Declaration {
        ports: PortRange { first, last },
        protocol: "tcp".into(),
        from: (!from.is_empty()).then(|| nets(from)),
        at: None,
        by: if first == 22 { "ssh".into() } else { "allow".into() },
        of_others: false,
    }
}

/// A host that answers these ports, and refuses 1.
fn knocked(address: IpAddr, reachable: &[u16], refused: &[u16], silent: &[u16]) -> Knocked {
    let mut answers = BTreeMap::new();
    answers.extend(reachable.iter().map(|port| (*port, Answer::Reachable)));
    answers.extend(refused.iter().map(|port| (*port, Answer::Refused)));
    answers.extend(silent.iter().map(|port| (*port, Answer::NoAnswer)));
    Knocked {
        address,
        ours: Some(ip(if address.is_ipv4() { "198.51.100.9" } else { "2001:db8:9::9" })),
        answers,
        no_route: false,
        intercepted: false,
    }
}

/// A line for each row.
fn said(exposure: &Exposure) -> String {
    let cell = |answer: Option<Answer>| answer.map_or_else(|| "-".into(), |answer| format!("{answer:?}"));
    let line = |row: &Row| {
        let by = if row.declared.is_empty() { "no".into() } else { row.declared.join(", ") };
        format!(
            "{:?}: {} {} | {by} {} | {} {}\n",
            row.verdict,
            row.port(),
            row.owners.join(", "),
            row.from.join(", "),
            cell(row.ipv4),
            cell(row.ipv6)
        )
    };
    exposure.rows.iter().map(line).collect::<String>() + &format!("others: {}", exposure.others)
}

#[test]
fn knocks_at_what_listens_is_declared_or_is_well_known() {
    let ports = ports(&facts(), &[declared(4443, 4443, &[]), declared(9990, 10_010, &[])]);
    for port in [22, 8080, 9999, 6379, 4443, 2375, 50_000] {
        assert!(ports.all.contains(&port), "{port}");
    }
    assert!(!ports.all.contains(&10_000), "a range is not tried as a whole");
    assert!(ports.decoys.len() > 2 && ports.decoys.is_disjoint(&ports.all));
    assert_eq!(ports.patient.into_iter().collect::<Vec<_>>(), [4443, 9999]);
}

#[test]
fn what_nobody_declares_comes_first() {
    let v4 = knocked(V4, &[22, 8080, 9999], &[23, 6379], &[]);
    let v6 = knocked(V6, &[22, 8080], &[23, 6379, 9999], &[]);
    let wanted = [declared(22, 22, &[]), declared(8080, 8080, &[])];
    insta::assert_snapshot!(said(&judge(&facts(), &wanted, [Some(&v4), Some(&v6)])), @r"
    Undeclared: 9999/tcp nc | no  | Reachable Refused
    AsDeclared: 22/tcp sshd | ssh  | Reachable Reachable
    NotTried: 5353/udp avahi-daemon | no  | - -
    Closed: 6379/tcp redis-server | no  | Refused Refused
    AsDeclared: 8080/tcp web (three) | allow  | Reachable Reachable
    others: 1
    ");
}

#[test]
fn tells_blocked_from_nothing_there() {
    let v4 = knocked(V4, &[22], &[443, 6379], &[8080, 9999]);
    let v6 = knocked(V6, &[22, 8080], &[443, 6379, 9999], &[]);
    let wanted = [
        declared(22, 22, &[]),
        declared(8080, 8080, &[]),
        declared(443, 443, &[]),
        declared(6379, 6379, &[]),
        declared(7000, 7010, &[]),
        declared(9990, 10_000, &[]),
    ];
    insta::assert_snapshot!(said(&judge(&facts(), &wanted, [Some(&v4), Some(&v6)])), @r"
    Blocked: 8080/tcp web (three) | allow  | NoAnswer Reachable
    Blocked: 9999/tcp nc | allow  | NoAnswer Refused
    NothingListens: 443/tcp  | allow  | Refused Refused
    NothingListens: 6379/tcp redis-server | allow  | Refused Refused
    NothingListens: 7000-7010/tcp  | allow  | - -
    AsDeclared: 22/tcp sshd | ssh  | Reachable Reachable
    NotTried: 5353/udp avahi-daemon | no  | - -
    others: 0
    ");
}

#[test]
fn a_family_in_which_nothing_answers_is_not_judged() {
    let v4 = knocked(V4, &[22, 8080], &[], &[9999]);
    let mut v6 = knocked(V6, &[], &[], &[22, 8080, 9999]);
    let wanted = [declared(22, 22, &[]), declared(8080, 8080, &[])];
    let exposure = judge(&facts(), &wanted, [Some(&v4), Some(&v6)]);
    assert_eq!((exposure.ipv4.state, exposure.ipv6.state), (PortState::Answers, PortState::NoAnswer));
    assert_eq!(exposure.undeclared().count() + exposure.missing().count(), 0);
    let proxied = Knocked { intercepted: true, ..knocked(V6, &[22, 80, 443, 9999], &[], &[]) };
    let exposure = judge(&facts(), &wanted, [Some(&v4), Some(&proxied)]);
    assert_eq!((exposure.ipv6.state, exposure.undeclared().count()), (PortState::Intercepted, 0));
    v6.no_route = true;
    assert_eq!(judge(&facts(), &wanted, [Some(&v4), Some(&v6)]).ipv6.state, PortState::NoRoute);
    assert_eq!(judge(&facts(), &wanted, [Some(&v4), None]).ipv6.state, PortState::NoAddress);
}

#[test]
fn what_listens_in_a_family_that_cannot_be_tried_is_not_missing() {
    let mut facts = facts();
    facts.listening.push(listening("tcp", "2001:db8::5", 7443, "six"));
    let v4 = knocked(V4, &[22], &[7443], &[]);
    let v6 = knocked(V6, &[], &[], &[7443]);
    let exposure = judge(&facts, &[declared(7443, 7443, &[])], [Some(&v4), Some(&v6)]);
    let row = exposure.rows.iter().find(|row| row.ports.first == 7443);
    assert_eq!(row.map(|row| row.verdict), Some(Verdict::NotTried));
}

#[test]
fn an_opening_for_others_is_expected_closed() {
    let others = ["10.0.0.0/8", "fd00::/8"];
    let ours = ["198.51.100.0/24"];
    let verdict = |from: &[&str], v4: Knocked, v6: Option<Knocked>| {
        let exposure = judge(&facts(), &[declared(9999, 9999, from)], [Some(&v4), v6.as_ref()]);
        exposure.rows.iter().find(|row| row.ports.first == 9999).map(|row| row.verdict)
    };
    let open = || knocked(V4, &[9999], &[23], &[]);
    let shut = || knocked(V4, &[], &[23], &[9999]);
    assert_eq!(verdict(&others, shut(), None), Some(Verdict::Closed));
    assert_eq!(verdict(&others, open(), None), Some(Verdict::Undeclared));
    assert_eq!(verdict(&ours, open(), None), Some(Verdict::AsDeclared));
    assert_eq!(verdict(&ours, shut(), None), Some(Verdict::Blocked));
    // Nobody of IPv6 is let in by a network of IPv4.
    assert_eq!(verdict(&ours, open(), Some(knocked(V6, &[9999], &[], &[]))), Some(Verdict::Undeclared));
    // Whether it is us who are let in is not known.
    let stranger = |knocked: Knocked| Knocked { ours: None, ..knocked };
    assert_eq!(verdict(&ours, stranger(open()), None), Some(Verdict::AsDeclared));
    assert_eq!(verdict(&ours, stranger(shut()), None), Some(Verdict::Closed));
}

#[test]
fn we_are_known_as_ssh_comes_in() {
    let known = |address: &str, ours: &str, client: Option<&str>| {
        let mut knocked = Knocked { ours: Some(ip(ours)), ..knocked(ip(address), &[], &[], &[]) };
        knocked.be_known_as(client.map(ip));
        knocked.ours
    };
    assert_eq!(known("203.0.113.5", "192.168.1.2", Some("198.51.100.9")), Some(ip("198.51.100.9")));
    assert_eq!(known("203.0.113.5", "192.168.1.2", Some("2001:db8::9")), None);
    assert_eq!(known("10.0.0.5", "10.0.0.9", None), Some(ip("10.0.0.9")));
    assert_eq!(known("2001:db8::5", "2001:db8::9", Some("198.51.100.9")), Some(ip("2001:db8::9")));
}

#[test]
fn a_socket_on_one_address_is_found_behind_nat_too() {
    let mut facts = facts();
    facts.listening =
        vec![listening("tcp", "10.0.0.5", 9000, "x"), listening("tcp", "172.17.0.1", 9001, "y")];
    facts.published = Vec::new();
    let verdicts = |own: &[&str], facts: &mut Facts| {
        facts.firewall.addresses = own.iter().map(|text| ip(text)).collect();
        let v4 = knocked(V4, &[], &[23], &[9000, 9001]);
        let exposure =
            judge(facts, &[declared(9000, 9000, &[]), declared(9001, 9001, &[])], [Some(&v4), None]);
        exposure.rows.iter().map(|row| (row.ports.first, row.verdict)).collect::<Vec<_>>()
    };
    let behind_nat = verdicts(&["10.0.0.5"], &mut facts);
    assert_eq!(behind_nat, [(9000, Verdict::Blocked), (9001, Verdict::NothingListens)]);
    let direct = verdicts(&["203.0.113.5", "10.0.0.5"], &mut facts);
    assert_eq!(direct, [(9000, Verdict::NothingListens), (9001, Verdict::NothingListens)]);
}

#[test]
fn chooses_an_address_of_each_family() {
    let chosen = |ssh: &[&str], own: &[&str]| {
        let ssh: Vec<_> = ssh.iter().map(|text| SocketAddr::new(ip(text), 0)).collect();
        let own: Vec<_> = own.iter().map(|text| ip(text)).collect();
        choose(&ssh, &own)
            .map(|address| address.map_or_else(|| "-".into(), |it| it.ip().to_string()))
            .join(" ")
    };
    // A cloud host behind 1:1 NAT.
    assert_eq!(chosen(&["203.0.113.5"], &["10.0.0.5", "2001:db8::5"]), "203.0.113.5 2001:db8::5");
    assert_eq!(chosen(&["203.0.113.5"], &["10.0.0.5", "fd00::5"]), "203.0.113.5 -");
    assert_eq!(chosen(&["2001:db8::5"], &["10.0.0.5", "203.0.113.5"]), "203.0.113.5 2001:db8::5");
    assert_eq!(chosen(&["2001:db8::5"], &["10.0.0.5", "100.64.0.1"]), "- 2001:db8::5");
    // Both in a network of one's own.
    assert_eq!(chosen(&["10.91.0.2"], &["10.91.0.2", "fe80::1", "fd91::2"]), "10.91.0.2 fd91::2");
    // Of several that a name has, the one that is the host's.
    assert_eq!(chosen(&["203.0.113.4", "203.0.113.5"], &["203.0.113.5"]), "203.0.113.5 -");
    // A forwarded port is not the host.
    assert_eq!(chosen(&["127.0.0.1", "::1"], &["203.0.113.5"]), "- -");
    assert_eq!(chosen(&[], &["203.0.113.5"]), "- -");
}

#[test]
fn a_compose_file_declares_what_others_may_reach() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let text = r#"
name: three
services:
  web: {image: x, ports: ["8080:80", "127.0.0.1:8081:81", "0.0.0.0:9000:9000/udp"]}
  api: {image: x, ports: ["80", "8100-8102:90-92"]}
  off: {image: x, ports: ["7000:7000"], profiles: [debug]}
"#;
    std::fs::write(folder.path().join("compose.yaml"), text)?;
    let project = crate::stack::compose::Project::load(folder.path(), None)?;
    let mut facts = facts();
    facts.published.push(published("0.0.0.0", 32_768, "tcp", "api"));
    let said: Vec<_> = by_compose(&facts, Some(&project))
        .iter()
        .map(|each| format!("{}/{} {:?} {}", each.ports, each.protocol, each.at, each.by))
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    22/tcp None ssh
    8080/tcp None compose.yaml (web)
    9000/udp Some(0.0.0.0) compose.yaml (web)
    32768/tcp None compose.yaml (api)
    8100-8102/tcp None compose.yaml (api)
    ");
    assert_eq!(by_compose(&facts, None).len(), 1);
    Ok(())
}

#[test]
fn rules_declare_what_they_let_in() -> Result<(), toml::de::Error> {
    let text =
        "allow = [443, { port = \"ssh\", from = [\"198.51.100.0/24\"] }, { port = 53, protocol = \"udp\" }]";
    let options: crate::steps::FirewallOptions = toml::from_str(text)?;
    let said: Vec<_> = by_rules(&options.openings(&[22]))
        .iter()
        .map(|each| {
            format!("{}/{} {} {}", each.ports, each.protocol, each.by, each.sources().collect::<String>())
        })
        .collect();
    assert_eq!(said, ["22/tcp ssh 198.51.100.0/24", "53/udp allow ", "443/tcp allow "]);
    Ok(())
}

#[tokio::test]
async fn knocks_at_real_ports() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let open = listener.local_addr()?;
    let shut = {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        listener.local_addr()?.port()
    };
    let mut ports = Ports { all: [open.port(), shut].into(), patient: [shut].into(), decoys: [shut].into() };
    let knocked = Knocker::default().knock(open, &ports).await;
    assert_eq!(knocked.answers.get(&open.port()), Some(&Answer::Reachable));
    assert_eq!(knocked.answers.get(&shut), Some(&Answer::Refused));
    assert!(knocked.answers() && knocked.is_ourselves());
    ports.decoys = [open.port()].into();
    let knocked = Knocker::default().knock(open, &ports).await;
    assert!(knocked.intercepted && !knocked.answers());
    Ok(())
}
