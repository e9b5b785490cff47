//! Plans from facts, without a host: tables and snapshots.

use semver::Version;

use super::*;
use crate::facts::{
    self, AptSource, Container, Docker as DockerFacts, Facts, File, Listening, Package, Reach, Unit,
};
use crate::plan::Risk;
use crate::report::{Verbosity, render_plan};
use crate::stack::bundle::{Bundle, Choice};
use crate::stack::compose::Project;
use crate::stack::images::Availability;

const BARE: &str = include_str!("../../tests/fixtures/facts/debian12-bare.txt");

/// A bare host as one was recorded, with a clock like ours and a network.
pub(in crate::steps) fn bare() -> Facts {
    let mut facts = facts::parse(BARE).expect("a recorded host").facts;
    facts.reach.clear();
    facts.apt.sources.clear();
    facts.system.clock = 0;
    facts.identity.user = "deploy".into();
    facts
}

/// The same with Docker from its own repository.
pub(in crate::steps) fn with_docker(engine: &str) -> Facts {
    let mut facts = bare();
    for name in
        ["docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin"]
    {
        install(&mut facts, name, &format!("5:{engine}-1~debian.12~bookworm"));
    }
    facts.docker = Some(DockerFacts {
        engine: engine.parse().ok(),
        compose: Some(Version::new(2, 38, 2)),
        ..DockerFacts::default()
    });
    let unit = Unit { load: "loaded".into(), active: "active".into(), enabled: "enabled".into() };
    facts.units.insert("docker.service".into(), unit);
    facts
}

pub(super) fn install(facts: &mut Facts, name: &str, version: &str) {
    facts.packages.insert(name.into(), Some(Package { version: version.into(), configured: true }));
}

pub(super) fn put(facts: &mut Facts, path: &str, text: &str) {
    let file = File {
        mode: 0o644,
        owner: "root:root".into(),
        ids: "0:0".into(),
        size: text.len() as u64,
        sha256: crate::digest::sha256(text.as_bytes()),
        kind: "regular".into(),
        target: None,
        holds_files: false,
        holds: Vec::new(),
        content: Some(text.as_bytes().to_vec()),
    };
    facts.files.insert(path.into(), Some(file));
}

pub(super) fn options(text: &str) -> Options {
    toml::from_str(text).expect(text)
}

fn model(facts: &Facts) -> Model {
    Model { facts: facts.clone(), ..Model::default() }
}

fn stack_input() -> StackInput {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stack");
    let project = Project::load(&folder, None).expect("the fixture is right");
    let bundle = Bundle::collect(&folder, &Choice { project: Some(&project), ..Choice::default() })
        .expect("the fixture can be read");
    StackInput { project, bundle, origin: "here".into() }
}

fn all(text: &str) -> Vec<Box<dyn Step>> {
    let options = options(text);
    vec![
        Box::new(Machine::new(options.machine, options.docker.data_root())),
        Box::new(Packages::new(options.packages)),
        Box::new(Docker::new(options.docker)),
        Box::new(User::new(options.user)),
        Box::new(Stack::new(options.stack, stack_input())),
    ]
}

fn shown(steps: &[Box<dyn Step>], mut model: Model) -> String {
    let plan = plan("web1", "compose", steps, &mut model).expect("it can be planned");
    render_plan(&plan, false, Verbosity::Normal)
}

fn ids(step: &dyn Step, facts: &Facts) -> Vec<String> {
    let planned = step.plan(&mut model(facts)).expect("it can be planned");
    planned.changes.into_iter().map(|change| change.id).collect()
}

fn found(bytes: u64) -> Availability {
    Availability::Found { digest: None, bytes: Some(bytes), layers: Vec::new(), login: false }
}

#[test]
fn everything_on_a_bare_host() {
    let mut model = model(&bare());
    for (image, bytes) in [("nginx:1.27", 40_000_000), ("redis:8", 4_000_000), ("busybox:1.36", 2_000_000)] {
        model.images.insert(image.into(), found(bytes));
    }
    insta::assert_snapshot!(shown(&all("packages.install = ['ca-certificates', 'curl']"), model));
}

