//! What a plan rests on, as one short text.

use sha2::{Digest, Sha256};

use super::PlannedStep;
use crate::digest::hex;

/// A digest over everything that a plan would do and the reasons for it.
///
/// Reasons name what the host has now, so a host that has changed in a way that
/// matters to the plan gives another fingerprint, and one that has changed in a
/// way that does not (a new file elsewhere) gives the same.
pub fn fingerprint(playbook: &str, steps: &[PlannedStep]) -> String {
    let mut digest = Sha256::new();
    digest.update(playbook.as_bytes());
    for step in steps {
        digest.update([0]);
        digest.update(step.step.as_bytes());
        for change in &step.changes {
            // A change is plain data, so it serialises; if it ever did not, the
            // fingerprint would only be coarser.
            let text = serde_json::to_vec(change).unwrap_or_default();
            digest.update(text);
        }
    }
    hex(&digest.finalize())
}
