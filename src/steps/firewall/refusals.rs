//! What stops the plan: others who rule, and rules that would shut out who sets them.

use super::host::{HostRules, is_enabled, loaded};
use super::opening::Opening;
use super::port::PortName;
use super::risks::{Shut, is_ruled};
use super::ufw::{self, Present, Rule};
use super::{Firewall, FirewallOptions, RULES, STEP, forwards};
use crate::facts::Facts;
use crate::steps::{Model, Refusal};

/// What else filters packets: two that do not know of each other lock somebody out.
pub(super) fn refuse_others(facts: &Facts) -> Result<(), Refusal> {
    let is_active = |unit: &str| facts.unit(unit).is_some_and(|unit| unit.is_active() || unit.is_enabled());
    let other = if is_active("firewalld.service") {
        Some(("firewalld manages this host's firewall".to_owned(), "systemctl disable --now firewalld"))
    } else if is_active("netfilter-persistent.service") {
        Some((
            "netfilter-persistent loads its own rules (/etc/iptables)".to_owned(),
            "apt-get remove netfilter-persistent",
        ))
    } else if !facts.firewall.foreign_tables.is_empty() {
        let tables = facts.firewall.foreign_tables.join(", ");
        Some((
            format!("nftables has a ruleset that provision did not load ({tables})"),
            "systemctl disable --now nftables",
        ))
    } else if !is_enabled(facts)
        && !loaded(facts, 4, "filter", "-A INPUT -j ufw-before-input")
        && has_rules_by_hand(facts)
    {
        Some(("iptables has INPUT rules that provision did not add".to_owned(), "iptables -S INPUT"))
    } else {
        None
    };
    let Some((what, command)) = other else { return Ok(()) };
    Err(Refusal {
        step: STEP,
        what: format!(
            "{what}; two firewalls on one host would work against each other, so nothing was changed"
        ),
        details: Vec::new(),
        hints: vec![
            "leave `allow` out of [steps.firewall], and the firewall stays as it is".into(),
            format!("or let provision rule it: look at what is there and remove it (`{command}`)"),
        ],
        findings: Vec::new(),
    })
}

/// Rules of nobody's that keep something out.
fn has_rules_by_hand(facts: &Facts) -> bool {
    facts.firewall.loaded.iter().filter(|rule| rule.table == "filter").any(|rule| {
        let keeps_out = ["-j DROP", "-j REJECT"].iter().any(|verdict| rule.rule.contains(verdict));
        rule.rule.starts_with(":INPUT DROP") || (rule.rule.starts_with("-A INPUT ") && keeps_out)
    })
}

/// A rule made by hand that shuts the port of this very connection, and cannot stand beside ours.
pub(super) fn keep_ssh(model: &Model, openings: &[Opening], host: &HostRules) -> Result<(), Refusal> {
    let (Some(port), false) = (model.facts.identity.ssh_port, model.force) else { return Ok(()) };
    let ours: Vec<Rule> =
        ufw::rules(openings, &[]).into_iter().filter(|rule| rule.ports.first == port).collect();
    let admits =
        |rule: &Rule| model.facts.identity.ssh_client.is_none_or(|client| rule.source.contains(&client));
    let is_against = |present: &&Present| ours.iter().any(|rule| admits(rule) && present.is_against(rule));
    let Some(rule) = host.by_hand().find(is_against) else { return Ok(()) };
    Err(Refusal {
        step: STEP,
        what: format!("a rule made by hand in ufw shuts ssh, by which we come: {rule}"),
        details: Vec::new(),
        hints: vec![
            "remove it on the host (`ufw status numbered`, `ufw delete NUMBER`), and run provision again"
                .into(),
        ],
        findings: Vec::new(),
    })
}