/// A host on which the stack runs as it should.
fn settled() -> Facts {
    let input = stack_input();
    let mut facts = with_docker("28.3.2");
    for image in ["nginx:1.27", "redis:8", "busybox:1.36"] {
        facts.images.insert(image.into(), Some(facts::Image { id: "sha256:1".into(), digests: Vec::new() }));
    }
    // What a first plan leaves is what the second finds.
    let mut first = model(&facts);
    let steps = all("");
    plan("web1", "compose", &steps, &mut first).expect("it can be planned");
    let mut facts = first.facts;
    put(&mut facts, "/var/lib/provision/stacks/three/applied", &format!("{}\n", input.bundle.hash()));
    let manifest: String = input
        .bundle
        .files
        .iter()
        .map(|file| format!("{:o} {} {}\n", file.mode, file.sha256, file.path))
        .collect();
    put(&mut facts, "/var/lib/provision/stacks/three/manifest", &manifest);
    for (service, state, status) in [
        ("web", "running", "Up 2 days"),
        ("cache", "running", "Up 2 days (healthy)"),
        ("prepare", "exited", "Exited (0) 2 days ago"),
    ] {
        let (project, service) = ("three".into(), service.into());
        let (state, status) = (state.into(), status.into());
        facts.containers.push(Container { project, service, state, status, ..Container::default() });
    }
    facts.published.push(facts::Published {
        container: "three-web-1".into(),
        project: "three".into(),
        service: "web".into(),
        address: std::net::Ipv4Addr::UNSPECIFIED.into(),
        port: 8080,
        target: 80,
        protocol: "tcp".into(),
    });
    facts
}

#[test]
fn nothing_on_a_host_that_has_all() {
    let steps = all("");
    let mut facts = settled();
    insta::assert_snapshot!(shown(&steps, model(&facts)));

    // And what is no longer so is planned again.
    facts.containers.retain(|container| container.service != "cache");
    put(&mut facts, "/srv/three/compose.yaml", "edited by hand\n");
    insta::assert_snapshot!(shown(&steps, model(&facts)));
}

#[test]
fn other_secrets_are_a_start_and_a_proof() {
    let mut input = stack_input();
    let file = "/etc/provision/secrets/three/db";
    for service in &mut input.project.services {
        service.reads.extend(match service.name.as_str() {
            "cache" => Some(file.into()),
            "prepare" => Some("/etc/provision/secrets/three/once".into()),
            _ => None,
        });
    }
    let stack = Stack::new(options("stack.proof = 'prepare'").stack, input);
    let mut facts = settled();
    let hash = stack_input().bundle.hash();
    put(&mut facts, "/var/lib/provision/stacks/three/proven", &hash);
    assert_eq!(ids(&stack, &facts), Vec::<String>::new());
    let told = |facts: &Facts, files: &[&str]| {
        let secret_files = files.iter().map(|file| (*file).to_owned()).collect();
        let mut model = Model { secret_files, ..model(facts) };
        let changes = stack.plan(&mut model).expect("it can be planned").changes;
        let changes = changes.into_iter().map(|change| (change.id, change.reason, change.risks));
        changes.collect::<Vec<_>>()
    };
    let start = |services: &[&str]| {
        let services: Vec<_> = services.iter().map(|service| (*service).to_owned()).collect();
        let risks = if services.is_empty() { vec![] } else { vec![Risk::InterruptsService { services }] };
        vec![
            ("stack/up".to_owned(), "its secrets have changed".to_owned(), risks),
            ("stack/proof".to_owned(), "the stack is started".to_owned(), vec![]),
        ]
    };
    // What waits for one that reads it has to do without; what reads nothing of it has not.
    assert_eq!(told(&facts, &[file]), start(&["web", "cache"]));
    for other in ["once", "other"] {
        assert_eq!(told(&facts, &[&format!("/etc/provision/secrets/three/{other}")]), start(&[]));
    }
    // A run ended between the secrets and the start.
    put(&mut facts, "/var/lib/provision/stacks/three/applied", &format!("{hash}\nsecrets\n"));
    assert_eq!(told(&facts, &[]), start(&["web", "cache"]));
}

