//! The stack that ships, on a bare host, with one command and no editing.

mod postgres;

use std::io::{Read, Write};

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Folder, Host, eventually};
use super::resilience::signal;

const STORIES: &[Story] = &[("prefect::from_nothing", from_nothing)];

pub fn stories() -> Vec<Story> {
    [STORIES, postgres::STORIES].concat()
}

/// What the lab has no image for stays off, and is said so.
const SETTINGS: &str = "
[steps.stack.env]
COMPOSE_PROFILES = \"admin,monitoring,backup,workers\"
";

/// A bare host to a stack that has proven itself; again nothing to change; its secrets are the
/// host's alone; another number of replicas is a plan like any other.
fn from_nothing() -> Result<(), Failed> {
    eprintln!("prefect::from_nothing: without Grafana, of which the lab has no image");
    let host = Host::make("debian13");
    let folder = Folder::empty();
    folder.settings(SETTINGS);
    let up = |more: &[&str]| {
        folder.provision(&[&["up", "--yes", "--playbook", "prefect", &host.name], more].concat())
    };
    let did = up(&["--json"]);
    did.expect(0);
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
    up(&[]).expect(0).said(&["nothing to change"]);

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
    eventually("Prometheus' page is here", 30, || {
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

    nothing_leaks(&host, &folder, &[&did.stdout, &did.stderr]);

    folder.settings(&format!("{SETTINGS}PREFECT_API_REPLICAS = 2\n"));
    let did = up(&[]);
    did.expect(0).said(&["send 1 file to /srv/prefect", "prove that prefect works"]);
    let replicas = host.inside("docker ps -q --filter label=com.docker.compose.service=prefect-api | wc -l");
    assert_eq!(replicas.trim(), "2");
    Ok(())
}

/// The values of secrets are where they are needed, and nowhere else.
fn nothing_leaks(host: &Host, folder: &Folder, said: &[&str]) {
    let names = folder.provision(&["secrets", &host.name]).stdout;
    let plan = folder.provision(&["plan", "--playbook", "prefect", "--json", &host.name]).stdout;
    let places = [
        (
            "a journal or a plan on the host",
            host.inside("cat /var/lib/provision/runs/*/journal /var/lib/provision/runs/*/plan.json"),
        ),
        ("the bundle", host.inside("cd /srv/prefect && find . -type f -exec cat {} +")),
        ("the arguments of a process", host.inside("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")),
        (
            "the containers' own logs",
            host.inside("for each in $(docker ps -aq); do docker logs $each 2>&1; done"),
        ),
        (
            "a container that does not need it",
            host.inside(
                "docker inspect $(docker ps -aq --filter label=com.docker.compose.project=prefect) \
                 $(docker image ls -q) | grep -v PREFECT_",
            ),
        ),
        ("what was printed", said.concat()),
        ("a plan", plan),
    ];
    let mut count = 0;
    for name in names.lines().filter_map(|line| line.split_whitespace().nth(1)) {
        let value = folder.provision(&["secrets", &host.name, "show", name]).stdout.trim().to_owned();
        assert!(value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {value}");
        for (place, text) in &places {
            assert!(!text.contains(&value), "{name} stands in {place}");
        }
        count += 1;
    }
    assert!(count >= 6, "{names}");
}
