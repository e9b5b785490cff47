//! ufw's rules, as its files hold them and its command takes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::opening::Opening;
use super::port::Transport;
use super::source::SourceNet;
use crate::stack::compose::PortRange;

/// What marks a rule as ours.
pub(super) const COMMENT: &str = "provision";

/// A rule for what comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) ports: PortRange,
    pub(super) protocol: Transport,
    /// Of one family; of everybody where the prefix is empty.
    pub(super) source: IpNet,
    /// By which interface; by any where there is none. `br-+` stands for all that begin so.
    pub(super) interface: Option<String>,
}

/// The rules for what is let in, one for each network; what only containers may reach, once for each
/// of Docker's bridges.
pub(super) fn rules(openings: &[Opening], bridges: &[String]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for opening in openings {
        let interfaces: Vec<Option<String>> = match opening.containers {
            true => bridges.iter().cloned().map(Some).collect(),
            false => vec![None],
        };
        for (source, interface) in
            opening.from.iter().flat_map(|source| interfaces.iter().map(move |each| (source, each)))
        {
            rules.push(Rule {
                ports: opening.ports,
                protocol: opening.protocol,
                source: *source,
                interface: interface.clone(),
            });
        }
    }
    rules
}

impl Rule {
    /// As `ufw.rules` and `user6.rules` write it in their comments, without what may stand behind it.
    pub(super) fn tuple(&self) -> String {
        let any = match self.source {
            IpNet::V4(_) => "0.0.0.0/0",
            IpNet::V6(_) => "::/0",
        };
        let ports = self.ports.to_string().replace('-', ":");
        let interface = self.interface.as_ref().map_or_else(String::new, |name| format!("_{name}"));
        format!(
            "### tuple ### allow {} {ports} {any} any {} in{interface}",
            self.protocol.as_str(),
            SourceNet(self.source)
        )
    }

    /// What `ufw` takes: protocol, ports, source and perhaps an interface, separated by spaces.
    fn words(&self, source: &str) -> String {
        let ports = self.ports.to_string().replace('-', ":");
        let interface = self.interface.as_ref().map_or_else(String::new, |name| format!(" {name}"));
        format!("{} {ports} {source}{interface}", self.protocol.as_str())
    }

    /// Whether it is of everybody, and the other one of everybody of the other family.
    fn is_twin(&self, other: &Self) -> bool {
        let alike =
            (self.ports, self.protocol, &self.interface) == (other.ports, other.protocol, &other.interface);
        let v6 = |rule: &Self| rule.source.addr().is_ipv6();
        alike && v6(self) != v6(other) && self.source.prefix_len() == 0 && other.source.prefix_len() == 0
    }
}

/// What `ufw` takes for some rules, and a rule of each: one call is enough for everybody in both families.
pub(super) fn calls<'a>(rules: &[&'a Rule]) -> Vec<(&'a Rule, String)> {
    let mut calls: Vec<(&Rule, String)> = Vec::new();
    for rule in rules {
        match calls.iter_mut().find(|(other, _)| other.is_twin(rule)) {
            Some((_, words)) => *words = rule.words("any"),
            None => calls.push((rule, rule.words(&rule.source.to_string()))),
        }
    }
    calls
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} from {}", self.ports, self.protocol.as_str(), everybody_or(self.source))?;
        self.interface.as_ref().map_or(Ok(()), |name| write!(f, " by {name}"))
    }
}

fn everybody_or(net: IpNet) -> String {
    match (net.prefix_len(), net) {
        (0, IpNet::V4(_)) => "anywhere (IPv4)".into(),
        (0, IpNet::V6(_)) => "anywhere (IPv6)".into(),
        _ => SourceNet(net).to_string(),
    }
}

/// A rule in one of ufw's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    /// `allow`, `deny`, `reject`, `limit`.
    pub(super) action: String,
    /// `tcp`, `udp`, `any`.
    pub(super) protocol: String,
    /// None: all ports.
    pub(super) ports: Option<PortRange>,
    /// None: not readable as one network.
    pub(super) source: Option<IpNet>,
    /// Whether it is about what comes in to any address, on all interfaces.
    pub(super) plain: bool,
    /// The one interface that it is about, where it is plain in all else.
    interface: Option<String>,
    /// Whether it has our mark.
    pub(super) ours: bool,
    /// As it stands, without the mark.
    text: String,
}

impl Present {
    /// Whether it does what a rule is to do, whoever made it.
    pub(super) fn is(&self, rule: &Rule) -> bool {
        self.is_where(rule)
            && self.lets_in()
            && (self.protocol == rule.protocol.as_str() || self.protocol == "any")
            && self.ports == Some(rule.ports)
            && self.source == Some(rule.source)
    }

    /// Whether it is about the interfaces of a rule, and written as simply.
    fn is_where(&self, rule: &Rule) -> bool {
        self.interface == rule.interface && (self.plain || self.interface.is_some())
    }

    /// Whether it says the contrary of a rule in all else the same: ufw would put one in the other's place.
    pub(super) fn is_against(&self, rule: &Rule) -> bool {
        self.is_where(rule)
            && !self.lets_in()
            && self.protocol == rule.protocol.as_str()
            && self.ports == Some(rule.ports)
            && self.source == Some(rule.source)
    }

