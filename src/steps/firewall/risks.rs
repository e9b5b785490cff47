//! Who may reach what behind the change, and what nobody reaches any more.

use super::Firewall;
use super::host::Host;
use super::options::Opening;
use crate::facts::Facts;
use crate::plan::Risk;

impl Firewall {
    /// What anybody or somebody may reach then, and what answers there.
    pub(super) fn lets_in(&self, facts: &Facts, openings: &[Opening]) -> Vec<Risk> {
        openings
            .iter()
            .map(|opening| Risk::LetsIn {
                port: format!("{}/{}", opening.ports, opening.protocol.as_str()),
                from: opening.narrowed_to(),
                behind: self.behind(facts, opening),
            })
            .collect()
    }

    /// Who answers at these ports, or will.
    fn behind(&self, facts: &Facts, opening: &Opening) -> Vec<String> {
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
    pub(super) fn shuts_out(
        &self,
        facts: &Facts,
        openings: &[Opening],
        host: &Host,
        ruled: bool,
    ) -> Vec<Risk> {
        let stays = |port: u16, protocol: &str| openings.iter().any(|each| each.covers(port, protocol));
        let by_hand = |port: u16, protocol: &str| {
            host.by_hand().any(|rule| rule.plain && rule.lets_in() && rule.covers(port, protocol))
        };
        let mut shut: Vec<(u16, String, String)> = Vec::new();
        let mut add = |port: u16, protocol: &str, behind: String| {
            if !shut.iter().any(|(other, of, _)| *other == port && of == protocol) {
                shut.push((port, protocol.to_owned(), behind));
            }
        };
        if !ruled {
            for port in &facts.published {
                if port.is_open() && !stays(port.port, &port.protocol) {
                    add(port.port, &port.protocol, port.owner());
                }
            }
        }
        if !host.active {
            for socket in facts.listening.iter().filter(|socket| socket.is_open()) {
                let is_container = facts.published.iter().any(|port| port.port == socket.port);
                if !stays(socket.port, &socket.protocol)
                    && !by_hand(socket.port, &socket.protocol)
                    && !is_container
                {
                    add(socket.port, &socket.protocol, socket.process.clone());
                }
            }
        }
        shut.sort();
        shut.into_iter()
            .map(|(port, protocol, behind)| Risk::ShutsOut { port: format!("{port}/{protocol}"), behind })
            .collect()
    }
}
