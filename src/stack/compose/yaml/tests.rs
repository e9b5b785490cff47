use super::*;

/// The parser panics where the last line of a block scalar does not end.
#[test]
fn the_last_line_need_not_end() {
    for (text, value) in [
        ("a: |\n  b", "b"),
        ("a: |\n  b\n", "b\n"),
        ("a: |\n  b\n  c", "b\nc"),
        ("a: |-\n  b", "b"),
        ("a: |-\n  b\n", "b"),
        ("a: |+\n  b", "b"),
        ("a: |+\n  b\n\n", "b\n\n"),
        ("a: >\n  b\n  c", "b c"),
        ("a: >-\n  b", "b"),
        ("a: |\n  b\n   ", "b\n "),
        ("a: |", ""),
        ("a: |2", ""),
        ("a: >+", ""),
        ("a: b", "b"),
        ("a: 'b'", "b"),
        ("- |\r\n  b", "b"),
    ] {
        let documents = documents(text, "compose.yaml").unwrap_or_else(|e| panic!("{text:?}: {e}"));
        let found = documents[0].get("a").or_else(|| documents[0].items().first());
        assert_eq!(found.and_then(Node::text), Some(value), "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(
        text in concat!(
            r"([|>][-+]?[0-9]?|[-?:,\[\]{}&*!%']|[\x22#]|[ab] ?|\t|\r|[ü\u{85}\u{2028}\u{feff}\x00]|",
            r"---|\.\.\.|\\x?|\n {0,3}| ){0,24}",
        )
    ) {
        let _ = documents(&text, "compose.yaml");
    }
}
