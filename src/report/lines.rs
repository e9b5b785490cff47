//! What is said for good about events: the lines that both terminal and plain reporter print.

use std::collections::BTreeMap;

use super::findings::mark;
use super::paint::{Paint, Word};
use super::words::remedy;
use super::{ChangeOutcome, Event, Failure, LineKind, RunOutcome, Summary, Verbosity};
use crate::plan::{Finding, Level};
use crate::text::{columns, counted, duration, harmless};

/// Turns events into lines.
pub(super) struct Lines {
    paint: Paint,
    verbosity: Verbosity,
    /// Whether something else shows what is under way, so that only ends are worth a line.
    live: bool,
    /// The width of the longest host's name, when there are several.
    host_width: Option<usize>,
    /// The change that is under way, by host.
    current: BTreeMap<String, Current>,
}

/// The change that is under way.
struct Current {
    title: String,
    index: usize,
    total: usize,
}

impl Current {
    /// `[3/12]`.
    fn place(&self) -> String {
        let width = self.total.to_string().len();
        format!("[{:>width$}/{}]", self.index, self.total)
    }
}

impl Lines {
    pub(super) fn new(paint: Paint, verbosity: Verbosity, live: bool, hosts: &[String]) -> Self {
        let widest = hosts.iter().map(|host| columns(&harmless(host))).max();
        let host_width = widest.filter(|_| hosts.len() > 1);
        Self { paint, verbosity, live, host_width, current: BTreeMap::new() }
    }

    /// What stands before each line of a host: nothing when there is only one.
    pub(super) fn prefix(&self, host: &str) -> String {
        let Some(width) = self.host_width else { return String::new() };
        let host = harmless(host);
        let gap = " ".repeat(width.saturating_sub(columns(&host)) + 2);
        format!("{}{gap}", self.paint.bold(&host))
    }

    /// What is under way: `[3/12] install docker-ce and 4 more packages`.
    pub(super) fn heading(&self, host: &str) -> String {
        let current = self.current.get(host);
        current.map_or_else(String::new, |now| format!("{} {}", self.paint.dim(&now.place()), now.title))
    }

    /// The lines for an event, without their ends. Most events have none or one.
    pub(super) fn of(&mut self, host: &str, event: &Event) -> Vec<String> {
        let lines = if self.verbosity == Verbosity::Quiet {
            self.urgent(host, event)
        } else {
            self.change(host, event)
                .or_else(|| self.run(host, event))
                .or_else(|| self.preparation(event))
                .unwrap_or_else(|| self.urgent(host, event))
        };
        let prefix = self.prefix(host);
        lines.into_iter().map(|line| format!("{prefix}{line}").trim_end().to_owned()).collect()
    }

    fn verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// A line that only verbose reporters print.
    fn detail(&self, text: &str) -> Vec<String> {
        if self.verbose() { vec![self.paint.dim(&harmless(text))] } else { Vec::new() }
    }

    fn warning(&self, text: &str) -> Vec<String> {
        vec![format!("{} {}", self.paint.word(Word::Warning), harmless(text))]
    }

    fn help(&self, text: &str) -> String {
        format!("{} {}", self.paint.word(Word::Help), harmless(text))
    }

    /// Before a run: connection, facts, images, plan.
    fn preparation(&self, event: &Event) -> Option<Vec<String>> {
        Some(match event {
            Event::Connecting => self.detail("connecting"),
            Event::Probing => self.detail("reading facts"),
            Event::NewHostKey { name, fingerprint } => {
                let text = format!("new host key of {name} accepted: {fingerprint}");
                vec![harmless(&text).into_owned()]
            }
            Event::Probed { milliseconds, system } => {
                self.detail(&format!("{system}, facts read in {}", duration(*milliseconds)))
            }
            Event::CheckingImages { count } => {
                self.detail(&format!("looking up {} in their registries", counted(*count, "image")))
            }
            Event::Knocking { ports } => {
                self.detail(&format!("trying {} from here", counted(*ports, "port")))
            }
            Event::Planned { plan } => {
                self.detail(&format!("{} planned", counted(plan.changes().count(), "change")))
            }
            _ => return None,
        })
    }

