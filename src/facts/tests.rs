mod hostile;
mod published;

use semver::Version;

use super::*;

const BARE: &str = include_str!("../../tests/fixtures/facts/debian12-bare.txt");
const DOCKER: &str = include_str!("../../tests/fixtures/facts/debian13-docker.txt");
const BUSY: &str = include_str!("../../tests/fixtures/facts/debian13-busy.txt");

const FIREWALL: &str = include_str!("../../tests/fixtures/facts/debian13-firewall.txt");
const OLD_DOCKER: &str = include_str!("../../tests/fixtures/facts/debian12-docker.txt");
const UUTILS: &str = include_str!("../../tests/fixtures/facts/ubuntu2604.txt");

/// What was recorded on real hosts.
const RECORDED: [(&str, &str); 6] = [
    ("debian12-bare", BARE),
    ("debian12-docker", OLD_DOCKER),
    ("debian13-docker", DOCKER),
    ("debian13-busy", BUSY),
    ("debian13-firewall", FIREWALL),
    ("ubuntu2604", UUTILS),
];

/// An answer of just these lines.
fn answer(lines: &str) -> String {
    format!("provision-facts 1\n{lines}\nend\n")
}

fn facts_of(lines: &str) -> Facts {
    parse(answer(lines)).unwrap().facts
}

#[test]
fn recorded_answers_become_facts() {
    for (name, text) in RECORDED {
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.unknown, Vec::<String>::new(), "{name}");
        insta::assert_snapshot!(name, serde_json::to_string_pretty(&parsed.facts).unwrap());
    }
}

#[test]
fn lookups_see_through_what_was_asked_and_is_not_there() {
    let facts = parse(DOCKER).unwrap().facts;
    assert_eq!(facts.package("docker.io").unwrap().version, "26.1.5+dfsg1-9+deb13u1");
    assert!(facts.is_installed("docker.io"));
    assert_eq!(facts.package("docker-ce"), None);
    assert_eq!(facts.package("never asked"), None);
    assert_eq!(facts.docker_engine(), Some(&Version::new(26, 1, 5)));
    assert_eq!(facts.compose(), Some(&Version::new(2, 26, 1)));
    assert_eq!(facts.content("/etc/docker/daemon.json").unwrap(), b"{\"live-restore\": true}\n");
    assert_eq!(facts.file("/etc/localtime").unwrap().target.as_deref(), Some("/usr/share/zoneinfo/Etc/UTC"));
    assert_eq!(facts.file("/etc/timezone"), None);
    assert!(facts.image("demo/db:17").is_some());
    assert_eq!(facts.image("postgres:16"), None);
    assert_eq!(facts.containers_of("demo").count(), 4);
    assert_eq!(facts.containers_of("other").count(), 0);
    assert!(facts.listening_on("tcp", 8080).all(|socket| socket.process == "docker-proxy"));
    assert_eq!(facts.listening_on("udp", 8080).count(), 0);
    assert!(facts.unit("docker.service").unwrap().is_active());
    assert!(!facts.unit("ufw.service").unwrap().is_active());
    assert!(facts.unit("ufw.service").unwrap().is_enabled());
    assert!(facts.disk("/var/lib/docker").unwrap().available > 1 << 30);
    assert!(!facts.is_member("deploy", "docker"));

    let facts = parse(BARE).unwrap().facts;
    assert_eq!(facts.docker, None);
    assert_eq!(facts.reached("deb.example.org:80"), Some(Reach::Reached));
    assert_eq!(facts.reached("download.docker.com:443"), Some(Reach::NoName));
    assert!(!facts.unit("docker.service").unwrap().is_loaded());
}

