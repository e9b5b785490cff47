//! Which ports a change opens or closes, for which networks, and what listens there.

use super::containers::CHAIN;
use super::forwards::Forward;
use super::host::{HostRules, families, loaded};
use super::opening::Opening;
use super::ufw::Present;
use super::{Firewall, forwards};
use crate::facts::Facts;
use crate::plan::Risk;
use crate::stack::compose::PortRange;
use crate::steps::Model;

impl Firewall {
    /// The ports that are open afterwards, for everyone or for some networks, and what listens there.
    pub(super) fn lets_in(&self, facts: &Facts, openings: &[Opening]) -> Vec<Risk> {
        let forwards = forwards::read(facts);
        openings
            .iter()
            .map(|opening| Risk::LetsIn {
                port: format!("{}/{}", opening.ports, opening.protocol.as_str()),
                from: match (opening.containers, opening.narrowed_to()) {
                    (true, from) if from.is_empty() => vec!["containers".into()],
                    (true, from) => vec![format!("containers ({})", from.join(", "))],
                    (false, from) => from,
                },
                behind: self.behind(facts, &forwards, opening),
            })
            .collect()
    }

    /// Who answers at these ports, or will.
    fn behind(&self, facts: &Facts, forwards: &[Forward], opening: &Opening) -> Vec<String> {
        let mut behind = Vec::new();
        let mut add = |name: String| {
            if !name.is_empty() && !behind.contains(&name) {
                behind.push(name);
            }
        };
        for port in &facts.published {
            if opening.covers(port.port, &port.protocol) && port.is_open() {
                add(port.owner());
            }
        }
        for (project, service) in self
            .project
            .iter()
            .flat_map(|project| project.enabled().map(move |service| (&project.name, service)))
        {
            let publishes = service.ports.iter().any(|port| {
                let ports = port.published.filter(|ports| ports.overlaps(opening.ports));
                ports.is_some() && opening.protocol.is(port.protocol)
            });
            if publishes {
                add(format!("{} ({project})", service.name));
            }
        }
        for forward in forwards {
            let mut ports = forward.ports.iter();
            if forward.protocol == opening.protocol.as_str() && ports.any(|each| each.overlaps(opening.ports))
            {
                add(forward.behind());
            }
        }
        for socket in &facts.listening {
            let is_dockers = facts.published.iter().any(|port| {
                port.port == socket.port && port.protocol == socket.protocol && socket.process == "dockerd"
            });
            if opening.covers(socket.port, &socket.protocol)
                && socket.is_open()
                && socket.process != "docker-proxy"
                && !is_dockers
            {
                add(socket.process.clone());
            }
        }
        behind
    }

    /// What answers from outside now and will not any more.
    pub(super) fn shuts_out(&self, model: &Model, openings: &[Opening], host: &HostRules) -> Vec<Shut> {
        let facts = &model.facts;
        let ruled = is_ruled(facts);
        let let_in = |port: u16, protocol: &str| {
            host.all().any(|rule| rule.ours && rule.lets_in() && rule.covers(port, protocol))
        };
        let stays = |port: u16, protocol: &str| openings.iter().any(|each| each.covers(port, protocol));
        let by_hand = |port: u16, protocol: &str| {
            host.by_hand().any(|rule| rule.plain && rule.lets_in() && rule.covers(port, protocol))
        };
        let opened = |port: u16, protocol: &str| {
            let mut allowed = model.claims.recorded.firewall.allow.iter().flatten();
            allowed.any(|entry| entry.protocol.as_str() == protocol && entry.port.covers(port))
        };
        let mut shut: Vec<Shut> = Vec::new();
        let mut add = |ports: PortRange, protocol: &str, behind: String, others: bool| {
            if !shut.iter().any(|other| other.ports == ports && other.protocol == protocol) {
                let mut named = ports.first..=ports.last;
                let asked = named.all(|port| self.options.shut.iter().any(|name| name.covers(port)));
                shut.push(Shut { ports, protocol: protocol.to_owned(), behind, refused: others && !asked });
            }
        };
        let single = |port: u16| PortRange { first: port, last: port };
        for port in facts.published.iter().filter(|port| port.is_open()) {
            if (!ruled || let_in(port.port, &port.protocol)) && !stays(port.port, &port.protocol) {
                // A port that this stack has opened may still be another project's.
                let others = port.project.is_empty() || port.project != model.claims.stack();
                add(single(port.port), &port.protocol, port.owner(), others);
            }
        }
        for forward in forwards::read(facts) {
            for ports in &forward.ports {
                let both = |is: &dyn Fn(u16, &str) -> bool| {
                    is(ports.first, &forward.protocol) && is(ports.last, &forward.protocol)
                };
                if (!ruled || both(&let_in)) && !both(&stays) {
                    add(*ports, &forward.protocol, forward.behind(), true);
                }
            }
        }
        for socket in facts.listening.iter().filter(|socket| socket.is_open()) {
            let is_container = facts.published.iter().any(|port| port.port == socket.port);
            if (!host.active || let_in(socket.port, &socket.protocol))
                && !stays(socket.port, &socket.protocol)
                && !by_hand(socket.port, &socket.protocol)
                && !is_container
            {
                // This stack may close a port of a host program that it opened itself.
                let others = !serves_no_client(socket.port, &socket.protocol)
                    && !opened(socket.port, &socket.protocol);
                add(single(socket.port), &socket.protocol, socket.process.clone(), others);
            }
        }
        shut.extend(narrowed(facts, openings, host));
        shut.sort();
        shut
    }
}

