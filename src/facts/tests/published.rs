//! Ports that containers publish, as the daemon and its program write them.

use proptest::prelude::*;

use super::super::*;
use super::hostile::is_harmless;
use super::{answer, facts_of};

/// Ports of a container as they were read: `address port target protocol`.
fn published(ports: &str) -> Vec<String> {
    let facts = facts_of(&format!("published\t\"w\"\t\"p\"\t\"s\"\t{ports}"));
    let shown =
        |port: &Published| format!("{} {} {} {}", port.address, port.port, port.target, port.protocol);
    facts.published.iter().map(shown).collect()
}

#[test]
fn published_ports_are_read_as_the_daemon_and_its_program_write_them() {
    let cases: [(&str, &[&str]); 19] = [
        (
            r#"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]"#,
            &["0.0.0.0 8080 80 tcp", ":: 8080 80 tcp"],
        ),
        (
            r#"[{"PrivatePort":443,"Type":"tcp"},{"PrivatePort":53,"PublicPort":53,"Type":"udp"}]"#,
            &["0.0.0.0 53 53 udp"],
        ),
        (r#"[ {"IP":"","PrivatePort":1,"PublicPort":2,"Type":"sctp","More":[1]} ]"#, &["0.0.0.0 2 1 sctp"]),
        (r#"[{"IP":"::ffff:127.0.0.1","PrivatePort":1,"PublicPort":2}]"#, &["127.0.0.1 2 1 tcp"]),
        (r#"[{"IP":"x","PrivatePort":1,"PublicPort":2,"Type":"tcp"}]"#, &[]),
        (r#"[{"IP":null,"PrivatePort":1,"PublicPort":0,"Type":"tcp"}]"#, &[]),
        (r#"[{"PrivatePort":1,"PublicPort":65536,"Type":"tcp"}]"#, &[]),
        (
            r#""0.0.0.0:8080->80/tcp, :::8080->80/tcp, [::]:8080->80/tcp, 0.0.0.0:9000-9002->9000-9002/udp, 443/tcp""#,
            &[
                "0.0.0.0 8080 80 tcp",
                ":: 8080 80 tcp",
                "0.0.0.0 9000 9000 udp",
                "0.0.0.0 9001 9001 udp",
                "0.0.0.0 9002 9002 udp",
            ],
        ),
        (
            r#""127.0.0.1:8081->81/tcp, [::1]:8081-\u003e81/tcp""#,
            &["127.0.0.1 8081 81 tcp", "::1 8081 81 tcp"],
        ),
        (r#""8080->80/tcp""#, &["0.0.0.0 8080 80 tcp"]),
        (r#""0.0.0.0:8000-8001->80/tcp""#, &["0.0.0.0 8000 80 tcp", "0.0.0.0 8001 80 tcp"]),
        (r#""0.0.0.0:65534-65535->1-2/tcp""#, &["0.0.0.0 65534 1 tcp", "0.0.0.0 65535 2 tcp"]),
        (
            r#""0.0.0.0:2-1->2-1/tcp, 0.0.0.0:1-2->1-3/tcp, 0.0.0.0:65535-65536->1-2/tcp, 0.0.0.0:1->1/icmp""#,
            &[],
        ),
        (r#""->, :->/, -:->-/tcp, 1.2.3.4:->80/tcp""#, &[]),
        (r#""""#, &[]),
        ("[]", &[]),
        ("null", &[]),
        ("[{", &[]),
        ("", &[]),
    ];
    for (ports, expected) in cases {
        assert_eq!(published(ports), expected, "{ports}");
    }
}

#[test]
fn published_ports_have_their_container() {
    let facts = facts_of(concat!(
        r#"published	"b\u001b"	"p"	"s"	"0.0.0.0:80->80/tcp""#,
        "\n",
        r#"published	"a"			[{"IP":"127.0.0.1","PrivatePort":1,"PublicPort":79,"Type":"tcp"}]"#,
    ));
    let shown: Vec<_> = facts
        .published
        .iter()
        .map(|port| format!("{}|{}|{}|{}", port.container, port.project, port.service, port.port))
        .collect();
    assert_eq!(shown, ["a|||79", "b�|p|s|80"]);
}

#[test]
fn a_range_said_over_and_over_does_not_fill_the_memory() {
    let name = "x".repeat(4096);
    let ports = "1-65535->1-65535/udp, ".repeat(50);
    let facts = facts_of(&format!("published\t\"{name}\"\t\"\"\t\"\"\t\"{ports}\""));
    assert!((1_000..100_000).contains(&facts.published.len()), "{}", facts.published.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_ports_are_survived(
        ports in "\"([0-9:.\\[\\]]{0,12}[0-9]{0,6}-?[0-9]{0,6}(->)?[0-9]{0,6}(-[0-9]{0,6})?/?(tcp|udp|x)?(, )?){0,4}\"|\\[(\\{\"(IP|PublicPort|PrivatePort|Type)\":(\"\\PC{0,9}\"|[0-9]{0,6}|null)\\},?){0,3}\\]",
    ) {
        is_harmless(answer(&format!("published\t\"w\"\t\"\"\t\"\"\t{ports}")).as_bytes())?;
    }
}
