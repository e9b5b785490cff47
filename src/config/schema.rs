//! The JSON schemas of what people write, for editors, and to explain mistakes.

use schemars::{Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::Value;

use super::playbook::PlaybookFile;
use super::project::ProjectFile;

/// The JSON schema of `provision.toml`.
pub fn schema() -> Value {
    finished(schema_for!(ProjectFile), "provision.toml")
}

/// The JSON schema of a playbook.
pub fn playbook_schema() -> Value {
    finished(schema_for!(PlaybookFile), "A playbook of provision")
}

fn finished(mut schema: Schema, title: &str) -> Value {
    schema.insert("title".to_owned(), title.into());
    let mut schema = schema.to_value();
    drop_null(&mut schema);
    schema
}

/// TOML has no null; a key is left out instead.
fn drop_null(schema: &mut Value) {
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    match schema {
        Value::Array(items) => {
            items.retain(|item| !is_null(item));
            items.iter_mut().for_each(drop_null);
        }
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            for (key, value) in entries {
                drop_null(value);
                if key == "type"
                    && let Value::Array(types) = value
                    && types.len() == 1
                {
                    *value = types.swap_remove(0);
                }
            }
        }
        _ => {}
    }
}

/// The list of steps in a playbook.
pub(super) fn step_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": crate::steps::NAMES },
        "minItems": 1,
        "uniqueItems": true,
    })
}

/// What a schema says about a key, in one line.
pub(super) fn description(schema: &Value, path: &[String]) -> Option<String> {
    described(find(schema, path)?)
}

/// How the text of a key is written, where it has a notation of its own.
pub(super) fn notation(schema: &Value, path: &[String]) -> Option<String> {
    let at = find(schema, path)?;
    let kind = resolve(schema, at);
    let own = !std::ptr::eq(at, kind) && kind["type"] == "string";
    own.then(|| described(kind)).flatten()
}

fn described(at: &Value) -> Option<String> {
    let text = at.get("description")?.as_str()?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(line.trim_end_matches('.').to_owned())
}

/// The keys that a schema knows at a path.
pub(super) fn properties(schema: &Value, path: &[&str]) -> Vec<String> {
    let properties =
        find(schema, path).map(|at| resolve(schema, at)).and_then(|at| at.get("properties")?.as_object());
    properties.into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn find<'v>(schema: &'v Value, path: &[impl AsRef<str>]) -> Option<&'v Value> {
    path.iter().try_fold(schema, |at, key| resolve(schema, at).get("properties")?.get(key.as_ref()))
}

fn resolve<'v>(schema: &'v Value, at: &'v Value) -> &'v Value {
    let target = at.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|target| schema.pointer(target)).unwrap_or(at)
}
