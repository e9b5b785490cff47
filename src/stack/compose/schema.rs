//! Whether a merged Compose file has the keys and types that Compose takes.
//!
//! Compose itself would refuse what is refused here, but on the host, after images were pulled and
//! files sent.

mod keys;

use std::collections::HashSet;

use super::scalar::Scalar;
use super::yaml::{Node, Place, Value};
use super::{ComposeError, invalid};
use crate::nearest::nearest;
use keys::{Keys, ValueKind};

/// Checks a merged file.
pub(super) fn check(root: &Node) -> Result<(), ComposeError> {
    mapping(root, &keys::FILE, "the file")
}

/// Checks `include`, which is not there any more once it was followed.
pub(super) fn check_include(node: &Node) -> Result<(), ComposeError> {
    value(node, &ValueKind::List(&keys::INCLUDED), "include", &node.place)
}

/// Checks text that is to become a number or a truth value, and values that have two forms, in a file
/// that is read for one of its services alone: Compose converts all of it.
pub(super) fn check_conversions(root: &Node) -> Result<(), ComposeError> {
    conversions(root, &ValueKind::Keys(&keys::FILE), "")?;
    for service in root.get("services").map(Node::entries).unwrap_or_default() {
        for entry in service.value.entries().iter().filter(|entry| CONVERTED.contains(&entry.key.as_str())) {
            if let Some(kind) = keys::of_a_service(&entry.key).filter(|kind| !has_form(&entry.value, kind)) {
                value(&entry.value, kind, &format!("services.{}.{}", service.key, entry.key), &entry.place)?;
            }
        }
    }
    Ok(())
}

/// What of a service Compose brings into one form before it looks at the keys.
const CONVERTED: [&str; 4] = ["build", "depends_on", "env_file", "ports"];

