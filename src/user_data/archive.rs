//! What stands behind the script: the settings, and where the rest comes from.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::release::Sha256;
use crate::stack::bundle::{BundleFile, BundleFolder};

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
    /// The folders in it, which keep their permissions.
    pub stack_folders: Vec<BundleFolder>,
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
        if !self.stack.is_empty() {
            add_folder(&mut tar, "settings/stack", 0o755)?;
        }
        add_stack(&mut tar, "settings/stack/", &self.stack, &self.stack_folders)?;
        tar.into_inner()?.finish()
    }
}

/// A stack's folder as one file, the same bytes for the same content.
///
/// # Errors
///
/// Where a path is longer than an archive takes.
pub fn pack_stack(files: &[BundleFile], folders: &[BundleFolder]) -> io::Result<Vec<u8>> {
    let mut tar = new();
    add_stack(&mut tar, "", files, folders)?;
    tar.into_inner()?.finish()
}

type Tar = Builder<GzEncoder<Vec<u8>>>;

/// Folders first: the server makes those that are not named for itself alone.
fn add_stack(tar: &mut Tar, prefix: &str, files: &[BundleFile], folders: &[BundleFolder]) -> io::Result<()> {
    for folder in folders {
        add_folder(tar, &format!("{prefix}{}", folder.path), folder.mode)?;
    }
    for file in files {
        add(tar, &format!("{prefix}{}", file.path), file.mode, &file.content)?;
    }
    Ok(())
}

fn add_folder(tar: &mut Tar, path: &str, mode: u32) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_size(0);
    header.set_mode(mode);
    tar.append_data(&mut header, format!("{path}/"), io::empty())
}

fn new() -> Tar {
    Builder::new(GzEncoder::new(Vec::new(), Compression::best()))
}

fn add(tar: &mut Tar, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
    // Neither times nor owners, which would differ from one making to the next.
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    tar.append_data(&mut header, path, content)
}
