//! How one file is laid over another, and a service over the one that it extends.
//!
//! The rules are Compose's (compose-go, `override`): mappings are merged key by key, lists follow
//! each other and keep one item for each of what they name, everything else is replaced. Exceptions
//! go by the place in the file, so that a service may be called `command`.

use std::collections::{HashMap, HashSet};

use super::yaml::{Entry, Node, Place, Tag, Value};
use super::{ComposeError, invalid};

/// What is done at a place, other than by the kind of value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// By the kind of the values.
    Plain,
    /// The later one alone counts.
    Replace,
    /// A list of names is a mapping to nothing.
    Names,
    /// A list of names is a mapping to the condition `service_started`.
    Conditions,
    /// A list of `NAME=VALUE` is a mapping.
    Pairs,
    /// One value is a list of one.
    List,
    /// Names of hosts with their addresses, in a mapping or a list; each pair counts once.
    Hosts,
    /// A list in which what the later one repeats counts once.
    Unique,
    /// A text is a build's context.
    Build,
    /// Merged where both have the same driver.
    Logging,
    /// Merged where both are mappings, replaced otherwise.
    Limits,
}

fn rule(path: &[&str]) -> Rule {
    match path {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => Rule::Replace,
        ["services", _, "depends_on"] => Rule::Conditions,
        ["services", _, "networks" | "models"] => Rule::Names,
        ["services", _, "build"] => Rule::Build,
        ["services", _, "logging"] => Rule::Logging,
        ["services", _, "ulimits", _] => Rule::Limits,
        ["services", _, "environment" | "labels" | "annotations" | "sysctls"]
        | ["services", _, "build", "args" | "additional_contexts" | "labels"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"] => Rule::Pairs,
        ["services", _, "env_file" | "label_file" | "dns" | "dns_opt" | "dns_search" | "tmpfs"] => Rule::List,
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => Rule::Hosts,
        ["services", _, "networks", _, "aliases" | "link_local_ips"] => Rule::Unique,
        _ => Rule::Plain,
    }
}

/// Lays a file over another.
pub(super) fn files(base: Node, over: Node) -> Result<Node, ComposeError> {
    overlay(settled(base), over, &[])
}

/// Lays a service over the one that it extends.
pub(super) fn services(base: Node, over: Node) -> Result<Node, ComposeError> {
    overlay(settled(base), over, &["services", ""])
}

/// Without what is to be reset: there was nothing below it.
pub(super) fn settled(node: Node) -> Node {
    let value = match node.value {
        Value::Map(entries) => {
            let there = entries.into_iter().filter(|entry| entry.value.tag != Tag::Reset);
            Value::Map(there.map(|entry| Entry { value: settled(entry.value), ..entry }).collect())
        }
        Value::List(items) => Value::List(items.into_iter().map(settled).collect()),
        value => value,
    };
    let tag = Tag::None;
    Node { value, tag, ..node }
}

fn overlay(base: Node, over: Node, path: &[&str]) -> Result<Node, ComposeError> {
    let rule = rule(path);
    if over.tag == Tag::Override || rule == Rule::Replace {
        return Ok(over);
    }
    let (base, over) = match rule {
        Rule::Conditions => (conditions(base), conditions(over)),
        Rule::Names | Rule::Pairs => (as_map(base), as_map(over)),
        Rule::List => (as_list(base), as_list(over)),
        Rule::Hosts => (as_hosts(base), as_hosts(over)),
        Rule::Build => (as_build(base), as_build(over)),
        Rule::Logging if driver(&base) != driver(&over) && driver(&base).and(driver(&over)).is_some() => {
            return Ok(over);
        }
        Rule::Limits if !base.is_map() || !over.is_map() => return Ok(over),
        _ => (base, over),
    };
    let clash = |base: &Node, over: &Node| {
        let key = path.last().copied().unwrap_or_default();
        let what = format!(
            "`{key}` is {} here, and {} at {}, which it goes over",
            over.kind(),
            base.kind(),
            base.place
        );
        Err(invalid(
            &over.place,
            what,
            "write both in the same form, or put `!override` in front of this one",
        ))
    };
    let (place, tag) = (over.place.clone(), over.tag);
    let value = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(entries(base, over, path)?),
        (Value::List(mut base), Value::List(over)) => {
            let once = matches!(rule, Rule::Hosts | Rule::Unique);
            let known: HashSet<String> = match once {
                true => base.iter().filter_map(Node::text).map(str::to_owned).collect(),
                false => HashSet::new(),
            };
            base.extend(over.into_iter().filter(|item| item.text().is_none_or(|text| !known.contains(text))));
            Value::List(base)
        }
        (base, Value::Null) => base,
        (value @ (Value::Map(_) | Value::List(_)), other) => {
            return clash(&Node { value, place: base.place, tag }, &Node { value: other, place, tag });
        }
        (_, over) => over,
    };
    Ok(Node { value, place, tag })
}

