use super::*;

/// They are looked up by halves.
#[test]
fn keys_stand_in_order() {
    fn walk(kind: &ValueKind, depth: usize) {
        match kind {
            // `watch` has hooks, and nothing goes deeper.
            _ if depth > 12 => panic!("the table goes in circles"),
            ValueKind::Keys(keys) => all(keys, depth),
            ValueKind::List(below)
            | ValueKind::Set(below)
            | ValueKind::Dict(below)
            | ValueKind::Named(below)
            | ValueKind::Optional(below) => {
                walk(below, depth + 1);
            }
            ValueKind::OneOf(kinds) => kinds.iter().for_each(|kind| walk(kind, depth + 1)),
            _ => {}
        }
    }
    fn all(keys: &Keys, depth: usize) {
        assert!(keys.keys.is_sorted_by_key(|(key, _)| *key), "{}", keys.what);
        keys.keys.iter().for_each(|(_, kind)| walk(kind, depth + 1));
        for key in keys.required {
            assert!(keys.keys.iter().any(|(known, _)| known == key), "{key} of {}", keys.what);
        }
    }
    all(&keys::FILE, 0);
}

#[test]
fn pull_policies() {
    for text in [
        "always",
        "never",
        "missing",
        "if_not_present",
        "build",
        "daily",
        "weekly",
        "every_12h",
        "every_1w2d",
    ] {
        assert!(is_pull_policy(text), "{text}");
    }
    for text in ["", "Always", " always", "newer", "every_", "every_12", "every_h", "every_1.5h", "every_1h2"]
    {
        assert!(!is_pull_policy(text), "{text}");
    }
}

#[test]
fn lengths_of_time() {
    for text in ["0", "5s", "1m30s", "1.5h", "500ms", "1d", "2w", "-1s", "10us", ".5s"] {
        assert!(is_duration(text), "{text}");
    }
    for text in ["", "5", "s", "5 s", "5x", "1m30", "1..5s", "five"] {
        assert!(!is_duration(text), "{text}");
    }
}

#[test]
fn sizes() {
    for text in ["1", "512m", "1g", "1.5GB", "1 GiB", "10kb", "-1"] {
        assert!(is_size(text), "{text}");
    }
    for text in ["", "m", "1x", "1 m b", "one", "-2"] {
        assert!(!is_size(text), "{text}");
    }
}
