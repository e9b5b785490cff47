//! Which backup a person means.

use super::super::exit::Exit;
use super::super::failure;
use super::look::Entry;
use crate::nearest::{listed, nearest};
use crate::report::Failure;

/// Where backups of the schedule lie.
const SCHEDULED: [&str; 4] = ["last/", "daily/", "weekly/", "monthly/"];

/// The newest of the schedule.
const LATEST: &str = "latest";

/// The backup of that name: its path, the end of its path, or `latest`.
pub(super) fn choose<'e>(
    entries: &'e [Entry],
    wanted: &str,
    folder: &str,
    host: &str,
) -> Result<&'e Entry, Failure> {
    let usage = |what: String, hint: String| failure::with_hint(Exit::Usage, what, hint);
    if entries.is_empty() {
        let hint = format!("`provision backup {host} now` takes one");
        return Err(usage(format!("there are no backups in {folder} on {host}"), hint));
    }
    if wanted == LATEST {
        return latest(entries).ok_or_else(|| {
            let what = "there is no backup that could be the latest, or there are several databases";
            usage(what.to_owned(), format!("name one: {}", shown(entries.iter())))
        });
    }
    let path = wanted.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).unwrap_or(wanted);
    let path = path.trim_start_matches("./");
    let names = |entry: &'e Entry| std::iter::once(&entry.file).chain(&entry.also).map(String::as_str);
    if let Some(entry) = entries.iter().find(|entry| names(entry).any(|name| name == path)) {
        return Ok(entry);
    }
    let ends = |name: &str| {
        !path.is_empty()
            && (name.ends_with(path) || name.trim_end_matches(".gz").trim_end_matches(".sql").ends_with(path))
    };
    let found: Vec<_> = entries.iter().filter(|entry| names(entry).any(ends)).collect();
    match found.as_slice() {
        [entry] => Ok(entry),
        [] => {
            let hint = match nearest(path, entries.iter().flat_map(names)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", shown(entries.iter())),
            };
            Err(usage(format!("{host} has no backup `{wanted}`"), hint))
        }
        several => {
            let what = format!("{} backups end with `{wanted}`", several.len());
            Err(usage(what, format!("name one: {}", shown(several.iter().copied()))))
        }
    }
}

/// The newest one of the schedule, where there is one database; those of before a restore, and
/// files that somebody has put there, are asked for by name.
fn latest(entries: &[Entry]) -> Option<&Entry> {
    let scheduled = |entry: &&Entry| SCHEDULED.iter().any(|place| entry.file.starts_with(place));
    let mut candidates = entries.iter().filter(scheduled);
    let first = candidates.next()?;
    candidates.all(|entry| entry.database == first.database).then_some(first)
}

/// The newest few.
fn shown<'e>(entries: impl Iterator<Item = &'e Entry>) -> String {
    const FEW: usize = 5;
    let names: Vec<_> = entries.map(|entry| entry.file.as_str()).collect();
    let more = if names.len() > FEW { format!(" and {} more", names.len() - FEW) } else { String::new() };
    format!("{}{more}", listed(names.into_iter().take(FEW)))
}
