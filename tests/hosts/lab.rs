//! Hosts of the lab, and a person's folder from which they are provisioned.

mod folder;
mod host;
mod layers;
pub mod times;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use folder::{Did, Folder, SETTINGS, ids};
pub use host::Host;
pub use layers::{Layer, PREFECT_SETTINGS};
use times::{Doing, doing};

/// Why there is no lab here; none when there is one.
pub fn missing() -> Option<String> {
    if let Ok(reason) = std::env::var("PROVISION_NO_STORIES") {
        return Some(reason);
    }
    match Command::new(script("host")).arg("kinds").output() {
        Err(error) => Some(format!("scripts/lab/host does not start: {error}")),
        Ok(_) if !state().join("layers").is_dir() => {
            Some("the lab is not built; `scripts/lab/setup` does it, as root".into())
        }
        Ok(output) if !output.status.success() => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Ok(_) => None,
    }
}

fn state() -> PathBuf {
    std::env::var_os("PROVISION_LAB").map_or_else(|| "/var/lib/provision-lab".into(), PathBuf::from)
}

/// A program of the lab.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab").join(name)
}

/// The lab's ssh configuration.
pub fn ssh_config() -> PathBuf {
    state().join("ssh/config")
}

/// What takes long to make, and goes from one story to the next. A story that has it holds this,
/// so that another one waits.
pub struct HandedOn<T>(Mutex<Option<T>>);

impl<T> HandedOn<T> {
    /// Nothing yet.
    pub const fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    /// What was handed on, and where to put it for the next.
    pub fn hold(&self) -> MutexGuard<'_, Option<T>> {
        // What a story had that failed is gone.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longer than anything takes, on a machine however busy: what has not come about by then never will.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Waits until something holds, or fails the test. How long is no matter: a busy machine is slow.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    doing(Doing::Waiting, || {
        while !holds() {
            assert!(started.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(100));
        }
    });
}
