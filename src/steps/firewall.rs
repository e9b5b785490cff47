//! The firewall step: what comes in to the host and its containers, and a change that locks nobody out.
//!
//! ufw's rules hold for what is for the host itself; for containers, whose published
//! ports ufw never sees, there is a chain of our own (see [`containers`]).

mod containers;
mod forwards;
mod host;
mod opening;
mod options;
mod port;
mod refusals;
mod risks;
mod source;
mod ufw;

#[cfg(test)]
mod tests;

use ipnet::IpNet;

pub(super) use containers::is_dockers;
use containers::{Bridges, ruleset};
use host::{Host, families, is_enabled, is_loaded, knows_ipv6, loaded};
pub use opening::Opening;
pub use options::{Allow, FirewallOptions};
pub(super) use port::PortName;
pub use port::Transport;
use refusals::{keep_ssh, refuse_nameless, refuse_others, refuse_shut};
use risks::Shut;
pub(super) use source::Source;
use ufw::{Present, Rule};

use super::packages::refresh;
use super::{Model, Refusal, Step, planned};
use crate::facts::{Question, Questions};
use crate::plan::{Action, Change, FileChange, PlannedStep, Risk};
use crate::stack::compose::Project;

const STEP: &str = "firewall";
const SETTINGS: &str = "/etc/ufw/ufw.conf";
const DEFAULTS: &str = "/etc/default/ufw";
/// What ufw calls before it stops, and after it has started.
const HOOKS: [&str; 2] = ["/etc/ufw/before.init", "/etc/ufw/after.init"];
/// ufw's own rules, IPv4 and IPv6.
const RULES: [&str; 2] = ["/etc/ufw/user.rules", "/etc/ufw/user6.rules"];
/// Ours for containers, and what loads them.
const OURS: [&str; 3] = ["/etc/ufw/provision.rules", "/etc/ufw/provision6.rules", "/etc/ufw/provision.init"];
const LOADER: &str = include_str!("../../scripts/firewall-init.sh");
/// What starts it at boot.
const UNIT: &str = "ufw.service";
/// The host's interfaces.
const INTERFACES: &str = "/proc/net/dev";
/// It is absent where the kernel knows no IPv6.
const IPV6: &str = "/proc/net/if_inet6";
/// 1 where the host forwards packets that are for others: a router, a VPN, virtual machines.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Left on the host while the proof is awaited, and when it did not come (`scripts/steps/firewall.sh`).
const ARMED: &str = "/var/lib/provision/firewall/armed";
const REVERTED: &str = "/var/lib/provision/firewall/reverted";

/// The firewall step.
#[derive(Debug)]
pub struct Firewall {
    options: FirewallOptions,
    project: Option<Project>,
}

impl Firewall {
    /// The step with its options, and the stack whose ports it may let in.
    pub fn new(options: FirewallOptions, project: Option<Project>) -> Self {
        Self { options, project }
    }
}

