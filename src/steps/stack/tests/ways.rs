//! What is in the way on the host: found in the plan.

use super::*;

const WEB: &str = "services:\n  web:\n    image: a\n    volumes: [\"./conf:/conf:ro\"]\n";

fn full(case: &mut Case, path: &str, names: &[&str]) {
    let path = format!("/srv/notes/{path}");
    folder_on_host(&mut case.facts, &path);
    if let Some(Some(there)) = case.facts.files.get_mut(&path) {
        there.holds_files = true;
        there.holds = names.iter().map(|name| (*name).to_owned()).collect();
    }
}

fn refused(case: &Case) -> Option<String> {
    case.plan().err().map(|refusal| refusal.details.join("\n"))
}

#[test]
fn a_file_in_place_of_a_folder_with_a_strangers_file() {
    for (file, folder) in [("conf", "conf"), ("a/b/conf", "a/b/conf"), ("conf", "conf/deep")] {
        let mut case = Case::new(&[("compose.yaml", WEB), (&format!("{folder}/x"), "x"), ("conf.bak", "x")]);
        case.sent();
        fs::remove_dir_all(case.folder.path().join(file)).expect("a folder");
        case.write(file, "a file now");
        let own = format!("{folder}/x")[file.len() + 1..].to_owned();
        full(&mut case, file, &[&own]);
        assert_eq!(refused(&case), None, "{file}: all of it was sent");
        full(&mut case, file, &["1", &own, "2", "3", "4"]);
        assert_eq!(
            refused(&case).as_deref(),
            Some(
                format!(
                    "/srv/notes/{file} is a folder that holds 1, 2, 3 and 1 more (not sent by provision, or an application's), and a file is to take its place"
                )
                .as_str()
            )
        );
    }
    // The Compose file itself.
    let mut case = Case::new(&[("compose.yaml", WEB), ("conf/a", "a")]);
    full(&mut case, "compose.yaml", &["theirs"]);
    let refusal = case.plan().expect_err("it is theirs");
    assert_eq!(
        refusal.details,
        [
            "/srv/notes/compose.yaml is a folder that holds theirs (not sent by provision, or an application's), and a file is to take its place"
        ]
    );
    assert!(
        refusal.hints[0].ends_with("sudo mv -n /srv/notes/compose.yaml /srv/notes/compose.yaml.before"),
        "{:?}",
        refusal.hints
    );
}

/// The application's files are as little in the way of a run as a stranger's.
#[test]
fn a_file_in_place_of_an_applications_folder() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("data/app.db", "one"), ("conf/a", "a")]);
    case.sent();
    case.write("compose.yaml", "services:\n  app:\n    image: busybox:1.36\n");
    fs::remove_dir_all(case.folder.path().join("data")).expect("a folder");
    case.write("data", "a file now");
    full(&mut case, "data", &["app.db"]);
    assert!(
        refused(&case).is_some_and(|text| text.contains("a folder that holds app.db (")),
        "{:?}",
        refused(&case)
    );
    // Where it is still mounted, the file stays here.
    case.write("compose.yaml", NOTES);
    assert_eq!(refused(&case), None);
}

#[test]
fn a_file_below_what_is_no_folder() {
    for (kind, target, what) in [
        ("regular", None, "a file"),
        ("symlink", None, "a symbolic link"),
        ("symlink", Some("/mnt/big"), "a symbolic link to /mnt/big"),
        ("other", None, "neither a file nor a folder"),
    ] {
        let theirs = || {
            Some(File {
                kind: kind.into(),
                sha256: if kind == "regular" { "0".repeat(64) } else { String::new() },
                target: target.map(str::to_owned),
                ..File::default()
            })
        };
        for (file, at) in [("conf/a", "conf"), ("conf/a/b/c", "conf"), ("conf/a/b/c", "conf/a/b")] {
            let mut case = Case::new(&[("compose.yaml", WEB), (file, "x")]);
            case.facts.files.insert(format!("/srv/notes/{at}"), theirs());
            assert_eq!(
                refused(&case),
                Some(format!("/srv/notes/{at} is {what}, and {file} is to be placed below it"))
            );
            // A file that stands there as it is needs no place.
            put(&mut case.facts, &format!("/srv/notes/{file}"), "x");
            if let Some(Some(there)) = case.facts.files.get_mut(&format!("/srv/notes/{file}")) {
                there.mode = 0o644;
            }
            assert_eq!(refused(&case), None, "{kind} {file}");
        }
        // A file of ours gives way, and is called edited where it is another one now.
        let mut case = Case::new(&[("compose.yaml", WEB), ("conf", "x")]);
        case.sent();
        fs::remove_file(case.folder.path().join("conf")).expect("a file");
        case.write("conf/a/b", "x");
        assert_eq!(case.bundle().expect("a change").risks, []);
        case.facts.files.insert("/srv/notes/conf".into(), theirs());
        let change = case.bundle().expect("a change");
        assert_eq!(change.risks, [Risk::RemovesEdited { path: "/srv/notes/conf".into() }], "{kind}");
        assert_eq!(paths(&change.files)[0], "/srv/notes/conf");
    }
    // An application's file, as it was seeded, whose mount is gone.
    let text = "services:\n  app:\n    image: a\n    volumes: [\"./one:/one\"]\n";
    let mut case = Case::new(&[("compose.yaml", text), ("one", "1")]);
    case.sent();
    fs::remove_file(case.folder.path().join("one")).expect("a file");
    case.write("one/x", "1");
    case.write("compose.yaml", "services:\n  app:\n    image: a\n");
    assert!(
        refused(&case).is_some_and(|text| text.starts_with("/srv/notes/one is a file")),
        "{:?}",
        refused(&case)
    );
}

#[test]
fn the_stacks_own_folder_is_a_file() {
    let mut case = Case::new(&[("compose.yaml", WEB), ("conf/a", "a")]);
    put(&mut case.facts, "/srv/notes", "theirs");
    assert_eq!(
        refused(&case).as_deref(),
        Some("/srv/notes is a file, and the stack's folder is to be there")
    );
}
