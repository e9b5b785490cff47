//! A stack's folder, gathered to be sent: content, modes, hashes.

mod choice;
mod dockerignore;
mod folders;
mod git;
mod left_out;
mod sensitive;
mod taken;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

pub use choice::Choice;
pub use folders::BundleFolder;
pub use left_out::{Group, LeftOut, Why};

use globset::GlobSet;
use sha2::{Digest, Sha256};

use crate::digest::{hex, sha256};
use crate::text::bytes;

/// The most that a bundle may hold.
pub const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// The most files that a bundle may have: each is asked for at every plan.
pub const MAX_FILES: usize = 20_000;

/// The owner of a file of which settings say nothing.
pub const ROOT: &str = "root:root";

/// The file that names what stays behind.
pub const IGNORE_FILE: &str = ".provisionignore";

/// The files of a stack's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The folder on this computer.
    pub root: PathBuf,
    /// The files, sorted by path.
    pub files: Vec<BundleFile>,
    /// The folders that these files lie in, and those that containers mount, sorted by path.
    pub folders: Vec<BundleFolder>,
    /// What of the folder is not among them.
    pub left_out: LeftOut,
    /// Symbolic links in whose place goes what they lead to.
    pub links: Vec<Link>,
}

/// A symbolic link of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its path within the folder.
    pub path: String,
    /// What it leads to, within the folder.
    pub to: String,
    /// Whether that is a folder.
    pub is_folder: bool,
}

/// A file of a bundle.
#[derive(Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// The path within the folder, with `/` between its parts.
    pub path: String,
    /// 0o644, 0o755 when it is executable, 0o600 when it is sensitive (0o700 when both), unless it was
    /// given others here, or settings say otherwise.
    pub mode: u32,
    /// The owner on the host: `root:root`, or `UID:GID` where settings say so.
    pub owner: String,
    /// The SHA-256 of the content, in hex.
    pub sha256: String,
    /// The content.
    pub content: Vec<u8>,
    /// Whether it holds secrets: never show its content.
    pub sensitive: bool,
    /// Whether images are built from it: `.dockerignore` does not keep it out.
    pub built: bool,
    /// Whether a container may write to it: it is sent where the host has nothing, and is the
    /// application's from then on.
    pub seed: bool,
}

impl fmt::Debug for BundleFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BundleFile");
        shown.field("path", &self.path).field("mode", &format_args!("{:04o}", self.mode));
        if !self.sensitive {
            // The hash of a short secret can be guessed from.
            shown.field("sha256", &self.sha256);
        }
        shown.field("bytes", &self.content.len()).field("sensitive", &self.sensitive).finish_non_exhaustive()
    }
}

