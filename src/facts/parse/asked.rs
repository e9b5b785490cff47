//! Lines that answer what was asked by name.

use super::ParseError;
use super::line::Line;
use crate::facts::Facts;
use crate::facts::types::{Disk, File, Group, Package, Reach, Unit, User};

/// Takes a line in; false where it is about something else.
pub(super) fn line(facts: &mut Facts, line: &Line<'_>) -> Result<bool, ParseError> {
    let name = line.text(0);
    match line.key.as_str() {
        "package" => {
            facts.packages.insert(name, answer(line, package)?);
        }
        "file" => {
            facts.files.insert(name, answer(line, file)?);
        }
        "group" => {
            facts.groups.insert(name, answer(line, group)?);
        }
        "user" => {
            facts.users.insert(name, answer(line, user)?);
        }
        "unit" => {
            let unit = Unit { load: line.text(1), active: line.text(2), enabled: line.text(3) };
            facts.units.insert(name, unit);
        }
        "disk" => {
            if let Some(disk) = answer(line, disk)? {
                facts.disks.insert(name, disk);
            }
        }
        "reach" => {
            let reach = match line.raw(1) {
                b"reached" => Reach::Reached,
                b"no-name" => Reach::NoName,
                b"no-connection" => Reach::NoConnection,
                _ => return Err(line.error(1, "`reached`, `no-name` or `no-connection` was expected")),
            };
            facts.reach.insert(name, reach);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// None where there is nothing of that name.
fn answer<T>(line: &Line<'_>, read: fn(&Line<'_>) -> Result<T, ParseError>) -> Result<Option<T>, ParseError> {
    line.is_answered().then(|| read(line)).transpose()
}

fn package(line: &Line<'_>) -> Result<Package, ParseError> {
    Ok(Package { version: line.text(1), configured: line.yes(2)? })
}

fn group(line: &Line<'_>) -> Result<Group, ParseError> {
    let members = line.text(2);
    let members = members.split(',').filter(|member| !member.is_empty());
    Ok(Group { gid: line.small(1)?, members: members.map(str::to_owned).collect() })
}

fn user(line: &Line<'_>) -> Result<User, ParseError> {
    Ok(User { uid: line.small(1)?, gid: line.small(2)?, home: line.text(3) })
}

fn disk(line: &Line<'_>) -> Result<Disk, ParseError> {
    Ok(Disk { available: line.size(1)?, total: line.size(2)? })
}

fn file(line: &Line<'_>) -> Result<File, ParseError> {
    let mode = u32::from_str_radix(&line.text(1), 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| line.error(1, "permission bits in octal were expected"))?;
    let sha256 = line.text(5);
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash && !sha256.is_empty() {
        return Err(line.error(5, "a SHA-256 was expected"));
    }
    Ok(File {
        mode,
        owner: line.text(2),
        size: line.size(3)?,
        kind: line.text(4),
        sha256,
        target: line.optional(6),
        ids: line.text(7),
        holds_files: line.text(8) == "full",
        holds: line.rest(9),
        content: None,
    })
}
