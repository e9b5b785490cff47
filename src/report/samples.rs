//! Plans and events for the tests of the views.

use proptest::prelude::*;

use super::*;
use crate::exposure::{Answer, Exposure, PortState, Row, Tried, Verdict};
use crate::plan::{Action, Change, FileChange, Finding, Level, Plan, PlannedStep, Risk};
use crate::stack::compose::PortRange;

/// A change without files.
pub(super) fn change(id: &str, title: &str, reason: &str, risks: Vec<Risk>) -> Change {
    Change {
        id: id.into(),
        title: title.into(),
        reason: reason.into(),
        risks,
        files: Vec::new(),
        undo: None,
        action: Action::new("sample", "sample"),
    }
}

/// A file that is written (or removed, without content).
pub(super) fn file(path: &str, before: Option<&str>, after: Option<&str>) -> FileChange {
    FileChange {
        path: path.into(),
        mode: 0o644,
        owner: "root:root".into(),
        sha256: after.map(|_| "00".into()),
        before: before.map(Into::into),
        content: after.map(Into::into),
        sensitive: false,
        exists: before.is_some(),
        recorded: None,
    }
}

/// A step with nothing to say but its state and changes.
pub(super) fn step(step: &'static str, state: &str, changes: Vec<Change>) -> PlannedStep {
    PlannedStep {
        step,
        state: state.into(),
        changes,
        warnings: Vec::new(),
        withheld: Vec::new(),
        lasting: Vec::new(),
        findings: Vec::new(),
    }
}

fn plan(steps: Vec<PlannedStep>) -> Plan {
    Plan {
        host: "web1".into(),
        playbook: "prefect".into(),
        stack: "prefect".into(),
        steps,
        fingerprint: "4f1c9d20aa37".into(),
    }
}

/// A finding of each level.
pub(super) fn findings() -> Vec<Finding> {
    let finding = |level, topic: &str, text: &str, remedy: &str| Finding {
        level,
        topic: topic.into(),
        text: text.into(),
        remedy: remedy.into(),
    };
    vec![
        finding(Level::Fine, "distribution", "Ubuntu 24.04.2 LTS (noble) on amd64", ""),
        finding(
            Level::Soft,
            "memory",
            "1.9 GB, and the stack's services reserve 2.4 GB together, so the kernel may kill one of them \
             when all are busy at once",
            "add swap, or take a larger machine",
        ),
        finding(
            Level::Forceable,
            "disk",
            "6.1 GB free on /var/lib/docker; 8.0 GB are needed",
            "free some space",
        ),
        finding(Level::Hard, "init", "systemd is not running", "provision needs a host with systemd"),
    ]
}

/// The Docker step of a bare host.
fn docker() -> PlannedStep {
    let mut engine = change(
        "docker/engine",
        "install docker-ce 28.3.2 and 4 more packages",
        "none of them is installed",
        vec![Risk::Downloads { bytes: Some(112_000_000) }],
    );
    engine.undo = Some("apt-get purge docker-ce docker-ce-cli containerd.io".into());
    let mut source = change(
        "docker/source",
        "add Docker's package source",
        "apt does not know download.docker.com",
        vec![],
    );
    let sources = "Types: deb\nURIs: https://download.docker.com/linux/ubuntu\nSuites: noble\n";
    source.files = vec![
        file("/etc/apt/sources.list.d/docker.sources", None, Some(sources)),
        file(
            "/etc/apt/keyrings/docker.asc",
            None,
            Some(&"mQINBFit2ioBEADhWpZ8/wvZ6hUTiXOwQHXMAlaFHcPH9hAtr4F1\n".repeat(20)),
        ),
    ];
    let mut settings = change(
        "docker/settings",
        "keep containers running while Docker restarts",
        "/etc/docker/daemon.json has no live-restore",
        vec![
            Risk::RestartsDocker { live_restore: false },
            Risk::ReplacesEdited { path: "/etc/docker/daemon.json".into() },
            Risk::ReplacesForeign { path: "/srv/shop/notes.conf".into() },
        ],
    );
    let before = "{\n  \"log-driver\": \"json-file\",\n  \"debug\": true\n}\n";
    let after = "{\n  \"log-driver\": \"json-file\",\n  \"live-restore\": true\n}\n";
    settings.files = vec![file("/etc/docker/daemon.json", Some(before), Some(after))];
    step("docker", "", vec![source, engine, settings])
}

