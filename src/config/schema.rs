//! The JSON schemas of what people write, for editors, and to explain mistakes.

use schemars::{Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::Value;

use super::playbook::PlaybookFile;
use super::project::ProjectFile;

/// The JSON schema of `provision.toml`.
pub fn schema() -> Value {
    titled(schema_for!(ProjectFile), "provision.toml")
}

/// The JSON schema of a playbook.
pub fn playbook_schema() -> Value {
    titled(schema_for!(PlaybookFile), "A playbook of provision")
}

fn titled(mut schema: Schema, title: &str) -> Value {
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
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
    let at = path.iter().try_fold(schema, |at, key| step(schema, at, key))?;
    let text = at.get("description")?.as_str()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The keys that a schema knows at a path.
pub(super) fn properties(schema: &Value, path: &[&str]) -> Vec<String> {
    let at = path.iter().try_fold(schema, |at, key| step(schema, at, key));
    let properties = at.map(|at| resolve(schema, at)).and_then(|at| at.get("properties")?.as_object());
    properties.into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn step<'v>(schema: &'v Value, at: &'v Value, key: &str) -> Option<&'v Value> {
    resolve(schema, at).get("properties")?.get(key)
}

fn resolve<'v>(schema: &'v Value, at: &'v Value) -> &'v Value {
    let target = at.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|target| schema.pointer(target)).unwrap_or(at)
}
