//! Paths that lead out of the folder or name files of the host, and what is in a file's way there.

use super::*;

fn refusal(files: &[(&str, &str)]) -> String {
    let case = Case::new(files);
    Project::load(case.folder.path(), None).expect_err("it leads out").to_string()
}

#[test]
fn what_include_names_outside_is_refused_with_its_line() {
    for (include, line) in [
        ("{path: sub/c.yaml, project_directory: ../up}", "the project_directory ../up"),
        ("{path: sub/c.yaml, env_file: ../up.env}", "the env_file ../up.env"),
        ("{path: sub/c.yaml, env_file: [a.env, ../up.env]}", "the env_file ../up.env"),
        ("{path: [sub/c.yaml, ../d.yaml]}", "the Compose file ../d.yaml"),
        ("{path: sub/c.yaml, env_file: none.env}", "the env_file none.env is not in the folder"),
    ] {
        let compose = format!("include:\n  - {include}\nservices: {{a: {{image: a}}}}\n");
        let text = refusal(&[("compose.yaml", &compose), ("sub/c.yaml", "services: {}\n"), ("a.env", "")]);
        assert!(text.starts_with(&format!("compose.yaml:2: {line}")), "{text}");
    }
    let text = refusal(&[(".env", "A=1\nCOMPOSE_FILE=/home/ann/c.yaml\n")]);
    assert_eq!(
        text,
        ".env:2: the COMPOSE_FILE /home/ann/c.yaml is an absolute path, and only the stack's folder is sent to the \
         host; copy it into the folder, and write its path from there"
    );
}

#[test]
fn an_optional_file_outside_is_not_dropped_in_silence() {
    let compose =
        "services:\n  web:\n    image: a\n    env_file:\n      - {path: ../up.env, required: false}\n";
    let case = Case::new(&[("app/compose.yaml", compose), ("up.env", "")]);
    let warnings = || Project::load(&case.folder.path().join("app"), None).expect("a project").warnings;
    assert_eq!(
        warnings(),
        ["compose.yaml:5: the env_file ../up.env lies outside the stack's folder and is not sent"]
    );
    fs::remove_file(case.folder.path().join("up.env")).expect("a file");
    assert_eq!(warnings(), [""; 0]);
}

#[test]
fn a_file_of_the_host_has_to_be_there() {
    let compose = |path: &str| {
        format!(
            "services:\n  web:\n    image: a\n    env_file: {path}\n    volumes: [\"/var/run/docker.sock:/d.sock\", \
             \"/etc/web.conf:/web.conf:ro\", \"/srv/data:/data\"]\n"
        )
    };
    let case = |path: &str| {
        let mut case = Case::new(&[("compose.yaml", &compose(path)), ("app.env", "")]);
        for file in [path, "/etc/web.conf", "/srv/data"] {
            case.facts.files.insert(file.into(), None);
        }
        case
    };
    let refused = case("/etc/web.env").plan().expect_err("files are missing");
    assert_eq!(
        refused.details,
        ["compose.yaml:4: the env_file /etc/web.env", "compose.yaml:5: the mount /etc/web.conf"]
    );
    assert_eq!(
        refused.hints[0],
        "create it on the host, or copy it into the stack's folder here and write ./web.env"
    );
    // With a path of this computer.
    let mut found = case("/etc/web.env");
    let own = found.folder.path().canonicalize().expect("a folder").join("app.env").display().to_string();
    found.write("compose.yaml", &compose(&own));
    found.facts.files.insert(own.clone(), None);
    let hint = found.plan().expect_err("files are missing").hints.remove(0);
    assert_eq!(
        hint,
        format!(
            "{own} is in the stack's folder on this computer; write ./app.env, which is sent to the host"
        )
    );
    // What is there, comes with the bundle, or is provision's own.
    for path in ["/srv/notes/app.env", "/etc/provision/secrets/notes/web.env", "/etc/web.env"] {
        let mut case = case(path);
        put(&mut case.facts, "/etc/web.conf", "x");
        if path == "/etc/web.env" {
            put(&mut case.facts, path, "x");
        }
        assert!(case.plan().is_ok(), "{path}");
    }
}

#[test]
fn a_folder_with_files_in_a_files_way_is_found_in_the_plan() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("conf/a", "a")]);
    folder_on_host(&mut case.facts, "/srv/notes/conf/a");
    assert!(case.plan().is_ok(), "Docker makes empty folders");
    if let Some(Some(there)) = case.facts.files.get_mut("/srv/notes/conf/a") {
        there.holds_files = true;
    }
    let refused = case.plan().expect_err("it is not ours");
    assert_eq!(refused.details, ["/srv/notes/conf/a"]);
    assert!(refused.hints[0].ends_with("sudo ls -A /srv/notes/conf/a"), "{:?}", refused.hints);
    // What is in it was sent, and goes first.
    let sum = crate::digest::sha256(b"x");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", &format!("644 {sum} conf/a/x\n"));
    put(&mut case.facts, "/srv/notes/conf/a/x", "x");
    assert!(case.plan().is_ok());
}