impl Step for Firewall {
    fn name(&self) -> &'static str {
        STEP
    }

    fn questions(&self, questions: &mut Questions) {
        questions.insert(Question::Claims);
        let mut asked = vec![Question::Firewall, Question::Published, Question::Package("ufw".into())];
        for unit in ["firewalld.service", "netfilter-persistent.service", UNIT] {
            asked.push(Question::Unit(unit.into()));
        }
        let files = [SETTINGS, DEFAULTS, ARMED, REVERTED, INTERFACES, IPV6, FORWARDING];
        let files = files.into_iter().chain(HOOKS).chain(RULES).chain(OURS);
        asked.extend(files.map(|path| Question::File { path: path.into(), unless: None }));
        match self.options.allow {
            Some(_) => questions.extend(asked),
            // What this stack let in before is then taken back.
            None => {
                questions.extend(asked.into_iter().map(|question| Question::IfOpened(Box::new(question))))
            }
        }
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        let mut step = planned(STEP);
        model.claims.asked.firewall.allow.clone_from(&self.options.allow);
        let Some(openings) = self.options.openings_beside(&model.claims, &model.facts.ssh_ports()) else {
            step.state = "left as it is (no `allow` in [steps.firewall])".into();
            return Ok(step);
        };
        refuse_others(&model.facts)?;
        self.keep_ourselves(model, &openings)?;
        let present = Host::read(model);
        keep_ssh(model, &openings, &present)?;
        step.changes.extend(install(model));
        let networks = self.project.as_ref().map_or(&[][..], |project| &project.networks);
        let bridges = Bridges::read(
            model.text(INTERFACES).unwrap_or_default(),
            &model.facts.firewall.loaded,
            networks.iter().filter_map(|network| network.bridge.as_deref()),
        );
        step.warnings.extend(present.remarks(&openings, &ufw::rules(&openings, &bridges.names())));
        step.state = state(&openings, &present);
        self.check_shut(model)?;
        let shut = self.shuts_out(model, &openings, &present);
        refuse_shut(model, &self.options, &shut)?;
        refuse_nameless(model)?;
        if keeps_forwarding(model) {
            step.warnings.push(
                "this host forwards packets between networks; ufw is set to allow that, as it is now \
                 (DEFAULT_FORWARD_POLICY)"
                    .into(),
            );
        }
        let change = self.rules(model, &openings, &bridges, &present, &shut);
        // That it was set back is news only while there is something to do again.
        step.warnings.extend(present.reverted.filter(|_| change.is_some()));
        step.changes.extend(change);
        model.openings = Some(openings);
        Ok(step)
    }
}

fn install(model: &mut Model) -> Option<Change> {
    if model.has_package("ufw") {
        return None;
    }
    let action = Action::new("packages", "install")
        .with("packages", "ufw")
        .with("refresh", refresh(model))
        .within(1800);
    model.install(["ufw"]);
    Some(Change {
        id: "firewall/install".into(),
        title: "install ufw".into(),
        reason: "not installed".into(),
        risks: vec![Risk::Downloads { bytes: None }],
        files: Vec::new(),
        undo: Some("apt-get remove ufw".into()),
        action,
    })
}

/// Whether ufw, not yet at work, would end what the host forwards for others: its own policy is DROP. What
/// is for containers has rules of its own.
fn keeps_forwarding(model: &Model) -> bool {
    !is_enabled(&model.facts)
        && model.text(FORWARDING).is_some_and(|text| text.trim() == "1")
        && loaded(&model.facts, 4, "filter", ":FORWARD ACCEPT")
}

fn state(openings: &[Opening], host: &Host) -> String {
    let open: Vec<_> = openings.iter().map(ToString::to_string).collect();
    let mut state = match open.as_slice() {
        [] => "nothing is let in".to_owned(),
        open => format!("only {} let in", join(open, if open.len() == 1 { "is" } else { "are" })),
    };
    let by_hand = host.by_hand().filter(|rule| rule.lets_in()).count();
    if by_hand > 0 {
        state.push_str(", and what rules made by hand let in");
    }
    state
}

fn join(items: &[String], verb: &str) -> String {
    format!("{} {verb}", items.join(", "))
}

