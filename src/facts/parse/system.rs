//! Lines about the machine, and who has logged in to it.

use super::ParseError;
use super::line::{Line, address};
use crate::facts::Facts;
use crate::facts::types::Become;

/// Takes a line in; false where it is about something else.
pub(super) fn line(facts: &mut Facts, line: &Line<'_>) -> Result<bool, ParseError> {
    let system = &mut facts.system;
    match line.key.as_str() {
        "os" => {
            system.id = line.text(0);
            system.id_like = line.text(1);
            system.version = line.text(2);
            system.codename = line.text(3);
            system.name = line.text(4);
        }
        "architecture" => system.architecture = line.text(0),
        "kernel" => system.kernel = line.text(0),
        "virtualization" => system.virtualization = line.text(0),
        "systemd" => system.systemd = line.yes(0)?,
        "cpus" => system.cpus = line.small(0)?,
        "memory" => system.memory = line.size(0)?,
        "swap" => system.swap = line.size(0)?,
        "clock" => system.clock = line.time(0)?,
        "clock-synchronised" => system.clock_synchronised = Some(line.yes(0)?),
        "hostname" => system.hostname = line.text(0),
        "uptime" => system.uptime = line.size(0)?,
        "identity" => {
            facts.identity.user = line.text(0);
            facts.identity.becomes = match line.raw(1) {
                b"root" => Become::Root,
                b"sudo" => Become::Sudo,
                _ => return Err(line.error(1, "`root` or `sudo` was expected")),
            };
        }
        "ssh-port" => facts.identity.ssh_port = Some(line.port(0)?),
        "ssh-client" => facts.identity.ssh_client = address(&line.text(0)),
        _ => return Ok(false),
    }
    Ok(true)
}