/// Ports that everyone reaches now, and afterwards only the networks in `from`.
fn narrowed(facts: &Facts, openings: &[Opening], host: &HostRules) -> Vec<Shut> {
    let ruled = is_ruled(facts);
    let is_public = |port: u16, protocol: &str, ours: bool| {
        let admits = |rule: &&Present| rule.lets_in() && rule.plain && rule.covers(port, protocol);
        let everyone = |rule: &Present| rule.source.is_some_and(|net| net.prefix_len() == 0);
        host.all().filter(|rule| rule.ours == ours).filter(admits).any(everyone)
    };
    let mut shut: Vec<Shut> = Vec::new();
    let mut add = |port: u16, protocol: &str, behind: String| {
        let own = openings.iter().filter(|each| !each.containers && each.covers(port, protocol));
        let own: Vec<_> = own.collect();
        let known = shut.iter().any(|other| other.ports.first == port && other.protocol == protocol);
        if own.is_empty() || own.iter().any(|each| each.is_public()) || known {
            return;
        }
        let from: Vec<_> = own.iter().flat_map(|each| each.narrowed_to()).collect();
        let except = format!("except from {}", from.join(", "));
        let behind = if behind.is_empty() { except } else { format!("{behind}, {except}") };
        let ports = PortRange { first: port, last: port };
        shut.push(Shut { ports, protocol: protocol.to_owned(), behind, refused: false });
    };
    for port in facts.published.iter().filter(|port| port.is_open()) {
        if !ruled || is_public(port.port, &port.protocol, true) {
            add(port.port, &port.protocol, port.owner());
        }
    }
    for socket in facts.listening.iter().filter(|socket| socket.is_open()) {
        let (port, protocol) = (socket.port, socket.protocol.as_str());
        if (!host.active || is_public(port, protocol, true)) && !is_public(port, protocol, false) {
            add(port, protocol, socket.process.clone());
        }
    }
    shut
}

/// Whether our rules for containers are loaded. Then a port of theirs is open only where one of our
/// rules says so.
pub(super) fn is_ruled(facts: &Facts) -> bool {
    families(facts).any(|family| loaded(facts, family, "mangle", &format!("-A FORWARD -j {CHAIN}")))
}

/// Ports that answer now and will not any more.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shut {
    pub(super) ports: PortRange,
    pub(super) protocol: String,
    /// Who answers there.
    pub(super) behind: String,
    /// Whether it belongs to another stack or program, and `shut` does not name it.
    pub(super) refused: bool,
}

impl Shut {
    pub(super) fn risk(&self) -> Risk {
        Risk::ShutsOut { port: self.name(), behind: self.behind.clone() }
    }

    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.ports, self.protocol)
    }
}

/// Ports at which the base system listens and that serve no clients from outside: the
/// port mapper by itself, clients of DHCP and NTP, names in the local network.
fn serves_no_client(port: u16, protocol: &str) -> bool {
    matches!((port, protocol), (111 | 5355, _) | (68 | 123 | 546 | 5353, "udp"))
}
