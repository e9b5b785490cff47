//! Settings in tables of tables, each found by its path.

use serde_json::{Map, Value};

type Table = Map<String, Value>;

/// All settings with their paths: what is no table with something in it.
pub(super) fn leaves(table: &Table) -> impl Iterator<Item = (Vec<String>, Value)> {
    let mut leaves = Vec::new();
    collect(table, &mut Vec::new(), &mut leaves);
    leaves.into_iter()
}

fn collect(table: &Table, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Object(inner) if !inner.is_empty() => collect(inner, path, leaves),
            value => leaves.push((path.clone(), value.clone())),
        }
        path.pop();
    }
}

pub(super) fn get<'t>(table: &'t Table, path: &[String]) -> Option<&'t Value> {
    match path {
        [] => None,
        [key] => table.get(key),
        [key, rest @ ..] => get(table.get(key)?.as_object()?, rest),
    }
}

/// What is in the way and no table gives way.
pub(super) fn set(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = table.entry(key.clone()).or_insert_with(|| Table::new().into());
            if !inner.is_object() {
                *inner = Table::new().into();
            }
            if let Some(inner) = inner.as_object_mut() {
                set(inner, rest, value);
            }
        }
    }
}

/// And the tables that have nothing in them then.
pub(super) fn remove(table: &mut Table, path: &[String]) {
    let Some((key, rest)) = path.split_first() else { return };
    match table.get_mut(key).and_then(Value::as_object_mut) {
        Some(inner) if !rest.is_empty() => {
            remove(inner, rest);
            if inner.is_empty() {
                table.shift_remove(key);
            }
        }
        _ if rest.is_empty() => {
            table.shift_remove(key);
        }
        _ => {}
    }
}
