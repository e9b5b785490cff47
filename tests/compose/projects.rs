//! Projects in a few lines each: all cases that once were read wrongly, and projects that look like
//! those of real applications.
//!
//! A text file has many. A project begins with `=== NAME: EXPECTATION`, where the expectation is
//! `accepted`, `refused WORDS`, or `as Compose`; a final `newer` says that only later releases of
//! Compose take it. A file of it begins with `--- PATH`, a link with `--- PATH -> TARGET`.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

/// What `provision` has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever Compose says.
    AsCompose,
    /// It reads the project.
    Accepted,
    /// It refuses it, with these words.
    Refused(String),
}

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    pub name: String,
    pub expected: Expected,
    newer: bool,
    files: Vec<(String, String)>,
}

impl Project {
    /// A project of files alone.
    pub fn new(name: &str, files: Vec<(String, String)>) -> Self {
        Self { name: name.to_owned(), expected: Expected::AsCompose, newer: false, files }
    }

    /// Whether there may be a Compose that does not take it.
    pub fn is_newer(&self) -> bool {
        self.newer
    }

    /// Writes it into a folder named `project`.
    pub fn write(&self) -> Folder {
        let outer = tempfile::Builder::new().prefix("compose").tempdir().expect("a folder");
        let folder = outer.path().join("project");
        fs::create_dir(&folder).expect("a folder");
        for (path, text) in &self.files {
            let (path, target) = match path.split_once(" -> ") {
                Some((path, target)) => (path, Some(target)),
                None => (path.as_str(), None),
            };
            let at = folder.join(path);
            fs::create_dir_all(at.parent().expect("a parent")).expect("a folder");
            match target {
                Some(target) => symlink(target, &at).expect("a link"),
                None => fs::write(&at, text).expect("a file"),
            }
        }
        Folder { _outer: outer, folder }
    }

    /// Its files, as they stand in the text.
    pub fn shown(&self) -> String {
        let mut out = format!("=== {}\n", self.name);
        for (path, text) in &self.files {
            let shown: String = text.chars().take(3000).collect();
            let _ = write!(out, "--- {path}\n{shown}");
        }
        out
    }
}

/// A project's folder, as long as it is wanted.
pub struct Folder {
    _outer: TempDir,
    folder: std::path::PathBuf,
}

impl Folder {
    pub fn path(&self) -> &std::path::Path {
        &self.folder
    }
}

/// All projects of the text files beside this one.
pub fn all() -> Vec<Project> {
    let mut texts: Vec<_> =
        fs::read_dir(super::here()).expect("the folder").flatten().map(|entry| entry.path()).collect();
    texts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    texts.sort();
    texts.iter().flat_map(|path| parse(&fs::read_to_string(path).expect("a text"))).collect()
}

fn parse(text: &str) -> Vec<Project> {
    let mut projects: Vec<Project> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("=== ") {
            let (name, expected) = head.split_once(": ").unwrap_or((head, "as Compose"));
            let newer = expected.ends_with(" newer");
            let expected = match expected.trim_end_matches(" newer") {
                "accepted" => Expected::Accepted,
                "as Compose" => Expected::AsCompose,
                other => Expected::Refused(other.strip_prefix("refused ").expect(head).to_owned()),
            };
            projects.push(Project { name: name.to_owned(), expected, newer, files: Vec::new() });
        } else if let Some(project) = projects.last_mut() {
            match (line.strip_prefix("--- "), project.files.last_mut()) {
                (Some(path), _) => project.files.push((path.to_owned(), String::new())),
                (None, Some((_, text))) => {
                    text.push_str(line);
                    text.push('\n');
                }
                (None, None) => {}
            }
        }
    }
    projects
}
