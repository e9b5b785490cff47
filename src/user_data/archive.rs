//! What stands behind the script: the settings, and where the rest comes from.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::release::Sha256;
use crate::stack::bundle::BundleFile;

const UNIT: &str = include_str!("../../scripts/first-boot.service");

/// A stack's folder that is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackArchive {
    /// Its address.
    pub url: String,
    /// The SHA-256 of what must be there.
    pub sha256: String,
}

/// All that the first boot needs to know.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// The address of the folder with the released binaries.
    pub release_url: String,
    /// The binaries' checksums.
    pub sha256: Sha256,
    /// The text of `provision.toml`.
    pub settings: String,
    /// Files that `provision.toml` names, beside it.
    pub beside: Vec<(&'static str, String)>,
    /// The stack's folder, where it is in here.
    pub stack: Vec<BundleFile>,
    /// Where the stack's folder is, when it is fetched.
    pub stack_archive: Option<StackArchive>,
}

impl Archive {
    /// The archive, the same bytes for the same content.
    pub(super) fn pack(&self) -> io::Result<Vec<u8>> {
        let mut tar = new();
        let mut release = format!("version {}\nurl {}\n", env!("CARGO_PKG_VERSION"), self.release_url);
        for (architecture, sum) in &self.sha256 {
            release.push_str(&format!("{architecture} {sum}\n"));
        }
        add(&mut tar, "release", 0o600, release.as_bytes())?;
        if let Some(StackArchive { url, sha256 }) = &self.stack_archive {
            add(&mut tar, "archive", 0o600, format!("url {url}\nsha256 {sha256}\n").as_bytes())?;
        }
        add(&mut tar, "unit", 0o644, UNIT.as_bytes())?;
        add(&mut tar, "settings/provision.toml", 0o600, self.settings.as_bytes())?;
        for (name, text) in &self.beside {
            add(&mut tar, &format!("settings/{name}"), 0o600, text.as_bytes())?;
        }
        for file in &self.stack {
            add(&mut tar, &format!("settings/stack/{}", file.path), file.mode, &file.content)?;
        }
        tar.into_inner()?.finish()
    }
}

/// A stack's folder as one file, the same bytes for the same content.
///
/// # Errors
///
/// Where a path is longer than an archive takes.
pub fn pack_stack(files: &[BundleFile]) -> io::Result<Vec<u8>> {
    let mut tar = new();
    for file in files {
        add(&mut tar, &file.path, file.mode, &file.content)?;
    }
    tar.into_inner()?.finish()
}

fn new() -> Builder<GzEncoder<Vec<u8>>> {
    Builder::new(GzEncoder::new(Vec::new(), Compression::best()))
}

fn add(tar: &mut Builder<GzEncoder<Vec<u8>>>, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    // Neither times nor owners, which would differ from one making to the next.
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, path, content)
}
