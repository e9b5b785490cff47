//! Knocking: which addresses, and what answers there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Answer, is_private};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the second try may take, where something is declared and did not answer.
const SECOND_PATIENCE: Duration = Duration::from_secs(3);

/// How many connections are tried at once.
const AT_ONCE: usize = 256;

/// The ports to knock at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// All of them.
    pub all: BTreeSet<u16>,
    /// Those that get a second try, because they are declared.
    pub patient: BTreeSet<u16>,
    /// Ports on which nothing of the host can answer: who answers there is somebody else.
    pub decoys: BTreeSet<u16>,
}

/// What came of knocking at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knocked {
    /// The address.
    pub address: IpAddr,
    /// Our own address, as far as it is known here.
    pub ours: Option<IpAddr>,
    /// What each port answered.
    pub answers: BTreeMap<u16, Answer>,
    /// Whether there is no way to such addresses from here.
    pub no_route: bool,
    /// Whether connections are made even where nothing listens: a proxy or a protection on the
    /// way answers, and what the host would say is not known.
    pub intercepted: bool,
}

impl Knocked {
    /// Whether the host answers there at all.
    pub fn answers(&self) -> bool {
        !self.intercepted && self.answers.values().any(|answer| *answer != Answer::NoAnswer)
    }

    /// Our own address, as the host sees it: where our ssh comes from, or what we see ourselves,
    /// unless that is no address for the way in between.
    pub fn be_known_as(&mut self, ssh_client: Option<IpAddr>) {
        let same_family = |address: &IpAddr| address.is_ipv4() == self.address.is_ipv4();
        let seen_here = self.ours.filter(|ours| is_private(self.address) || !is_private(*ours));
        self.ours = ssh_client.filter(same_family).or(seen_here);
    }

    /// Whether the address is one of this very machine.
    pub fn is_ourselves(&self) -> bool {
        self.address.is_loopback() || self.ours == Some(self.address)
    }
}

/// Knocks at some ports at once, of all hosts together.
#[derive(Debug)]
pub struct Knocker {
    permits: Semaphore,
}

impl Default for Knocker {
    fn default() -> Self {
        Self { permits: Semaphore::new(AT_ONCE) }
    }
}

impl Knocker {
    /// Knocks at an address.
    pub async fn knock(&self, address: SocketAddr, ports: &Ports) -> Knocked {
        let (first, decoys) =
            join(self.round(address, &ports.all, PATIENCE), self.round(address, &ports.decoys, PATIENCE))
                .await;
        let no_route = !first.is_empty() && first.iter().all(|(_, said)| matches!(said, Said::NoRoute));
        let opened = decoys.iter().filter(|(_, said)| matches!(said, Said::Opened(_))).count();
        let mut knocked = Knocked {
            address: address.ip(),
            ours: None,
            answers: BTreeMap::new(),
            no_route,
            intercepted: opened * 2 > decoys.len(),
        };
        knocked.take(first);
        // The way to the host may only be slow.
        if knocked.answers() {
            let silent = |port: &&u16| knocked.answers.get(port) == Some(&Answer::NoAnswer);
            let again: BTreeSet<u16> = ports.patient.iter().filter(silent).copied().collect();
            let second = self.round(address, &again, SECOND_PATIENCE).await;
            knocked.take(second);
        }
        // What we would be called is known even where nobody opens.
        if knocked.ours.is_none() {
            knocked.ours = own_address(address).await;
        }
        knocked
    }

    async fn round(
        &self,
        address: SocketAddr,
        ports: &BTreeSet<u16>,
        patience: Duration,
    ) -> Vec<(u16, Said)> {
        join_all(ports.iter().map(async |port| {
            let mut address = address;
            address.set_port(*port);
            // A semaphore that nobody closes always has a permit in the end.
            let _permit = self.permits.acquire().await;
            (*port, connect(address, patience).await)
        }))
        .await
    }
}

impl Knocked {
    fn take(&mut self, said: Vec<(u16, Said)>) {
        for (port, said) in said {
            let answer = match said {
                Said::Opened(ours) => {
                    self.ours = self.ours.or(ours);
                    Answer::Reachable
                }
                Said::Refused => Answer::Refused,
                Said::NoRoute | Said::Nothing => Answer::NoAnswer,
            };
            self.answers.insert(port, answer);
        }
    }
}

/// What one connection said.
enum Said {
    /// It was made; our own end of it.
    Opened(Option<IpAddr>),
    Refused,
    NoRoute,
    Nothing,
}

async fn connect(address: SocketAddr, patience: Duration) -> Said {
    let end = Instant::now() + patience;
    loop {
        let error = match timeout_at(end, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Said::Opened(stream.local_addr().ok().map(|ours| ours.ip())),
            Ok(Err(error)) => error,
            Err(_) => return Said::Nothing,
        };
        return match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Said::Refused,
            ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => Said::NoRoute,
            // EMFILE, ENFILE: we have too many files open just now, which says nothing of the host.
            _ if matches!(error.raw_os_error(), Some(23 | 24)) && Instant::now() < end => {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            _ => Said::Nothing,
        };
    }
}

/// The address that we would send from; nothing is sent for it.
async fn own_address(address: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 8], 0).into() };
    let socket = tokio::net::UdpSocket::bind(any).await.ok()?;
    let mut address = address;
    address.set_port(9);
    socket.connect(address).await.ok()?;
    socket.local_addr().ok().map(|ours| ours.ip())
}

/// The addresses that a name has; none where it does not resolve here.
pub async fn resolve(name: &str) -> Vec<SocketAddr> {
    let name = name.trim_start_matches('[').trim_end_matches(']');
    tokio::net::lookup_host((name, 0)).await.map_or_else(|_| Vec::new(), Iterator::collect)
}

/// The address of each family to knock at, IPv4 and IPv6: one that ssh knows, or else one that
/// the host has and that may well lead to it from here.
pub fn choose(ssh: &[SocketAddr], own: &[IpAddr]) -> [Option<SocketAddr>; 2] {
    // A loopback address is this machine's: a port that is forwarded, not the host.
    let ssh: Vec<_> = ssh.iter().filter(|address| !address.ip().is_loopback()).collect();
    let is_public = ssh.iter().any(|address| !is_private(address.ip()));
    [true, false].map(|ipv4| {
        let mut named = ssh.iter().filter(|address| address.is_ipv4() == ipv4);
        let chosen = named.clone().find(|address| own.contains(&address.ip())).or(named.next());
        if let Some(address) = chosen {
            return Some(**address);
        }
        let usable = |address: &&IpAddr| {
            let scoped = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            address.is_ipv4() == ipv4 && !address.is_loopback() && !scoped
        };
        let mut own = own.iter().filter(usable).filter(|address| !is_public || !is_private(**address));
        if ssh.is_empty() {
            return None;
        }
        let public = own.clone().find(|address| !is_private(**address));
        public.or(own.next()).map(|address| SocketAddr::new(*address, 0))
    })
}
