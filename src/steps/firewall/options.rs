//! What a person writes below `[steps.firewall]`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stack::compose::{PortRange, Protocol};
use crate::steps::Claims;

/// What comes in. Without `allow` the firewall is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FirewallOptions {
    /// The ports that are let in, of the host and of its containers; everything else is not.
    /// The ports of ssh always are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Allow>>,
    /// Ports that others on the host serve now and that `allow` leaves out: they may be shut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shut: Vec<PortName>,
    /// How long a change of the rules waits for the proof that a new connection still
    /// succeeds, in seconds, from 5 to 3600; then the host sets itself back.
    #[serde(deserialize_with = "patience")]
    #[schemars(range(min = 5, max = 3600))]
    pub revert_after: u32,
}

/// Less than a connection needs always fails; more leaves somebody locked out for long.
fn patience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let seconds = i64::deserialize(deserializer)?;
    u32::try_from(seconds).ok().filter(|seconds| (5..=3600).contains(seconds)).ok_or_else(|| {
        D::Error::custom(format!("`{seconds}` is too short or too long; write 5 to 3600 seconds"))
    })
}

impl Default for FirewallOptions {
    fn default() -> Self {
        Self { allow: None, shut: Vec::new(), revert_after: 90 }
    }
}

/// A port that is let in: `443`, `"ssh"`, `"8000-8010"`, or a table with more to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// Which port or ports.
    pub port: PortName,
    /// The transport protocol.
    pub protocol: Transport,
    /// Who may: networks (`10.0.0.0/8`) and addresses; anybody unless told.
    pub from: Vec<Source>,
    /// Whether only containers of this host may, through Docker's bridges.
    pub containers: bool,
}

impl Serialize for Allow {
    /// As short as a person would write it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.protocol == Transport::Tcp && self.from.is_empty() && !self.containers {
            return self.port.serialize(serializer);
        }
        let mut table = serializer.serialize_struct("Allow", if self.containers { 4 } else { 3 })?;
        table.serialize_field("port", &self.port)?;
        table.serialize_field("protocol", &self.protocol)?;
        table.serialize_field("from", &self.from)?;
        if self.containers {
            table.serialize_field("containers", &true)?;
        }
        table.end()
    }
}

impl fmt::Display for Allow {
    /// As it stands in `allow`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.entry();
        if self.protocol == Transport::Tcp && self.from.is_empty() && !self.containers {
            return f.write_str(&port);
        }
        write!(f, "{{ port = {port}")?;
        if self.protocol != Transport::Tcp {
            write!(f, ", protocol = \"{}\"", self.protocol.as_str())?;
        }
        if !self.from.is_empty() {
            let from: Vec<_> = self.from.iter().map(|source| format!("\"{source}\"")).collect();
            write!(f, ", from = [{}]", from.join(", "))?;
        }
        if self.containers {
            f.write_str(", containers = true")?;
        }
        f.write_str(" }")
    }
}

/// A transport protocol that the firewall tells apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// As ufw, iptables and `/proc` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// The same in the words of a Compose file.
    pub fn is(self, protocol: Protocol) -> bool {
        self.as_str() == protocol.to_string()
    }
}

/// A port, several in a row, or a name for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortName {
    /// The ports on which the host's sshd is reached, whatever they are.
    Ssh,
    /// By number.
    Ports(PortRange),
}

/// Names that stand for a port, besides `ssh`.
const NAMES: [(&str, u16); 2] = [("http", 80), ("https", 443)];

impl PortName {
    /// Whether this port is among them. `ssh` is not known here.
    pub(super) fn covers(self, port: u16) -> bool {
        matches!(self, Self::Ports(range) if (range.first..=range.last).contains(&port))
    }

    /// Whether they have a port in common. `ssh` is not known here.
    pub(super) fn overlaps(self, other: PortRange) -> bool {
        matches!(self, Self::Ports(range) if range.overlaps(other))
    }

    /// As it stands in a list of ports.
    pub(super) fn entry(&self) -> String {
        match self {
            Self::Ports(range) if range.first == range.last => range.to_string(),
            name => format!("\"{name}\""),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no port; write a number from 1 to 65535, a range like \"8000-8010\", \
                 \"ssh\", \"http\" or \"https\""
            )
        };
        if text == "ssh" {
            return Ok(Self::Ssh);
        }
        if let Some((_, port)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(Self::Ports(PortRange { first: *port, last: *port }));
        }
        let number = |text: &str| text.trim().parse().ok().filter(|port: &u16| *port != 0).ok_or_else(wrong);
        let (first, last) = match text.split_once(['-', ':']) {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(text)?, number(text)?),
        };
        if first > last {
            return Err(wrong());
        }
        Ok(Self::Ports(PortRange { first, last }))
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh => f.write_str("ssh"),
            Self::Ports(range) => range.fmt(f),
        }
    }
}

