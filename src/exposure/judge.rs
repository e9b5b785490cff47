//! What was found at each port, held against what is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::declared::Admits;
use super::{Answer, Declaration, Exposure, Knocked, PortState, Ports, Row, Tried, Verdict};
use crate::facts::{Facts, Listening};
use crate::stack::compose::PortRange;

/// Ports that are worth a try on every host: what is often left open by mistake.
const WELL_KNOWN: [u16; 59] = [
    21, 22, 23, 25, 53, 80, 110, 111, 139, 143, 389, 443, 445, 465, 587, 993, 995, 1433, 1521, 2049, 2375,
    2376, 2377, 3000, 3306, 3389, 4200, 5000, 5432, 5601, 5672, 5900, 5984, 6379, 6443, 7946, 8000, 8080,
    8081, 8086, 8088, 8123, 8443, 8500, 8888, 9000, 9090, 9091, 9092, 9093, 9100, 9200, 9300, 9443, 10250,
    11211, 15672, 27017, 50000,
];

/// Docker's own stand-ins for a container; the daemon itself is one where there is no proxy.
const STAND_INS: [&str; 2] = ["docker-proxy", "dockerd"];

/// The TCP ports to knock at.
pub fn ports(facts: &Facts, declared: &[Declaration]) -> Ports {
    let single = declared.iter().filter(|each| each.protocol == "tcp" && each.is_single());
    let mut all: BTreeSet<u16> = single.map(|each| each.ports.first).collect();
    all.extend(facts.listening.iter().filter(|each| each.protocol == "tcp").map(|each| each.port));
    all.extend(facts.published.iter().filter(|each| each.protocol == "tcp").map(|each| each.port));
    let is_declared = |port: &&u16| declared.iter().any(|each| each.covers(**port, "tcp"));
    let patient = all.iter().filter(is_declared).copied().collect();
    all.extend(WELL_KNOWN);
    all.remove(&0);
    let decoys = (61_000..65_000).rev().step_by(997).filter(|port| !all.contains(port)).collect();
    Ports { all, patient, decoys }
}

/// Holds what was found against what is declared. `knocked` is IPv4 and IPv6.
pub fn judge(facts: &Facts, declared: &[Declaration], knocked: [Option<&Knocked>; 2]) -> Exposure {
    let judge = Judge { facts, declared, knocked };
    let shown = judge.shown();
    let mut rows: Vec<Row> = shown.iter().map(|(port, protocol)| judge.row(*port, protocol)).collect();
    rows.extend(judge.idle_ranges(&shown));
    rows.sort_by_key(|row| {
        let rank = if row.verdict.is_finding() { row.verdict } else { Verdict::AsDeclared };
        (rank, row.ports.first, row.ports.last, row.protocol.clone())
    });
    let tried: BTreeSet<u16> = judge.families().flat_map(|knocked| knocked.answers.keys().copied()).collect();
    let others = tried.iter().filter(|port| !shown.contains(&(**port, "tcp".to_owned()))).count();
    let [ipv4, ipv6] = knocked.map(|knocked| match knocked {
        None => Tried { address: None, state: PortState::NoAddress },
        Some(knocked) => Tried {
            address: Some(knocked.address),
            state: match knocked {
                _ if knocked.answers() => PortState::Answers,
                _ if knocked.intercepted => PortState::Intercepted,
                _ if knocked.no_route => PortState::NoRoute,
                _ => PortState::NoAnswer,
            },
        },
    });
    Exposure { ipv4, ipv6, rows, others }
}

struct Judge<'a> {
    facts: &'a Facts,
    declared: &'a [Declaration],
    knocked: [Option<&'a Knocked>; 2],
}

