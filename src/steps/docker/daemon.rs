//! daemon.json: merged with what stands there, never overwritten.

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{Docker, command_line, settings, store};
use crate::plan::{Change, Risk, has_password};
use crate::steps::claims::Daemon;
use crate::steps::{Claims, Model, Refusal};

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

/// Settings of which each stack may add its own: lists without an order.
const LISTS: [&str; 2] = ["insecure-registries", "registry-mirrors"];

/// The daemon when its settings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// It will be installed, and so gets our defaults too: logs that rotate, containers that outlive it.
    New,
    /// It is installed and does not run.
    Stopped,
    /// It runs, and must take the settings.
    Running,
}

/// The change that brings daemon.json to what is wanted, if it is not.
///
/// An installation that another person made gets only what the settings name. What this stack set
/// before, and no claim asks for any more, is as it was again.
pub(super) fn plan(docker: &Docker, model: &mut Model, engine: Engine) -> Result<Option<Change>, Refusal> {
    let present = present(model)?;
    let asked: Map<String, Value> = asked(docker)?.into_iter().collect();
    if !model.force {
        check_conflicts(&asked, model)?;
    }
    let mut wanted = present.clone();
    if engine == Engine::New {
        let flags = command_line::flags(&model.facts.docker_service, true);
        for (key, value) in defaults(&present, &flags) {
            wanted.entry(key).or_insert(value);
        }
    }
    take_back(&mut wanted, &asked, &model.claims);
    for (path, value) in settings::leaves(&model.claims.host.docker.daemon).chain(settings::leaves(&asked)) {
        let value = match settings::get(&wanted, &path) {
            Some(Value::Array(have)) if is_list(&path) => with(have, &value),
            _ => value,
        };
        settings::set(&mut wanted, &path, value);
    }
    let before = before(&asked, &present, &model.claims);
    model.claims.asked.docker = Daemon { daemon: asked, before };
    let starts = engine != Engine::Running || model.docker_planned || wanted != present;
    command_line::check(&wanted, &present, model, starts)?;
    if wanted == present {
        return Ok(None);
    }
    let moved = store::moved(&wanted, &present, &model.facts).filter(|_| engine != Engine::New);
    if let Some(setting) = moved.filter(|_| !model.force) {
        return Err(store::refusal(setting));
    }
    let text = serde_json::to_string_pretty(&wanted).map_err(|error| {
        Refusal::new("docker", format!("daemon.json: {error}"), "fix `daemon` in [steps.docker]")
    })?;
    // Where a proxy has a password, the file is root's alone.
    let mode = if has_password(&text) { 0o600 } else { 0o644 };
    // What its owner has closed stays closed.
    let mode = model.file(PATH).map_or(mode, |present| mode & present.mode);
    let Some(file) = crate::steps::plain_file(model, PATH, format!("{text}\n"), mode) else {
        return Ok(None);
    };
    let set: Vec<_> = wanted.keys().filter(|key| present.get(*key) != wanted.get(*key)).collect();
    let gone: Vec<_> = present.keys().filter(|key| !wanted.contains_key(*key)).collect();
    let activate = match () {
        () if engine != Engine::Running => "none",
        // What is not named any more holds until the daemon starts again.
        () if set.iter().all(|key| RELOADABLE.contains(&key.as_str())) => "reload",
        () => "restart",
    };
    // The daemon that stops lets them run, and the one that starts takes them over.
    let keeps = |settings: &Map<String, Value>| settings.get("live-restore") == Some(&Value::Bool(true));
    let live_restore = keeps(&present) && keeps(&wanted);
    let named = |names: &[&String]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let (title, reason) = match (set.as_slice(), gone.as_slice()) {
        (set, []) => (format!("set {} in daemon.json", named(set)), "it says otherwise"),
        ([], gone) => (format!("remove {} from daemon.json", named(gone)), "no stack asks for it any more"),
        (set, gone) => {
            (format!("set {} in daemon.json, and remove {}", named(set), named(gone)), "it says otherwise")
        }
    };
    let action = docker.action("daemon").with("activate", activate);
    let change = Change {
        id: "docker/daemon".into(),
        title,
        reason: match () {
            () if moved.is_some() => "Docker starts without the images and containers that it has now".into(),
            () if file.exists => reason.into(),
            () => "there is none".into(),
        },
        risks: if activate == "restart" { vec![Risk::RestartsDocker { live_restore }] } else { Vec::new() },
        undo: Some("the previous file is kept beside the run's journal".into()).filter(|_| file.exists),
        files: vec![file],
        action: match activate {
            "restart" => model.watched(action).with_unshown("back", with_bridge(&present, model)),
            _ => action,
        },
    };
    model.write(&change.files);
    Ok(Some(change))
}

/// The present settings with the address that Docker's bridge has now; blank where they say it.
fn with_bridge(present: &Map<String, Value>, model: &Model) -> String {
    let bridge = model.facts.routes.iter().find_map(|route| match route.network {
        IpNet::V4(network) if route.device == "docker0" => {
            Some(format!("{}/{}", network.hosts().next()?, network.prefix_len()))
        }
        _ => None,
    });
    let (false, Some(bridge)) = (present.contains_key("bip"), bridge) else { return String::new() };
    let mut settings = present.clone();
    settings.insert("bip".into(), bridge.into());
    Value::Object(settings).to_string()
}

