//! Permissions of the bundle's folders: given when a folder is made, and kept unless it is an application's.

use std::collections::{BTreeMap, BTreeSet};

use super::Stack;
use super::files::is_above;
use crate::facts::File;
use crate::plan::Risk;
use crate::stack::bundle::BundleFolder;
use crate::steps::Model;

/// Folders that are made or given other permissions.
#[derive(Default)]
pub(super) struct Folders {
    /// MODE, OWNER, `seed` or `kept`, and PATH, separated by tabs, a line a folder.
    pub(super) list: String,
    /// What is known of them afterwards: MODE, OWNER and PATH, a line a folder.
    pub(super) known: String,
    /// What they get, as phrases.
    pub(super) phrases: Vec<String>,
    /// Those that were given other permissions on the host.
    pub(super) risks: Vec<Risk>,
    /// Those that are there and are given other permissions.
    pub(super) set: Vec<String>,
    /// Those that are made although no file goes there.
    pub(super) made: Vec<String>,
    after: Vec<(String, File)>,
}

impl Folders {
    /// Whether a change is due for them alone.
    pub(super) fn has_changes(&self) -> bool {
        !self.list.is_empty()
    }

    fn give(&mut self, folder: &BundleFolder, is_seed: bool, path: String) {
        let kind = if is_seed { "seed" } else { "kept" };
        self.list.push_str(&format!("{:o}\t{}\t{kind}\t{}\n", folder.mode, folder.owner, folder.path));
        let there = File {
            mode: folder.mode,
            owner: folder.owner.clone(),
            ids: folder.owner.clone(),
            kind: "directory".into(),
            ..File::default()
        };
        self.after.push((path, there));
    }

    /// Takes the folders for as they will be.
    pub(super) fn write(&mut self, model: &mut Model) {
        let after = std::mem::take(&mut self.after);
        model.facts.files.extend(after.into_iter().map(|(path, folder)| (path, Some(folder))));
    }
}

impl Stack {
    /// All folders as they are known once they are as they are here.
    pub(super) fn all_folders(&self) -> String {
        self.input.bundle.folders.iter().map(known).collect()
    }

    /// How the folders change when `placed` files are sent and those of `gone` removed; paths count
    /// from the stack's folder.
    pub(super) fn folders(&self, model: &Model, placed: &[&str], gone: &BTreeSet<&str>) -> Folders {
        let mut folders = Folders::default();
        let all = self.all_folders();
        let there = model.file(&self.state("folders"));
        let is_same = there.is_some_and(|there| there.sha256 == crate::digest::sha256(all.as_bytes()));
        let text =
            if is_same { all } else { model.text(&self.state("folders")).unwrap_or_default().to_owned() };
        // An earlier provision kept no list of folders.
        let is_first = there.is_none() && model.file(&self.state("manifest")).is_some();
        let before: BTreeMap<&str, (&str, &str)> = text.lines().filter_map(known_line).collect();
        for folder in &self.input.bundle.folders {
            let path = format!("{}/{}", self.folder(), folder.path);
            let is_seed = self.is_shared(&folder.path);
            let sent = before.get(folder.path.as_str()).copied();
            match model.file(&path).filter(|_| !gone.contains(folder.path.as_str())) {
                None => self.missing(&mut folders, folder, is_seed, is_first || sent.is_some(), placed, path),
                Some(there) if there.kind != "directory" => {}
                // It is the application's, with its permissions.
                Some(_) if is_seed => folders.known.push_str(&known(folder)),
                Some(there) if is_as_wanted(there, folder) => folders.known.push_str(&known(folder)),
                // What was done to it on the host before folders were known stays.
                Some(_) if sent.is_none() && folder.is_plain() => {}
                Some(there) => {
                    let plain = ("755", crate::stack::bundle::ROOT);
                    let (mode, owner) = sent.unwrap_or(plain);
                    let is_edited = format!("{:o}", there.mode & 0o1777) != mode
                        || owner != there.owner && owner != there.ids;
                    let (is, becomes) = (rights(there.mode & 0o1777, &there.owner), wanted(folder));
                    if is_edited {
                        let (from, to) = (is.clone(), becomes.clone());
                        folders.risks.push(Risk::ResetsPermissions { path: path.clone(), from, to });
                    }
                    folders.phrases.push(format!("{}/ {is} → {becomes}", folder.path));
                    folders.set.push(folder.path.clone());
                    folders.known.push_str(&known(folder));
                    folders.give(folder, false, path);
                }
            }
        }
        folders
    }

    fn missing(
        &self,
        folders: &mut Folders,
        folder: &BundleFolder,
        is_seed: bool,
        was_sent: bool,
        placed: &[&str],
        path: String,
    ) {
        let bundle = &self.input.bundle;
        let is_needed = placed.iter().any(|file| is_above(&folder.path, file));
        let is_empty = !bundle.files.iter().any(|file| is_above(&folder.path, &file.path));
        let is_mounted = || {
            let mut mounts = self.input.project.services.iter().flat_map(|service| &service.mounts);
            mounts.any(|mount| mount.is_inside() && mount.source == folder.path)
        };
        if is_seed && was_sent && !is_needed && !is_mounted() {
            // The application has removed it.
            folders.known.push_str(&known(folder));
            return;
        }
        if !is_needed && !is_empty {
            return;
        }
        folders.known.push_str(&known(folder));
        if !is_needed {
            folders.made.push(folder.path.clone());
        }
        if !folder.is_plain() {
            folders.phrases.push(format!("{}/ {}", folder.path, wanted(folder)));
        }
        if !is_needed || !folder.is_plain() {
            folders.give(folder, is_seed, path);
        }
    }
}

/// Permissions, and the owner where it is another than root.
fn rights(mode: u32, owner: &str) -> String {
    if owner == crate::stack::bundle::ROOT { format!("{mode:04o}") } else { format!("{mode:04o} {owner}") }
}

fn wanted(folder: &BundleFolder) -> String {
    rights(folder.mode, &folder.owner)
}

fn is_as_wanted(there: &File, folder: &BundleFolder) -> bool {
    // The bit for the group comes from the folder above.
    there.mode & 0o1777 == folder.mode && (there.owner == folder.owner || there.ids == folder.owner)
}

fn known(folder: &BundleFolder) -> String {
    format!("{:o}\t{}\t{}\n", folder.mode, folder.owner, folder.path)
}

fn known_line(line: &str) -> Option<(&str, (&str, &str))> {
    let mut fields = line.splitn(3, '\t');
    let (mode, owner) = (fields.next()?, fields.next()?);
    Some((fields.next()?, (mode, owner)))
}
