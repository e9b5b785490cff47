//! The firewall step: what comes in to the host and its containers, and a change that locks nobody out.
//!
//! ufw's rules hold for what is for the host itself; for containers, whose published
//! ports ufw never sees, there is a chain of our own (see [`containers`]).

mod containers;
mod options;
mod ufw;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;

use containers::{CHAIN, Ruleset, bridges, ruleset};
pub use options::{Allow, FirewallOptions, Opening, Transport};
use ufw::{Present, Rule};

use super::packages::refresh;
use super::{Model, Refusal, Step, planned};
use crate::facts::{Facts, Question, Questions};
use crate::plan::{Action, Change, FileChange, PlannedStep, Risk};
use crate::stack::compose::Project;

const STEP: &str = "firewall";
const SETTINGS: &str = "/etc/ufw/ufw.conf";
const DEFAULTS: &str = "/etc/default/ufw";
const HOOK: &str = "/etc/ufw/after.init";
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
        if self.options.allow.is_none() {
            return;
        }
        questions.insert(Question::Firewall);
        questions.insert(Question::Published);
        questions.insert(Question::Package("ufw".into()));
        for unit in ["firewalld.service", "netfilter-persistent.service", UNIT] {
            questions.insert(Question::Unit(unit.into()));
        }
        let files = [SETTINGS, DEFAULTS, HOOK, ARMED, REVERTED, INTERFACES, IPV6]
            .into_iter()
            .chain(RULES)
            .chain(OURS);
        questions.extend(files.map(|path| Question::File { path: path.into(), unless: None }));
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        let mut step = planned(STEP);
        if self.options.allow.is_none() {
            step.state = "left as it is (no `allow` in [steps.firewall])".into();
            return Ok(step);
        }
        refuse_others(&model.facts)?;
        let openings = self.options.openings(&model.facts.ssh_ports());
        self.keep_ourselves(model, &openings)?;
        let present = Host::read(model);
        keep_ssh(model, &openings, &present)?;
        step.changes.extend(install(model));
        step.warnings.extend(present.remarks(&openings));
        step.state = state(&openings, &present);
        let change = self.rules(model, &openings, &present);
        // That it was set back is news only while there is something to do again.
        step.warnings.extend(present.reverted.filter(|_| change.is_some()));
        step.changes.extend(change);
        model.openings = Some(openings);
        Ok(step)
    }
}

/// What else filters packets: two that do not know of each other lock somebody out.
fn refuse_others(facts: &Facts) -> Result<(), Refusal> {
    let is_active = |unit: &str| facts.unit(unit).is_some_and(|unit| unit.is_active() || unit.is_enabled());
    let other = if is_active("firewalld.service") {
        Some(("firewalld rules this host's firewall".to_owned(), "systemctl disable --now firewalld"))
    } else if is_active("netfilter-persistent.service") {
        Some((
            "netfilter-persistent loads rules of somebody's own (/etc/iptables)".to_owned(),
            "apt-get remove netfilter-persistent",
        ))
    } else if !facts.firewall.foreign_tables.is_empty() {
        let tables = facts.firewall.foreign_tables.join(", ");
        Some((
            format!("a ruleset of somebody's own is loaded in nftables ({tables})"),
            "systemctl disable --now nftables",
        ))
    } else if !is_enabled(facts)
        && !loaded(facts, 4, "filter", "-A INPUT -j ufw-before-input")
        && has_rules_by_hand(facts)
    {
        Some(("iptables has rules of somebody's own for what comes in".to_owned(), "iptables -S INPUT"))
    } else {
        None
    };
    let Some((what, command)) = other else { return Ok(()) };
    Err(Refusal {
        step: STEP,
        what: format!("{what}; provision does not fight it, and nothing was changed"),
        details: Vec::new(),
        hints: vec![
            "leave `allow` out of [steps.firewall], and the firewall stays as it is".into(),
            format!("or let provision rule it: look at what is there and take it away (`{command}`)"),
        ],
        findings: Vec::new(),
    })
}

/// A rule made by hand that shuts the port of this very connection, and cannot stand beside ours.
fn keep_ssh(model: &Model, openings: &[Opening], host: &Host) -> Result<(), Refusal> {
    let (Some(port), false) = (model.facts.identity.ssh_port, model.force) else { return Ok(()) };
    let ours: Vec<Rule> = ufw::rules(openings).into_iter().filter(|rule| rule.ports.first == port).collect();
    let admits =
        |rule: &Rule| model.facts.identity.ssh_client.is_none_or(|client| rule.source.contains(&client));
    let is_against = |present: &&Present| ours.iter().any(|rule| admits(rule) && present.is_against(rule));
    let Some(rule) = host.by_hand().find(is_against) else { return Ok(()) };
    Err(Refusal {
        step: STEP,
        what: format!("a rule made by hand in ufw shuts ssh, by which we come: {rule}"),
        details: Vec::new(),
        hints: vec![
            "take it away on the host (`ufw status numbered`, `ufw delete NUMBER`), and run provision again"
                .into(),
        ],
        findings: Vec::new(),
    })
}

