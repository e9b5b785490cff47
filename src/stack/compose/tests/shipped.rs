//! What the Compose projects that ship ask of Docker: no more than they need.

use std::fs;
use std::path::Path;

use super::super::yaml::{self, Node};

const PLAYBOOKS: [&str; 3] = ["prefect", "prefect-minimal", "prefect-worker-compose"];

/// Services with a root that they write to, and why.
const WRITABLE: [(&str, &str); 5] = [
    ("grafana", "its image has not been tried otherwise"),
    ("pgadmin", "its entry point writes a configuration beside the program"),
    ("redis-page", "its entry point writes a configuration beside the program"),
    ("work-pool", "packages are installed into the container"),
    ("worker", "packages are installed into the container"),
];

fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

fn words(node: Option<&Node>) -> Vec<&str> {
    node.into_iter().flat_map(Node::items).filter_map(Node::text).collect()
}

fn file(playbook: &str, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks").join(playbook);
    fs::read_to_string(folder.join(name)).unwrap()
}

fn compose(playbook: &str) -> Node {
    yaml::documents(&file(playbook, "compose.yaml"), "compose.yaml").unwrap().remove(0)
}

#[test]
fn each_service_has_few_powers() {
    let mut writable = Vec::new();
    for playbook in PLAYBOOKS {
        let tree = compose(playbook);
        for entry in tree.get("services").unwrap().entries() {
            let (name, service) = (format!("{playbook}: {}", entry.key), &entry.value);
            assert_eq!(words(service.get("cap_drop")), ["ALL"], "{name}");
            assert_eq!(words(service.get("security_opt")), ["no-new-privileges:true"], "{name}");
            assert!(service.get("privileged").is_none(), "{name}");
            // Compose wants it in one place alone.
            let limits = at(service, &["deploy", "resources", "limits"]);
            let pids = limits.map_or_else(|| service.get("pids_limit"), |limits| limits.get("pids"));
            assert!(pids.and_then(Node::text).is_some_and(|text| text.parse::<u32>().is_ok()), "{name}");
            if service.get("read_only").and_then(Node::text) != Some("true") {
                writable.push(entry.key.clone());
            }
        }
    }
    writable.sort();
    assert_eq!(writable, WRITABLE.map(|(name, _)| name));
}

#[test]
fn each_image_has_a_version() {
    for playbook in PLAYBOOKS {
        let settings = file(playbook, ".env");
        let images = settings.lines().filter_map(|line| line.split_once("_IMAGE="));
        for (name, image) in images.filter(|(_, image)| !image.is_empty()) {
            let tag = image.rsplit_once(':').map(|(_, tag)| tag.trim_start_matches('v'));
            let is_version = tag.is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit()));
            assert!(is_version, "{playbook}: {name}_IMAGE={image}");
        }
    }
}

/// Containers of flows are in the network of what runs them: there is nothing but the API.
#[test]
fn flows_are_beside_the_api_alone() {
    let beside = |playbook: &str| {
        let tree = compose(playbook);
        let services = tree.get("services").unwrap().entries().iter();
        let inside = services.filter(|entry| words(entry.value.get("networks")).contains(&"flows"));
        inside.map(|entry| entry.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(beside("prefect"), ["nginx", "worker"]);
    assert_eq!(beside("prefect-worker-compose"), ["prefect", "work-pool", "worker", "selftest"]);
}
