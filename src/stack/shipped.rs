//! The Compose projects that ship, each a folder beside the playbook of its name.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use include_dir::{Dir, include_dir};

static PLAYBOOKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/playbooks");

/// Whether a Compose project ships with the playbook of that name.
pub fn has(playbook: &str) -> bool {
    PLAYBOOKS.get_dir(playbook).is_some()
}

/// Writes the Compose project of a playbook into a folder, which is made.
///
/// # Errors
///
/// Where the folder or a file cannot be written; `NotFound` where none ships.
pub fn write(playbook: &str, folder: &Path) -> io::Result<()> {
    let dir = PLAYBOOKS.get_dir(playbook).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    write_dir(dir, dir.path(), folder)
}

fn write_dir(dir: &Dir<'_>, root: &Path, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for file in dir.files() {
        let path = file.path().strip_prefix(root).unwrap_or(file.path());
        let path = folder.join(path);
        std::fs::write(&path, file.contents())?;
        // What is a program may be executed; the binary holds no permission bits.
        if file.contents().starts_with(b"#!") {
            std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        }
    }
    for below in dir.dirs() {
        let path = below.path().strip_prefix(root).unwrap_or(below.path());
        std::fs::create_dir_all(folder.join(path))?;
        write_dir(below, root, folder)?;
    }
    Ok(())
}
