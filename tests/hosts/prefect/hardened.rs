//! What the stack withholds: from clients without the login, from its own containers, from flows.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use serde_json::Value;

use super::password;
use crate::lab::{Folder, Host};

/// Their images write into folders of their own.
const WRITABLE: [&str; 2] = ["pgadmin", "redis-page"];

/// Where administrators and the stack's own programs go, by the ports in the containers.
const INNER: [(&str, u16); 8] = [
    ("pgadmin", 8080),
    ("redis-page", 8081),
    ("prometheus", 9090),
    ("postgres", 5432),
    ("redis", 6379),
    ("prefect-api", 4200),
    ("node-exporter", 9100),
    ("backup", 8080),
];

/// Tries the addresses in its argument, each by name and by number.
const TRY: &str = "
import socket, sys, urllib.request
for each in sys.argv[1].split(','):
    name, port = each.split(':')
    try:
        socket.create_connection((name, int(port)), 3).close()
        print('reached', each)
    except OSError:
        pass
print(urllib.request.urlopen('http://nginx:8080/api/health', timeout=10).status)
";

/// On a host with the stack, workers and pages included.
pub fn holds(host: &Host, folder: &Folder) -> Result<(), Failed> {
    let containers = host.inside("docker ps -q --filter label=com.docker.compose.project=prefect");
    let inspected = host.inside(&format!("docker inspect {}", containers.replace('\n', " ")));
    let containers: Vec<Value> = serde_json::from_str(&inspected)?;
    each_has_few_powers(&containers);
    flows_reach_the_api_alone(host, &containers);
    guesses_are_limited(host, &password(host, folder));
    Ok(())
}

fn service(container: &Value) -> &str {
    container["Config"]["Labels"]["com.docker.compose.service"].as_str().unwrap_or_default()
}

fn each_has_few_powers(containers: &[Value]) {
    assert!(containers.len() > 14, "{} containers", containers.len());
    for container in containers {
        let (name, limits) = (service(container), &container["HostConfig"]);
        assert_eq!(limits["CapDrop"].to_string(), "[\"ALL\"]", "{name}");
        assert!(limits["SecurityOpt"].to_string().contains("no-new-privileges"), "{name}");
        assert!(limits["PidsLimit"].as_i64().is_some_and(|most| most > 0), "{name}: {}", limits["PidsLimit"]);
        assert_eq!(limits["ReadonlyRootfs"] == true, !WRITABLE.contains(&name), "{name}");
        assert_eq!(limits["Privileged"], false, "{name}");
    }
}

/// From the container in which flows run.
fn flows_reach_the_api_alone(host: &Host, containers: &[Value]) {
    let mut addresses: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for container in containers {
        let networks = container["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        let found = networks.filter_map(|(_, network)| network["IPAddress"].as_str()).map(str::to_owned);
        addresses.entry(service(container)).or_default().extend(found);
    }
    let places = INNER.iter().flat_map(|(name, port)| {
        let numbers = addresses.get(name).unwrap_or_else(|| panic!("{name} has no address"));
        let all = std::iter::once((*name).to_owned()).chain(numbers.iter().cloned());
        all.map(move |place| format!("{place}:{port}"))
    });
    let places: Vec<_> = places.collect();
    assert!(places.len() > 2 * INNER.len(), "{places:?}");
    let ask = format!("docker exec prefect-worker-1 python -c \"{TRY}\" {}", places.join(","));
    assert_eq!(host.inside(&ask).trim(), "200", "what a flow reaches besides the API");
}

/// Wrong ones are refused after a while; the right one never is.
fn guesses_are_limited(host: &Host, password: &str) {
    let ask = |login: &str, path: &str, times: usize| -> BTreeMap<String, usize> {
        let said = host.inside(&format!(
            "for i in $(seq {times}); do
                 curl -s -o /dev/null -w '%{{http_code}}\\n' -u '{login}' http://127.0.0.1:4200{path}
             done"
        ));
        said.lines().fold(BTreeMap::new(), |mut seen, code| {
            *seen.entry(code.to_owned()).or_default() += 1;
            seen
        })
    };
    let right = format!("prefect:{password}");
    for path in ["/docs", "/redoc", "/openapi.json"] {
        let answer = host.ask(4200, path).unwrap_or_default();
        assert!(answer.contains(" 401 ") && answer.contains("Basic realm="), "{path}: {answer}");
        assert!(ask(&right, path, 1).contains_key("200"), "{path} with the login");
    }
    let seen = ask("prefect:guess", "/api/admin/version", 60);
    assert!(seen.contains_key("401") && seen.get("429").is_some_and(|count| *count > 10), "{seen:?}");
    assert!(ask("prefect:guess", "/docs", 3).contains_key("429"), "the same limit at the description");
    assert_eq!(ask(&right, "/api/admin/version", 200).get("200"), Some(&200), "the right one is not slowed");
    // From elsewhere, and without a login where none is wanted.
    for path in ["/", "/api/health", "/api/ready"] {
        assert!(host.ask(4200, path).is_ok_and(|answer| answer.contains(" 200 ")), "{path}");
    }
}
