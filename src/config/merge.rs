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
}
