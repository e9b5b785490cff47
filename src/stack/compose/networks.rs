//! The networks that Compose makes for a project.

use ipnet::IpNet;

use super::definition::{declaration, undeclared};
use super::yaml::Node;

/// A network that Compose makes; those of others (`external`) are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Its name in the Compose file.
    pub name: String,
    /// Its name on the host.
    pub on_host: String,
    /// A hash of its options.
    pub definition: String,
    /// The subnets that `ipam` gives it. Docker chooses one where there is none.
    pub subnets: Vec<IpNet>,
    /// The name of its bridge on the host (`com.docker.network.bridge.name` in `driver_opts`).
    pub bridge: Option<String>,
    /// Whether it is a bridge, so that the host gets a route into it.
    pub is_bridge: bool,
}

impl Network {
    fn read(name: &str, node: &Node, project: &str) -> Option<Self> {
        let is_external =
            node.get("external").is_some_and(|external| external.is_map() || external.truth() == Some(true));
        if is_external {
            return None;
        }
        let configs =
            node.get("ipam").and_then(|ipam| ipam.get("config")).map(Node::items).unwrap_or_default();
        let subnets =
            configs.iter().filter_map(|config| config.get("subnet")?.text()?.trim().parse::<IpNet>().ok());
        let bridge =
            node.get("driver_opts").and_then(|options| options.get("com.docker.network.bridge.name"));
        Some(Self {
            name: name.to_owned(),
            on_host: match node.get("name").and_then(Node::text).filter(|name| !name.is_empty()) {
                Some(name) => name.to_owned(),
                None => format!("{project}_{name}"),
            },
            definition: declaration(node),
            subnets: subnets.map(|subnet| subnet.trunc()).collect(),
            bridge: bridge.and_then(|name| Some(name.text()?.to_owned())),
            is_bridge: node.get("driver").and_then(Node::text).is_none_or(|driver| driver == "bridge"),
        })
    }
}

/// Those of a project, with the `default` one where a service is in no other.
pub(super) fn networks(root: &Node, project: &str) -> Vec<Network> {
    let declared = root.get("networks").map(Node::entries).unwrap_or_default();
    let mut networks: Vec<Network> =
        declared.iter().filter_map(|entry| Network::read(&entry.key, &entry.value, project)).collect();
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    let uses_default = |service: &Node| match (service.get("network_mode"), service.get("networks")) {
        (Some(_), _) => false,
        (None, None) => true,
        (None, Some(names)) => {
            names.items().iter().any(|name| name.text() == Some("default")) || names.get("default").is_some()
        }
    };
    let is_declared = declared.iter().any(|entry| entry.key == "default");
    if !is_declared && services.iter().any(|service| uses_default(&service.value)) {
        networks.push(Network {
            name: "default".into(),
            on_host: format!("{project}_default"),
            definition: undeclared(),
            is_bridge: true,
            ..Network::default()
        });
    }
    networks
}

#[cfg(test)]
mod tests {
    use crate::stack::compose::{Environment, Naming, parse};

    #[test]
    fn networks_that_compose_makes() {
        for (text, found) in [
            ("services: {a: {image: x}}", "default"),
            ("services: {a: {image: x, network_mode: host}}", ""),
            ("services: {a: {image: x, networks: [back]}}\nnetworks: {back: }", "back"),
            ("services: {a: {image: x, networks: {default: {aliases: [b]}}}}", "default"),
            ("services: {a: {image: x}}\nnetworks: {default: {external: true, name: other}}", ""),
            ("services: {a: {image: x, networks: [o]}}\nnetworks: {o: {external: {name: other}}}", ""),
            (
                "services: {a: {image: x}}\nnetworks: {default: {ipam: {config: [{subnet: 10.5.0.1/24}, {subnet: x}, {}]}}}",
                "default 10.5.0.0/24",
            ),
            (
                "services: {a: {image: x}}\nnetworks: {default: {driver: macvlan, ipam: {config: [{subnet: 10.5.0.0/24}]}}}",
                "default 10.5.0.0/24 no bridge",
            ),
            (
                "services: {a: {image: x}}\nnetworks: {default: {driver_opts: {com.docker.network.bridge.name: web0}}}",
                "default as web0",
            ),
        ] {
            let naming = Naming { explicit: None, folder: "app" };
            let project = parse(text, "compose.yaml", &Environment::default(), naming).expect(text);
            let networks = project.networks.iter().map(|network| {
                let mut line = network.name.clone();
                network.subnets.iter().for_each(|subnet| line += &format!(" {subnet}"));
                network.bridge.iter().for_each(|bridge| line += &format!(" as {bridge}"));
                if !network.is_bridge {
                    line += " no bridge";
                }
                line
            });
            assert_eq!(networks.collect::<Vec<_>>().join(", "), found, "{text}");
        }
    }
}
