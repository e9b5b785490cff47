//! Published ports, in Compose's short and long form.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use super::scalar::Scalar;
use super::yaml::{Node, Value};
use super::{ComposeError, invalid};

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// One port or several in a row, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port; equal to the first for a single one.
    pub last: u16,
}

impl PortRange {
    /// How many ports there are.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// Whether two ranges share a port.
    #[must_use]
    pub fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// A container's port that is published on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    /// The address that it is bound to; `None` means every address.
    pub host_ip: Option<IpAddr>,
    /// The port on the host; `None` means that Docker picks a free one.
    /// Longer than `target` when Docker may pick one out of a range.
    pub published: Option<PortRange>,
    /// The port in the container.
    pub target: PortRange,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl Port {
    /// Whether it is bound to every address, IPv4 or IPv6.
    #[must_use]
    pub fn all_addresses(&self) -> bool {
        self.host_ip.is_none_or(|ip| ip.is_unspecified())
    }

    /// Whether the host's ports are fixed, rather than picked by Docker.
    #[must_use]
    pub fn fixed(&self) -> bool {
        self.published.is_some_and(|p| p.count() == self.target.count())
    }

    /// Whether both cannot be bound at the same time.
    #[must_use]
    pub fn collides(&self, other: &Port) -> bool {
        let (Some(mine), Some(theirs)) = (self.published, other.published) else {
            return false;
        };
        self.fixed()
            && other.fixed()
            && self.protocol == other.protocol
            && same_address(self.host_ip, other.host_ip)
            && mine.overlaps(theirs)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            None => {}
        }
        match self.published {
            Some(published) => write!(f, "{published}:")?,
            None if self.host_ip.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}/{}", self.target, self.protocol)
    }
}

/// Whether two bindings share an address. IPv4 and IPv6 are apart, but a binding
/// without an address takes both.
fn same_address(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
}

const FORMS: &str =
    "write \"8080:80\", \"127.0.0.1:8080:80\", \"[::1]:8080:80\" or \"8080:80/udp\", in quotes";

/// Reads one entry of `ports`.
pub(super) fn port(node: &Node) -> Result<Port, ComposeError> {
    let (what, remedy) = match &node.value {
        Value::Scalar { text, .. } => match short(&number_or(node, text)) {
            Ok(port) => return Ok(port),
            Err(problem) => (format!("port {text:?} {problem}"), FORMS),
        },
        Value::Map(_) => match long(node) {
            Ok(port) => return Ok(port),
            Err(problem) => (problem, "write for example `target: 80` and `published: \"8080\"`"),
        },
        _ => (format!("a port cannot be {}", node.kind()), FORMS),
    };
    Err(invalid(&node.place, what, remedy))
}

/// A number as YAML has it (`0x50`, `0120`), or the text.
fn number_or<'a>(node: &Node, text: &'a str) -> Cow<'a, str> {
    match node.scalar() {
        Some(Scalar::Integer) => node.integer().map_or(text.into(), |number| number.to_string().into()),
        _ => text.into(),
    }
}

fn short(text: &str) -> Result<Port, &'static str> {
    let (rest, protocol) = match text.split_once('/') {
        Some((rest, "")) => (rest, Protocol::Tcp),
        Some((rest, name)) => (rest, protocol(name)?),
        None => (text, Protocol::Tcp),
    };
    let (front, target) = match rest.rsplit_once(':') {
        Some((front, target)) => (Some(front), target),
        None => (None, rest),
    };
    let target = range(target)?;
    let (host_ip, published) = match front.map(|f| f.rsplit_once(':')) {
        None => (None, None),
        Some(None) => (None, published(front.unwrap_or_default())?),
        Some(Some((ip, port))) => {
            let bare = ip.contains(':') && !ip.starts_with('[');
            let ip = match ip {
                // A variable that is blank: on every address.
                "" => None,
                _ if bare => return Err("needs brackets around the IPv6 address"),
                ip => Some(address(ip)?),
            };
            (ip, published(port)?)
        }
    };
    checked(Port { host_ip, published, target, protocol })
}

