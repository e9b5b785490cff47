//! The rules for what is forwarded to containers, which ufw's own rules never see.
//!
//! Docker redirects a published port before the kernel decides whether a packet is
//! for the host: it is forwarded, and ufw's rules for what comes in do not meet it
//! (<https://docs.docker.com/engine/network/packet-filtering-firewalls/#docker-and-ufw>).
//! So there is a chain of our own in the table mangle, which is asked before all
//! of Docker's chains, whatever they are called and whenever they are made: nobody
//! else's chain is touched.

use super::opening::Opening;
use crate::digest::sha256;
use crate::facts::LoadedRule;

/// Our chain.
pub(super) const CHAIN: &str = "PROVISION-FORWARD";

/// What stands in for ufw's own rules while it reloads.
const GUARD: &str = "PROVISION-GUARD";

/// What bridges that are not Docker's do not get into, though ufw's pattern for Docker's fits them.
const INPUT: &str = "PROVISION-INPUT";

/// Bridges that Docker makes.
const DOCKERS: [&str; 3] = ["docker0", "docker_gwbridge", "br-+"];

/// Rules of a family, for `iptables-restore` or `ip6tables-restore`.
pub(super) struct Ruleset {
    /// The file.
    pub(super) text: String,
    /// What stands in the loaded chain when it is this one.
    pub(super) mark: String,
    /// How many rules the chain has.
    pub(super) count: usize,
}

/// The bridges of a host that no pattern tells apart.
#[derive(Debug, Default)]
pub(super) struct Bridges {
    /// Called like Docker's (`br-lan`), and not Docker's.
    foreign: Vec<String>,
    /// Docker's, with a name of their own (`com.docker.network.bridge.name`).
    named: Vec<String>,
}

impl Bridges {
    /// From `/proc/net/dev`, Docker's own rules for what leaves its networks, and the names that a
    /// project gives to those that it will make.
    pub(super) fn read<'a>(
        interfaces: &str,
        loaded: &'a [LoadedRule],
        project: impl Iterator<Item = &'a str>,
    ) -> Self {
        let masked = loaded.iter().filter(|rule| rule.table == "nat").filter_map(|rule| {
            let (_, name) = rule.rule.strip_suffix(" -j MASQUERADE")?.rsplit_once(" ! -o ")?;
            Some(name)
        });
        let mut named: Vec<String> = masked
            .chain(project)
            .filter(|name| is_plain(name) && !is_dockers(name))
            .map(str::to_owned)
            .collect();
        named.sort_unstable();
        named.dedup();
        let names = interfaces.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
        let mut foreign: Vec<String> = names
            .filter(|name| name.starts_with("br-") && is_plain(name) && !is_dockers(name))
            .filter(|name| !named.iter().any(|other| other == name))
            .map(str::to_owned)
            .collect();
        foreign.sort_unstable();
        Self { foreign, named }
    }

    /// Those of Docker's, as ufw and iptables take them.
    pub(super) fn names(&self) -> Vec<String> {
        self.dockers().map(str::to_owned).collect()
    }

    fn dockers(&self) -> impl Iterator<Item = &str> {
        // Those that a pattern knows need no rule of their own.
        let named = self.named.iter().map(String::as_str).filter(|name| !name.starts_with("br-"));
        DOCKERS.into_iter().chain(named)
    }
}

/// Whether Docker gives such names by itself.
pub(in crate::steps) fn is_dockers(name: &str) -> bool {
    let is_id = |id: &str| {
        id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    ["docker0", "docker_gwbridge"].contains(&name) || name.strip_prefix("br-").is_some_and(is_id)
}

/// What no argument of iptables takes is nothing that we can rule by its name.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
}

