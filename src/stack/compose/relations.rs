//! What holds between the parts of a project, and the forms of values that Compose takes apart.

use std::collections::{HashMap, HashSet};

use super::read::Read;
use super::shell_words::is_command_line;
use super::yaml::{Node, Place};
use super::{ComposeError, invalid, ports, words};

/// Checks what a merged file declares, and what services that are on refer to.
pub(super) fn check(root: &Node, read: &Read) -> Result<(), ComposeError> {
    for kind in ["secrets", "configs"] {
        for entry in entries(root, kind) {
            source(kind, &entry.key, &entry.value)?;
        }
    }
    for entry in entries(root, "volumes") {
        external(&entry.key, &entry.value)?;
    }
    for entry in entries(root, "services") {
        forms(&entry.key, &entry.value)?;
    }
    let declared = Declared::of(root);
    let on =
        entries(root, "services").iter().zip(&read.services).filter(|(_, placed)| placed.service.enabled);
    for (entry, _) in on {
        service(&entry.key, &entry.value, &declared)?;
    }
    Ok(())
}

/// The names that each section declares: each use of one is looked up.
struct Declared<'a>(HashMap<&'static str, HashSet<&'a str>>);

impl<'a> Declared<'a> {
    fn of(root: &'a Node) -> Self {
        let names = |kind| entries(root, kind).iter().map(|entry| entry.key.as_str()).collect();
        Self(["networks", "volumes", "secrets", "configs"].map(|kind| (kind, names(kind))).into())
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.0.get(kind).is_some_and(|names| names.contains(name))
    }
}

fn entries<'a>(root: &'a Node, key: &str) -> &'a [super::yaml::Entry] {
    root.get(key).map(Node::entries).unwrap_or_default()
}

