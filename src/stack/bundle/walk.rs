//! The walk through a folder: what is taken, what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};

use super::choice::{Choice, Chooser};
use super::folders::{self, BundleFolder, Usual};
use super::git;
use super::left_out::{self, LeftOut, Why, largest};
use super::sensitive;
use super::taken::{Taken, side_by_side};
use super::{BundleError, BundleFile, IGNORE_FILE, Link, MAX_FILES, MAX_SIZE, Patterns, file};

/// What a walk has found.
pub(super) struct Collected {
    pub files: Vec<BundleFile>,
    pub folders: Vec<BundleFolder>,
    pub left_out: LeftOut,
    pub links: Vec<Link>,
}

pub(super) fn collect(dir: &Path, choice: &Choice<'_>) -> Result<Collected, BundleError> {
    let root = dir.canonicalize().map_err(|source| read_error(dir, source))?;
    if !root.is_dir() {
        return Err(BundleError::NotAFolder { path: dir.to_path_buf() });
    }
    let named = Patterns::new(sensitive::NAMES.iter().map(|p| ("", 0, *p)))?;
    let chooser = Chooser::new(dir, &root, choice)?;
    let usual = Usual::of(&root, choice.project.and_then(|project| project.files.first()));
    let mut walk = Walk { shown: dir, root, chooser, usual, outputs: outputs() };
    let mut found = Found::default();
    let mut walked = walk.folder(&walk.root, "", &mut found);
    // A repository further down: what it ignores may also be what the walk stopped at.
    if found.has_repository && walk.chooser.look_at_git(&walk.root) {
        found = Found::default();
        walked = walk.folder(&walk.root, "", &mut found);
    }
    walked?;
    walk.check_size(&found.sent)?;
    let named_secret = |path: &str| choice.sensitive().iter().any(|secret| same(secret, path));
    let left_out = found.left_out.group(&found.sent);
    let taken = |(path, taken): &(String, Taken)| {
        let content = taken.read().map_err(|error| read_error(&taken.there, error))?;
        // What a link leads to is a secret under the link's name as well.
        let real = taken.there.strip_prefix(&walk.root).ok().and_then(Path::to_str).unwrap_or(path);
        let is_secret = |path: &str| {
            named_secret(path) || named.matches(path, false) && !sensitive::is_public(path, &content)
        };
        let secret = is_secret(path) || real != path && is_secret(real) || sensitive::holds_secret(&content);
        let mode = match secret {
            true if taken.mode & 0o111 != 0 => 0o700,
            true => 0o600,
            false => usual.file(taken.mode),
        };
        Ok(file(path.clone(), mode, secret, content))
    };
    let mut files = side_by_side(&found.sent.into_iter().collect::<Vec<_>>(), taken)?;
    for file in &mut files {
        file.built = walk.chooser.is_built(&file.path);
    }
    let folders = found.folders.into_iter().map(|(path, mode)| {
        let mounted = choice.project.is_some_and(|project| project.is_mounted(&path));
        let built = walk.chooser.is_built(&path);
        BundleFolder::new(path, mode, mounted, built)
    });
    let folders = folders::needed(folders.collect(), &files);
    Ok(Collected { files, folders, left_out, links: found.links })
}

/// The device and inode of each file that this program's own output goes to: `provision plan >plan.md` in
/// the folder does not send the plan.
fn outputs() -> Vec<(u64, u64)> {
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let files = [stdout.as_fd(), stderr.as_fd()].into_iter().filter_map(|fd| fd.try_clone_to_owned().ok());
    let files = files.filter_map(|fd| fs::File::from(fd).metadata().ok());
    files.filter(fs::Metadata::is_file).map(|file| (file.dev(), file.ino())).collect()
}

/// What the walk has come upon.
#[derive(Default)]
struct Found {
    /// Whether there is a repository of git's in the folder.
    has_repository: bool,
    /// Files to be sent, by their paths in the bundle.
    sent: BTreeMap<String, Taken>,
    /// Folders that were entered, with their permissions.
    folders: BTreeMap<String, u32>,
    left_out: left_out::Found,
    links: Vec<Link>,
}

struct Walk<'a> {
    /// The folder as it was named, for messages.
    shown: &'a Path,
    root: PathBuf,
    chooser: Chooser<'a>,
    usual: Usual,
    outputs: Vec<(u64, u64)>,
}

