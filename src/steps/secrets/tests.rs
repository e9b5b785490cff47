use super::*;
use crate::steps::tests::{bare, options, put};

const TEXT: &str = r#"
secrets.generate = ["db", "page"]
secrets.files = [
  { path = "server.env", lines = ["PASSWORD={db}", 'AUTH={"admin": "{page}"}'] },
  { path = "db_password", owner = "999:999", lines = ["{db}"] },
]"#;

fn plan(text: &str, made: Option<&str>) -> Result<PlannedStep, Refusal> {
    let mut facts = bare();
    if let Some(made) = made {
        put(&mut facts, "/etc/provision/secrets/shop/made", made);
    }
    let mut model = Model { facts, ..Model::default() };
    Secrets::new(options(text).secrets, "shop").plan(&mut model)
}

#[test]
fn they_are_made_once() {
    let step = plan(TEXT, None).expect("it can be planned");
    let change = &step.changes[0];
    assert_eq!(
        change.title,
        "make the secrets db, page in /etc/provision/secrets/shop, and 2 files with them"
    );
    let templates = &change.action.arguments["templates"];
    let made: String = templates
        .lines()
        .filter_map(|line| line.strip_prefix('@'))
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            format!("file {} {}\n", words[0], words[2])
        })
        .collect();
    let made = format!("value db\nvalue page\n{made}");
    assert!(plan(TEXT, Some(&made)).expect("it can be planned").changes.is_empty());
    let other = TEXT.replace("admin", "root");
    let step = plan(&other, Some(&made)).expect("it can be planned");
    assert_eq!(step.changes[0].title, "write server.env with secrets in /etc/provision/secrets/shop");
    let more = TEXT.replace("\"page\"]", "\"page\", \"more\"]");
    let step = plan(&more, Some(&made)).expect("it can be planned");
    assert_eq!(step.changes[0].title, "make the secrets more in /etc/provision/secrets/shop");
}

#[test]
fn mistakes_are_named() {
    for (text, expected) in [
        ("secrets.generate = [\"a b\"]", "`a b` is no name for a secret"),
        ("secrets.generate = [\"../x\"]", "`../x` is no name for a secret"),
        ("secrets.files = [{ path = \"made\", lines = [] }]", "`made` is no name for a file"),
        ("secrets.files = [{ path = \"a\", owner = \"root\", lines = [] }]", "`root` is no owner for a"),
        ("secrets.files = [{ path = \"a\", lines = [\"x={db}\"] }]", "a wants the secret `db`"),
        ("secrets.files = [{ path = \"a\", lines = [\"x\\ny\"] }]", "a line of a has a control character"),
        ("secrets.generate = [\"a.next\"]", "`a.next` is no name for a secret"),
        ("secrets.given = [\"a b\"]", "`a b` is no name for a secret"),
        ("secrets.generate = [\"a\"]\nsecrets.given = [\"a\"]", "the secret `a` is there twice"),
    ] {
        let refusal = plan(text, None).expect_err(text);
        assert!(refusal.what.contains(expected), "{text}: {}", refusal.what);
    }
}

const GIVEN: &str = r#"
secrets.generate = ["page"]
secrets.given = ["db"]
secrets.files = [
  { path = "page", lines = ["{page}"] },
  { path = "db", lines = ["x{db}"] },
]"#;

/// What the host has when all that the change wants is made.
fn made(change: &Change) -> String {
    let values = |kind: &str| {
        let names = change.action.arguments[if kind == "value" { "values" } else { "given" }].lines();
        names.map(|name| format!("{kind} {name}\n")).collect::<String>()
    };
    let files = change.action.arguments["templates"].lines().filter_map(|line| line.strip_prefix('@'));
    let files = files.map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        format!("file {} {}\n", words[0], words[2])
    });
    values("value") + &values("given") + &files.collect::<String>()
}

/// Ids, titles and reasons.
fn told(step: &PlannedStep) -> Vec<String> {
    let told = |change: &Change| format!("{}: {} ({})", change.id, change.title, change.reason);
    step.changes.iter().map(told).collect()
}

