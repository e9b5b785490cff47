//! Ports that the owner's own rules forward: to a virtual machine, through a VPN, to a service of a Swarm.
//!
//! Such packets pass through the host like those for containers, so the rules for containers apply to
//! them as well.

use crate::facts::{Facts, LoadedRule};
use crate::stack::compose::PortRange;

/// A redirection (DNAT) that is not one of `docker ps`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forward {
    /// The ports that are redirected; none where the rule is for all ports of an address.
    pub(super) ports: Vec<PortRange>,
    /// `tcp`, `udp`; blank for all.
    pub(super) protocol: String,
    /// Where to.
    pub(super) to: String,
    /// The chain that the rule stands in; blank where nft tells it.
    chain: String,
}

/// Those of a host.
pub(super) fn read(facts: &Facts) -> Vec<Forward> {
    let ours = |to: &str| {
        let address = to.rsplit_once(':').map_or(to, |(address, _)| address);
        let address = address.trim_matches(['[', ']']).parse();
        address.is_ok_and(|address: std::net::IpAddr| {
            address.is_loopback() || facts.firewall.addresses.contains(&address)
        })
    };
    let rules = facts.firewall.loaded.iter();
    // A redirection to the host itself is not forwarded.
    rules.filter_map(forward).filter(|forward| !ours(&forward.to)).collect()
}

fn forward(rule: &LoadedRule) -> Option<Forward> {
    let words: Vec<&str> = rule.rule.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|each| *each == word)?;
        // `! --dport 22` is for all others.
        let negated = at.checked_sub(1).is_some_and(|before| words[before] == "!");
        words.get(at + 1).copied().filter(|_| !negated)
    };
    match rule.table.as_str() {
        "nat" if after("-j") == Some("DNAT") => Some(Forward {
            ports: ["--dport", "--dports"].iter().find_map(|word| after(word)).map_or_else(Vec::new, ports),
            protocol: after("-p").unwrap_or_default().to_owned(),
            to: after("--to-destination").unwrap_or_default().to_owned(),
            chain: after("-A").unwrap_or_default().to_owned(),
        }),
        // `tcp dport { 80, 443 } dnat ip to 10.0.0.5`.
        "nft" => {
            let (matched, to) = rule.rule.split_once("dnat ")?;
            // `dnat ip to 10.0.0.5`; `ct status dnat accept` only asks.
            let to = ["to ", "ip to ", "ip6 to "].iter().find_map(|words| to.strip_prefix(words))?;
            // A map of many has an address in each of its entries.
            let to = to.split(' ').next().unwrap_or_default();
            let is_address = to.contains(['.', ':']);
            let (protocol, rest) = match matched.split_once(" dport ") {
                Some((before, rest)) => (before.rsplit(' ').next().unwrap_or_default(), rest),
                None => ("", ""),
            };
            let set = match rest.strip_prefix('{') {
                Some(set) => set.split('}').next().unwrap_or_default(),
                None => rest.split(' ').next().unwrap_or_default(),
            };
            Some(Forward {
                ports: ports(set),
                protocol: protocol.to_owned(),
                to: if is_address { to.to_owned() } else { String::new() },
                chain: String::new(),
            })
        }
        _ => None,
    }
}

/// `80`, `80,443`, `8000:8010` (iptables), `8000-8010` (nft); nothing where one of them is none of these.
fn ports(text: &str) -> Vec<PortRange> {
    let range = |text: &str| {
        let (first, last) = text.split_once([':', '-']).unwrap_or((text, text));
        Some(PortRange { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
    };
    text.split(',').map(range).collect::<Option<Vec<_>>>().unwrap_or_default()
}

impl Forward {
    /// For a person: where to, and who says so.
    pub(super) fn behind(&self) -> String {
        let by = match self.chain.as_str() {
            "" => " by a rule of nftables".to_owned(),
            "DOCKER-INGRESS" => " by Docker Swarm".into(),
            chain => format!(" by iptables, chain {chain}"),
        };
        match self.to.as_str() {
            "" => format!("forwarded{by}"),
            to => format!("forwarded to {to}{by}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_as_they_are_written() {
        for (table, rule, expected) in [
            (
                "nat",
                "-A PREROUTING -i eth0 -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22",
                "2222 tcp forwarded to 10.0.0.5:22 by iptables, chain PREROUTING",
            ),
            (
                "nat",
                "-A PREROUTING -p udp -m multiport --dports 500,4500:4501 -j DNAT --to-destination 10.0.0.5",
                "500,4500-4501 udp forwarded to 10.0.0.5 by iptables, chain PREROUTING",
            ),
            (
                "nat",
                "-A DOCKER-INGRESS -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.18.0.2:80",
                "80 tcp forwarded to 172.18.0.2:80 by Docker Swarm",
            ),
            (
                "nat",
                "-A PREROUTING -p tcp -m tcp ! --dport 22 -j DNAT --to-destination 10.0.0.5",
                " tcp forwarded to 10.0.0.5 by iptables, chain PREROUTING",
            ),
            (
                "nat",
                "-A PREROUTING -d 203.0.113.5/32 -j DNAT --to-destination 10.0.0.5",
                "  forwarded to 10.0.0.5 by iptables, chain PREROUTING",
            ),
            (
                "nft",
                "iifname tcp dport 8080 dnat ip to 10.1.1.5:80",
                "8080 tcp forwarded to 10.1.1.5:80 by a rule of nftables",
            ),
            (
                "nft",
                "udp dport { 53, 5000-5010 } dnat to 10.1.1.5",
                "53,5000-5010 udp forwarded to 10.1.1.5 by a rule of nftables",
            ),
            ("nft", "ip daddr 203.0.113.5 dnat to 10.1.1.5", "  forwarded to 10.1.1.5 by a rule of nftables"),
            ("nft", "dnat to tcp dport map { 80 : 10.1.1.5 }", "  forwarded by a rule of nftables"),
        ] {
            let rule = LoadedRule { family: 4, table: table.into(), rule: rule.into() };
            let found = forward(&rule).expect(expected);
            let ports: Vec<_> = found.ports.iter().map(ToString::to_string).collect();
            assert_eq!(format!("{} {} {}", ports.join(","), found.protocol, found.behind()), expected);
        }
        for (table, rule) in [
            ("nat", "-A POSTROUTING -s 172.20.0.0/16 ! -o br-web -j MASQUERADE"),
            ("filter", "-A INPUT -j DROP"),
            ("filter", ":FORWARD ACCEPT"),
            ("nft", "ct status dnat accept"),
            ("nft", "ct status dnat tcp dport 80 redirect to :8080"),
        ] {
            let rule = LoadedRule { family: 4, table: table.into(), rule: rule.into() };
            assert_eq!(forward(&rule), None);
        }
    }
}
