//! The change that sends the bundle: which files go and come, and what it says of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Stack;
use super::files::{Seeds, file_change, is_owned, manifest, manifest_line, removal, title};
use super::folders::Folders;
use crate::plan::{Change, FileChange, Risk};
use crate::steps::{Model, Refusal};

/// The change, and what it means for what runs.
pub(super) struct Sent {
    /// The change itself.
    pub(super) change: Change,
    /// Of its files and folders, those that only what is built from them takes notice of: the
    /// application's own that are new, and other permissions. Paths count from the stack's folder.
    pub(super) quiet: BTreeSet<String>,
    /// Whether a start is due.
    pub(super) is_loud: bool,
}

/// Files on their way, before anything is said of them.
#[derive(Default)]
struct Going {
    files: Vec<FileChange>,
    risks: Vec<Risk>,
    quiet: BTreeSet<String>,
    /// Other permissions alone, as phrases.
    rights: Vec<String>,
}

impl Stack {
    /// Files that differ, and files that were sent once and are no longer part of it.
    pub(super) fn send(&self, model: &mut Model, seeds: &Seeds<'_>) -> Result<Option<Sent>, Refusal> {
        let bundle = &self.input.bundle;
        let folder = self.folder();
        let manifest = manifest(bundle);
        let known_manifest = model.file(&self.state("manifest"));
        let bare = known_manifest.is_none();
        // Its text is brought only when it is not the one we are about to write.
        let same_manifest = known_manifest.is_some_and(|file| file.sha256 == self.manifest_sum());
        let sent = if same_manifest {
            manifest.clone()
        } else {
            model.text(&self.state("manifest")).unwrap_or_default().to_owned()
        };
        let sent: BTreeMap<&str, &str> =
            sent.lines().filter_map(manifest_line).map(|(sum, path)| (path, sum)).collect();
        // What may be written to is not removed either, whoever has sent it.
        let gone: BTreeSet<&str> = sent
            .keys()
            .copied()
            .filter(|name| bundle.file(name).is_none() && !self.input.project.is_written(name))
            .collect();
        let mut going = self.going(model, seeds, &sent);
        let prefix = format!("{folder}/");
        let placed: Vec<_> = going.files.iter().filter_map(|file| file.path.strip_prefix(&prefix)).collect();
        self.check_ways(model, &placed, &gone)?;
        let mut folders = self.folders(model, &placed, &gone);
        let placed = std::mem::take(&mut going.files);
        going.files = self.with_removals(model, placed, &gone, &sent, &mut going.risks);
        // Where the folder is another one, that has to be recorded.
        if going.files.is_empty()
            && same_manifest
            && !folders.has_changes()
            && self.folder_before(model).is_none()
        {
            return Ok(None);
        }
        going.risks.append(&mut folders.risks);
        going.quiet.extend(folders.set.iter().chain(&folders.made).cloned());
        let is_same = sent.len() == bundle.kept().count()
            && bundle.kept().all(|file| sent.get(file.path.as_str()) == Some(&file.sha256.as_str()));
        let only_quiet = going
            .files
            .iter()
            .all(|file| file.path.strip_prefix(&prefix).is_some_and(|path| going.quiet.contains(path)));
        let has_some = !going.files.is_empty() || folders.has_changes();
        let mut change = self.sending(&going, &folders, seeds, bare, manifest);
        let is_built =
            |path: &String| self.services().any(|service| self.is_built_from(service, path.as_str()));
        let is_loud = !(is_same && only_quiet && has_some) || going.quiet.iter().any(is_built);
        if !is_loud {
            change.action = change.action.with("keeps", bundle.hash());
        }
        model.write(&change.files);
        folders.write(model);
        Ok(Some(Sent { change, quiet: going.quiet, is_loud }))
    }

    /// Files that are written; `sent` has those of the former bundle with their sums.
    fn going(&self, model: &Model, seeds: &Seeds<'_>, sent: &BTreeMap<&str, &str>) -> Going {
        let folder = self.folder();
        let mut going = Going::default();
        let lived_in = |path: &str| seeds.lived_in.contains(&path);
        for file in self.input.bundle.kept().filter(|file| !lived_in(&file.path)) {
            let path = format!("{folder}/{}", file.path);
            let present = model.file(&path);
            // Images make what they mount read-write their own user's: that is theirs to do.
            let is_shared = self.is_shared(&file.path);
            let is_same = present.is_some_and(|present| present.sha256 == file.sha256);
            if present.is_some_and(|present| {
                is_same && (is_shared || present.mode == file.mode && is_owned(present, file))
            }) {
                continue;
            }
            // An empty folder is what Docker makes of a file that is missing.
            let present = present.filter(|present| present.kind != "directory");
            let was_sent = |sum: &str| sent.get(file.path.as_str()) == Some(&sum);
            if let Some(present) = present.filter(|_| !is_same) {
                if self.input.project.is_written(&file.path) {
                    going.risks.push(Risk::OverwritesData { path: path.clone() });
                } else if !was_sent(&present.sha256) {
                    let path = path.clone();
                    going.risks.push(match sent.contains_key(file.path.as_str()) {
                        true => Risk::ReplacesEdited { path },
                        false => Risk::ReplacesForeign { path },
                    });
                }
            }
            let mut before = present.and_then(|present| present.content.clone());
            if let Some(present) = present.filter(|_| is_same) {
                if was_sent(&present.sha256) {
                    going.quiet.insert(file.path.clone());
                }
                before = Some(file.content.clone()).filter(|_| !file.sensitive);
                let (was, is) = (present.mode, file.mode);
                going.rights.push(match was == is {
                    true => format!("{} {} → {}", file.path, present.owner, file.owner),
                    false => format!("{} {was:04o} → {is:04o}", file.path),
                });
            }
            going.files.push(file_change(path, file, before, present.is_some()));
        }
        for file in &seeds.sent {
            let path = format!("{folder}/{}", file.path);
            // What mounts the folder that Docker has made of it is created again.
            if model.file(&path).is_none() {
                going.quiet.insert(file.path.clone());
            }
            going.files.push(file_change(path, file, None, false));
        }
        going
    }

