//! What stands on the host in the place of a file that is sent: found in the plan, not in the middle of
//! a run. Nothing that provision did not send gives way to a file.

use std::collections::{BTreeMap, BTreeSet};

use super::{STEP, Stack};
use crate::steps::{Model, Refusal};

/// At most this many files are named of a folder.
const NAMED: usize = 3;

impl Stack {
    /// Refuses files that have no place: `placed` are sent, `gone` are removed before; both count from
    /// the stack's folder.
    pub(super) fn check_ways(
        &self,
        model: &Model,
        placed: &[&str],
        gone: &BTreeSet<&str>,
    ) -> Result<(), Refusal> {
        let mut found = BTreeMap::new();
        for path in placed {
            if let Some(what) = self.full_folder(model, path, gone) {
                found.insert((*path).to_owned(), what);
            }
            let above = path.match_indices('/').map(|(at, _)| &path[..at]);
            for folder in above.filter(|folder| !gone.contains(folder)) {
                let on_host = format!("{}/{folder}", self.folder());
                let Some(there) = model.file(&on_host).filter(|there| there.kind != "directory") else {
                    continue;
                };
                let what = match (there.kind.as_str(), &there.target) {
                    ("regular", _) => "a file".to_owned(),
                    ("symlink", Some(to)) => format!("a symbolic link to {to}"),
                    ("symlink", None) => "a symbolic link".to_owned(),
                    _ => "neither a file nor a folder".to_owned(),
                };
                let what = format!("{on_host} is {what}, and {path} is to be placed below it");
                found.entry(folder.to_owned()).or_insert(what);
            }
        }
        let own = self.folder();
        if model.file(&own).is_some_and(|there| !matches!(there.kind.as_str(), "directory" | "symlink")) {
            found = BTreeMap::from([(
                String::new(),
                format!("{own} is a file, and the stack's folder is to be there"),
            )]);
        }
        let Some(first) = found.keys().next() else { return Ok(()) };
        let first = if first.is_empty() { own } else { format!("{own}/{first}") };
        Err(Refusal {
            step: STEP,
            what: "something on the host that provision did not send is in the way of files; nothing was changed"
                .into(),
            hints: vec![format!(
                "look at it on the host, and move it away: sudo mv -n {} {}",
                quoted(&first),
                quoted(&format!("{first}.before"))
            )],
            details: found.into_values().collect(),
            findings: Vec::new(),
        })
    }

    /// A folder in a file's place, with files in it that do not go.
    fn full_folder(&self, model: &Model, path: &str, gone: &BTreeSet<&str>) -> Option<String> {
        let on_host = format!("{}/{path}", self.folder());
        let there = model.file(&on_host).filter(|there| there.kind == "directory" && there.holds_files)?;
        let stays = |name: &&String| !gone.contains(format!("{path}/{name}").as_str());
        let mut strange: Vec<_> = there.holds.iter().filter(stays).map(String::as_str).collect();
        strange.sort_unstable();
        if strange.is_empty() && !there.holds.is_empty() {
            return None;
        }
        let (named, more) = strange.split_at(strange.len().min(NAMED));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let names = if named.is_empty() { "files".to_owned() } else { named.join(", ") };
        Some(format!(
            "{on_host} is a folder that holds {names}{more} (not sent by provision, or an application's), and a file \
             is to take its place"
        ))
    }
}

/// As a shell reads it.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,".contains(c);
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
