//! What the host has of a firewall: ufw, its rules, and what is loaded.

use std::net::IpAddr;

use super::containers::{CHAIN, Ruleset};
use super::opening::Opening;
use super::ufw::{self, Present, Rule};
use super::{ARMED, DEFAULTS, HOOKS, IPV6, OURS, REVERTED, RULES, SETTINGS, UNIT};
use crate::facts::Facts;
use crate::steps::Model;

/// What the host has of it.
pub(super) struct HostRules {
    /// ufw's rules, IPv4 and IPv6.
    pub(super) rules: [Vec<Present>; 2],
    /// Whether ufw is to start at boot and is loaded.
    pub(super) active: bool,
    /// What is wrong with ufw besides its rules, in words.
    pub(super) faults: Vec<&'static str>,
    /// Why an earlier change did not stay.
    pub(super) reverted: Option<String>,
    /// Rules of others before containers.
    pub(super) others: usize,
}

impl HostRules {
    pub(super) fn read(model: &Model) -> Self {
        let facts = &model.facts;
        let rules = RULES.map(|path| ufw::read(model.text(path).unwrap_or_default()));
        let mut faults = Vec::new();
        let jumps = |family| {
            let name = if family == 6 { "ufw6" } else { "ufw" };
            loaded(facts, family, "filter", &format!("-A INPUT -j {name}-before-input"))
        };
        let active = is_enabled(facts) && families(facts).all(jumps);
        if !is_enabled(facts) {
            faults.push("ufw is not enabled");
        } else if !active {
            faults.push("ufw is enabled and its rules are not loaded");
        }
        let defaults = model.text(DEFAULTS).unwrap_or_default();
        if active && setting(defaults, "DEFAULT_INPUT_POLICY").as_deref() == Some("accept") {
            faults.push("ufw lets in what no rule names");
        }
        if active && setting(defaults, "IPV6").as_deref() != Some("yes") {
            faults.push("ufw does not rule IPv6");
        }
        if active && facts.unit(UNIT).is_some_and(|unit| !unit.is_enabled()) {
            faults.push("ufw is not started at boot");
        }
        let is_hooked = |path: &str| {
            model.file(path).is_some_and(|file| file.mode & 0o100 != 0)
                && model.text(path).is_some_and(|text| text.contains(OURS[2]))
        };
        let [before, after] = HOOKS;
        if active && !is_hooked(after) {
            faults.push("published ports of containers are not ruled");
        } else if active && !is_hooked(before) {
            faults.push("a reload of ufw would open all ports for a moment");
        }
        if model.file(ARMED).is_some() {
            faults.push("an earlier change was not proven to let us in again");
        }
        let others = facts.firewall.loaded.iter().filter(|rule| {
            rule.rule.starts_with("-A DOCKER-USER ") && rule.rule != "-A DOCKER-USER -j RETURN"
        });
        Self { rules, active, faults, reverted: model.text(REVERTED).map(reverted), others: others.count() }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Present> {
        self.rules.iter().flatten()
    }

    pub(super) fn by_hand(&self) -> impl Iterator<Item = &Present> {
        self.all().filter(|rule| !rule.ours)
    }

    pub(super) fn has(&self, rule: &Rule) -> bool {
        self.all().any(|present| present.is(rule))
    }

    /// What a person should know of rules that are not ours.
    pub(super) fn remarks(&self, openings: &[Opening], wanted: &[Rule]) -> Vec<String> {
        let mut remarks = Vec::new();
        let is_against = |rule: &&Present| wanted.iter().any(|wanted| rule.is_against(wanted));
        let shut: Vec<String> = self.by_hand().filter(is_against).map(ToString::to_string).collect();
        if !shut.is_empty() {
            remarks.push(format!(
                "made by hand, against `allow`, and stays: {}; remove one of them (`ufw status numbered`, \
                 `ufw delete NUMBER` on the host)",
                shut.join("; ")
            ));
        }
        let extra: Vec<String> = self
            .by_hand()
            .filter(|rule| !is_against(rule) && !wanted.iter().any(|wanted| rule.is(wanted)))
            .map(ToString::to_string)
            .collect();
        if !extra.is_empty() {
            remarks.push(format!("rules made by hand stay as they are: {}", extra.join("; ")));
        }
        if self.others > 0 {
            let stay = if self.others == 1 {
                "rule made by hand in DOCKER-USER stays as it is"
            } else {
                "rules made by hand in DOCKER-USER stay as they are"
            };
            remarks.push(format!("{} {stay}", self.others));
        }
        for opening in openings.iter().filter(|opening| opening.ssh && opening.is_public()) {
            let port = opening.ports.first;
            let narrow: Vec<_> =
                self.by_hand().filter(|rule| rule.lets_in() && rule.ports == Some(opening.ports)).collect();
            let public = |rule: &&Present| rule.plain && rule.source.is_some_and(|net| net.prefix_len() == 0);
            if !narrow.is_empty() && !narrow.iter().any(public) {
                remarks.push(format!(
                    "ssh was let in from some networks only, by hand; now everybody may knock at {port}: \
                     narrow it with {{ port = \"ssh\", from = [\"…\"] }} in `allow`"
                ));
            }
        }
        remarks
    }
}

pub(super) fn is_enabled(facts: &Facts) -> bool {
    let text = facts.content(SETTINGS).unwrap_or_default();
    String::from_utf8_lossy(text).lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"))
}

/// What a line of /etc/default/ufw says, as the shell that reads it has it: the last one holds.
pub(super) fn setting(text: &str, name: &str) -> Option<String> {
    let value = |line: &str| Some(line.trim().strip_prefix(name)?.strip_prefix('=')?.to_owned());
    let value = text.lines().filter_map(value).next_back()?;
    let value = value.split([' ', '\t', '#']).next().unwrap_or_default();
    Some(value.trim_matches(['"', '\'']).to_lowercase())
}

/// Whether the kernel knows IPv6 at all; with ipv6.disable=1 ufw takes no rule for it.
pub(super) fn knows_ipv6(facts: &Facts) -> bool {
    !matches!(facts.files.get(IPV6), Some(None))
}

/// The families of which anything is known; IPv6 may be switched off.
pub(super) fn families(facts: &Facts) -> impl Iterator<Item = u8> {
    let firewall = &facts.firewall;
    let six = knows_ipv6(facts)
        && (firewall.loaded.iter().any(|rule| rule.family == 6)
            || firewall.addresses.iter().any(IpAddr::is_ipv6));
    [4, 6].into_iter().filter(move |family| *family == 4 || six)
}

pub(super) fn loaded(facts: &Facts, family: u8, table: &str, rule: &str) -> bool {
    facts.firewall.loaded.iter().any(|each| each.family == family && each.table == table && each.rule == rule)
}

pub(super) fn is_loaded(facts: &Facts, family: u8, ruleset: &Ruleset) -> bool {
    let chain = format!("-A {CHAIN} ");
    let rules = facts
        .firewall
        .loaded
        .iter()
        .filter(|rule| rule.family == family && rule.table == "mangle" && rule.rule.starts_with(&chain));
    let mut count = 0;
    let mut marked = false;
    for rule in rules {
        count += 1;
        marked |= rule.rule.contains(&ruleset.mark);
    }
    marked && count == ruleset.count && loaded(facts, family, "mangle", &format!("-A FORWARD -j {CHAIN}"))
}

/// When and why, as the host wrote it down: a line each for the time, the run and the reason.
fn reverted(text: &str) -> String {
    let mut lines = text.lines();
    let (when, run) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let why = lines.next().unwrap_or("no new connection proved that the host is still reachable");
    format!("the firewall was reverted at {when}, after run {run}: {why}")
}
