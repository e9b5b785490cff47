//! Which run was on which host: what `provision show RUN` needs to know.

use std::io::Write;
use std::path::PathBuf;

fn file() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))?;
    Some(base.join("provision/runs"))
}

/// Writes down a run's host. It is a convenience: that it fails stops nothing.
pub(super) fn remember(run: &str, host: &str) {
    if let Some(path) = file()
        && lookup(run).is_none()
        && let Some(folder) = path.parent()
        && std::fs::create_dir_all(folder).is_ok()
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(&path)
    {
        let _ = writeln!(file, "{run} {host}");
    }
}

/// The host of a run that was started or listed from here.
pub(super) fn lookup(run: &str) -> Option<String> {
    let text = std::fs::read_to_string(file()?).ok()?;
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(id, _)| *id == run)
        .map(|(_, host)| host.to_owned())
}
