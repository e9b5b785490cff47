//! The values of secrets are where they are needed, and nowhere else.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::lab::{Folder, Host, eventually};

/// Whoever has values in its environment, where `docker inspect` shows them: Prefect's own
/// programs read theirs from nowhere else. All other services read files.
const BY_ENVIRONMENT: [(&str, &[&str]); 7] = [
    // The password that it asks for, and its ways to Redis and to the database.
    ("prefect-api", &["postgres", "prefect", "redis"]),
    // The same settings: it is the same server's other half.
    ("prefect-background", &["postgres", "prefect", "redis"]),
    // The database, and nothing else.
    ("prefect-migrate", &["postgres"]),
    // What tells the login from others.
    ("nginx", &["prefect"]),
    // Those who ask the API.
    ("prefect-exporter", &["prefect"]),
    ("prefect-probe", &["prefect"]),
    ("worker", &["prefect"]),
];

/// One process a sample, which reads all argument lists.
const SAMPLER: &str = r"
while [ ! -e /run/sampled ]; do
    grep -asH . /proc/[0-9]*/cmdline
    echo >>/run/samples
    sleep 0.1
done | tr '\0' ' ' | awk '!seen[$0]++' >/run/arguments
";

/// Writes down each argument list on a host, its containers' included, from its start on:
/// ten times a second, each once.
pub struct Sampler;

impl Sampler {
    pub fn start(host: &Host) -> Self {
        host.inside(&format!(
            "cat >/run/sampler.sh <<'END'\n{SAMPLER}END\nsystemd-run --quiet --unit=sampler sh /run/sampler.sh"
        ));
        Self
    }

    /// All that was seen.
    pub fn end(self, host: &Host) -> String {
        host.inside("touch /run/sampled");
        eventually("the sampler has ended", || {
            host.inside("systemctl is-active sampler || true").trim() != "active"
        });
        let samples = host.inside("wc -l </run/samples");
        let seen = host.inside("cat /run/arguments");
        eprintln!(
            "prefect::from_nothing: {} argument lists in {} samples",
            seen.lines().count(),
            samples.trim()
        );
        // What is there for a moment only was seen as well.
        for program in ["apt-get", "docker compose", "/selftest.py"] {
            assert!(seen.contains(program), "the sampler has not seen {program}");
        }
        // Some milliseconds each: all of one kind may fall between two samples.
        let checks = ["redis-cli ping", "pg_isready"];
        assert!(checks.iter().any(|check| seen.contains(check)), "the sampler has seen none of {checks:?}");
        seen
    }
}

/// Looks for every secret's value in all that may be read by others.
pub fn nothing_leaks(host: &Host, folder: &Folder, said: &[&str], arguments: &str) {
    let names = folder.provision(&["secrets", &host.name]).stdout;
    let plan = folder.provision(&["plan", "--playbook", "prefect", "--json", &host.name]).stdout;
    let places = [
        (
            "a journal or a plan on the host",
            host.inside("cat /var/lib/provision/runs/*/journal /var/lib/provision/runs/*/plan.json"),
        ),
        ("the bundle", host.inside("cd /srv/prefect && find . -type f -exec cat {} +")),
        ("the arguments of a process", host.inside("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")),
        ("the arguments of a process during the run", arguments.to_owned()),
        (
            "the containers' own logs",
            host.inside("for each in $(docker ps -aq); do docker logs $each 2>&1; done"),
        ),
        ("an image", host.inside("docker image inspect $(docker image ls -q)")),
        ("the system's journal", host.inside("journalctl --no-pager -o cat")),
        ("what was printed", said.concat()),
        ("a plan", plan),
    ];
    let inspected = inspected(host);
    let mut shown: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for name in names.lines().filter_map(|line| line.split_whitespace().nth(1)) {
        let value = folder.provision(&["secrets", &host.name, "show", name]).stdout.trim().to_owned();
        assert!(value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {value}");
        for (place, text) in &places {
            assert!(!text.contains(&value), "{name} stands in {place}");
        }
        for (service, text) in &inspected {
            if text.contains(&value) {
                shown.entry(service).or_default().push(name.to_owned());
            }
        }
        count += 1;
    }
    assert!(count >= 6, "{names}");
    shown.values_mut().for_each(|names| names.sort());
    let expected =
        BY_ENVIRONMENT.map(|(service, names)| (service, names.iter().map(ToString::to_string).collect()));
    assert_eq!(shown, BTreeMap::from(expected), "what `docker inspect` shows of each service");
}

/// What `docker inspect` says of each service's containers.
fn inspected(host: &Host) -> BTreeMap<String, String> {
    let said =
        host.inside("docker inspect $(docker ps -aq --filter label=com.docker.compose.project=prefect)");
    let mut inspected: BTreeMap<String, String> = BTreeMap::new();
    let containers: Vec<Value> = serde_json::from_str(&said).expect("JSON");
    for container in containers {
        let service =
            container["Config"]["Labels"]["com.docker.compose.service"].as_str().expect("a service");
        inspected.entry(service.to_owned()).or_default().push_str(&container.to_string());
    }
    assert!(inspected.len() > 15, "{:?}", inspected.keys());
    inspected
}
