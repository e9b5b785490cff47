//! The probe, sent to a host and read.

use super::failure;
use crate::facts::{self, Facts, Questions};
use crate::report::Failure;
use crate::run::Link;

/// More than this no probe says; the rest is not kept, whatever the host is.
const LONGEST_ANSWER: usize = 32 * 1024 * 1024;

/// What a probe brought.
pub(super) struct Probed {
    pub facts: Facts,
    /// The probe's own lines.
    pub text: String,
}

/// One exec over a link that stands: what the probe always says, and what it is asked.
pub(super) async fn probe(link: &Link, questions: &Questions) -> Result<Probed, Failure> {
    let mut text = String::new();
    let mut keep = |line: &str| {
        if text.len() + line.len() < LONGEST_ANSWER {
            text.push_str(line);
            text.push('\n');
        }
    };
    let host = link.host().map_err(failure::from_host)?;
    let program = facts::probe(questions);
    let ended = host
        .question("its facts", &program, link.passwords(), &mut keep)
        .await
        .map_err(failure::from_host)?;
    let parsed = facts::parse(&text)
        .map_err(|error| Failure { output: ended.stderr, ..failure::from_facts(&error, &link.name()) })?;
    Ok(Probed { facts: parsed.facts, text })
}
