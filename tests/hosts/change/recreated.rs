//! What Compose leaves as it is although it was made with something else, by version.

use libtest_mimic::Failed;

use crate::lab::{Folder, Host, Layer};

/// `beside` is in the network of `web`.
const COMPOSE: &str = "
name: seen
services:
  web:
    image: nginx:1.27
    stop_grace_period: 1s
    volumes: [\"data:/data\", \"./note:/note:ro\"]
    networks: [front]
    configs: [{source: page, target: /page}]
  beside:
    image: nginx:1.27
    init: true
    entrypoint: [sleep, infinity]
    network_mode: \"service:web\"
  alone: {image: redis:8, networks: [other]}
networks: {front: {}, other: {}}
volumes: {data: {}}
configs: {page: {content: one}}
";

pub fn by_an_old_compose() -> Result<(), Failed> {
    on(Layer::DebianImages)
}

pub fn by_a_new_compose() -> Result<(), Failed> {
    on(Layer::Images)
}

fn on(layer: Layer) -> Result<(), Failed> {
    let host = Host::on(layer);
    let folder = Folder::empty();
    folder.write("compose.yaml", COMPOSE);
    folder.write("note", "one\n");
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    let ids = |service: &str| host.inside(&format!("docker ps -q --filter name=seen-{service}-"));
    let alone = ids("alone");
    let has_network = || {
        let routes = host.inside("docker exec seen-beside-1 cat /proc/net/route");
        assert!(routes.contains("eth0"), "{routes}");
    };
    let up = |alone: &str, said: &[&str]| {
        let did = folder.provision(&["up", &host.name, "--yes"]);
        did.expect(0).said(said);
        has_network();
        assert_eq!(ids("alone"), alone, "it has nothing to do with it");
        folder.provision(&["up", &host.name, "--yes"]).expect(0).said(&["nothing to change"]);
        did
    };
    has_network();
    let mut text = COMPOSE.to_owned();
    let mut change = |from: &str, to: &str| {
        text = text.replace(from, to);
        assert!(text.contains(to), "{to}");
        folder.write("compose.yaml", &text);
    };

    change("content: one", "content: two");
    up(&alone, &["! may interrupt web, beside"]);
    assert_eq!(host.inside("docker exec seen-web-1 cat /page"), "two");

    host.inside("docker exec seen-web-1 touch /data/row");
    change("data: {}", "data: {name: rows}");
    up(&alone, &["the volume rows is new and starts empty (web), while seen_data of this project stays"]);
    let mounts = host.inside("docker inspect -f '{{range .Mounts}}{{.Name}} {{end}}' seen-web-1");
    assert_eq!(mounts.split_whitespace().collect::<Vec<_>>(), ["rows"]);

    // Somebody's container in a network that changes: nobody is interrupted, and a person is told.
    host.inside("docker run -d --name other --network seen_other --entrypoint sleep nginx:1.27 infinity");
    change("other: {}", "other: {labels: {a: b}}");
    let id = ids("alone");
    let did = folder.provision(&["up", &host.name, "--yes"]);
    did.fails(6, &["the network seen_other cannot get other options", "is in it: other"]);
    assert_eq!(ids("alone"), id);
    host.inside("docker rm -f other");
    change("other: {labels: {a: b}}", "other: {}");
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    let alone = ids("alone");

    // One that a person has started from the project goes on.
    host.inside(
        "cd /srv/seen && docker compose run -d --no-deps --name once --entrypoint 'sleep infinity' web",
    );
    change("front: {}", "front: {internal: true}");
    up(&alone, &["! may interrupt web, beside"]);
    let (routes, running) = (
        host.inside("docker exec once cat /proc/net/route"),
        host.inside("docker inspect -f '{{.State.Running}}' once"),
    );
    assert!(routes.contains("eth") && running == "true\n", "{routes}");
    host.inside("docker rm -f once");
    assert_eq!(host.inside("docker network inspect -f '{{.Internal}}' seen_front"), "true\n");
    let inside = host.inside("docker network inspect -f '{{range .Containers}}{{.Name}} {{end}}' seen_front");
    assert_eq!(inside.trim(), "seen-web-1");

    // Whatever is restarted takes its network with it.
    let web = ids("web");
    folder.write("note", "two\n");
    host.inside(
        "docker run -d --name guest --network container:seen-web-1 --entrypoint sleep nginx:1.27 infinity",
    );
    up(&alone, &["! may interrupt web, beside"]);
    let routes = host.inside("docker exec guest cat /proc/net/route");
    assert!(routes.contains("eth0"), "a container of somebody else's has its network again: {routes}");
    assert_eq!(ids("web"), web, "restarted, not recreated");
    Ok(())
}

/// Docker itself starts only what has a restart policy: a setting that restarts it leaves nobody's container down.
pub fn docker_is_restarted() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write("compose.yaml", "name: mine\nservices: {cache: {image: redis:8}}\n");
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    host.inside("docker run -d --name lone -p 7001:80 nginx:1.27");
    host.inside(
        "docker run -d --name beside --network container:lone --entrypoint sleep nginx:1.27 infinity",
    );
    folder.settings("[steps.docker.daemon]\nlog-opts = { max-size = \"50m\" }\n");
    let did = folder.provision(&["up", &host.name, "--yes"]);
    did.expect(0).said(&["restarts Docker; containers stop until it is back"]);
    let running = host.inside("docker ps --format '{{.Names}}' | sort | tr '\\n' ' '");
    assert_eq!(running, "beside lone mine-cache-1 ");
    assert!(host.get(7001)?.contains("nginx"));
    folder.provision(&["up", &host.name, "--yes"]).expect(0).said(&["nothing to change"]);
    Ok(())
}
