//! What stays here, and what the host has of it.

use super::*;

#[test]
fn the_plan_says_what_travels_and_what_stays() {
    let mut case =
        Case::new(&[("compose.yaml", NOTES), ("conf/a", "a"), (".gitignore", "*.log\n"), ("a.log", "xx")]);
    fs::create_dir(case.folder.path().join(".git")).expect("a folder");
    let change = case.bundle().expect("all of it");
    assert_eq!(change.title, "send 3 files (97 bytes) to /srv/notes");
    assert_eq!(change.reason, "the host does not have them; left out: a.log (2 bytes, ignored by git)");
    case.sent();
    assert!(case.bundle().is_none());
    case.write("a.log", "it grows");
    assert!(case.bundle().is_none(), "nothing of it is the host's");
}

#[test]
fn what_dockerignore_leaves_out_changes_nothing() {
    let text = "services:\n  app:\n    build: .\n    volumes: [\"./docs/seen:/seen:ro\"]\n";
    let mut case = Case::new(&[
        ("compose.yaml", text),
        ("Dockerfile", "FROM a\n"),
        (".dockerignore", "docs\nDockerfile\n"),
        ("docs/a", "a"),
        ("docs/seen", "a"),
    ]);
    assert_eq!(
        paths(&case.bundle().expect("files").files),
        [".dockerignore", "Dockerfile", "compose.yaml", "docs/seen"].map(|path| format!("/srv/notes/{path}"))
    );
    case.sent();
    case.write("docs/a", "b");
    case.write("docs/new", "b");
    assert!(case.bundle().is_none());
    case.write("docs/seen", "b");
    assert_eq!(paths(&case.bundle().expect("a file").files), ["/srv/notes/docs/seen"]);
}

/// What an earlier version has sent goes from the host only after the plan has said why.
#[test]
fn what_is_no_longer_sent_is_explained() {
    let text = "services:\n  app:\n    image: a\n    volumes: [\"./web:/web:ro\"]\n";
    let mut case = Case::new(&[
        ("compose.yaml", text),
        ("web/app.js", "1"),
        ("web/node_modules/a", "1"),
        ("web/node_modules/b", "1"),
        ("env/pyvenv.cfg", "1"),
        ("gone", "1"),
    ]);
    case.options.include = vec!["web/node_modules/".into(), "env/".into()];
    case.sent();
    case.options.include.clear();
    fs::remove_file(case.folder.path().join("gone")).expect("a file");
    let change = case.bundle().expect("files that go");
    assert_eq!(change.title, "remove 4 files from /srv/notes");
    assert_eq!(
        change.reason,
        "no longer sent; still in the folder here: env/ and 1 more; left out: \
         web/node_modules/ (2 files, 2 bytes), env/ (1 file, 1 byte)"
    );
    let warnings = case.plan().expect("a plan").warnings;
    assert_eq!(
        warnings,
        [
            "web/node_modules/ is no longer sent and goes from the host, where app mounts it (compose.yaml:4); to keep \
          it, set `include = [\"web/node_modules/\"]` in [steps.stack]"
        ]
    );
}

#[test]
fn a_link_to_a_folder_is_announced() {
    let case = Case::new(&[("compose.yaml", NOTES), ("conf/a", "a"), ("releases/1/x", "x")]);
    std::os::unix::fs::symlink("releases/1", case.folder.path().join("current")).expect("a link");
    let warnings = case.plan().expect("a plan").warnings;
    assert!(
        warnings.iter().any(|text| text.starts_with("current is a symbolic link to the folder releases/1; ")),
        "{warnings:?}"
    );
}
