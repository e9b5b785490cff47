//! What a project calls by a name on the host: containers, volumes and networks.

use std::collections::HashMap;

use super::definition::declaration;
use super::read::{Placed, Read};
use super::yaml::{Entry, Node};
use super::{ComposeError, invalid};

/// A volume or network that services of the project use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Which of the two.
    pub kind: ResourceKind,
    /// Its name on the host.
    pub name: String,
    /// Whether Compose takes it as it is and never makes it (`external: true`).
    pub external: bool,
    /// Whether the file gives it a name of its own, without the project's in front.
    pub fixed: bool,
    /// The services that use it.
    pub services: Vec<String>,
    /// The file and line that declare it.
    pub place: String,
    /// A hash of what the file declares it to be.
    pub definition: String,
}

/// What is called by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// A volume.
    Volume,
    /// A network.
    Network,
}

impl ResourceKind {
    /// As Docker's command line calls it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Network => "network",
        }
    }
}

impl Resource {
    /// Whether Docker takes its name.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        is_plain(&self.name)
    }
}

/// Volumes and networks that services which are on use, and the names of all volumes that are declared.
pub(super) fn of(root: &Node, read: &Read, project: &str) -> (Vec<Resource>, Vec<String>) {
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    let enabled: Vec<_> =
        services.iter().zip(&read.services).filter(|(_, placed)| placed.service.enabled).collect();
    let users = |used: &dyn Fn(&'_ Node) -> Vec<String>| -> HashMap<String, Vec<String>> {
        let mut users: HashMap<String, Vec<String>> = HashMap::new();
        for (entry, _) in &enabled {
            for name in used(&entry.value) {
                let services = users.entry(name).or_default();
                if services.last() != Some(&entry.key) {
                    services.push(entry.key.clone());
                }
            }
        }
        users
    };
    let (mut mounting, mut joining) = (users(&mounted), users(&joined));
    let declared = |kind: &str| root.get(kind).map(Node::entries).unwrap_or_default();
    let mut found = Vec::new();
    for entry in declared("volumes") {
        let users = mounting.remove(&entry.key).unwrap_or_default();
        found.push(resource(ResourceKind::Volume, entry, project, users));
    }
    let volumes = found.iter().map(|volume| volume.name.clone()).collect();
    for entry in declared("networks") {
        let users = joining.remove(&entry.key).unwrap_or_default();
        found.push(resource(ResourceKind::Network, entry, project, users));
    }
    found.retain(|resource| !resource.services.is_empty());
    (found, volumes)
}

fn resource(kind: ResourceKind, entry: &Entry, project: &str, services: Vec<String>) -> Resource {
    let external = entry.value.get("external");
    // `external: {name: NAME}` is how it was written once, and is still taken.
    let inner = external.and_then(|external| external.get("name"));
    let name = entry.value.get("name").or(inner).and_then(Node::text).filter(|name| !name.is_empty());
    let external = external.is_some_and(|node| node.is_map() || node.truth() == Some(true));
    Resource {
        kind,
        name: match (name, external) {
            (Some(name), _) => name.to_owned(),
            (None, true) => entry.key.clone(),
            (None, false) => format!("{project}_{}", entry.key),
        },
        external,
        fixed: name.is_some(),
        services,
        place: entry.place.to_string(),
        definition: declaration(&entry.value),
    }
}

/// The names under which the project declares the volumes that a service mounts.
fn mounted(service: &Node) -> Vec<String> {
    let volumes = service.get("volumes").map(Node::items).unwrap_or_default();
    let name = |volume: &Node| match volume.text() {
        Some(text) => text.split_once(':').map(|(source, _)| source.to_owned()),
        None => {
            let text = |key: &str| volume.get(key).and_then(Node::text);
            text("source").filter(|_| text("type").is_none_or(|kind| kind == "volume")).map(str::to_owned)
        }
    };
    volumes.iter().filter_map(name).collect()
}

/// The names under which the project declares the networks that a service is in.
fn joined(service: &Node) -> Vec<String> {
    match service.get("networks") {
        None if service.get("network_mode").is_none() => vec!["default".to_owned()],
        None => Vec::new(),
        Some(networks) => {
            let named = networks.entries().iter().map(|entry| entry.key.clone());
            named.chain(networks.items().iter().filter_map(Node::text).map(str::to_owned)).collect()
        }
    }
}

