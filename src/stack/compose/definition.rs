//! Hashes of a service's definition. Its containers are recreated when the definition changes.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest, Sha256};

use super::dotenv::Environment;
use super::yaml::{Node, Value};
use crate::digest::hex;

/// Keys of a service that Compose ignores when it compares (`ServiceHash` in compose's
/// `pkg/compose/hash.go`). It ignores `build` too, but a different build gives a different image.
const NOT_COMPARED: [&str; 2] = ["pull_policy", "scale"];

/// Keys that Compose compares up to 2.30.1 (`depends_on` up to 2.29.2).
const ORDER: [&str; 2] = ["depends_on", "profiles"];

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

/// What a service is, in parts that are compared by different programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// What Compose compares with the container's label.
    own: String,
    /// The networks, volumes, secrets and configs that it uses, as far as a container keeps what they
    /// were when it was made. Compose compares none of this before 2.31, and later a part.
    uses: String,
    /// What it waits for, and its profiles. Compose compares this before 2.30.2.
    order: String,
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.own, self.uses, self.order)
    }
}

impl Definition {
    /// Whether this is what was written down `before`; `order` says that the order counts.
    #[must_use]
    pub fn is(&self, before: &str, order: bool) -> bool {
        let parts: Vec<_> = before.split(' ').collect();
        matches!(parts.as_slice(), [own, uses, waits]
            if self.own == *own && self.uses == *uses && (!order || self.order == *waits))
    }
}

/// The definition of a service in the merged tree.
pub(super) fn definition(service: &Node, declared: &Declared<'_>, env: &Environment) -> Definition {
    let (mut own, mut order) = (Sha256::new(), Sha256::new());
    for entry in sorted(service) {
        match entry.0 {
            key if NOT_COMPARED.contains(&key) || key.starts_with("x-") => {}
            key if ORDER.contains(&key) => {
                text(&mut order, key);
                node(&mut order, entry.1);
            }
            "deploy" => {
                for (key, value) in sorted(entry.1).into_iter().filter(|(key, _)| *key != "replicas") {
                    text(&mut own, key);
                    node(&mut own, value);
                }
            }
            "environment" => environment(&mut own, entry.1, env),
            key => {
                text(&mut own, key);
                node(&mut own, entry.1);
            }
        }
    }
    Definition { own: short(own), uses: uses(service, declared, env), order: short(order) }
}

fn uses(service: &Node, declared: &Declared<'_>, env: &Environment) -> String {
    let mut hash = Sha256::new();
    for kind in KINDS {
        let mut used = used(service, kind);
        if kind == "networks" && used.is_empty() && service.get("network_mode").is_none() {
            used.push("default");
        }
        used.sort_unstable();
        for name in used {
            let Some(value) = declared.0.get(&(kind, name)) else { continue };
            text(&mut hash, name);
            // Docker keeps the options of a volume as they are: only another one makes a difference.
            let counts = |key: &str| match kind {
                "volumes" => matches!(key, "name" | "external"),
                _ => !key.starts_with("x-"),
            };
            for (key, value) in sorted(value).into_iter().filter(|(key, _)| counts(key)) {
                text(&mut hash, key);
                node(&mut hash, value);
                if matches!(kind, "secrets" | "configs") && key == "environment" {
                    let content = value.text().and_then(|name| env.get(name));
                    text(&mut hash, content.unwrap_or_default());
                }
            }
        }
    }
    short(hash)
}

/// The hash of a volume's or network's declaration, without its name and without defaults.
pub(super) fn declaration(declared: &Node) -> String {
    let mut hash = Sha256::new();
    let says = |(key, value): &(&str, &Node)| {
        let is_default = *key == "driver" && matches!(value.text(), Some("local" | "bridge"));
        !matches!(*key, "name" | "external") && !key.starts_with("x-") && !is_default
    };
    for (key, value) in sorted(declared).into_iter().filter(says) {
        text(&mut hash, key);
        node(&mut hash, value);
    }
    short(hash)
}

/// The hash of one without any options.
pub(super) fn undeclared() -> String {
    short(Sha256::new())
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