#[test]
fn docker_as_it_is_found() {
    let debian = |facts: &mut Facts, compose: Option<Version>| {
        install(facts, "docker.io", "26.1.5+dfsg1-9");
        let engine = Some(Version::new(26, 1, 5));
        facts.docker = Some(DockerFacts { engine, compose, ..DockerFacts::default() });
    };
    let good = with_docker("28.3.2");
    let mut distribution = bare();
    debian(&mut distribution, Some(Version::new(2, 26, 1)));
    let mut no_compose = bare();
    debian(&mut no_compose, None);
    let mut newer = no_compose.clone();
    newer.system.version = "13".into();
    let mut silent = with_docker("28.3.2");
    silent.docker = Some(DockerFacts {
        engine: None,
        error: Some("is the docker daemon running?".into()),
        ..silent.docker.unwrap_or_default()
    });
    let mut by_hand = bare();
    by_hand.docker = with_docker("28.3.2").docker;
    let mut old = with_docker("26.1.4");
    for plugin in ["docker-buildx-plugin", "docker-compose-plugin"] {
        old.packages.insert(plugin.into(), None);
    }
    old.docker = old.docker.map(|docker| DockerFacts { compose: None, ..docker });
    let mut old_with_source = old.clone();
    old_with_source.apt.sources =
        vec![AptSource { file: "/etc/apt/sources.list.d/docker.list".into(), ..AptSource::default() }];
    let mut doubled = bare();
    doubled.apt.sources =
        vec![AptSource { file: "/etc/apt/sources.list.d/docker.list".into(), ..AptSource::default() }];

    let fresh: &[&str] = &["docker/daemon", "docker/repository", "docker/engine"];
    let cases: [(&str, &Facts, &str, &[&str]); 17] = [
        ("bare", &bare(), "", fresh),
        ("docker.com's is good", &good, "", &[]),
        ("the version is good", &good, "version = '>=28'", &[]),
        ("the version is not", &good, "version = '~27.5'", &["docker/repository", "docker/engine"]),
        ("the distribution's is good", &distribution, "", &[]),
        (
            "the distribution has one version",
            &distribution,
            "version = '~27.5'",
            &["docker/repository", "docker/engine"],
        ),
        (
            "the other source is wanted",
            &distribution,
            "source = 'docker'",
            &["docker/repository", "docker/engine"],
        ),
        ("no Compose, and none in Debian 12", &no_compose, "", &["docker/repository", "docker/engine"]),
        ("no Compose, and one in Debian 13", &newer, "", &["docker/parts"]),
        ("an old Engine without plugins", &old, "", &["docker/repository", "docker/parts"]),
        ("its owner's source", &old_with_source, "", &["docker/parts"]),
        ("another version is wanted", &old, "version = '>=28'", &["docker/repository", "docker/engine"]),
        ("the daemon is silent", &silent, "", &["docker/service"]),
        ("neither source, but it works", &by_hand, "", &[]),
        ("a setting that is asked for", &good, "registry_mirrors = ['http://m:5000']", &["docker/daemon"]),
        ("held", &good, "hold = true", &["docker/hold"]),
        ("the repository twice", &doubled, "", fresh),
    ];
    for (name, facts, settings, expected) in cases {
        let step = Docker::new(options(&format!("[docker]\n{settings}")).docker);
        assert_eq!(ids(&step, facts), expected, "{name}");
    }
}

/// What is held is all that stays held: dependencies that come along are among it.
#[test]
fn held_once_is_held() {
    let mut facts = bare();
    facts.system.version = "13".into();
    let step = Docker::new(options("[docker]\nsource = 'distribution'\nhold = true").docker);
    let mut after = model(&facts);
    let planned = step.plan(&mut after).expect("it can be planned");
    assert_eq!(planned.changes.last().map(|change| change.id.as_str()), Some("docker/hold"));
    after.docker_planned = false;
    after.facts.docker = with_docker("26.1.5").docker;
    assert_eq!(ids(&step, &after.facts), Vec::<String>::new());
    assert!(after.facts.apt.held.iter().any(|name| name == "containerd"), "{:?}", after.facts.apt.held);
}

