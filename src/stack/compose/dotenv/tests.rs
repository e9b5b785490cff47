use proptest::prelude::*;

use super::*;

#[test]
fn every_form() {
    let table: [(&str, &[(&str, &str)]); 25] = [
        ("", &[]),
        ("\n# comment\n\r\n  \t# another", &[]),
        ("A=1\nB=2", &[("A", "1"), ("B", "2")]),
        ("A = spaced  \r\nB=\t2", &[("A", "spaced"), ("B", "2")]),
        ("export A=1\nexport\tB=2\nexported=3", &[("A", "1"), ("B", "2"), ("exported", "3")]),
        ("A: yaml\nB: x=y", &[("A", "yaml"), ("B", "x=y")]),
        ("A=\nB=''\nC=\"\"", &[("A", ""), ("B", ""), ("C", "")]),
        (
            "A=x # comment\nB=x#y\nC= # comment\nD=#fff",
            &[("A", "x"), ("B", "x#y"), ("C", "# comment"), ("D", "#fff")],
        ),
        ("A=\"x # y\" # comment", &[("A", "x # y")]),
        ("A='x # y'\t# comment\nB=1", &[("A", "x # y"), ("B", "1")]),
        ("A='$B ${C} \\n'", &[("A", "$B ${C} \\n")]),
        ("A='it\\'s'", &[("A", "it's")]),
        (r#"A="a\"b\\c\n\td\q""#, &[("A", "a\"b\\c\n\td\\q")]),
        (r#"A="\0101\07\0999\x41""#, &[("A", "A\\7\\999\\x41")]),
        (r#"A="\$B $$C \${D}""#, &[("A", "$B $C ${D}")]),
        ("A=\"first\nsecond\"\nB=1", &[("A", "first\nsecond"), ("B", "1")]),
        ("A=1\nB=$A$A\nC=\"${A}x\"\nD=${E:-e}", &[("A", "1"), ("B", "11"), ("C", "1x"), ("D", "e")]),
        ("A=1\nA=2", &[("A", "2")]),
        ("A\nB=1\nC", &[("B", "1")]),
        ("A.b-C[0]=1", &[("A.b-C[0]", "1")]),
        ("A=postgres://u:p@h:5432/d?x=y", &[("A", "postgres://u:p@h:5432/d?x=y")]),
        ("\u{feff}A=1", &[("A", "1")]),
        ("A=${NONE}", &[("A", "")]),
        ("A=ü\nü=1", &[("A", "ü"), ("ü", "1")]),
        ("A=it's \"so\"", &[("A", "it's \"so\"")]),
    ];
    for (text, expected) in table {
        let found = Environment::parse(text, ".env").map(|e| e.values).map_err(|e| e.to_string());
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(found, Ok(expected), "{text:?}");
    }
}

#[test]
fn refusals_name_the_line_and_no_value() {
    let table = [
        "A=1\nlol$wut",
        "A=1\n\n=hunter2",
        "A='x\ny'\nB C=hunter2",
        "\nA=\"hunter2",
        "A='hunter2\n\n",
        "A=hunter2${",
        "A=\"hunter2\n${B:?first}\"",
        "A=1\nB=\0",
    ];
    let shown: Vec<String> = table
        .iter()
        .map(|text| match Environment::parse(text, ".env") {
            Ok(env) => format!("accepted: {env:?}"),
            Err(error) => error.to_string(),
        })
        .collect();
    let shown = shown.join("\n");
    assert!(!shown.contains("hunter2"), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn debug_shows_no_value() {
    let env = Environment::parse("PASSWORD=hunter2", ".env").unwrap();
    assert_eq!(format!("{env:?}"), r#"Environment { names: ["PASSWORD"], .. }"#);
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in "[^\0\r]{0,40}") {
        let values = BTreeMap::from([("A".to_owned(), value.clone()), ("B".to_owned(), "b".to_owned())]);
        let read = Environment::parse(&write(&values), ".env").expect("what we wrote");
        prop_assert_eq!(read.get("A"), Some(value.as_str()));
        prop_assert_eq!(read.get("B"), Some("b"));
    }

    #[test]
    fn never_panics(text in "[A-Ca-c='\"\\\\$#{}:?\n\r\t ü-]{0,60}|.{0,60}") {
        let _ = Environment::parse(&text, ".env");
    }

    #[test]
    fn single_quotes_keep_everything(text in "[^'\\\\\0]{0,40}") {
        let env = Environment::parse(&format!("A='{text}'"), ".env");
        let found = env?;
        prop_assert_eq!(found.get("A"), Some(text.as_str()));
    }
}
