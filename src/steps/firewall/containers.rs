//! The rules for what is forwarded to containers, which ufw's own rules never see.
//!
//! Docker redirects a published port before the kernel decides whether a packet is
//! for the host: it is forwarded, and ufw's rules for what comes in do not meet it
//! (<https://docs.docker.com/engine/network/packet-filtering-firewalls/#docker-and-ufw>).
//! So there is a chain of our own in the table mangle, which is asked before all
//! of Docker's chains, whatever they are called and whenever they are made: nobody
//! else's chain is touched.

use super::options::Opening;
use crate::facts::LoadedRule;
use crate::plan::sha256;

/// Our chain.
pub(super) const CHAIN: &str = "PROVISION-FORWARD";

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

/// The bridges of a host that are called like Docker's and are not: `br-lan`, from `/proc/net/dev`.
///
/// Docker's have twelve hexadecimal digits there. One that somebody named is told by Docker's
/// own rule for what leaves it.
pub(super) fn bridges<'a>(interfaces: &'a str, loaded: &[LoadedRule]) -> Vec<&'a str> {
    let names = interfaces.lines().filter_map(|line| Some(line.split_once(':')?.0.trim()));
    let is_dockers = |id: &str| {
        id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    // What no argument of iptables takes is nothing that we can rule by its name.
    let is_plain =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
    let is_masked = |name: &str| {
        let ending = format!(" ! -o {name} -j MASQUERADE");
        loaded.iter().any(|rule| rule.table == "nat" && rule.rule.ends_with(&ending))
    };
    let is_one = |name: &&str| {
        name.strip_prefix("br-").is_some_and(|id| !is_dockers(id)) && is_plain(name) && !is_masked(name)
    };
    let mut names: Vec<_> = names.filter(is_one).collect();
    names.sort_unstable();
    names
}

/// The rules of one family, on a host with such [`bridges`].
pub(super) fn ruleset(openings: &[Opening], bridges: &[&str], v6: bool) -> Ruleset {
    // What has begun goes on.
    let mut rules =
        vec!["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN".to_owned(), "-i lo -j RETURN".to_owned()];
    for opening in openings {
        for net in opening.from.iter().filter(|net| net.addr().is_ipv6() == v6) {
            let source = if net.prefix_len() == 0 { String::new() } else { format!("-s {net} ") };
            // The port that was asked for; behind the redirection it is the container's.
            rules.push(format!(
                "{source}-p {} -m conntrack --ctorigdstport {} --ctdir ORIGINAL -j RETURN",
                opening.protocol.as_str(),
                opening.ports.to_string().replace('-', ":")
            ));
        }
    }
    // Somebody's own bridge is the outside, or a network of virtual machines.
    rules.extend(bridges.iter().map(|name| format!("-i {name} -m conntrack --ctstate DNAT -j DROP")));
    rules.extend(bridges.iter().map(|name| format!("-o {name} -m conntrack ! --ctstate DNAT -j RETURN")));
    for name in bridges {
        rules.extend(DOCKERS.map(|bridge| format!("-i {name} -o {bridge} -j DROP")));
    }
    // What comes from containers is theirs.
    rules.extend(DOCKERS.map(|bridge| format!("-i {bridge} -j RETURN")));
    rules.push("-m conntrack --ctstate DNAT -j DROP".to_owned());
    // And who sends straight to a container's own address.
    rules.extend(DOCKERS.map(|bridge| format!("-o {bridge} -j DROP")));
    let mark = sha256(rules.join("\n").as_bytes()).chars().take(16).collect::<String>();
    rules.push(format!("-m comment --comment \"provision {mark}\" -j RETURN"));
    let count = rules.len();
    let mut text = format!(
        "# Written by provision: what is let in to containers ({}). Loaded by provision.init.\n\
         *mangle\n:{CHAIN} - [0:0]\n",
        if v6 { "IPv6" } else { "IPv4" }
    );
    for rule in rules {
        text.push_str(&format!("-A {CHAIN} {rule}\n"));
    }
    text.push_str("COMMIT\n");
    Ruleset { text, mark, count }
}
