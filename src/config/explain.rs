//! What the TOML reader says, as a person would say it.

use std::ops::Range;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue, Error};

use super::document::{Document, FileKind, SourceText};
use super::problem::Problem;
use super::schema::{description, notation, properties};
use crate::nearest::{listed, nearest};
use crate::steps::NAMES;

/// A file that is no TOML.
pub(super) fn syntax(source: &SourceText, kind: FileKind, error: &Error) -> Box<Problem> {
    let span = error.span().unwrap_or_default();
    let message = error.message().trim();
    let name = source.text.get(span.clone()).unwrap_or_default().trim();
    let extends = message.strip_prefix("cannot extend value of type ");
    if kind == FileKind::Playbook && name == "steps" && (extends.is_some() || message == "duplicate key") {
        return source.problem(span, STEPS_IS_A_LIST);
    }
    let what = match message {
        "duplicate key" => format!("`{name}` is given twice; keep one of them"),
        "string values must be quoted, expected literal string" => {
            format!("not valid TOML: text stands in quotes: \"{name}\"")
        }
        "invalid basic string, expected `\"`" => "not valid TOML: the closing `\"` is missing".to_owned(),
        "key with no value, expected `=`" => "not valid TOML: `=` and a value are missing".to_owned(),
        _ if extends.is_some() => format!("`{name}` is no table; nothing can stand below it"),
        _ => format!("not valid TOML: {message}"),
    };
    source.problem(span, what)
}

/// Said where a playbook has `[steps.NAME]`.
pub(super) const STEPS_IS_A_LIST: &str =
    "`steps` is a list of names in a playbook; options of a step are under [options.NAME]";

/// A file that is TOML and still not what it should be.
pub(super) fn typed(document: &Document<'_>, error: &Error) -> Box<Problem> {
    let source = document.source;
    let span = error.span().unwrap_or_default();
    let place = locate(document.root.get_ref(), &span).unwrap_or_default();
    let schema = document.kind.schema();
    let message = error.message().trim();
    if let Some((key, parents)) = place.path.split_last()
        && let Some(known) = message.strip_prefix(&format!("unknown field `{key}`, "))
    {
        let (what, hint) = unknown_key(document.kind, parents, key, &backticked(known), &schema);
        return source.problem(span, what).hinted(hint);
    }
    let about = description(&schema, &place.path);
    let written = source.text.get(span.clone()).unwrap_or_default().trim();
    let what = wrong_value(&place, written, message, about.as_deref());
    let key = place.path.last().map_or("", |key| key);
    let about = about.map(|about| format!("`{key}`: {about}"));
    let notation = notation(&schema, &place.path);
    source.problem(span, what).hinted(about.into_iter().chain(notation))
}

/// A value that does not fit its key.
fn wrong_value(place: &Location<'_>, written: &str, message: &str, about: Option<&str>) -> String {
    let name = match place.path.last() {
        Some(key) if place.in_list => format!("each entry of `{key}`"),
        Some(key) => format!("`{key}`"),
        None => "the file".to_owned(),
    };
    let unfit = message.strip_prefix("invalid ").zip(message.rsplit_once(", expected "));
    if let Some((invalid, (_, expected))) = unfit {
        let seconds = !place.in_list && about.is_some_and(|about| about.contains("in seconds"));
        let found = match place.value {
            Some(value) if invalid.starts_with("type") => kind(value).to_owned(),
            _ => format!("`{written}`"),
        };
        let instead = match place.value {
            Some(DeValue::String(_)) if expected == "a sequence" => format!("; write [{written}]"),
            _ => String::new(),
        };
        return format!("{name} is {}, not {found}{instead}", phrase(expected, seconds));
    }
    let variant = message.strip_prefix("unknown variant `").and_then(|rest| rest.rsplit_once("`, expected "));
    match (variant, place.value) {
        (Some((value, expected)), _) => unknown_value(&name, value, &backticked(expected)),
        // An enum, to TOML.
        (None, Some(value)) if message.starts_with("wanted ") => {
            format!("{name} is text in quotes, not {}", kind(value))
        }
        _ if message == "integer number overflowed" => format!("{name} is far too large a number"),
        _ => format!("{name}: {message}"),
    }
}

