//! The journal of a run, as the follower reads it: hostile until parsed.

use std::collections::VecDeque;

use crate::plan::without_passwords;
use crate::report::{ChangeOutcome, Event, LineKind, RunOutcome};
use crate::text::harmless;

/// How many lines of a change's output are kept for the case that it fails.
const TAIL: usize = 40;

/// What a change awaits: the proof that a new connection gets in.
const PROOF: &str = "new-connection";

/// Turns the lines of a journal into events, one after another.
///
/// Whatever a host sends, it neither panics nor grows without bound: lines that
/// are none of the journal's are passed over.
#[derive(Debug, Default)]
pub struct Follower {
    changes: usize,
    title: Option<String>,
    lines: usize,
    started: Option<u64>,
    at: u64,
    current: Option<(String, u64)>,
    tail: VecDeque<Line>,
    /// Whether what a step says itself has records of its own. In journals before version 2 it is output
    /// like that of its programs, and begins with what it is.
    has_kinds: bool,
    failed: Option<FailedChange>,
    outcome: Option<RunOutcome>,
    applied: usize,
    already_so: usize,
}

/// The change in which a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedChange {
    /// Its id.
    pub id: String,
    /// `apply` or `verify`.
    pub phase: String,
    /// The phase's exit code; 124 when its time was up.
    pub code: i32,
    /// Its last lines.
    pub output: Vec<Line>,
}

/// A line that a change said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: LineKind,
    /// The line itself.
    pub text: String,
}

impl Follower {
    /// How many lines of the journal have been read: where to go on after a lost connection.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// How the run ended, once it has.
    pub fn outcome(&self) -> Option<RunOutcome> {
        self.outcome
    }

    /// The change in which it failed.
    pub fn failed(&self) -> Option<&FailedChange> {
        self.failed.as_ref()
    }

    /// How many changes were applied, and how many were already so.
    pub fn counts(&self) -> (usize, usize) {
        (self.applied, self.already_so)
    }

    /// The change that is under way, or was when the run ended unexpectedly.
    pub fn current(&self) -> Option<&str> {
        self.current.as_ref().map(|(id, _)| id.as_str())
    }

