//! What the host says, and which backup is meant.

use proptest::prelude::*;

use super::super::choose::choose;
use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn listing() -> Listing {
    let lines = names(&[
        "now\t1795348800",
        "state\trunning",
        "file\tbefore-restore/prefect-20261122-115800-ab12.sql.gz\t900\t1795348680\t9\twhole",
        "file\tdaily/prefect-20261122.sql.gz\t48000\t1795348400\t7\twhole",
        "file\tlast/prefect-20261122-115320.sql.gz\t48000\t1795348400\t7\twhole",
        "file\tlast/prefect-latest.sql.gz\t48000\t1795348400\t7\twhole",
        "file\tweekly/prefect-202647.sql.gz\t48000\t1795348400\t7\twhole",
        "file\tlast/prefect-20261122-105320.sql.gz\t24000\t1795344800\t8\tcut",
        // Copied a moment ago: its name knows better.
        "file\tlast/prefect-20261101-000000.sql.gz\t1234567\t1795348790\t5\tunread",
        "file\tprefect-20261122-115900.sql.gz\t1000\t1795348740\t6\twhole",
        "file\tlast/elsewhere-20261122-115320.sql.gz\t1\t1795348400\t4\twhole",
        "file\tlast/prefect-x.sql.gz\tmany\t1795348400\t3\twhole",
        "nonsense",
    ]);
    Listing::parse(&lines, &names(&["prefect"]))
}

#[test]
fn lists_the_newest_first() {
    insta::assert_snapshot!(listing().text("/var/backups/prefect", "web1"));
}

#[test]
fn programs_have_it_as_json() {
    insta::assert_snapshot!(listing().json());
}

#[test]
fn an_empty_folder_is_said() {
    assert_eq!(Listing::default().text("/b", "web1"), "no backups in /b on web1 yet\n");
}

#[test]
fn the_backup_that_is_meant() {
    let listing = listing();
    let newest = "last/prefect-20261122-115320.sql.gz";
    let undo = "before-restore/prefect-20261122-115800-ab12.sql.gz";
    let cases = [
        ("latest", Ok(newest)),
        (newest, Ok(newest)),
        ("/var/backups/prefect/last/prefect-20261122-115320.sql.gz", Ok(newest)),
        ("./daily/prefect-20261122.sql.gz", Ok(newest)),
        ("5320.sql.gz", Err("2 backups end with")),
        ("115320.sql.gz", Ok(newest)),
        ("20261122-115320.sql.gz", Ok(newest)),
        ("prefect-20261122-115900", Ok("prefect-20261122-115900.sql.gz")),
        ("20261122-115320", Ok(newest)),
        ("ab12", Ok(undo)),
        (undo, Ok(undo)),
        ("", Err("no backup ``")),
        ("../../etc/passwd", Err("no backup `../../etc/passwd`")),
        ("last/prefect-20261122-115321.sql.gz", Err("no backup")),
    ];
    for (wanted, expected) in cases {
        match (choose(&listing.entries, wanted, "/var/backups/prefect", "web1"), expected) {
            (Ok(entry), Ok(file)) => assert_eq!(entry.file, file, "{wanted}"),
            (Err(failure), Err(what)) => {
                assert!(failure.what.contains(what), "{wanted}: {}", failure.what);
                assert_eq!(failure.code, 2, "{wanted}");
            }
            (got, expected) => panic!("{wanted}: {got:?} instead of {expected:?}"),
        }
    }
    let hint = |wanted: &str| {
        let failure = choose(&listing.entries, wanted, "/var/backups/prefect", "web1").expect_err(wanted);
        failure.hints.concat()
    };
    assert_eq!(hint("last/prefect-20261122-115321.sql.gz"), format!("did you mean `{newest}`?"));
    assert!(hint("monday").contains(undo), "{}", hint("monday"));
    let none = choose(&[], "latest", "/b", "web1").expect_err("none");
    assert_eq!((none.what.as_str(), none.code), ("there are no backups in /b on web1", 2));
}