    /// With files that go: those in the way of others first, all others last.
    fn with_removals(
        &self,
        model: &Model,
        placed: Vec<FileChange>,
        gone: &BTreeSet<&str>,
        sent: &BTreeMap<&str, &str>,
        risks: &mut Vec<Risk>,
    ) -> Vec<FileChange> {
        let paths: BTreeSet<&str> = placed.iter().map(|file| file.path.as_str()).collect();
        // A file gives way to a folder of that name, and a folder's files to a file.
        let is_in_the_way = |path: &str| {
            let below = format!("{path}/");
            paths.range(below.as_str()..).next().is_some_and(|file| file.starts_with(&below))
                || path.match_indices('/').any(|(at, _)| paths.contains(&path[..at]))
        };
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for name in gone {
            let path = format!("{}/{name}", self.folder());
            let edited = model.file(&path).is_some_and(|present| {
                present.kind != "directory" && sent.get(name) != Some(&present.sha256.as_str())
            });
            if edited {
                risks.push(Risk::RemovesEdited { path: path.clone() });
            }
            let is_folder = self.input.bundle.folders.iter().any(|folder| folder.path == *name);
            if is_folder || is_in_the_way(&path) {
                first.push(removal(path));
            } else {
                last.push(removal(path));
            }
        }
        first.into_iter().chain(placed).chain(last).collect()
    }

    fn sending(
        &self,
        going: &Going,
        folders: &Folders,
        seeds: &Seeds<'_>,
        bare: bool,
        manifest: String,
    ) -> Change {
        let folder = self.folder();
        let files = &going.files;
        let removed = files.iter().filter(|file| file.content.is_none()).count();
        let sent = files.len() - removed;
        let dropped = self.dropped(files);
        let reason = match (bare, sent) {
            (true, 1) => "the host does not have it",
            (true, _) => "the host does not have them",
            (false, 0) if dropped.is_some() => "no longer sent",
            (false, 0) if files.is_empty() && folders.set.is_empty() && !folders.made.is_empty() => {
                "the host does not have what is in the folder here"
            }
            (false, 0) if files.is_empty() && folders.has_changes() => "the host has other permissions",
            (false, 0) if files.is_empty() => "the host's record of what was sent differs",
            (false, 0) => "no longer in the folder here",
            (false, 1) => "it differs from what the host has",
            (false, _) => "they differ from what the host has",
        };
        let left_out = self.input.bundle.left_out.phrase();
        let rights = permissions(&folders.phrases, &going.rights);
        let more: String = [rights, dropped, seeds.phrase(), left_out]
            .into_iter()
            .flatten()
            .map(|more| format!("; {more}"))
            .collect();
        let travels =
            files.iter().filter_map(|file| file.content.as_ref()).map(|content| content.len() as u64).sum();
        Change {
            id: "stack/bundle".into(),
            title: match files.is_empty() && folders.has_changes() {
                true => folders_title(folders, &folder),
                false => title(sent, travels, removed, &folder),
            },
            reason: format!("{reason}{more}"),
            risks: going.risks.clone(),
            undo: Some(format!("the previous bundle is kept in {}", self.state("previous")))
                .filter(|_| !bare && !files.is_empty()),
            files: files.clone(),
            action: self
                .action("bundle")
                .with_unshown("origin", self.input.origin.as_str())
                .with_unshown("manifest", manifest)
                .with_unshown("expected", self.list())
                .with_unshown("seeds", seeds.list.as_str())
                // Part of the plan, as the modes of files are.
                .with("folders", folders.list.as_str())
                .with_unshown("known_folders", folders.known.as_str())
                .within(120),
        }
    }
}

/// Permissions that files and folders get, as a phrase.
fn permissions(folders: &[String], files: &[String]) -> Option<String> {
    const NAMED: usize = 5;
    let all: Vec<&str> = folders.iter().chain(files).map(String::as_str).collect();
    let (named, more) = all.split_at(all.len().min(NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    (!named.is_empty()).then(|| format!("permissions: {}{more}", named.join(", ")))
}

fn folders_title(folders: &Folders, folder: &str) -> String {
    let count = |count| if count == 1 { "1 folder".to_owned() } else { format!("{count} folders") };
    match (folders.made.len(), folders.set.len()) {
        (made, 0) => format!("make {} in {folder}", count(made)),
        (0, set) => format!("set the permissions of {} in {folder}", count(set)),
        (made, set) => format!("make {} in {folder}, set the permissions of {set}", count(made)),
    }
}