impl Walk<'_> {
    /// Takes a folder in; `prefix` is its path in the bundle, blank unless a link leads to it.
    fn folder(&self, folder: &Path, prefix: &str, found: &mut Found) -> Result<(), BundleError> {
        let mut entries = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Err(self.walk_error(folder, error)),
            };
            found.has_repository |= git::is_repository(entry.file_name());
            let real = self.real(entry.path());
            let is_folder = entry.file_type().is_dir();
            let path = match self.path(&entry, folder, prefix) {
                Ok(path) => path,
                // A name that cannot travel does not have to where git ignores it.
                Err(_) if self.chooser.is_ignored(real, is_folder) => {
                    if is_folder {
                        entries.skip_current_dir();
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_folder {
                if let Some(why) = self.chooser.skips(&path, entry.path(), real) {
                    found.left_out.folder(&path, entry.path(), why);
                    entries.skip_current_dir();
                } else {
                    let metadata = entry.metadata().map_err(|e| self.walk_error(folder, e))?;
                    found.folders.insert(path, self.usual.folder(metadata.permissions().mode()));
                }
                continue;
            }
            let leads_to_folder = entry.path_is_symlink() && entry.path().is_dir();
            if let Some(why) = self.leaves(&path, &entry, real, leads_to_folder) {
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                found.left_out.file(path, size, why);
            } else if entry.file_type().is_symlink() {
                self.link(&entry, path, prefix, found)?;
            } else if entry.file_type().is_file() {
                let metadata = entry.metadata().map_err(|e| self.walk_error(folder, e))?;
                if self.outputs.contains(&(metadata.dev(), metadata.ino())) {
                    found.left_out.file(path, metadata.len(), Why::Trifle);
                    continue;
                }
                found.sent.insert(path, Taken::new(entry.into_path(), &metadata));
            } else {
                let kind = kind(&entry);
                return Err(BundleError::Special { root: self.shown.to_path_buf(), path, kind });
            }
        }
        Ok(())
    }

    /// Why an entry stays here. A link to a folder is left where that folder would be.
    fn leaves(&self, path: &str, entry: &DirEntry, real: &Path, leads_to_folder: bool) -> Option<Why> {
        let skipped = leads_to_folder.then(|| self.chooser.skips(path, entry.path(), real)).flatten();
        skipped.or_else(|| self.chooser.leaves(path, real, leads_to_folder))
    }

    /// Where something is within the folder.
    fn real<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// A link is sent as what it points to, when that is within the folder.
    fn link(
        &self,
        entry: &DirEntry,
        path: String,
        prefix: &str,
        found: &mut Found,
    ) -> Result<(), BundleError> {
        let refuse =
            |to: String| BundleError::Link { root: self.shown.to_path_buf(), path: path.clone(), to };
        let target =
            entry.path().canonicalize().map_err(|_| refuse("to something that does not exist".into()))?;
        let Ok(inside) = target.strip_prefix(&self.root) else {
            return Err(refuse(format!("out of the folder, to {}", target.display())));
        };
        let metadata = fs::metadata(&target).map_err(|e| read_error(&target, e))?;
        let to = inside.display().to_string();
        if metadata.is_file() {
            found.links.push(Link { path: path.clone(), to, is_folder: false });
            found.sent.insert(path, Taken::new(target, &metadata));
            return Ok(());
        }
        if !metadata.is_dir() {
            return Err(refuse("to something that is not a file".into()));
        }
        if entry.path().starts_with(&target) {
            return Err(refuse("to a folder that it stands in itself".into()));
        }
        // Links within a linked folder could lead in circles.
        if !prefix.is_empty() {
            return Err(refuse(format!(
                "to the folder {to:?}, and stands in a folder that is reached by a link too"
            )));
        }
        found.links.push(Link { path: path.clone(), to, is_folder: true });
        found.folders.insert(path.clone(), self.usual.folder(metadata.permissions().mode()));
        self.folder(&target, &path, found)
    }

    fn path(&self, entry: &DirEntry, folder: &Path, prefix: &str) -> Result<String, BundleError> {
        let refuse =
            |shown: String, problem| BundleError::Name { root: self.shown.to_path_buf(), shown, problem };
        let inner = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let Some(inner) = inner.to_str() else {
            return Err(refuse(format!("{:?}", inner), "is not UTF-8"));
        };
        if inner.chars().any(char::is_control) {
            return Err(refuse(format!("{inner:?}"), "contains a control character"));
        }
        if inner.chars().any(reorders) {
            return Err(refuse(format!("{inner:?}"), "contains a character that hides or reorders text"));
        }
        Ok(join(prefix, inner))
    }

    fn check_size(&self, sent: &BTreeMap<String, Taken>) -> Result<(), BundleError> {
        let total = sent.values().fold(0_u64, |sum, taken| sum.saturating_add(taken.size));
        let files = || sent.iter().map(|(path, taken)| (path.as_str(), taken.size));
        let root = self.shown.to_path_buf();
        if total > MAX_SIZE {
            return Err(BundleError::TooLarge { root, total, largest: largest(files(), false) });
        }
        if sent.len() > MAX_FILES {
            return Err(BundleError::TooMany { root, count: sent.len(), largest: largest(files(), true) });
        }
        Ok(())
    }

    fn walk_error(&self, folder: &Path, error: walkdir::Error) -> BundleError {
        let path = error.path().unwrap_or(folder).to_path_buf();
        let fallback = || std::io::Error::other("the folder loops");
        BundleError::Read { path, source: error.into_io_error().unwrap_or_else(fallback) }
    }
}

