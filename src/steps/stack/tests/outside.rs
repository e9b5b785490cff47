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

/// `~` and `$HOME` are root's on the host, wherever they stand.
#[test]
fn a_path_in_the_home_folder_is_explained() {
    let compose = |volume: &str| format!("services:\n  web:\n    image: a\n    volumes:\n      - {volume}\n");
    for (volume, path) in [
        ("~/x:/data", "x"),
        ("${HOME}/x:/data:ro", "x"),
        ("$HOME/a/x:/data", "a/x"),
        ("{type: bind, source: ~/x, target: /d}", "x"),
    ] {
        let mut case = Case::new(&[("compose.yaml", &compose(volume))]);
        let said = |missing: &str| {
            format!(
                "compose.yaml:5: web mounts /root/{path} of the host: root runs Compose there, so `~` and $HOME are \
                 /root, and nothing of your own home is sent{missing}; copy it into the folder here and write ./x, \
                 or write the path on the host in full"
            )
        };
        let missing = said("; there is nothing, and Docker will create an empty folder");
        assert_eq!(case.plan().expect("a plan").warnings, [missing], "{volume}");
        folder_on_host(&mut case.facts, &format!("/root/{path}"));
        assert_eq!(case.plan().expect("a plan").warnings, [said("")], "{volume}");
    }
    // In full, it is what it says.
    for volume in ["/root/x:/data", "/proc/self/root/rooted:/x"] {
        let case = Case::new(&[("compose.yaml", &compose(volume))]);
        assert_eq!(case.plan().expect("a plan").warnings, [""; 0], "{volume}");
    }
    // A file has to be there.
    let mut case = Case::new(&[("compose.yaml", &compose("~/app.conf:/app.conf:ro"))]);
    case.facts.files.insert("/root/app.conf".into(), None);
    assert_eq!(
        case.plan().expect_err("it is missing").details,
        ["compose.yaml:5: the mount /root/app.conf (`~` and $HOME are /root on the host)"]
    );
    // The stack's own folder is in it: what containers write there is theirs.
    let mut case = Case::new(&[("compose.yaml", &compose("~/notes/data:/data")), ("data/x", "1")]);
    case.options.folder = Some("/root/notes".into());
    assert_eq!(case.plan().expect("a plan").warnings, [""; 0]);
    let sent = case.bundle().expect("a change").action.unshown["seeds"].clone();
    assert!(sent.contains(" data/x"), "{sent}");
}

/// The read-only mount of a file does not help where the folder above it is mounted to be written to.
#[test]
fn a_read_only_mount_below_a_writable_one() {
    for (volumes, expected) in [
        (
            "[\".:/app\", \"./x.conf:/app/x.conf:ro\"]",
            "app can write to it through the whole folder, mounted read-write (compose.yaml:4), although \
             compose.yaml:4 mounts it read-only; mount only what the application writes to, or send it",
        ),
        (
            "[\"./x.conf:/x.conf:ro\", \".:/app\"]",
            "app can write to it through the whole folder, mounted read-write (compose.yaml:4), although",
        ),
        ("[\".:/app\"]", "app mounts it read-write (compose.yaml:4); add `:ro` there, or send it"),
        ("[\"./x.conf:/x.conf\"]", "app mounts it read-write (compose.yaml:4); add `:ro` there, or send it"),
        (
            "[\".:/app\", \"./x.conf:/x.conf\"]",
            "app mounts it read-write (compose.yaml:4), and app can write to it through the whole folder, mounted \
             read-write (compose.yaml:4); mount only what the application writes to, or send it",
        ),
        (
            "[\".:/app:ro\", \"./x.conf:/x.conf\"]",
            "app mounts it read-write (compose.yaml:4); add `:ro` there, or send it",
        ),
    ] {
        let text = format!("services:\n  app:\n    image: a\n    volumes: {volumes}\n");
        let mut case = Case::new(&[("compose.yaml", &text), ("x.conf", "1")]);
        case.sent();
        case.write("x.conf", "2");
        let withheld = case.plan().expect("a plan").withheld;
        assert!(withheld[0].contains(expected), "{volumes}: {withheld:?}");
        assert!(withheld[0].ends_with("`overwrite = [\"x.conf\"]` in [steps.stack]"), "{withheld:?}");
    }
}