impl<'a> Judge<'a> {
    /// The families in which the host answers at all.
    fn families(&self) -> impl Iterator<Item = &'a Knocked> {
        self.knocked.into_iter().flatten().filter(|knocked| knocked.answers())
    }

    fn is_reached(&self, port: u16) -> bool {
        self.families().any(|knocked| knocked.answers.get(&port) == Some(&Answer::Reachable))
    }

    /// The ports that are a row of their own.
    fn shown(&self) -> BTreeSet<(u16, String)> {
        let mut shown: BTreeSet<(u16, String)> = self
            .facts
            .listening
            .iter()
            .filter(|socket| socket.is_open() || socket.protocol == "tcp")
            .map(|socket| (socket.port, socket.protocol.clone()))
            .collect();
        shown.extend(self.facts.published.iter().map(|each| (each.port, each.protocol.clone())));
        let single = self.declared.iter().filter(|each| each.is_single());
        shown.extend(single.map(|each| (each.ports.first, each.protocol.clone())));
        let reached = self.families().flat_map(|knocked| knocked.answers.keys().copied());
        shown.extend(reached.filter(|port| self.is_reached(*port)).map(|port| (port, "tcp".to_owned())));
        shown
    }

    fn row(&self, port: u16, protocol: &str) -> Row {
        let declared: Vec<_> = self.declared.iter().filter(|each| each.covers(port, protocol)).collect();
        let is_tcp = protocol == "tcp";
        let answer = |knocked: Option<&Knocked>| {
            let knocked = knocked.filter(|knocked| is_tcp && knocked.answers())?;
            knocked.answers.get(&port).copied()
        };
        let [ipv4, ipv6] = self.knocked.map(answer);
        let (owners, loopback) = self.owners(port, protocol);
        Row {
            ports: PortRange { first: port, last: port },
            protocol: protocol.to_owned(),
            owners,
            loopback,
            declared: distinct(declared.iter().map(|each| each.by.clone())),
            from: sources(&declared),
            ipv4,
            ipv6,
            verdict: if is_tcp { self.verdict(port, &declared) } else { Verdict::NotTried },
        }
    }

    fn verdict(&self, port: u16, declared: &[&Declaration]) -> Verdict {
        let (mut reached, mut undeclared, mut blocked, mut missing) = (false, false, false, false);
        for knocked in self.families() {
            let admits = declared.iter().map(|each| each.admits(knocked.address, knocked.ours)).max();
            let admits = admits.unwrap_or(Admits::No);
            match knocked.answers.get(&port) {
                Some(Answer::Reachable) if admits == Admits::No => undeclared = true,
                Some(Answer::Reachable) => reached = true,
                Some(_) if admits == Admits::Yes && self.listens(port, knocked.address) => blocked = true,
                Some(_) if admits == Admits::Yes => missing = true,
                _ => {}
            }
        }
        let of_others = declared.iter().all(|each| each.of_others);
        let untried = self.knocked.into_iter().flatten().filter(|knocked| !knocked.answers());
        let elsewhere = || untried.clone().any(|knocked| self.listens(port, knocked.address));
        match (undeclared, blocked, reached, missing) {
            (true, ..) => Verdict::Undeclared,
            (_, true, ..) | (.., true) if of_others => Verdict::Closed,
            (_, true, ..) => Verdict::Blocked,
            (_, _, true, _) => Verdict::AsDeclared,
            (.., true) if elsewhere() => Verdict::NotTried,
            (.., true) => Verdict::NothingListens,
            _ => Verdict::Closed,
        }
    }

    /// Whether something on the host waits for what comes to this address.
    fn listens(&self, port: u16, tried: IpAddr) -> bool {
        let own = &self.facts.firewall.addresses;
        let meant = |address: IpAddr| {
            if address.is_ipv4() != tried.is_ipv4() || address.is_loopback() {
                false
            } else if address.is_unspecified() || address == tried {
                true
            } else {
                // Behind NAT the host does not know the address that we do.
                !own.contains(&tried) && (own.is_empty() || own.contains(&address))
            }
        };
        let sockets: Vec<IpAddr> = self
            .facts
            .listening_on("tcp", port)
            .filter(|socket| socket.is_open())
            .filter_map(|socket| socket.address.parse().ok())
            .collect();
        // A socket of IPv6 takes IPv4 too, unless there is one of its own for that.
        let both = tried.is_ipv4()
            && sockets.iter().any(|address| address.is_ipv6() && address.is_unspecified())
            && !sockets.iter().any(IpAddr::is_ipv4);
        let published =
            self.facts.published.iter().filter(|each| each.port == port && each.protocol == "tcp");
        both || sockets.into_iter().chain(published.map(|each| each.address)).any(meant)
    }

    /// Who answers at a port, and whether only the host itself is answered.
    fn owners(&self, port: u16, protocol: &str) -> (Vec<String>, bool) {
        let published =
            self.facts.published.iter().filter(|each| each.port == port && each.protocol == protocol);
        let containers: Vec<_> = published.map(|each| (each.is_open(), each.owner())).collect();
        let is_process =
            |socket: &&Listening| containers.is_empty() || !STAND_INS.contains(&socket.process.as_str());
        let processes = self
            .facts
            .listening_on(protocol, port)
            .filter(is_process)
            .map(|socket| (socket.is_open(), socket.process.clone()));
        let all: Vec<_> = containers.iter().cloned().chain(processes).collect();
        let is_open = all.iter().any(|(open, _)| *open);
        let named = all.iter().filter(|(open, name)| *open == is_open && !name.is_empty());
        (distinct(named.map(|(_, name)| name.clone())), !is_open && !all.is_empty())
    }

    /// Declared ranges on which nothing listens at all.
    fn idle_ranges(&self, shown: &BTreeSet<(u16, String)>) -> Vec<Row> {
        let mut ranges: BTreeMap<(u16, u16, String), Vec<&Declaration>> = BTreeMap::new();
        for each in self.declared.iter().filter(|each| !each.is_single()) {
            if !shown.iter().any(|(port, protocol)| each.covers(*port, protocol)) {
                let key = (each.ports.first, each.ports.last, each.protocol.clone());
                ranges.entry(key).or_default().push(each);
            }
        }
        let row = |((first, last, protocol), declared): ((u16, u16, String), Vec<&Declaration>)| {
            let mut families = self.families();
            let admitted = families.any(|knocked| {
                declared.iter().any(|each| each.admits(knocked.address, knocked.ours) == Admits::Yes)
            });
            let verdict = match (protocol.as_str(), admitted) {
                ("tcp", true) => Verdict::NothingListens,
                ("tcp", false) => Verdict::Closed,
                _ => Verdict::NotTried,
            };
            Row {
                ports: PortRange { first, last },
                protocol,
                owners: Vec::new(),
                loopback: false,
                declared: distinct(declared.iter().map(|each| each.by.clone())),
                from: sources(&declared),
                ipv4: None,
                ipv6: None,
                verdict,
            }
        };
        ranges.into_iter().map(row).collect()
    }
}

/// Who may, where not everybody may.
fn sources(declared: &[&Declaration]) -> Vec<String> {
    if declared.iter().any(|each| each.from.is_none()) {
        return Vec::new();
    }
    distinct(declared.iter().flat_map(|each| each.sources()))
}

fn distinct(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}