/// Why a folder cannot be bundled.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}; check that it exists and that you may read it", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder is not one.
    #[error("{} is not a folder; name the folder that holds the Compose file", .path.display())]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// A symbolic link leads out of the folder, or nowhere.
    #[error(
        "{path} in {} is a symbolic link {to}; replace it by what it points to, or add {path} to \
         {IGNORE_FILE}", .root.display()
    )]
    Link {
        /// The folder.
        root: PathBuf,
        /// The link, relative to the folder.
        path: String,
        /// Where it leads, as a phrase.
        to: String,
    },
    /// Not a file, folder or link.
    #[error("{path} in {} is {kind}, which cannot be sent; remove it or add it to {IGNORE_FILE}", .root.display())]
    Special {
        /// The folder.
        root: PathBuf,
        /// The file, relative to the folder.
        path: String,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A name that cannot travel unharmed.
    #[error("the name {shown} in {} {problem}; rename it", .root.display())]
    Name {
        /// The folder.
        root: PathBuf,
        /// The name, made printable.
        shown: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Too much to send.
    #[error(
        "the folder {} holds {} that would be sent, more than {}; the largest: {}; add what the stack does not \
         need to {IGNORE_FILE}, one pattern a line", .root.display(), bytes(*.total), bytes(MAX_SIZE),
        .largest.join(", ")
    )]
    TooLarge {
        /// The folder.
        root: PathBuf,
        /// All that would be sent, in bytes.
        total: u64,
        /// Its largest entries with their sizes.
        largest: Vec<String>,
    },
    /// Too many files to send.
    #[error(
        "the folder {} holds {count} files that would be sent, more than {MAX_FILES}; the largest: {}; add what the \
         stack does not need to {IGNORE_FILE}, one pattern a line", .root.display(), .largest.join(", ")
    )]
    TooMany {
        /// The folder.
        root: PathBuf,
        /// How many.
        count: usize,
        /// Its entries with the most files.
        largest: Vec<String>,
    },
    /// A pattern that is not one.
    #[error("{file}:{line}: {pattern:?} is not a pattern: {problem}; correct or remove it")]
    Pattern {
        /// The file that holds it, or `ignore` for the settings.
        file: String,
        /// Its line.
        line: usize,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Bundle {
    /// Gathers a folder.
    ///
    /// Left out: provision's own files, what `ignore` and the folder's `.provisionignore` name; and,
    /// unless the project or `include` names it, version control, leftovers, what is installed for this
    /// computer, what `.dockerignore` keeps from a build, and what git ignores.
    pub fn collect(dir: &Path, choice: &Choice<'_>) -> Result<Bundle, BundleError> {
        let walk::Collected { files, folders, left_out, links } = walk::collect(dir, choice)?;
        Ok(Bundle { root: dir.to_path_buf(), files, folders, left_out, links })
    }

    /// Takes files out, and with them folders that hold no other.
    pub fn retain(&mut self, is_kept: impl FnMut(&BundleFile) -> bool) {
        self.files.retain(is_kept);
        self.folders = folders::needed(std::mem::take(&mut self.folders), &self.files);
    }

    /// Lays lines over those of `.env`, which is made where there is none: what stands last holds.
    pub fn lay_over_env(&mut self, lines: &str) {
        let text = format!("\n# From [steps.stack.env]; what stands last holds.\n{lines}");
        let (mut content, at) = match self.files.binary_search_by(|file| file.path.as_str().cmp(".env")) {
            Ok(at) => (self.files.remove(at).content, at),
            Err(at) => (Vec::new(), at),
        };
        content.extend_from_slice(text.as_bytes());
        self.files.insert(at, file(".env".to_owned(), 0o600, true, content));
    }

    /// Marks the files that containers may write to.
    pub fn mark_seeds(&mut self, is_written: impl Fn(&str) -> bool) {
        for file in &mut self.files {
            file.seed = is_written(&file.path);
        }
    }

    /// The files that are kept as they are here: all but the seeds.
    pub fn kept(&self) -> impl Iterator<Item = &BundleFile> {
        self.files.iter().filter(|file| !file.seed)
    }

    /// Whether images are built from a path: from the file there, or from that folder.
    #[must_use]
    pub fn is_built(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.built && is_at_or_below(&file.path, path))
            || self.folders.iter().any(|folder| folder.built && folder.path == path)
    }

    /// Whether a path is one of its files or folders.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        path.is_empty()
            || self.files.iter().any(|file| is_at_or_below(&file.path, path))
            || self.folders.iter().any(|folder| folder.path == path)
    }

    /// A hash over the paths, modes and contents of all that is kept as it is here; it does not
    /// depend on where the folder is.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for file in self.kept() {
            // No name contains a newline, so no two bundles make the same text.
            hasher.update(format!("{:04o} {} {}\n", file.mode, file.sha256, file.path));
            if file.owner != ROOT {
                hasher.update(format!("{}\n", file.owner));
            }
        }
        hex(&hasher.finalize())
    }

    /// The bytes of all contents.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|f| f.content.len() as u64).sum()
    }

    /// The file at a path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&BundleFile> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }
}

fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn file(path: String, mode: u32, sensitive: bool, content: Vec<u8>) -> BundleFile {
    let sha256 = sha256(&content);
    BundleFile { path, mode, owner: ROOT.to_owned(), sha256, content, sensitive, built: false, seed: false }
}

/// Patterns in the manner of `.gitignore`, without `!`.
#[derive(Debug)]
pub struct Patterns {
    any: GlobSet,
    folders: GlobSet,
}
