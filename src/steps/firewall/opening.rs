//! What is let in once the ports of ssh and the wishes of other stacks are known.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use super::options::{Allow, FirewallOptions};
use super::port::{PortName, Transport};
use super::source::{SourceNet, anybody};
use crate::stack::compose::PortRange;
use crate::steps::Claims;

/// Ports that are let in, with their numbers known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// The ports.
    #[serde(serialize_with = "as_text")]
    pub ports: PortRange,
    /// The transport protocol.
    pub protocol: Transport,
    /// The networks that may connect; see [`Opening::is_public`].
    #[serde(serialize_with = "as_texts")]
    pub from: Vec<IpNet>,
    /// Whether it is a port of ssh.
    pub ssh: bool,
    /// Whether only containers of this host may, through Docker's bridges.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub containers: bool,
    /// Other stacks that ask for it, where this one does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub for_others: Vec<String>,
}

fn as_text<S: Serializer>(value: &PortRange, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_texts<S: Serializer>(values: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|net| SourceNet(*net).to_string()))
}

impl Opening {
    /// Whether this port is among them.
    pub fn covers(&self, port: u16, protocol: &str) -> bool {
        (self.ports.first..=self.ports.last).contains(&port) && self.protocol.as_str() == protocol
    }

    fn admit(&mut self, networks: Vec<IpNet>) {
        for net in networks {
            if !self.from.contains(&net) {
                self.from.push(net);
            }
        }
    }

    /// Networks in their order, without those that lie in others.
    fn tidy(&mut self) {
        let all = self.from.clone();
        self.from.retain(|net| !all.iter().any(|other| other != net && other.contains(net)));
        self.from.sort_unstable();
        self.from.dedup();
    }

    /// Whether connections from this address are let in.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.from.iter().any(|net| net.contains(&address))
    }

    /// The networks that may connect, for display; empty if everyone may, in both families.
    pub fn narrowed_to(&self) -> Vec<String> {
        if anybody().iter().all(|net| self.from.contains(net)) {
            return Vec::new();
        }
        self.from.iter().map(|net| SourceNet(*net).to_string()).collect()
    }

    /// Whether everybody is let in, of one family at least.
    pub fn is_public(&self) -> bool {
        !self.containers && self.from.iter().any(|net| net.prefix_len() == 0)
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol.as_str())?;
        if self.ssh {
            f.write_str(" (ssh)")?;
        }
        match self.narrowed_to().as_slice() {
            [] if self.containers => f.write_str(" from containers")?,
            from if self.containers => write!(f, " from containers ({})", from.join(", "))?,
            [] => {}
            from => write!(f, " from {}", from.join(", "))?,
        }
        match self.for_others.as_slice() {
            [] => Ok(()),
            others => write!(f, " for {}", others.join(", ")),
        }
    }
}

impl FirewallOptions {
    /// What this stack lets in on a host whose sshd has these ports. Empty where it asks for nothing.
    pub fn openings(&self, ssh_ports: &[u16]) -> Vec<Opening> {
        self.allow.as_deref().map_or_else(Vec::new, |allow| union(&[(None, allow)], ssh_ports))
    }

    /// What is let in with all that others on the host ask for. None where the firewall is left as it is.
    pub fn openings_beside(&self, claims: &Claims, ssh_ports: &[u16]) -> Option<Vec<Opening>> {
        let others = allowed_by_others(claims);
        // Others have their say wherever this stack asks, has asked, or the host asks for itself.
        let withdraws = claims.recorded.firewall.allow.is_some() && !others.is_empty();
        if self.allow.is_none() && claims.host.firewall.allow.is_none() && !withdraws {
            return None;
        }
        let own = self.allow.as_deref().map(|allow| (None, allow));
        let asked: Vec<_> = own.into_iter().chain(others).collect();
        Some(union(&asked, ssh_ports))
    }

    /// What other stacks and the host let in, where this stack asks for nothing.
    pub fn openings_of_others(claims: &Claims, ssh_ports: &[u16]) -> Vec<Opening> {
        let asked = allowed_by_others(claims);
        match asked.is_empty() {
            true => Vec::new(),
            false => union(&asked, ssh_ports).into_iter().filter(|opening| !opening.ssh).collect(),
        }
    }
}

/// What other stacks and the host allow, with their names.
fn allowed_by_others(claims: &Claims) -> Vec<(Option<&str>, &[Allow])> {
    let others = claims.else_asked();
    others.filter_map(|(name, claim)| Some((Some(name), claim.firewall.allow.as_deref()?))).collect()
}

/// All that is asked for, by this stack (which has no name here) and by others: ports of ssh first,
/// then by their numbers, so that it is the same whoever looks.
fn union(asked: &[(Option<&str>, &[Allow])], ssh_ports: &[u16]) -> Vec<Opening> {
    let entries: Vec<_> =
        asked.iter().flat_map(|(who, allow)| allow.iter().map(move |entry| (*who, entry))).collect();
    let (ssh, others): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(_, entry)| is_ssh(entry, ssh_ports));
    let ssh: Vec<&Allow> = ssh.into_iter().map(|(_, entry)| entry).collect();
    let mut openings: Vec<_> = ssh_ports.iter().map(|port| ssh_opening(*port, &ssh)).collect();
    let mut rest = merged(&others);
    rest.sort_by_key(|opening| {
        (opening.ports.first, opening.ports.last, opening.protocol, opening.containers)
    });
    openings.append(&mut rest);
    for opening in &mut openings {
        opening.tidy();
    }
    openings
}

fn sources(entry: &Allow) -> Vec<IpNet> {
    match entry.from.as_slice() {
        [] => anybody(),
        from => from.iter().map(|source| source.0).collect(),
    }
}

fn is_ssh(entry: &Allow, ssh_ports: &[u16]) -> bool {
    match entry.port {
        PortName::Ssh => true,
        PortName::Ports(range) => {
            !entry.containers
                && entry.protocol == Transport::Tcp
                && range.first == range.last
                && ssh_ports.contains(&range.first)
        }
    }
}

/// A port of sshd, which is open whether or not an entry names it.
fn ssh_opening(port: u16, entries: &[&Allow]) -> Opening {
    let ports = PortRange { first: port, last: port };
    let mut opening = Opening {
        ports,
        protocol: Transport::Tcp,
        from: Vec::new(),
        ssh: true,
        containers: false,
        for_others: Vec::new(),
    };
    for entry in entries {
        if !matches!(entry.port, PortName::Ports(other) if other != ports) {
            opening.admit(sources(entry));
        }
    }
    if opening.from.is_empty() {
        opening.from = anybody();
    }
    opening
}

/// Entries for the same ports become one opening.
fn merged(entries: &[(Option<&str>, &Allow)]) -> Vec<Opening> {
    let mut openings: Vec<Opening> = Vec::new();
    for (who, entry) in entries {
        let PortName::Ports(ports) = entry.port else { continue };
        let same = |opening: &&mut Opening| {
            opening.ports == ports
                && opening.protocol == entry.protocol
                && opening.containers == entry.containers
        };
        let who = who.map(str::to_owned);
        match openings.iter_mut().find(same) {
            Some(opening) => {
                opening.admit(sources(entry));
                // This stack's own come first.
                if let (Some(who), false) = (who, opening.for_others.is_empty())
                    && !opening.for_others.contains(&who)
                {
                    opening.for_others.push(who);
                }
            }
            None => openings.push(Opening {
                ports,
                protocol: entry.protocol,
                from: sources(entry),
                ssh: false,
                containers: entry.containers,
                for_others: who.into_iter().collect(),
            }),
        }
    }
    openings
}