/// With several databases somebody must say which.
#[test]
fn latest_of_two_databases_is_none() {
    let lines =
        names(&["file\tlast/a-1.sql.gz\t1\t10\t1\twhole", "file\tlast/a-b-1.sql.gz\t1\t11\t2\twhole"]);
    let listing = Listing::parse(&lines, &names(&["a", "a-b"]));
    let databases: Vec<_> = listing.entries.iter().map(|entry| entry.database.as_str()).collect();
    assert_eq!(databases, ["a-b", "a"]);
    assert!(choose(&listing.entries, "latest", "/b", "web1").is_err());
    assert_eq!(choose(&listing.entries, "last/a-1.sql.gz", "/b", "web1").expect("one").database, "a");
}

#[test]
fn what_does_not_fit_is_refused() {
    let listing = listing();
    let entry = &listing.entries[2];
    let checked = |lines: &[&str]| Checked::parse(&names(lines)).must_fit(entry, "web1");
    let server = "server\t17.12 (Debian 17.12-0+deb13u1)";
    type Case<'a> = (&'a [&'a str], Option<(u8, &'a str)>);
    let cases: [Case<'_>; 11] = [
        (&["state\trunning", "dump\twhole\t17.12\t1000", "sum\tx", server], None),
        (&["state\trunning", "dump\twhole\t15.4\t1000", "sum\tx", server], None),
        (&["dump\twhole\t9.6.24\t1000", server], None),
        (
            &["dump\twhole\t18.1\t1000", server],
            Some((3, "is from Postgres 18, and the stack has Postgres 17")),
        ),
        (&["dump\tcut\t17.12\t1000"], Some((3, "is cut off"))),
        (&["dump\tunfinished\t17.12\t1000"], Some((3, "is not complete"))),
        (&["dump\tcluster\t17.12\t1000"], Some((3, "of a whole cluster"))),
        (&["dump\tforeign\t\t0"], Some((3, "no gzipped SQL dump"))),
        (&["gone"], Some((2, "was there a moment ago"))),
        (&["state\texited", "dump\twhole\t17.12\t1000", "no-superuser"], Some((3, "does not answer"))),
        (&[], Some((3, "could not be read"))),
    ];
    for (lines, expected) in cases {
        match (checked(lines), expected) {
            (Ok(()), None) => {}
            (Err(failure), Some((code, what))) => {
                assert!(failure.what.contains(what), "{lines:?}: {}", failure.what);
                assert_eq!(failure.code, code, "{lines:?}");
            }
            (got, expected) => panic!("{lines:?}: {got:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn moments_and_ages() {
    assert_eq!(stamp("19700101-000000.sql.gz"), Some(0));
    assert_eq!(stamp("20000229-000000"), Some(951_782_400));
    assert_eq!(stamp("20261122-115320-ab12"), Some(1_795_348_400));
    for none in ["", "20261122", "202611-22-1153", "20261322-000000", "2026112é-000000", "19690101-000000"] {
        assert_eq!(stamp(none), None, "{none}");
    }
    let ages: Vec<_> = [0, 119, 120, 7_199, 7_200, 172_799, 172_800]
        .map(|seconds| age(1_000_000, 1_000_000 - seconds))
        .into();
    assert_eq!(
        ages,
        ["0 s old", "119 s old", "2 min old", "119 min old", "2 h old", "47 h old", "2 days old"]
    );
    assert_eq!(age(0, 100), "0 s old", "a clock that was set back");
}

proptest! {
    #[test]
    fn whatever_the_host_says_is_read(lines in prop::collection::vec("(file|dump|now|state|server|present)?(\t[^\t]{0,12}){0,7}|[\\PC\t]{0,40}", 0..12)) {
        let listing = Listing::parse(&lines, &names(&["prefect", ""]));
        let text = listing.text("/b", "web1") + &listing.json();
        prop_assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
        let _ = Checked::parse(&lines).must_fit(&Entry {
            file: "f".into(), also: Vec::new(), database: "d".into(), taken: 0, bytes: 0, verdict: BackupVerdict::Unread,
        }, "web1");
        for wanted in ["latest", "x", "f"] {
            let _ = choose(&listing.entries, wanted, "/b", "web1");
        }
    }
}
