//! Lines about first boot, runs and who holds the host.

use super::ParseError;
use super::line::Line;
use crate::facts::Facts;
use crate::facts::types::{CloudInit, LastRun, Lease};

/// Takes a line in; false where it is about something else.
pub(super) fn line(facts: &mut Facts, line: &Line<'_>) -> Result<bool, ParseError> {
    match line.key.as_str() {
        "cloud-init" => facts.cloud_init = Some(CloudInit { status: line.text(0) }),
        "first-boot" => {
            let first_boot = facts.first_boot.get_or_insert_default();
            first_boot.state = line.text(0);
            first_boot.code = line.small(1)?;
            first_boot.at = line.time(2)?;
        }
        "first-boot-log" => facts.first_boot.get_or_insert_default().log.push(line.text(0)),
        "last-run" => {
            facts.last_run = Some(LastRun {
                id: line.text(0),
                state: line.text(1),
                alive: line.yes(2)?,
                change: line.text(3),
                holder: line.text(4),
                stack: line.text(5),
            });
        }
        "lease" => {
            facts.lease = Some(Lease {
                run: line.text(0),
                holder: line.text(1),
                since: line.time(2)?,
                until: line.time(3)?,
            });
        }
        _ => return Ok(false),
    }
    Ok(true)
}
