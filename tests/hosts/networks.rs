//! Networks of Docker's over the address that a person connects from: refused, and where that is forced,
//! undone by the host itself.

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[
    ("networks::a_network_over_the_laptop", a_network_over_the_laptop),
    ("networks::a_bridge_over_the_laptop", a_bridge_over_the_laptop),
];

/// The lab's machine is 10.91.0.1 to each of its hosts, and their gateway.
const OVER_THE_LAPTOP: &str = "10.91.0.0/27";
const REFUSED: &str = "you connect from 10.91.0.1, which lies in 10.91.0.0/27";
const LOST_DNS: &str = "10.66.0.53 (a name server) lies in the new network 10.66.0.0/24";
const UNDONE: &str = "10.91.0.1 (the address that you connect from) lies in the new network 10.91.0.0/27";

/// A network of the project, and a restart of the daemon, on a host where the project runs.
fn a_network_over_the_laptop() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    let project = |networks: &str| {
        folder.write(
            "compose.yaml",
            &format!("name: one\nservices: {{web: {{image: \"nginx:1.27\", restart: always{networks}}}}}\n"),
        );
    };
    let up = |force: &[&str]| folder.provision(&[&["up", "--yes", host.name.as_str()], force].concat());
    project("");
    up(&[]).expect(0).said(&["making a new connection: the host undoes this change unless it succeeds"]);
    let state = || {
        host.inside("docker ps -q --no-trunc; docker network ls -q --filter type=custom; ip route | sed s/linkdown//; cat /etc/docker/daemon.json")
    };
    let before = state();

    let wanted = format!(
        ", networks: [odd]}}}}\nnetworks: {{odd: {{ipam: {{config: [{{subnet: {OVER_THE_LAPTOP}}}]}}"
    );
    project(&wanted);
    up(&[]).fails(3, &[REFUSED, "the network odd of one will take 10.91.0.0/27"]);
    up(&["--force"]).fails(6, &[UNDONE, "the new networks of the stack were removed again"]);
    let networks = || host.inside("docker network ls -q --filter type=custom; ip route | sed s/linkdown//");
    eventually("the networks are as before", || before.contains(networks().trim_end()));
    project("");
    up(&[]).expect(0);

    // A name server that the host asks. What ran before is brought back.
    host.inside("echo nameserver 10.66.0.53 >>/etc/resolv.conf");
    project(", networks: [odd]}}\nnetworks: {odd: {ipam: {config: [{subnet: 10.66.0.0/24}]}");
    up(&[]).fails(3, &["the host asks the name server 10.66.0.53, which lies in 10.66.0.0/24"]);
    up(&["--force"]).fails(6, &[LOST_DNS, "what ran before runs again (web)"]);
    host.inside("sed /10.66.0.53/d /etc/resolv.conf >/tmp/resolv && cat /tmp/resolv >/etc/resolv.conf");
    project("");
    // The files are as before where Compose had replaced the container already.
    up(&[]).expect(0);
    up(&[]).expect(0).said(&["nothing to change"]);
    let before = state();

    folder.settings("[steps.docker.daemon]\nbip = \"10.91.0.30/27\"\n");
    up(&[]).fails(3, &[REFUSED, "Docker's bridge will take 10.91.0.0/27"]);
    up(&["--force"]).fails(6, &[UNDONE, "the former daemon.json is back"]);
    eventually("so is Docker, with its containers", || state() == before);
    folder.settings("");
    up(&[]).expect(0);
    up(&[]).expect(0).said(&["nothing to change"]);
    Ok(())
}

/// Docker's own bridge, which its first start makes.
fn a_bridge_over_the_laptop() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = Folder::empty();
    let up = |bip: &str, more: &[&str]| {
        folder.settings(&format!("[steps.docker.daemon]\nbip = \"{bip}\"\n"));
        folder.provision(&[&["up", "--yes", "--playbook", "docker", host.name.as_str()], more].concat())
    };
    let routes = host.inside("ip route");
    up("10.91.0.30/27", &[]).fails(3, &[REFUSED, "Docker's bridge will take 10.91.0.0/27"]);
    for _ in ["to be installed", "installed and stopped"] {
        up("10.91.0.30/27", &["--force"]).fails(6, &[UNDONE, "Docker was stopped again"]);
        assert_eq!(host.inside("ip route"), routes);
        assert_eq!(
            host.inside("systemctl is-active docker.service docker.socket || true"),
            "inactive\ninactive\n"
        );
    }
    up("10.200.0.1/24", &[]).expect(0);
    up("10.200.0.1/24", &[]).expect(0).said(&["nothing to change"]);
    Ok(())
}
