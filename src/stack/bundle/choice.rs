//! Which files of a folder are sent.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use globset::Candidate;

use super::dockerignore::DockerIgnore;
use super::git::{self, Git};
use super::left_out::Why;
use super::walk::{join, read_error};
use super::{BundleError, IGNORE_FILE, Patterns};
use crate::stack::compose::{Context, Project};

/// provision's own files, which are no part of the stack.
const OURS: [&str; 2] = [".provision*", "/provision.toml"];

/// Version control, caches, leftovers of editors and systems.
const TRIFLES: [&str; 18] = [
    ".git",
    ".hg/",
    ".svn/",
    ".jj/",
    "__pycache__/",
    "*.pyc",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".DS_Store",
    "._.DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "*~",
    "*.swp",
    "*.swo",
    "#*#",
    ".#*",
];

/// What is installed for the computer that it is on. A folder with this file in it is a virtual
/// environment of Python's.
const INSTALLED: [&str; 1] = ["node_modules/"];
const ENVIRONMENT: &str = "pyvenv.cfg";

/// What of a folder is wanted, besides what its own files say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'a> {
    /// Patterns of files that are not sent.
    pub ignore: &'a [String],
    /// Patterns of files that are sent although they would be left out by themselves.
    pub include: &'a [String],
    /// The project, which names files and folders.
    pub project: Option<&'a Project>,
    /// Whether what git ignores stays here.
    pub git: bool,
}

impl Choice<'_> {
    pub(super) fn sensitive(&self) -> &[String] {
        self.project.map_or(&[], |project| &project.sensitive)
    }
}