/// A secret or config comes from one place.
fn source(kind: &str, name: &str, node: &Node) -> Result<(), ComposeError> {
    let all: &[&str] =
        if kind == "secrets" { &["file", "environment"] } else { &["file", "environment", "content"] };
    let given = all.iter().filter(|key| node.get(key).is_some()).count();
    let what = kind.trim_end_matches('s');
    match given {
        1 => Ok(()),
        0 if node.get("driver").is_some() || node.get("external").is_some() => Ok(()),
        0 => {
            let said = format!("the {what} {name:?} does not say where it comes from");
            Err(invalid(&node.place, said, format!("give it one of {}, or `external: true`", list(all))))
        }
        _ => {
            let said = format!("the {what} {name:?} comes from more than one place");
            Err(invalid(&node.place, said, format!("keep one of {}", list(all))))
        }
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// An external volume has a name and nothing else.
fn external(name: &str, node: &Node) -> Result<(), ComposeError> {
    let is_external =
        node.get("external").is_some_and(|external| external.is_map() || external.truth() == Some(true));
    let other = node
        .entries()
        .iter()
        .find(|entry| !matches!(entry.key.as_str(), "external" | "name") && !entry.key.starts_with("x-"));
    match other.filter(|_| is_external) {
        Some(entry) => {
            let what = format!("the volume {name:?} is external and has `{}` as well", entry.key);
            Err(invalid(
                &entry.place,
                what,
                "keep one of them: Compose does not change what it does not make",
            ))
        }
        None => Ok(()),
    }
}

/// What a service that is on refers to.
fn service(name: &str, node: &Node, declared: &Declared<'_>) -> Result<(), ComposeError> {
    networks(name, node, declared)?;
    for volume in node.get("volumes").map(Node::items).unwrap_or_default() {
        if let Some(used) = volume_of(volume)
            && !declared.has("volumes", used)
        {
            return Err(undeclared(name, "volume", "volumes", used, &volume.place));
        }
    }
    for kind in ["secrets", "configs"] {
        given(name, kind, node.get(kind), declared)?;
    }
    build(name, node, declared)?;
    healthcheck(name, node)?;
    limits(name, node)?;
    mounted_once(name, node)?;
    words::check(name, node)
}

/// Checks a file that is read for one of its services alone: Compose takes apart the ports and volumes
/// of all of them, and nothing else.
pub(super) fn check_taken_apart(root: &Node) -> Result<(), ComposeError> {
    for entry in entries(root, "services") {
        for port in entry.value.get("ports").map(Node::items).unwrap_or_default() {
            ports::port(port)?;
        }
        for volume in entry.value.get("volumes").map(Node::items).unwrap_or_default() {
            volume_form(&entry.key, volume)?;
        }
    }
    Ok(())
}

/// The values that Compose takes apart in every service, also in one that is off.
fn forms(name: &str, node: &Node) -> Result<(), ComposeError> {
    for volume in node.get("volumes").map(Node::items).unwrap_or_default() {
        volume_form(name, volume)?;
    }
    for key in ["command", "entrypoint"] {
        if let Some(command) = node.get(key)
            && let Some(text) = command.text()
            && !is_command_line(text)
        {
            let what = format!(
                "the `{key}` of service {name:?} cannot be taken apart: a quote or bracket stays open"
            );
            return Err(invalid(&command.place, what, "close it, or write the words as a list"));
        }
    }
    for host in node.get("extra_hosts").map(Node::items).unwrap_or_default() {
        let text = host.text().unwrap_or_default();
        let (host_name, _) = text.split_once(['=', ':']).unwrap_or_default();
        if host_name.is_empty() {
            let what = format!("the host {text:?} of service {name:?} has no address");
            return Err(invalid(&host.place, what, "write NAME=ADDRESS"));
        }
    }
    Ok(())
}

fn networks(name: &str, node: &Node, declared: &Declared<'_>) -> Result<(), ComposeError> {
    let Some(networks) = node.get("networks") else { return Ok(()) };
    let used: Vec<(&str, &Place)> = match networks.is_map() {
        true => networks.entries().iter().map(|entry| (entry.key.as_str(), &entry.place)).collect(),
        false => networks.items().iter().filter_map(|item| Some((item.text()?, &item.place))).collect(),
    };
    let mode = node.get("network_mode").filter(|mode| mode.text() != Some(""));
    if let (Some(mode), false) = (mode, used.is_empty()) {
        let what = format!("service {name:?} has a `network_mode` and `networks`");
        return Err(invalid(&mode.place, what, "keep one of them"));
    }
    for (used, place) in used {
        if used != "default" && !declared.has("networks", used) {
            return Err(undeclared(name, "network", "networks", used, place));
        }
    }
    Ok(())
}

fn undeclared(service: &str, kind: &str, section: &str, name: &str, place: &Place) -> ComposeError {
    let what = format!("service {service:?} uses the {kind} {name:?}, which is not declared");
    invalid(
        place,
        what,
        format!("add `{name}:` under `{section}:` at the end of the file, or correct the name"),
    )
}

fn volume_form(service: &str, volume: &Node) -> Result<(), ComposeError> {
    if let Some(text) = volume.text() {
        let parts: Vec<&str> = text.split(':').collect();
        if text.is_empty() || parts.len() > 1 && parts.iter().any(|part| part.is_empty()) {
            let what = format!("the volume {text:?} of service {service:?} has a blank part");
            let remedy = "write SOURCE:TARGET; a variable in it may have no value in .env";
            return Err(invalid(&volume.place, what, remedy));
        }
        if parts.len() > 3 {
            let what = format!("the volume {text:?} of service {service:?} has too many colons");
            return Err(invalid(&volume.place, what, "write SOURCE:TARGET, or SOURCE:TARGET:OPTIONS"));
        }
        return Ok(());
    }
    let text = |key: &str| volume.get(key).and_then(Node::text);
    if text("type") == Some("bind") && text("source").is_none_or(str::is_empty) {
        let what = format!("a bind mount of service {service:?} has no `source`");
        return Err(invalid(&volume.place, what, "name the file or folder"));
    }
    if text("target").is_none_or(str::is_empty) {
        let what = format!("a volume of service {service:?} has no `target`");
        return Err(invalid(&volume.place, what, "say where containers see it"));
    }
    Ok(())
}

/// The name of the volume that is mounted; none where it is a path, or has no name.
fn volume_of(volume: &Node) -> Option<&str> {
    let text = |key: &str| volume.get(key).and_then(Node::text);
    match volume.text() {
        Some(text) => {
            let (source, _) = text.split_once(':')?;
            (!source.starts_with(['.', '/', '~', '\\'])).then_some(source)
        }
        None => text("source").filter(|source| text("type") == Some("volume") && !source.is_empty()),
    }
}

fn given(name: &str, kind: &str, list: Option<&Node>, declared: &Declared<'_>) -> Result<(), ComposeError> {
    for item in list.map(Node::items).unwrap_or_default() {
        let Some(source) = item.get("source").unwrap_or(item).text() else {
            let what = format!("an item of `{kind}` of service {name:?} has no `source`");
            return Err(invalid(&item.place, what, "name it"));
        };
        if !declared.has(kind, source) {
            return Err(undeclared(name, kind.trim_end_matches('s'), kind, source, &item.place));
        }
    }
    Ok(())
}

fn build(name: &str, node: &Node, declared: &Declared<'_>) -> Result<(), ComposeError> {
    let Some(build) = node.get("build") else { return Ok(()) };
    given(name, "secrets", build.get("secrets"), declared)?;
    let has = |key: &str| build.get(key).and_then(Node::text).is_some_and(|text| !text.is_empty());
    if has("dockerfile") && has("dockerfile_inline") {
        let what = format!("the build of service {name:?} has a `dockerfile` and a `dockerfile_inline`");
        return Err(invalid(&build.place, what, "keep one of them"));
    }
    let platform = node.get("platform").and_then(Node::text).filter(|platform| !platform.is_empty());
    let platforms = build.get("platforms").map(Node::items).unwrap_or_default();
    if let Some(platform) = platform
        && !platforms.is_empty()
        && !platforms.iter().any(|each| each.text() == Some(platform))
    {
        let what = format!("the build of service {name:?} is not for its `platform` {platform}");
        return Err(invalid(&build.place, what, "add it to `platforms`"));
    }
    Ok(())
}

fn healthcheck(name: &str, node: &Node) -> Result<(), ComposeError> {
    let Some(test) = node.get("healthcheck").and_then(|check| check.get("test")) else { return Ok(()) };
    match test.items().first() {
        Some(first) if !matches!(first.text(), Some("CMD" | "CMD-SHELL" | "NONE")) => {
            let what = format!(
                "the health check of service {name:?} begins with {:?}",
                first.text().unwrap_or_default()
            );
            Err(invalid(&first.place, what, "begin the list with CMD, CMD-SHELL or NONE"))
        }
        _ => Ok(()),
    }
}

/// A limit that is given in two places has to be the same in both.
fn limits(name: &str, node: &Node) -> Result<(), ComposeError> {
    let resources = node.get("deploy").and_then(|deploy| deploy.get("resources"));
    for (key, part, other) in [
        ("cpus", "limits", "cpus"),
        ("mem_limit", "limits", "memory"),
        ("mem_reservation", "reservations", "memory"),
        ("pids_limit", "limits", "pids"),
    ] {
        let Some(short) = node.get(key) else { continue };
        let Some(part_node) = resources.and_then(|resources| resources.get(part)) else { continue };
        let amount = |node: Option<&Node>| node.and_then(Node::text).map_or(Some(0.0), amount);
        let (short_amount, long_amount) = (amount(Some(short)), amount(part_node.get(other)));
        if short_amount != Some(0.0) && short_amount != long_amount {
            let what =
                format!("service {name:?} has a `{key}` and another `deploy.resources.{part}.{other}`");
            return Err(invalid(&short.place, what, "keep one of them"));
        }
    }
    Ok(())
}

/// A number with a unit of bytes, or without one.
fn amount(text: &str) -> Option<f64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = text[number.len()..].trim().to_ascii_lowercase();
    let factor =
        ["k", "m", "g", "t", "p"].iter().position(|each| unit.starts_with(each)).map_or(0, |at| at + 1);
    Some(number.parse::<f64>().ok()? * 1024_f64.powi(i32::try_from(factor).unwrap_or(0)))
}

/// No two mounts at the same place.
fn mounted_once(name: &str, node: &Node) -> Result<(), ComposeError> {
    let mut taken: HashMap<String, &Place> = HashMap::new();
    let tmpfs = node.get("tmpfs").map(Node::each).unwrap_or_default().iter();
    let volumes = node.get("volumes").map(Node::items).unwrap_or_default();
    let targets = tmpfs.filter_map(|node| Some((node, node.text()?.split(':').next()?.to_owned()))).chain(
        volumes.iter().filter_map(|node| match node.text() {
            Some(text) => {
                let mut parts = text.split(':');
                let first = parts.next()?;
                Some((node, parts.next().unwrap_or(first).to_owned()))
            }
            None => Some((node, node.get("target")?.text()?.to_owned())),
        }),
    );
    for (node, target) in targets {
        let target = match target.trim_end_matches('/') {
            "" => "/".to_owned(),
            plain => plain.to_owned(),
        };
        if let Some(first) = taken.insert(target.clone(), &node.place) {
            let what = format!("service {name:?} mounts two things at {target}, the other one at {first}");
            return Err(invalid(&node.place, what, "mount one of them elsewhere"));
        }
    }
    Ok(())
}