/// A bare host: nearly everything is to be done.
pub(crate) fn bare() -> Plan {
    let mut machine =
        step("machine", "Ubuntu 24.04.2 LTS (noble), amd64, 2 processors, 1.9 GB of memory", vec![]);
    machine.findings = findings().drain(..2).collect();
    let member = change(
        "user/member:deploy",
        "add deploy to the group docker",
        "deploy is in no group but its own",
        vec![Risk::GivesRoot { user: "deploy".into() }],
    );
    let mut environment =
        change("stack/environment", "write the stack's environment", "there is none yet", vec![]);
    let mut secret = file("/opt/prefect/.env", None, Some("POSTGRES_PASSWORD=hunter2\n"));
    secret.mode = 0o600;
    secret.sensitive = true;
    environment.files = vec![secret];
    let up = change(
        "stack/up",
        "start server, worker, postgres and redis",
        "no container of prefect is running",
        vec![
            Risk::Downloads { bytes: Some(1_210_000_000) },
            Risk::OpensPort { port: "4200/tcp".into(), service: "server".into() },
        ],
    );
    let user = change("user/user:deploy", "add the user deploy", "there is no such user", vec![]);
    let mut stack = step("stack", "", vec![environment, up]);
    stack.warnings = vec!["the server has no password: anyone who reaches port 4200 can start flows".into()];
    plan(vec![
        machine,
        step("packages", "curl, ca-certificates, jq", vec![]),
        docker(),
        step("user", "", vec![user, member]),
        step("time", "synchronised, UTC", vec![]),
        stack,
    ])
}

/// A host with nothing to change.
pub(crate) fn converged() -> Plan {
    plan(vec![
        step("machine", "Debian GNU/Linux 13 (trixie), arm64, 4 processors, 8.2 GB of memory", vec![]),
        step("docker", "Engine 28.3.2, Compose 2.38.2", vec![]),
        step("user", "deploy, in the group docker", vec![]),
        step("stack", "prefect, 4 services, all healthy", vec![]),
    ])
}

/// A host from which things are removed.
pub(crate) fn removal() -> Plan {
    let old = vec!["docker.io".to_owned(), "podman-docker".to_owned()];
    let packages = change(
        "docker/conflicts",
        "remove packages that conflict with Docker's own",
        "docker.io 24.0.7 is installed",
        vec![
            Risk::Removes { what: old },
            Risk::InterruptsService { services: vec!["web".into(), "worker".into()] },
        ],
    );
    let mut source =
        change("docker/old-source", "remove the old package source", "it has no signature", vec![]);
    source.files = vec![file("/etc/apt/sources.list.d/old.list", Some("deb x\n"), None)];
    source.undo = Some("restore /var/lib/provision/runs/ID/kept/old.list".into());
    plan(vec![step("docker", "", vec![packages, source])])
}

/// Texts that would like to be more than a text.
pub(super) fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("\n+ install nothing".to_owned()),
        Just("\u{1b}[2J\u{1b}[H".to_owned()),
        Just("\u{202e}gnp.exe\u{2066}\r".to_owned()),
        "[a-z日\u{fe0f}\n\u{1b}`\\[\\]<>| -]{0,300}",
        "[`@#a0 ]{0,40}",
        Just("@ann <!-- `` --> | [x](http://y) ![i](z) </summary></details> &#64;ann".to_owned()),
        Just("1. a\r\n\r\n# b ```\n~~~ \\` @org/team deadbeef0".to_owned()),
    ]
}

