//! The files of a bundle on the host: asked for one by one where they are few, by one digest where
//! they are many.
//!
//! Beside the manifest the host has a list of what each file is to be, written with it. Where both have
//! the digest that they would have now, the host compares its files with them by itself and names only
//! those that differ; the others count as they are listed. So it costs the line as much to ask for
//! thousands of files as for one.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::Stack;
use super::files::manifest;
use crate::facts::{File, Question, Questions};
use crate::stack::bundle::{BundleFile, ROOT, hex, sha256};
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
    /// What is asked of the bundle's files.
    pub(super) fn ask_for_files(&self, questions: &mut Questions) {
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
        questions.extend(bundle.files.iter().map(|file| {
            let path = self.path_of(file);
            match () {
                () if file.seed => Question::Presence(path),
                () if file.sensitive => Question::SecretFile(path),
                () if is_large => Question::SentFile { path, unless: file.sha256.clone() },
                () => Question::File { path, unless: Some(file.sha256.clone()) },
            }
        }));
        questions
    }

    /// Where a file of the bundle is on the host.
    pub(super) fn path_of(&self, file: &BundleFile) -> String {
        format!("{}/{}", self.folder(), file.path)
    }

    /// What each file is to be on the host: MODE OWNER SHA256 KIND PATH with tabs between, a line a file.
    /// Images make what they mount read-write their own user's, so mode and owner are `-` there.
    pub(super) fn list(&self) -> String {
        let mut list = String::new();
        for file in &self.input.bundle.files {
            let kind = match () {
                () if file.seed => "seed",
                () if file.sensitive => "secret",
                () => "file",
            };
            let (mode, owner) = match () {
                () if file.seed || self.is_shared(file) => ("-".to_owned(), "-"),
                () if file.owner == ROOT => (format!("{:o}", file.mode), "0:0"),
                () => (format!("{:o}", file.mode), file.owner.as_str()),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(list, "{mode}\t{owner}\t{}\t{kind}\t{}", file.sha256, file.path);
        }
        list
    }

    /// Whether a container may write to a file that is sent all the same.
    pub(super) fn is_shared(&self, file: &BundleFile) -> bool {
        self.input.project.writers(&file.path).next().is_some()
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

    /// Takes the files for what the host's answer to their digest says.
    pub(super) fn take_as_listed(&self, model: &mut Model) {
        let Some(known) = model.facts.bundle(&self.folder(), self.digest()).cloned() else { return };
        let is_there = known.digest.is_some();
        let mut seeds = String::new();
        for file in &self.input.bundle.files {
            let path = self.path_of(file);
            if file.seed {
                let _ = writeln!(seeds, "{} {}", file.sha256, file.path);
            }
            if !known.differing.contains(&path) {
                model.facts.files.insert(path, is_there.then(|| as_listed(file)));
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
