//! What git ignores in a folder: `.gitignore` here, below and above, `.git/info/exclude`, and the
//! person's own `core.excludesFile`. Outside a repository that is nothing.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ignore::WalkBuilder;

/// Whether a name is that of what makes its folder a repository, for the patterns of git's.
pub(super) fn is_repository(name: &OsStr) -> bool {
    name == ".git" || name == ".jj"
}

/// Whether a folder is a repository or lies in one. Elsewhere no pattern holds, and looking for some would
/// take a second walk.
pub(super) fn is_within(folder: &Path) -> bool {
    folder.ancestors().any(|above| above.join(".git").exists() || above.join(".jj").exists())
}

/// What git sees of a folder.
#[derive(Debug)]
pub(super) struct Git {
    root: PathBuf,
    /// Files and folders that no pattern names.
    visible: HashSet<PathBuf>,
    /// Files that git keeps: what a pattern says of them is of no account.
    kept: OnceCell<BTreeSet<String>>,
}

impl Git {
    /// Looks at a folder.
    pub(super) fn look(root: &Path) -> Self {
        let walk = WalkBuilder::new(root)
            .standard_filters(false)
            .parents(true)
            .git_ignore(true)
            .git_exclude(true)
            .git_global(true)
            .filter_entry(|entry| {
                entry.depth() == 0 || entry.file_name() != ".git" && entry.file_name() != "node_modules"
            })
            .build();
        let seen =
            walk.flatten().filter_map(|entry| entry.path().strip_prefix(root).ok().map(Path::to_path_buf));
        Self { root: root.to_path_buf(), visible: seen.collect(), kept: OnceCell::new() }
    }

    /// Whether it ignores a file, or a folder with all that is in it.
    pub(super) fn ignores(&self, path: &Path, is_folder: bool) -> bool {
        if self.visible.contains(path) {
            return false;
        }
        let Some(path) = path.to_str() else { return true };
        let kept = self.kept.get_or_init(|| kept(&self.root));
        match is_folder {
            false => !kept.contains(path),
            true => {
                let below = format!("{path}/");
                let from = (Bound::Included(below.as_str()), Bound::Unbounded);
                !kept.contains(path)
                    && !kept.range::<str, _>(from).next().is_some_and(|file| file.starts_with(&below))
            }
        }
    }
}

/// The files in git's index. Where there is no git, its patterns alone decide.
fn kept(root: &Path) -> BTreeSet<String> {
    let mut git = Command::new("git");
    // A hook sets these for another repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(name);
    }
    git.current_dir(root)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--recurse-submodules"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let Ok(output) = git.output() else { return BTreeSet::new() };
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect()
}