    /// The last lines of output of the change that is under way.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().map(|line| line.text.clone()).collect()
    }

    /// Takes the run for dead: it ended unexpectedly.
    pub fn died(&mut self, run: &str) -> Event {
        self.outcome = Some(RunOutcome::Died);
        self.ended(run, RunOutcome::Died)
    }

    /// Reads a line of the journal.
    pub fn line(&mut self, line: &str) -> Option<Event> {
        self.lines += 1;
        let (time, record) = line.split_once(' ')?;
        let time: u64 = time.parse().ok()?;
        // A clock that was set back would make times negative.
        self.at = self.at.max(time);
        let (kind, rest) = record.split_once(' ')?;
        match kind {
            "journal" => {
                self.has_kinds = rest.parse().is_ok_and(|version: u32| version >= 2);
                None
            }
            "change" => self.change(rest),
            "run" => self.run(rest),
            "await" => self.current.as_ref().filter(|_| text_of(rest) == PROOF).map(|_| Event::Proving),
            "output" if !self.has_kinds => match text_of(rest).split_once(": ") {
                Some(("await", PROOF)) => self.current.as_ref().map(|_| Event::Proving),
                Some((kind, text)) if kind != "output" && LineKind::named(kind).is_some() => {
                    self.said(LineKind::named(kind)?, text)
                }
                _ => self.said(LineKind::Output, text_of(rest)),
            },
            _ => self.said(LineKind::named(kind)?, text_of(rest)),
        }
    }

    fn said(&mut self, kind: LineKind, text: &str) -> Option<Event> {
        let (id, _) = self.current.as_ref()?;
        // Whatever wrote it: apt, a registry, a container that could not reach its database.
        let text = without_passwords(&harmless(text)).into_owned();
        if self.tail.len() == TAIL {
            // What a person is told to do is not pushed out by what comes after it.
            let oldest = self.tail.iter().position(|line| line.kind != LineKind::Hint).unwrap_or(0);
            self.tail.remove(oldest);
        }
        self.tail.push_back(Line { kind, text: text.clone() });
        Some(Event::Output { change: id.clone(), kind, line: text })
    }

    fn change(&mut self, rest: &str) -> Option<Event> {
        let (verb, rest) = rest.split_once(' ')?;
        match verb {
            "title" => {
                self.title = Some(harmless(rest.split_once(' ')?.1).into_owned());
                None
            }
            "start" => {
                let (number, id) = rest.split_once(' ')?;
                let number: usize = number.parse().ok()?;
                let id = harmless(id).into_owned();
                self.tail.clear();
                self.current = Some((id.clone(), self.at));
                let title = self.title.take().unwrap_or_else(|| id.clone());
                Some(Event::ChangeStarted {
                    change: id,
                    title,
                    index: number,
                    total: self.changes.max(number),
                })
            }
            "applied" => {
                self.applied += 1;
                self.change_ended(ChangeOutcome::Applied)
            }
            "already-so" => {
                self.already_so += 1;
                self.change_ended(ChangeOutcome::AlreadySo)
            }
            "failed" => {
                let mut words = rest.splitn(4, ' ').skip(1);
                let phase = harmless(words.next()?).into_owned();
                let code = words.next()?.parse().ok()?;
                let id = self.current.as_ref()?.0.clone();
                self.failed =
                    Some(FailedChange { id, phase, code, output: self.tail.iter().cloned().collect() });
                self.change_ended(ChangeOutcome::Failed)
            }
            _ => None,
        }
    }

    fn change_ended(&mut self, outcome: ChangeOutcome) -> Option<Event> {
        let (change, since) = self.current.take()?;
        Some(Event::ChangeEnded { change, outcome, milliseconds: self.at.saturating_sub(since) })
    }

    fn run(&mut self, rest: &str) -> Option<Event> {
        let mut words = rest.split(' ');
        match words.next()? {
            "start" => {
                let run = harmless(words.next()?).into_owned();
                let changes = words.next()?.parse().ok()?;
                self.started = Some(self.at);
                self.changes = changes;
                Some(Event::RunStarted { run, changes })
            }
            word => {
                let outcome = match word {
                    "completed" => RunOutcome::Completed,
                    "failed" => RunOutcome::Failed,
                    "cancelled" => RunOutcome::Cancelled,
                    _ => return None,
                };
                self.outcome = Some(outcome);
                Some(self.ended("", outcome))
            }
        }
    }

    fn ended(&self, run: &str, outcome: RunOutcome) -> Event {
        let milliseconds = self.started.map_or(0, |started| self.at.saturating_sub(started));
        Event::RunEnded { run: run.to_owned(), outcome, milliseconds }
    }
}