fn entries(mut base: Vec<Entry>, over: Vec<Entry>, path: &[&str]) -> Result<Vec<Entry>, ComposeError> {
    let mut at: HashMap<String, usize> =
        base.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
    for entry in over {
        let Some(at) = at.get(&entry.key).copied() else {
            at.insert(entry.key.clone(), base.len());
            base.push(entry);
            continue;
        };
        let there = &mut base[at];
        // What resets goes on to do so, in files further below.
        there.value = match entry.value.tag {
            Tag::Reset => entry.value,
            _ if there.value.tag == Tag::Reset => entry.value,
            _ => {
                let null = Node { value: Value::Null, place: there.place.clone(), tag: Tag::None };
                let below = std::mem::replace(&mut there.value, null);
                let path: Vec<&str> = path.iter().copied().chain([entry.key.as_str()]).collect();
                overlay(below, entry.value, &path)?
            }
        };
        there.place = entry.place;
    }
    Ok(base)
}

fn driver(node: &Node) -> Option<&str> {
    node.get("driver").and_then(Node::text)
}

/// Equality of what is written, wherever it is written.
pub(super) fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|x| b.iter().any(|y| x.key == y.key && same(&x.value, &y.value)))
        }
        _ => false,
    }
}

/// `[a, b=c]` as `{a: , b: c}`; of what is named twice, the last one counts.
fn as_map(node: Node) -> Node {
    let Value::List(items) = node.value else { return node };
    let mut entries: Vec<Entry> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for item in items {
        let Value::Scalar { text, .. } = item.value else { continue };
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Value::Scalar { text: value.to_owned(), plain: false }),
            None => (text, Value::Null),
        };
        let value = Node { value, place: item.place.clone(), tag: Tag::None };
        let entry = Entry { key, place: item.place, value };
        match at.get(&entry.key) {
            Some(at) => entries[*at] = entry,
            None => {
                at.insert(entry.key.clone(), entries.len());
                entries.push(entry);
            }
        }
    }
    Node { value: Value::Map(entries), ..node }
}

/// `[a]` as `{a: {condition: service_started, required: true}}`.
fn conditions(node: Node) -> Node {
    let listed = matches!(node.value, Value::List(_));
    let mut node = as_map(node);
    if let (Value::Map(entries), true) = (&mut node.value, listed) {
        for Entry { place, value, .. } in entries {
            *value = mapping("condition", "service_started", place);
            let required =
                Entry { key: "required".to_owned(), place: place.clone(), value: text_node("true", place) };
            if let Value::Map(keys) = &mut value.value {
                keys.push(required);
            }
        }
    }
    node
}

fn as_build(node: Node) -> Node {
    match &node.value {
        Value::Scalar { text, .. } => mapping("context", &text.clone(), &node.place),
        _ => node,
    }
}

fn mapping(key: &str, text: &str, place: &Place) -> Node {
    let entry = Entry { key: key.to_owned(), place: place.clone(), value: text_node(text, place) };
    Node { value: Value::Map(vec![entry]), place: place.clone(), tag: Tag::None }
}

