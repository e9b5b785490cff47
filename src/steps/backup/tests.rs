use std::collections::BTreeMap;

use super::*;
use crate::stack::bundle::{Bundle, Choice};
use crate::stack::compose::{Environment, Loading};
use crate::stack::shipped;

/// The stack that ships, with these settings.
fn prefect(env: &[(&str, &str)]) -> Result<Backup, Refusal> {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("prefect");
    shipped::write("prefect", &folder).expect("it is written");
    let env: BTreeMap<_, _> =
        env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let known = std::fs::read_to_string(folder.join(".env")).expect(".env");
    let known = Environment::parse(&known, ".env").expect("its settings");
    assert!(env.keys().all(|key| known.get(key).is_some()), "{env:?}");
    let loading = Loading { env, ..Loading::default() };
    let project = Project::load_with(&folder, &loading).expect("a project");
    let bundle = Bundle::collect(&folder, &Choice { project: Some(&project), ..Choice::default() })
        .expect("its files");
    let options = StackOptions {
        queues: vec!["redis".into(), "none".into()],
        proof: Some("selftest".into()),
        ..StackOptions::default()
    };
    Backup::of(&options, &StackInput { project, bundle, origin: "here".into() })
}

fn chosen(present: Option<u64>) -> Chosen {
    Chosen {
        file: "last/prefect-20261122-115227.sql.gz".into(),
        database: "prefect".into(),
        sum: "aa".into(),
        about: "2 min old, 48 kB".into(),
        unpacked: 600_000_000,
        present,
    }
}

#[test]
fn the_stack_that_ships_has_backups() {
    let backup = prefect(&[("COMPOSE_PROFILES", "admin,monitoring,backup,workers")]).expect("backups");
    assert_eq!((backup.folder.as_str(), backup.service.name.as_str()), ("/var/backups/prefect", "backup"));
    assert_eq!(backup.must_be_on("web1"), Ok(()));
    let taken = backup.take();
    assert_eq!(taken.changes[0].id, "backup/taken");
    let step = backup.restore(&chosen(Some(1))).expect("it can be restored");
    let ids: Vec<_> = step.changes.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(ids, ["backup/loaded", "backup/kept", "backup/restored"]);
    let action = &step.changes[2].action;
    let stopped: Vec<_> = action.arguments["stop"].lines().collect();
    assert_eq!(
        stopped,
        [
            "nginx",
            "prefect-api",
            "prefect-background",
            "pgadmin",
            "postgres-exporter",
            "nginx-exporter",
            "prefect-exporter",
            "worker"
        ]
    );
    assert_eq!(action.arguments["queues"], "redis\n");
    assert_eq!(action.arguments["service"], "selftest");
    assert!(action.arguments["services"].contains("prefect-migrate job 1\n"));
    assert_eq!(step.changes[0].action.timeout, 3800);
    assert!(step.changes[2].risks.iter().any(|risk| matches!(risk, Risk::ReplacesDatabase { .. })));
    let step = backup.restore(&chosen(None)).expect("it can be restored");
    assert_eq!(step.changes.len(), 2, "there is nothing to keep");
}

#[test]
fn backups_that_are_off() {
    let backup = prefect(&[("COMPOSE_PROFILES", "admin")]).expect("they can still be listed");
    let refusal = backup.must_be_on("web1").expect_err("off");
    assert!(refusal.what.contains("backups are off"), "{refusal:?}");
    assert!(refusal.hints[0].contains("add `backup` to COMPOSE_PROFILES"), "{refusal:?}");
    assert!(backup.restore(&chosen(Some(1))).is_ok(), "Postgres and the folder are all that it takes");
}

#[test]
fn a_database_elsewhere_is_restored_by_hand() {
    let backup =
        prefect(&[("POSTGRES_HOST", "db.example"), ("COMPOSE_PROFILES", "backup")]).expect("backups");
    assert_eq!(backup.must_be_on("web1"), Ok(()), "one can be taken");
    let refusal = backup.postgres().expect_err("not here");
    assert!(refusal.what.contains("`db.example`"), "{refusal:?}");
    let commands = refusal.details.join("\n");
    for part in [
        "createdb -h db.example -U prefect",
        "gunzip -c /var/backups/prefect/FILE | psql",
        "docker compose stop nginx prefect-api prefect-background",
        "RENAME TO prefect_before",
    ] {
        assert!(commands.contains(part), "{part}: {commands}");
    }
    assert!(backup.restore(&chosen(Some(1))).is_err());
}

#[test]
fn what_is_not_plain_is_refused() {
    for (name, value, what) in [
        ("POSTGRES_DB", "a'b", "POSTGRES_DB"),
        ("POSTGRES_DB", "", "POSTGRES_DB"),
        ("POSTGRES_USER", "a b", "POSTGRES_USER"),
        ("BACKUP_FOLDER", "/a/../b", "the folder"),
    ] {
        let refusal = prefect(&[(name, value)]).expect_err(value);
        assert!(refusal.what.starts_with(what), "{name}={value}: {refusal:?}");
    }
    assert_eq!(prefect(&[("BACKUP_FOLDER", "./backups")]).expect("beside it").folder, "/srv/prefect/backups");
}
