//! What a person should know of the ports that a stack publishes.

use super::Stack;
use crate::stack::compose::{Port, PortRange};
use crate::steps::firewall::Opening;

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
    (first..=last).all(|number| openings.iter().any(|opening| opening.covers(number, &protocol)))
}