/// A text at a place.
pub(super) fn text_node(text: &str, place: &Place) -> Node {
    let value = Value::Scalar { text: text.to_owned(), plain: false };
    Node { value, place: place.clone(), tag: Tag::None }
}

/// `{a: [1, 2]}` and `["a:1", "a=2"]` as `[a=1, a=2]`.
fn as_hosts(node: Node) -> Node {
    let pair = |name: &str, address: &str, place: &Place| text_node(&format!("{name}={address}"), place);
    let value = match node.value {
        Value::Map(entries) => Value::List(
            entries
                .iter()
                .flat_map(|entry| {
                    let addresses = entry.value.each().iter().filter_map(Node::text);
                    addresses.map(|address| pair(&entry.key, address, &entry.place)).collect::<Vec<_>>()
                })
                .collect(),
        ),
        Value::List(items) => Value::List(
            items
                .into_iter()
                .map(|item| match item.text().and_then(|text| text.split_once(['=', ':'])) {
                    Some((name, address)) => pair(name, address, &item.place),
                    None => item,
                })
                .collect(),
        ),
        value => value,
    };
    Node { value, ..node }
}

fn as_list(node: Node) -> Node {
    match node.value {
        Value::List(_) | Value::Null => node,
        value => {
            let item = Node { value, place: node.place.clone(), tag: Tag::None };
            Node { value: Value::List(vec![item]), place: node.place, tag: node.tag }
        }
    }
}

/// Keeps one item for each of what the lists of services name; the last one counts.
pub(super) fn unify(root: &mut Node) {
    let Some(services) = entry_mut(root, "services") else { return };
    for service in entries_mut(services) {
        for entry in entries_mut(&mut service.value) {
            let identity: fn(&Node) -> Option<String> = match entry.key.as_str() {
                "volumes" => volume_target,
                "devices" => device_target,
                "configs" | "secrets" => |node| Some(given_target(node)),
                "env_file" => |node| node.get("path").unwrap_or(node).text().map(str::to_owned),
                "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "expose" | "links"
                | "profiles" | "tmpfs" | "environment" | "labels" | "annotations" | "sysctls" => {
                    |node| Some(node.text()?.split('=').next()?.to_owned())
                }
                _ => continue,
            };
            if let Value::List(items) = &mut entry.value.value {
                keep_last(items, identity);
            }
        }
    }
}

fn keep_last(items: &mut Vec<Node>, identity: fn(&Node) -> Option<String>) {
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    let mut at: HashMap<String, usize> = HashMap::new();
    for item in items.drain(..) {
        match identity(&item).map(|name| (at.get(&name).copied(), name)) {
            Some((Some(at), _)) => kept[at] = item,
            Some((None, name)) => {
                at.insert(name, kept.len());
                kept.push(item);
            }
            None => kept.push(item),
        }
    }
    *items = kept;
}

fn volume_target(node: &Node) -> Option<String> {
    let Some(text) = node.text() else { return node.get("target")?.text().map(str::to_owned) };
    let mut parts = text.split(':');
    let first = parts.next()?;
    Some(parts.next().unwrap_or(first).to_owned())
}

fn device_target(node: &Node) -> Option<String> {
    match node.text() {
        Some(text) => volume_target(node).or_else(|| Some(text.to_owned())),
        None => node.get("target")?.text().map(str::to_owned),
    }
}

fn given_target(node: &Node) -> String {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let source = || text("source").or_else(|| node.text()).unwrap_or_default();
    text("target").map_or_else(|| format!("/run/secrets/{}", source()), str::to_owned)
}

/// The value of a key, to be changed.
pub(super) fn entry_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    entries_mut(node).iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
}

/// The entries of a mapping, to be changed.
pub(super) fn entries_mut(node: &mut Node) -> &mut [Entry] {
    match &mut node.value {
        Value::Map(entries) => entries,
        _ => &mut [],
    }
}
