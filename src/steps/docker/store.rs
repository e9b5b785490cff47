//! Settings that decide where Docker keeps its images, containers and volumes.

use serde_json::{Map, Value};

use super::settings;
use crate::facts::Facts;
use crate::steps::Refusal;

const DATA_ROOT: &[&str] = &["data-root"];
const DRIVER: &[&str] = &["storage-driver"];
/// <https://docs.docker.com/engine/storage/containerd/>
const IMAGE_STORE: &[&str] = &["features", "containerd-snapshotter"];

/// What `docker info` calls the driver of containerd's image store on Linux.
const OF_IMAGE_STORE: &str = "overlayfs";

/// Whether a setting is one of these: what they point to is not moved, so they are not taken back.
pub(super) fn decides(path: &[String]) -> bool {
    [DATA_ROOT, DRIVER, IMAGE_STORE].iter().any(|each| path.iter().eq(*each))
}

/// The setting with which Docker would no longer find what it has now.
pub(super) fn moved(
    wanted: &Map<String, Value>,
    present: &Map<String, Value>,
    facts: &Facts,
) -> Option<&'static str> {
    let root = |settings: &Map<String, Value>| {
        let root = value(settings, DATA_ROOT).and_then(|root| root.as_str().map(str::to_owned));
        root.map_or("/var/lib/docker".to_owned(), |root| root.trim_end_matches('/').to_owned())
    };
    // What the daemon itself says counts: newer Engines have another default.
    let driver =
        facts.docker.as_ref().map(|docker| docker.storage.as_str()).filter(|driver| !driver.is_empty());
    let is_store = driver.map(|driver| driver == OF_IMAGE_STORE);
    let differs = |path: &[&str], now: Option<Value>| {
        let now = now.or_else(|| value(present, path));
        value(wanted, path).is_some_and(|wanted| Some(wanted) != now)
    };
    match () {
        () if root(wanted) != root(present) => Some("data-root"),
        () if differs(IMAGE_STORE, is_store.map(Value::Bool)) => Some("features.containerd-snapshotter"),
        () if differs(DRIVER, driver.map(Value::from)) => Some("storage-driver"),
        () => None,
    }
}

fn value(settings: &Map<String, Value>, path: &[&str]) -> Option<Value> {
    let path: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
    settings::get(settings, &path).cloned()
}

/// Why such a setting is not changed under a Docker that is in use.
pub(super) fn refusal(setting: &str) -> Refusal {
    Refusal {
        step: "docker",
        what: format!(
            "`{setting}` decides where Docker keeps images, containers and volumes; with another value Docker \
             starts without those that it has now"
        ),
        details: Vec::new(),
        hints: vec![
            format!("leave `{setting}` out of [steps.docker.daemon]"),
            "`--force` changes it anyway; what is there now stays on the disk, and is back with the previous value"
                .into(),
        ],
        findings: Vec::new(),
    }
}
