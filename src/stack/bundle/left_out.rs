//! What of a folder stays here, and what of it is the largest.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use walkdir::WalkDir;

use crate::text::bytes;

/// How many files of a folder that stays here are counted.
const COUNTED: u64 = 20_000;

/// Why a file stays here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is provision's own, version control's, or an editor's: not worth a word.
    Trifle,
    /// A pattern of the settings or of `.provisionignore`.
    Asked,
    /// It is installed for this computer: `node_modules`, a virtual environment.
    Installed,
    /// Git ignores it.
    Git,
    /// `.dockerignore` keeps it from the build, and nothing else names it.
    Docker,
}

/// What stays here, grouped by the folder of which nothing is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(Vec<Group>);

/// A file, or a folder of which nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its path; a folder ends in `/`.
    pub path: String,
    /// Why, where it is the same for all that is in it.
    pub why: Option<Why>,
    size: Size,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub files: u64,
    pub bytes: u64,
    /// Whether there is more that was not counted.
    pub is_least: bool,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.files = self.files.saturating_add(other.files);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.is_least |= other.is_least;
    }

    /// `12 files, 3.4 MB`.
    fn phrase(self, is_folder: bool) -> String {
        let least = if self.is_least { "more than " } else { "" };
        let size = format!("{least}{}", bytes(self.bytes));
        match (is_folder, self.files) {
            (false, _) => size,
            (true, 1) => format!("1 file, {size}"),
            (true, files) => format!("{least}{files} files, {size}"),
        }
    }
}

/// What is found to stay here, as the walk comes upon it.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<String, (Size, Why)>);

impl Found {
    pub(super) fn file(&mut self, path: String, bytes: u64, why: Why) {
        self.0.insert(path, (Size { files: 1, bytes, is_least: false }, why));
    }

    /// A folder that the walk does not enter.
    pub(super) fn folder(&mut self, path: &str, there: &Path, why: Why) {
        let size = if why == Why::Trifle { Size::default() } else { measure(there) };
        self.0.insert(format!("{path}/"), (size, why));
    }

    /// Groups it by the topmost folder of which nothing is sent.
    pub(super) fn group<T>(self, sent: &BTreeMap<String, T>) -> LeftOut {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let worth_a_word =
            self.0.into_iter().filter(|(_, (size, why))| *why != Why::Trifle && size.files > 0);
        for (path, (size, why)) in worth_a_word {
            let mut above = path.match_indices('/').map(|(at, _)| &path[..=at]);
            let key = above.find(|folder| !has_below(sent, folder)).unwrap_or(&path).to_owned();
            let group = groups.entry(key.clone()).or_insert_with(|| Group {
                path: key,
                why: Some(why),
                size: Size::default(),
            });
            group.why = group.why.filter(|known| *known == why);
            group.size.add(size);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse((group.size.bytes, group.size.files)));
        LeftOut(groups)
    }
}

fn has_below<T>(sent: &BTreeMap<String, T>, folder: &str) -> bool {
    let from = (Bound::Included(folder), Bound::Unbounded);
    sent.range::<str, _>(from).next().is_some_and(|(path, _)| path.starts_with(folder))
}

/// What a folder holds. What cannot be read of it stays here anyway.
fn measure(folder: &Path) -> Size {
    let mut size = Size::default();
    for entry in WalkDir::new(folder).into_iter().flatten().filter(|entry| !entry.file_type().is_dir()) {
        if size.files == COUNTED {
            size.is_least = true;
            break;
        }
        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
        size.add(Size { files: 1, bytes, is_least: false });
    }
    size
}

impl LeftOut {
    /// What stays here, the largest first.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.0
    }

    /// The group that holds a path.
    #[must_use]
    pub fn of(&self, path: &str) -> Option<&Group> {
        self.0
            .iter()
            .find(|group| group.path == path || group.path.ends_with('/') && path.starts_with(&group.path))
    }

    /// All of it in one line, the largest by name.
    #[must_use]
    pub fn phrase(&self) -> Option<String> {
        const NAMED: usize = 3;
        let named = self.0.iter().take(NAMED).map(|group| {
            let why = group.why.and_then(Why::phrase).map(|why| format!(", {why}")).unwrap_or_default();
            format!("{} ({}{why})", group.path, group.size.phrase(group.path.ends_with('/')))
        });
        let named: Vec<_> = named.collect();
        let mut rest = Size::default();
        self.0.iter().skip(NAMED).for_each(|group| rest.add(group.size));
        match (named.is_empty(), rest.files) {
            (true, _) => None,
            (_, 0) => Some(format!("left out: {}", named.join(", "))),
            (_, 1) => {
                Some(format!("left out: {} and 1 more file ({})", named.join(", "), rest.phrase(false)))
            }
            (_, files) => {
                let least = if rest.is_least { "more than " } else { "" };
                Some(format!(
                    "left out: {} and {least}{files} more files ({})",
                    named.join(", "),
                    rest.phrase(false)
                ))
            }
        }
    }
}

impl Why {
    fn phrase(self) -> Option<&'static str> {
        match self {
            Self::Trifle | Self::Installed => None,
            Self::Asked => Some("ignored by your settings"),
            Self::Git => Some("ignored by git"),
            Self::Docker => Some("in .dockerignore"),
        }
    }
}

/// The files and folders that weigh most: of a folder, the part of it that holds most of that weight.
pub(super) fn largest<'a>(files: impl Iterator<Item = (&'a str, u64)>, by_count: bool) -> Vec<String> {
    let mut folders: BTreeMap<String, Size> = BTreeMap::new();
    for (path, bytes) in files {
        let size = Size { files: 1, bytes, is_least: false };
        let above = path.match_indices('/').map(|(at, _)| &path[..=at]);
        for key in above.chain([path]) {
            folders.entry(key.to_owned()).or_default().add(size);
        }
    }
    let weight = |size: &Size| if by_count { size.files } else { size.bytes };
    let mut tops: Vec<_> = parts(&folders, "").collect();
    tops.sort_by_key(|(_, size)| std::cmp::Reverse(weight(size)));
    let shown = tops.into_iter().take(3).map(|(top, size)| {
        let (mut path, mut size) = (top, size);
        while let Some((heavy, part)) = parts(&folders, path).max_by_key(|(_, part)| weight(part)) {
            if weight(part) * 10 < weight(size) * 9 || by_count && !heavy.ends_with('/') {
                break;
            }
            (path, size) = (heavy, part);
        }
        format!("{path} ({})", size.phrase(path.ends_with('/')))
    });
    shown.collect()
}

/// What stands in a folder itself. A file has no parts.
fn parts<'m>(all: &'m BTreeMap<String, Size>, folder: &'m str) -> impl Iterator<Item = (&'m str, &'m Size)> {
    let is_file = !folder.is_empty() && !folder.ends_with('/');
    let from = (Bound::Excluded(folder), Bound::Unbounded);
    let below = all.range::<str, _>(from).take_while(move |(path, _)| !is_file && path.starts_with(folder));
    below
        .filter(move |(path, _)| !path[folder.len()..].trim_end_matches('/').contains('/'))
        .map(|(path, size)| (path.as_str(), size))
}
