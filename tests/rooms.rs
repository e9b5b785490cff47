//! The rooms of the house: the top-level modules, and which may import which.
//!
//! The picture of them in CONTRIBUTING.md is drawn from the code:
//! `PROVISION_ROOMS=draw cargo test --test rooms` writes it.

#![expect(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room imports only rooms that stand before it.
const ORDER: [&str; 17] = [
    "text",
    "time",
    "digest",
    "script",
    "nearest",
    "host",
    "facts",
    "plan",
    "stack",
    "steps",
    "exposure",
    "report",
    "run",
    "user_data",
    "config",
    "cli",
    "commands",
];

/// Any room may use these, so the picture leaves them out.
const LEAVES: usize = 5;

/// Where one room names another.
struct Import {
    from: String,
    to: String,
    place: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The room of `src/host/ssh.rs` is `host`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a source");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a line names: `crate::host`, `crate::{host, text}`.
fn named(line: &str) -> Vec<&str> {
    let word = |text: &'_ str| text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
    let mut names = Vec::new();
    for (at, prefix) in line.match_indices("crate::") {
        let rest = &line[at + prefix.len()..];
        match rest.strip_prefix('{') {
            // What follows a comma outside further braces is a room as well.
            Some(list) => {
                let mut depth = 0;
                let mut begins = true;
                for (at, character) in list.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        ' ' => {}
                        _ if begins => {
                            names.push(&list[at..at + word(&list[at..])]);
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
            None => names.push(&rest[..word(rest)]),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn imports() -> Vec<Import> {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let from = room(&path);
        // Tests may look at the whole: they render the plans that steps make.
        let is_test = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        if is_test || ["lib", "main"].contains(&from.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            let shown = path.strip_prefix(root()).expect("a source").display();
            found.extend(named(line).into_iter().filter(|to| *to != from).map(|to| Import {
                from: from.clone(),
                to: to.to_owned(),
                place: format!("{shown}:{}: {}", number + 1, line.trim()),
            }));
        }
    }
    found
}

#[test]
fn imports_go_one_way() {
    let at = |name: &str| ORDER.iter().position(|room| *room == name);
    let mut wrong = String::new();
    let imports = imports();
    assert!(imports.len() > 100, "only {} imports were found", imports.len());
    for import in imports {
        match (at(&import.from), at(&import.to)) {
            (Some(from), Some(to)) if to < from => {}
            (Some(_), Some(_)) => {
                let _ = writeln!(wrong, "{}\n  {} stands after {}", import.place, import.to, import.from);
            }
            _ => {
                let _ =
                    writeln!(wrong, "{}\n  {} or {} is not in ORDER", import.place, import.from, import.to);
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the order of ORDER:\n{wrong}");
}

#[test]
fn rooms_are_found_in_lines() {
    for (line, expected) in [
        ("use crate::host;", vec!["host"]),
        ("use crate::host::{Host, Way};", vec!["host"]),
        ("use crate::{facts::Facts, host::{A, b}, text};", vec!["facts", "host", "text"]),
        ("let a = crate::text::bytes(crate::plan::count());", vec!["text", "plan"]),
        ("use super::host;", vec![]),
    ] {
        assert_eq!(named(line), expected, "{line}");
    }
}

/// The picture: an arrow where no longer way leads to the same room.
fn picture() -> String {
    let mut direct: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let imports = imports();
    for import in &imports {
        let [Some(from), Some(to)] =
            [&import.from, &import.to].map(|name| ORDER.iter().find(|room| *room == name))
        else {
            continue;
        };
        if ORDER.iter().position(|room| room == to) >= Some(LEAVES) {
            direct.entry(from).or_default().insert(to);
        }
    }
    let mut out = String::from("```mermaid\nflowchart TD\n");
    for (from, rooms) in &direct {
        for to in rooms {
            let is_longer = rooms.iter().any(|by| by != to && leads(&direct, by, to));
            if !is_longer {
                let _ = writeln!(out, "    {from} --> {to}");
            }
        }
    }
    out.push_str("```\n");
    out
}

fn leads(direct: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> bool {
    direct.get(from).is_some_and(|rooms| rooms.contains(to) || rooms.iter().any(|by| leads(direct, by, to)))
}

#[test]
fn the_picture_is_that_of_the_code() {
    let path = root().join("CONTRIBUTING.md");
    let text = fs::read_to_string(&path).expect("CONTRIBUTING.md");
    let start = text.find("```mermaid\nflowchart TD\n").expect("a picture of the rooms");
    let end = start + text[start + 3..].find("```\n").expect("its end") + 7;
    let drawn = picture();
    if std::env::var_os("PROVISION_ROOMS").is_some() {
        fs::write(&path, format!("{}{drawn}{}", &text[..start], &text[end..])).expect("CONTRIBUTING.md");
        return;
    }
    assert_eq!(&text[start..end], drawn, "PROVISION_ROOMS=draw cargo test --test rooms draws it");
}