    /// A run as a whole.
    fn run(&mut self, host: &str, event: &Event) -> Option<Vec<String>> {
        Some(match event {
            Event::Resuming { run, outcome, change, stack } => {
                // It was let finish what was under way.
                let at = if *outcome == RunOutcome::Cancelled { "after" } else { "in" };
                let place = change.as_ref().map_or_else(String::new, |change| format!(" {at} {change}"));
                let how = ended(*outcome);
                let text = match stack {
                    None => format!("the earlier run {run} {how}{place}; continuing from there"),
                    Some(stack) => format!(
                        "the last run on {host} was for the stack {stack}, and {how}{place} ({run}); it stays as it \
                         is until `provision up` in the folder of {stack}"
                    ),
                };
                vec![harmless(&text).into_owned()]
            }
            Event::RunStarted { run, changes } => {
                vec![self.paint.dim(&harmless(&format!("run {run}: {}", counted(*changes, "change"))))]
            }
            Event::RunAttached { run, holder } => {
                vec![harmless(&format!("following run {run}, started by {holder}")).into_owned()]
            }
            Event::RunEnded { run, outcome, milliseconds } => {
                self.current.remove(host);
                let text = format!("run {run} {} after {}", ended(*outcome), duration(*milliseconds));
                match outcome {
                    RunOutcome::Died | RunOutcome::Cancelled => vec![harmless(&text).into_owned()],
                    RunOutcome::Completed | RunOutcome::Failed | RunOutcome::Running => self.detail(&text),
                }
            }
            Event::Proving => {
                vec!["making a new connection: the host undoes this change unless it succeeds".to_owned()]
            }
            Event::Proven => vec!["the new connection succeeded; the change stays".to_owned()],
            Event::SecretKept { secret } => {
                vec![format!(
                    "the host keeps the secret {}; `provision up` takes it from there",
                    harmless(secret)
                )]
            }
            Event::Reattached => vec!["connected again".to_owned()],
            Event::Cancelling { .. } => {
                vec!["cancelling: the run stops after the change that is under way".into()]
            }
            Event::Summary(summary) => self.summary(host, summary),
            _ => return None,
        })
    }

    /// The changes of a run.
    fn change(&mut self, host: &str, event: &Event) -> Option<Vec<String>> {
        match event {
            Event::ChangeStarted { title, index, total, .. } => {
                let current = Current { title: harmless(title).into_owned(), index: *index, total: *total };
                self.current.insert(host.to_owned(), current);
                // Where a live line shows it, only the output below it needs a heading that stays.
                Some(if self.live && !self.verbose() { Vec::new() } else { vec![self.heading(host)] })
            }
            // Also for a person who does not read all output.
            Event::Output { kind: LineKind::Result, line, .. } => Some(vec![format!("  {}", harmless(line))]),
            Event::Output { kind, line, .. } => {
                let line = self.paint.dim(&format!("│ {}{}", kind.label(), harmless(line)));
                Some(if self.verbose() { vec![format!("  {line}")] } else { Vec::new() })
            }
            Event::ChangeEnded { change, outcome, milliseconds } => {
                let current = self.current.remove(host);
                Some(vec![self.change_ended(change, current.as_ref(), *outcome, *milliseconds)])
            }
            _ => None,
        }
    }

    fn change_ended(&self, id: &str, current: Option<&Current>, outcome: ChangeOutcome, took: u64) -> String {
        let paint = self.paint;
        let took = duration(took);
        let mark = match outcome {
            ChangeOutcome::Applied => paint.green("✓"),
            ChangeOutcome::AlreadySo => paint.dim("="),
            ChangeOutcome::Failed => paint.red("✗"),
        };
        let id = harmless(id);
        if self.live {
            let title = current.map_or(&*id, |current| &current.title);
            let behind = if outcome == ChangeOutcome::AlreadySo { "no change needed" } else { &took };
            return format!("{mark} {title}  {}", paint.dim(behind));
        }
        let place = current.map_or_else(|| id.into_owned(), Current::place);
        let how = match outcome {
            ChangeOutcome::Applied => format!("done in {took}"),
            ChangeOutcome::AlreadySo => "no change needed".to_owned(),
            ChangeOutcome::Failed => format!("failed after {took}"),
        };
        format!("{} {mark} {how}", paint.dim(&place))
    }

