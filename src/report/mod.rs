//! Reporters are told and ask nothing: terminal, plain lines, JSON events; and the views of a plan.
//!
//! Progress goes to stderr, what can be piped to stdout. Every value that may come from a host is
//! printed through [`harmless`](crate::text::harmless).

mod event;
mod exposure;
mod findings;
mod json;
mod lines;
mod paint;
mod plain;
mod plan_markdown;
mod plan_view;
#[cfg(test)]
pub(crate) mod samples;
mod terminal;
mod words;

use console::Term;
use indicatif::MultiProgress;

pub use event::*;
pub use exposure::render_exposure;
pub use findings::render_findings;
pub use plan_markdown::render_plan_markdown;
pub use plan_view::render_plan;
pub use words::{recorded, risk};

/// Something that is told events.
pub trait Reporter: Send + Sync {
    /// Tells it an event of a host.
    fn tell(&self, host: &str, event: &Event);
    /// Takes the live lines away for as long as `work` talks to the terminal itself (a prompt).
    fn suspend(&self, work: &mut dyn FnMut());
    /// Takes the live lines away for good, before something else is printed.
    fn rest(&self) {}
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// Only what needs attention.
    Quiet,
    /// What changes.
    #[default]
    Normal,
    /// Also the output of each change, and how things came about.
    Verbose,
}

/// Live lines on stderr; plain ones where stderr cannot be drawn on, or where quiet is wanted.
pub fn terminal(verbosity: Verbosity, hosts: &[String]) -> Box<dyn Reporter> {
    let multi = MultiProgress::new();
    if verbosity == Verbosity::Quiet || multi.is_hidden() {
        return plain(verbosity, hosts);
    }
    Box::new(terminal::Terminal::new(multi, paint::Paint(colour_on_stderr()), verbosity, hosts))
}

/// Plain lines on stderr.
pub fn plain(verbosity: Verbosity, hosts: &[String]) -> Box<dyn Reporter> {
    Box::new(plain::Plain::new(std::io::stderr(), paint::Paint(colour_on_stderr()), verbosity, hosts))
}

/// One event a line on stdout.
pub fn json() -> Box<dyn Reporter> {
    Box::new(json::Json::new(std::io::stdout()))
}

/// The reporter that fits: JSON where it is asked for, live lines on a terminal, plain ones elsewhere.
pub fn choose(json: bool, verbosity: Verbosity, hosts: &[String]) -> Box<dyn Reporter> {
    if json { self::json() } else { terminal(verbosity, hosts) }
}

/// Prints a view on stdout. That nobody reads it any more (`provision plan | head`) is no error.
pub fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to stderr, for those who can still read it.
pub fn print_aside(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Whether what goes to stdout is to be painted.
pub fn colour_on_stdout() -> bool {
    paint::wanted(&Term::stdout())
}

/// Whether what goes to stderr is to be painted.
pub fn colour_on_stderr() -> bool {
    paint::wanted(&Term::stderr())
}
