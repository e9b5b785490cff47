//! Where a stack is published, and whether it is reached from here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::session::Session;
use crate::report::Address;
use crate::stack::compose::{Port, Project, Protocol};
use crate::steps::Opening;

/// How long a published port may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long one that is reached may take to say whether it speaks TLS.
const TLS_PATIENCE: Duration = Duration::from_secs(1);

/// What stands behind an address that only the host itself reaches.
const HERE_ALONE: &str = " on the host itself";

/// Whom the firewall lets in, and who we are.
struct Doors {
    /// None where the firewall is left as it is.
    openings: Option<Vec<Opening>>,
    ours: Option<IpAddr>,
}

impl Doors {
    /// Whether the firewall keeps us from this port.
    fn are_closed(&self, number: u16, protocol: Protocol) -> bool {
        let admits =
            |opening: &Opening| opening.is_public() || self.ours.is_none_or(|ours| opening.admits(ours));
        let lets_in = |opening: &Opening| opening.covers(number, &protocol.to_string()) && admits(opening);
        self.openings.as_ref().is_some_and(|openings| !openings.iter().any(lets_in))
    }
}

/// Where the project is published on a host of that address; with `knock`, whether that is reached.
pub(super) async fn published(
    session: &Session<'_>,
    project: &Project,
    host: &str,
    knock: bool,
) -> Vec<Address> {
    let doors = &Doors { openings: session.openings(), ours: session.facts.identity.ssh_client };
    let ports = project
        .services
        .iter()
        .filter(|service| service.enabled)
        .flat_map(|service| service.ports.iter().map(move |port| (service.name.clone(), port)));
    join_all(ports.filter_map(|(service, port)| {
        let published = port.published.filter(|range| range.count() == port.target.count())?;
        Some(async move { address(service, port, published.first, host, knock, doors).await })
    }))
    .await
}

async fn address(
    service: String,
    port: &Port,
    number: u16,
    host: &str,
    knock: bool,
    doors: &Doors,
) -> Address {
    let loopback = port.host_ip.is_some_and(|ip| ip.is_loopback());
    let closed = !loopback && doors.are_closed(number, port.protocol);
    let at = match port.host_ip.filter(|ip| !ip.is_unspecified()) {
        Some(ip) => ip.to_string(),
        None => host.to_owned(),
    };
    let place = if at.contains(':') { format!("[{at}]:{number}") } else { format!("{at}:{number}") };
    let knocked = if knock && !loopback && !closed && port.protocol == Protocol::Tcp {
        Some(Knocked::at(&at, number).await)
    } else {
        None
    };
    let scheme = match knocked {
        Some(Knocked::Tls) => "https",
        None if number == 443 => "https",
        _ => "http",
    };
    let address = match port.protocol {
        Protocol::Tcp if loopback => format!("{scheme}://{place}{HERE_ALONE}"),
        Protocol::Tcp => format!("{scheme}://{place}"),
        other => format!("{place}/{other}"),
    };
    Address { service, address, reachable: knocked.map(|knocked| knocked != Knocked::Nobody), closed }
}

/// Who is behind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knocked {
    Nobody,
    /// Somebody who answers TLS with TLS.
    Tls,
    Plain,
}

impl Knocked {
    async fn at(host: &str, port: u16) -> Self {
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect((host, port))).await else {
            return Self::Nobody;
        };
        let Some(hello) = hello(host) else { return Self::Plain };
        let mut first = [0];
        let asked = async {
            stream.write_all(&hello).await?;
            stream.read_exact(&mut first).await
        };
        // An alert or a handshake: https://www.rfc-editor.org/rfc/rfc8446#section-5.1
        match timeout(TLS_PATIENCE, asked).await {
            Ok(Ok(_)) if matches!(first, [21 | 22]) => Self::Tls,
            _ => Self::Plain,
        }
    }
}

/// How TLS begins. Nothing goes on behind it, so nobody has to be trusted.
fn hello(host: &str) -> Option<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).ok()?.write_tls(&mut hello).ok()?;
    Some(hello)
}

/// The playbook's lines for a person whose stack is up.
pub(super) fn afterwards(session: &Session<'_>, project: &Project, addresses: &[Address]) -> Vec<String> {
    filled(session.afterwards(), &session.name, project, addresses)
}

/// Lines with the host's name, the services' addresses and the project's variables in them. One
/// that speaks of a service which others do not reach says nothing.
fn filled(lines: &[String], host: &str, project: &Project, addresses: &[Address]) -> Vec<String> {
    let services = addresses
        .iter()
        .filter(|each| !each.address.ends_with(HERE_ALONE))
        .map(|each| (each.service.as_str(), each.address.as_str()));
    let variables =
        project.environment.names().filter_map(|name| Some((name, project.environment.get(name)?)));
    let known: Vec<_> = [("host", host)].into_iter().chain(services).chain(variables).collect();
    let filled = lines.iter().map(|line| {
        known.iter().fold(line.clone(), |line, (name, value)| line.replace(&format!("{{{name}}}"), value))
    });
    filled.filter(|line| !line.contains('{')).collect()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::stack::compose::{Environment, Naming, parse};

    /// Who answers a hello with these bytes.
    async fn answering(bytes: &'static [u8]) -> Knocked {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 3];
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, [22, 3, 1], "a record of a handshake");
            stream.write_all(bytes).await.unwrap();
        };
        tokio::join!(Knocked::at("127.0.0.1", port), served).0
    }

    #[tokio::test]
    async fn tells_tls_from_all_else() {
        assert_eq!(answering(b"\x16\x03\x03\0\x04").await, Knocked::Tls);
        assert_eq!(answering(b"\x15\x03\x03\0\x02\x02\x70").await, Knocked::Tls, "no such name");
        assert_eq!(answering(b"HTTP/1.1 400 Bad Request\r\n").await, Knocked::Plain);
        assert_eq!(answering(b"").await, Knocked::Plain, "hung up");
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        assert_eq!(Knocked::at("127.0.0.1", port).await, Knocked::Nobody);
    }

    #[test]
    fn lines_are_filled_or_left_out() {
        let environment = Environment::parse("BASE=/shop\nweb=not this\nEMPTY=\n", ".env").unwrap();
        let naming = Naming { explicit: None, folder: "shop" };
        let project = parse("services: {web: {image: a}}", "compose.yaml", &environment, naming).unwrap();
        let address = |service: &str, address: &str| Address {
            service: service.into(),
            address: address.into(),
            reachable: None,
            closed: false,
        };
        let addresses =
            [address("web", "https://h:443"), address("page", "http://127.0.0.1:80 on the host itself")];
        let lines = [
            "{web}{BASE}/admin at {host}{EMPTY}",
            "{page}/x",
            "{nobody}",
            "plain $(provision secrets {host})",
        ]
        .map(str::to_owned);
        assert_eq!(
            filled(&lines, "h", &project, &addresses),
            ["https://h:443/shop/admin at h", "plain $(provision secrets h)"]
        );
    }
}