fn is_enabled(facts: &Facts) -> bool {
    let text = facts.content(SETTINGS).unwrap_or_default();
    String::from_utf8_lossy(text).lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"))
}

/// What a line of /etc/default/ufw says, as the shell that reads it has it: the last one holds.
fn setting(text: &str, name: &str) -> Option<String> {
    let value = |line: &str| Some(line.trim().strip_prefix(name)?.strip_prefix('=')?.to_owned());
    let value = text.lines().filter_map(value).next_back()?;
    let value = value.split([' ', '\t', '#']).next().unwrap_or_default();
    Some(value.trim_matches(['"', '\'']).to_lowercase())
}

/// Rules of nobody's that keep something out.
fn has_rules_by_hand(facts: &Facts) -> bool {
    facts.firewall.loaded.iter().filter(|rule| rule.table == "filter").any(|rule| {
        let keeps_out = ["-j DROP", "-j REJECT"].iter().any(|verdict| rule.rule.contains(verdict));
        rule.rule.starts_with(":INPUT DROP") || (rule.rule.starts_with("-A INPUT ") && keeps_out)
    })
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

/// What the host has of it.
struct Host {
    /// ufw's rules, IPv4 and IPv6.
    rules: [Vec<Present>; 2],
    /// Whether ufw is to start at boot and is loaded.
    active: bool,
    /// What is wrong with ufw besides its rules, in words.
    faults: Vec<&'static str>,
    /// Why an earlier change did not stay.
    reverted: Option<String>,
    /// Rules of others before containers.
    others: usize,
}

impl Host {
    fn read(model: &Model) -> Self {
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
        let hooked = model.file(HOOK).is_some_and(|file| file.mode & 0o100 != 0)
            && model.text(HOOK).is_some_and(|text| text.contains(OURS[2]));
        if active && !hooked {
            faults.push("published ports of containers are not ruled");
        }
        if model.file(ARMED).is_some() {
            faults.push("an earlier change was not proven to let us in again");
        }
        let others = facts.firewall.loaded.iter().filter(|rule| {
            rule.rule.starts_with("-A DOCKER-USER ") && rule.rule != "-A DOCKER-USER -j RETURN"
        });
        Self { rules, active, faults, reverted: model.text(REVERTED).map(reverted), others: others.count() }
    }

    fn all(&self) -> impl Iterator<Item = &Present> {
        self.rules.iter().flatten()
    }

    fn by_hand(&self) -> impl Iterator<Item = &Present> {
        self.all().filter(|rule| !rule.ours)
    }

    fn has(&self, rule: &Rule) -> bool {
        self.all().any(|present| present.is(rule))
    }

    /// What a person should know of rules that are not ours.
    fn remarks(&self, openings: &[Opening]) -> Vec<String> {
        let mut remarks = Vec::new();
        let wanted = ufw::rules(openings);
        let is_against = |rule: &&Present| wanted.iter().any(|wanted| rule.is_against(wanted));
        let shut: Vec<String> = self.by_hand().filter(is_against).map(ToString::to_string).collect();
        if !shut.is_empty() {
            remarks.push(format!(
                "made by hand, against `allow`, and stays: {}; take away the one or the other (`ufw status numbered`, \
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

/// Whether the kernel knows IPv6 at all; with ipv6.disable=1 ufw takes no rule for it.
fn knows_ipv6(facts: &Facts) -> bool {
    !matches!(facts.files.get(IPV6), Some(None))
}

/// The families of which anything is known; IPv6 may be switched off.
fn families(facts: &Facts) -> impl Iterator<Item = u8> {
    let firewall = &facts.firewall;
    let six = knows_ipv6(facts)
        && (firewall.loaded.iter().any(|rule| rule.family == 6)
            || firewall.addresses.iter().any(IpAddr::is_ipv6));
    [4, 6].into_iter().filter(move |family| *family == 4 || six)
}

fn loaded(facts: &Facts, family: u8, table: &str, rule: &str) -> bool {
    facts.firewall.loaded.iter().any(|each| each.family == family && each.table == table && each.rule == rule)
}

/// When and why, as the host wrote it down: a line each for the time, the run and the reason.
fn reverted(text: &str) -> String {
    let mut lines = text.lines();
    let (when, run) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let why = lines.next().unwrap_or("nobody proved that the host could still be reached");
    format!("the firewall set itself back at {when}, after run {run}: {why}")
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
    /// Nobody shuts the door on the way in.
    fn keep_ourselves(&self, model: &Model, openings: &[Opening]) -> Result<(), Refusal> {
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
                "`--force` goes on all the same; the host sets itself back when you are locked out".into(),
            ],
            findings: Vec::new(),
        })
    }

    fn rules(&self, model: &mut Model, openings: &[Opening], host: &Host) -> Option<Change> {
        let mut wanted = ufw::rules(openings);
        wanted.retain(|rule| {
            (rule.source.addr().is_ipv4() || knows_ipv6(&model.facts))
                // ufw would put ours in the place of that one.
                && !host.by_hand().any(|present| present.is_against(rule))
        });
        let missing: Vec<&Rule> = wanted.iter().filter(|rule| !host.has(rule)).collect();
        let stale: Vec<&Present> =
            host.all().filter(|rule| rule.ours && !wanted.iter().any(|wanted| rule.is(wanted))).collect();
        let bridges = bridges(model.text(INTERFACES).unwrap_or_default(), &model.facts.firewall.loaded);
        let rulesets = [false, true].map(|v6| ruleset(openings, &bridges, v6));
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
        risks.extend(self.shuts_out(&model.facts, openings, host, chains_are_loaded));
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

    /// What anybody or somebody may reach then, and what answers there.
    fn lets_in(&self, facts: &Facts, openings: &[Opening]) -> Vec<Risk> {
        openings
            .iter()
            .map(|opening| Risk::LetsIn {
                port: format!("{}/{}", opening.ports, opening.protocol.as_str()),
                from: opening.narrowed_to(),
                behind: self.behind(facts, opening),
            })
            .collect()
    }

    /// Who answers at these ports, or will.
    fn behind(&self, facts: &Facts, opening: &Opening) -> Vec<String> {
        let mut behind = Vec::new();
        let mut add = |name: String| {
            if !name.is_empty() && !behind.contains(&name) {
                behind.push(name);
            }
        };
        for port in &facts.published {
            if opening.covers(port.port, &port.protocol) && port.is_open() {
                add(port.owner());
            }
        }
        for (project, service) in self
            .project
            .iter()
            .flat_map(|project| project.enabled().map(move |service| (&project.name, service)))
        {
            let publishes = service.ports.iter().any(|port| {
                let ports = port.published.filter(|ports| ports.overlaps(opening.ports));
                ports.is_some() && opening.protocol.is(port.protocol)
            });
            if publishes {
                add(format!("{} ({project})", service.name));
            }
        }
        for socket in &facts.listening {
            let is_dockers = facts.published.iter().any(|port| {
                port.port == socket.port && port.protocol == socket.protocol && socket.process == "dockerd"
            });
            if opening.covers(socket.port, &socket.protocol)
                && socket.is_open()
                && socket.process != "docker-proxy"
                && !is_dockers
            {
                add(socket.process.clone());
            }
        }
        behind
    }

    /// What answers from outside now and will not any more.
    fn shuts_out(&self, facts: &Facts, openings: &[Opening], host: &Host, ruled: bool) -> Vec<Risk> {
        let stays = |port: u16, protocol: &str| openings.iter().any(|each| each.covers(port, protocol));
        let by_hand = |port: u16, protocol: &str| {
            host.by_hand().any(|rule| rule.plain && rule.lets_in() && rule.covers(port, protocol))
        };
        let mut shut: Vec<(u16, String, String)> = Vec::new();
        let mut add = |port: u16, protocol: &str, behind: String| {
            if !shut.iter().any(|(other, of, _)| *other == port && of == protocol) {
                shut.push((port, protocol.to_owned(), behind));
            }
        };
        if !ruled {
            for port in &facts.published {
                if port.is_open() && !stays(port.port, &port.protocol) {
                    add(port.port, &port.protocol, port.owner());
                }
            }
        }
        if !host.active {
            for socket in facts.listening.iter().filter(|socket| socket.is_open()) {
                let is_container = facts.published.iter().any(|port| port.port == socket.port);
                if !stays(socket.port, &socket.protocol)
                    && !by_hand(socket.port, &socket.protocol)
                    && !is_container
                {
                    add(socket.port, &socket.protocol, socket.process.clone());
                }
            }
        }
        shut.sort();
        shut.into_iter()
            .map(|(port, protocol, behind)| Risk::ShutsOut { port: format!("{port}/{protocol}"), behind })
            .collect()
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

fn is_loaded(facts: &Facts, family: u8, ruleset: &Ruleset) -> bool {
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

fn texts<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.map(|item| item + "\n").collect()
}
