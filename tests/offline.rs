//! A plan from recorded facts, by the program itself: nobody is asked, and nothing is there to ask.

#![expect(clippy::expect_used, reason = "a test says what it misses by failing")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/facts").join(name)
}

/// `provision plan --facts FILE …` in a folder of its own, with no ssh and no other program in reach.
fn plan(folder: &TempDir, facts: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_provision"))
        .args(["plan", "--facts"])
        .arg(facts)
        .args(more)
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", folder.path())
        .env("HOME", folder.path())
        .output()
        .expect("provision starts")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// What a plan that was made says on stdout.
fn planned(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    said(&output.stdout)
}

/// What a plan that was not made says on stderr.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}{}", said(&output.stdout), said(&output.stderr));
    assert_eq!(said(&output.stdout), "");
    said(&output.stderr)
}

#[test]
fn a_bare_host_gets_docker() {
    let (folder, facts) = (folder(), recorded("debian12-fresh.txt"));
    let text = planned(&plan(&folder, &facts, &["--playbook", "docker"]));
    // The host is called what it calls itself, or as it is named.
    assert!(text.contains("debian12"), "{text}");
    for change in
        ["add Docker's apt repository", "install Docker Engine and Compose", "3 changes on debian12"]
    {
        assert!(text.contains(change), "{change} is not in the plan:\n{text}");
    }
    let named = planned(&plan(&folder, &facts, &["deploy@203.0.113.7", "--playbook", "docker"]));
    assert_eq!(named, text.replace("debian12", "deploy@203.0.113.7"));
}

#[test]
fn the_same_facts_give_the_same_plan() {
    let (folder, facts) = (folder(), recorded("debian12-fresh.txt"));
    let more = ["--playbook", "docker", "--markdown"];
    let text = planned(&plan(&folder, &facts, &more));
    assert!(text.starts_with('#'), "{text}");
    assert_eq!(planned(&plan(&folder, &facts, &more)), text);
}

#[test]
fn a_program_gets_events() {
    let output = plan(&folder(), &recorded("debian12-fresh.txt"), &["--playbook", "docker", "--json"]);
    let events: Vec<Value> =
        planned(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert!(names.iter().all(|name| matches!(*name, "warning" | "planned")), "{names:?}");
    let plan = events.iter().find(|event| event["event"] == "planned").expect("a plan");
    assert_eq!(plan["host"], "debian12");
    assert_eq!(plan["plan"]["steps"][2]["changes"][2]["id"], "docker/engine");
}

#[test]
fn a_recording_for_another_playbook_says_what_it_leaves_open() {
    let output = plan(&folder(), &recorded("debian13-busy.txt"), &["--playbook", "docker"]);
    let warnings = said(&output.stderr);
    assert!(warnings.contains("not recorded for this playbook"), "{warnings}");
    let output = plan(&folder(), &recorded("debian12-fresh.txt"), &["--playbook", "docker"]);
    assert_eq!(said(&output.stderr), "");
}

#[test]
fn registries_are_not_asked_and_it_says_so() {
    let folder = folder();
    let project = "name: demo\nservices: {web: {image: registry.invalid/web:1}}\n";
    std::fs::write(folder.path().join("compose.yaml"), project).expect("a Compose file");
    let output = plan(&folder, &recorded("debian12-fresh.txt"), &["--playbook", "compose"]);
    let text = planned(&output);
    assert!(text.contains("pull registry.invalid/web:1"), "{text}");
    let warnings = said(&output.stderr);
    assert_eq!(
        warnings,
        "warning: registries are not asked: whether they have registry.invalid/web:1, and its size, is not known\n"
    );
}

#[test]
fn one_recording_is_of_one_host() {
    let output = plan(&folder(), &recorded("debian12-fresh.txt"), &["web1", "web2", "--playbook", "docker"]);
    let text = refused(&output);
    assert!(text.contains("2 hosts are named"), "{text}");
}

#[test]
fn it_is_not_saved() {
    let output =
        plan(&folder(), &recorded("debian12-fresh.txt"), &["--playbook", "docker", "--out", "web1.plan"]);
    assert!(refused(&output).contains("cannot be used with"), "{}", said(&output.stderr));
}

#[test]
fn what_is_no_recording_is_refused_with_its_place() {
    let folder = folder();
    let path = folder.path().join("web1.facts");
    let text = refused(&plan(&folder, &path, &["--playbook", "docker"]));
    assert!(text.contains("web1.facts cannot be read"), "{text}");
    std::fs::write(&path, "provision-facts 1\ncpus\ttwo\nend\n").expect("a file");
    let text = refused(&plan(&folder, &path, &["--playbook", "docker"]));
    assert!(text.contains("web1.facts, line 2, `cpus`: a whole number was expected"), "{text}");
    assert!(text.contains("provision facts HOST --raw > FILE"), "{text}");
}
