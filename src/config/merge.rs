//! Options laid over options.

use toml::{Table, Value};

/// Lays `above` over `below`: tables key by key, every other value as a whole.
pub(super) fn over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Before that: secrets that a person gives by `above` come to those that are given by `below`, and
/// are made there no more; one that is made by `above` is not given any more.
pub(super) fn given(below: &mut Table, above: &mut Table) {
    let read = |table: &Table, key: &str| -> Vec<Value> {
        let list = table.get("secrets").and_then(|secrets| secrets.get(key)).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let (given, made) = (read(above, "given"), read(above, "generate"));
    for (key, names) in [("generate", &given), ("given", &made)] {
        let list = below.get_mut("secrets").and_then(|secrets| secrets.get_mut(key));
        if let Some(list) = list.and_then(Value::as_array_mut) {
            list.retain(|name| !names.contains(name));
        }
    }
    let list = above.get_mut("secrets").and_then(|secrets| secrets.get_mut("given"));
    if let Some(list) = list.and_then(Value::as_array_mut) {
        let more = read(below, "given").into_iter().filter(|name| !given.contains(name));
        list.splice(0..0, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_go_key_by_key_and_the_rest_is_replaced() {
        for (below, above, expected) in [
            ("a = 1", "b = 2", "a = 1\nb = 2"),
            ("a = 1", "a = 2", "a = 2"),
            ("a = [1, 2]", "a = [3]", "a = [3]"),
            ("t.x = 1\nt.y = 1", "t.y = 2\nt.z = 2", "t.x = 1\nt.y = 2\nt.z = 2"),
            ("t.u.x = 1", "t.u.y = 2", "t.u.x = 1\nt.u.y = 2"),
            ("t = 1", "t.x = 2", "t.x = 2"),
            ("t.x = 1", "t = 2", "t = 2"),
            ("t.x = 1", "t = {}", "t.x = 1"),
        ] {
            let mut merged: Table = below.parse().expect(below);
            over(&mut merged, above.parse().expect(above));
            assert_eq!(merged, expected.parse().expect(expected), "{below} under {above}");
        }
    }
    #[test]
    fn what_is_given_is_not_made() {
        for (below, above, expected) in [
            ("generate = ['a', 'b']", "given = ['b']", "generate = ['a']\ngiven = ['b']"),
            ("generate = ['a']\ngiven = ['b']", "given = ['c']", "generate = ['a']\ngiven = ['b', 'c']"),
            ("given = ['a', 'b']", "generate = ['b']", "generate = ['b']\ngiven = ['a']"),
            ("given = ['a']", "given = ['a']", "given = ['a']"),
            ("generate = ['a']", "", "generate = ['a']"),
            ("", "given = ['a']", "given = ['a']"),
            // A mistake of one file, which the step names.
            ("", "generate = ['a']\ngiven = ['a']", "generate = ['a']\ngiven = ['a']"),
            ("generate = 1", "given = 2", "generate = 1\ngiven = 2"),
        ] {
            let table = |text: &str| -> Table { format!("[secrets]\n{text}").parse().expect(text) };
            let (mut merged, mut over_it) = (table(below), table(above));
            given(&mut merged, &mut over_it);
            over(&mut merged, over_it);
            assert_eq!(merged, table(expected), "{below} under {above}");
        }
    }
}