fn is_list(path: &[String]) -> bool {
    matches!(path, [key] if LISTS.contains(&key.as_str()))
}

/// Two that want different values of one setting.
fn check_conflicts(asked: &Map<String, Value>, model: &Model) -> Result<(), Refusal> {
    for (name, claim) in model.claims.else_asked() {
        for (path, value) in settings::leaves(asked).filter(|(path, _)| !is_list(path)) {
            let Some(other) = settings::get(&claim.docker.daemon, &path).filter(|other| **other != value)
            else {
                continue;
            };
            let (setting, stack) = (path.join("."), model.claims.stack());
            return Err(Refusal {
                step: "docker",
                what: format!("{name} and {stack} want different values of `{setting}` in daemon.json"),
                details: vec![format!("{name}: {other}"), format!("{stack}: {value}")],
                hints: vec![
                    format!(
                        "settle on one value in [steps.docker.daemon] of both, or leave {setting} out of one"
                    ),
                    format!("`--force` sets it as {stack} wants, where {name} is to follow"),
                ],
                findings: Vec::new(),
            });
        }
    }
    Ok(())
}

/// What stands at the places of what is asked for, before provision set anything there.
fn before(asked: &Map<String, Value>, present: &Map<String, Value>, claims: &Claims) -> Map<String, Value> {
    let mut before = Map::new();
    for (path, _) in settings::leaves(asked) {
        let set_by = [&claims.recorded]
            .into_iter()
            .chain(claims.others.values())
            .find(|claim| settings::get(&claim.docker.daemon, &path).is_some());
        let stood = settings::get(set_by.map_or(present, |claim| &claim.docker.before), &path);
        if let Some(value) = stood {
            settings::set(&mut before, &path, value.clone());
        }
    }
    before
}

/// Settings that the last run made for this stack, and that no claim asks for now, are as they were before;
/// but for those that decide where Docker keeps what runs.
fn take_back(wanted: &mut Map<String, Value>, asked: &Map<String, Value>, claims: &Claims) {
    let Daemon { daemon, before } = &claims.recorded.docker;
    for (path, value) in settings::leaves(daemon).filter(|(path, _)| !store::decides(path)) {
        let still: Vec<&Value> = claims
            .else_asked()
            .map(|(_, claim)| &claim.docker.daemon)
            .chain([asked])
            .filter_map(|daemon| settings::get(daemon, &path))
            .collect();
        let stood = settings::get(before, &path).cloned();
        let now = settings::get(wanted, &path).cloned();
        match now {
            Some(Value::Array(now)) if is_list(&path) => {
                let is_of =
                    |list: &Value, item: &Value| list.as_array().is_some_and(|list| list.contains(item));
                let stays = |item: &Value| {
                    !is_of(&value, item)
                        || still.iter().any(|list| is_of(list, item))
                        || stood.as_ref().is_some_and(|list| is_of(list, item))
                };
                let left: Vec<Value> = now.into_iter().filter(stays).collect();
                match left.is_empty() && stood.is_none() {
                    true => settings::remove(wanted, &path),
                    false => settings::set(wanted, &path, Value::Array(left)),
                }
            }
            // Edited since: it stays.
            Some(now) if still.is_empty() && now == value => match stood {
                Some(stood) => settings::set(wanted, &path, stood),
                None => settings::remove(wanted, &path),
            },
            _ => {}
        }
    }
}

/// A list with what it lacks of another.
fn with(have: &[Value], more: &Value) -> Value {
    let mut all = have.to_vec();
    all.extend(more.as_array().into_iter().flatten().filter(|item| !have.contains(item)).cloned());
    Value::Array(all)
}

/// The daemon.json of the host, as the steps so far leave it.
pub(in crate::steps) fn present(model: &Model) -> Result<Map<String, Value>, Refusal> {
    let Some(file) = model.file(PATH) else { return Ok(Map::new()) };
    let unreadable = |why: String| {
        Refusal::new(
            "docker",
            format!("{PATH} on the host {why}"),
            "fix it first; provision merges into it and never guesses",
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

/// What a person should know of a daemon.json that is left as it is.
pub(super) fn remark(model: &Model) -> Option<String> {
    let present = present(model).ok()?;
    command_line::check(&present, &present, model, false).ok()?
}

fn defaults(present: &Map<String, Value>, flags: &command_line::Flags) -> Vec<(String, Value)> {
    let is_said = |key: &str| present.contains_key(key) || command_line::flag(flags, key).is_some();
    let mut defaults = Vec::new();
    if !is_said("live-restore") {
        defaults.push(("live-restore".to_owned(), json!(true)));
    }
    // Options of one log driver mean nothing to another.
    if !is_said("log-driver") && !is_said("log-opts") {
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
            Refusal::new("docker", format!("`daemon.{key}`: {error}"), "fix it in [steps.docker]")
        })?;
        asked.push((key.clone(), value));
    }
    Ok(asked)
}
