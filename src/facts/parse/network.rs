//! Lines about the host's networks, and who listens there.

use std::net::IpAddr;

use super::ParseError;
use super::line::{Line, address};
use crate::facts::Facts;
use crate::facts::types::{Listening, LoadedRule, Route};

/// Takes a line in; false where it is about something else.
pub(super) fn line(facts: &mut Facts, line: &Line<'_>) -> Result<bool, ParseError> {
    match line.key.as_str() {
        "listening" => {
            let (address, port) = line.socket(1)?;
            let listening = Listening { protocol: line.text(0), address, port, process: line.text(2) };
            facts.listening.push(listening);
        }
        "sshd-port" => facts.firewall.ssh_ports.push(line.port(0)?),
        "address" => facts.firewall.addresses.extend(address(&line.text(0)).filter(is_own)),
        "rule" => {
            let family = match line.raw(0) {
                b"4" => 4,
                b"6" => 6,
                _ => return Err(line.error(0, "`4` or `6` was expected")),
            };
            facts.firewall.loaded.push(LoadedRule { family, table: line.text(1), rule: line.text(2) });
        }
        "foreign-table" => facts.firewall.foreign_tables.extend(line.optional(0)),
        "route" => {
            let network = line.text(0);
            // A single address has no prefix length.
            let network = network.parse().ok().or_else(|| Some(network.parse::<IpAddr>().ok()?.into()));
            let route =
                |network| Route { network, device: line.text(1), by_gateway: line.raw(2) == b"gateway" };
            facts.routes.extend(network.map(route));
        }
        "name-server" => facts.name_servers.extend(address(&line.text(0)).filter(|at| !at.is_loopback())),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether others can reach it.
fn is_own(address: &IpAddr) -> bool {
    let is_local = match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    !is_local && !address.is_loopback() && !address.is_unspecified()
}