/// A plan in which everything that may come from elsewhere is this text.
pub(super) fn hostile_plan(text: &str) -> Plan {
    let mut plan = bare();
    plan.host = text.into();
    plan.playbook = text.into();
    plan.fingerprint = text.into();
    for step in &mut plan.steps {
        step.state = text.into();
        step.warnings = vec![text.into()];
        for finding in &mut step.findings {
            (finding.topic, finding.text, finding.remedy) = (text.into(), text.into(), text.into());
        }
        for change in &mut step.changes {
            (change.title, change.reason, change.undo) = (text.into(), text.into(), Some(text.into()));
            for file in &mut change.files {
                (file.path, file.owner) = (text.into(), text.into());
            }
            change.risks = vec![
                Risk::InterruptsService { services: vec![text.into()] },
                Risk::OpensPort { port: text.into(), service: text.into() },
                Risk::GivesRoot { user: text.into() },
                Risk::Removes { what: vec![text.into()] },
                Risk::ReplacesEdited { path: text.into() },
                Risk::ReplacesForeign { path: text.into() },
            ];
        }
    }
    plan
}

/// A summary of a run.
pub(super) fn summary() -> Summary {
    let address = |service: &str, address: &str, reachable| Address {
        service: service.into(),
        address: address.into(),
        reachable,
        closed: service == "redis",
    };
    Summary {
        run: Some("20250704-093000-k3f9".into()),
        applied: 7,
        already_so: 1,
        milliseconds: 125_300,
        addresses: vec![
            address("server", "http://203.0.113.5:4200", Some(true)),
            address("dashboard", "http://203.0.113.5:8080", Some(false)),
            address("redis", "127.0.0.1:6379", None),
        ],
        next: vec!["provision logs web1".into()],
    }
}

/// What a host exposes: a row of each kind.
pub(super) fn exposure() -> Exposure {
    use Answer::{NoAnswer, Reachable, Refused};
    let row = |port: u16, owner: &str, by: &str, (ipv4, ipv6), verdict| Row {
        ports: PortRange { first: port, last: port },
        protocol: "tcp".into(),
        owners: Some(owner.to_owned()).into_iter().filter(|owner| !owner.is_empty()).collect(),
        loopback: false,
        declared: Some(by.to_owned()).into_iter().filter(|by| !by.is_empty()).collect(),
        from: Vec::new(),
        ipv4: Some(ipv4),
        ipv6: Some(ipv6),
        verdict,
    };
    let mut rows = vec![
        row(9999, "nc", "", (Reachable, Refused), Verdict::Undeclared),
        row(5432, "db (three)", "allow", (Reachable, Reachable), Verdict::Undeclared),
        row(8080, "web (three)", "allow", (NoAnswer, NoAnswer), Verdict::Blocked),
        row(443, "", "allow", (Refused, Refused), Verdict::NothingListens),
        row(22, "sshd", "ssh", (Reachable, Reachable), Verdict::AsDeclared),
        row(8000, "api (three)", "allow", (Reachable, Reachable), Verdict::AsDeclared),
        row(8001, "api (three)", "allow", (Reachable, Reachable), Verdict::AsDeclared),
        row(9100, "node_exporter", "", (NoAnswer, NoAnswer), Verdict::Closed),
        row(6379, "redis", "", (Refused, Refused), Verdict::Closed),
        row(51820, "", "allow", (Refused, Refused), Verdict::NotTried),
    ];
    rows[1].from = vec!["10.0.0.0/8".into()];
    rows[8].loopback = true;
    rows[9].protocol = "udp".into();
    (rows[9].ipv4, rows[9].ipv6) = (None, None);
    let tried = |address: [u16; 8]| Tried { address: Some(address.into()), state: PortState::Answers };
    Exposure {
        ipv4: Tried { address: Some([203, 0, 113, 5].into()), state: PortState::Answers },
        ipv6: tried([0x2001, 0xdb8, 0, 0, 0, 0, 0, 5]),
        rows,
        others: 51,
    }
}

