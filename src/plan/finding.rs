//! What the machine step finds.

use serde::{Deserialize, Serialize};

/// Something that the machine step found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was looked at: `memory`, `distribution`.
    pub topic: String,
    /// What was found, and what is needed.
    pub text: String,
    /// What to do about it; empty when all is well.
    pub remedy: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Fine,
    /// Worth knowing; nothing is stopped.
    Soft,
    /// Nothing is changed until it is mended, or `--force` is given.
    Forceable,
    /// Nothing is changed until it is mended.
    Hard,
}
