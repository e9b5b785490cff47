//! What a person writes below `[steps.firewall]`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::port::{PortName, Transport};
use super::source::SourceNet;

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
    pub from: Vec<SourceNet>,
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
    from: Vec<SourceNet>,
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
