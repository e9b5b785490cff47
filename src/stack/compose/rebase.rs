//! Makes the paths of a Compose file count from the stack's folder, wherever the file lies.

use super::merge::{entries_mut, entry_mut, text_node};
use super::paths::{self, Resolved};
use super::yaml::{Entry, Node, Value};

/// Rewrites the paths of a file that count from `base`, a folder within the stack's folder. What
/// Compose resolves is what is rewritten here: builds, environment files, bind mounts, secrets,
/// configs, and other files that services extend.
pub(super) fn rebase(root: &mut Node, base: &str) {
    if base.is_empty() {
        return;
    }
    for kind in ["secrets", "configs"] {
        for entry in entry_mut(root, kind).map(entries_mut).unwrap_or_default() {
            at(&mut entry.value, "file", |text| joined(base, text));
        }
    }
    for entry in entry_mut(root, "volumes").map(entries_mut).unwrap_or_default() {
        let Some(options) = entry_mut(&mut entry.value, "driver_opts") else { continue };
        let binds = |text: &str| text.split(',').any(|option| matches!(option.trim(), "bind" | "rbind"));
        if options.get("o").and_then(Node::text).is_some_and(binds) {
            at(options, "device", |text| dotted(base, text));
        }
    }
    for entry in entry_mut(root, "services").map(entries_mut).unwrap_or_default() {
        service(&mut entry.value, base);
    }
}

fn service(node: &mut Node, base: &str) {
    for entry in entries_mut(node) {
        let value = &mut entry.value;
        match entry.key.as_str() {
            "env_file" | "label_file" => each(value, |item| {
                text(item, |path| joined(base, path));
                at(item, "path", |path| joined(base, path));
            }),
            "extends" => at(value, "file", |path| joined(base, path)),
            "build" => {
                text(value, |path| context(base, path));
                at(value, "context", |path| context(base, path));
                if let Some(contexts) = entry_mut(value, "additional_contexts") {
                    for entry in entries_mut(contexts) {
                        text(&mut entry.value, |path| context(base, path));
                    }
                    each(contexts, |item| {
                        text(item, |pair| match pair.split_once('=') {
                            Some((name, path)) => format!("{name}={}", context(base, path)),
                            None => pair.to_owned(),
                        });
                    });
                }
            }
            "volumes" => each(value, |item| {
                text(item, |volume| match volume.split_once(':') {
                    Some((source, rest)) if source.starts_with('.') => {
                        format!("{}:{rest}", dotted(base, source))
                    }
                    _ => volume.to_owned(),
                });
                if item.get("type").and_then(Node::text) == Some("bind") {
                    for key in ["source", "src"] {
                        at(item, key, |path| dotted(base, path));
                    }
                }
            }),
            _ => {}
        }
    }
}

/// Names the folder of builds that say none: the one from which the paths of a whole model count.
pub(super) fn name_contexts(root: &mut Node, base: &str) {
    if base.is_empty() {
        return;
    }
    for service in entry_mut(root, "services").map(entries_mut).unwrap_or_default() {
        let Some(build) = entry_mut(&mut service.value, "build") else { continue };
        let place = build.place.clone();
        if let Value::Map(entries) = &mut build.value
            && entries.iter().all(|entry| entry.key != "context")
        {
            let value = text_node(&dotted(base, "."), &place);
            entries.push(Entry { key: "context".to_owned(), place, value });
        }
    }
}

fn context(base: &str, path: &str) -> String {
    if paths::is_local(path) { dotted(base, path) } else { path.to_owned() }
}

/// A path that counts from the stack's folder; absolute ones and those of a home stay.
pub(super) fn joined(base: &str, path: &str) -> String {
    if path.is_empty() || path.starts_with(['/', '~']) {
        return path.to_owned();
    }
    match paths::resolve(base, path) {
        Resolved::Inside(inside) => inside,
        Resolved::OnHost => path.to_owned(),
        Resolved::Outside => outside(base, path),
    }
}

/// The same with `./` in front, as the source of a mount needs it.
fn dotted(base: &str, path: &str) -> String {
    let joined = joined(base, path);
    if joined.starts_with(['/', '~', '.']) || path.is_empty() { joined } else { format!("./{joined}") }
}

/// A path out of the folder: as many folders up as it leads, and what follows.
fn outside(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn text(node: &mut Node, change: impl Fn(&str) -> String) {
    if let Value::Scalar { text, .. } = &mut node.value {
        *text = change(text);
    }
}

fn at(node: &mut Node, key: &str, change: impl Fn(&str) -> String) {
    if let Some(value) = entry_mut(node, key) {
        text(value, change);
    }
}

/// One value, or each of a list.
fn each(node: &mut Node, change: impl Fn(&mut Node)) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(change),
        _ => change(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_count_from_the_folder() {
        for (base, path, plain, with_dot) in [
            ("sub", "a", "sub/a", "./sub/a"),
            ("sub", "./a/", "sub/a", "./sub/a"),
            ("sub", "../a", "a", "./a"),
            ("sub", "../../a", "../a", "../a"),
            ("sub/deep", "../../../../x/../a", "../../a", "../../a"),
            ("sub", "/a", "/a", "/a"),
            ("sub", "~/a", "~/a", "~/a"),
            ("sub", ".", "sub", "./sub"),
            ("sub", "..", "", "./"),
            ("sub", "", "", ""),
        ] {
            assert_eq!(
                (joined(base, path).as_str(), dotted(base, path).as_str()),
                (plain, with_dot),
                "{base} {path}"
            );
        }
    }
}
