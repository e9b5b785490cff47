//! The stack that ships, on a bare host, with one command and no editing.

mod backup;
mod client;
mod hardened;
mod leaks;
mod postgres;
mod queries;
mod recovery;
mod rolling;
mod secrets;
mod small;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use super::Story;
use super::lab::{self, Folder, Host, Layer, PREFECT_SETTINGS, eventually};
use super::resilience::signal;

const STORIES: &[Story] = &[
    ("prefect::from_nothing", from_nothing),
    ("prefect::backup", || backed_up(&[])),
    ("prefect::backup_at_each_moment", || backed_up(&backup::MOMENTS)),
    ("prefect::secrets_each", || {
        on_a_stack(WITHOUT_WORKERS, |host, folder| secrets::rotates(host, folder, &secrets::ALL))
    }),
];

pub fn stories() -> Vec<Story> {
    // What makes the layers comes first, and what begins from the stack later: nobody is to wait for
    // a layer that somebody else is making.
    [&STORIES[..1], rolling::STORIES, postgres::STORIES, small::STORIES, &STORIES[1..], recovery::STORIES]
        .concat()
}

/// What has to do with the database: each restore starts all of it again.
const DATABASE: &str = "
[steps.docker.daemon]
features = { containerd-snapshotter = true }

[steps.stack.env]
COMPOSE_PROFILES = \"backup\"
PREFECT_API_REPLICAS = 1
";

/// What rotated secrets are looked at with: the database's exporter and its backup.
const FEWER: &str = "
[steps.docker.daemon]
features = { containerd-snapshotter = true }

[steps.stack.env]
COMPOSE_PROFILES = \"monitoring,backup\"
PREFECT_API_REPLICAS = 2
";

const WITHOUT_WORKERS: &str = "
[steps.docker.daemon]
features = { containerd-snapshotter = true }

[steps.stack.env]
COMPOSE_PROFILES = \"admin,monitoring,backup\"
REDIS_PAGE_IMAGE = \"rediscommander/redis-commander:0.9.0\"
PREFECT_API_REPLICAS = 2
";

/// Runs a story on a host that has the stack, with these settings: one of its own, or the one that
/// PROVISION_PREFECT_HOST names, which stays.
fn on_a_stack(settings: &str, story: fn(&Host, &Folder) -> Result<(), Failed>) -> Result<(), Failed> {
    let folder = Folder::empty();
    folder.settings(PREFECT_SETTINGS);
    let up = |host: &Host, more: &[&str]| {
        folder.provision(&[&["up", "--playbook", "prefect", &host.name], more].concat())
    };
    let host = match std::env::var("PROVISION_PREFECT_HOST") {
        Ok(told) => {
            let (name, address) = told.split_once('=').ok_or("PROVISION_PREFECT_HOST=NAME=ADDRESS")?;
            Host::of_others(name, address)
        }
        Err(_) => the_stack(&folder),
    };
    folder.settings(settings);
    up(&host, &["--yes"]).expect(0);
    story(&host, &folder)
}

/// A host that has just been switched on, and all of it is back.
fn the_stack(folder: &Folder) -> Host {
    let host = Host::on(Layer::Prefect);
    is_ready(&host);
    eventually("the stack is back", || {
        let did = folder.provision(&["up", "--playbook", "prefect", &host.name]);
        did.stderr.contains("nothing to change")
    });
    host
}

/// Backups of a stack that is started for them: less of it than the others begin from.
fn backed_up(moments: &[&str]) -> Result<(), Failed> {
    let host = Host::on(Layer::Images);
    let folder = Folder::empty();
    folder.settings(DATABASE);
    folder.provision(&["up", "--yes", "--playbook", "prefect", &host.name]).expect(0);
    backup::comes_back(&host, &folder, moments)
}