impl Serialize for PortName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ports(range) if range.first == range.last => serializer.serialize_u16(range.first),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for PortName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Port;
        impl Visitor<'_> for Port {
            type Value = PortName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, a range like \"8000-8010\", or \"ssh\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<PortName, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<PortName, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PortName, E> {
                PortName::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Port)
    }
}

impl JsonSchema for PortName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port, several in a row (`\"8000-8010\"`), or `\"ssh\"`, `\"http\"`, `\"https\"`.",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "type": "string", "pattern": "^([0-9]+([-:][0-9]+)?|ssh|http|https)$" }
            ]
        })
    }
}

/// A network or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Source(pub IpNet);

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let net =
            text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                format!("`{text}` is no network; write it like `10.0.0.0/8`, `fd00::/8` or `203.0.113.7`")
            })?;
        if net.trunc() != net {
            return Err(format!("`{text}` is an address in a network; the network is `{}`", net.trunc()));
        }
        Ok(Self(net))
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.prefix_len() == self.0.max_prefix_len() {
            true => self.0.addr().fmt(f),
            false => self.0.fmt(f),
        }
    }
}

/// Everybody, in both families.
pub(super) fn anybody() -> Vec<IpNet> {
    vec![
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
    ]
}

/// The table form of [`Allow`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Which port or ports.
    port: PortName,
    /// The transport protocol: `tcp` unless told.
    #[serde(default)]
    protocol: Transport,
    /// Who may: networks (`10.0.0.0/8`) and addresses; anybody unless told.
    #[serde(default)]
    from: Vec<Source>,
    /// Whether only containers of this host may, through Docker's bridges.
    #[serde(default)]
    containers: bool,
}

impl<'de> Deserialize<'de> for Allow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Allow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a port like 443 or \"ssh\", or a table like { port = 443, from = [\"10.0.0.0/8\"] }",
                )
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Allow, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Allow, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Allow, E> {
                let port = PortName::parse(text).map_err(E::custom)?;
                Ok(Allow { port, protocol: Transport::Tcp, from: Vec::new(), containers: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Allow, A::Error> {
                let Table { port, protocol, from, containers } =
                    Table::deserialize(MapAccessDeserializer::new(map))?;
                if containers && port == PortName::Ssh {
                    return Err(A::Error::custom("`containers` is for other ports than ssh's"));
                }
                Ok(Allow { port, protocol, from, containers })
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl JsonSchema for Allow {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Allow".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (port, table) = (generator.subschema_for::<PortName>(), generator.subschema_for::<Table>());
        json_schema!({
            "description": "A port that is let in, alone or with its protocol and who may.",
            "anyOf": [port, table]
        })
    }
}

/// Ports that are let in, with their numbers known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// The ports.
    #[serde(serialize_with = "as_text")]
    pub ports: PortRange,
    /// The transport protocol.
    pub protocol: Transport,
    /// Who may; [`Opening::is_public`] where everybody may.
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
    serializer.collect_seq(values.iter().map(|net| Source(*net).to_string()))
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

    /// Whether somebody from there is let in.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.from.iter().any(|net| net.contains(&address))
    }

    /// Who may, for a person; empty where everybody may, of both families.
    pub fn narrowed_to(&self) -> Vec<String> {
        if anybody().iter().all(|net| self.from.contains(net)) {
            return Vec::new();
        }
        self.from.iter().map(|net| Source(*net).to_string()).collect()
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
    let sources = |entry: &Allow| match entry.from.as_slice() {
        [] => anybody(),
        from => from.iter().map(|source| source.0).collect(),
    };
    let is_ssh = |entry: &Allow| match entry.port {
        PortName::Ssh => true,
        PortName::Ports(range) => {
            !entry.containers
                && entry.protocol == Transport::Tcp
                && range.first == range.last
                && ssh_ports.contains(&range.first)
        }
    };
    let entries = || asked.iter().flat_map(|(who, allow)| allow.iter().map(move |entry| (*who, entry)));
    let mut openings: Vec<Opening> = Vec::new();
    for port in ssh_ports {
        let ports = PortRange { first: *port, last: *port };
        let mut opening = Opening {
            ports,
            protocol: Transport::Tcp,
            from: Vec::new(),
            ssh: true,
            containers: false,
            for_others: Vec::new(),
        };
        for (_, entry) in entries().filter(|(_, entry)| is_ssh(entry)) {
            if !matches!(entry.port, PortName::Ports(other) if other != ports) {
                opening.admit(sources(entry));
            }
        }
        if opening.from.is_empty() {
            opening.from = anybody();
        }
        openings.push(opening);
    }
    let ssh = openings.len();
    for (who, entry) in entries().filter(|(_, entry)| !is_ssh(entry)) {
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
    if let Some(rest) = openings.get_mut(ssh..) {
        rest.sort_by_key(|opening| {
            (opening.ports.first, opening.ports.last, opening.protocol, opening.containers)
        });
    }
    for opening in &mut openings {
        opening.tidy();
    }
    openings
}