    /// Whether it lets in what it is about, perhaps with a line in the log (`allow_log`).
    pub(super) fn lets_in(&self) -> bool {
        matches!(self.action.split('_').next(), Some("allow" | "limit"))
    }

    /// Whether it is about this port.
    pub(super) fn covers(&self, port: u16, protocol: &str) -> bool {
        (self.protocol == protocol || self.protocol == "any")
            && self.ports.is_none_or(|ports| (ports.first..=ports.last).contains(&port))
    }

    /// Whether it lets somebody in at this port.
    pub(super) fn admits(&self, port: u16, address: IpAddr) -> bool {
        self.plain
            && self.lets_in()
            && self.covers(port, "tcp")
            && self.source.is_some_and(|net| net.contains(&address))
    }

    /// The rule of ours that it is.
    pub(super) fn as_rule(&self) -> Option<Rule> {
        let protocol = match self.protocol.as_str() {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return None,
        };
        let rule =
            Rule { ports: self.ports?, protocol, source: self.source?, interface: self.interface.clone() };
        Some(rule).filter(|rule| self.is_where(rule))
    }
}

impl fmt::Display for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.plain, self.ports, self.source) {
            (true, Some(ports), Some(source)) => {
                write!(f, "{} {ports}/{} from {}", self.action, self.protocol, everybody_or(source))
            }
            (true, None, Some(source)) if self.protocol == "any" => {
                write!(f, "{} everything from {}", self.action, everybody_or(source))
            }
            _ => f.write_str(&self.text),
        }
    }
}

/// The rules of `user.rules` or `user6.rules`: what ufw itself reads back are the comments.
pub(super) fn read(text: &str) -> Vec<Present> {
    text.lines().filter_map(|line| present(line.strip_prefix("### tuple ### ")?)).collect()
}

