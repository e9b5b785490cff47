//! The rules for what is forwarded to containers, which ufw's own rules never see.
//!
//! Docker redirects a published port before the kernel decides whether a packet is
//! for the host: it is forwarded, and ufw's rules for what comes in do not meet it
//! (<https://docs.docker.com/engine/network/packet-filtering-firewalls/#docker-and-ufw>).
//! So there is a chain of our own in the table mangle, which is asked before all
//! of Docker's chains, whatever they are called and whenever they are made: nobody
//! else's chain is touched.

use super::options::Opening;
use crate::plan::sha256;

/// Our chain.
pub(super) const CHAIN: &str = "PROVISION-FORWARD";

/// Rules of a family, for `iptables-restore` or `ip6tables-restore`.
pub(super) struct Ruleset {
    /// The file.
    pub(super) text: String,
    /// What stands in the loaded chain when it is this one.
    pub(super) mark: String,
    /// How many rules the chain has.
    pub(super) count: usize,
}

/// The rules of one family.
pub(super) fn ruleset(openings: &[Opening], v6: bool) -> Ruleset {
    // What has begun goes on, and what comes from containers is theirs.
    let mut rules = vec![
        "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN".to_owned(),
        "-i lo -j RETURN".to_owned(),
        "-i docker0 -j RETURN".to_owned(),
        "-i docker_gwbridge -j RETURN".to_owned(),
        "-i br-+ -j RETURN".to_owned(),
    ];
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
    rules.push("-m conntrack --ctstate DNAT -j DROP".to_owned());
    // And who sends straight to a container's own address.
    for bridge in ["docker0", "docker_gwbridge", "br-+"] {
        rules.push(format!("-o {bridge} -j DROP"));
    }
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
