//! `provision runs` and `provision show`: what a host remembers.

use std::time::{Duration, UNIX_EPOCH};

use super::exit::Exit;
use super::{exit_of, failure, index};
use crate::host::Destination;
use crate::report::{ChangeOutcome, Event, Failure, Reporter, print};
use crate::run::{Follower, Link, Request};
use crate::text::{duration, harmless};
use crate::time::rfc3339;

/// `provision runs HOST`
pub(super) async fn runs(mut link: Link, json: bool, reporter: &dyn Reporter) -> Exit {
    let request = Request { verb: "list", ..Request::default() };
    match ask(&mut link, &request).await {
        Err(failure) => fail(&link, reporter, failure),
        Ok(lines) => {
            let rows: Vec<_> = lines.iter().rev().filter_map(|line| Row::parse(line)).collect();
            for row in &rows {
                index::remember(&row.run, &link.name());
            }
            let text: String = if json {
                rows.iter().map(|row| format!("{}\n", row.json())).collect()
            } else if rows.is_empty() {
                format!("no runs on {0} yet: `provision up {0}` makes the first\n", link.name())
            } else {
                rows.iter().map(Row::text).collect()
            };
            print(&text);
            Exit::Done
        }
    }
}

/// A line of `runs`.
struct Row {
    run: String,
    state: String,
    started: u64,
    ended: u64,
    applied: String,
    holder: String,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t').map(|field| harmless(field).into_owned());
        Some(Self {
            run: fields.next()?,
            state: fields.next()?,
            started: fields.next()?.parse().ok()?,
            ended: fields.next()?.parse().ok()?,
            applied: fields.next()?,
            holder: fields.next()?,
        })
    }

    fn at(&self) -> String {
        moment(self.started)
    }

    fn text(&self) -> String {
        let took = if self.state == "running" {
            String::new()
        } else {
            duration(self.ended.saturating_sub(self.started))
        };
        format!(
            "{}  {}  {:<9}  {:>3} applied  {:>7}  {}\n",
            self.run,
            self.at(),
            self.state,
            self.applied,
            took,
            self.holder
        )
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "run": self.run, "state": self.state, "started": self.at(),
            "milliseconds": self.ended.saturating_sub(self.started),
            "applied": self.applied.parse::<u64>().ok(), "holder": self.holder,
        })
    }
}

pub(super) fn moment(milliseconds: u64) -> String {
    // No host's clock may overflow ours.
    let since = Duration::from_millis(milliseconds.min(253_402_300_799_000));
    let text = rfc3339(UNIX_EPOCH + since);
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default())
}

/// `provision show RUN`
pub(super) async fn show(mut link: Link, run: &str, json: bool, reporter: &dyn Reporter) -> Exit {
    let request = Request { verb: "show", run, ..Request::default() };
    let lines = match ask(&mut link, &request).await {
        Ok(lines) => lines,
        Err(failure) => return fail(&link, reporter, failure),
    };
    if lines.first().is_some_and(|line| line == "no-run") {
        let host = link.name();
        let what = format!("{host} remembers no run {run}");
        let failure = failure::with_hint(
            Exit::Usage,
            what,
            format!("it remembers the last thirty: `provision runs {host}`"),
        );
        return fail(&link, reporter, failure);
    }
    let mut follower = Follower::default();
    let mut text = format!("run {run} on {}\n", link.name());
    let mut kept = Vec::new();
    let mut journal = false;
    for line in &lines {
        if journal {
            let Some(event) = follower.line(line) else { continue };
            if json {
                reporter.tell(&link.name(), &event);
            } else {
                text.push_str(&shown(&event));
            }
        } else if line == "journal" {
            journal = true;
        } else if let Some(path) = line.strip_prefix("kept\t") {
            kept.push(harmless(path).into_owned());
        }
    }
    if follower.outcome().is_none() {
        let alive = lines.iter().any(|line| line == "state\talive");
        text.push_str(if alive { "it is still active\n" } else { "it ended unexpectedly\n" });
    }
    if !kept.is_empty() {
        text.push_str("previous versions of files, kept on the host:\n");
        text.extend(kept.iter().map(|path| format!("  {path}\n")));
    }
    if !json {
        print(&text);
    }
    Exit::Done
}

fn shown(event: &Event) -> String {
    match event {
        Event::ChangeStarted { change, title, index, total } => {
            let id = if title == change { String::new() } else { format!(" ({change})") };
            format!("\n[{index}/{total}] {title}{id}\n")
        }
        Event::Output { kind, line, .. } => format!("  │ {}{line}\n", kind.label()),
        Event::ChangeEnded { outcome, milliseconds, .. } => {
            let how = match outcome {
                ChangeOutcome::Applied => "applied",
                ChangeOutcome::AlreadySo => "no change needed",
                ChangeOutcome::Failed => "failed",
            };
            format!("  {how} ({})\n", duration(*milliseconds))
        }
        Event::RunEnded { outcome, milliseconds, .. } => {
            let how = serde_json::to_value(outcome).ok();
            let how = how.as_ref().and_then(|how| how.as_str()).unwrap_or_default();
            format!("\n{how} after {}\n", duration(*milliseconds))
        }
        _ => String::new(),
    }
}

/// Whether a name can be that of a run: `20261122-073140-5cdc`.
fn is_run(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Whether `show` is asked for a file rather than a run.
pub(super) fn is_file(name: &str) -> bool {
    !name.is_empty() && (!is_run(name) || std::path::Path::new(name).exists())
}

/// The link to the host of a run.
pub(super) fn host_of(run: &str, named: Option<&Destination>) -> Result<Destination, Failure> {
    if !is_run(run) {
        return Err(failure::with_hint(
            Exit::Usage,
            format!("`{}` is no run", harmless(run)),
            "`provision runs HOST` lists them",
        ));
    }
    if let Some(host) = named {
        return Ok(host.clone());
    }
    index::lookup(run).and_then(|host| host.parse().ok()).ok_or_else(|| {
        failure::with_hint(
            Exit::Usage,
            format!("the run {run} was not started from here"),
            "say on which host it was: `provision show RUN --host HOST`",
        )
    })
}

pub(super) async fn ask(link: &mut Link, request: &Request<'_>) -> Result<Vec<String>, Failure> {
    link.connect().await.map_err(failure::from_host)?;
    let mut lines = Vec::new();
    let host = link.host().map_err(failure::from_host)?;
    let mut keep = |line: &str| lines.push(line.to_owned());
    let ended = host.question("its runs", &request.body(), link.passwords(), &mut keep).await;
    ended.map_err(failure::from_host)?;
    link.close().await;
    Ok(lines)
}

fn fail(link: &Link, reporter: &dyn Reporter, failure: Failure) -> Exit {
    let exit = exit_of(&failure);
    reporter.tell(&link.name(), &Event::Failed(failure));
    exit
}
