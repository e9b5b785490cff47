//! What the host says of its backups.

use std::collections::BTreeMap;

use super::super::asked::asked;
use super::super::exit::Exit;
use super::super::{failure, history};
use crate::report::Failure;
use crate::run::Link;
use crate::steps::Backup;
use crate::text::{bytes, harmless};
use crate::time::rfc3339;

const SCRIPT: &str =
    concat!(include_str!("../../../scripts/dump.sh"), include_str!("../../../scripts/backup.sh"));

/// What reading a backup to its end has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BackupVerdict {
    Whole,
    Cut,
    Unfinished,
    Foreign,
    Cluster,
    Unread,
}

impl BackupVerdict {
    fn parse(word: &str) -> Self {
        match word {
            "whole" => Self::Whole,
            "cut" => Self::Cut,
            "unfinished" => Self::Unfinished,
            "cluster" => Self::Cluster,
            "unread" => Self::Unread,
            _ => Self::Foreign,
        }
    }

    /// For a column.
    fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Cut => "CUT OFF",
            Self::Unfinished => "NOT COMPLETE",
            Self::Foreign => "NO SQL DUMP",
            Self::Cluster => "OF A CLUSTER",
            Self::Unread => "not read",
        }
    }

    /// What is wrong with it, behind its name.
    fn complaint(self) -> Option<&'static str> {
        match self {
            Self::Whole | Self::Unread => None,
            Self::Cut => Some("is cut off: gzip does not read it to an end"),
            Self::Unfinished => Some("is not complete: its dump ends too early"),
            Self::Foreign => Some("is no gzipped SQL dump"),
            Self::Cluster => Some("is of a whole cluster (pg_dumpall), not of one database"),
        }
    }
}

/// A backup: a file with one name or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path in the folder, the most telling of its names.
    pub file: String,
    /// Its other names.
    pub also: Vec<String>,
    pub database: String,
    /// When it was taken, in seconds since 1970.
    pub taken: u64,
    pub bytes: u64,
    pub verdict: BackupVerdict,
}

/// The backups of a host, the newest first.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub entries: Vec<Entry>,
    /// The state of the container that takes them; empty where there is none.
    pub state: String,
    /// The host's clock.
    pub now: u64,
}

impl Listing {
    /// Asks, and has so many bytes read.
    pub async fn ask(link: &mut Link, backup: &Backup, budget: u64) -> Result<Self, Failure> {
        let databases = backup.source.databases.join(" ");
        let lines = ask(
            link,
            backup,
            &[("verb", "list"), ("databases", &databases), ("budget", &budget.to_string())],
        )
        .await?;
        Ok(Self::parse(&lines, &backup.source.databases))
    }

    pub fn parse(lines: &[String], databases: &[String]) -> Self {
        let mut listing = Self::default();
        let mut files: BTreeMap<&str, Entry> = BTreeMap::new();
        for line in lines {
            let fields: Vec<_> = line.split('\t').collect();
            match fields[..] {
                ["now", now] => listing.now = now.parse().unwrap_or_default(),
                ["state", state] => listing.state = harmless(state).into_owned(),
                ["file", name, size, seconds, inode, verdict] => {
                    let (Ok(bytes), Ok(changed)) = (size.parse(), seconds.parse()) else { continue };
                    let Some(database) = database(name, databases) else { continue };
                    let name = harmless(name).into_owned();
                    let entry = files.entry(inode).or_insert_with(|| Entry {
                        file: name.clone(),
                        also: Vec::new(),
                        taken: taken(&name, &database, changed),
                        database,
                        bytes,
                        verdict: BackupVerdict::parse(verdict),
                    });
                    if entry.file != name {
                        let (first, other) = if rank(&name) < rank(&entry.file) {
                            (name, entry.file.clone())
                        } else {
                            (entry.file.clone(), name)
                        };
                        entry.file = first;
                        entry.also.push(other);
                    }
                }
                _ => {}
            }
        }
        listing.entries = files.into_values().collect();
        for entry in &mut listing.entries {
            entry.taken = taken(&entry.file, &entry.database, entry.taken);
            entry.also.sort_by(|a, b| rank(a).cmp(&rank(b)));
        }
        listing.entries.sort_by(|a, b| b.taken.cmp(&a.taken).then_with(|| a.file.cmp(&b.file)));
        listing
    }

