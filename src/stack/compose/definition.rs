//! A hash of a service's definition. Compose recreates the containers when the definition changes.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::dotenv::Environment;
use super::yaml::{Node, Value};
use crate::digest::hex;

/// Keys of a service that Compose ignores when it compares (`ServiceHash` in compose's
/// `pkg/compose/hash.go`). It ignores `build` too, but a different build gives a different image.
const NOT_COMPARED: [&str; 4] = ["depends_on", "profiles", "pull_policy", "scale"];

/// Top-level sections that services refer to.
const KINDS: [&str; 4] = ["networks", "volumes", "secrets", "configs"];

/// The declarations of a project, by section and name.
pub(super) struct Declared<'a>(HashMap<(&'static str, &'a str), &'a Node>);

impl<'a> Declared<'a> {
    pub fn of(root: &'a Node) -> Self {
        let of_kind = |kind| {
            let entries = root.get(kind).map(Node::entries).unwrap_or_default();
            entries.iter().map(move |entry| ((kind, entry.key.as_str()), &entry.value))
        };
        Self(KINDS.into_iter().flat_map(of_kind).collect())
    }
}

/// The hash of a service in the merged tree, with the networks, volumes, secrets and configs that it uses.
pub(super) fn definition(service: &Node, declared: &Declared<'_>, env: &Environment) -> String {
    let mut hash = Sha256::new();
    for entry in sorted(service) {
        match entry.0 {
            key if NOT_COMPARED.contains(&key) || key.starts_with("x-") => {}
            "deploy" => {
                for (key, value) in sorted(entry.1).into_iter().filter(|(key, _)| *key != "replicas") {
                    text(&mut hash, key);
                    node(&mut hash, value);
                }
            }
            "environment" => environment(&mut hash, entry.1, env),
            key => {
                text(&mut hash, key);
                node(&mut hash, entry.1);
            }
        }
    }
    for kind in KINDS {
        let mut used = used(service, kind);
        if kind == "networks" && used.is_empty() {
            used.push("default");
        }
        used.sort_unstable();
        for name in used {
            if let Some(value) = declared.0.get(&(kind, name)) {
                text(&mut hash, name);
                node(&mut hash, value);
            }
        }
    }
    short(hash)
}

/// The hash of a volume's or network's declaration, without its name and without defaults.
pub(super) fn declaration(declared: &Node) -> String {
    let mut hash = Sha256::new();
    let says = |(key, value): &(&str, &Node)| {
        *key != "name" && !key.starts_with("x-") && !(*key == "driver" && value.text() == Some("local"))
    };
    for (key, value) in sorted(declared).into_iter().filter(says) {
        text(&mut hash, key);
        node(&mut hash, value);
    }
    short(hash)
}

fn short(hash: Sha256) -> String {
    hex(&hash.finalize()).chars().take(16).collect()
}

/// The names of a kind in a service: of a mapping, a list, or a list of mappings.
fn used<'a>(service: &'a Node, kind: &str) -> Vec<&'a str> {
    let Some(given) = service.get(kind) else { return Vec::new() };
    let names = given.items().iter().filter_map(|item| {
        let name = item.get("source").unwrap_or(item).text()?;
        // `data:/var/lib/data`.
        Some(name.split(':').next().unwrap_or(name))
    });
    names.chain(given.entries().iter().map(|entry| entry.key.as_str())).collect()
}

/// A variable without a value takes the project's.
fn environment(hash: &mut Sha256, given: &Node, env: &Environment) {
    let named = |name: &str| format!("{name}={}", env.get(name).unwrap_or_default());
    let of_list = given.items().iter().filter_map(|item| {
        let item = item.text()?;
        Some(if item.contains('=') { item.to_owned() } else { named(item) })
    });
    let of_map = given.entries().iter().map(|entry| match entry.value.text() {
        Some(value) => format!("{}={value}", entry.key),
        None => named(&entry.key),
    });
    let mut all: Vec<_> = of_list.chain(of_map).collect();
    all.sort();
    all.iter().for_each(|each| text(hash, each));
}

fn sorted(node: &Node) -> Vec<(&str, &Node)> {
    let mut entries: Vec<_> = node.entries().iter().map(|entry| (entry.key.as_str(), &entry.value)).collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// Each part is preceded by its kind and length, so different trees never hash alike.
fn node(hash: &mut Sha256, node: &Node) {
    match &node.value {
        Value::Null => hash.update([b'n']),
        Value::Scalar { text: value, .. } => text(hash, value),
        Value::List(items) => {
            hash.update([b'l']);
            hash.update(items.len().to_be_bytes());
            items.iter().for_each(|item| self::node(hash, item));
        }
        Value::Map(_) => {
            let entries = sorted(node);
            hash.update([b'm']);
            hash.update(entries.len().to_be_bytes());
            for (key, value) in entries {
                text(hash, key);
                self::node(hash, value);
            }
        }
    }
}

fn text(hash: &mut Sha256, text: &str) {
    hash.update([b's']);
    hash.update(text.len().to_be_bytes());
    hash.update(text.as_bytes());
}
