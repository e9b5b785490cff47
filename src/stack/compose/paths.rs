//! What a project does with paths: what containers mount, what is built, what is read.
//!
//! Only the stack's folder travels to the host. A path that leads out of it names something that
//! the host does not have; one below a mount that a container may write to is the application's
//! from its first run on.

use std::collections::HashMap;

use super::yaml::{Node, Place};
use super::{ComposeError, OnHost, invalid};

/// What stands for the folder in which Compose runs on the host (`PWD`) until that is known.
pub(super) const WORKING_FOLDER: &str = "/proc/self/cwd";

/// What stands for the home of whoever runs Compose on the host (`HOME`): the same folder by a name that no
/// file has, so that what came from it is known.
pub(super) const HOME_FOLDER: &str = "/proc/self/root/root";

/// The home of root, who runs Compose on the host.
const HOME: &str = "/root";

/// Takes `~` and `$HOME` for what they are on the host, as Compose does: `~ann/x` is `/root/ann/x` to
/// it. Whether there was one.
pub(super) fn leave_home(path: &mut String) -> bool {
    let rest = match (path.strip_prefix('~'), path.strip_prefix(HOME_FOLDER)) {
        (Some(rest), _) => rest,
        (_, Some(rest)) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return false,
    };
    let rest = rest.trim_start_matches('/');
    *path = if rest.is_empty() { HOME.to_owned() } else { format!("{HOME}/{rest}") };
    true
}

/// What lies at a path of the folder on this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// Nothing, or a path of the host's own.
    Nothing,
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// A file or folder that a service's containers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it lies: relative to the stack's folder (blank for that folder itself), or an
    /// absolute path on the host.
    pub source: String,
    /// Where containers see it.
    pub target: String,
    /// What lies there in the folder on this computer.
    pub here: Here,
    /// Whether a container may write there.
    pub writable: bool,
    /// Whether Docker makes an empty folder where there is nothing. `false` with the long form's
    /// `create_host_path: false`.
    pub created: bool,
    /// The file and line that say so.
    pub place: String,
    /// Whether it was written with `~` or `$HOME`.
    pub home: bool,
}

impl Mount {
    /// Whether this is the path of a bundle, or a folder above it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let below = || path.strip_prefix(self.source.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.source.is_empty() || self.source == path || below()
    }

    /// Whether containers may write to this path of a bundle by it.
    #[must_use]
    pub fn writes_to(&self, path: &str) -> bool {
        self.writable && self.is_inside() && self.covers(path)
    }

    /// Whether it lies in the stack's folder.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !self.source.starts_with(['/', '~'])
    }

    /// Whether a person would expect a file there, by the names on both sides.
    #[must_use]
    pub fn looks_like_a_file(&self) -> bool {
        let name = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        !self.source.ends_with('/')
            && (is_named_like_a_file(&name(&self.source)) || is_named_like_a_file(&name(&self.target)))
    }
}

/// By its extension, or as a program's one file is named.
fn is_named_like_a_file(name: &str) -> bool {
    const FILES: [&str; 10] = [
        "Caddyfile",
        "Corefile",
        "Dockerfile",
        "Makefile",
        "Procfile",
        "hosts",
        "passwd",
        "group",
        "crontab",
        ".htpasswd",
    ];
    if FILES.contains(&name) || name == ".env" || name.starts_with(".env.") {
        return true;
    }
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    // conf.d is a folder, and so is v1.2.
    !stem.is_empty()
        && extension != "d"
        && (1..=10).contains(&extension.len())
        && extension.chars().all(|c| c.is_ascii_alphanumeric())
        && extension.chars().any(|c| c.is_ascii_alphabetic())
}

/// A path as the project has it, not yet resolved.
#[derive(Clone)]
pub(super) struct PathUse {
    pub path: String,
    /// What it is for, as a person would say.
    pub role: &'static str,
    /// Whether there must be something: a service that is on reads it.
    pub required: bool,
    pub place: Place,
}

impl PathUse {
    /// As a file of the host's own.
    pub(super) fn on_host(&self) -> OnHost {
        OnHost { path: self.path.clone(), role: self.role, place: self.place.to_string(), home: false }
    }
}

/// What a path of the project leads to.
pub(super) enum Resolved {
    /// Within the stack's folder; blank for the folder itself.
    Inside(String),
    /// Out of the stack's folder.
    Outside,
    /// An absolute path, or one in a home directory, on the host.
    OnHost,
}

/// Resolves a path that counts from `base`, a folder within the stack's folder. Links are not
/// followed: on the host there is only what is sent.
pub(super) fn resolve(base: &str, path: &str) -> Resolved {
    if path.starts_with(['/', '~']) {
        return Resolved::OnHost;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Resolved::Outside;
                }
            }
            part => parts.push(part),
        }
    }
    Resolved::Inside(parts.join("/"))
}

/// The refusal of a path that leads out of the folder.
pub(super) fn outside(usage: &PathUse) -> ComposeError {
    if usage.path.starts_with(['/', '~']) {
        let what = format!(
            "the {} {} is an absolute path, and only the stack's folder is sent to the host",
            usage.role,
            usage.path.replacen(HOME_FOLDER, "$HOME", 1)
        );
        return invalid(&usage.place, what, "copy it into the folder, and write its path from there");
    }
    let what = format!(
        "the {} {} lies outside the stack's folder, and only that folder is sent to the host",
        usage.role, usage.path
    );
    let mut up =
        usage.path.split('/').take_while(|part| matches!(*part, ".." | ".")).filter(|part| *part == "..");
    let path = up.by_ref().map(|_| "..").collect::<Vec<_>>().join("/");
    let path = if path.is_empty() { ".." } else { &path };
    invalid(
        &usage.place,
        what,
        format!(
            "copy it into the folder, or send the folder above as well: `path = \"{path}\"` in [steps.stack], \
             with COMPOSE_FILE in the .env there"
        ),
    )
}

