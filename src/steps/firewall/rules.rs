//! The change that makes the host's rules what they are to be: what differs, why, and how it is made.

use ipnet::IpNet;

use super::containers::{Bridges, Ruleset, ruleset};
use super::host::{HostRules, families, is_loaded, knows_ipv6};
use super::opening::Opening;
use super::risks::Shut;
use super::ufw::{self, Present, Rule};
use super::{Firewall, LOADER, OURS, STEP, keeps_forwarding};
use crate::plan::{Action, Change, FileChange};
use crate::steps::{Model, plain_file};

/// The rules that are wanted, and how the host differs from them.
struct Difference<'a> {
    wanted: Vec<Rule>,
    /// Wanted rules that ufw does not have.
    missing: Vec<Rule>,
    /// Rules of ours that are no longer wanted.
    stale: Vec<&'a Present>,
    /// For containers, IPv4 and IPv6.
    rulesets: [Ruleset; 2],
    /// Files that differ.
    files: Vec<FileChange>,
    chains_are_loaded: bool,
}

impl<'a> Difference<'a> {
    fn of(model: &Model, openings: &[Opening], bridges: &Bridges, host: &'a HostRules) -> Self {
        let mut wanted = ufw::rules(openings, &bridges.names());
        wanted.retain(|rule| {
            (rule.source.addr().is_ipv4() || knows_ipv6(&model.facts))
                // ufw would put ours in the place of that one.
                && !host.by_hand().any(|present| present.is_against(rule))
        });
        let missing = wanted.iter().filter(|rule| !host.has(rule)).cloned().collect();
        let is_wanted = |rule: &Present| wanted.iter().any(|wanted| rule.is(wanted));
        let stale = host.all().filter(|rule| rule.ours && !is_wanted(rule)).collect();
        let lets_in = |opening: &Opening| {
            let covers = |rule: &&Present| rule.covers(opening.ports.first, opening.protocol.as_str());
            host.by_hand().filter(covers).any(Present::lets_in)
        };
        let rulesets = [false, true].map(|v6| ruleset(openings, bridges, &lets_in, v6));
        let files = OURS
            .into_iter()
            .zip([rulesets[0].text.as_str(), rulesets[1].text.as_str(), LOADER])
            .zip([0o640, 0o640, 0o755])
            .filter_map(|((path, text), mode)| plain_file(model, path, text.to_owned(), mode))
            .collect();
        let mut loaded = families(&model.facts).zip(&rulesets);
        let chains_are_loaded = loaded.all(|(family, ruleset)| is_loaded(&model.facts, family, ruleset));
        Self { wanted, missing, stale, rulesets, files, chains_are_loaded }
    }

    fn is_none(&self, host: &HostRules) -> bool {
        host.faults.is_empty()
            && self.missing.is_empty()
            && self.stale.is_empty()
            && self.files.is_empty()
            && self.chains_are_loaded
    }

    fn reason(&self, host: &HostRules) -> String {
        let mut reasons: Vec<String> = host.faults.iter().map(ToString::to_string).collect();
        if host.active && !self.missing.is_empty() {
            // provision added them earlier, and they were removed since.
            reasons.push(format!("not let in by ufw: {}", texts(&self.missing)));
        }
        if !self.stale.is_empty() {
            reasons.push(format!("let in and no longer asked for: {}", texts(&self.stale)));
        }
        if host.active && host.faults.is_empty() {
            if !self.files.is_empty() {
                reasons.push("the rules for containers differ".into());
            } else if !self.chains_are_loaded {
                reasons.push("the rules for containers are not loaded as they should be".into());
            }
        }
        reasons.join("; ")
    }

    /// What the host's script needs to know to make it so.
    fn action(&self, openings: &[Opening], host: &HostRules) -> Action {
        let is_ssh = |rule: &Rule| {
            openings.iter().any(|each| each.ssh && each.ports == rule.ports && each.protocol == rule.protocol)
        };
        let missing: Vec<&Rule> = self.missing.iter().collect();
        let add = ufw::calls(&missing)
            .into_iter()
            .map(|(rule, words)| format!("{} {words}", if is_ssh(rule) { "first" } else { "last" }));
        let ssh = openings.iter().filter(|each| each.ssh).map(|each| {
            let source = each.from.iter().find(|net| net.addr().is_ipv4()).or(each.from.first());
            format!("{} {}", each.ports.first, source.copied().map_or_else(String::new, a_source))
        });
        let by_hand = |rule: &Rule| host.by_hand().any(|present| present.is(rule));
        let tuples = self.wanted.iter().filter(|rule| !by_hand(rule)).map(Rule::tuple);
        let remove: Vec<Rule> = self.stale.iter().filter_map(|rule| rule.as_rule()).collect();
        let calls = ufw::calls(&remove.iter().collect::<Vec<_>>());
        let marks = self.rulesets.iter().map(|ruleset| format!("{} {}", ruleset.count, ruleset.mark));
        Action::new(STEP, "rules")
            .with("add", lines(add))
            .with("remove", lines(calls.into_iter().map(|(_, words)| words)))
            .with("present", lines(tuples))
            .with("absent", lines(remove.iter().map(Rule::tuple)))
            .with("ssh", lines(ssh))
            .with("marks", lines(marks))
    }
}

impl Firewall {
    /// The change of the rules; none where they are as they should be.
    pub(super) fn rules(
        &self,
        model: &mut Model,
        openings: &[Opening],
        bridges: &Bridges,
        host: &HostRules,
        shut: &[Shut],
    ) -> Option<Change> {
        let difference = Difference::of(model, openings, bridges, host);
        if difference.is_none(host) {
            return None;
        }
        let mut risks = self.lets_in(&model.facts, openings);
        risks.extend(shut.iter().map(Shut::risk));
        let ports: Vec<_> = openings.iter().map(ToString::to_string).collect();
        let mut action = difference
            .action(openings, host)
            .with("proof", if model.local { "local" } else { "new-connection" })
            .with("revert_after", self.options.revert_after.to_string())
            .within(self.options.revert_after.saturating_add(300));
        if keeps_forwarding(model) {
            action = action.with("routed", "allow");
        }
        let change = Change {
            id: "firewall/rules".into(),
            title: match ports.as_slice() {
                [] => "let nothing in".to_owned(),
                ports => format!("let in {} and nothing else", ports.join(", ")),
            },
            reason: difference.reason(host),
            risks,
            files: difference.files,
            undo: Some("ufw disable".into()),
            action,
        };
        model.write(&change.files);
        Some(change)
    }
}

/// An address that is let in, for a try on the host itself.
fn a_source(net: IpNet) -> String {
    match net {
        // TEST-NET-1, which is never assigned (RFC 5737).
        IpNet::V4(net) if net.prefix_len() == 0 => "192.0.2.2".into(),
        net => net.hosts().next().unwrap_or(net.addr()).to_string(),
    }
}

fn texts<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.map(|item| item + "\n").collect()
}
