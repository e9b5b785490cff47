//! Lines on stderr, for logs and everything that is no terminal.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::lines::Lines;
use super::paint::Paint;
use super::{Event, Reporter, Verbosity};

/// Prints one line for each event that matters, as soon as it is told.
pub(super) struct Plain<W> {
    state: Mutex<(Lines, W)>,
}

impl<W: Write + Send> Plain<W> {
    pub(super) fn new(out: W, paint: Paint, verbosity: Verbosity, hosts: &[String]) -> Self {
        Self { state: Mutex::new((Lines::new(paint, verbosity, false, hosts), out)) }
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn tell(&self, host: &str, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, out) = &mut *state;
        let text: String = lines.of(host, event).into_iter().map(|line| line + "\n").collect();
        if !text.is_empty() {
            // Whoever read may have gone away: that must not end the run.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }

    fn suspend(&self, work: &mut dyn FnMut()) {
        work();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::super::{ChangeOutcome, LineKind, Summary};
    use super::*;
    use crate::text::is_harmful;

    fn told(verbosity: Verbosity, hosts: &[&str], events: &[Event]) -> String {
        let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let plain = Plain::new(Vec::new(), Paint(false), verbosity, &names);
        for event in events {
            for host in hosts {
                plain.tell(host, event);
            }
        }
        let (_, out) = plain.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn tells_of_what_matters() {
        let events = samples::every_event();
        insta::assert_snapshot!("normal", told(Verbosity::Normal, &["web1"], &events));
        insta::assert_snapshot!("verbose", told(Verbosity::Verbose, &["web1"], &events));
        insta::assert_snapshot!("quiet", told(Verbosity::Quiet, &["web1"], &events));
    }

    #[test]
    fn names_the_host_when_there_are_several() {
        let events = [Event::Summary(samples::summary()), Event::Failed(samples::failure())];
        insta::assert_snapshot!(told(Verbosity::Normal, &["web1", "database-2"], &events));
    }

    #[test]
    fn nothing_to_change_is_one_line() {
        let summary =
            Summary { run: None, applied: 0, already_so: 0, milliseconds: 310, ..samples::summary() };
        let mut reachable = summary.clone();
        reachable.addresses.retain(|address| address.reachable != Some(false));
        let told =
            |summary| told(Verbosity::Normal, &["web1"], &[Event::Connecting, Event::Summary(summary)]);
        assert_eq!(told(reachable), "web1: nothing to change (0.3 s)\n");
        assert_eq!(
            told(summary),
            "web1: nothing to change (0.3 s)\n  dashboard  http://203.0.113.5:8080  ✗ not reachable from here\n"
        );
    }

    #[test]
    fn a_reader_who_left_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let plain = Plain::new(Gone, Paint(false), Verbosity::Verbose, &["web1".to_owned()]);
        samples::every_event().iter().for_each(|event| plain.tell("web1", event));
    }

    proptest! {
        #[test]
        fn hostile_values_stay_on_their_line(text in samples::hostile()) {
            let events = [
                Event::Warning { text: text.clone() },
                Event::NewHostKey { name: text.clone(), fingerprint: text.clone() },
                Event::ChangeStarted { change: text.clone(), title: text.clone(), index: 1, total: 1 },
                Event::Output { change: text.clone(), kind: LineKind::Hint, line: text.clone() },
                Event::ChangeEnded { change: text.clone(), outcome: ChangeOutcome::Failed, milliseconds: 1 },
                Event::ChangeEnded { change: text.clone(), outcome: ChangeOutcome::Applied, milliseconds: 1 },
            ];
            let told = told(Verbosity::Verbose, &[&text, "web1"], &events);
            prop_assert_eq!(told.lines().count(), 2 * events.len());
            prop_assert!(!told.replace('\n', "").contains(is_harmful));
        }
    }
}
