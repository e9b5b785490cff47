//! What ought to be reached: by the rules of the firewall, or by the Compose file.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::Facts;
use crate::stack::compose::{PortRange, Project, Service};
use crate::steps::Opening;

/// Ports that somebody said shall be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The ports.
    pub ports: PortRange,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Who may; none for everybody.
    pub from: Option<Vec<IpNet>>,
    /// The address on the host, where it is not every one.
    pub at: Option<IpAddr>,
    /// What says so: `ssh`, `allow`, `compose.yaml (web)`.
    pub by: String,
    /// Whether another stack says so: what it has there is no concern of this one.
    pub of_others: bool,
}

/// Whether we are among those who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Admits {
    No,
    Unknown,
    Yes,
}

impl Declaration {
    /// Whether this port is among them.
    pub(super) fn covers(&self, port: u16, protocol: &str) -> bool {
        (self.ports.first..=self.ports.last).contains(&port) && self.protocol == protocol
    }

    /// Whether it is one port.
    pub(super) fn is_single(&self) -> bool {
        self.ports.count() == 1
    }

    /// Whether we, known by that address, can reach the host at this one.
    pub(super) fn admits(&self, tried: IpAddr, ours: Option<IpAddr>) -> Admits {
        let same_family = |address: IpAddr| address.is_ipv4() == tried.is_ipv4();
        let at = match self.at {
            None => Admits::Yes,
            Some(at) if !same_family(at) => Admits::No,
            Some(at) if at.is_unspecified() || at == tried => Admits::Yes,
            // Behind what address the host sees us knock is not known: NAT.
            Some(_) => Admits::Unknown,
        };
        let from = match &self.from {
            None => Admits::Yes,
            Some(nets) => {
                let nets: Vec<_> = nets.iter().filter(|net| same_family(net.addr())).collect();
                match ours {
                    _ if nets.iter().any(|net| net.prefix_len() == 0) => Admits::Yes,
                    Some(ours) if nets.iter().any(|net| net.contains(&ours)) => Admits::Yes,
                    None if !nets.is_empty() => Admits::Unknown,
                    _ => Admits::No,
                }
            }
        };
        at.min(from)
    }

    /// Who may, where not everybody may.
    pub(super) fn sources(&self) -> impl Iterator<Item = String> {
        self.from.iter().flatten().map(|net| match net.prefix_len() == net.max_prefix_len() {
            true => net.addr().to_string(),
            false => net.to_string(),
        })
    }
}

/// What the firewall's rules let in.
pub fn by_rules(openings: &[Opening]) -> Vec<Declaration> {
    openings
        .iter()
        .map(|opening| {
            let everybody = [true, false].into_iter().all(|ipv4| {
                opening.from.iter().any(|net| net.prefix_len() == 0 && net.addr().is_ipv4() == ipv4)
            });
            Declaration {
                ports: opening.ports,
                protocol: opening.protocol.as_str().to_owned(),
                from: (!everybody).then(|| opening.from.clone()),
                at: None,
                by: match opening.for_others.as_slice() {
                    _ if opening.ssh => "ssh".into(),
                    [] => "allow".into(),
                    others => format!("allow of {}", others.join(", ")),
                },
                of_others: !opening.for_others.is_empty(),
            }
        })
        .collect()
}

/// Where no rules are asked for: ssh, and what the stack publishes for others.
pub fn by_compose(facts: &Facts, project: Option<&Project>) -> Vec<Declaration> {
    let mut declared: Vec<_> = facts
        .ssh_ports()
        .into_iter()
        .map(|port| declaration(port, port, "tcp", None, "ssh".into()))
        .collect();
    let Some(project) = project else { return declared };
    for service in project.enabled() {
        let by = format!("{} ({})", project.file, service.name);
        for port in service.ports.iter().filter(|port| !port.host_ip.is_some_and(|ip| ip.is_loopback())) {
            let protocol = port.protocol.to_string();
            if let Some(published) = port.published {
                let declaration =
                    declaration(published.first, published.last, &protocol, port.host_ip, by.clone());
                declared.push(declaration);
                continue;
            }
            // Docker has picked one.
            let picked = facts.published.iter().filter(|each| {
                is_of(each, project, service)
                    && each.protocol == protocol
                    && (port.target.first..=port.target.last).contains(&each.target)
            });
            declared.extend(
                picked.map(|each| declaration(each.port, each.port, &protocol, port.host_ip, by.clone())),
            );
        }
    }
    declared
}

fn is_of(published: &crate::facts::Published, project: &Project, service: &Service) -> bool {
    published.project == project.name && published.service == service.name
}

fn declaration(first: u16, last: u16, protocol: &str, at: Option<IpAddr>, by: String) -> Declaration {
    Declaration {
        ports: PortRange { first, last },
        protocol: protocol.to_owned(),
        from: None,
        at,
        by,
        of_others: false,
    }
}
