//! A bundle of many files, asked for by one digest.

use super::*;
use crate::facts::{KnownBundle, Questions};

/// Read-only files, an application's own, and a secret: too many to be asked for one by one.
fn large() -> Case {
    let mut case = Case::new(&[
        ("compose.yaml", NOTES),
        (".env", "A=1\n"),
        ("data/app.db", "one"),
        ("data/sent.conf", "one"),
    ]);
    for number in 0..100 {
        case.write(&format!("conf/{number}"), "a");
    }
    case.options.overwrite = vec!["data/sent.conf".into()];
    case.options.permissions = vec![
        serde_json::from_value(serde_json::json!({ "path": "conf/7", "owner": "1000", "mode": "0640" }))
            .expect("a permission"),
    ];
    case
}

fn asked(case: &Case) -> Questions {
    let mut questions = Questions::new();
    case.step().questions(&mut questions);
    questions
}

fn digest_of(questions: &Questions) -> String {
    let digest = questions.iter().find_map(|question| match question {
        Question::Bundle { digest, .. } => Some(digest.clone()),
        _ => None,
    });
    digest.expect("a digest")
}

/// The facts as a host gives them that compares by itself: those files that differ, one by one.
fn by_digest(case: &Case, differing: &[&str]) -> Facts {
    let mut facts = case.facts.clone();
    let differing: Vec<_> = differing.iter().map(|path| format!("/srv/notes/{path}")).collect();
    facts.files.retain(|path, _| !path.starts_with("/srv/notes/") || differing.contains(path));
    // Its lists are told only where something differs.
    for list in ["manifest", "seeds", "folders"] {
        if let Some(Some(list)) = facts.files.get_mut(&format!("/var/lib/provision/stacks/notes/{list}"))
            && differing.is_empty()
        {
            list.content = None;
        }
    }
    let known =
        KnownBundle { digest: Some(digest_of(&asked(case))), differing: differing.into_iter().collect() };
    facts.bundles.insert("/srv/notes".into(), known);
    facts
}

fn shown(case: &Case, facts: Facts) -> String {
    let plan = case.step().plan(&mut Model { facts, ..Model::default() }).expect("a plan");
    serde_json::to_string_pretty(&plan).expect("JSON")
}

#[test]
fn few_files_are_asked_for_by_name_and_many_by_their_digest() {
    // Not those that Compose would find by their names.
    let is_file = |question: &&Question| {
        question.line().is_some_and(|line| {
            line.contains("\t/srv/notes/")
                && !line.contains("compose.override")
                && !line.contains("/docker-compose.")
        }) && !matches!(question, Question::Presence(path) if path.ends_with("/.env") || path.ends_with("/compose.yml"))
    };
    let few = Case::new(&[("compose.yaml", NOTES), ("conf/a", "a"), ("data/b", "b")]);
    // Each with its folder, but for one that is in none.
    assert_eq!(asked(&few).iter().filter(is_file).count(), 5);
    let many = large();
    assert_eq!(asked(&many).iter().filter(is_file).count(), 0);
    let before = asked(&many).iter().filter_map(Question::line).map(|line| line.len()).sum::<usize>();
    for number in 100..2000 {
        many.write(&format!("more/{}/{number}", number % 20), "a");
    }
    let after = asked(&many).iter().filter_map(Question::line).map(|line| line.len()).sum::<usize>();
    assert_eq!(before, after, "the question is as long for any number of files");
}