    /// What is said even to those who asked for quiet.
    fn urgent(&mut self, host: &str, event: &Event) -> Vec<String> {
        match event {
            Event::Warning { text } => self.warning(text),
            Event::Finding(finding) => self.finding(finding),
            Event::Exposure(exposure) => super::exposure::lines(exposure, self.paint, self.verbosity),
            Event::ConnectionLost { reason, attempt } => {
                let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
                match attempt {
                    1 => self.warning(&format!(
                        "connection lost{why}; the run continues on the host; reconnecting"
                    )),
                    _ => self.detail(&format!("still not connected{why}, attempt {attempt}")),
                }
            }
            Event::Detached { run, may_cancel } => self.detached(host, run, *may_cancel),
            Event::Failed(failure) => self.failure(failure),
            // Kept in step, so that a change's line is known when it fails.
            Event::ChangeStarted { .. } | Event::ChangeEnded { .. } => {
                let _ = self.change(host, event);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn detached(&self, host: &str, run: &str, may_cancel: bool) -> Vec<String> {
        let mut lines = vec![
            harmless(&format!("run {run} continues on the host")).into_owned(),
            self.help(&format!("'provision up {host}' follows it again")),
        ];
        if may_cancel {
            lines.push(self.help("Ctrl-C again within 3 seconds cancels it between two changes"));
        }
        lines
    }

    fn finding(&self, finding: &Finding) -> Vec<String> {
        let Finding { level, topic, text, .. } = finding;
        let line = format!("{topic}: {text}");
        let mut lines = match level {
            Level::Fine if self.verbose() => {
                return vec![format!("{} {}", mark(*level, self.paint), self.paint.dim(&harmless(&line)))];
            }
            Level::Fine => return Vec::new(),
            Level::Soft => self.warning(&line),
            // The error is that the machine is not ready; it follows, once.
            Level::Forceable | Level::Hard => {
                vec![format!("{} {}", mark(*level, self.paint), harmless(&line))]
            }
        };
        let remedy = remedy(finding);
        if !remedy.is_empty() {
            lines.push(self.help(&remedy));
        }
        lines
    }

    fn failure(&self, failure: &Failure) -> Vec<String> {
        let mut lines = vec![format!("{} {}", self.paint.word(Word::Error), harmless(&failure.what))];
        if let Some(change) = &failure.change {
            lines.push(self.paint.dim(&format!("  in {}", harmless(change))));
        }
        let gutter = self.paint.dim("│");
        lines.extend(failure.output.iter().map(|line| format!("  {gutter} {}", harmless(line))));
        lines.extend(failure.hints.iter().map(|hint| self.help(hint)));
        lines
    }

    fn summary(&self, host: &str, summary: &Summary) -> Vec<String> {
        // With several hosts the name stands in front already.
        let (on, head) = match self.host_width {
            Some(_) => (String::new(), String::new()),
            None => (format!(" on {}", harmless(host)), format!("{}: ", harmless(host))),
        };
        let took = duration(summary.milliseconds);
        let changed = summary.run.is_some() || summary.applied > 0;
        let mut lines = Vec::new();
        if changed {
            let count = counted(summary.applied, "change");
            let already = match summary.already_so {
                0 => String::new(),
                so => format!(", {so} already in place"),
            };
            let text = format!("{count} made{on} in {took}{already}");
            lines.push(format!("{} {}", self.paint.green("✓"), self.paint.bold(&text)));
        } else {
            lines.push(format!("{head}nothing to change ({took})"));
        }
        lines.extend(self.addresses(summary, changed || self.verbose()));
        if changed || self.verbose() {
            lines.extend(
                summary.next.iter().map(|next| format!("  {} {}", self.paint.cyan("→"), harmless(next))),
            );
        }
        lines
    }

    /// The addresses as a table; those that cannot be reached are always worth a line.
    fn addresses(&self, summary: &Summary, all: bool) -> Vec<String> {
        let listed: Vec<_> =
            summary.addresses.iter().filter(|each| all || each.reachable == Some(false)).collect();
        let width = |text: fn(&super::Address) -> &str| {
            listed.iter().map(|each| columns(&harmless(text(each)))).max().unwrap_or(0)
        };
        let (services, addresses) = (width(|each| &each.service), width(|each| &each.address));
        let line = |each: &&super::Address| {
            let (service, address) = (harmless(&each.service), harmless(&each.address));
            let after_service = " ".repeat(services - columns(&service) + 2);
            let after_address = " ".repeat(addresses - columns(&address) + 2);
            let reach = match each.reachable {
                Some(true) => format!("{} reachable from here", self.paint.green("✓")),
                Some(false) => format!("{} not reachable from here", self.paint.red("✗")),
                None if each.closed => self.paint.dim("closed by the firewall"),
                None => String::new(),
            };
            format!("  {service}{after_service}{}{after_address}{reach}", self.paint.bold(&address))
        };
        listed.iter().map(line).collect()
    }
}

/// How a run ended, behind its id.
fn ended(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Running => "is still active",
        RunOutcome::Completed => "was completed",
        RunOutcome::Failed => "failed",
        RunOutcome::Cancelled => "was cancelled",
        RunOutcome::Died => "ended unexpectedly",
    }
}
