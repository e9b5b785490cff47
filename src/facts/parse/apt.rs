//! Lines about apt and dpkg, and the reboot that packages ask for.

use super::ParseError;
use super::line::Line;
use crate::facts::Facts;
use crate::facts::types::{AptSource, Conflict, LockHolder, SourceEntry};

/// Takes a line in; false where it is about something else.
pub(super) fn line(facts: &mut Facts, line: &Line<'_>) -> Result<bool, ParseError> {
    let apt = &mut facts.apt;
    match line.key.as_str() {
        "lists-age" => apt.lists_age = Some(line.size(0)?),
        "lock" => {
            apt.busy = Some(LockHolder { pid: line.small(0)?, command: line.text(1), lock: line.text(2) });
        }
        "half-configured" => apt.half_configured.push(line.text(0)),
        "interrupted" => apt.interrupted = true,
        "held" => apt.held.push(line.text(0)),
        "apt-source" => apt.sources.push(AptSource { file: line.text(0), line: line.text(1) }),
        "apt-malformed" => apt.malformed.push(entry(line, 0)?),
        "apt-conflict" => apt.conflicts.push(Conflict {
            option: line.text(0),
            first: entry(line, 1)?,
            second: entry(line, 3)?,
        }),
        "reboot-required" => {
            facts.reboot_required.get_or_insert_default();
        }
        "reboot-package" => facts.reboot_required.get_or_insert_default().push(line.text(0)),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A file and the number of a line, from this field on.
fn entry(line: &Line<'_>, from: usize) -> Result<SourceEntry, ParseError> {
    Ok(SourceEntry { file: line.text(from), line: line.small(from + 1)? })
}