/// Whether a character shows nothing, or turns the order around in which text is read: a name with it
/// is another one than it looks like.
fn reorders(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

fn kind(entry: &DirEntry) -> &'static str {
    let kind = entry.file_type();
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

pub(super) fn read_error(path: &Path, source: std::io::Error) -> BundleError {
    BundleError::Read { path: path.to_path_buf(), source }
}

/// `./x` is `x`.
fn same(named: &str, path: &str) -> bool {
    named.trim_start_matches("./") == path
}

/// A path below a folder; a blank one is the whole.
pub(super) fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

impl Patterns {
    /// From an option of the settings.
    ///
    /// # Errors
    ///
    /// A pattern that is not one.
    pub fn of_option(option: &'static str, patterns: &[String]) -> Result<Patterns, BundleError> {
        Patterns::new(patterns.iter().enumerate().map(|(at, pattern)| (option, at + 1, pattern.as_str())))
    }

    /// From patterns, each with the file and line that it comes from.
    pub(super) fn new<'p>(
        patterns: impl Iterator<Item = (&'p str, usize, &'p str)>,
    ) -> Result<Patterns, BundleError> {
        let mut any = GlobSetBuilder::new();
        let mut folders = GlobSetBuilder::new();
        for (file, line, written) in patterns {
            let pattern = written.trim();
            let comment = file == IGNORE_FILE && pattern.starts_with('#');
            if pattern.is_empty() || comment {
                continue;
            }
            let refuse = |problem: String| BundleError::Pattern {
                file: file.to_owned(),
                line,
                pattern: pattern.to_owned(),
                problem,
            };
            if pattern.starts_with('!') {
                return Err(refuse("`!` is not supported".into()));
            }
            let (bare, only_folders) = match pattern.strip_suffix('/') {
                Some(bare) => (bare, true),
                None => (pattern, false),
            };
            let anchored = bare.contains('/');
            let bare = bare.strip_prefix("./").unwrap_or(bare);
            let bare = bare.strip_prefix('/').unwrap_or(bare);
            let glob = match anchored {
                true => bare.to_owned(),
                false => format!("**/{bare}"),
            };
            let glob = GlobBuilder::new(&glob)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|e| refuse(e.kind().to_string()))?;
            match only_folders {
                true => folders.add(glob),
                false => any.add(glob),
            };
        }
        let build = |set: GlobSetBuilder| -> Result<GlobSet, BundleError> {
            set.build().map_err(|e| BundleError::Pattern {
                file: IGNORE_FILE.to_owned(),
                line: 1,
                pattern: e.glob().unwrap_or_default().to_owned(),
                problem: e.kind().to_string(),
            })
        };
        Ok(Patterns { any: build(any)?, folders: build(folders)? })
    }

    /// Whether a pattern names this very path.
    pub(super) fn names(&self, path: &Candidate<'_>, is_folder: bool) -> bool {
        self.any.is_match_candidate(path) || (is_folder && self.folders.is_match_candidate(path))
    }

    /// Whether a pattern names this path or a folder above it.
    #[must_use]
    pub fn matches(&self, path: &str, is_folder: bool) -> bool {
        if self.any.is_empty() && self.folders.is_empty() {
            return false;
        }
        self.names(&Candidate::new(path), is_folder)
            || path.match_indices('/').any(|(at, _)| self.names(&Candidate::new(&path[..at]), true))
    }
}
