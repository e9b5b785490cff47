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
mod rules;
mod source;
mod ufw;

#[cfg(test)]
mod tests;

use containers::Bridges;
pub(super) use containers::is_dockers;
use host::{HostRules, is_enabled, loaded};
pub use opening::Opening;
pub use options::{Allow, FirewallOptions};
pub(super) use port::PortName;
pub use port::Transport;
use refusals::{keep_ssh, refuse_nameless, refuse_others, refuse_shut};
pub(super) use source::SourceNet;

use super::packages::refresh;
use super::{Model, Refusal, Step, planned};
use crate::facts::{Question, Questions};
use crate::plan::{Action, Change, PlannedStep, Risk};
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
        let present = HostRules::read(model);
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

fn state(openings: &[Opening], host: &HostRules) -> String {
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