#[test]
fn routes_and_name_servers() {
    let facts = facts_of(
        "route\t10.8.0.0/24\ttun0\nroute\t172.16.0.0/12\teth0\tgateway\nroute\t198.51.100.2\twg0\n\
         route\tfe80::/64\teth0\nroute\tnonsense\teth0\nroute\t10.0.0.0/99\teth0\nroute\n\
         name-server\t127.0.0.53\nname-server\t192.0.2.53\nname-server\t::1\nname-server\tx\nname-server",
    );
    let routes = facts.routes.iter().map(|route| {
        format!("{} {}{}", route.network, route.device, if route.by_gateway { " by a gateway" } else { "" })
    });
    assert_eq!(
        routes.collect::<Vec<_>>(),
        ["10.8.0.0/24 tun0", "172.16.0.0/12 eth0 by a gateway", "198.51.100.2/32 wg0", "fe80::/64 eth0",]
    );
    assert_eq!(facts.name_servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.53"]);
}

#[test]
fn membership_is_by_list_or_by_primary_group() {
    let facts = facts_of("group\tdocker\t998\tci,deploy\ngroup\tstaff\t50\t\nuser\tann\t1001\t50\t/home/ann");
    assert!(facts.is_member("deploy", "docker"));
    assert!(!facts.is_member("deplo", "docker"));
    assert!(facts.is_member("ann", "staff"));
    assert!(!facts.is_member("deploy", "staff"));
}

#[test]
fn a_daemon_without_an_answer_is_docker_with_an_error() {
    let docker = facts_of("docker\t\t\tno answer within 10 seconds").docker.unwrap();
    assert_eq!(docker.engine, None);
    assert_eq!(docker.error.as_deref(), Some("no answer within 10 seconds"));
    let docker =
        facts_of("compose\t2.38.2-1~debian.12~bookworm\ndocker\t\"29.0.0\"\t\"overlayfs\"").docker.unwrap();
    assert_eq!(docker.compose, Some(Version::new(2, 38, 2)));
    assert_eq!(docker.engine, Some(Version::new(29, 0, 0)));
    assert_eq!(docker.storage, "overlayfs");
    assert_eq!(docker.error, None);
    // Built by hand, without a version: it answers all the same.
    let docker = facts_of("docker\t\"library-import\"\t\"overlay2\"").docker.unwrap();
    assert_eq!(docker.engine, Some(Version::new(0, 0, 0)));
}

#[test]
fn what_docker_says_is_json_and_cannot_break_out_of_it() {
    let facts = facts_of(concat!(
        r#"container	"a\u0000b"	"n\u001b[31m"	"p"	"s\nend\n"	"i\ttab"	"running"	"Up \u003c1 minute""#,
        "\n",
        r#"container	"unfinished	x	p	s	i	running	Up"#,
    ));
    assert_eq!(facts.containers.len(), 2);
    let container = &facts.containers[0];
    assert_eq!(container.id, "a�b");
    assert_eq!(container.name, "n�[31m");
    assert_eq!(container.service, "s�end�");
    assert_eq!(container.status, "Up <1 minute");
    assert_eq!(facts.containers[1].id, "\"unfinished");
}

#[test]
fn sockets_are_read_as_the_kernel_writes_them() {
    let lines = "listening\ttcp\t0100007F:0016\tsshd\nlistening\ttcp\t00000000000000000000000000000000:1F90\t\nlistening\tudp\tB80D0120000000000000000001000000:0035\tnamed\nlistening\ttcp\t0000000000000000FFFF00000100007F:0050\t";
    let listening = facts_of(lines).listening;
    let shown: Vec<_> =
        listening.iter().map(|socket| format!("{} {}", socket.address, socket.port)).collect();
    assert_eq!(shown, ["127.0.0.1 22", ":: 8080", "2001:db8::1 53", "::ffff:127.0.0.1 80"]);
    for bad in ["", "0016", "0100007F", "0100007F:", "0100007F:10000", "01:16", "0100007G:16", "ü100007F:16"]
    {
        let error = parse(answer(&format!("listening\ttcp\t{bad}\t"))).unwrap_err();
        assert!(matches!(error, ParseError::Value { line: 2, .. }), "{bad}: {error}");
    }
}

#[test]
fn the_client_is_an_address_or_nobody() {
    let cases = [
        ("192.0.2.1", Some("192.0.2.1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("fe80::1%eth0", Some("fe80::1")),
        ("::ffff:192.0.2.1", Some("192.0.2.1")),
        ("::ffff:192.0.2.1%eth0", Some("192.0.2.1")),
        ("", None),
        ("UNKNOWN", None),
        ("%eth0", None),
        ("192.0.2.1:22", None),
        ("192.0.2.256", None),
    ];
    for (written, client) in cases {
        let facts = facts_of(&format!("ssh-client\t{written}"));
        assert_eq!(facts.identity.ssh_client, client.map(|client| client.parse().unwrap()), "{written}");
    }
}

#[test]
fn a_firewall_is_what_the_host_says_sorted() {
    let firewall = facts_of(concat!(
        "sshd-port\t2222\nsshd-port\t22\nsshd-port\t2222\n",
        "address\t192.0.2.7\naddress\t2001:db8::7\naddress\t192.0.2.7\naddress\t127.0.0.1\naddress\t::1\n",
        "address\tfe80::1%eth0\naddress\t169.254.1.1\naddress\t::ffff:127.0.0.1\naddress\t0.0.0.0\naddress\tx\naddress\t\n",
        "rule\t4\tfilter\t:INPUT DROP\nrule\t6\tmangle\t-A FORWARD -j PROVISION-FORWARD\n",
        "foreign-table\tip filter\nforeign-table\tinet own\nforeign-table\tip filter\nforeign-table\t",
    ))
    .firewall;
    assert_eq!(firewall.ssh_ports, [22, 2222]);
    let addresses: Vec<_> = firewall.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.7", "2001:db8::7"]);
    let loaded: Vec<_> =
        firewall.loaded.iter().map(|rule| format!("{} {} {}", rule.family, rule.table, rule.rule)).collect();
    assert_eq!(loaded, ["4 filter :INPUT DROP", "6 mangle -A FORWARD -j PROVISION-FORWARD"]);
    assert_eq!(firewall.foreign_tables, ["inet own", "ip filter"]);
}

#[test]
fn contents_belong_to_files_wherever_they_stand() {
    let file = "file\t/x\t644\troot:root\t3\tregular\t\t";
    for lines in [format!("content\t/x\tb25l\n{file}"), format!("{file}\ncontent\t/x\tb25l")] {
        assert_eq!(facts_of(&lines).content("/x"), Some(&b"one"[..]));
    }
    assert_eq!(facts_of("content\t/x\tb25l").files.len(), 0, "a content without its file is nothing");
    assert_eq!(facts_of("file\t/x\ncontent\t/x\tb25l").content("/x"), None);
    assert_eq!(facts_of(&format!("{file}\ncontent\t/x\t")).content("/x"), Some(&b""[..]), "an empty file");
}

#[test]
fn said_twice_the_last_one_holds() {
    assert_eq!(facts_of("hostname\ta\nhostname\tb").system.hostname, "b");
    assert_eq!(facts_of("package\ta\t1\tyes\npackage\ta").packages["a"], None);
}

#[test]
fn what_is_no_answer_is_told_so() {
    let cases = [
        ("", ParseError::NotFacts { first: String::new() }),
        ("sh: 1: not found\n", ParseError::NotFacts { first: "sh: 1: not found".into() }),
        ("provision-facts 2\nend\n", ParseError::Format { found: "provision-facts 2".into() }),
        ("provision-facts 1\n", ParseError::Truncated { last: "provision-facts 1".into() }),
        ("provision-facts 1\nhostname\ta", ParseError::Truncated { last: "hostname�a".into() }),
        ("provision-facts 1\nhostname\ta\nen", ParseError::Truncated { last: "en".into() }),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_bad_value_is_named_with_its_line_and_key() {
    let cases = [
        ("memory\tmuch", "line 3 of the probe, `memory`: a whole number was expected, but it is `much`"),
        ("memory", "line 3 of the probe, `memory`: a whole number was expected, but it is ``"),
        ("memory\t-1", "line 3 of the probe, `memory`: a whole number was expected, but it is `-1`"),
        (
            "systemd\t\u{1b}[1m",
            "line 3 of the probe, `systemd`: `yes` or `no` was expected, but it is `�[1m`",
        ),
        ("clock\tnoon", "line 3 of the probe, `clock`: a time in seconds was expected, but it is `noon`"),
        ("ssh-port\t65536", "line 3 of the probe, `ssh-port`: a port was expected, but it is `65536`"),
        (
            "identity\tx\tgod",
            "line 3 of the probe, `identity`: `root` or `sudo` was expected, but it is `god`",
        ),
        ("package\tx\t1", "line 3 of the probe, `package`: `yes` or `no` was expected, but it is ``"),
        (
            "file\tx\t999",
            "line 3 of the probe, `file`: permission bits in octal were expected, but it is `999`",
        ),
        (
            "file\tx\t17777",
            "line 3 of the probe, `file`: permission bits in octal were expected, but it is `17777`",
        ),
        (
            "file\tx\t644\to\t1\tregular\tzz",
            "line 3 of the probe, `file`: a SHA-256 was expected, but it is `zz`",
        ),
        ("sshd-port\tssh", "line 3 of the probe, `sshd-port`: a port was expected, but it is `ssh`"),
        (
            "rule\t5\tfilter\t:INPUT DROP",
            "line 3 of the probe, `rule`: `4` or `6` was expected, but it is `5`",
        ),
        ("content\tx\t%", "line 3 of the probe, `content`: base64 was expected, but it is `%`"),
        (
            "reach\ta:1\tmaybe",
            "line 3 of the probe, `reach`: `reached`, `no-name` or `no-connection` was expected, but it is `maybe`",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(parse(answer(&format!("hostname\tx\n{line}"))).unwrap_err().to_string(), message);
    }
    let large = format!("content\tx\t{}", "A".repeat(87_388));
    assert!(parse(answer(&large)).unwrap_err().to_string().contains("at most 64 KiB"));
}

#[test]
fn a_newer_probe_may_say_more() {
    let parsed = parse(answer("weather\tfine\nhostname\ta\tmore\nweather\train")).unwrap();
    assert_eq!(parsed.unknown, ["weather"]);
    assert_eq!(parsed.facts.system.hostname, "a");
}

#[test]
fn questions_are_lines() {
    let lines = [
        (Question::Package("docker-ce".into()), "package\tdocker-ce"),
        (Question::File { path: "/a b".into(), unless: None }, "file\t/a b\t-"),
        (Question::File { path: "/a".into(), unless: Some("00ff".into()) }, "file\t/a\t00ff"),
        (Question::SecretFile("/s".into()), "secret-file\t/s"),
        (Question::SentFile { path: "/a".into(), unless: "00ff".into() }, "sent-file\t/a\t00ff"),
        (Question::Record { path: "/l".into(), unless: None }, "record\t/l\t-"),
        (
            Question::Bundle {
                state: "/state".into(),
                digest: "00ff".into(),
                folder: "/srv/x".into(),
                otherwise: Questions::new(),
            },
            "bundle\t/state\t00ff\t/srv/x",
        ),
        (Question::Group("docker".into()), "group\tdocker"),
        (Question::User("deploy".into()), "user\tdeploy"),
        (Question::Unit("docker.service".into()), "unit\tdocker.service"),
        (Question::Disk("/var/lib".into()), "disk\t/var/lib"),
        (Question::AptSource("download.docker.com".into()), "apt-source\tdownload.docker.com"),
        (Question::Reach("example.com:443".into()), "reach\texample.com:443"),
        (Question::Docker, "docker"),
        (Question::Project("demo".into()), "project\tdemo"),
        (Question::Image("postgres:17".into()), "image\tpostgres:17"),
        (Question::Network("proxy".into()), "network\tproxy"),
        (Question::Published, "published"),
        (Question::Firewall, "firewall"),
        (Question::Bridge, "bridge"),
    ];
    for (question, line) in lines {
        assert_eq!(question.line().as_deref(), Some(line));
    }
    for hostile in ["a\tb", "a\nuser\troot", "a\r", "a\0", "\u{1b}[1m", "a\u{202e}b"] {
        assert_eq!(Question::User(hostile.into()).line(), None);
        assert_eq!(Question::File { path: "/x".into(), unless: Some(hostile.into()) }.line(), None);
    }
}

#[test]
fn the_program_ends_in_its_questions() {
    let questions =
        Questions::from([Question::Docker, Question::User("a\nb".into()), Question::Group("c".into())]);
    let program = String::from_utf8(probe(&questions)).unwrap();
    assert!(program.ends_with("\nmain\nexit 0\n__QUESTIONS__\ngroup\tc\ndocker\n"), "{program}");
    assert!(program.starts_with("LC_ALL=C\n"), "comments stay at home");
}

#[test]
fn a_bundle_is_known_by_its_digest() {
    let digest = "a".repeat(64);
    let text = format!(
        "provision-facts 1\nfile\t/l\t600\troot:root\t9\tregular\t{digest}\t\t0:0\nrecord\t/l\tone two\n\
         record\t/l\tthree\nrecord\t/none\tx\nbundle\t/srv/x\t{digest}\ndiffers\t/srv/x\t/srv/x/a b\n\
         differs\t/srv/other\t/srv/other/a\nbundle\t/srv/none\tnone\nend\n"
    );
    let facts = parse(&text).expect("facts").facts;
    assert_eq!(facts.content("/l"), Some(b"one two\nthree\n".as_slice()));
    let known = facts.bundle("/srv/x", &digest).expect("it is known");
    assert_eq!(known.differing.iter().collect::<Vec<_>>(), ["/srv/x/a b"]);
    assert_eq!(facts.bundle("/srv/x", &"b".repeat(64)), None);
    assert_eq!(facts.bundle("/srv/other", &digest), None);
    assert_eq!(facts.bundle("/srv/none", &digest), Some(&KnownBundle::default()));
    let error = parse("provision-facts 1\nbundle\t/srv/x\tyes\nend\n").expect_err("no digest");
    assert!(error.to_string().contains("a SHA-256 or `none` was expected"), "{error}");
}
