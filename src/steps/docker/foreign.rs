//! What stands in the way of installing Docker: another Docker, and networks that are in use.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{DockerOptions, STEP};
use crate::steps::{Model, Refusal};

/// The unit of the snap `docker`: <https://snapcraft.io/docker>.
pub(super) const SNAP_UNIT: &str = "snap.docker.dockerd.service";

/// The network of Docker's own bridge, unless `bip` says otherwise:
/// <https://docs.docker.com/engine/network/drivers/bridge/#default-bridge-network-settings>.
const BRIDGE: &str = "172.17.0.0/16";

/// Two daemons on one machine know nothing of each other.
pub(super) fn check_snap(model: &Model) -> Result<(), Refusal> {
    let is_there = model.facts.units.get(SNAP_UNIT).is_some_and(|unit| unit.load == "loaded");
    if !is_there {
        return Ok(());
    }
    Err(Refusal {
        step: STEP,
        what: "Docker is installed as a snap; nothing was changed".into(),
        details: vec![format!(
            "{SNAP_UNIT} is on the host, and a second Docker beside it would not see its containers"
        )],
        hints: vec![
            "move its data away, then on the host: sudo snap remove docker".into(),
            "to keep the snap, leave the step `docker` out of the playbook".into(),
        ],
        findings: Vec::new(),
    })
}

/// Docker's bridge takes a whole network: whoever connects from an address in it is cut off, since
/// the answers go to the bridge (moby/moby#27213).
pub(super) fn check_client(options: &DockerOptions, model: &Model) -> Result<(), Refusal> {
    let named = options.daemon.get("bip").and_then(toml::Value::as_str);
    let written = super::daemon::setting(model, "bip");
    let bridge = named.map(str::to_owned).or(written).unwrap_or_else(|| BRIDGE.into());
    let (Some(client), Ok(network)) = (model.facts.identity.ssh_client, bridge.parse::<IpNet>()) else {
        return Ok(());
    };
    if !network.trunc().contains(&mapped(client)) || model.force {
        return Ok(());
    }
    Err(Refusal {
        step: STEP,
        what: "installing Docker would cut off your own connection; nothing was changed".into(),
        details: vec![format!(
            "you connect from {client}, which lies in the network of Docker's bridge, {}",
            network.trunc()
        )],
        hints: vec![
            "give Docker other networks in [steps.docker.daemon], such as bip = \"10.200.0.1/24\" and \
             default-address-pools = [{ base = \"10.201.0.0/16\", size = 24 }]"
                .into(),
            "`--force` goes on all the same".into(),
        ],
        findings: Vec::new(),
    })
}

/// An IPv4 address as it is, also where a socket of IPv6 wraps it.
fn mapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Unit;
    use crate::steps::tests::{bare, options, put};

    #[test]
    fn a_client_in_dockers_own_network() {
        for (client, settings, daemon_json, refused) in [
            ("172.17.5.5", "", "", true),
            ("::ffff:172.17.5.5", "", "", true),
            ("172.18.5.5", "", "", false),
            ("2001:db8::1", "", "", false),
            ("172.17.5.5", "[docker.daemon]\nbip = \"10.200.0.1/24\"\n", "", false),
            ("10.200.0.9", "[docker.daemon]\nbip = \"10.200.0.1/24\"\n", "", true),
            ("172.17.5.5", "", "{\"bip\": \"10.200.0.1/24\"}", false),
            ("10.200.0.9", "", "{\"bip\": \"10.200.0.1/24\"}", true),
        ] {
            let mut model = Model { facts: bare(), ..Model::default() };
            model.facts.identity.ssh_client = client.parse().ok();
            if !daemon_json.is_empty() {
                put(&mut model.facts, "/etc/docker/daemon.json", daemon_json);
            }
            let options = options(settings).docker;
            let found = check_client(&options, &model);
            assert_eq!(found.is_err(), refused, "{client} {settings} {daemon_json}");
            if let Err(refusal) = found {
                assert!(refusal.details[0].contains(client), "{:?}", refusal.details);
                assert!(refusal.hints[0].contains("default-address-pools"));
            }
            model.force = true;
            assert!(check_client(&options, &model).is_ok());
        }
    }

    #[test]
    fn a_snap_is_never_doubled() {
        let mut model = Model { facts: bare(), ..Model::default() };
        assert!(check_snap(&model).is_ok());
        let unit = |load: &str| Unit { load: load.into(), ..Unit::default() };
        model.facts.units.insert(SNAP_UNIT.into(), unit("not-found"));
        assert!(check_snap(&model).is_ok());
        model.facts.units.insert(SNAP_UNIT.into(), unit("loaded"));
        // It is no matter of courage.
        model.force = true;
        let refusal = check_snap(&model).expect_err("a snap");
        assert!(refusal.hints[0].contains("snap remove docker"));
    }
}