    /// For a person.
    pub fn text(&self, folder: &str, host: &str) -> String {
        if self.entries.is_empty() {
            return format!("no backups in {folder} on {host} yet\n");
        }
        let rows: Vec<_> = self
            .entries
            .iter()
            .map(|entry| {
                let also = entry.also.iter().filter(|name| !name.contains("-latest."));
                let also = also.filter_map(|name| name.split_once('/').map(|(place, _)| place));
                let also: Vec<_> = also.collect();
                let also = if also.is_empty() { String::new() } else { format!("also {}", also.join(", ")) };
                [
                    entry.file.clone(),
                    history::moment(entry.taken.saturating_mul(1000)),
                    age(self.now, entry.taken),
                    bytes(entry.bytes),
                    entry.verdict.word().to_owned(),
                    also,
                ]
            })
            .collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<_> = (0..5).map(width).collect();
        rows.iter()
            .map(|[file, at, age, size, whole, also]| {
                let line = format!(
                    "{file:<0$}  {at}  {age:>1$}  {size:>2$}  {whole:<3$}  {also}",
                    widths[0], widths[2], widths[3], widths[4]
                );
                format!("{}\n", line.trim_end())
            })
            .collect()
    }

    /// For a program: an object a line.
    pub fn json(&self) -> String {
        let line = |entry: &Entry| {
            let whole = match entry.verdict {
                BackupVerdict::Unread => None,
                verdict => Some(verdict == BackupVerdict::Whole),
            };
            let object = serde_json::json!({
                "file": entry.file, "also": entry.also, "database": entry.database,
                "taken": rfc3339(std::time::UNIX_EPOCH + std::time::Duration::from_secs(entry.taken.min(FAR))),
                "bytes": entry.bytes, "whole": whole,
            });
            format!("{object}\n")
        };
        self.entries.iter().map(line).collect()
    }
}

/// The year 9999: no host's clock may overflow ours.
const FAR: u64 = 253_402_300_799;

/// The database whose backup this is, by its name.
fn database(name: &str, databases: &[String]) -> Option<String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let is_of = |db: &&String| file.strip_prefix(db.as_str()).is_some_and(|rest| rest.starts_with('-'));
    databases.iter().filter(is_of).max_by_key(|db| db.len()).cloned()
}

/// Names with the moment in them say most.
fn rank(name: &str) -> (usize, &str) {
    const PLACES: [&str; 5] = ["last/", "before-restore/", "daily/", "weekly/", "monthly/"];
    let place = PLACES.iter().position(|place| name.starts_with(place)).unwrap_or(PLACES.len());
    (place + if name.contains("-latest.") { PLACES.len() } else { 0 }, name)
}

/// When it was taken: when the file was changed last, unless its name tells of another
/// time altogether, because it was copied since. A name has the container's time zone.
fn taken(name: &str, database: &str, changed: u64) -> u64 {
    const A_DAY_AND_MORE: u64 = 26 * 3600;
    let file = name.rsplit('/').next().unwrap_or(name);
    let stamp = file.strip_prefix(database).and_then(|rest| rest.strip_prefix('-')).and_then(stamp);
    match stamp {
        Some(stamp) if stamp.abs_diff(changed) > A_DAY_AND_MORE => stamp,
        _ => changed,
    }
}

