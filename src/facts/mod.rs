//! Facts: what the probe is asked, and what it answers.
//!
//! One script, one exec. `scripts/probe.sh` answers the questions that steps ask,
//! besides what it always says, as lines that [`parse`] turns into [`Facts`].

mod bundle;
mod lookup;
mod neighbours;
mod parse;
mod ports;
mod question;
mod types;
mod version;

#[cfg(test)]
mod tests;

pub use bundle::KnownBundle;
pub use neighbours::{Neighbours, OtherEngine, Owner, ServiceLine};
pub use parse::{ParseError, Parsed, parse};
pub use question::{Question, Questions};
pub use types::*;
pub use version::lenient_version;

/// The program that runs on the host; the questions follow it, a line each.
pub const PROBE: &str = include_str!("../../scripts/probe.sh");

/// The largest file of which the probe gives the content; `scripts/probe.sh` holds the same number.
const LARGEST_CONTENT: usize = 64 * 1024;

/// Characters that no name or value needs and that change how a terminal shows what
/// stands beside them: control characters, and those that turn the writing direction.
fn is_hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The probe with its questions, ready to be sent.
pub fn probe(questions: &Questions) -> Vec<u8> {
    let mut body = crate::script::squeeze(PROBE).into_bytes();
    for line in questions.iter().filter_map(Question::line) {
        body.extend_from_slice(line.as_bytes());
        body.push(b'\n');
    }
    body
}