/// A failure in a change.
pub(super) fn failure() -> Failure {
    Failure {
        what: "docker-ce could not be installed".into(),
        change: Some("docker/engine".into()),
        output: vec![
            "Err:1 https://download.docker.com/linux/ubuntu noble InRelease".into(),
            "E: Unable to locate package docker-ce".into(),
        ],
        hints: vec![
            "for details, use 'provision logs web1 --run 20250704-093000-k3f9'".into(),
            "go on behind the failed change with 'provision up web1'".into(),
        ],
        code: 4,
    }
}

/// Every kind of event, in the order of a rather eventful run.
pub(super) fn every_event() -> Vec<Event> {
    let run = "20250704-093000-k3f9".to_owned();
    let started = |change: &str, title: &str, index| Event::ChangeStarted {
        change: change.into(),
        title: title.into(),
        index,
        total: 12,
    };
    let ended = |change: &str, outcome, milliseconds| Event::ChangeEnded {
        change: change.into(),
        outcome,
        milliseconds,
    };
    let mut events = vec![
        Event::Connecting,
        Event::NewHostKey { name: "web1".into(), fingerprint: "SHA256:uNiVztksCsDhcc0u9e8 (ED25519)".into() },
        Event::Probing,
        Event::Probed { milliseconds: 820, system: "Ubuntu 24.04.2 LTS (noble)".into() },
        Event::CheckingImages { count: 4 },
    ];
    events.extend(findings().into_iter().map(Event::Finding));
    events.extend([
        Event::Resuming {
            run: "20250703-180000-a1b2".into(),
            outcome: RunOutcome::Failed,
            change: Some("docker/engine".into()),
            stack: None,
        },
        Event::Resuming {
            run: "20250703-180000-a1b2".into(),
            outcome: RunOutcome::Failed,
            change: Some("stack/up".into()),
            stack: Some("blog".into()),
        },
        Event::Planned { plan: Box::new(removal()) },
        Event::RunStarted { run: run.clone(), changes: 12 },
        Event::RunAttached { run: run.clone(), holder: "ada from laptop".into() },
        started("docker/source", "add Docker's package source", 1),
        ended("docker/source", ChangeOutcome::AlreadySo, 40),
        started("docker/engine", "install docker-ce 28.3.2 and 4 more packages", 2),
        Event::Output {
            change: "docker/engine".into(),
            kind: LineKind::Output,
            line: "Setting up containerd.io (1.7.27-1) ...".into(),
        },
        Event::Output {
            change: "docker/engine".into(),
            kind: LineKind::Notice,
            line: "apt is locked by unattended-upgr; waiting for it, up to 300 seconds".into(),
        },
        Event::ConnectionLost { reason: "Connection reset by peer".into(), attempt: 1 },
        Event::ConnectionLost { reason: "No route to host".into(), attempt: 2 },
        Event::Reattached,
        Event::Proving,
        Event::Proven,
        Event::SecretKept { secret: "db_password".into() },
        ended("docker/engine", ChangeOutcome::Applied, 21_400),
        started("stack/up", "start server, worker, postgres and redis", 12),
        Event::Detached { run: run.clone(), may_cancel: true },
        Event::Cancelling { run: run.clone() },
        ended("stack/up", ChangeOutcome::Failed, 3_100),
        Event::RunEnded { run, outcome: RunOutcome::Cancelled, milliseconds: 25_000 },
        Event::Knocking { ports: 63 },
        Event::Exposure(exposure()),
        Event::Warning { text: "the clock of web1 is 4 minutes behind".into() },
        Event::Summary(summary()),
        Event::Failed(failure()),
    ]);
    events
}