/// Docker's own rule for names.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Each container has a name of its own, those that Compose gives among them.
pub(super) fn container_names(project: &str, services: &[Placed]) -> Result<(), ComposeError> {
    let running = || services.iter().filter(|s| s.service.enabled && s.service.scale > 0);
    let mut taken: HashMap<String, &str> = HashMap::new();
    for placed in running().filter(|placed| placed.service.container_name.is_none()) {
        let name = &placed.service.name;
        // A number beyond all reason is refused elsewhere, or takes its time there.
        for number in 1..=placed.service.scale.min(100) {
            taken.insert(format!("{project}-{name}-{number}"), name);
        }
    }
    for placed in running() {
        let (service, name) = (&placed.service, &placed.service.name);
        let Some((wanted, place)) = service.container_name.as_ref().zip(placed.container_name.as_ref())
        else {
            continue;
        };
        if !is_plain(wanted) || wanted.len() < 2 {
            let what = format!("{wanted:?} is no name for the container of service {name:?}");
            return Err(invalid(place, what, "use two or more letters, digits, `_`, `.` and `-`"));
        }
        if service.scale > 1 {
            let what = format!(
                "service {name:?} has {} containers, and only one can have the name {wanted:?}",
                service.scale
            );
            return Err(invalid(place, what, "leave `container_name` out, or have one container"));
        }
        if let Some(other) = taken.insert(wanted.clone(), name) {
            let what = format!("the container name {wanted:?} of service {name:?} is that of {other:?} too");
            return Err(invalid(place, what, "give each service a `container_name` of its own, or none"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Naming, Project, parse};
    use super::*;

    fn read(text: &str) -> Result<Project, ComposeError> {
        let naming = Naming { explicit: None, folder: "shop" };
        parse(text, "compose.yaml", &Environment::default(), naming)
    }

    #[test]
    fn names_of_containers() {
        let cases = [
            ("a: {image: i, container_name: xx}\n  b: {image: i, container_name: yy}", None),
            (
                "a: {image: i, container_name: xx}\n  b: {image: i, container_name: xx}",
                Some("is that of \"a\" too"),
            ),
            ("a: {image: i, container_name: xx}\n  b: {image: i, container_name: xx, profiles: [p]}", None),
            ("a: {image: i, container_name: xx}\n  b: {image: i, container_name: xx, scale: 0}", None),
            ("a: {image: i, container_name: shop-b-1}\n  b: {image: i}", Some("is that of \"b\" too")),
            ("a: {image: i, container_name: xx, scale: 2}", Some("only one can have the name \"xx\"")),
            ("a: {image: i, container_name: xx, deploy: {replicas: 3}}", Some("has 3 containers")),
            ("a: {image: i, container_name: xx, scale: 1}", None),
            ("a: {image: i, container_name: 'a b'}", Some("is no name for the container")),
            ("a: {image: i, container_name: x}", Some("is no name for the container")),
            ("a: {image: i, container_name: '${NONE}'}", Some("is no name for the container")),
        ];
        for (services, complaint) in cases {
            let found = read(&format!("services:\n  {services}\n")).map_err(|error| error.to_string());
            match (found, complaint) {
                (Ok(_), None) => {}
                (Err(error), Some(complaint)) => {
                    assert!(error.contains(complaint), "{services}: {error}");
                    assert!(error.starts_with("compose.yaml:"), "{error}");
                }
                (found, _) => panic!("{services}: {found:?}"),
            }
        }
    }

    #[test]
    fn volumes_and_networks_in_use() {
        let project = read(
            "services:
  a: {image: i, volumes: ['one:/x', './two:/y', '/three:/z', {type: volume, source: four, target: /f}]}
  b: {image: i, networks: {front: {aliases: [z]}}, volumes: ['six:/s:ro']}
  c: {image: i, profiles: [off], volumes: ['seven:/s'], networks: [back]}
  d: {image: i, network_mode: host}
volumes:
  one:
  two: {}
  four: {name: fixed}
  six: {external: true}
  seven: {external: true, name: other}
  eight: {external: {name: old}}
networks:
  default: {external: true, name: shared}
  front: {external: {name: proxy}}
  back: {external: true}
",
        )
        .expect("it can be read");
        let found: Vec<_> = project
            .resources
            .iter()
            .map(|resource| {
                let Resource { kind, name, external, fixed, services, place, .. } = resource;
                format!("{} {name} {external} {fixed} {} {place}", kind.word(), services.join(","))
            })
            .collect();
        assert_eq!(
            found,
            [
                "volume shop_one false false a compose.yaml:7",
                "volume fixed false true a compose.yaml:9",
                "volume six true false b compose.yaml:10",
                "network shared true true a compose.yaml:14",
                "network proxy true true b compose.yaml:15",
            ]
        );
        assert_eq!(project.declared_volumes, ["shop_one", "shop_two", "fixed", "six", "other", "old"]);
    }
}
