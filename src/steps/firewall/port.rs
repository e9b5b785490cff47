//! Ports and protocols, as a person writes them.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stack::compose::{PortRange, Protocol};

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

    pub(super) fn parse(text: &str) -> Result<Self, String> {
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