fn long(node: &Node) -> Result<Port, String> {
    let text = |key: &str| node.get(key).and_then(Node::text).filter(|t| !t.is_empty());
    let within = |key: &str, problem: &str| format!("{key} {:?} {problem}", text(key).unwrap_or(""));
    let Some(target) = text("target") else {
        return Err("a port needs the key `target`, the port in the container".into());
    };
    let whole = node.get("target").and_then(Node::whole).map(|number| number.to_string());
    let inside = whole.as_deref().unwrap_or(target);
    let outside = text("published").unwrap_or_default();
    let outside = node.get("published").map_or_else(|| outside.into(), |given| number_or(given, outside));
    let port = Port {
        host_ip: text("host_ip").map(address).transpose().map_err(|p| within("host_ip", p))?,
        published: published(&outside).map_err(|p| within("published", p))?,
        target: range(inside)
            .and_then(|r| if r.count() == 1 { Ok(r) } else { Err("is more than one port") })
            .map_err(|p| within("target", p))?,
        protocol: protocol(text("protocol").unwrap_or("tcp")).map_err(|p| within("protocol", p))?,
    };
    checked(port).map_err(|p| format!("port {target:?} {p}"))
}

fn checked(port: Port) -> Result<Port, &'static str> {
    match port.published {
        Some(published) if published.count() != port.target.count() && port.target.count() > 1 => {
            Err("has two ranges of different lengths")
        }
        _ => Ok(port),
    }
}

/// Port 0 and no port at all both leave the choice to Docker.
fn published(text: &str) -> Result<Option<PortRange>, &'static str> {
    match text {
        "" | "0" => Ok(None),
        text => range(text).map(Some),
    }
}

fn range(text: &str) -> Result<PortRange, &'static str> {
    let number = |s: &str| match s.bytes().all(|b| b.is_ascii_digit()) {
        true => s.parse::<u16>().ok().filter(|n| *n > 0),
        false => None,
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(PortRange { first, last }),
        (Some(_), Some(_)) => Err("has a range that runs backwards"),
        _ => Err("is not a port between 1 and 65535"),
    }
}

fn address(text: &str) -> Result<IpAddr, &'static str> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "does not start with an IP address")
}

fn protocol(name: &str) -> Result<Protocol, &'static str> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err("names a protocol other than tcp, udp or sctp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form() {
        let table = [
            ("80", "80/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("8080:80/udp", "8080:80/udp"),
            ("8080:80/UDP", "8080:80/udp"),
            ("80/sctp", "80/sctp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
            ("127.0.0.1::80", "127.0.0.1::80/tcp"),
            (":80", "80/tcp"),
            ("0:80", "80/tcp"),
            ("[::1]:8080:80", "[::1]:8080:80/tcp"),
            ("::1:8080:80", "needs brackets around the IPv6 address"),
            ("80:80/", "80:80/tcp"),
            ("0.0.0.0:80:80", "0.0.0.0:80:80/tcp"),
            ("3000-3005", "3000-3005/tcp"),
            ("9090-9091:8080-8081", "9090-9091:8080-8081/tcp"),
            ("8000-9000:80", "8000-9000:80/tcp"),
            ("65535:1", "65535:1/tcp"),
            ("", "is not a port between 1 and 65535"),
            ("x", "is not a port between 1 and 65535"),
            ("65536", "is not a port between 1 and 65535"),
            ("80:0", "is not a port between 1 and 65535"),
            ("+80:80", "is not a port between 1 and 65535"),
            ("80:", "is not a port between 1 and 65535"),
            ("80:80:80", "does not start with an IP address"),
            ("localhost:80:80", "does not start with an IP address"),
            ("90-80:1", "has a range that runs backwards"),
            ("80-82:80-81", "has two ranges of different lengths"),
            ("80:80-81", "has two ranges of different lengths"),
            ("80:80/http", "names a protocol other than tcp, udp or sctp"),
        ];
        for (text, expected) in table {
            let shown = short(text).map_or_else(str::to_owned, |p| p.to_string());
            assert_eq!(shown, expected, "{text:?}");
        }
    }

    #[test]
    fn collisions() {
        let table = [
            ("80:80", "80:81", true),
            ("80:80", "80:80/udp", false),
            ("80:80", "127.0.0.1:80:80", true),
            ("80:80", "[::1]:80:80", true),
            ("0.0.0.0:80:80", "[::]:80:80", false),
            ("0.0.0.0:80:80", "10.0.0.1:80:80", true),
            ("127.0.0.1:80:80", "127.0.0.2:80:80", false),
            ("80-82:80-82", "82:1", true),
            ("8000-9000:80", "8080:80", false),
            ("80", "80:80", false),
        ];
        for (a, b, expected) in table {
            let (a, b) = (short(a).unwrap(), short(b).unwrap());
            assert_eq!((a.collides(&b), b.collides(&a)), (expected, expected), "{a} {b}");
        }
    }
}
