//! How override files and `extends` are laid over what they change.

use std::collections::HashSet;

use super::yaml::{Entry, Node, Tag, Value};
use super::{ComposeError, invalid, relative};

/// So many services may extend each other in a row.
const LONGEST_CHAIN: usize = 100;

/// Lists of which an override replaces all, by the last keys of their path.
const REPLACED: [&str; 3] = ["command", "entrypoint", "test"];

/// Lays one value over another as Compose does: mappings key by key, lists one
/// behind the other, everything else replaced.
pub(super) fn overlay(base: Node, over: Node) -> Node {
    overlay_key(base, over, "")
}

fn overlay_key(base: Node, over: Node, key: &str) -> Node {
    if over.tag == Tag::Override || REPLACED.contains(&key) {
        return over;
    }
    let (base, over) = match key {
        "depends_on" => (conditions(base), conditions(over)),
        "environment" => (as_map(base), as_map(over)),
        "env_file" => (as_list(base), as_list(over)),
        _ => (base, over),
    };
    let place = over.place.clone();
    let tag = over.tag;
    let value = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(overlay_entries(base, over)),
        (Value::List(mut base), Value::List(over)) => {
            for item in over {
                if base.iter().all(|b| !same(b, &item)) {
                    base.push(item);
                }
            }
            Value::List(base)
        }
        (base, Value::Null) => base,
        (_, over) => over,
    };
    Node { value, place, tag }
}

fn overlay_entries(mut base: Vec<Entry>, over: Vec<Entry>) -> Vec<Entry> {
    for entry in over {
        let at = base.iter().position(|e| e.key == entry.key);
        match (at, entry.value.tag) {
            (Some(at), Tag::Reset) => {
                base.remove(at);
            }
            (None, Tag::Reset) => {}
            (Some(at), _) => {
                let below = base.remove(at);
                let value = overlay_key(below.value, entry.value, &entry.key);
                base.insert(at, Entry { key: below.key, place: entry.place, value });
            }
            (None, _) => base.push(entry),
        }
    }
    base
}

/// Equality of what is written, wherever it is written.
fn same(a: &Node, b: &Node) -> bool {
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

/// `[a, b=c]` as `{a: , b: c}`.
fn as_map(node: Node) -> Node {
    let Value::List(items) = node.value else { return node };
    let entries = items.into_iter().filter_map(|item| {
        let Value::Scalar { text, plain } = item.value else { return None };
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Value::Scalar { text: value.to_owned(), plain }),
            None => (text, Value::Null),
        };
        let value = Node { value, place: item.place.clone(), tag: Tag::None };
        Some(Entry { key, place: item.place, value })
    });
    Node { value: Value::Map(entries.collect()), ..node }
}

/// `[a]` as `{a: {condition: service_started}}`.
fn conditions(node: Node) -> Node {
    let listed = matches!(node.value, Value::List(_));
    let mut node = as_map(node);
    if let (Value::Map(entries), true) = (&mut node.value, listed) {
        for Entry { place, value, .. } in entries {
            let node = |value| Node { value, place: place.clone(), tag: Tag::None };
            let started = Value::Scalar { text: "service_started".to_owned(), plain: true };
            let key = "condition".to_owned();
            let entry = Entry { key, place: place.clone(), value: node(started) };
            *value = node(Value::Map(vec![entry]));
        }
    }
    node
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

/// Resolves `extends` within one document. What extends a service of another
/// file stays marked by its `extends` key.
pub(super) fn extend(document: Node) -> Result<Node, ComposeError> {
    let Node { value: Value::Map(mut entries), place, tag } = document else {
        return Ok(document);
    };
    if let Some(services) = entries.iter_mut().find(|e| e.key == "services") {
        let all = services.value.clone();
        if let Value::Map(found) = &mut services.value.value {
            for entry in found {
                let mut chain = HashSet::from([entry.key.clone()]);
                entry.value = extended(entry.value.clone(), &all, &mut chain)?;
            }
        }
    }
    Ok(Node { value: Value::Map(entries), place, tag })
}

fn extended(service: Node, all: &Node, chain: &mut HashSet<String>) -> Result<Node, ComposeError> {
    let Some(extends) = service.get("extends").cloned() else { return Ok(service) };
    let file = extends.get("file").and_then(Node::text);
    if file.is_some_and(|file| relative(file) != *extends.place.file) {
        return Ok(service);
    }
    let target = extends.get("service").unwrap_or(&extends);
    let Some(name) = target.text() else {
        let what = "`extends` does not name a service".to_owned();
        return Err(invalid(&extends.place, what, "write `extends: { service: name }`"));
    };
    let Some(base) = all.get(name).cloned() else {
        let what = format!("`extends` names the service {name:?}, which is not in this file");
        return Err(invalid(&target.place, what, "add it, or name its file with `file:`"));
    };
    if !chain.insert(name.to_owned()) {
        let what = format!("`extends` leads back to {name:?}");
        return Err(invalid(&target.place, what, "break the circle"));
    }
    if chain.len() > LONGEST_CHAIN {
        let what = format!("more than {LONGEST_CHAIN} services extend each other in a row, up to {name:?}");
        return Err(invalid(&target.place, what, "let them extend one service"));
    }
    let base = extended(base, all, chain)?;
    let elsewhere = base.get("extends").is_some();
    let mut own = service;
    if let (Value::Map(entries), false) = (&mut own.value, elsewhere) {
        entries.retain(|e| e.key != "extends");
    }
    let mut merged = overlay(base, own);
    if let (Value::Map(entries), false) = (&mut merged.value, elsewhere) {
        entries.retain(|e| e.key != "extends");
    }
    Ok(merged)
}
