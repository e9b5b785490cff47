//! Manifests by digest. What a digest names never changes, so nothing expires.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A folder of manifests; without one, nothing is kept.
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    pub fn new(folder: Option<&Path>) -> Cache {
        Cache { folder: folder.map(Path::to_path_buf) }
    }

    /// The content, when it is there and whole.
    pub fn get(&self, digest: &str) -> Option<Vec<u8>> {
        let content = fs::read(self.path(digest)?).ok()?;
        (digest_of(&content) == digest).then_some(content)
    }

    /// Keeps a content. A cache that cannot be written is no cache.
    pub fn put(&self, digest: &str, content: &[u8]) {
        let Some(path) = self.path(digest) else { return };
        if digest_of(content) != digest {
            return;
        }
        if let Some(folder) = &self.folder {
            let _ = fs::create_dir_all(folder);
        }
        // Beside first, so that nobody reads a half; `get` checks it all the same.
        let id = std::process::id();
        let beside = path.with_extension(format!("{id}.{:?}", std::thread::current().id()));
        if fs::write(&beside, content).and_then(|()| fs::rename(&beside, &path)).is_err() {
            let _ = fs::remove_file(&beside);
        }
    }

    fn path(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:")?;
        let plain = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| self.folder.as_ref().map(|f| f.join(hex)))?
    }
}

/// The digest of a content, as manifests name it.
pub(super) fn digest_of(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
