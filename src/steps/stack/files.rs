//! The bundle's files: which of them are an application's, and how those on the host are known.

use std::collections::BTreeMap;

use super::Stack;
use crate::facts::File;
use crate::plan::FileChange;
use crate::stack::bundle::{Bundle, BundleFile, Patterns};
use crate::steps::Model;
use crate::text::bytes;

/// Files that are the application's, since a container may write to them.
#[derive(Default)]
pub(super) struct Seeds<'a> {
    /// Sent now, for the first time.
    pub(super) sent: Vec<&'a BundleFile>,
    /// All of them with the sums of what was sent: SHA256 PATH, a line a file.
    pub(super) list: String,
    /// Left as the host has them, or without them where the application has removed them.
    pub(super) kept: Vec<&'a str>,
    /// Those of them that have changed here since they were sent.
    pub(super) changed: Vec<&'a str>,
    /// Those that no container mounts any more, and that were written to while one did.
    pub(super) lived_in: Vec<&'a str>,
}

impl Stack {
    /// Which of the files that containers may write to are sent, and which are kept.
    pub(super) fn seeds(&self, model: &Model) -> Seeds<'_> {
        let mut seeds = Seeds::default();
        let written = model.text(&self.state("seeds")).unwrap_or_default();
        let before: BTreeMap<&str, &str> =
            written.lines().filter_map(|line| line.split_once(' ')).map(|(sum, path)| (path, sum)).collect();
        let manifest = model.text(&self.state("manifest")).unwrap_or_default();
        // What was sent before containers could write to it, or by a provision that knew of no seeds.
        let former: BTreeMap<&str, &str> =
            manifest.lines().filter_map(manifest_line).map(|(sum, path)| (path, sum)).collect();
        let sent_before = |path: &str| before.get(path).or_else(|| former.get(path)).copied();
        for file in self.input.bundle.files.iter().filter(|file| file.seed) {
            let there = model.file(&format!("{}/{}", self.folder(), file.path));
            // An empty folder is what Docker makes of a file that is missing.
            let is_there = there.is_some_and(|there| there.kind != "directory");
            let is_folder = there.is_some() && !is_there;
            let mut above = file.path.match_indices('/').map(|(at, _)| &file.path[..at]);
            // What was sent as a file is the application's, and no folder is made of it; nor the reverse.
            let has_below = || before.keys().chain(former.keys()).any(|path| is_above(&file.path, path));
            let is_blocked = above.any(|folder| sent_before(folder).is_some()) || is_folder && has_below();
            let sum = sent_before(&file.path);
            if !is_there && !is_blocked && (sum.is_none() || is_folder || self.is_lost(model, &file.path)) {
                seeds.list.push_str(&format!("{} {}\n", file.sha256, file.path));
                seeds.sent.push(file);
                continue;
            }
            seeds.kept.push(&file.path);
            // Whether a file that was there before us is the same is not known.
            seeds.list.push_str(&format!("{} {}\n", sum.unwrap_or("-"), file.path));
            if is_blocked || sum.is_some_and(|sum| sum != "-" && sum != file.sha256) {
                seeds.changed.push(&file.path);
            }
        }
        let overwritten = Patterns::of_option("overwrite", &self.options.overwrite).ok();
        let is_overwritten = |path: &str| overwritten.as_ref().is_some_and(|all| all.matches(path, false));
        for file in self.input.bundle.kept().filter(|file| !is_overwritten(&file.path)) {
            let Some(sum) = before.get(file.path.as_str()) else { continue };
            let there = model.file(&format!("{}/{}", self.folder(), file.path));
            if there.is_some_and(|there| {
                there.kind == "regular" && there.sha256 != *sum && there.sha256 != file.sha256
            }) {
                seeds.list.push_str(&format!("{sum} {}\n", file.path));
                seeds.lived_in.push(&file.path);
            }
        }
        seeds
    }

    /// Whether a missing file disappeared together with what the containers mount, so that no application
    /// can have removed it.
    fn is_lost(&self, model: &Model, path: &str) -> bool {
        // Of what was not asked for nothing is known.
        let is_gone = |path: &str| matches!(model.facts.files.get(path), Some(None));
        let mut mounts = self.input.project.writers(path).map(|(_, mount)| mount);
        is_gone(&self.folder())
            || mounts.all(|mount| {
                mount.source == path || !mount.source.is_empty() && is_gone(&self.on_host(mount))
            })
    }
}

impl Seeds<'_> {
    /// What is kept, as a phrase.
    pub(super) fn phrase(&self) -> Option<String> {
        let names = match self.kept.as_slice() {
            [] => return None,
            [one] => (*one).to_owned(),
            [first, rest @ ..] if rest.len() > 2 => format!("{first} and {} more", rest.len()),
            several => several.join(", "),
        };
        Some(format!("{names}: kept, the application's since the first run"))
    }
}

/// Whether one path is a folder above the other.
pub(super) fn is_above(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

pub(super) fn title(sent: usize, travels: u64, removed: usize, folder: &str) -> String {
    let files = |count| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    let size = bytes(travels);
    match (sent, removed) {
        (0, 0) => format!("take {folder} as it stands"),
        (0, removed) => format!("remove {} from {folder}", files(removed)),
        (sent, 0) => format!("send {} ({size}) to {folder}", files(sent)),
        (sent, removed) => format!("send {} ({size}) to {folder}, remove {removed}", files(sent)),
    }
}

/// What has been sent: MODE SHA256 PATH, a line a file.
pub(super) fn manifest(bundle: &Bundle) -> String {
    bundle.kept().map(|file| format!("{:o} {} {}\n", file.mode, file.sha256, file.path)).collect()
}

pub(super) fn manifest_line(line: &str) -> Option<(&str, &str)> {
    let mut words = line.splitn(3, ' ').skip(1);
    let pair = (words.next()?, words.next()?);
    // The host's word is not enough to remove what lies elsewhere.
    (!pair.1.split('/').any(|part| part == ".." || part.is_empty())).then_some(pair)
}

/// Whether a file on the host has the owner that it is to have, by name or by numbers.
pub(super) fn is_owned(present: &File, wanted: &BundleFile) -> bool {
    present.owner == wanted.owner || present.ids == wanted.owner
}

pub(super) fn file_change(
    path: String,
    file: &BundleFile,
    before: Option<Vec<u8>>,
    exists: bool,
) -> FileChange {
    FileChange {
        path,
        mode: file.mode,
        owner: file.owner.clone(),
        sha256: Some(file.sha256.clone()),
        before,
        content: Some(file.content.clone()),
        sensitive: file.sensitive,
        exists,
        recorded: None,
    }
}

pub(super) fn removal(path: String) -> FileChange {
    FileChange {
        path,
        mode: 0,
        owner: "root:root".into(),
        sha256: None,
        before: None,
        content: None,
        sensitive: false,
        exists: true,
        recorded: None,
    }
}