/// Decides for each path of a folder.
pub(super) struct Chooser<'a> {
    ours: Patterns,
    asked: Patterns,
    trifles: Patterns,
    installed: Patterns,
    include: Patterns,
    /// Folders within which `include` names something, and whether it does so wherever it is.
    included: Vec<String>,
    includes_anywhere: bool,
    named: Vec<&'a str>,
    /// Folders that images are built from, with what stays out of the build.
    contexts: Vec<(&'a str, DockerIgnore)>,
    /// What Docker itself reads of them.
    builds: BTreeSet<String>,
    /// Python's virtual environments, as the walk comes upon them.
    environments: RefCell<BTreeSet<String>>,
    /// What is known of folders that were entered: which part of the path is not sent by itself.
    littered: RefCell<HashMap<String, Option<(Why, usize)>>>,
    git: Option<Git>,
    /// Whether what git ignores stays here.
    asks_git: bool,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(dir: &Path, root: &Path, choice: &Choice<'a>) -> Result<Self, BundleError> {
        let fixed = |patterns: &'static [&'static str]| Patterns::new(patterns.iter().map(|p| ("", 0, *p)));
        let anchors: Vec<_> = choice.include.iter().map(|pattern| anchor(pattern)).collect();
        let mut chooser = Self {
            ours: fixed(&OURS)?,
            asked: asked(dir, choice.ignore)?,
            trifles: fixed(&TRIFLES)?,
            installed: fixed(&INSTALLED)?,
            include: Patterns::of_option("include", choice.include)?,
            included: anchors.iter().filter(|folder| !folder.is_empty()).cloned().collect(),
            includes_anywhere: anchors.iter().any(String::is_empty),
            named: vec![".env"],
            contexts: Vec::new(),
            builds: BTreeSet::new(),
            environments: RefCell::default(),
            littered: RefCell::default(),
            git: (choice.git && git::is_within(root)).then(|| Git::look(root)),
            asks_git: choice.git,
        };
        let Some(project) = choice.project else { return Ok(chooser) };
        chooser.named.extend(project.named.iter().map(String::as_str).filter(|path| is_inside(path)));
        for Context { folder, dockerfile } in
            project.contexts.iter().filter(|context| is_inside(&context.folder))
        {
            let usual = join(folder, "Dockerfile");
            let dockerfile = dockerfile.as_ref().unwrap_or(&usual);
            chooser.contexts.push((folder, DockerIgnore::read(root, folder, dockerfile)?));
            // What Docker reads itself is there whatever the patterns say.
            chooser.builds.extend([dockerfile.clone(), format!("{dockerfile}.dockerignore")]);
            chooser.builds.insert(join(folder, ".dockerignore"));
        }
        Ok(chooser)
    }

    /// Looks at what git ignores, where that is wanted and has not been done; whether it did.
    pub(super) fn look_at_git(&mut self, root: &Path) -> bool {
        let looks = self.asks_git && self.git.is_none();
        if looks {
            self.git = Some(Git::look(root));
        }
        looks
    }

    /// Why a folder is not entered: nothing in it can be wanted. `there` is where it really is, `real`
    /// the same within the folder.
    pub(super) fn skips(&self, path: &str, there: &Path, real: &Path) -> Option<Why> {
        // Of the folders above all this has been asked before they were entered.
        let itself = Candidate::new(path);
        if self.ours.names(&itself, true) {
            return Some(Why::Trifle);
        }
        if self.asked.names(&itself, true) {
            return Some(Why::Asked);
        }
        if there.join(ENVIRONMENT).is_file() {
            self.environments.borrow_mut().insert(path.to_owned());
        }
        let is_included =
            self.include.matches(path, true) || self.included.iter().any(|folder| is_related(folder, path));
        if let Some((why, top)) = self.litter(path, &itself, true) {
            let is_named = self.named.iter().any(|named| is_in(named, top) && is_related(named, path));
            return (!is_named && !is_included).then_some(why);
        }
        if is_included || self.includes_anywhere {
            return None;
        }
        let contexts = self.contexts.iter().map(|(folder, _)| *folder);
        let builds = self.builds.iter().map(String::as_str);
        if self.named.iter().copied().chain(contexts).chain(builds).any(|named| is_related(named, path)) {
            return None;
        }
        self.is_ignored(real, true).then_some(Why::Git)
    }

    /// Why a file stays here, or a link to a folder.
    pub(super) fn leaves(&self, path: &str, real: &Path, is_folder: bool) -> Option<Why> {
        let wants = |named: &str| is_in(path, named) || is_folder && is_in(named, path);
        let itself = Candidate::new(path);
        if self.ours.names(&itself, is_folder) {
            return Some(Why::Trifle);
        }
        if self.asked.names(&itself, is_folder) {
            return Some(Why::Asked);
        }
        if self.include.matches(path, is_folder) {
            return None;
        }
        if let Some((why, top)) = self.litter(path, &itself, is_folder) {
            let is_named = self.named.iter().any(|named| is_in(named, top) && wants(named));
            return (!is_named).then_some(why);
        }
        if self.builds.contains(path) || self.named.iter().any(|named| wants(named)) {
            return None;
        }
        let mut contexts = self.contexts.iter().filter(|(folder, _)| is_in(path, folder)).peekable();
        if contexts.peek().is_some() {
            let within = |folder: &str| path[folder.len()..].trim_start_matches('/').to_owned();
            return contexts
                .all(|(folder, ignore)| ignore.leaves_out(&within(folder)))
                .then_some(Why::Docker);
        }
        self.is_ignored(real, is_folder).then_some(Why::Git)
    }

    /// Whether a file is part of a build context, as Docker takes it.
    pub(super) fn is_built(&self, path: &str) -> bool {
        let takes = |(folder, ignore): &(&str, DockerIgnore)| {
            is_in(path, folder) && !ignore.leaves_out(path[folder.len()..].trim_start_matches('/'))
        };
        self.builds.contains(path) || self.contexts.iter().any(takes)
    }

    /// Whether git ignores something that lies here.
    pub(super) fn is_ignored(&self, real: &Path, is_folder: bool) -> bool {
        self.git.as_ref().is_some_and(|git| git.ignores(real, is_folder))
    }

    /// The topmost part of a path that is not sent by itself.
    fn litter<'p>(&self, path: &'p str, itself: &Candidate<'_>, is_folder: bool) -> Option<(Why, &'p str)> {
        let above = path.rsplit_once('/').and_then(|(folder, _)| self.litter_above(folder));
        let own = || Some((self.is_litter(path, itself, is_folder)?, path.len()));
        let (why, length) = above.or_else(own)?;
        Some((why, &path[..length]))
    }

    /// The same of a folder, by the length of that part; found once for all that lies in it.
    fn litter_above(&self, folder: &str) -> Option<(Why, usize)> {
        if let Some(known) = self.littered.borrow().get(folder) {
            return *known;
        }
        let found = self.litter(folder, &Candidate::new(folder), true).map(|(why, part)| (why, part.len()));
        self.littered.borrow_mut().insert(folder.to_owned(), found);
        found
    }

    fn is_litter(&self, path: &str, itself: &Candidate<'_>, is_folder: bool) -> Option<Why> {
        match () {
            () if self.trifles.names(itself, is_folder) => Some(Why::Trifle),
            () if self.installed.names(itself, is_folder) => Some(Why::Installed),
            () if self.environments.borrow().contains(path) => Some(Why::Installed),
            () => None,
        }
    }
}

/// Whether a path is a folder or lies in it; a blank folder is the whole.
fn is_in(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether one of two paths lies in the other.
fn is_related(one: &str, other: &str) -> bool {
    is_in(one, other) || is_in(other, one)
}

/// The folder below which a pattern counts; blank where that is everywhere.
fn anchor(pattern: &str) -> String {
    let pattern = pattern.trim();
    let bare = pattern.strip_suffix('/').unwrap_or(pattern);
    if !bare.contains('/') {
        return String::new();
    }
    let parts = bare.split('/').filter(|part| !matches!(*part, "" | "."));
    let plain: Vec<_> = parts.take_while(|part| !part.contains(['*', '?', '[', '{', '\\'])).collect();
    plain.join("/")
}

fn is_inside(path: &str) -> bool {
    !path.starts_with(['/', '~'])
}

/// The patterns of the settings and of the folder's own file.
fn asked(dir: &Path, ignore: &[String]) -> Result<Patterns, BundleError> {
    let listed = dir.join(IGNORE_FILE);
    let text = match fs::read_to_string(&listed) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(read_error(&listed, error)),
    };
    let given = ignore.iter().enumerate().map(|(at, p)| ("ignore", at + 1, p.as_str()));
    let lines = text.lines().enumerate().map(|(at, line)| (IGNORE_FILE, at + 1, line));
    Patterns::new(given.chain(lines))
}
