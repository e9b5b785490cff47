//! Facts: what the probe is asked, and what it answers.
//!
//! One script, one exec. `scripts/probe.sh` answers the questions that steps ask,
//! besides what it always says, as lines that [`parse`] turns into [`Facts`].

mod parse;
mod question;
mod types;

pub use parse::{ParseError, Parsed, parse};
pub use question::{Question, Questions};
pub use types::*;

/// The program that runs on the host; the questions follow it, a line each.
pub const PROBE: &str = include_str!("../../scripts/probe.sh");

/// The probe with its questions, ready to be sent.
pub fn probe(questions: &Questions) -> Vec<u8> {
    let mut body = crate::host::squeeze(PROBE).into_bytes();
    for line in questions.iter().filter_map(Question::line) {
        body.extend_from_slice(line.as_bytes());
        body.push(b'\n');
    }
    body
}
