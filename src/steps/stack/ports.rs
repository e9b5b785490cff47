//! What a person should know of the ports that a stack publishes.

use super::{STEP, Stack};
use crate::facts::{Listening, Published};
use crate::stack::compose::{Port, PortRange};
use crate::steps::firewall::Opening;
use crate::steps::{Model, Refusal};

/// Where databases listen in their containers, unless told otherwise.
const DATABASES: [(u16, &str); 10] = [
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5984, "CouchDB"),
    (6379, "Redis"),
    (9042, "Cassandra"),
    (9200, "Elasticsearch"),
    (11211, "Memcached"),
    (27017, "MongoDB"),
];

impl Stack {
    /// Ports that another program or container has: the start would fail when all else is done.
    pub(super) fn check_ports(&self, model: &Model) -> Result<(), Refusal> {
        let facts = &model.facts;
        let own = &self.input.project.name;
        let running: Vec<_> = facts
            .containers
            .iter()
            .filter(|container| container.project == *own && container.state == "running")
            .map(|container| container.service.as_str())
            .collect();
        let owner = |socket: &Listening| {
            facts.published.iter().find(|port| port.port == socket.port && port.protocol == socket.protocol)
        };
        // A container of this project may hold what another one of it takes over.
        let may_be_own = |socket: &Listening| {
            socket.process == "docker-proxy"
                && owner(socket).map_or(!running.is_empty(), |port| port.project == *own)
        };
        let taken: Vec<_> = self
            .services()
            // A service that runs has its ports itself; what it will have instead is Docker's to say.
            .filter(|service| !running.contains(&service.name.as_str()))
            .flat_map(|service| service.ports.iter().map(move |port| (service, port)))
            .filter(|(_, port)| port.fixed())
            .filter_map(|(service, port)| {
                let mut holders = facts.listening.iter().filter(|socket| holds(socket, port));
                let holder = holders.find(|socket| !may_be_own(socket))?;
                let by = taken_by(holder, owner(holder));
                Some(format!("{}/{} of {} is taken by {by}", holder.port, holder.protocol, service.name))
            })
            .collect();
        if taken.is_empty() || model.force {
            return Ok(());
        }
        Err(Refusal {
            step: STEP,
            what: "a port that the stack publishes is taken on the host; nothing was changed".into(),
            details: taken,
            hints: vec![
                format!("publish another one in {}, or stop that program", self.input.place()),
                "`--force` continues anyway".into(),
            ],
            findings: Vec::new(),
        })
    }

    /// Ports that are published for others and not let in, and databases that are published at all.
    pub(super) fn remarks_on_ports(&self, openings: Option<&[Opening]>) -> Vec<String> {
        let mut remarks = Vec::new();
        for service in self.services() {
            for port in service.ports.iter().filter(|port| !port.host_ip.is_some_and(|ip| ip.is_loopback())) {
                let name = &service.name;
                let shown = shown(port);
                let shut = openings.is_some_and(|openings| !is_let_in(port, openings));
                let database = DATABASES
                    .iter()
                    .find(|(number, _)| (port.target.first..=port.target.last).contains(number));
                let instead = "publish it on 127.0.0.1";
                match (database, shut) {
                    (Some((_, kind)), false) => remarks.push(format!(
                        "{name} publishes a database for others to reach: {kind} at {shown}; {instead}, or not at all"
                    )),
                    (Some((_, kind)), true) => remarks.push(format!(
                        "{name} publishes a database: {kind} at {shown}; only the firewall keeps others from it: \
                         {instead}, or not at all"
                    )),
                    (None, true) => remarks.push(format!(
                        "{name} publishes {shown} and the firewall does not let it in; {instead}, or add it to \
                         `allow` in [steps.firewall]"
                    )),
                    (None, false) => {}
                }
            }
        }
        remarks
    }
}

fn shown(port: &Port) -> String {
    let published = port.published.map_or_else(|| "a free port".into(), |range| range.to_string());
    format!("{published}/{}", port.protocol)
}

/// Whether each of its ports is let in for somebody.
fn is_let_in(port: &Port, openings: &[Opening]) -> bool {
    let Some(PortRange { first, last }) = port.published else { return false };
    let protocol = port.protocol.to_string();
    (first..=last)
        .all(|number| openings.iter().any(|opening| !opening.containers && opening.covers(number, &protocol)))
}

/// The program or container that has a socket.
fn taken_by(socket: &Listening, owner: Option<&Published>) -> String {
    match (socket.process.as_str(), owner) {
        ("docker-proxy", Some(port)) if port.project.is_empty() => {
            format!("the container {}", port.container)
        }
        ("docker-proxy", Some(port)) => {
            format!("the container {} (project {})", port.container, port.project)
        }
        ("docker-proxy", None) => "another container".into(),
        ("", _) => "another program".into(),
        (process, _) => process.to_owned(),
    }
}

/// Whether a socket is where a port is to be published.
fn holds(socket: &Listening, port: &Port) -> bool {
    let number = port.published.is_some_and(|range| (range.first..=range.last).contains(&socket.port));
    let everywhere = ["0.0.0.0", "::", "*"].contains(&socket.address.as_str());
    let address =
        everywhere || port.all_addresses() || port.host_ip.is_some_and(|ip| ip.to_string() == socket.address);
    number && address && socket.protocol == port.protocol.to_string()
}
