//! The walk through a folder: what is taken, what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};

use super::{BundleError, BundleFile, IGNORE_FILE, MAX_SIZE, Patterns, file};

/// What no stack needs: version control, this program's own files, leftovers.
const NEVER: [&str; 10] = [
    ".git",
    ".provision*",
    "/provision.toml",
    ".DS_Store",
    "*~",
    "*.swp",
    "*.swo",
    "#*#",
    ".#*",
    "__pycache__/",
];

/// What holds secrets by its name.
const SENSITIVE: [&str; 6] = [".env", "*.env", ".env.*", "*.key", "*.pem", "secrets/"];

pub(super) fn collect(
    dir: &Path,
    ignore: &[String],
    sensitive_extra: &[String],
) -> Result<Vec<BundleFile>, BundleError> {
    let root = dir.canonicalize().map_err(|source| read_error(dir, source))?;
    if !root.is_dir() {
        return Err(BundleError::NotAFolder { path: dir.to_path_buf() });
    }
    let patterns = patterns(dir, ignore)?;
    let sensitive = Patterns::new(SENSITIVE.iter().map(|p| ("", 0, *p)))?;
    let walk = Walk { shown: dir, root, patterns };
    let mut found = BTreeMap::new();
    walk.folder(&walk.root, "", &mut found)?;
    walk.check_size(&found)?;
    let mut files = Vec::with_capacity(found.len());
    for (path, (source, _)) in found {
        let content = fs::read(&source).map_err(|e| read_error(&source, e))?;
        let metadata = fs::metadata(&source).map_err(|e| read_error(&source, e))?;
        let executable = metadata.permissions().mode() & 0o111 != 0;
        let secret = sensitive.matches(&path, false) || sensitive_extra.iter().any(|s| same(s, &path));
        files.push(file(path, executable, secret, content));
    }
    Ok(files)
}

/// Files to be sent: path in the bundle, where they really are, their size.
type Found = BTreeMap<String, (PathBuf, u64)>;

struct Walk<'a> {
    /// The folder as it was named, for messages.
    shown: &'a Path,
    root: PathBuf,
    patterns: Patterns,
}

impl Walk<'_> {
    /// Takes a folder in; `prefix` is its path in the bundle.
    fn folder(&self, folder: &Path, prefix: &str, found: &mut Found) -> Result<(), BundleError> {
        let mut entries = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|e| self.walk_error(folder, e))?;
            let path = self.path(&entry, folder, prefix)?;
            let is_folder = entry.file_type().is_dir();
            if self.patterns.matches(&path, is_folder) {
                if is_folder {
                    entries.skip_current_dir();
                }
                continue;
            }
            if is_folder {
                continue;
            }
            if entry.file_type().is_symlink() {
                self.link(&entry, path, found)?;
            } else if entry.file_type().is_file() {
                let size = entry.metadata().map_err(|e| self.walk_error(folder, e))?.len();
                found.insert(path, (entry.into_path(), size));
            } else {
                let kind = kind(&entry);
                return Err(BundleError::Special { root: self.shown.to_path_buf(), path, kind });
            }
        }
        Ok(())
    }

    /// A link is sent as what it points to, when that is within the folder.
    fn link(&self, entry: &DirEntry, path: String, found: &mut Found) -> Result<(), BundleError> {
        let refuse =
            |to: String| BundleError::Link { root: self.shown.to_path_buf(), path: path.clone(), to };
        let target =
            entry.path().canonicalize().map_err(|_| refuse("to something that does not exist".into()))?;
        let Ok(inside) = target.strip_prefix(&self.root) else {
            return Err(refuse(format!("out of the folder, to {}", target.display())));
        };
        let metadata = fs::metadata(&target).map_err(|e| read_error(&target, e))?;
        if metadata.is_file() {
            found.insert(path, (target, metadata.len()));
            return Ok(());
        }
        if !metadata.is_dir() {
            return Err(refuse("to something that is not a file".into()));
        }
        if entry.path().starts_with(&target) {
            return Err(refuse("to a folder that it stands in itself".into()));
        }
        if self.links_within(&target) {
            let inside = inside.display();
            return Err(refuse(format!("to the folder {inside:?}, which has links of its own")));
        }
        self.folder(&target, &path, found)
    }

    /// Links within a linked folder could lead in circles.
    fn links_within(&self, folder: &Path) -> bool {
        WalkDir::new(folder).into_iter().flatten().any(|e| e.file_type().is_symlink() && e.path().is_dir())
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
        match prefix {
            "" => Ok(inner.to_owned()),
            prefix => Ok(format!("{prefix}/{inner}")),
        }
    }

    fn check_size(&self, found: &Found) -> Result<(), BundleError> {
        let total: u64 = found.values().map(|(_, size)| size).sum();
        if total <= MAX_SIZE {
            return Ok(());
        }
        let mut entries: BTreeMap<&str, u64> = BTreeMap::new();
        for (path, (_, size)) in found {
            let top = path.find('/').map_or(path.as_str(), |at| &path[..=at]);
            *entries.entry(top).or_default() += size;
        }
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let shown = |(path, size): &(&str, u64)| format!("{path} ({} MiB)", size.div_ceil(1 << 20));
        let largest = entries.iter().take(3).map(shown).collect();
        Err(BundleError::TooLarge { root: self.shown.to_path_buf(), largest })
    }

    fn walk_error(&self, folder: &Path, error: walkdir::Error) -> BundleError {
        let path = error.path().unwrap_or(folder).to_path_buf();
        let fallback = || std::io::Error::other("the folder loops");
        BundleError::Read { path, source: error.into_io_error().unwrap_or_else(fallback) }
    }
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

fn read_error(path: &Path, source: std::io::Error) -> BundleError {
    BundleError::Read { path: path.to_path_buf(), source }
}

/// `./x` is `x`.
fn same(named: &str, path: &str) -> bool {
    named.trim_start_matches("./") == path
}

fn patterns(dir: &Path, ignore: &[String]) -> Result<Patterns, BundleError> {
    let listed = dir.join(IGNORE_FILE);
    let text = match fs::read_to_string(&listed) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(read_error(&listed, error)),
    };
    let never = NEVER.iter().map(|p| ("", 0, *p));
    let given = ignore.iter().enumerate().map(|(at, p)| ("ignore", at + 1, p.as_str()));
    let lines = text.lines().enumerate().map(|(at, line)| (IGNORE_FILE, at + 1, line));
    Patterns::new(never.chain(given).chain(lines))
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
    fn new<'p>(patterns: impl Iterator<Item = (&'p str, usize, &'p str)>) -> Result<Patterns, BundleError> {
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

    /// Whether a pattern names this path or a folder above it.
    #[must_use]
    pub fn matches(&self, path: &str, is_folder: bool) -> bool {
        let whole = self.any.is_match(path) || (is_folder && self.folders.is_match(path));
        whole
            || path.match_indices('/').any(|(at, _)| {
                let above = &path[..at];
                self.any.is_match(above) || self.folders.is_match(above)
            })
    }
}
