//! The documents say what the program does: options, exit codes, events, commands and
//! examples are held against it.

#![expect(clippy::expect_used, reason = "a test says what it misses by failing")]

mod markdown;
mod plans;

use std::collections::{BTreeMap, BTreeSet};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use provision::cli::Cli;
use provision::config;
use serde_json::Value;

use markdown::{blocks, blocks_of, documents, plain, read, root, rows, spans, table};

// --- options -----------------------------------------------------------------

/// The options of each step with their defaults, as the schema has them.
fn options() -> BTreeMap<String, BTreeMap<String, Option<Value>>> {
    let schema = config::schema();
    let resolve = |value: &Value| -> Value {
        match value["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
            Some(target) => schema.pointer(target).expect(target).clone(),
            None => value.clone(),
        }
    };
    let properties = |value: &Value| value["properties"].as_object().expect("properties").clone();
    properties(&resolve(&schema["properties"]["steps"]))
        .iter()
        .map(|(step, value)| {
            let default = |option: &Value| option.get("default").filter(|value| !value.is_null()).cloned();
            let options = properties(&resolve(value));
            (step.clone(), options.iter().map(|(name, option)| (name.clone(), default(option))).collect())
        })
        .collect()
}

/// The section under `## NAME`.
fn section<'t>(text: &'t str, name: &str) -> &'t str {
    let head = format!("\n## {name}\n");
    let start = text.find(&head).map(|at| at + head.len()).expect(name);
    let rest = &text[start..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

#[test]
fn every_option_is_documented_with_its_default() {
    let text = read("docs/steps.md");
    for (step, options) in options() {
        let section = section(&text, &step);
        let documented: BTreeMap<_, _> = rows(section)
            .into_iter()
            .filter(|row| row.len() == 4)
            .map(|row| (row[0].trim_matches('`').to_owned(), row[2].trim_matches('`').to_owned()))
            .collect();
        let names: BTreeSet<_> = options.keys().collect();
        assert_eq!(names, documented.keys().collect(), "options of {step}: the schema, and docs/steps.md");
        for (name, default) in &options {
            let default = default.as_ref().map_or_else(|| "none".to_owned(), Value::to_string);
            assert_eq!(default, documented[name], "the default of {step}.{name}");
            let example = blocks_of(section).iter().any(|line| line.starts_with(&format!("{name} =")));
            let table = section.contains(&format!("[steps.{step}.{name}]"));
            assert!(example || table, "{step}.{name} is in no example");
        }
    }
}

// --- exit codes --------------------------------------------------------------

#[test]
fn every_exit_code_is_documented() {
    let help = Cli::command().render_long_help().to_string();
    let (_, list) = help.split_once("Exit codes:").expect("exit codes in --help");
    let told: Vec<_> = list
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .map(|(code, meaning)| (code.to_owned(), meaning.trim().to_owned()))
        .collect();
    let documented: Vec<_> = rows(&read("docs/exit-codes.md"))
        .into_iter()
        .map(|row| (row[0].clone(), row[1].replace('`', "")))
        .collect();
    let told: Vec<_> = told.into_iter().map(|(code, meaning)| (code, meaning.replace('`', ""))).collect();
    assert!(told.len() > 5, "{help}");
    assert_eq!(told, documented, "provision --help, and docs/exit-codes.md");
}

// --- events ------------------------------------------------------------------

/// The names of the events in lines of JSON; lines of other objects have none.
fn events<'l>(lines: impl Iterator<Item = &'l str>) -> BTreeSet<String> {
    lines
        .map(|line| serde_json::from_str::<Value>(line).expect(line))
        .filter_map(|event| event["event"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn every_event_is_documented() {
    let snapshot = read("src/report/snapshots/provision__report__json__tests__every_event_is_one_line.snap");
    let told = events(snapshot.lines().filter(|line| line.starts_with('{')));
    let text = read("docs/json-events.md");
    let shown = events(blocks_of(&text).into_iter().filter(|line| line.starts_with('{')));
    assert_eq!(told, shown, "events that there are, and those shown in docs/json-events.md");
    let explained: BTreeSet<_> = table(&text, "Event").iter().map(|row| plain(&row[0])).collect();
    assert_eq!(told, explained, "events that there are, and those explained in docs/json-events.md");
}

// --- commands ----------------------------------------------------------------

/// The arguments of each call of `provision` in a line of shell.
fn calls(line: &str) -> Vec<Vec<String>> {
    // What stands in quotes is one word, and no call of its own.
    let outside = |(index, part)| if index % 2 == 0 { part } else { "x" };
    let line: String = line.split('"').enumerate().map(outside).collect();
    let line = line.split(" #").next().unwrap_or_default();
    let mut calls = Vec::new();
    for command in line.split(['|', ';', '(', ')']).flat_map(|part| part.split("&&")) {
        let words: Vec<_> = command.split_whitespace().collect();
        let is_set = |word: &&str| word.split_once('=').is_some_and(|(name, _)| !name.contains('-'));
        let start = words.iter().position(|word| *word != "sudo" && !is_set(word)).unwrap_or(0);
        let end = words.iter().position(|word| word.starts_with(['>', '<'])).unwrap_or(words.len());
        if let Some(call) = words.get(start..end).filter(|call| call.first() == Some(&"provision")) {
            calls.push(call.iter().map(|word| (*word).to_owned()).collect());
        }
    }
    calls
}

/// The commands that a reader types: in `sh` each line, in `console` those behind `$ `.
fn typed() -> Vec<(String, String)> {
    let mut typed = Vec::new();
    for block in blocks() {
        for line in &block.lines {
            let command = match block.kind.as_str() {
                "sh" => Some(line.as_str()),
                "console" => line.strip_prefix("$ "),
                _ => None,
            };
            typed.extend(command.map(|command| (block.place.clone(), command.to_owned())));
        }
    }
    typed
}

#[test]
fn every_command_is_one_that_provision_takes() {
    let mut count = 0;
    let mut check = |place: &str, line: &str, allowed: &[ErrorKind]| {
        for call in calls(line) {
            count += 1;
            if let Err(error) = Cli::try_parse_from(&call) {
                assert!(allowed.contains(&error.kind()), "{place}: {}\n{error}", call.join(" "));
            }
        }
    };
    let help = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
    for (place, line) in typed() {
        check(&place, &line, &help);
    }
    // A text may name a command without its arguments.
    for (place, span) in spans().into_iter().filter(|(_, span)| span.starts_with("provision ")) {
        check(&place, &span, &[ErrorKind::MissingRequiredArgument]);
    }
    assert!(count > 30, "only {count} commands were found");
}

#[test]
fn every_verb_is_shown() {
    let lines = typed().into_iter().chain(spans());
    let shown: BTreeSet<_> =
        lines.flat_map(|(_, line)| calls(&line)).filter_map(|call| call.get(1).cloned()).collect();
    for verb in Cli::command().get_subcommands().map(clap::Command::get_name) {
        assert!(shown.contains(verb), "no document shows `provision {verb}`");
    }
}

#[test]
fn commands_are_found_in_shell() {
    let line = "A=\"$(x)\" provision up web1 --yes | tail && sudo provision plan web1 > file # provision";
    assert_eq!(calls(line), [vec!["provision", "up", "web1", "--yes"], vec!["provision", "plan", "web1"]]);
    assert_eq!(calls("provision: a word"), Vec::<Vec<String>>::new());
}

#[test]
fn every_script_that_is_named_is_there() {
    for (place, line) in typed() {
        for word in line.split(|c: char| c.is_whitespace() || "\"'()$".contains(c)) {
            let path = word.trim_start_matches("./");
            if path.starts_with("scripts/") {
                assert!(root().join(path).exists(), "{place}: there is no {path}");
            }
        }
    }
}

// --- settings and playbooks --------------------------------------------------

#[test]
fn every_example_of_a_file_is_read() {
    let mut count = 0;
    for block in blocks().into_iter().filter(|block| block.kind.starts_with("toml")) {
        count += 1;
        let place = &block.place;
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect(name);
        write("compose.yaml", "services: {web: {image: x}}\n");
        let text = block.lines.join("\n");
        if let Some(name) = block.lines.iter().find_map(|line| line.strip_prefix("ca = \"")) {
            let path = folder.path().join(name.trim_end_matches('"'));
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, "-----BEGIN CERTIFICATE-----\n").expect(name);
        }
        let playbook = match block.kind.as_str() {
            "toml provision.toml" => {
                write("provision.toml", &text);
                // In whatever folder the example has its stack.
                text.contains("path =").then_some("compose")
            }
            "toml playbook" => {
                write("example.toml", &text);
                Some("./example.toml")
            }
            other => panic!("{place}: say what it is, as `toml provision.toml` or `toml playbook`: {other}"),
        };
        match config::load(folder.path(), playbook, None) {
            Ok(settings) => assert_eq!(settings.warnings, Vec::<String>::new(), "{place}"),
            Err(error) => panic!("{place}: {error}"),
        }
    }
    assert!(count > 5, "only {count} examples were found");
}

// --- links -------------------------------------------------------------------

/// A heading as the end of a link names it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let plain: String = heading.chars().filter(kept).collect();
    plain.trim().to_lowercase().replace(' ', "-")
}

#[test]
fn the_readme_links_every_document() {
    let readme = read("README.md");
    for (path, _) in documents().iter().filter(|(path, _)| path.starts_with(root().join("docs"))) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(readme.contains(&format!("](docs/{name})")), "README.md has no link to docs/{name}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&target).expect(link);
                let there = text
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#')) == heading);
                assert!(there, "{}: {link} names no heading", path.display());
            }
        }
    }
}
