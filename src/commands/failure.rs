//! Every way to fail, as what a person reads: what, where and what to do.

use crate::commands::exit::Exit;
use crate::config::ConfigError;
use crate::facts::ParseError;
use crate::host::{HostError, by_hand, command_by_hand};
use crate::plan::without_passwords;
use crate::report::{Failure, LineKind};
use crate::run::{FailedChange, RunError};
use crate::steps::Refusal;
use crate::text::harmless;

/// A failure without a place, output or hint.
pub(super) fn plain(code: Exit, what: impl Into<String>) -> Failure {
    Failure { what: what.into(), change: None, output: Vec::new(), hints: Vec::new(), code: code as u8 }
}

/// A failure with what to do.
pub(super) fn with_hint(code: Exit, what: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure { hints: vec![hint.into()], ..plain(code, what) }
}

/// A stack that is not on the host of which something is asked.
pub(super) fn not_there(stack: &str, host: &str) -> Failure {
    with_hint(
        Exit::Refused,
        format!("{stack} is not on {host}"),
        format!("bring it there with `provision up {host}`, or go to the folder of the stack that you mean"),
    )
}

/// What is wrong in a file, with the line that is.
pub(super) fn from_config(error: ConfigError) -> Failure {
    Failure { output: error.excerpt(), hints: error.hints(), ..plain(Exit::Usage, error.to_string()) }
}

pub(super) fn from_host(error: HostError) -> Failure {
    let what = error.to_string();
    match error {
        HostError::NoSsh(_) => {
            with_hint(Exit::NotReached, what, "install the OpenSSH client on this computer")
        }
        HostError::Unreachable { output, hint, .. } => {
            Failure { output, ..with_hint(Exit::NotReached, what, hint) }
        }
        HostError::NotAccepted { host, output } => Failure {
            output,
            ..with_hint(
                Exit::NotReached,
                what,
                match by_hand(&host) {
                    login if login.starts_with("vagrant ") => format!("`{login}` must work"),
                    login => format!(
                        "check the user name and that your key is there: `ssh-copy-id {host}`; `{login}` must work"
                    ),
                },
            )
        },
        HostError::ChangedHostKey { output, forget, .. } => Failure {
            output,
            hints: vec![
                "the connection may be intercepted, or the host was reinstalled; ask its administrator"
                    .into(),
                format!("if the new key is right, remove the old one: {forget}"),
            ],
            ..plain(Exit::NotReached, what)
        },
        HostError::NoShell { host, output } => {
            let hint = format!(
                "its shell, what that reads at its start, or a ForceCommand ends first; `{}` must work",
                command_by_hand(&host, "uptime")
            );
            Failure { output: harmless_all(output), ..with_hint(Exit::NotReached, what, hint) }
        }
        HostError::Lost { reason, host } => {
            let what = if reason.is_empty() { what } else { format!("{what}: {}", harmless(&reason)) };
            with_hint(Exit::NotReached, what, format!("try again; `{}` must work", by_hand(&host)))
        }
        HostError::Silent { host, .. } => {
            let look = command_by_hand(&host, "uptime");
            with_hint(
                Exit::NotReached,
                what,
                format!("is it busy, or is a disk full or gone? look with `{look}`"),
            )
        }
        HostError::NotRoot { output, hint, .. } => {
            // sudo's last word is what it means; before it stand the prompts that nobody answered.
            let last = output.into_iter().rfind(|line| !line.trim().is_empty());
            Failure {
                output: harmless_all(last.into_iter().collect()),
                ..with_hint(Exit::NotRoot, what, hint)
            }
        }
        HostError::Odd { output, .. } => {
            Failure { output: harmless_all(output), ..plain(Exit::NotReached, what) }
        }
    }
}

pub(super) fn from_run(error: RunError, host: &str) -> Failure {
    let what = error.to_string();
    match error {
        RunError::Host(error) => from_host(error),
        RunError::NotBegun { output, .. } => Failure {
            output,
            ..with_hint(Exit::Failed, what, format!("nothing was changed; run `provision up {host}` again"))
        },
        RunError::Gone { begun: true, .. } | RunError::Mute { begun: true, .. } => with_hint(
            Exit::NotReached,
            what,
            format!("the run continues on the host; `provision up {host}` follows it, or continues after it"),
        ),
        RunError::Gone { begun: false, .. } | RunError::Mute { begun: false, .. } => with_hint(
            Exit::NotReached,
            what,
            format!("whether the run started is not known; `provision up {host}` finds out and continues"),
        ),
        RunError::LeftEarly => with_hint(
            Exit::Cancelled,
            what,
            format!(
                "if the host received all of it, the run continues there; `provision up {host}` finds out and continues"
            ),
        ),
        RunError::Pack(_) => plain(Exit::Bug, what),
    }
}

pub(super) fn from_facts(error: &ParseError, host: &str) -> Failure {
    let hint = format!("see what the host sent: `provision facts --raw {host}`");
    with_hint(Exit::NotReached, format!("the probe's answer was not understood: {error}"), hint)
}

pub(super) fn from_refusal(refusal: Refusal) -> Failure {
    let shown = |text: String| without_passwords(&text).into_owned();
    Failure {
        what: shown(refusal.what),
        change: Some(refusal.step.to_owned()),
        output: harmless_all(refusal.details.into_iter().map(shown).collect()),
        hints: refusal.hints.into_iter().map(shown).collect(),
        code: Exit::Refused as u8,
    }
}

/// A change that failed: its own last error is what happened, its hints are what to do,
/// and `again` says how to go on.
pub(super) fn from_change(failed: FailedChange, run: &str, again: String) -> Failure {
    let mut what = None;
    let mut hints = Vec::new();
    let mut output = Vec::new();
    for line in failed.output {
        match line.kind {
            LineKind::Error => what = Some(line.text),
            LineKind::Hint => hints.push(line.text),
            LineKind::Output | LineKind::Notice | LineKind::Result => output.push(line.text),
        }
    }
    let phase = if failed.phase == "verify" { "verifying the change" } else { "the change" };
    let what = what.unwrap_or_else(|| match failed.code {
        124 | 137 => format!("{phase} took longer than its time limit"),
        code => format!("{phase} ended with exit code {code}"),
    });
    let tail = output.split_off(output.len().saturating_sub(20));
    hints.push(format!("all of its output: `provision show {run}`"));
    hints.push(again);
    Failure { what, change: Some(failed.id), output: tail, hints, code: Exit::Failed as u8 }
}

fn harmless_all(lines: Vec<String>) -> Vec<String> {
    lines.iter().map(|line| harmless(line).into_owned()).collect()
}