/// The bind mounts of a service, those by a volume whose driver binds a folder among them.
pub(super) fn mounts(service: &Node, bound: &Bound<'_>) -> Vec<(Mount, PathUse)> {
    let volumes = service.get("volumes").map(Node::items).unwrap_or_default();
    volumes.iter().filter_map(|volume| mount(volume, bound)).collect()
}

/// Named volumes with `driver_opts: {o: bind, device: FOLDER}`, which are bind mounts by another name,
/// and their folders.
pub(super) struct Bound<'a>(HashMap<&'a str, &'a str>);

impl<'a> Bound<'a> {
    pub fn of(root: &'a Node) -> Self {
        let device = |volume: &'a Node| {
            let options = volume.get("driver_opts")?;
            let is_bind =
                options.get("o")?.text()?.split(',').any(|option| matches!(option.trim(), "bind" | "rbind"));
            options.get("device")?.text().filter(|_| is_bind)
        };
        let volumes = root.get("volumes").map(Node::entries).unwrap_or_default().iter();
        Self(volumes.filter_map(|entry| Some((entry.key.as_str(), device(&entry.value)?))).collect())
    }
}

fn mount(volume: &Node, bound: &Bound<'_>) -> Option<(Mount, PathUse)> {
    let mut mount = match volume.text() {
        Some(text) => short(text),
        None => long(volume),
    }
    .or_else(|| named(volume, bound))?;
    mount.place = volume.place.to_string();
    let usage =
        PathUse { path: mount.source.clone(), role: "mount", required: false, place: volume.place.clone() };
    Some((mount, usage))
}

fn bind(source: &str, target: &str, writable: bool, created: bool) -> Mount {
    let (source, target) = (source.to_owned(), target.to_owned());
    Mount { source, target, here: Here::Nothing, writable, created, place: String::new(), home: false }
}

/// `SOURCE:TARGET[:OPTIONS]`, where the source is a path and not the name of a volume.
fn short(text: &str) -> Option<Mount> {
    let (source, rest) = text.split_once(':')?;
    if !source.starts_with(['.', '/', '~']) {
        return None;
    }
    let (target, options) = rest.split_once(':').unwrap_or((rest, ""));
    Some(bind(source, target, options.split(',').all(|option| option != "ro"), true))
}

fn long(volume: &Node) -> Option<Mount> {
    let text = |key: &str| volume.get(key).and_then(Node::text);
    let truth = |node: Option<&Node>| node.and_then(Node::truth);
    if text("type") != Some("bind") {
        return None;
    }
    let source = text("source").or_else(|| text("src"))?;
    let target = text("target").or_else(|| text("destination")).or_else(|| text("dst")).unwrap_or_default();
    let options = volume.get("bind");
    let created = truth(options.and_then(|bind| bind.get("create_host_path"))) != Some(false);
    let read_only = [volume.get("read_only"), volume.get("readonly")].map(truth).contains(&Some(true));
    Some(bind(source, target, !read_only, created))
}

fn named(volume: &Node, bound: &Bound<'_>) -> Option<Mount> {
    let mut parts = volume.text().unwrap_or_default().splitn(3, ':');
    let name = volume.get("source").and_then(Node::text).or_else(|| parts.next())?;
    let target = volume.get("target").and_then(Node::text).or_else(|| parts.next()).unwrap_or_default();
    let read_only = parts.next().is_some_and(|options| options.split(',').any(|option| option == "ro"))
        || volume.get("read_only").and_then(Node::truth) == Some(true);
    let device = bound.0.get(name)?;
    Some(bind(device, target, !read_only, false))
}

/// What a folder is for that an image is built from.
pub(super) const CONTEXT: &str = "build context";

/// What a service is built from: its context, its Dockerfile, further contexts.
pub(super) fn builds(service: &Node, required: bool) -> Vec<PathUse> {
    let Some(build) = service.get("build") else { return Vec::new() };
    let context = if build.text().is_some() { Some(build) } else { build.get("context") };
    let mut uses = Vec::new();
    let mut add = |path: &str, role, place: &Place| {
        if is_local(path) {
            uses.push(PathUse { path: path.to_owned(), role, required, place: place.clone() });
        }
    };
    let folder = context.and_then(Node::text).unwrap_or(".");
    let place = context.unwrap_or(build).place.clone();
    add(folder, CONTEXT, &place);
    if let Some(dockerfile) = build.get("dockerfile")
        && let Some(text) = dockerfile.text()
        && is_local(folder)
    {
        let path = if text.starts_with('/') { text.to_owned() } else { format!("{folder}/{text}") };
        add(&path, "Dockerfile", &dockerfile.place);
    }
    for entry in build.get("additional_contexts").map(Node::entries).unwrap_or_default() {
        if let Some(text) = entry.value.text() {
            add(text, CONTEXT, &entry.value.place);
        }
    }
    for item in build.get("additional_contexts").map(Node::items).unwrap_or_default() {
        if let Some((_, path)) = item.text().and_then(|text| text.split_once('=')) {
            add(path, CONTEXT, &item.place);
        }
    }
    uses
}

/// Whether a build context lies on this computer: no address, no other image or service.
pub(super) fn is_local(path: &str) -> bool {
    !path.contains("://")
        && !path.starts_with("git@")
        && !path.starts_with("github.com/")
        && !path.starts_with("service:")
}

/// What a file that is included or extended is for.
pub(super) const TAKEN_IN: &str = "Compose file";

/// The folder from which the paths of included files count.
pub(super) const BASE: &str = "project_directory";

#[cfg(test)]
mod tests;