impl Firewall {
    fn rules(
        &self,
        model: &mut Model,
        openings: &[Opening],
        bridges: &Bridges,
        host: &Host,
        shut: &[Shut],
    ) -> Option<Change> {
        let mut wanted = ufw::rules(openings, &bridges.names());
        wanted.retain(|rule| {
            (rule.source.addr().is_ipv4() || knows_ipv6(&model.facts))
                // ufw would put ours in the place of that one.
                && !host.by_hand().any(|present| present.is_against(rule))
        });
        let missing: Vec<&Rule> = wanted.iter().filter(|rule| !host.has(rule)).collect();
        let stale: Vec<&Present> =
            host.all().filter(|rule| rule.ours && !wanted.iter().any(|wanted| rule.is(wanted))).collect();
        let lets_in = |opening: &Opening| {
            let covers = |rule: &&Present| rule.covers(opening.ports.first, opening.protocol.as_str());
            host.by_hand().filter(covers).any(Present::lets_in)
        };
        let rulesets = [false, true].map(|v6| ruleset(openings, bridges, &lets_in, v6));
        let files: Vec<FileChange> = OURS
            .into_iter()
            .zip([rulesets[0].text.as_str(), rulesets[1].text.as_str(), LOADER])
            .zip([0o640, 0o640, 0o755])
            .filter_map(|((path, text), mode)| super::plain_file(model, path, text.to_owned(), mode))
            .collect();
        let mut reasons: Vec<String> = Vec::new();
        reasons.extend(host.faults.iter().map(ToString::to_string));
        if host.active && !missing.is_empty() {
            // Once made, and gone since: somebody took it away.
            reasons.push(format!("not let in by ufw: {}", texts(&missing)));
        }
        if !stale.is_empty() {
            reasons.push(format!("let in and no longer asked for: {}", texts(&stale)));
        }
        let chains_are_loaded = families(&model.facts)
            .zip(&rulesets)
            .all(|(family, ruleset)| is_loaded(&model.facts, family, ruleset));
        if host.active && host.faults.is_empty() {
            if !files.is_empty() {
                reasons.push("the rules for containers are others".into());
            } else if !chains_are_loaded {
                reasons.push("the rules for containers are not loaded as they should be".into());
            }
        }
        let done = host.faults.is_empty() && missing.is_empty() && stale.is_empty();
        if done && files.is_empty() && chains_are_loaded {
            return None;
        }
        let mut risks = self.lets_in(&model.facts, openings);
        risks.extend(shut.iter().map(Shut::risk));
        let ports: Vec<_> = openings.iter().map(ToString::to_string).collect();
        let title = match ports.as_slice() {
            [] => "let nothing in".to_owned(),
            ports => format!("let in {} and nothing else", ports.join(", ")),
        };
        let proof = if model.local { "local" } else { "new-connection" };
        let is_ssh = |rule: &Rule| {
            openings.iter().any(|each| each.ssh && each.ports == rule.ports && each.protocol == rule.protocol)
        };
        let add = ufw::calls(&missing)
            .into_iter()
            .map(|(rule, words)| format!("{} {words}", if is_ssh(rule) { "first" } else { "last" }));
        let ssh = openings.iter().filter(|each| each.ssh).map(|each| {
            let source = each.from.iter().find(|net| net.addr().is_ipv4()).or(each.from.first());
            format!("{} {}", each.ports.first, source.copied().map_or_else(String::new, a_source))
        });
        let by_hand = |rule: &Rule| host.by_hand().any(|present| present.is(rule));
        let tuples = wanted.iter().filter(|rule| !by_hand(rule)).map(Rule::tuple);
        let remove: Vec<Rule> = stale.iter().filter_map(|rule| rule.as_rule()).collect();
        let calls = ufw::calls(&remove.iter().collect::<Vec<_>>());
        let action = Action::new(STEP, "rules")
            .with("add", lines(add))
            .with("remove", lines(calls.into_iter().map(|(_, words)| words)))
            .with("present", lines(tuples))
            .with("absent", lines(remove.iter().map(Rule::tuple)))
            .with("ssh", lines(ssh))
            .with(
                "marks",
                format!(
                    "{} {}\n{} {}\n",
                    rulesets[0].count, rulesets[0].mark, rulesets[1].count, rulesets[1].mark
                ),
            )
            .with("proof", proof)
            .with("revert_after", self.options.revert_after.to_string())
            .within(self.options.revert_after.saturating_add(300));
        let action = match keeps_forwarding(model) {
            true => action.with("routed", "allow"),
            false => action,
        };
        let change = Change {
            id: "firewall/rules".into(),
            title,
            reason: reasons.join("; "),
            risks,
            files,
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
        // TEST-NET-1, which nobody has: RFC 5737.
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
