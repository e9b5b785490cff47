//! What the TOML reader says, as a person would say it.

use std::ops::Range;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue, Error};

use super::document::{Document, Kind, Source};
use super::nearest::{listed, nearest};
use super::problem::Problem;
use super::schema::{description, properties};
use crate::steps::NAMES;

/// A file that is no TOML.
pub(super) fn syntax(source: &Source, error: &Error) -> Box<Problem> {
    let span = error.span().unwrap_or_default();
    let message = error.message().trim();
    if message == "duplicate key" {
        let name = source.text.get(span.clone()).unwrap_or_default().trim().to_owned();
        return source.problem(span, format!("`{name}` is given twice; keep one of them"));
    }
    source.problem(span, format!("not valid TOML: {message}"))
}

/// A file that is TOML and still not what it should be.
pub(super) fn typed(document: &Document<'_>, error: &Error) -> Box<Problem> {
    let span = error.span().unwrap_or_default();
    let place = locate(document.root.get_ref(), &span).unwrap_or_default();
    let schema = document.kind.schema();
    let message = error.message().trim();
    let unknown = place.path.split_last().and_then(|(key, parents)| {
        let known = message.strip_prefix(&format!("unknown field `{key}`, "))?;
        Some(unknown_key(document.kind, parents, key, &backticked(known), &schema))
    });
    if let Some(what) = unknown {
        return document.source.problem(span, what);
    }
    let name = match place.path.last() {
        Some(key) if place.in_list => format!("each entry of `{key}`"),
        Some(key) => format!("`{key}`"),
        None => "the file".to_owned(),
    };
    let about = description(&schema, &place.path);
    let what = match (message.strip_prefix("invalid "), message.rsplit_once(", expected ")) {
        (Some(invalid), Some((_, expected))) => {
            let found = match place.value {
                Some(value) if invalid.starts_with("type") => kind(value).to_owned(),
                _ => format!("`{}`", document.source.text.get(span.clone()).unwrap_or_default().trim()),
            };
            let seconds =
                !place.in_list && about.as_deref().is_some_and(|about| about.contains("in seconds"));
            format!("{name} is {}, not {found}", phrase(expected, seconds))
        }
        _ => {
            match message.strip_prefix("unknown variant `").and_then(|rest| rest.rsplit_once("`, expected "))
            {
                Some((value, expected)) => unknown_value(&name, value, &backticked(expected)),
                None => format!("{name}: {message}"),
            }
        }
    };
    let mut problem = document.source.problem(span, what);
    problem.help.extend(about.map(|about| format!("{}: {about}", place.path.last().map_or("", |key| key))));
    problem
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
        "u8" | "u16" | "u32" | "u64" | "usize" if seconds => "a number of seconds",
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
        None => format!("{name} cannot be `{value}`; it is one of {}", listed(known.iter().copied())),
    }
}

/// A key that nobody knows, and what was meant.
fn unknown_key(kind: Kind, parents: &[String], key: &str, known: &[&str], schema: &Json) -> String {
    let section = kind.section();
    let table = match parents {
        [] => String::new(),
        parents => format!(" in [{}]", parents.join(".")),
    };
    if parents == [section] {
        let meant = match nearest(key, NAMES) {
            Some(near) => format!("did you mean [{section}.{near}]?"),
            None => format!("steps are {}", listed(NAMES)),
        };
        return format!("there is no step `{key}`; {meant}");
    }
    let what = format!("unknown key `{key}`{table}");
    if parents.is_empty() && NAMES.contains(&key) {
        return format!("{what}; options of that step are under [{section}.{key}]");
    }
    if parents.is_empty()
        && let Some(belongs) = elsewhere(kind, key)
    {
        return format!("{what}; {belongs}");
    }
    if let Some(near) = nearest(key, known.iter().copied()) {
        return format!("{what}; did you mean `{near}`?");
    }
    let owns = |step: &&&str| properties(schema, &[section, step]).iter().any(|property| property == key);
    if let Some(step) = NAMES.iter().find(owns) {
        return format!("{what}; it is an option of another step: [{section}.{step}]");
    }
    match parents {
        [] => format!("{what}; known ones are {}", listed(known.iter().copied())),
        _ => format!("{what}; it takes {}", listed(known.iter().copied())),
    }
}

/// Where a key of the first level belongs instead.
fn elsewhere(kind: Kind, key: &str) -> Option<String> {
    match kind {
        Kind::Project if key == "options" => Some("options of a step are under [steps.NAME] here".to_owned()),
        Kind::Project => (key == "description").then(|| "it belongs in a playbook".to_owned()),
        Kind::Playbook => {
            let known = properties(&Kind::Project.schema(), &[]);
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
struct Place<'d> {
    /// The keys that lead there.
    path: Vec<String>,
    /// The value, when it is one.
    value: Option<&'d DeValue<'d>>,
    /// Whether it is an entry of the list at the path.
    in_list: bool,
}

/// Finds what a span is about.
fn locate<'d>(table: &'d DeTable<'d>, span: &Range<usize>) -> Option<Place<'d>> {
    for (key, value) in table {
        let name = key.get_ref().to_string();
        if key.span() == *span {
            return Some(Place { path: vec![name], value: None, in_list: false });
        }
        // The first below is the deepest.
        if let Some(mut place) = below(value, span) {
            place.path.insert(0, name);
            return Some(place);
        }
    }
    None
}

fn below<'d>(value: &'d toml::Spanned<DeValue<'d>>, span: &Range<usize>) -> Option<Place<'d>> {
    let inner = match value.get_ref() {
        DeValue::Table(table) => locate(table, span),
        DeValue::Array(items) => {
            items.iter().find_map(|item| below(item, span)).map(|place| Place { in_list: true, ..place })
        }
        _ => None,
    };
    let itself =
        || (value.span() == *span).then(|| Place { value: Some(value.get_ref()), ..Place::default() });
    inner.or_else(itself)
}