/// Ports in use on the host that the rules would close.
pub(super) fn refuse_shut(model: &Model, options: &FirewallOptions, shut: &[Shut]) -> Result<(), Refusal> {
    let shut: Vec<_> = shut.iter().filter(|each| each.refused).collect();
    if shut.is_empty() || model.force {
        return Ok(());
    }
    let what = match shut.as_slice() {
        [one] => format!("these rules would close {}, which is in use on the host", one.name()),
        several => format!("these rules would close {} ports that are in use on the host", several.len()),
    };
    let port = |each: &Shut| match each.ports {
        ports if ports.first == ports.last => ports.to_string(),
        ports => format!("\"{ports}\""),
    };
    let entry = |each: &&Shut| match each.protocol.as_str() {
        "tcp" => port(each),
        protocol => format!("{{ port = {}, protocol = \"{protocol}\" }}", port(each)),
    };
    let allowed = options.allow.iter().flatten().map(|each| each.to_string());
    let allow: Vec<_> = allowed.chain(shut.iter().map(entry)).collect();
    let ports: std::collections::BTreeSet<_> = shut.iter().map(|each| port(each)).collect();
    let named = options.shut.iter().map(PortName::entry).chain(ports).collect::<Vec<_>>().join(", ");
    Err(Refusal {
        step: STEP,
        what: format!("{what}; nothing was changed"),
        details: shut
            .iter()
            .map(|each| match each.behind.as_str() {
                "" => each.name(),
                behind => format!("{}: {behind}", each.name()),
            })
            .collect(),
        hints: vec![
            format!("to keep them open: `allow = [{}]` in [steps.firewall]", allow.join(", ")),
            format!("to close them: `shut = [{named}]` in [steps.firewall]"),
        ],
        findings: Vec::new(),
    })
}

/// Forwards without a port that `allow` could name: a whole address, Kubernetes.
pub(super) fn refuse_nameless(model: &Model) -> Result<(), Refusal> {
    let forwards = forwards::read(&model.facts);
    let nameless: Vec<_> = forwards.iter().filter(|forward| forward.ports.is_empty()).collect();
    if nameless.is_empty() || is_ruled(&model.facts) || model.force {
        return Ok(());
    }
    Err(Refusal {
        step: STEP,
        what: "these rules would cut off what this host forwards; nothing was changed".into(),
        details: nameless.iter().map(|forward| forward.behind()).collect(),
        hints: vec![
            "these forwards name no port, so no entry of `allow` can keep them: leave `allow` out of \
             [steps.firewall], and the firewall stays as it is"
                .into(),
            "`--force` cuts them off".into(),
        ],
        findings: Vec::new(),
    })
}

impl Firewall {
    /// A port that is to be shut, and that another stack has asked for.
    pub(super) fn check_shut(&self, model: &Model) -> Result<(), Refusal> {
        for (name, claim) in model.claims.else_asked() {
            for entry in claim.firewall.allow.iter().flatten() {
                let PortName::Ports(ports) = entry.port else { continue };
                let Some(shut) = self.options.shut.iter().find(|shut| shut.overlaps(ports)) else {
                    continue;
                };
                return Err(Refusal::new(
                    STEP,
                    format!("`shut` closes {shut}, which {name} opens"),
                    format!("take {shut} out of `shut` in [steps.firewall], or out of `allow` of {name}"),
                ));
            }
        }
        Ok(())
    }

    /// Nobody shuts the door on the way in.
    pub(super) fn keep_ourselves(&self, model: &Model, openings: &[Opening]) -> Result<(), Refusal> {
        let Some(client) = model.facts.identity.ssh_client.filter(|_| !model.local) else { return Ok(()) };
        let Some(port) = model.facts.identity.ssh_port else { return Ok(()) };
        let admitted = openings.iter().any(|each| each.covers(port, "tcp") && each.admits(client))
            || RULES.iter().any(|path| {
                let rules = ufw::read(model.text(path).unwrap_or_default());
                rules.iter().any(|rule| !rule.ours && rule.admits(port, client))
            });
        if admitted || model.force {
            return Ok(());
        }
        Err(Refusal {
            step: STEP,
            what: format!(
                "these rules would shut out the connection that sets them: ssh comes from {client}, to port {port}"
            ),
            details: openings.iter().filter(|each| each.ssh).map(|each| format!("let in: {each}")).collect(),
            hints: vec![
                format!("add \"{client}\" to `from` of port \"ssh\" in [steps.firewall] allow"),
                "`--force` continues anyway; the host undoes the change if you are locked out".into(),
            ],
            findings: Vec::new(),
        })
    }
}