/// `20261122-115227…` in seconds since 1970.
fn stamp(text: &str) -> Option<u64> {
    let digits = |from: usize, to: usize| -> Option<u64> {
        let part = text.get(from..to)?;
        if part.bytes().all(|byte| byte.is_ascii_digit()) { part.parse().ok() } else { None }
    };
    if text.as_bytes().get(8) != Some(&b'-') {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(4, 6)?, digits(6, 8)?);
    let (hour, minute, second) = (digits(9, 11)?, digits(11, 13)?, digits(13, 15)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year is taken to begin in March, so that the leap day is its last (Howard Hinnant).
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `40 s old`, `12 min old`, `5 h old`, `3 days old`.
pub(super) fn age(now: u64, then: u64) -> String {
    let seconds = now.saturating_sub(then);
    match seconds {
        0..120 => format!("{seconds} s old"),
        120..7_200 => format!("{} min old", seconds / 60),
        7_200..172_800 => format!("{} h old", seconds / 3600),
        _ => format!("{} days old", seconds / 86_400),
    }
}

/// What is known of a backup that is to be restored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    pub gone: bool,
    /// The state of Postgres' container.
    pub state: String,
    pub verdict: Option<&'static str>,
    pub whole: bool,
    /// The version of the Postgres that it is from.
    pub from: String,
    pub unpacked: u64,
    pub sum: String,
    /// The version of the Postgres that is there; empty where nobody answers.
    pub server: String,
    /// The size of the present database; none where there is none.
    pub present: Option<u64>,
    pub free: u64,
}

impl Checked {
    pub async fn ask(link: &mut Link, backup: &Backup, entry: &Entry) -> Result<Self, Failure> {
        let lines =
            ask(link, backup, &[("verb", "check"), ("databases", &entry.database), ("file", &entry.file)])
                .await?;
        Ok(Self::parse(&lines))
    }

    pub fn parse(lines: &[String]) -> Self {
        let mut checked = Self::default();
        for line in lines {
            let fields: Vec<_> = line.split('\t').collect();
            let text = |text: &str| harmless(text).into_owned();
            match fields[..] {
                ["gone"] => checked.gone = true,
                ["state", state] => checked.state = text(state),
                ["dump", verdict, from, unpacked] => {
                    let verdict = BackupVerdict::parse(verdict);
                    checked.verdict = verdict.complaint();
                    checked.whole = verdict == BackupVerdict::Whole;
                    checked.from = text(from);
                    checked.unpacked = unpacked.parse().unwrap_or_default();
                }
                ["sum", sum] => checked.sum = text(sum),
                ["server", server] => checked.server = text(server),
                ["present", size] => checked.present = size.parse().ok(),
                ["free", free] => checked.free = free.parse().unwrap_or_default(),
                _ => {}
            }
        }
        checked
    }

    /// Whether it can be restored there at all.
    pub fn must_fit(&self, entry: &Entry, host: &str) -> Result<(), Failure> {
        let file = &entry.file;
        if self.gone {
            let what = format!("{file} was there a moment ago and is not any more");
            let hint = format!("`provision backup {host} list` shows what there is");
            return Err(failure::with_hint(Exit::Usage, what, hint));
        }
        if !self.whole {
            let complaint = self.verdict.unwrap_or("could not be read");
            let what = format!("{file} {complaint}; nothing was changed");
            let hint = format!("`provision backup {host} list` shows which are whole");
            return Err(failure::with_hint(Exit::Refused, what, hint));
        }
        if self.server.is_empty() {
            let state = if self.state.is_empty() { "is not there" } else { "does not answer" };
            let what = format!("the Postgres of the stack {state}; nothing was changed");
            let hint = format!("`provision up {host}` starts it");
            return Err(failure::with_hint(Exit::Refused, what, hint));
        }
        if let (Some(from), Some(server)) = (major(&self.from), major(&self.server))
            && from > server
        {
            let what = format!(
                "{file} is from Postgres {from}, and the stack has Postgres {server}, which may not understand it; \
                 nothing was changed"
            );
            let hint = format!("restore it on a host with Postgres {from} or newer (POSTGRES_IMAGE in .env)");
            return Err(failure::with_hint(Exit::Refused, what, hint));
        }
        Ok(())
    }
}

/// `17` of `17.6 (Debian 17.6-1)`.
fn major(version: &str) -> Option<u32> {
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn ask(link: &mut Link, backup: &Backup, parameters: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
    let folder = backup.stack_folder();
    let common = [
        ("project", backup.project()),
        ("folder", &folder),
        ("backups", &backup.folder),
        ("backup", &backup.service.name),
        ("postgres", &backup.source.host),
        ("role", &backup.source.role),
    ];
    let all: Vec<_> = common.iter().chain(parameters).copied().collect();
    asked(link, SCRIPT, &all, "look for its backups").await
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