/// `ACTION PROTOCOL PORTS DESTINATION SOURCE-PORTS SOURCE [APPLICATION APPLICATION] DIRECTION [comment=HEX]`,
/// the direction with its interfaces (`in_eth0`).
fn present(tuple: &str) -> Option<Present> {
    let (fields, comment) = match tuple.split_once(" comment=") {
        Some((fields, comment)) => (fields, comment.trim()),
        None => (tuple, ""),
    };
    let words: Vec<&str> = fields.split_whitespace().collect();
    let [action, protocol, ports, destination, source_ports, source, .., direction] = words.as_slice() else {
        return None;
    };
    let everywhere = |address: &str| address == "0.0.0.0/0" || address == "::/0";
    let v6 = destination.contains(':');
    let source = match *source {
        "any" if v6 => Some(IpNet::from(IpAddr::V6(Ipv6Addr::UNSPECIFIED))),
        "any" => Some(IpNet::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        other => other.parse().or_else(|_| other.parse::<IpAddr>().map(IpNet::from)).ok(),
    };
    // A list (`80,443`) is none that we write.
    let range = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        Some(PortRange { first: first.parse().ok()?, last: last.parse().ok()? })
    };
    let known = *ports == "any" || range(ports).is_some();
    let simple = !action.contains(':') && everywhere(destination) && *source_ports == "any" && known;
    Some(Present {
        action: (*action).to_owned(),
        protocol: (*protocol).to_owned(),
        ports: range(ports),
        source,
        plain: simple && *direction == "in",
        // `in_eth0`; with a way out as well it is `in_eth0!out_eth1`.
        interface: direction
            .strip_prefix("in_")
            .filter(|name| simple && !name.contains('!'))
            .map(str::to_owned),
        ours: comment == hex(COMMENT),
        text: fields.to_owned(),
    })
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ufw 0.36.2 wrote them.
    const RULES: &str = "\
*filter
### RULES ###

### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=70726f766973696f6e
-A ufw-user-input -p tcp --dport 22 -j ACCEPT -m comment --comment 'provision'

### tuple ### allow tcp 8000:8010 0.0.0.0/0 any 10.0.0.0/8 in comment=70726f766973696f6e
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in
### tuple ### limit tcp 23 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### deny udp 99 0.0.0.0/0 any 0.0.0.0/0 in_eth0
### tuple ### allow any 53 0.0.0.0/0 any 192.0.2.7 in comment=6d696e65
### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### deny any any 0.0.0.0/0 any 198.51.100.0/24 in
### END RULES ###
";

    #[test]
    fn reads_what_ufw_writes() {
        let rules: Vec<_> = read(RULES)
            .iter()
            .map(|rule| format!("{}{rule}", if rule.ours { "ours: " } else { "" }))
            .collect();
        assert_eq!(
            rules,
            [
                "ours: allow 22/tcp from anywhere (IPv4)",
                "ours: allow 8000-8010/tcp from 10.0.0.0/8",
                "allow 22/tcp from anywhere (IPv4)",
                "limit 23/tcp from anywhere (IPv4)",
                "deny udp 99 0.0.0.0/0 any 0.0.0.0/0 in_eth0",
                "allow 53/any from 192.0.2.7",
                "allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in",
                "deny everything from 198.51.100.0/24",
            ]
        );
    }

    #[test]
    fn a_rule_is_found_as_it_is_written() {
        for (ports, source, tuple) in [
            ((22, 22), "0.0.0.0/0", "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"),
            ((8000, 8010), "fd00::/8", "### tuple ### allow tcp 8000:8010 ::/0 any fd00::/8 in"),
            ((443, 443), "192.0.2.7/32", "### tuple ### allow tcp 443 0.0.0.0/0 any 192.0.2.7 in"),
        ] {
            let source = source.parse().expect("a network");
            let ports = PortRange { first: ports.0, last: ports.1 };
            let rule = Rule { ports, protocol: Transport::Tcp, source, interface: None };
            assert_eq!(rule.tuple(), tuple);
            let read = read(tuple);
            assert!(read[0].is(&rule), "{read:?}");
            assert_eq!(read[0].as_rule(), Some(rule));
        }
    }

    #[test]
    fn what_a_rule_lets_in() {
        let wanted = |port| Rule {
            ports: PortRange { first: port, last: port },
            protocol: Transport::Tcp,
            source: "0.0.0.0/0".parse().expect("a network"),
            interface: None,
        };
        for (tuple, is, against) in [
            ("allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", true, false),
            ("allow_log tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", true, false),
            ("limit_log-all tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", true, false),
            ("allow any 80 0.0.0.0/0 any 0.0.0.0/0 in", true, false),
            ("deny tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", false, true),
            ("reject_log tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", false, true),
            // ufw tells these apart from ours.
            ("deny any 80 0.0.0.0/0 any 0.0.0.0/0 in", false, false),
            ("deny tcp 80 0.0.0.0/0 any 192.0.2.7 in", false, false),
            ("deny tcp 80 0.0.0.0/0 any 0.0.0.0/0 in_eth0", false, false),
            ("route:allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in", false, false),
        ] {
            let read = read(&format!("### tuple ### {tuple}"));
            let rule = &read[0];
            assert_eq!((rule.is(&wanted(80)), rule.is_against(&wanted(80))), (is, against), "{tuple}");
        }
    }

    /// What only containers can reach is let in by Docker's bridges, and by no other way.
    #[test]
    fn a_rule_of_one_interface() {
        let options: crate::steps::Options = toml::from_str(
            "[firewall]\nallow = [{ port = 5432, from = ['172.16.0.0/12'], containers = true }, 80]",
        )
        .expect("options");
        let openings = options.firewall.openings(&[22]);
        let bridges = ["docker0".to_owned(), "br-+".to_owned()];
        let rules = rules(&openings, &bridges);
        let bound: Vec<_> = rules.iter().filter(|rule| rule.ports.first == 5432).collect();
        let tuples: Vec<_> = bound.iter().map(|rule| rule.tuple()).collect();
        assert_eq!(
            tuples,
            [
                "### tuple ### allow tcp 5432 0.0.0.0/0 any 172.16.0.0/12 in_docker0",
                "### tuple ### allow tcp 5432 0.0.0.0/0 any 172.16.0.0/12 in_br-+",
            ]
        );
        let calls: Vec<_> = calls(&bound).into_iter().map(|(_, words)| words).collect();
        assert_eq!(calls, ["tcp 5432 172.16.0.0/12 docker0", "tcp 5432 172.16.0.0/12 br-+"]);
        let present = read(&tuples.join("\n"));
        assert_eq!(present[1].as_rule().as_ref(), Some(bound[1]));
        assert!(present[1].is(bound[1]) && !present[1].is(bound[0]) && !present[1].plain);
        // An earlier rule, on all interfaces, is not it.
        let before = read("### tuple ### allow tcp 5432 0.0.0.0/0 any 172.16.0.0/12 in");
        assert!(!before[0].is(bound[0]) && !present[0].is(&before[0].as_rule().expect("a rule")));
        assert_eq!(openings[2].to_string(), "5432/tcp from containers (172.16.0.0/12)");
    }

    #[test]
    fn one_call_for_both_families() {
        let rule = |port, source: &str| Rule {
            ports: PortRange { first: port, last: port },
            protocol: Transport::Tcp,
            source: source.parse().expect("a network"),
            interface: None,
        };
        let rules = [
            rule(80, "0.0.0.0/0"),
            rule(80, "::/0"),
            rule(81, "::/0"),
            rule(82, "10.0.0.0/8"),
            rule(82, "::/0"),
        ];
        let rules: Vec<&Rule> = rules.iter().collect();
        let words: Vec<_> = calls(&rules).into_iter().map(|(_, words)| words).collect();
        assert_eq!(words, ["tcp 80 any", "tcp 81 ::/0", "tcp 82 10.0.0.0/8", "tcp 82 ::/0"]);
    }

    #[test]
    fn garbage_is_no_rule() {
        assert_eq!(read("### tuple ### \n### tuple ### allow\nallow tcp 1 2 3 4 5\n"), []);
        assert!(!read("### tuple ### allow tcp x 0.0.0.0/0 any nobody in")[0].plain);
    }
}