#[test]
fn daemon_json_is_merged() {
    let daemon = |present: Option<&str>, settings: &str| {
        let mut facts = with_docker("28.3.2");
        if let Some(present) = present {
            put(&mut facts, "/etc/docker/daemon.json", present);
        }
        let step = Docker::new(options(&format!("[docker]\n{settings}")).docker);
        step.plan(&mut model(&facts)).map(|planned| {
            let change = planned.changes.into_iter().next();
            change.map(|change| {
                let text = change.files[0].content.clone().expect("a content");
                let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                (value.to_string(), change.action.arguments["activate"].clone())
            })
        })
    };
    let mirror = "registry_mirrors = ['http://m:5000']";
    assert_eq!(
        daemon(None, mirror),
        Ok(Some((r#"{"registry-mirrors":["http://m:5000"]}"#.into(), "reload".into())))
    );
    assert_eq!(
        daemon(Some(r#"{"data-root":"/data","log-opts":{"tag":"x"}}"#), "daemon.log-opts.max-size = '5m'"),
        Ok(Some((
            r#"{"data-root":"/data","log-opts":{"tag":"x","max-size":"5m"}}"#.into(),
            "restart".into()
        )))
    );
    assert_eq!(daemon(Some(r#"{"registry-mirrors": ["http://m:5000"]}"#), mirror), Ok(None));
    assert_eq!(daemon(Some(" \n"), ""), Ok(None));
    let refused = daemon(Some("{"), "").expect_err("no JSON");
    assert!(refused.what.contains("no valid JSON"), "{refused:?}");
}

#[test]
fn machines_that_are_not_fit() {
    type Spoil = fn(&mut Facts);
    let cases: [(&str, Spoil); 8] = [
        ("distribution", |facts| facts.system.version = "10".into()),
        ("distribution", |facts| facts.system.id = "fedora".into()),
        ("architecture", |facts| facts.system.architecture = "riscv64".into()),
        ("systemd", |facts| facts.system.systemd = false),
        ("clock", |facts| facts.system.clock = 90_000),
        ("memory", |facts| facts.system.memory = 200_000_000),
        ("disk", |facts| facts.disks.values_mut().for_each(|disk| disk.available = 1_000_000)),
        ("network", |facts| facts.reach = [("m:443".into(), Reach::NoName)].into()),
    ];
    let step = Machine::new(MachineOptions::default(), None);
    for (topic, spoil) in cases {
        let mut facts = bare();
        spoil(&mut facts);
        let refusal = step.plan(&mut model(&facts)).expect_err(topic);
        let finding = refusal.findings.iter().find(|finding| finding.level >= crate::plan::Level::Forceable);
        let finding = finding.expect("a finding that stops");
        assert_eq!(finding.topic, topic);
        assert!(!finding.remedy.is_empty(), "{finding:?}");
    }
    for clock in [i64::MIN, i64::MAX] {
        let mut facts = bare();
        facts.system.clock = clock;
        assert!(step.plan(&mut model(&facts)).is_err(), "a clock of {clock}");
        assert!(step.plan(&mut Model { now: -clock.saturating_add(1), ..model(&facts) }).is_err());
    }
    let facts = Facts { reach: [("m:80".into(), Reach::NoConnection)].into(), ..bare() };
    let forced = step.plan(&mut Model { force: true, ..model(&facts) });
    assert!(forced.is_ok(), "--force goes on");
}

/// Where Docker keeps its data: by the settings, by the host's daemon.json, or where it does by itself.
#[test]
fn the_disk_is_looked_at_where_the_data_lies() {
    let disk = |available| facts::Disk { available, total: 1 << 40 };
    let mut facts = bare();
    facts.disks.insert("/var/lib/docker".into(), disk(1_000));
    facts.disks.insert("/mnt/big".into(), disk(1 << 39));
    let is_fit = |facts: &Facts, root: Option<&str>| {
        let machine = Machine::new(MachineOptions::default(), root.map(str::to_owned));
        let mut questions = crate::facts::Questions::new();
        machine.questions(&mut questions);
        let asked = crate::facts::Question::Disk(root.unwrap_or("/var/lib/docker").into());
        assert!(questions.contains(&asked), "{questions:?}");
        machine.plan(&mut model(facts)).is_ok()
    };
    assert!(!is_fit(&facts, None));
    assert!(is_fit(&facts, Some("/mnt/big")));
    facts.docker_root = Some("/mnt/big".into());
    assert!(is_fit(&facts, None));
    assert!(!is_fit(&facts, Some("/var/lib/docker")), "settings go before what stands there");
}

/// What apt cannot read stops all that it is wanted for, and nothing else.
#[test]
fn sources_that_cannot_be_read_stop_the_plan() {
    let plan = |mut facts: Facts, settings: &str| {
        facts.apt.malformed =
            vec![facts::SourceEntry { file: "/etc/apt/sources.list.d/x.list".into(), line: 3 }];
        let packages: Box<dyn Step> = Box::new(Packages::new(options(settings).packages));
        super::plan("web1", "own", &[packages], &mut model(&facts))
    };
    let mut facts = bare();
    facts.packages.insert("jq".into(), None);
    let refusal = plan(facts.clone(), "packages.install = ['jq']").expect_err("apt is needed");
    assert_eq!(
        (refusal.step, refusal.details),
        ("packages", vec!["/etc/apt/sources.list.d/x.list:3: apt cannot read it".to_owned()])
    );
    assert!(refusal.hints[0].contains("sed -n 3p /etc/apt/sources.list.d/x.list"));
    let at = |line| facts::SourceEntry { file: "/etc/apt/sources.list".into(), line };
    let conflict = facts::Conflict { option: "Trusted".into(), first: at(1), second: at(2) };
    facts.apt.conflicts.push(conflict);
    let refusal = plan(facts.clone(), "packages.install = ['jq']").expect_err("apt is needed");
    assert!(
        refusal.details[1]
            .starts_with("/etc/apt/sources.list:2: it has another `Trusted` than /etc/apt/sources.list:1")
    );
    install(&mut facts, "jq", "1.7");
    assert!(plan(facts, "packages.install = ['jq']").is_ok_and(|plan| plan.steps[0].changes.is_empty()));
}

#[test]
fn images_that_cannot_be_had_stop_the_plan() {
    let step = Stack::new(StackOptions::default(), stack_input());
    let mut model = model(&with_docker("28.3.2"));
    model.images.insert("nginx:1.27".into(), Availability::Missing);
    model
        .images
        .insert("redis:8".into(), Availability::WrongArchitecture { available: vec!["linux/arm64".into()] });
    model.images.insert("busybox:1.36".into(), Availability::Unreachable { reason: "timed out".into() });
    let refusal = step.plan(&mut model).expect_err("two cannot be had");
    assert_eq!(
        refusal.details,
        ["nginx:1.27: the registry does not have it", "redis:8 is not made for amd64, only for linux/arm64"]
    );
}

#[test]
fn ports_that_are_taken_stop_the_plan() {
    let step = Stack::new(StackOptions::default(), stack_input());
    let socket = |port, process: &str| Listening {
        protocol: "tcp".into(),
        address: "0.0.0.0".into(),
        port,
        process: process.into(),
    };
    let container = |service: &str| Container {
        project: "three".into(),
        service: service.into(),
        state: "running".into(),
        ..Container::default()
    };
    let cases = [
        (socket(8080, "apache2"), vec![], Some("8080/tcp of web is taken by apache2")),
        (socket(8080, "docker-proxy"), vec![], Some("8080/tcp of web is taken by another container")),
        (socket(80, "apache2"), vec![], None),
        (socket(8080, "docker-proxy"), vec![container("web")], None),
        // What was `web` under another name gives its port away.
        (socket(8080, "docker-proxy"), vec![container("page")], None),
        (socket(8080, "apache2"), vec![container("cache")], Some("8080/tcp of web is taken by apache2")),
    ];
    for (socket, containers, expected) in cases {
        let mut facts = Facts { listening: vec![socket.clone()], containers, ..with_docker("28.3.2") };
        put(&mut facts, "/var/lib/provision/stacks/three/manifest", "");
        let details = step.plan(&mut model(&facts)).map_err(|refusal| refusal.details);
        let expected = expected.map_or(Ok(()), |text: &str| Err(vec![text.to_owned()]));
        assert_eq!(details.map(|_| ()), expected, "{socket:?}");
        assert!(step.plan(&mut Model { force: true, ..model(&facts) }).is_ok(), "--force goes on");
    }

    // Who has it is known by name, also where this project has a container already.
    let published = |project: &str| facts::Published {
        container: "shop-front-1".into(),
        project: project.into(),
        service: "front".into(),
        address: "0.0.0.0".parse().expect("an address"),
        port: 8080,
        target: 80,
        protocol: "tcp".into(),
    };
    for (project, expected) in [
        ("shop", Some("8080/tcp of web is taken by the container shop-front-1 (project shop)")),
        ("", Some("8080/tcp of web is taken by the container shop-front-1")),
        ("three", None),
    ] {
        let mut facts = Facts {
            listening: vec![socket(8080, "docker-proxy")],
            containers: vec![container("cache")],
            published: vec![published(project)],
            ..with_docker("28.3.2")
        };
        put(&mut facts, "/var/lib/provision/stacks/three/manifest", "");
        let details = step.plan(&mut model(&facts)).map_err(|refusal| refusal.details.join(" "));
        assert_eq!(details.err().as_deref(), expected, "{project}");
    }
}

#[test]
fn dpkg_is_repaired_and_holders_are_named() {
    let mut facts = bare();
    facts.apt.half_configured = vec!["tzdata".into()];
    let step = Packages::new(PackagesOptions { install: vec!["curl".into()], ..PackagesOptions::default() });
    assert_eq!(ids(&step, &facts), ["packages/repair", "packages/install"]);
    facts.apt.busy = Some(facts::LockHolder { pid: 7, command: "unattended-upgr".into(), lock: "/x".into() });
    let planned = step.plan(&mut model(&facts)).expect("it can be planned");
    assert!(planned.warnings[0].contains("unattended-upgr (pid 7)"), "{:?}", planned.warnings);
}