/// The first command of the README, on a host that has what it makes of a bare one.
fn tried(host: &Host) -> Result<(), Failed> {
    let output = Command::new(lab::script("../try")).arg(&host.name).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for text in ["nothing to change", "/api/health  200 OK", "Prefect Server", "ok      health and ready"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    Ok(())
}

/// Waits until the API reaches its database.
fn is_ready(host: &Host) {
    eventually("the API is ready", || {
        host.ask(4200, "/api/ready").is_ok_and(|answer| answer.contains(" 200 "))
    });
}

/// The page's and the API's password.
fn password(host: &Host, folder: &Folder) -> String {
    let shown = folder.provision(&["secrets", &host.name, "show", "prefect"]);
    shown.expect(0).stdout.trim().to_owned()
}

/// A bare host to a stack that has proven itself; again nothing to change; its secrets are the
/// host's alone; a client elsewhere works with it, and a browser shows that; another number of
/// replicas is a plan like any other; what dies comes back; two of its secrets get other values. Other
/// stories begin from what this one has made.
fn from_nothing() -> Result<(), Failed> {
    eprintln!("prefect::from_nothing: without Grafana, of which the lab has no image");
    let folder = Folder::empty();
    folder.settings(PREFECT_SETTINGS);
    let up = |host: &Host, more: &[&str]| {
        folder.provision(&[&["up", "--yes", "--playbook", "prefect", &host.name], more].concat())
    };
    let did = Layer::Prefect.made_by(|| {
        let host = Host::make("debian13");
        let sampler = leaks::Sampler::start(&host);
        let did = up(&host, &["--json"]);
        did.expect(0);
        let arguments = sampler.end(&host);
        up(&host, &[]).expect(0).said(&["nothing to change"]);
        leaks::nothing_leaks(&host, &folder, &[&did.stdout, &did.stderr], &arguments);
        (host, did)
    });
    let applied = did.ended("applied");
    assert_eq!(applied.last().map(String::as_str), Some("stack/proof"), "{applied:?}");
    let told: Vec<String> = did
        .events()
        .iter()
        .filter(|event| event["event"] == "output" && event["change"] == "stack/proof")
        .map(|event| event["line"].as_str().unwrap_or_default().to_owned())
        .collect();
    for proof in [
        "the API answers 401",
        "read back and deleted",
        "a websocket on /api/events/in",
        "Prometheus has all",
        "the backup",
    ] {
        assert!(told.iter().any(|line| line.starts_with("ok") && line.contains(proof)), "{proof}: {told:#?}");
    }
    assert!(!told.iter().any(|line| line.starts_with("FAIL")), "{told:#?}");

    // What a person needs next is said.
    let summary = did.events().into_iter().find(|event| event["event"] == "summary").expect("a summary");
    let (named, next) = (summary["host"].as_str().expect("a host"), summary["next"].to_string());
    let warned = did.events().iter().any(|event| {
        let text = event["text"].as_str().unwrap_or_default();
        event["event"] == "warning" && text.contains("nginx asks for a password at 4200/tcp without TLS")
    });
    assert!(warned, "a login without TLS");
    for line in [":4200/api", &format!("provision secrets {named} show prefect")] {
        assert!(next.contains(line), "{line}: {next}");
    }

    let host = the_stack(&folder);
    let engine = host.inside("docker info --format '{{.ServerVersion}} {{.Driver}}'");
    assert!(
        engine.starts_with("28.") && engine.ends_with(" overlayfs\n"),
        "containerd's image store: {engine}"
    );
    // From outside: the API is there, and wants to know who asks.
    let health = host.ask(4200, "/api/health")?;
    assert!(health.contains(" 200 ") && health.ends_with("true"), "{health}");
    let flows = host.ask(4200, "/api/work_pools/none")?;
    assert!(flows.contains(" 401 "), "{flows}");
    for port in [3000, 5432, 6379, 8081, 8888, 9090] {
        assert_eq!(host.reached(port), (false, false), "{port} is the host's own");
    }

    // Their way in is ssh.
    let port = 20_000 + (std::process::id() % 20_000) as u16;
    let mut open = folder.spawn(&["open", &host.name, "prometheus", "--port", &port.to_string()]);
    eventually("Prometheus' page is here", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
            let mut answer = String::new();
            let asked = stream.write_all(b"GET /-/healthy HTTP/1.0\r\nHost: x\r\n\r\n");
            asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.contains("Healthy")
        })
    });
    signal("INT", &open.id().to_string());
    assert_eq!(open.wait()?.code(), Some(0), "Ctrl-C closes it");
    let did = folder.provision(&["open", &host.name, "grafana"]);
    did.fails(2, &["no service `grafana` publishes a port", "`pgadmin`, `prometheus`"]);

    client::works(&host, &folder)?;
    queries::are_answered(&host)?;
    hardened::holds(&host, &folder)?;
    tried(&host)?;
    recovery::recovers(&host, &folder, &recovery::ESSENTIAL)?;

    // Fewer replicas, and less of the rest: another plan.
    folder.settings(FEWER);
    let did = up(&host, &[]);
    did.expect(0).said(&["send 1 file (", "removes the containers of", "prove that prefect works"]);
    let replicas = host.inside("docker ps -q --filter label=com.docker.compose.service=prefect-api | wc -l");
    assert_eq!(replicas.trim(), "2");
    secrets::rotates(&host, &folder, &secrets::ESSENTIAL)?;

    // `scripts/try` removes its host, and what it wrote down for it.
    let removed = Command::new(lab::script("../try")).args(["--remove", &host.name]).output()?;
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    Ok(())
}
