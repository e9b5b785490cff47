//! Where an address leads, and whether a registry's word may lead there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reference::loopback;

/// Scheme, host and port of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub scheme: String,
    /// In lower case, without a port; an IPv6 address in brackets.
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// From an address such as `https://HOST:PORT/…`; none where it is no plain one of http or https.
    pub fn of(url: &str) -> Option<Origin> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match authority.get(end..)?.split_once(':') {
            Some((_, port)) => (authority.strip_suffix(port)?.strip_suffix(':')?, port.parse().ok()?),
            None => (authority, default),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        (!host.is_empty() && host.chars().all(plain)).then_some(Origin { scheme, host, port })
    }

    /// Whether nothing on the way can read what is sent there: it is encrypted, or does not leave
    /// this computer.
    pub fn is_private_talk(&self) -> bool {
        self.scheme == "https" || loopback(&self.host)
    }

    /// `host[:port]`, as short as it can be.
    pub fn shown(&self) -> String {
        match (self.scheme.as_str(), self.port) {
            ("https", 443) | ("http", 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// How far away an address must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Wherever it is: a person has named it.
    Anywhere,
    /// In a private network at the nearest: a registry that is in one has named it.
    Network,
    /// In the Internet: a registry has named it.
    Internet,
}

impl Reach {
    /// Whether an address may be spoken to.
    pub fn admits(self, address: IpAddr) -> bool {
        match self {
            Reach::Anywhere => true,
            Reach::Network => !is_here(address),
            Reach::Internet => !is_here(address) && !is_private(address),
        }
    }
}

/// The address that is really meant: IPv4 written as IPv6 is IPv4.
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        // NAT64, and IPv4-compatible ones.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => embedded(high, low),
        // 6to4
        [0x2002, high, low, ..] => embedded(high, low),
        _ => v6.to_canonical(),
    }
}

fn embedded(high: u16, low: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// This computer, its wire, and what answers to all or to many.
fn is_here(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_multicast()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.segments()[0] & 0xffc0 == 0xfe80
        }
    }
}

/// Networks that are not the Internet.
pub(super) fn is_private(address: IpAddr) -> bool {
    match canonical(address) {
        // The last is RFC 6598, which providers and Tailscale use.
        IpAddr::V4(v4) => v4.is_private() || matches!(v4.octets(), [100, 64..=127, ..]),
        IpAddr::V6(v6) => is_local_v6(v6),
    }
}

/// Unique local (fc00::/7) and, long ago, site local (fec0::/10).
fn is_local_v6(v6: Ipv6Addr) -> bool {
    v6.segments()[0] & 0xfe00 == 0xfc00 || v6.segments()[0] & 0xffc0 == 0xfec0
}

/// An address behind another, as `Location` has it; none where it is not one.
pub(super) fn joined(base: &str, location: &str) -> Option<String> {
    let origin = Origin::of(base)?;
    let root = format!("{}://{}", origin.scheme, origin.shown());
    let location = location.split('#').next().unwrap_or_default();
    if location.contains(|c: char| c.is_control() || c == ' ' || c == '\\') {
        return None;
    }
    if let Some(rest) = location.strip_prefix("//") {
        return Some(format!("{}://{rest}", origin.scheme));
    }
    if location.starts_with('/') {
        return Some(format!("{root}{location}"));
    }
    let is_whole = location.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
    if is_whole {
        return Some(location.to_owned());
    }
    let path = base.split_once("://")?.1.split(['?', '#']).next()?;
    let folder = path.find('/').map_or("/", |slash| path.get(slash..).unwrap_or("/"));
    let folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("{root}{folder}/{location}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let shown = |url: &str| Origin::of(url).map(|o| format!("{} {} {}", o.scheme, o.host, o.port));
        for (url, expected) in [
            ("https://Reg.Example/v2/", Some("https reg.example 443")),
            ("http://reg.example:5000", Some("http reg.example 5000")),
            ("HTTP://reg.example.?a", Some("http reg.example 80")),
            ("https://[::1]:5000/x", Some("https [::1] 5000")),
            ("https://[::1]", Some("https [::1] 443")),
            ("https://user:pw@reg.example/", None),
            ("https://a@127.0.0.1:80/", None),
            ("https:///x", None),
            ("https://reg.example:99999/", None),
            ("https://reg example/", None),
            ("https://reg.example\\@127.0.0.1/", Some("https reg.example 443")),
            ("file:///etc/passwd", None),
            ("gopher://x", None),
            ("/token", None),
            ("", None),
        ] {
            assert_eq!(shown(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn what_is_near() {
        for (address, network, internet) in [
            ("127.0.0.1", false, false),
            ("127.8.8.8", false, false),
            ("0.0.0.0", false, false),
            ("169.254.169.254", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("::1", false, false),
            ("::", false, false),
            ("fe80::1", false, false),
            ("ff02::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("64:ff9b::7f00:1", false, false),
            ("2002:7f00:1::", false, false),
            ("10.1.2.3", true, false),
            ("172.16.0.1", true, false),
            ("192.168.1.1", true, false),
            ("100.64.0.1", true, false),
            ("fd00::1", true, false),
            ("::ffff:10.0.0.1", true, false),
            ("64:ff9b::a00:1", true, false),
            ("1.1.1.1", true, true),
            ("2606:4700::1111", true, true),
            ("172.32.0.1", true, true),
        ] {
            let ip: IpAddr = address.parse().expect(address);
            assert_eq!(
                (Reach::Network.admits(ip), Reach::Internet.admits(ip), Reach::Anywhere.admits(ip)),
                (network, internet, true),
                "{address}"
            );
        }
    }

    #[test]
    fn where_a_location_leads() {
        let base = "https://reg.example:5000/v2/a/manifests/x?y=/z";
        for (location, expected) in [
            ("/b?c=d", Some("https://reg.example:5000/b?c=d")),
            ("//cdn.example/b", Some("https://cdn.example/b")),
            ("https://cdn.example/b#part", Some("https://cdn.example/b")),
            ("http://x", Some("http://x")),
            ("b", Some("https://reg.example:5000/v2/a/manifests/b")),
            ("?b", Some("https://reg.example:5000/v2/a/manifests/?b")),
            ("javascript:alert(1)", Some("javascript:alert(1)")),
            ("/a b", None),
            ("/a\r\nb", None),
        ] {
            assert_eq!(joined(base, location).as_deref(), expected, "{location}");
        }
        assert_eq!(joined("https://reg.example", "b").as_deref(), Some("https://reg.example/b"));
    }
}