#[test]
fn a_digest_tells_what_each_file_would() {
    let mut case = large();
    case.sent();
    assert_eq!(case.bundle().map(|change| change.title), None);
    assert_eq!(shown(&case, by_digest(&case, &[])), shown(&case, case.facts.clone()));

    // Edited, removed, of another mode; the application's own removed by it.
    put(&mut case.facts, "/srv/notes/conf/3", "edited");
    put(&mut case.facts, "/srv/notes/data/sent.conf", "written");
    for gone in ["/srv/notes/conf/4", "/srv/notes/data/app.db"] {
        case.facts.files.insert(gone.into(), None);
    }
    if let Some(Some(file)) = case.facts.files.get_mut("/srv/notes/conf/5") {
        file.mode = 0o777;
    }
    // So are folders: one that was closed, and one that the application has closed.
    for (folder, mode) in [("conf", 0o700), ("data", 0o700)] {
        if let Some(Some(folder)) = case.facts.files.get_mut(&format!("/srv/notes/{folder}")) {
            folder.mode = mode;
        }
    }
    let by_file = shown(&case, case.facts.clone());
    assert!(by_file.contains("send 4 files") && by_file.contains("replaces-edited"), "{by_file}");
    assert!(by_file.contains("conf/ 0700 → 0755") && by_file.contains("resets-permissions"), "{by_file}");
    let differing = ["conf", "conf/3", "conf/4", "conf/5", "data/sent.conf", "data/app.db"];
    assert_eq!(shown(&case, by_digest(&case, &differing)), by_file);
    // A folder that an earlier provision did not know of stays as it is.
    put(&mut case.facts, "/var/lib/provision/stacks/notes/folders", "755\troot:root\tdata\n");
    let by_file = shown(&case, case.facts.clone());
    assert!(!by_file.contains("conf/ 0700"), "{by_file}");
    assert_eq!(shown(&case, by_digest(&case, &differing)), by_file);
}

#[test]
fn where_the_digest_is_another_one_each_file_is_asked_for() {
    let mut case = large();
    case.sent();
    let known = by_digest(&case, &[]);
    assert_eq!(known.by_file(&asked(&case)), None);
    // A change here; and none that any list knows of.
    for (path, text) in [("conf/9", "b"), ("conf/new", "a"), ("data/app.db", "two")] {
        case.write(path, text);
        let again = known.by_file(&asked(&case)).expect("more questions");
        let lines: Vec<_> = again.iter().filter_map(Question::line).collect();
        assert!(lines.iter().all(|line| !line.starts_with("bundle\t")));
        assert!(lines.iter().any(|line| line == "secret-file\t/srv/notes/.env"), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "place\t/srv/notes/data/app.db"), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "presence\t/srv/notes/conf"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("sent-file\t/srv/notes/conf/9\t")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("record\t") && line.ends_with("/seeds\t-")));
    }
    let mut other = large();
    other.options.permissions.clear();
    assert!(known.by_file(&asked(&other)).is_some(), "another owner is another digest");
    // Without an answer, it is asked as well; with no trace of the bundle, it is all new.
    assert!(with_docker("28.3.2").by_file(&asked(&other)).is_some());
    let mut bare = with_docker("28.3.2");
    bare.bundles.insert("/srv/notes".into(), KnownBundle::default());
    assert_eq!(bare.by_file(&asked(&other)), None);
    let all = other.step().plan(&mut Model { facts: bare, ..Model::default() }).expect("a plan");
    let change = all.changes.iter().find(|change| change.id == "stack/bundle").expect("all of it");
    assert_eq!((change.files.len(), change.reason.starts_with("the host does not have them")), (104, true));
}

#[test]
fn the_list_that_is_written_is_the_one_that_is_asked_for() {
    let case = large();
    let change = case.bundle().expect("all of it");
    let text = |name: &str| change.action.unshown.get(name).cloned().unwrap_or_default();
    let sum = crate::digest::sha256(format!("{}{}", text("manifest"), text("expected")).as_bytes());
    assert_eq!(sum, digest_of(&asked(&case)));
    let a = crate::digest::sha256(b"a");
    let one = crate::digest::sha256(b"one");
    for line in [
        "755\t0:0\t-\tfolder\tconf".to_owned(),
        "-\t-\t-\tfolder\tdata".to_owned(),
        format!("644\t0:0\t{a}\tfile\tconf/0"),
        format!("640\t1000:1000\t{a}\tfile\tconf/7"),
        format!("-\t-\t{one}\tseed\tdata/app.db"),
        format!("-\t-\t{one}\tfile\tdata/sent.conf"),
        format!("600\t0:0\t{}\tsecret\t.env", crate::digest::sha256(b"A=1\n")),
    ] {
        assert!(text("expected").lines().any(|written| written == line), "{line}\n{}", text("expected"));
    }
}
