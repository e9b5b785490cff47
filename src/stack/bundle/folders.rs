//! Permissions of files and folders, as they are here: what was meant travels, what a umask gave does not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{BundleFile, ROOT};

/// A folder of a bundle. The stack's own folder is none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFolder {
    /// The path within the folder, with `/` between its parts.
    pub path: String,
    /// Permission bits, the sticky bit among them: 0o755 unless it was given others here, or settings
    /// say otherwise.
    pub mode: u32,
    /// The owner on the host: `root:root`, or `UID:GID` where settings say so.
    pub owner: String,
    /// Whether a container mounts it, or a folder above it: it is made although nothing is in it.
    pub mounted: bool,
    /// Whether images are built from it: `.dockerignore` does not keep it out.
    pub built: bool,
}

/// What a folder has on the host of which nothing else is said.
pub const PLAIN: u32 = 0o755;

impl BundleFolder {
    pub(super) fn new(path: String, mode: u32, mounted: bool, built: bool) -> Self {
        Self { path, mode, owner: ROOT.to_owned(), mounted, built }
    }

    /// Whether it is as `mkdir` makes it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.mode == PLAIN && self.owner == ROOT
    }
}

/// The permissions that everything here has by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    umask: u32,
}

impl Usual {
    /// Told from the folder itself and the Compose file, whichever lets more in: one of them may have
    /// been made private by hand.
    pub(super) fn of(root: &Path, compose: Option<&String>) -> Self {
        let bits = |path: &Path| fs::metadata(path).ok().map(|found| found.permissions().mode());
        let folder = bits(root).map_or(0o022, |mode| !mode & 0o077);
        let file = compose.and_then(|file| bits(&root.join(file)));
        // A file has no bits of its own for this: those who can read it can execute it.
        let umask = file.map_or(0o022, |mode| folder & ((!mode & 0o066) | ((!mode & 0o044) >> 2)));
        Self { umask }
    }

    /// A file that holds no secret.
    pub(super) fn file(self, mode: u32) -> u32 {
        let executable = mode & 0o111 != 0;
        let (all, plain) = if executable { (0o777, 0o755) } else { (0o666, 0o644) };
        let mode = mode & 0o777;
        // That the group may write means nothing where it is root's.
        if mode == all & !self.umask || mode & !0o020 == plain { plain } else { mode }
    }

    pub(super) fn folder(self, mode: u32) -> u32 {
        // A folder takes the bit for its group from the one that it stands in.
        let mode = mode & 0o1777;
        if mode == 0o777 & !self.umask { PLAIN } else { mode }
    }
}

/// Those folders that hold files, at any depth, and those that containers mount.
pub(super) fn needed(folders: Vec<BundleFolder>, files: &[BundleFile]) -> Vec<BundleFolder> {
    let mut holders = BTreeSet::new();
    for file in files {
        holders.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
    }
    folders.into_iter().filter(|folder| folder.mounted || holders.contains(folder.path.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_umask_gave_is_plain() {
        let given = |folder: u32, file: u32| {
            let place = tempfile::tempdir().unwrap();
            fs::write(place.path().join("compose.yaml"), "").unwrap();
            fs::set_permissions(place.path().join("compose.yaml"), fs::Permissions::from_mode(file)).unwrap();
            fs::set_permissions(place.path(), fs::Permissions::from_mode(folder)).unwrap();
            Usual::of(place.path(), Some(&"compose.yaml".to_owned()))
        };
        // The stack's folder and its Compose file; a folder and what comes of it.
        for (folder, file, here, there) in [
            (0o755, 0o644, 0o755, 0o755),
            (0o755, 0o644, 0o775, 0o775),
            (0o755, 0o644, 0o700, 0o700),
            (0o755, 0o644, 0o777, 0o777),
            (0o755, 0o644, 0o1777, 0o1777),
            (0o755, 0o644, 0o2755, 0o755),
            // Shared with a group, and kept from all others.
            (0o775, 0o664, 0o775, 0o755),
            (0o2775, 0o664, 0o2775, 0o755),
            (0o775, 0o664, 0o777, 0o777),
            (0o700, 0o600, 0o700, 0o755),
            (0o700, 0o600, 0o777, 0o777),
            (0o750, 0o640, 0o750, 0o755),
            // A disk that knows no permissions.
            (0o777, 0o777, 0o777, 0o755),
            // One of them was made private by hand.
            (0o700, 0o644, 0o700, 0o700),
            (0o755, 0o600, 0o700, 0o700),
        ] {
            assert_eq!(
                given(folder, file).folder(here),
                there,
                "{here:o} in {folder:o} beside a Compose file of {file:o}"
            );
        }
        for (folder, file, here, there) in [
            (0o755, 0o644, 0o644, 0o644),
            (0o755, 0o644, 0o755, 0o755),
            (0o755, 0o644, 0o600, 0o600),
            (0o755, 0o644, 0o666, 0o666),
            (0o755, 0o644, 0o4755, 0o755),
            (0o755, 0o644, 0o664, 0o644),
            (0o755, 0o644, 0o775, 0o755),
            (0o755, 0o644, 0o660, 0o660),
            (0o775, 0o664, 0o664, 0o644),
            (0o775, 0o664, 0o775, 0o755),
            (0o700, 0o600, 0o600, 0o644),
            (0o700, 0o600, 0o700, 0o755),
            (0o777, 0o777, 0o777, 0o755),
        ] {
            assert_eq!(given(folder, file).file(here), there, "{here:o} beside a Compose file of {file:o}");
        }
    }
}
