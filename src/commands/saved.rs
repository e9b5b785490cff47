//! Plans that were saved for a review and are applied later.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::failure;
use crate::plan::Plan;
use crate::report::Failure;

/// The format's number; it changes when an older file would be misread.
const FORMAT: u32 = 1;

/// What is read back of a saved plan. The plan itself is made anew and must be the same.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    #[serde(rename = "provision-plan")]
    format: u32,
    hosts: Vec<SavedHost>,
}

#[derive(Debug, Deserialize)]
struct SavedHost {
    host: String,
    fingerprint: String,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "provision-plan")]
    format: u32,
    hosts: &'a [&'a Plan],
}

/// Saves plans: what they would do, without file contents.
pub(super) fn write(path: &Path, plans: &[&Plan]) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&Written { format: FORMAT, hosts: plans }).map_err(|error| {
        failure::plain(Exit::Bug, format!("the plan could not be written as JSON: {error}"))
    })?;
    std::fs::write(path, text + "\n").map_err(|error| {
        failure::plain(Exit::Usage, format!("the plan could not be saved in {}: {error}", path.display()))
    })
}

/// Whether a file's content is a saved plan, which is no part of the stack in whose folder it lies.
pub(super) fn is_one(content: &[u8]) -> bool {
    content.starts_with(b"{\n  \"provision-plan\": ")
}

/// Reads saved plans.
pub(super) fn read(path: &Path) -> Result<Saved, Failure> {
    let wrong = |why: String| {
        failure::with_hint(
            Exit::Usage,
            format!("the plan {} cannot be used: {why}", path.display()),
            "save it anew with `provision plan --out FILE`",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let saved: Saved = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if saved.format != FORMAT {
        return Err(wrong(format!("it is of format {}, this provision knows {FORMAT}", saved.format)));
    }
    Ok(saved)
}

impl Saved {
    /// Refuses a plan that is not what was saved for its host.
    pub fn must_be(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(saved) = self.hosts.iter().find(|saved| saved.host == plan.host) else {
            return Err(failure::with_hint(
                Exit::Refused,
                format!("the saved plan is not for {}", plan.host),
                "save one that has it: `provision plan HOST… --out FILE`",
            ));
        };
        // What was planned may have been done already.
        if saved.fingerprint == plan.fingerprint || plan.is_empty() {
            return Ok(());
        }
        Err(failure::with_hint(
            Exit::Refused,
            "the host, or what is here, has changed since the plan was saved; nothing was changed",
            format!("look at what is different now: `provision plan {}`", plan.host),
        ))
    }
}
