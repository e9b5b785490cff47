//! daemon.json: merged with what stands there, never overwritten.

use serde_json::{Map, Value, json};

use super::Docker;
use crate::plan::{Change, Risk};
use crate::steps::{Model, Refusal};

/// Where the daemon reads it.
pub(super) const PATH: &str = "/etc/docker/daemon.json";

/// Settings that the daemon takes without a restart:
/// <https://docs.docker.com/reference/cli/dockerd/#configuration-reload-behavior>
const RELOADABLE: [&str; 11] = [
    "debug",
    "labels",
    "live-restore",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "default-runtime",
    "runtimes",
    "insecure-registries",
    "registry-mirrors",
    "shutdown-timeout",
];

/// The change that brings daemon.json to what is wanted, if it is not.
///
/// With `fresh` our defaults go in as well where nothing is said: logs that
/// rotate, containers that outlive the daemon. An installation that somebody
/// else made gets only what the settings name.
pub(super) fn plan(docker: &Docker, model: &mut Model, fresh: bool) -> Result<Option<Change>, Refusal> {
    let present = present(model)?;
    let mut wanted = present.clone();
    if fresh {
        for (key, value) in defaults(&present) {
            wanted.entry(key).or_insert(value);
        }
    }
    for (key, value) in asked(docker)? {
        merge(&mut wanted, key, value);
    }
    if wanted == present {
        return Ok(None);
    }
    let text = serde_json::to_string_pretty(&wanted).map_err(|error| {
        Refusal::new("docker", format!("daemon.json: {error}"), "mend `daemon` in [steps.docker]")
    })?;
    let Some(file) = crate::steps::text_file(model, PATH, format!("{text}\n")) else { return Ok(None) };
    let changed: Vec<_> = wanted.iter().filter(|(key, value)| present.get(*key) != Some(value)).collect();
    let activate = match () {
        () if fresh => "none",
        () if changed.iter().all(|(key, _)| RELOADABLE.contains(&key.as_str())) => "reload",
        () => "restart",
    };
    let live_restore = present.get("live-restore") == Some(&Value::Bool(true));
    let names: Vec<_> = changed.iter().map(|(key, _)| key.as_str()).collect();
    let change = Change {
        id: "docker/daemon".into(),
        title: format!("set {} in daemon.json", names.join(", ")),
        reason: if file.exists { "it says otherwise".into() } else { "there is none".into() },
        risks: if activate == "restart" { vec![Risk::RestartsDocker { live_restore }] } else { Vec::new() },
        undo: Some("the former file is kept beside the run's journal".into()).filter(|_| file.exists),
        files: vec![file],
        action: docker.action("daemon").with("activate", activate),
    };
    model.write(&change.files);
    Ok(Some(change))
}

/// A setting of the host's daemon.json that is text, as far as it can be read.
pub(super) fn setting(model: &Model, key: &str) -> Option<String> {
    present(model).ok()?.get(key)?.as_str().map(str::to_owned)
}

fn present(model: &Model) -> Result<Map<String, Value>, Refusal> {
    let Some(file) = model.file(PATH) else { return Ok(Map::new()) };
    let unreadable = |why: String| {
        Refusal::new(
            "docker",
            format!("{PATH} on the host {why}"),
            "mend it first; provision merges into it and never guesses",
        )
    };
    let text = file.content.as_deref().ok_or_else(|| unreadable("is too large to be read".into()))?;
    // The daemon reads past a byte order mark, which editors on Windows write.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(unreadable("is no JSON object".into())),
        Err(error) => Err(unreadable(format!("is no valid JSON: {error}"))),
    }
}

fn defaults(present: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut defaults = vec![("live-restore".to_owned(), json!(true))];
    // Options of one log driver mean nothing to another.
    if !present.contains_key("log-driver") && !present.contains_key("log-opts") {
        // The default driver never rotates and fills the disk.
        defaults.push(("log-driver".to_owned(), json!("local")));
        defaults.push(("log-opts".to_owned(), json!({"max-size": "10m", "max-file": "3"})));
    }
    defaults
}

/// What the settings name.
fn asked(docker: &Docker) -> Result<Vec<(String, Value)>, Refusal> {
    let options = &docker.options;
    let mut asked = Vec::new();
    if !options.registry_mirrors.is_empty() {
        asked.push(("registry-mirrors".to_owned(), json!(options.registry_mirrors)));
    }
    if let Some(proxy) = &options.proxy {
        let proxies = json!({"http-proxy": proxy, "https-proxy": proxy, "no-proxy": "localhost,127.0.0.0/8"});
        asked.push(("proxies".to_owned(), proxies));
    }
    for (key, value) in &options.daemon {
        let value = serde_json::to_value(value).map_err(|error| {
            Refusal::new("docker", format!("`daemon.{key}`: {error}"), "mend it in [steps.docker]")
        })?;
        asked.push((key.clone(), value));
    }
    Ok(asked)
}

/// Tables are merged key by key, everything else is replaced.
fn merge(into: &mut Map<String, Value>, key: String, value: Value) {
    match (into.get_mut(&key), value) {
        (Some(Value::Object(have)), Value::Object(new)) => {
            for (key, value) in new {
                merge(have, key, value);
            }
        }
        (_, value) => {
            into.insert(key, value);
        }
    }
}
