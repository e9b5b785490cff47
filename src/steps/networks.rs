//! Networks that Docker is about to make, compared with what the host and the person must still reach.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::docker::daemon_settings;
use super::firewall::is_dockers;
use super::{Model, Refusal};
use crate::facts::Route;

/// What Docker takes for its networks unless `default-address-pools` is set, with the prefix length of
/// each: <https://docs.docker.com/engine/network/#automatic-subnet-allocation>.
const POOLS: [(&str, u8); 7] = [
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
];

/// Routes at least this wide lead to the internet, such as those of a VPN that takes everything.
const WIDEST: u8 = 3;

/// A network that will be made, and whose it is: `Docker's bridge`, `the network app_default`.
pub(super) type Wanted = (String, IpNet);

/// The network that Docker's own bridge gets when the daemon starts next.
pub(super) fn bridge(model: &Model) -> Option<IpNet> {
    let settings = daemon_settings(model).unwrap_or_default();
    let named = settings.get("bip").and_then(Value::as_str).and_then(|bip| bip.parse::<IpNet>().ok());
    let present = || routes(model).find(|route| route.device == "docker0").map(|route| route.network);
    named.map(|network| network.trunc()).or_else(present).or_else(|| automatic(model).next())
}

/// The networks that Docker will choose next, in its order. Like Docker, this passes over what a
/// directly connected network or a name server has.
pub(super) fn automatic(model: &Model) -> impl Iterator<Item = IpNet> {
    let taken = |network: &IpNet| {
        routes(model).any(|route| !route.by_gateway && overlaps(network, &route.network))
            || model.facts.name_servers.iter().any(|server| network.contains(server))
    };
    pools(model)
        .into_iter()
        .flat_map(|(base, size)| base.subnets(size).into_iter().flatten())
        .filter(move |network| !taken(network))
}

fn pools(model: &Model) -> Vec<(IpNet, u8)> {
    let settings = daemon_settings(model).unwrap_or_default();
    let Some(pools) = settings.get("default-address-pools").and_then(Value::as_array) else {
        return POOLS.iter().filter_map(|(base, size)| Some((base.parse().ok()?, *size))).collect();
    };
    let pool = |pool: &Value| {
        let base: IpNet = pool.get("base")?.as_str()?.parse().ok()?;
        Some((base, u8::try_from(pool.get("size")?.as_u64()?).ok()?))
    };
    pools.iter().filter_map(pool).collect()
}

/// Refuses networks that would cover the person's address, a name server or a route of the host's.
pub(super) fn check(step: &'static str, model: &Model, wanted: &[Wanted]) -> Result<(), Refusal> {
    if model.force {
        return Ok(());
    }
    let Some((what, why)) = wanted.iter().find_map(|wanted| Some((wanted, covered(model, &wanted.1)?)))
    else {
        return Ok(());
    };
    let (whose, network) = what;
    Err(Refusal {
        step,
        what: match why {
            Covered::Client(_) => "a new network of Docker's would cut off your own connection".into(),
            Covered::NameServer(_) => "a new network of Docker's would cut the host off from its DNS".into(),
            Covered::Route(_) => {
                "a new network of Docker's overlaps with a network that the host uses".into()
            }
        },
        details: vec![
            match why {
                Covered::Client(client) => format!("you connect from {client}, which lies in {network}"),
                Covered::NameServer(server) => {
                    format!("the host asks the name server {server}, which lies in {network}")
                }
                Covered::Route(route) => {
                    format!(
                        "{network} overlaps with {}, which the host reaches by {}",
                        route.network, route.device
                    )
                }
            },
            format!("{whose} will take {network}"),
        ],
        hints: vec![
            "give Docker other networks in [steps.docker.daemon], such as bip = \"10.200.0.1/24\" and \
             default-address-pools = [{ base = \"10.201.0.0/16\", size = 24 }]"
                .into(),
            "a network of the Compose project has its own under `ipam`".into(),
            "`--force` tries it all the same; the host undoes it where it cuts the connection".into(),
        ],
        findings: Vec::new(),
    })
}

/// What a network would cover.
enum Covered<'a> {
    Client(IpAddr),
    NameServer(IpAddr),
    Route(&'a Route),
}

fn covered<'a>(model: &'a Model, network: &IpNet) -> Option<Covered<'a>> {
    let facts = &model.facts;
    let client = facts.identity.ssh_client.map(|client| client.to_canonical());
    if let Some(client) = client.filter(|client| network.contains(client)) {
        return Some(Covered::Client(client));
    }
    if let Some(server) = facts.name_servers.iter().find(|server| network.contains(*server)) {
        return Some(Covered::NameServer(*server));
    }
    let is_used = |route: &&Route| route.network.prefix_len() > WIDEST && !is_dockers(&route.device);
    routes(model).filter(is_used).find(|route| overlaps(network, &route.network)).map(Covered::Route)
}

/// The host's routes, without those of addresses that each interface gives itself.
fn routes(model: &Model) -> impl Iterator<Item = &Route> {
    let is_of_the_link = |network: &IpNet| match network {
        IpNet::V4(network) => network.addr().is_link_local(),
        IpNet::V6(network) => network.addr().is_unicast_link_local(),
    };
    model.facts.routes.iter().filter(move |route| !is_of_the_link(&route.network))
}