/// What stands after the number of the change; an empty line has lost the space after it.
fn text_of(rest: &str) -> &str {
    rest.split_once(' ').map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOURNAL: &str = "\
1000 journal 2
1000 run start 20261122-101500-ab12 2 me@laptop
1005 change title 001 install \u{1b}Docker
1010 change start 001 docker/engine
1500 output 001 Setting up docker-ce ...
1600 output 001
2010 change applied 001 docker/engine
2020 change start 002 stack/up
2100 output 002 service web: \u{1b}[31mred\u{1b}[0m
2110 output 002 hint: what a container says
2120 hint 002 look at it: now
2130 await 002 new-connection
2140 error 002 it failed
2200 change failed 002 apply 1 stack/up
2210 run failed
";

    #[test]
    fn follows_a_run() {
        let mut follower = Follower::default();
        let events: Vec<_> = JOURNAL.lines().filter_map(|line| follower.line(line)).collect();
        insta::assert_json_snapshot!(events);
        assert_eq!(follower.lines(), 15);
        assert_eq!(follower.outcome(), Some(RunOutcome::Failed));
        assert_eq!(follower.counts(), (1, 0));
        let failed = follower.failed().expect("it failed");
        assert_eq!((failed.id.as_str(), failed.phase.as_str(), failed.code), ("stack/up", "apply", 1));
        assert!(failed.output.iter().all(|line| !line.text.contains('\u{1b}')));
    }

    #[test]
    fn no_password_of_an_address_is_shown() {
        let mut follower = Follower::default();
        follower.line("2020 change start 002 stack/up");
        let event = follower.line("2030 output 002   web | no route to postgres://app:hunter2@db/app");
        let Some(Event::Output { line, .. }) = event else { panic!("{event:?}") };
        assert_eq!(line, "  web | no route to postgres://app:…@db/app");
        assert_eq!(follower.tail(), [line]);
    }

    /// The text of the newest version is what `scripts/shell_test.sh` sees a run write.
    #[test]
    fn journals_of_each_version_are_read() {
        for (journal, said) in [
            (
                include_str!("../../tests/fixtures/journals/1.txt"),
                "output: Setting up docker-ce ...|output: |notice: apt is locked by unattended-upgr|proving|output: \
                 service web: container ended|output: output: x|hint: look at it: now|error: the stack is not healthy",
            ),
            (
                include_str!("../../tests/fixtures/journals/2.txt"),
                "output: two words default|notice: it takes a while|proving|result: all is well: now|output: no end|\
                 output: hint: from a container|hint: do that: now|error: it failed",
            ),
        ] {
            let mut follower = Follower::default();
            let events = journal.lines().filter_map(|line| follower.line(&format!("1000 {line}")));
            let told = events.filter_map(|event| match event {
                Event::Output { kind, line, .. } => Some(format!("{kind:?}: {line}").to_lowercase()),
                Event::Proving => Some("proving".to_owned()),
                _ => None,
            });
            assert_eq!(told.collect::<Vec<_>>().join("|"), said.to_lowercase());
            assert_eq!(follower.outcome(), Some(RunOutcome::Failed));
        }
    }

    #[test]
    fn keeps_a_hint_that_much_follows() {
        let mut follower = Follower::default();
        follower.line("2020 change start 002 stack/up");
        follower.line("2030 hint 002 a longer patience");
        for number in 0..3 * TAIL {
            follower.line(&format!("2040 output 002 line {number}"));
        }
        let tail = follower.tail();
        assert_eq!(tail.len(), TAIL);
        assert_eq!(tail.first().map(String::as_str), Some("a longer patience"));
        assert_eq!(tail.last().map(String::as_str), Some("line 119"));
    }

    proptest! {
        #[test]
        fn garbage_does_no_harm(lines in prop::collection::vec("\\PC*|[ -~]*|(run|change|output|hint|journal|await) [a-z0-9 -]*|[0-9]{1,25} (run|change|output|error) (start|failed|applied|[0-9]*) ?[\\x00-\\x7f]*", 0..60)) {
            let mut follower = Follower::default();
            for line in &lines {
                if let Some(Event::Output { line, .. }) = follower.line(line) {
                    prop_assert!(!line.chars().any(char::is_control));
                }
            }
            prop_assert_eq!(follower.lines(), lines.len());
            prop_assert!(follower.tail().len() <= TAIL);
        }

        #[test]
        fn a_torn_journal_does_no_harm(cut in 0..JOURNAL.len(), at in 0..JOURNAL.len(), byte in any::<u8>()) {
            let mut bytes = JOURNAL.as_bytes()[..cut].to_vec();
            if let Some(slot) = bytes.get_mut(at) { *slot = byte; }
            let mut follower = Follower::default();
            for line in String::from_utf8_lossy(&bytes).lines() {
                follower.line(line);
            }
        }
    }
}
