//! The bundle's files: what differs from the host's, and what was sent once and is no longer part of it.

use std::collections::BTreeMap;

use super::{STEP, Stack};
use crate::facts::File;
use crate::plan::{Change, FileChange, Risk};
use crate::stack::bundle::{Bundle, BundleFile, Patterns};
use crate::steps::{Model, Refusal};
use crate::text::bytes;

/// Files that are the application's, since a container may write to them.
#[derive(Default)]
pub(super) struct Seeds<'a> {
    /// Sent now, for the first time.
    sent: Vec<&'a BundleFile>,
    /// All of them with the sums of what was sent: SHA256 PATH, a line a file.
    list: String,
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
            if !is_there && !is_blocked && (sum.is_none() || is_folder) {
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

    /// A folder with files in it gives way to no file of ours; what we have sent of it goes first.
    pub(super) fn check_ways(&self, model: &Model) -> Result<(), Refusal> {
        let manifest = model.text(&self.state("manifest")).unwrap_or_default();
        let sent: Vec<_> = manifest.lines().filter_map(manifest_line).map(|(_, path)| path).collect();
        let path = |file: &BundleFile| format!("{}/{}", self.folder(), file.path);
        let is_full = |path: &str| model.file(path).is_some_and(|there| there.holds_files);
        let in_the_way = self
            .input
            .bundle
            .files
            .iter()
            .filter(|file| is_full(&path(file)) && !sent.iter().any(|below| is_above(&file.path, below)));
        let in_the_way: Vec<_> = in_the_way.map(path).collect();
        let Some(first) = in_the_way.first() else { return Ok(()) };
        Err(Refusal {
            step: STEP,
            hints: vec![format!("look at what is in it on the host, and move it away: sudo ls -A {first}")],
            what: "a folder on the host that is not empty is in the place of a file; nothing was changed"
                .into(),
            details: in_the_way,
            findings: Vec::new(),
        })
    }

    /// Files that differ, and files that were sent once and are no longer part of it.
    pub(super) fn send(&self, model: &mut Model, seeds: &Seeds<'_>) -> Option<Change> {
        let bundle = &self.input.bundle;
        let folder = self.folder();
        let manifest = manifest(bundle);
        let known_manifest = model.file(&self.state("manifest"));
        // Its text is brought only when it is not the one we are about to write.
        let same_manifest = known_manifest.is_some_and(|file| file.sha256 == manifest_sum(bundle));
        let sent = if same_manifest {
            manifest.clone()
        } else {
            model.text(&self.state("manifest")).unwrap_or_default().to_owned()
        };
        let sent: Vec<(&str, &str)> = sent.lines().filter_map(manifest_line).collect();
        let was_sent =
            |path: &str, sum: &str| sent.iter().any(|(known, name)| *name == path && *known == sum);
        let mut risks = Vec::new();
        let mut files = Vec::new();
        for file in bundle.kept().filter(|file| !seeds.lived_in.contains(&file.path.as_str())) {
            let path = format!("{folder}/{}", file.path);
            let present = model.file(&path);
            // Images make what they mount read-write their own user's: that is theirs to do.
            let is_shared = self.input.project.writers(&file.path).next().is_some();
            if present.is_some_and(|present| {
                present.sha256 == file.sha256
                    && (is_shared || present.mode == file.mode && is_owned(present, file))
            }) {
                continue;
            }
            // An empty folder is what Docker makes of a file that is missing.
            let present = present.filter(|present| present.kind != "directory");
            if let Some(present) = present.filter(|present| present.sha256 != file.sha256) {
                if self.input.project.is_written(&file.path) {
                    risks.push(Risk::OverwritesData { path: path.clone() });
                } else if !was_sent(&file.path, &present.sha256) {
                    risks.push(Risk::ReplacesEdited { path: path.clone() });
                }
            }
            files.push(file_change(
                path,
                file,
                present.and_then(|present| present.content.clone()),
                present.is_some(),
            ));
        }
        for file in &seeds.sent {
            files.push(file_change(format!("{folder}/{}", file.path), file, None, false));
        }
        // What may be written to is not removed either, whoever has sent it.
        let gone = sent
            .iter()
            .filter(|(_, name)| bundle.file(name).is_none() && !self.input.project.is_written(name));
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (sum, name) in gone {
            let path = format!("{folder}/{name}");
            let edited =
                model.file(&path).is_some_and(|present| present.kind == "regular" && present.sha256 != *sum);
            if edited {
                risks.push(Risk::RemovesEdited { path: path.clone() });
            }
            // A file gives way to a folder of that name, and a folder's files to a file.
            let is_in_the_way =
                |file: &FileChange| is_above(&path, &file.path) || is_above(&file.path, &path);
            if files.iter().any(is_in_the_way) { first.push(removal(path)) } else { last.push(removal(path)) }
        }
        let files: Vec<_> = first.into_iter().chain(files).chain(last).collect();
        if files.is_empty() && same_manifest {
            return None;
        }
        let bare = known_manifest.is_none();
        let removed = files.iter().filter(|file| file.content.is_none()).count();
        let sent = files.len() - removed;
        let dropped = self.dropped(&files);
        let reason = match (bare, sent) {
            (true, 1) => "the host does not have it",
            (true, _) => "the host does not have them",
            (false, 0) if dropped.is_some() => "no longer sent",
            (false, 0) => "no longer in the folder here",
            (false, 1) => "it differs from what the host has",
            (false, _) => "they differ from what the host has",
        };
        let left_out = bundle.left_out.phrase();
        let more: String = [dropped, seeds.phrase(), left_out]
            .into_iter()
            .flatten()
            .map(|more| format!("; {more}"))
            .collect();
        let travels =
            files.iter().filter_map(|file| file.content.as_ref()).map(|content| content.len() as u64).sum();
        let change = Change {
            id: "stack/bundle".into(),
            title: title(sent, travels, removed, &folder),
            reason: format!("{reason}{more}"),
            risks,
            undo: Some(format!("the previous bundle is kept in {}", self.state("previous")))
                .filter(|_| !bare),
            files,
            action: self
                .action("bundle")
                .with_unshown("origin", self.input.origin.as_str())
                .with_unshown("manifest", manifest)
                .with_unshown("seeds", seeds.list.as_str())
                .within(120),
        };
        model.write(&change.files);
        Some(change)
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
fn is_above(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn title(sent: usize, travels: u64, removed: usize, folder: &str) -> String {
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
fn manifest(bundle: &Bundle) -> String {
    bundle.kept().map(|file| format!("{:o} {} {}\n", file.mode, file.sha256, file.path)).collect()
}

pub(super) fn manifest_sum(bundle: &Bundle) -> String {
    crate::digest::sha256(manifest(bundle).as_bytes())
}

fn manifest_line(line: &str) -> Option<(&str, &str)> {
    let mut words = line.splitn(3, ' ').skip(1);
    let pair = (words.next()?, words.next()?);
    // The host's word is not enough to remove what lies elsewhere.
    (!pair.1.split('/').any(|part| part == ".." || part.is_empty())).then_some(pair)
}

/// Whether a file on the host has the owner that it is to have, by name or by numbers.
fn is_owned(present: &File, wanted: &BundleFile) -> bool {
    present.owner == wanted.owner || present.ids == wanted.owner
}

fn file_change(path: String, file: &BundleFile, before: Option<Vec<u8>>, exists: bool) -> FileChange {
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

fn removal(path: String) -> FileChange {
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
