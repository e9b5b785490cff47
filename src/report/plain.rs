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