/// The rules of one family, on a host with such bridges. `by_hand` has what other rules let in.
pub(super) fn ruleset(
    openings: &[Opening],
    bridges: &Bridges,
    by_hand: &dyn Fn(&Opening) -> bool,
    v6: bool,
) -> Ruleset {
    // What has begun goes on.
    let mut rules =
        vec!["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN".to_owned(), "-i lo -j RETURN".to_owned()];
    if !v6 {
        // Published for the host itself: a neighbour on the wire may still send there (moby/moby#45610).
        rules.push("-m conntrack --ctorigdst 127.0.0.0/8 -j DROP".to_owned());
    }
    // What containers alone can reach is the host's, and not another container's.
    for opening in openings.iter().filter(|opening| !opening.containers) {
        for net in opening.from.iter().filter(|net| net.addr().is_ipv6() == v6) {
            let source = if net.prefix_len() == 0 { String::new() } else { format!("-s {net} ") };
            // The port that was asked for; behind the redirection it is the container's. What was not
            // redirected is for a container's own address, where the same number is another thing.
            rules.push(format!(
                "{source}-p {} -m conntrack --ctstate DNAT --ctorigdstport {} --ctdir ORIGINAL -j RETURN",
                opening.protocol.as_str(),
                opening.ports.to_string().replace('-', ":")
            ));
        }
    }
    // Somebody's own bridge is the outside, or a network of virtual machines.
    let foreign = &bridges.foreign;
    rules.extend(foreign.iter().map(|name| format!("-i {name} -m conntrack --ctstate DNAT -j DROP")));
    rules.extend(foreign.iter().map(|name| format!("-o {name} -m conntrack ! --ctstate DNAT -j RETURN")));
    for name in foreign {
        rules.extend(bridges.dockers().map(|bridge| format!("-i {name} -o {bridge} -j DROP")));
    }
    // What comes from containers is theirs.
    rules.extend(bridges.dockers().map(|bridge| format!("-i {bridge} -j RETURN")));
    rules.push("-m conntrack --ctstate DNAT -j DROP".to_owned());
    // And who sends straight to a container's own address.
    rules.extend(bridges.dockers().map(|bridge| format!("-o {bridge} -j DROP")));
    let mark = sha256(rules.join("\n").as_bytes()).chars().take(16).collect::<String>();
    rules.push(format!("-m comment --comment \"provision {mark}\" -j RETURN"));
    let count = rules.len();
    let mut text = format!(
        "# Written by provision: what is let in to containers ({}), and what gets in while ufw reloads.\n\
         # Loaded by provision.init.\n*mangle\n:{CHAIN} - [0:0]\n:{GUARD} - [0:0]\n:{INPUT} - [0:0]\n",
        if v6 { "IPv6" } else { "IPv4" }
    );
    for rule in rules {
        text.push_str(&format!("-A {CHAIN} {rule}\n"));
    }
    for rule in guard(openings, bridges, v6) {
        text.push_str(&format!("-A {GUARD} {rule}\n"));
    }
    for rule in for_dockers_alone(openings, bridges, by_hand, v6) {
        text.push_str(&format!("-A {INPUT} {rule}\n"));
    }
    text.push_str("COMMIT\n");
    Ruleset { text, mark, count }
}

/// What containers alone may reach, closed for bridges of others. ufw and iptables know only how a name
/// begins: `br-+` also is `br-lan`. Docker goes on with a hexadecimal digit, and those that begin so and are
/// of others are known by name. What rules made by hand let in is not ours to close.
fn for_dockers_alone(
    openings: &[Opening],
    bridges: &Bridges,
    by_hand: &dyn Fn(&Opening) -> bool,
    v6: bool,
) -> Vec<String> {
    let mut closed = Vec::new();
    for opening in openings.iter().filter(|opening| opening.containers && !by_hand(opening)) {
        for net in opening.from.iter().filter(|net| net.addr().is_ipv6() == v6) {
            let source = if net.prefix_len() == 0 { String::new() } else { format!("-s {net} ") };
            let ports = opening.ports.to_string().replace('-', ":");
            closed.push(format!("{source}-p {} --dport {ports} -j DROP", opening.protocol.as_str()));
        }
    }
    if closed.is_empty() {
        return closed;
    }
    let mut rules = vec!["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN".to_owned()];
    rules.extend(bridges.named.iter().map(|name| format!("-i {name} -j RETURN")));
    for name in &bridges.foreign {
        rules.extend(closed.iter().map(|rule| format!("-i {name} {rule}")));
    }
    rules.extend("0123456789abcdef".chars().map(|digit| format!("-i br-{digit}+ -j RETURN")));
    rules.extend(closed.iter().map(|rule| format!("-i br-+ {rule}")));
    rules
}

/// What gets in to the host itself while ufw reloads: what is let in, and what keeps its network up.
/// New connections to what rules made by hand let in wait for a moment.
fn guard(openings: &[Opening], bridges: &Bridges, v6: bool) -> Vec<String> {
    let (icmp, dhcp) = if v6 { ("ipv6-icmp", 546) } else { ("icmp", 68) };
    let mut rules = vec![
        "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN".to_owned(),
        "-i lo -j RETURN".to_owned(),
        format!("-p {icmp} -j RETURN"),
        format!("-p udp --dport {dhcp} -j RETURN"),
    ];
    for opening in openings {
        for net in opening.from.iter().filter(|net| net.addr().is_ipv6() == v6) {
            let source = if net.prefix_len() == 0 { String::new() } else { format!("-s {net} ") };
            let ports = opening.ports.to_string().replace('-', ":");
            let rule = format!("{source}-p {} --dport {ports} -j RETURN", opening.protocol.as_str());
            match opening.containers {
                true => rules.extend(bridges.dockers().map(|bridge| format!("-i {bridge} {rule}"))),
                false => rules.push(rule),
            }
        }
    }
    rules.push("-j DROP".to_owned());
    rules
}
