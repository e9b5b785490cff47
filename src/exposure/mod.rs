//! What of a host is reached from here, held against what is declared.
//!
//! [`declared`] says what ought to be reached, [`knock`] makes the connections, and [`judge`]
//! holds the two against each other. Only [`knock`] does input or output.

mod declared;
mod judge;
mod knock;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::{Serialize, Serializer};

pub use declared::{Declaration, by_compose, by_rules};
pub use judge::{judge, ports};
pub use knock::{Knocked, Knocker, Ports, choose, resolve};

use crate::stack::compose::PortRange;

/// What of a host is reached from here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exposure {
    /// How far IPv4 could be tried.
    pub ipv4: Tried,
    /// How far IPv6 could be tried.
    pub ipv6: Tried,
    /// The ports that listen, are declared, or are reached: findings first.
    pub rows: Vec<Row>,
    /// How many other ports were tried, of which none is reached.
    pub others: usize,
}

/// How far a family of addresses could be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The address that was tried; none where none is known.
    pub address: Option<IpAddr>,
    /// What came of it.
    pub state: PortState,
}

/// What came of trying a family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// The host answers there.
    Answers,
    /// Nothing answered, on no port: what is reached there is not known.
    NoAnswer,
    /// Connections are made on every port, even where nothing listens: something on the way answers.
    Intercepted,
    /// There is no way from here to addresses of this family.
    NoRoute,
    /// The host has no address of this family that could be tried from here.
    NoAddress,
}

/// A port, or several in a row on which nothing listens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// `8080`, `8000-8010`.
    #[serde(serialize_with = "as_text")]
    pub ports: PortRange,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Who answers there on the host: containers (`web (three)`) and processes (`sshd`).
    pub owners: Vec<String>,
    /// Whether it listens for the host itself alone.
    pub loopback: bool,
    /// What declares it: `ssh`, `allow`, `compose.yaml (web)`.
    pub declared: Vec<String>,
    /// Who may, where not everybody may: `10.0.0.0/8`.
    pub from: Vec<String>,
    /// What came of trying it over IPv4; none where it was not tried or the family could not be.
    pub ipv4: Option<Answer>,
    /// The same over IPv6.
    pub ipv6: Option<Answer>,
    /// How the two fit together.
    pub verdict: Verdict,
}

/// What came of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was made.
    Reachable,
    /// It was actively refused.
    Refused,
    /// Nothing came back.
    NoAnswer,
}

/// How what is declared and what is reached fit together; the first are the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is reached, and was not declared for us.
    Undeclared,
    /// It is declared and listens, and is not reached.
    Blocked,
    /// It is declared, and nothing listens there.
    NothingListens,
    /// It is reached, as declared.
    AsDeclared,
    /// It is neither reached nor declared for us.
    Closed,
    /// It cannot be tried from here: UDP, or a family without an answer.
    NotTried,
}

impl Verdict {
    /// Whether it is declared and not reached.
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Blocked | Self::NothingListens)
    }

    /// Whether it is something to mend.
    pub fn is_finding(self) -> bool {
        self == Self::Undeclared || self.is_missing()
    }
}

impl Exposure {
    /// What is reached and was not declared.
    pub fn undeclared(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.verdict == Verdict::Undeclared)
    }

    /// What is declared and not reached.
    pub fn missing(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.verdict.is_missing())
    }
}

impl Row {
    /// `8080/tcp`.
    pub fn port(&self) -> String {
        format!("{}/{}", self.ports, self.protocol)
    }
}

fn as_text<S: Serializer>(value: &PortRange, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Whether an address has a meaning only in somebody's own network.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}