fn overlaps(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::tests::{bare, put};

    fn model(client: &str, routes: &[&str], servers: &[&str], daemon: &str) -> Model {
        let mut model = Model { facts: bare(), ..Model::default() };
        model.facts.identity.ssh_client = client.parse().ok();
        model.facts.name_servers = servers.iter().map(|server| server.parse().expect("an address")).collect();
        model.facts.routes = routes
            .iter()
            .map(|route| {
                let (network, device) = route.split_once(' ').expect("a network and an interface");
                let (device, by_gateway) = match device.strip_suffix(" via") {
                    Some(device) => (device, true),
                    None => (device, false),
                };
                Route { network: network.parse().expect("a network"), device: device.into(), by_gateway }
            })
            .collect();
        if !daemon.is_empty() {
            put(&mut model.facts, "/etc/docker/daemon.json", daemon);
        }
        model
    }

    #[test]
    fn the_networks_that_docker_chooses() {
        let next = |model: &Model, count| -> Vec<String> {
            automatic(model).take(count).map(|network| network.to_string()).collect()
        };
        let bare = model("", &[], &[], "");
        assert_eq!(next(&bare, 5)[3..], ["172.20.0.0/16", "172.21.0.0/16"]);
        assert_eq!(automatic(&bare).count(), 3 + 12 + 16);
        let lived_in =
            ["172.17.0.0/16 docker0", "172.18.0.0/16 br-1", "172.20.5.0/24 eth1", "172.21.0.0/16 tun0 via"];
        assert_eq!(
            next(&model("", &lived_in, &["172.22.0.2"], ""), 3),
            [
                "172.19.0.0/16",
                // Docker looks at networks that are directly connected, and at no others.
                "172.21.0.0/16",
                "172.23.0.0/16",
            ]
        );
        let own = r#"{"default-address-pools": [{"base": "10.201.0.0/16", "size": 24}]}"#;
        assert_eq!(next(&model("", &["10.201.0.0/24 br-1"], &[], own), 1), ["10.201.1.0/24"]);
        for odd in ["[]", "[3]", r#"[{"base": "x", "size": 24}]"#, r#"[{"base": "10.0.0.0/8", "size": 4}]"#] {
            let odd = format!("{{\"default-address-pools\": {odd}}}");
            assert_eq!(automatic(&model("", &[], &[], &odd)).count(), 0, "{odd}");
        }
    }

    #[test]
    fn the_network_of_the_bridge() {
        for (routes, daemon, found) in [
            (&[][..], "", "172.17.0.0/16"),
            (&["172.17.0.0/16 eth0"], "", "172.18.0.0/16"),
            (&["fe80::/64 docker0", "172.25.0.0/16 docker0"], "", "172.25.0.0/16"),
            (&["172.25.0.0/16 docker0"], r#"{"bip": "10.200.0.1/24"}"#, "10.200.0.0/24"),
            (&[], r#"{"bip": "10.200.0.1/24"}"#, "10.200.0.0/24"),
            (&[], r#"{"default-address-pools": [{"base": "10.201.0.0/16", "size": 24}]}"#, "10.201.0.0/24"),
        ] {
            assert_eq!(bridge(&model("", routes, &[], daemon)).expect("one").to_string(), found, "{daemon}");
        }
    }

    #[test]
    fn networks_that_are_in_use() {
        for (client, routes, servers, network, refused) in [
            ("172.17.5.5", &[][..], &[][..], "172.17.0.0/16", "you connect from 172.17.5.5"),
            ("::ffff:172.17.5.5", &[], &[], "172.17.0.0/16", "you connect from 172.17.5.5"),
            ("fd00::5", &[], &[], "fd00::/64", "you connect from fd00::5"),
            ("172.18.5.5", &[], &[], "172.17.0.0/16", ""),
            ("2001:db8::1", &[], &[], "172.17.0.0/16", ""),
            ("", &[], &["172.17.0.53"], "172.17.0.0/16", "the name server 172.17.0.53"),
            ("", &["10.8.0.0/24 tun0"], &[], "10.8.0.0/16", "10.8.0.0/24, which the host reaches by tun0"),
            ("", &["10.0.0.0/8 eth0 via"], &[], "10.8.0.0/16", "10.0.0.0/8, which the host reaches by eth0"),
            ("", &["172.17.0.0/16 docker0", "10.8.0.0/16 br-0123456789ab"], &[], "10.8.0.0/16", ""),
            (
                "",
                &["10.8.0.0/24 br-lan"],
                &[],
                "10.8.0.0/16",
                "10.8.0.0/24, which the host reaches by br-lan",
            ),
            ("", &["fe80::/64 eth0"], &[], "fe80::/64", ""),
            ("", &["0.0.0.0/0 eth0 via", "0.0.0.0/1 tun0 via"], &[], "10.8.0.0/16", ""),
        ] {
            let mut model = model(client, routes, servers, "");
            let wanted = [("Docker's bridge".to_owned(), network.parse().expect("a network"))];
            match check("docker", &model, &wanted) {
                Ok(()) => assert_eq!(refused, "", "{client} {routes:?} {network}"),
                Err(refusal) => {
                    assert!(
                        !refused.is_empty() && refusal.details[0].contains(refused),
                        "{:?}",
                        refusal.details
                    );
                    assert!(refusal.hints[0].contains("default-address-pools"));
                }
            }
            model.force = true;
            assert!(check("docker", &model, &wanted).is_ok());
        }
    }
}
