//! What a plan is made of: every risk, step and playbook is documented.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use provision::config;
use provision::steps::{NAMES, script};

use crate::markdown::{plain, read, root, table};

/// All Rust files in a folder and below it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// `RestartsDocker` as JSON has it: `restarts-docker`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    kebab
}

/// The variants of an enum in the source, as JSON has them, each with the names of its fields.
fn variants(name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let head = format!("\npub enum {name} {{\n");
    let texts =
        sources(&root().join("src")).into_iter().map(|path| std::fs::read_to_string(path).expect("UTF-8"));
    let text = texts.into_iter().find(|text| text.contains(&head)).expect(name);
    let body = text.split_once(&head).and_then(|(_, rest)| rest.split_once("\n}\n")).expect(name).0;
    let mut variants = BTreeMap::new();
    let mut last = String::new();
    for line in body.lines().filter(|line| !line.trim_start().starts_with(['/', '#', '}'])) {
        match line.strip_prefix("        ").and_then(|line| line.split_once(':')) {
            Some((field, _)) => {
                let fields: &mut BTreeSet<String> = variants.get_mut(&last).expect("a variant");
                fields.insert(field.trim_start_matches("pub ").to_owned());
            }
            None => {
                last = kebab(line.trim().trim_end_matches([',', ' ', '{']));
                variants.insert(last.clone(), BTreeSet::new());
            }
        }
    }
    variants
}

#[test]
fn every_risk_is_documented_with_its_keys() {
    let documented: BTreeMap<_, BTreeSet<_>> = table(&read("docs/json-events.md"), "Risk")
        .iter()
        .map(|row| {
            let keys = row[1].split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (plain(&row[0]), keys)
        })
        .collect();
    let risks = variants("Risk");
    assert!(risks.len() > 5 && risks["restarts-docker"].contains("live_restore"), "{risks:?}");
    assert_eq!(risks, documented, "risks in the source, and those in docs/json-events.md");
}

#[test]
fn every_step_is_documented() {
    let text = read("docs/steps.md");
    let list: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- [")?.split_once("](#"))
        .map(|(name, _)| name.to_owned())
        .take(NAMES.len())
        .collect();
    assert_eq!(list, NAMES, "the list at the top of docs/steps.md");
    let sections: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(sections.starts_with(&NAMES), "the sections of docs/steps.md: {sections:?}");

    // A plan also has steps that no playbook lists: those with a shell file of their own.
    let files = std::fs::read_dir(root().join("scripts/steps")).expect("a folder");
    let files = files.map(|entry| entry.expect("an entry").path());
    let names = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let mut steps: BTreeSet<_> = names.filter(|name| script(name).is_some()).collect();
    steps.extend(NAMES.map(str::to_owned));
    let documented: BTreeSet<_> = table(&read("docs/json-events.md"), "Step")
        .iter()
        .flat_map(|row| plain(&row[0]).split(", ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(steps, documented, "steps that there are, and those in docs/json-events.md");
}

#[test]
fn every_playbook_that_ships_is_documented() {
    let shipped: BTreeSet<_> = config::shipped_playbooks().map(|(name, _)| name.to_owned()).collect();
    let documented: BTreeSet<_> =
        table(&read("docs/playbooks.md"), "Playbook").iter().map(|row| plain(&row[0])).collect();
    assert_eq!(shipped, documented);
}
