//! The small stacks: one server with its database, alone and with a worker that uses Docker.

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::is_ready;
use crate::Story;
use crate::lab::{Did, Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[("prefect::minimal", minimal), ("prefect::worker", worker)];

/// Asks the API on the host, by the password that lies there.
fn api(host: &Host, method: &str, path: &str, body: &Value) -> Value {
    let answer = host.inside(&format!(
        ". /etc/provision/secrets/prefect/client.env
        curl -fsS -u \"$PREFECT_API_AUTH_STRING\" -X {method} -H 'Content-Type: application/json' \
            -d '{body}' http://127.0.0.1:4200/api/{path}"
    ));
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
}

/// How often a flow of that name is there.
fn flows(host: &Host, name: &str) -> Value {
    api(host, "POST", "flows/count", &json!({"flows": {"name": {"any_": [name]}}}))
}

/// Services, and what their containers are at.
fn services(host: &Host) -> Vec<String> {
    let format = "{{.Label \"com.docker.compose.service\"}} {{.State}}";
    let told = host.inside(&format!(
        "docker ps -a --filter label=com.docker.compose.project=prefect --format '{format}' | sort"
    ));
    told.lines().map(str::to_owned).collect()
}

/// A bare host gets a server of two containers; a secret is changed, the host starts again; the
/// large stack takes over what is there.
fn minimal() -> Result<(), Failed> {
    let host = Host::on(Layer::Images);
    let folder = Folder::empty();
    let up = |playbook: &str| folder.provision(&["up", "--yes", "--playbook", playbook, &host.name]);
    let did = up("prefect-minimal");
    did.expect(0).said(&[
        "make the secrets postgres, prefect in",
        "start prefect and wait until it is healthy (prefect, postgres, postgres-prepare)",
        "✓ 4200/tcp",
    ]);
    let shown = folder.provision(&["show", &latest(&host, &folder)]).expect(0).stdout.clone();
    for proof in
        ["the page is there, at prefect\n", "the API answers 401", "put that event into the database"]
    {
        assert!(shown.contains(proof), "{proof}: {shown}");
    }
    up("prefect-minimal").expect(0).said(&["nothing to change"]);
    assert_eq!(services(&host), ["postgres running", "postgres-prepare exited", "prefect running"]);
    assert_eq!(host.reached(5432), (false, false), "the database is the stack's own");
    // A health check that Postgres takes for somebody it does not know is a line each time.
    let log = host.inside("docker logs --since 15s prefect-postgres-1 2>&1");
    assert!(!log.contains("FATAL"), "{log}");

    api(&host, "POST", "flows/", &json!({"name": "kept"}));
    let show = |name: &str| folder.provision(&["secrets", &host.name, "show", name]).expect(0).stdout.clone();
    let former = show("postgres");
    let rotate =
        ["secrets", &host.name, "rotate", "postgres", "--playbook", "prefect-minimal", "--yes", "--json"];
    let did = folder.provision(&rotate);
    did.expect(0);
    assert_eq!(did.ended("applied"), ["secrets/rotated", "stack/up", "stack/proof"]);
    let new = show("postgres");
    assert_ne!(former, new);
    assert!(lets_in(&host, new.trim()) && !lets_in(&host, former.trim()), "the new value, and it alone");

    host.lab("reboot");
    is_ready(&host);
    eventually("nothing is to be changed after a reboot", || {
        up("prefect-minimal").stderr.contains("nothing to change")
    });
    assert_eq!(flows(&host, "kept"), 1);

    let passwords = [show("prefect"), new];
    folder.settings("[steps.stack.env]\nCOMPOSE_PROFILES = \"\"\nPREFECT_API_REPLICAS = 1\n");
    up("prefect")
        .expect(0)
        .said(&["removes the containers of prefect", "prove that prefect works (selftest)"]);
    assert_eq!(flows(&host, "kept"), 1, "the large one has what the small one had");
    assert_eq!([show("prefect"), show("postgres")], passwords);
    assert!(!services(&host).iter().any(|each| each.starts_with("prefect ")), "the small server is gone");
    up("prefect").expect(0).said(&["nothing to change"]);
    Ok(())
}

/// The id of the newest run.
fn latest(host: &Host, folder: &Folder) -> String {
    let runs = folder.provision(&["runs", &host.name, "--json"]);
    let newest = &runs.expect(0).events()[0];
    newest["run"].as_str().map_or_else(|| panic!("a run: {newest}"), str::to_owned)
}

/// Whether a value is the password of Prefect's role, asked as its server asks.
fn lets_in(host: &Host, value: &str) -> bool {
    let asked = host.try_root(&format!(
        "PGPASSWORD={value} docker exec -e PGPASSWORD prefect-postgres-1 sh -c \
         'psql -h $(hostname -i) -U prefect -d prefect -Atc \"SELECT 1\"'"
    ));
    asked.status.success()
}

const FORMER: &str = "prefecthq/prefect:3.9.0-python3.12";
const PRESENT: &str = "prefecthq/prefect:3.9.1-python3.12";

/// A flow that tells in which container it runs, and stays until it was looked at.
const FLOW: &str = "
import os, socket, time
from prefect import flow

@flow(log_prints=True)
def hello():
    print('hello from', socket.gethostname())
    with open('/flows/told', 'w') as file:
        file.write(socket.gethostname())
    while not os.path.exists('/flows/seen'):
        time.sleep(0.5)
";

/// A worker runs a flow in a container of its own. A proxy's network that comes later is joined,
/// and one that is there when the server is made, too; the pool goes with the server's version.
fn worker() -> Result<(), Failed> {
    let host = Host::on(Layer::Images);
    let folder = Folder::empty();
    let up =
        || -> Did { folder.provision(&["up", "--yes", "--playbook", "prefect-worker-compose", &host.name]) };
    let pool = || {
        let pool = api(&host, "GET", "work_pools/docker", &json!({}));
        assert_eq!(pool["type"], "docker");
        pool["base_job_template"]["variables"]["properties"].clone()
    };
    let joined = || {
        host.inside("docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' prefect-prefect-1")
            .trim()
            .to_owned()
    };
    folder.settings(&format!("[steps.stack.env]\nPREFECT_IMAGE = \"{FORMER}\"\n"));
    up().expect(0).said(&["publishes 4200/tcp (prefect)", "prove that prefect works (selftest)"]);
    assert_eq!(
        services(&host),
        [
            "postgres running",
            "postgres-prepare exited",
            "prefect running",
            "work-pool exited",
            "worker running"
        ]
    );
    up().expect(0).said(&["nothing to change"]);
    assert_eq!(joined(), "prefect-flows prefect_backend");

    // A proxy comes: its network is joined, and is after the server was made anew, too.
    host.inside("docker network create traefik-public");
    let did = up();
    did.expect(0).said(&["prefect is not in traefik-public"]);
    assert_eq!(joined(), "prefect-flows prefect_backend traefik-public");
    up().expect(0).said(&["nothing to change"]);
    assert_eq!(pool()["image"]["default"], FORMER);
    folder.settings("[steps.stack.env]\nPROXY_DOMAIN = \"flows.example.org\"\n");
    up().expect(0);
    assert_eq!(joined(), "prefect-flows prefect_backend traefik-public");
    let labels = host.inside("docker inspect -f '{{json .Config.Labels}}' prefect-prefect-1");
    let labels: Value = serde_json::from_str(&labels)?;
    for (label, value) in [
        ("traefik.enable", "true"),
        ("traefik.docker.network", "traefik-public"),
        ("traefik.http.routers.prefect.rule", "Host(`flows.example.org`)"),
        ("traefik.http.services.prefect.loadbalancer.server.port", "4200"),
    ] {
        assert_eq!(labels[label], value, "{label}");
    }
    // From there it is reached, and its database is not.
    let from = |address: &str| {
        host.try_root(&format!(
            "docker run --rm --network traefik-public postgres:17 pg_isready -q -t 5 -h {address}"
        ))
    };
    let asked = host.inside(&format!(
        "docker run --rm --network traefik-public --entrypoint python {PRESENT} -c \
         \"import urllib.request as u; print(u.urlopen('http://prefect-prefect-1:4200/api/ready').status)\"",
    ));
    assert_eq!(asked.trim(), "200");
    let database = host.inside(
        "docker inspect -f '{{.NetworkSettings.Networks.prefect_backend.IPAddress}}' prefect-postgres-1",
    );
    assert!(!from(database.trim()).status.success(), "the database is reached from the proxy's network");

    let pool = pool();
    assert_eq!(pool["networks"]["default"], json!(["prefect-flows"]));
    assert_eq!(pool["image"]["default"], PRESENT, "the pool goes with the server");
    runs_a_flow(&host);
    Ok(())
}

/// A deployment through the API, whose run is a container on the host.
fn runs_a_flow(host: &Host) {
    host.inside(&format!("mkdir -p /srv/flows && cat >/srv/flows/hello.py <<'FLOW'\n{FLOW}\nFLOW"));
    let flow = api(host, "POST", "flows/", &json!({"name": "hello"}));
    let deployment = json!({
        "name": "hello",
        "flow_id": flow["id"],
        "work_pool_name": "docker",
        "entrypoint": "/flows/hello.py:hello",
        "job_variables": {"volumes": ["/srv/flows:/flows"], "image_pull_policy": "IfNotPresent"},
    });
    let deployment = api(host, "POST", "deployments/", &deployment);
    let id = deployment["id"].as_str().unwrap_or_default();
    let run = api(host, "POST", &format!("deployments/{id}/create_flow_run"), &json!({}));
    let id = run["id"].as_str().unwrap_or_default();
    let mut container = String::new();
    eventually("the flow runs in a container", || {
        container = host.inside(&format!("docker ps -q --filter label=io.prefect.flow-run-id={id}"));
        host.try_root("test -s /srv/flows/told").status.success()
    });
    let container = container.trim();
    assert!(!container.is_empty(), "the flow's container");
    assert_eq!(host.inside("cat /srv/flows/told"), container);
    let told = host.inside(&format!(
        "docker inspect -f '{{{{.Config.Image}}}} {{{{range $name, $_ := .NetworkSettings.Networks}}}}{{{{$name}}}}{{{{end}}}}' {container}"
    ));
    assert_eq!(told.trim(), format!("{PRESENT} prefect-flows"));
    // As the documents say: whoever may use Docker here sees the password.
    let environment = host.inside(&format!("docker inspect -f '{{{{json .Config.Env}}}}' {container}"));
    assert!(environment.contains("PREFECT_API_AUTH_STRING=prefect:"), "{environment}");
    host.inside("touch /srv/flows/seen");
    eventually("the flow run is completed", || {
        api(host, "GET", &format!("flow_runs/{id}"), &json!({}))["state_type"] == "COMPLETED"
    });
    eventually("its container goes", || {
        host.inside(&format!("docker ps -aq --filter label=io.prefect.flow-run-id={id}")).is_empty()
    });
}
