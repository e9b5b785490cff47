//! Who is let in: networks and addresses, as a person writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct SourceNet(pub IpNet);

impl TryFrom<String> for SourceNet {
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

impl From<SourceNet> for String {
    fn from(source: SourceNet) -> Self {
        source.to_string()
    }
}

impl fmt::Display for SourceNet {
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