#[test]
fn what_a_person_gives_is_taken_before_files_are_written() {
    let step = plan(GIVEN, None).expect("it can be planned");
    assert_eq!(step.state, "1 value, known only to the host; 1 value, provided by you");
    assert_eq!(
        told(&step),
        [
            "secrets/given: take the secret db, which will be asked for (the host does not have it yet)",
            "secrets/made: make the secrets page in /etc/provision/secrets/shop, and 2 files with them (the host does not have them yet; their values never leave it)",
        ]
    );
    assert_eq!(step.changes[0].action.arguments[ASKED], "db\n");
    let all = made(&step.changes[1]);
    assert!(plan(GIVEN, Some(&all)).expect("it can be planned").changes.is_empty());
    // Given by `provision secrets set`, ahead of all else.
    let step = plan(GIVEN, Some("given db\n")).expect("it can be planned");
    assert_eq!(step.changes.len(), 1, "{:?}", told(&step));
    // The host has made one of that name: it is not what a person would give.
    let step = plan(GIVEN, Some(&all.replace("given db", "value db"))).expect("it can be planned");
    assert_eq!(
        told(&step),
        [
            "secrets/given: take the secret db, which will be asked for (the host does not have it yet)",
            "secrets/made: write db with secrets in /etc/provision/secrets/shop (their contents change)",
        ]
    );
    // And the other way round what was given stays.
    let back = GIVEN.replace(r#"["page"]"#, r#"["page", "db"]"#).replace(r#"given = ["db"]"#, "given = []");
    assert!(plan(&back, Some(&all)).expect("it can be planned").changes.is_empty());
}

#[test]
fn a_file_that_is_not_told_as_made_is_written() {
    let all = made(&plan(GIVEN, None).expect("it can be planned").changes[1]);
    let without: String =
        all.lines().filter(|line| !line.starts_with("file db ")).map(|line| format!("{line}\n")).collect();
    let step = plan(GIVEN, Some(&without)).expect("it can be planned");
    assert_eq!(
        told(&step),
        ["secrets/made: write db with secrets in /etc/provision/secrets/shop (they do not exist yet)"]
    );
}

#[test]
fn giving_takes_a_name_from_what_is_made() {
    let mut options = options(GIVEN).secrets;
    options.give("page");
    options.give("db");
    assert_eq!((options.generate, options.given), (vec![], vec!["db".to_owned(), "page".to_owned()]));
}

fn renewed(text: &str, made: Option<&str>, name: &str, given: bool) -> Result<(PlannedStep, Model), Refusal> {
    let mut facts = bare();
    if let Some(made) = made {
        put(&mut facts, "/etc/provision/secrets/shop/made", made);
    }
    let mut model = Model { facts, ..Model::default() };
    let renewal = Renewal { name: name.into(), given };
    let step = Secrets::new(options(text).secrets, "shop").renewing(Some(renewal)).plan(&mut model)?;
    Ok((step, model))
}

#[test]
fn one_value_is_another() {
    let all = made(&plan(GIVEN, None).expect("it can be planned").changes[1]);
    let (step, model) = renewed(GIVEN, Some(&all), "page", false).expect("it can be planned");
    assert_eq!(
        told(&step),
        [
            "secrets/rotated: change the secret page, and write page with it (the host generates a new value, which never leaves it)"
        ]
    );
    let arguments = &step.changes[0].action.arguments;
    assert_eq!((arguments["source"].as_str(), arguments.get(ASKED)), ("new", None));
    assert!(!step.changes[0].risks.is_empty());
    assert_eq!(model.secret_files.into_iter().collect::<Vec<_>>(), ["/etc/provision/secrets/shop/page"]);
    let (step, model) = renewed(GIVEN, Some(&all), "db", true).expect("it can be planned");
    let arguments = &step.changes[0].action.arguments;
    assert_eq!((arguments["source"].as_str(), arguments[ASKED].as_str()), ("next", "db\n"));
    assert_eq!(model.secret_files.into_iter().collect::<Vec<_>>(), ["/etc/provision/secrets/shop/db"]);
    // Given for the first time: one change takes it, not two.
    let (step, _) =
        renewed(GIVEN, Some(&all.replace("given db", "value db")), "db", true).expect("it can be planned");
    let ids: Vec<_> = step.changes.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(ids, ["secrets/given", "secrets/made"]);
}

#[test]
fn what_is_not_there_is_not_changed() {
    for (made, expected) in [
        (None, "the host has no secrets of shop yet"),
        (Some("value other\n"), "the host does not have the secret page yet"),
    ] {
        let refusal = renewed(GIVEN, made, "page", false).expect_err(expected);
        assert_eq!(refusal.what, expected);
        assert!(refusal.hints[0].contains("provision up"), "{:?}", refusal.hints);
    }
}