/// A value as a person calls it.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(true) => "`true`",
        DeValue::Boolean(false) => "`false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What serde expects, as a person calls it.
fn phrase(expected: &str, seconds: bool) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" if seconds => "a whole number of seconds",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" | "path string" | "semver version" => "text in quotes",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn unknown_value(name: &str, value: &str, known: &[&str]) -> String {
    match nearest(value, known.iter().copied()) {
        Some(near) => format!("{name} cannot be `{value}`; did you mean `{near}`?"),
        None => format!("{name} cannot be `{value}`, only one of {}", listed(known.iter().copied())),
    }
}

/// A key that nobody knows: what was meant, and what there is.
fn unknown_key(
    kind: FileKind,
    parents: &[String],
    key: &str,
    known: &[&str],
    schema: &Json,
) -> (String, Option<String>) {
    let section = kind.section();
    if parents == [section] {
        let what = format!("there is no step `{key}`");
        return match nearest(key, NAMES) {
            Some(near) => (format!("{what}; did you mean [{section}.{near}]?"), None),
            None => (what, Some(format!("steps are {}", listed(NAMES)))),
        };
    }
    let table = parents.join(".");
    let what = match parents {
        [] => format!("unknown key `{key}`"),
        _ => format!("unknown key `{key}` in [{table}]"),
    };
    if parents.is_empty()
        && let Some(belongs) = elsewhere(kind, key)
    {
        return (format!("{what}; {belongs}"), None);
    }
    let owns = |step: &&&str| properties(schema, &[section, step]).iter().any(|property| property == key);
    let owner = NAMES.iter().find(owns).map(|step| format!("`{key}` is an option in [{section}.{step}]"));
    match nearest(key, known.iter().copied()) {
        Some(near) => (format!("{what}; did you mean `{near}`?"), owner),
        None if owner.is_some() => (what, owner),
        None if parents.is_empty() => {
            (what, Some(format!("the file takes {}", listed(known.iter().copied()))))
        }
        None => (what, Some(format!("[{table}] takes {}", listed(known.iter().copied())))),
    }
}

/// Where a key of the first level belongs instead.
fn elsewhere(kind: FileKind, key: &str) -> Option<String> {
    if NAMES.contains(&key) {
        return Some(format!("options of that step are under [{}.{key}]", kind.section()));
    }
    match kind {
        FileKind::Project if key == "options" => {
            Some("options of a step are under [steps.NAME] here".to_owned())
        }
        FileKind::Project => (key == "description").then(|| "it belongs in a playbook".to_owned()),
        FileKind::Playbook => {
            let known = properties(&FileKind::Project.schema(), &[]);
            known.iter().any(|known| known == key).then(|| format!("it belongs in {}", super::FILE_NAME))
        }
    }
}

/// What stands between backticks, one after the other.
fn backticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Where in a document something is.
#[derive(Debug, Default)]
struct Location<'d> {
    /// The keys that lead there.
    path: Vec<String>,
    /// The value, when it is one.
    value: Option<&'d DeValue<'d>>,
    /// Whether it is an entry of the list at the path.
    in_list: bool,
}

/// Finds what a span is about.
fn locate<'d>(table: &'d DeTable<'d>, span: &Range<usize>) -> Option<Location<'d>> {
    for (key, value) in table {
        let name = key.get_ref().to_string();
        if key.span() == *span {
            return Some(Location { path: vec![name], value: None, in_list: false });
        }
        // The first below is the deepest.
        if let Some(mut place) = below(value, span) {
            place.path.insert(0, name);
            return Some(place);
        }
    }
    None
}

fn below<'d>(value: &'d toml::Spanned<DeValue<'d>>, span: &Range<usize>) -> Option<Location<'d>> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => locate(table, span),
        DeValue::Array(items) => items
            .iter()
            .find_map(|item| below(item, span))
            .map(|place| Location { in_list: place.in_list || place.path.is_empty(), ..place }),
        _ => None,
    };
    let itself =
        || (value.span() == *span).then(|| Location { value: Some(value.get_ref()), ..Location::default() });
    inner.or_else(itself)
}