fn conversions(node: &Node, kind: &ValueKind, at: &str) -> Result<(), ComposeError> {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match kind {
        ValueKind::Truth | ValueKind::Integer | ValueKind::Number | ValueKind::Amount | ValueKind::Count
            if node.scalar() == Some(Scalar::Text) =>
        {
            value(node, kind, at, &node.place)
        }
        ValueKind::List(item) | ValueKind::Set(item) => {
            node.items().iter().try_for_each(|each| conversions(each, item, at))
        }
        ValueKind::Keys(keys) => node.entries().iter().try_for_each(|entry| {
            match keys.keys.binary_search_by_key(&entry.key.as_str(), |(key, _)| key) {
                Ok(found) => conversions(&entry.value, &keys.keys[found].1, &below(&entry.key)),
                Err(_) => Ok(()),
            }
        }),
        ValueKind::Dict(item) | ValueKind::Named(item) => {
            node.entries().iter().try_for_each(|entry| conversions(&entry.value, item, &below(&entry.key)))
        }
        ValueKind::Optional(item) => conversions(node, item, at),
        ValueKind::OneOf(kinds) => match kinds.iter().find(|kind| has_form(node, kind)) {
            Some(kind) => conversions(node, kind, at),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// `at` is the way to the value: `services.web.ports`.
fn value(node: &Node, kind: &ValueKind, at: &str, place: &Place) -> Result<(), ComposeError> {
    let refused = |wanted: &str| {
        // What is missing stands nowhere: its key does.
        let place = if node.is_null() { place } else { &node.place };
        let what = format!("{at} is {}, and Compose wants {wanted}", shown(node));
        Err(invalid(place, what, remedy(node, kind)))
    };
    let is = |right: bool, wanted: &str| if right { Ok(()) } else { refused(wanted) };
    let scalar = node.scalar();
    let is_text = scalar == Some(Scalar::Text);
    match kind {
        ValueKind::Any => Ok(()),
        ValueKind::Text => is(is_text, "text"),
        ValueKind::Scalar => {
            is(node.is_null() || scalar.is_some_and(|s| s != Scalar::Time), "a single value")
        }
        ValueKind::TextOrNumber => is(is_text || is_number(scalar), "text or a number"),
        ValueKind::Truth => is(node.truth().is_some(), "true or false"),
        ValueKind::Integer => is(node.whole().is_some(), "a whole number"),
        ValueKind::Number => is(is_number(scalar) || is_text && is_decimal(node), "a number"),
        ValueKind::PlainNumber => is(is_number(scalar), "a number without quotes"),
        ValueKind::Amount => is(is_number(scalar) || is_text && node.integer().is_some(), "a whole number"),
        ValueKind::Count => {
            is(node.whole().is_some() && !is_negative(node), "a whole number that is not negative")
        }
        ValueKind::PlainCount => is(
            scalar != Some(Scalar::Text) && node.whole().is_some() && !is_negative(node),
            "a whole number without quotes that is not negative",
        ),
        ValueKind::Devices => is(
            scalar == Some(Scalar::Integer)
                || is_text && (node.integer().is_some() || node.text() == Some("all")),
            "a whole number or `all`",
        ),
        ValueKind::Mode => is(
            is_number(scalar) || is_text && node.text().is_some_and(is_octal),
            "permissions such as `0440`",
        ),
        ValueKind::PullPolicy => is(
            is_text && node.text().is_some_and(is_pull_policy),
            "`always`, `never`, `missing`, `if_not_present`, `build`, `daily`, `weekly` or a time such as `every_12h`",
        ),
        ValueKind::TextOrTruth => is(is_text || scalar == Some(Scalar::Truth), "text, `true` or `false`"),
        ValueKind::Duration => is(
            is_text && node.text().is_some_and(is_duration),
            "a length of time with its unit, such as `30s` or `1m30s`",
        ),
        ValueKind::Size => is(
            is_number(scalar) || is_text && node.text().is_some_and(is_size),
            "a size, such as `512m` or `1g`",
        ),
        ValueKind::SizeText => is(
            is_text && node.text().is_some_and(is_size),
            "a size in quotes or with its unit, such as `512m`",
        ),
        ValueKind::Word(words) => {
            is(is_text && node.text().is_some_and(|text| words.contains(&text)), &one_of(words))
        }
        ValueKind::List(item) | ValueKind::Set(item) => {
            let Value::List(items) = &node.value else { return refused("a list") };
            for (number, each) in items.iter().enumerate() {
                value(each, item, &format!("{at}[{number}]"), &each.place)?;
            }
            match kind {
                ValueKind::Set(_) => no_item_twice(items, at),
                _ => Ok(()),
            }
        }
        ValueKind::Keys(keys) => match node.is_map() {
            true => mapping(node, keys, at),
            false => refused("a mapping"),
        },
        ValueKind::Dict(below) | ValueKind::Named(below) => {
            let Value::Map(entries) = &node.value else { return refused("a mapping") };
            for entry in entries {
                if matches!(kind, ValueKind::Named(_)) && !is_name(&entry.key) {
                    let what = format!("{at} has a name that Compose does not take: {:?}", entry.key);
                    return Err(invalid(&entry.place, what, "use letters, digits, `.`, `_` and `-`"));
                }
                value(&entry.value, below, &format!("{at}.{}", entry.key), &entry.place)?;
            }
            Ok(())
        }
        ValueKind::Optional(_) if node.is_null() => Ok(()),
        ValueKind::Optional(below) => value(node, below, at, place),
        ValueKind::OneOf(kinds) => match kinds.iter().find(|kind| has_form(node, kind)) {
            Some(kind) => value(node, kind, at, place),
            None => refused(&kinds.iter().map(form).collect::<Vec<_>>().join(" or ")),
        },
    }
}

fn mapping(node: &Node, keys: &Keys, at: &str) -> Result<(), ComposeError> {
    for entry in node.entries() {
        let name = entry.key.as_str();
        if keys.extensible && name.starts_with("x-") {
            continue;
        }
        let Ok(found) = keys.keys.binary_search_by_key(&name, |(key, _)| key) else {
            return Err(unknown(name, keys, at, &entry.place));
        };
        let below = match at {
            "the file" => name.to_owned(),
            at => format!("{at}.{name}"),
        };
        value(&entry.value, &keys.keys[found].1, &below, &entry.place)?;
    }
    match keys.required.iter().find(|key| node.entries().iter().all(|entry| entry.key != **key)) {
        Some(key) => {
            let what = format!("{at} has no `{key}`");
            Err(invalid(&node.place, what, "add it"))
        }
        None => Ok(()),
    }
}

fn unknown(name: &str, keys: &Keys, at: &str, place: &Place) -> ComposeError {
    let what = format!("{at} has the key {name:?}, which Compose does not know in {}", keys.what);
    let remedy = match nearest(name, keys.keys.iter().map(|(key, _)| *key)) {
        Some(near) => format!("write `{near}`, or remove it"),
        None if keys.extensible => {
            "remove it; notes of your own may stand under a key that begins with `x-`".into()
        }
        None => "remove it".into(),
    };
    invalid(place, what, remedy)
}

/// A value as a sentence names it: itself, where it is short.
fn shown(node: &Node) -> String {
    match (node.text(), node.scalar()) {
        (Some(""), _) => "blank".into(),
        (Some(text), Some(Scalar::Text)) if text.len() <= 40 => format!("{text:?}"),
        (Some(text), Some(Scalar::Integer | Scalar::Float)) => format!("the number {text}"),
        _ => node.kind().to_owned(),
    }
}

fn remedy(node: &Node, kind: &ValueKind) -> String {
    let shown = node.text().unwrap_or_default();
    match (kind, &node.value) {
        (_, Value::Null) => "fill it, or remove the key".into(),
        (ValueKind::Text | ValueKind::SizeText, Value::Scalar { .. }) => {
            format!("put it in quotes: \"{shown}\"")
        }
        (ValueKind::List(_) | ValueKind::Set(_), Value::Scalar { .. }) => {
            format!("write it as a list: [{shown}]")
        }
        (ValueKind::OneOf(kinds), Value::Scalar { .. })
            if kinds.iter().any(|kind| matches!(kind, ValueKind::List(_) | ValueKind::Set(_))) =>
        {
            format!("write it as a list: [{shown}]")
        }
        (ValueKind::Duration, Value::Scalar { .. }) if node.integer().is_some() => {
            format!("write `{shown}s` for seconds")
        }
        (ValueKind::Truth, Value::Scalar { .. }) => "write `true` or `false`".into(),
        _ => "correct it there".into(),
    }
}

fn no_item_twice(items: &[Node], at: &str) -> Result<(), ComposeError> {
    let mut seen = HashSet::new();
    for item in items {
        if let Some(text) = item.text()
            && !seen.insert(text)
        {
            let what = format!("{at} has {text:?} twice");
            return Err(invalid(&item.place, what, "remove one of them"));
        }
    }
    Ok(())
}

/// Whether a value has the outer form of a kind.
fn has_form(node: &Node, kind: &ValueKind) -> bool {
    match kind {
        ValueKind::Any => true,
        ValueKind::List(_) | ValueKind::Set(_) => matches!(node.value, Value::List(_)),
        ValueKind::Keys(_) | ValueKind::Dict(_) | ValueKind::Named(_) => node.is_map(),
        ValueKind::Optional(below) => node.is_null() || has_form(node, below),
        ValueKind::Scalar => node.is_null() || node.text().is_some(),
        ValueKind::OneOf(kinds) => kinds.iter().any(|kind| has_form(node, kind)),
        _ => node.text().is_some(),
    }
}

/// What a person would call the form of a kind.
fn form(kind: &ValueKind) -> String {
    match kind {
        ValueKind::List(_) | ValueKind::Set(_) => "a list".into(),
        ValueKind::Keys(_) | ValueKind::Dict(_) | ValueKind::Named(_) => "a mapping".into(),
        ValueKind::Optional(below) => form(below),
        ValueKind::Truth => "true or false".into(),
        ValueKind::Integer | ValueKind::Number | ValueKind::Amount | ValueKind::Count => "a number".into(),
        ValueKind::Word(words) => one_of(words),
        _ => "text".into(),
    }
}

fn one_of(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn is_number(scalar: Option<Scalar>) -> bool {
    matches!(scalar, Some(Scalar::Integer | Scalar::Float))
}

fn is_negative(node: &Node) -> bool {
    node.text().is_some_and(|text| text.starts_with('-'))
}

fn is_octal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'))
}

/// The words, and `every_` with one or more whole numbers and their units.
fn is_pull_policy(text: &str) -> bool {
    const WORDS: [&str; 8] =
        ["always", "never", "missing", "if_not_present", "build", "refresh", "daily", "weekly"];
    let is_time = |text: &str| {
        let mut parts = text.split_inclusive(|c: char| !c.is_ascii_digit()).peekable();
        parts.peek().is_some()
            && parts.all(|part| part.len() > 1 && part.ends_with(['w', 'd', 'h', 'm', 's']))
    };
    WORDS.contains(&text) || text.strip_prefix("every_").is_some_and(is_time)
}

fn is_decimal(node: &Node) -> bool {
    node.text().is_some_and(|text| text.parse::<f64>().is_ok())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// As Go reads lengths of time, with days and weeks: `1w2d3h4m5.5s6ms`.
fn is_duration(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    if text == "0" {
        return true;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let is_number = rest[..number].bytes().any(|byte| byte.is_ascii_digit())
            && rest[..number].matches('.').count() <= 1;
        let Some(unit) = ["ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", "w"]
            .into_iter()
            .filter(|unit| rest[number..].starts_with(unit))
            .max_by_key(|unit| unit.len())
            .filter(|_| is_number)
        else {
            return false;
        };
        rest = &rest[number + unit.len()..];
    }
    !text.is_empty()
}

/// As Docker reads sizes: `1.5 GiB`, `512m`, `100`.
fn is_size(text: &str) -> bool {
    let number = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let unit = text[number..].strip_prefix(' ').unwrap_or(&text[number..]).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    text[..number].parse::<f64>().is_ok() && matches!(unit, "" | "k" | "m" | "g" | "t" | "p")
        || text.parse::<f64>().is_ok_and(|number| number == -1.0)
}

#[cfg(test)]
mod tests;
