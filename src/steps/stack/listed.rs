//! The files and folders of a bundle on the host: asked for one by one where the files are few, by one
//! digest where they are many.
//!
//! Beside the manifest the host has a list of what each of them is to be, written with it. Where both have
//! the digest that they would have now, the host compares what it has with them by itself and names only
//! what differs; all else counts as it is listed. So it costs the line as much to ask for thousands of files
//! as for one.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::Stack;
use super::files::manifest;
use crate::digest::{hex, sha256};
use crate::facts::{File, Question, Questions};
use crate::stack::bundle::{BundleFile, BundleFolder, ROOT};
use crate::steps::Model;

/// So many files are asked for one by one: their list is shorter than the program that asks, and where
/// some differ, no second question is needed.
const FEW: usize = 64;

/// Digests, in hexadecimal.
#[derive(Debug)]
pub(super) struct Sums {
    manifest: String,
    /// Of the manifest and the list, one after the other.
    both: String,
}

impl Stack {
    /// What is asked of the bundle's files and folders.
    pub(super) fn ask_for_files(&self, questions: &mut Questions) {
        questions.insert(Question::Presence(self.folder()));
        // Its text as well where it is not the list of what is here.
        questions.insert(Question::Record {
            path: self.state("folders"),
            unless: Some(sha256(self.all_folders().as_bytes())),
        });
        let by_file = self.by_file();
        if self.input.bundle.files.len() <= FEW {
            questions.extend(by_file);
            return;
        }
        questions.insert(Question::SecretFile(self.state("manifest")));
        questions.insert(Question::Bundle {
            state: self.state("").trim_end_matches('/').to_owned(),
            digest: self.digest().to_owned(),
            folder: self.folder(),
            otherwise: by_file,
        });
    }

    fn by_file(&self) -> Questions {
        let bundle = &self.input.bundle;
        let sum = self.manifest_sum().to_owned();
        let manifest = self.state("manifest");
        let is_large = bundle.files.len() > FEW;
        let mut questions = Questions::new();
        questions.insert(Question::Record { path: manifest.clone(), unless: Some(sum.clone()) });
        questions.insert(Question::Manifest { path: manifest, unless: sum, folder: self.folder() });
        questions.insert(Question::Record { path: self.state("seeds"), unless: None });
        questions
            .extend(bundle.folders.iter().map(|folder| Question::Presence(self.in_folder(&folder.path))));
        questions.extend(bundle.files.iter().map(|file| {
            let path = self.in_folder(&file.path);
            match () {
                () if file.seed => Question::Place(path),
                () if file.sensitive => Question::SecretFile(path),
                () if is_large => Question::SentFile { path, unless: file.sha256.clone() },
                () => Question::File { path, unless: Some(file.sha256.clone()) },
            }
        }));
        questions
    }

    /// Where a file or folder of the bundle is on the host.
    fn in_folder(&self, path: &str) -> String {
        format!("{}/{path}", self.folder())
    }

    /// What each folder and file is to be on the host: MODE OWNER SHA256 KIND PATH with tabs between, a line
    /// each. Images make what they mount read-write their own user's, so mode and owner are `-` there.
    pub(super) fn list(&self) -> String {
        let mut list = String::new();
        let rights = |path: &str, mode: u32, owner: &str| match () {
            () if self.is_shared(path) => "-\t-".to_owned(),
            () if owner == ROOT => format!("{mode:o}\t0:0"),
            () => format!("{mode:o}\t{owner}"),
        };
        for folder in &self.input.bundle.folders {
            let rights = rights(&folder.path, folder.mode, &folder.owner);
            // Writing to a string cannot fail.
            let _ = writeln!(list, "{rights}\t-\tfolder\t{}", folder.path);
        }
        for file in &self.input.bundle.files {
            let kind = match () {
                () if file.seed => "seed",
                () if file.sensitive => "secret",
                () => "file",
            };
            let rights = match file.seed {
                true => "-\t-".to_owned(),
                false => rights(&file.path, file.mode, &file.owner),
            };
            let _ = writeln!(list, "{rights}\t{}\t{kind}\t{}", file.sha256, file.path);
        }
        list
    }

    /// Whether a container may write to a file or folder.
    pub(super) fn is_shared(&self, path: &str) -> bool {
        self.input.project.writers(path).next().is_some()
    }

    fn sums(&self) -> &Sums {
        self.sums.get_or_init(|| {
            let manifest = manifest(&self.input.bundle);
            let both = Sha256::new().chain_update(&manifest).chain_update(self.list()).finalize();
            Sums { manifest: sha256(manifest.as_bytes()), both: hex(&both) }
        })
    }

    /// The SHA-256 of the manifest that would be written now.
    pub(super) fn manifest_sum(&self) -> &str {
        &self.sums().manifest
    }

    fn digest(&self) -> &str {
        &self.sums().both
    }

    /// Takes files and folders for what the host's answer to their digest says.
    pub(super) fn take_as_listed(&self, model: &mut Model) {
        let Some(known) = model.facts.bundle(&self.folder(), self.digest()).cloned() else { return };
        let is_there = known.digest.is_some();
        let mut seeds = String::new();
        for file in &self.input.bundle.files {
            let path = self.in_folder(&file.path);
            if file.seed {
                let _ = writeln!(seeds, "{} {}", file.sha256, file.path);
            }
            if !known.differing.contains(&path) {
                model.facts.files.insert(path, is_there.then(|| as_listed(file)));
            }
        }
        for folder in &self.input.bundle.folders {
            let path = self.in_folder(&folder.path);
            if !known.differing.contains(&path) {
                model.facts.files.insert(path, is_there.then(|| folder_as_listed(folder)));
            }
        }
        // Where something differs, the host has told its own list.
        if is_there && known.differing.is_empty() && !seeds.is_empty() {
            let list = File { kind: "regular".into(), content: Some(seeds.into_bytes()), ..File::default() };
            model.facts.files.insert(self.state("seeds"), Some(list));
        }
    }
}

fn as_listed(file: &BundleFile) -> File {
    File {
        mode: file.mode,
        owner: file.owner.clone(),
        ids: file.owner.clone(),
        size: file.content.len() as u64,
        kind: "regular".into(),
        // Of the application's own nothing is known but that it is there.
        sha256: if file.seed { String::new() } else { file.sha256.clone() },
        ..File::default()
    }
}

fn folder_as_listed(folder: &BundleFolder) -> File {
    File {
        mode: folder.mode,
        owner: folder.owner.clone(),
        ids: folder.owner.clone(),
        kind: "directory".into(),
        ..File::default()
    }
}
