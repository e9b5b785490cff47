//! The bundle's files: what differs from the host's, and what was sent once and is no longer part of it.

use super::Stack;
use crate::plan::{Change, FileChange, Risk};
use crate::stack::bundle::{Bundle, BundleFile};
use crate::steps::Model;

impl Stack {
    /// Files that differ, and files that were sent once and are no longer part of it.
    pub(super) fn send(&self, model: &mut Model) -> Option<Change> {
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
        let mut risks = Vec::new();
        let mut files = Vec::new();
        for file in &bundle.files {
            let path = format!("{folder}/{}", file.path);
            let present = model.file(&path);
            if present.is_some_and(|present| {
                present.sha256 == file.sha256 && present.mode == file.mode && present.owner == "root:root"
            }) {
                continue;
            }
            if let Some(present) = present.filter(|present| present.sha256 != file.sha256) {
                let as_sent = sent.iter().any(|(sum, name)| *name == file.path && *sum == present.sha256);
                if !as_sent {
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
        for (_, name) in &sent {
            if bundle.file(name).is_none() {
                files.push(removal(format!("{folder}/{name}")));
            }
        }
        if files.is_empty() && same_manifest {
            return None;
        }
        let bare = known_manifest.is_none();
        let removed = files.iter().filter(|file| file.content.is_none()).count();
        let sent = files.len() - removed;
        let change = Change {
            id: "stack/bundle".into(),
            title: title(sent, removed, &folder),
            reason: match (bare, sent) {
                (true, 1) => "the host does not have it".into(),
                (true, _) => "the host does not have them".into(),
                (false, 0) => "no longer in the folder here".into(),
                (false, 1) => "it differs from what the host has".into(),
                (false, _) => "they differ from what the host has".into(),
            },
            risks,
            undo: Some(format!("the former bundle is kept in {}", self.state("previous"))).filter(|_| !bare),
            files,
            action: self.action("bundle").with_unshown("manifest", manifest).within(120),
        };
        model.write(&change.files);
        Some(change)
    }
}

fn title(sent: usize, removed: usize, folder: &str) -> String {
    let files = |count| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    match (sent, removed) {
        (0, 0) => format!("take {folder} as it stands"),
        (0, removed) => format!("remove {} from {folder}", files(removed)),
        (sent, 0) => format!("send {} to {folder}", files(sent)),
        (sent, removed) => format!("send {} to {folder}, remove {removed}", files(sent)),
    }
}

/// What has been sent: MODE SHA256 PATH, a line a file.
fn manifest(bundle: &Bundle) -> String {
    bundle.files.iter().map(|file| format!("{:o} {} {}\n", file.mode, file.sha256, file.path)).collect()
}

pub(super) fn manifest_sum(bundle: &Bundle) -> String {
    crate::plan::sha256(manifest(bundle).as_bytes())
}

fn manifest_line(line: &str) -> Option<(&str, &str)> {
    let mut words = line.splitn(3, ' ').skip(1);
    let pair = (words.next()?, words.next()?);
    // The host's word is not enough to remove what lies elsewhere.
    (!pair.1.split('/').any(|part| part == ".." || part.is_empty())).then_some(pair)
}

fn file_change(path: String, file: &BundleFile, before: Option<Vec<u8>>, exists: bool) -> FileChange {
    FileChange {
        path,
        mode: file.mode,
        owner: "root:root".into(),
        sha256: Some(file.sha256.clone()),
        before,
        content: Some(file.content.clone()),
        sensitive: file.sensitive,
        exists,
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
    }
}
