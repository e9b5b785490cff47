use std::fmt::Write;
use std::fs;

use proptest::prelude::*;

use super::document::Source;
use super::*;
use crate::steps::NAMES;

/// A working directory with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// What a person sees of a mistake, with the folder's name left out.
fn refused(files: &[(&str, &str)], playbook: Option<&str>, config: Option<&str>) -> String {
    let folder = folder(files);
    let error = load(folder.path(), playbook, config.map(Path::new)).expect_err("a mistake");
    error.to_string().replace(&folder.path().display().to_string(), "FOLDER")
}

fn project(text: &str) -> String {
    refused(&[("compose.yaml", ""), ("provision.toml", text)], None, None)
}

fn playbook(text: &str) -> String {
    refused(&[("site.toml", text)], Some("./site.toml"), None)
}

/// All messages below each other, each under what was written.
fn sheet(texts: &[&str], say: fn(&str) -> String) -> String {
    texts.iter().fold(String::new(), |mut sheet, text| {
        let _ = writeln!(sheet, "{}\n→ {}\n", text.escape_debug(), say(text));
        sheet
    })
}

#[test]
fn what_is_laid_over_what() {
    let folder = folder(&[
        (
            "playbooks/site.toml",
            "description = \"Ours\"\nsteps = [\"packages\", \"docker\", \"stack\"]\n\
             [options.packages]\ninstall = [\"curl\", \"git\"]\nlock_wait = 10\n\
             [options.docker]\ndaemon.log-opts = { max-size = \"10m\", max-file = \"3\" }\n\
             [options.stack]\npath = \"app\"\nwait = 30\n",
        ),
        (
            "provision.toml",
            "playbook = \"playbooks/site.toml\"\nhosts = [\"me@one\", \"local\"]\n\
             [steps.packages]\ninstall = [\"jq\"]\n\
             [steps.docker]\nversion = \">=27\"\ndaemon.log-opts.max-size = \"1m\"\n",
        ),
    ]);
    let settings = load(folder.path(), None, None).expect("settings");
    let path = folder.path().join("playbooks/site.toml");
    assert_eq!(
        settings.playbook,
        Playbook {
            name: "site".into(),
            description: "Ours".into(),
            steps: vec!["packages", "docker", "stack"],
            path: Some(path)
        }
    );
    assert_eq!(settings.options.packages.install, ["jq"], "lists are replaced");
    assert_eq!(settings.options.packages.lock_wait, 10, "from the playbook");
    assert_eq!(settings.options.docker.version.to_string(), ">=27", "from provision.toml");
    assert_eq!(
        settings.options.docker.daemon,
        "log-opts = { max-size = \"1m\", max-file = \"3\" }".parse().expect("a table"),
        "tables are laid over each other"
    );
    assert_eq!(settings.options.stack.wait, 30);
    assert_eq!(settings.options.machine, Options::default().machine, "from the step itself");
    assert_eq!(settings.hosts, [Destination::Ssh("me@one".into()), Destination::Local]);
    assert_eq!(settings.file, Some(folder.path().join("provision.toml")));
    assert_eq!(settings.stack_folder, folder.path().join("playbooks/app"), "beside the playbook");
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn where_the_stack_is() {
    let own = "steps = [\"stack\"]\n[options.stack]\npath = \"of-playbook\"\n";
    let bare = "steps = [\"stack\"]\n";
    let says = "[steps.stack]\npath = \"of-project\"\n";
    for (playbook, project, config, expected) in [
        (bare, None, "provision.toml", ""),
        (own, None, "provision.toml", "books/of-playbook"),
        (bare, Some(says), "provision.toml", "of-project"),
        (own, Some(says), "provision.toml", "of-project"),
        (own, Some(says), "etc/provision.toml", "etc/of-project"),
        (own, Some("hosts = []"), "etc/provision.toml", "books/of-playbook"),
        (bare, Some("hosts = []"), "etc/provision.toml", ""),
    ] {
        let mut files = vec![("books/site.toml", playbook)];
        files.extend(project.map(|text| (config, text)));
        let folder = folder(&files);
        let config = project.map(|_| Path::new(config));
        let settings = load(folder.path(), Some("books/site.toml"), config).expect("settings");
        assert_eq!(settings.stack_folder, folder.path().join(expected), "{playbook}{project:?}");
        assert_eq!(settings.file, config.map(|config| folder.path().join(config)));
    }
}

#[test]
fn which_playbook_is_meant() {
    for (files, flag, expected) in [
        (&[("compose.yaml", "")][..], None, "compose"),
        (&[("docker-compose.yml", "")], None, "compose"),
        (&[("app/compose.yaml", ""), ("provision.toml", "steps.stack.path = \"app\"")], None, "compose"),
        (&[("compose.yaml", "")], Some("docker"), "docker"),
        (&[("compose.yaml", ""), ("provision.toml", "playbook = \"docker\"")], None, "docker"),
        (&[("provision.toml", "playbook = \"docker\"")], Some("compose"), "compose"),
        (&[("mine.toml", "steps = [\"docker\"]")], Some("mine.toml"), "mine"),
        (&[("a/b.toml", "steps = [\"docker\"]"), ("provision.toml", "playbook = \"a/b.toml\"")], None, "b"),
    ] {
        let folder = folder(files);
        let settings = load(folder.path(), flag, None).expect("settings");
        assert_eq!(settings.playbook.name, expected, "{files:?} {flag:?}");
    }
    assert_eq!(
        playbook("\u{feff}steps = []").lines().next(),
        Some("site.toml:1:9: `steps` is empty; there are `machine`, `packages`, `docker`, `user`, `stack`")
    );
}

#[test]
fn warnings() {
    let folder = folder(&[
        (
            "provision.toml",
            "playbook = \"docker\"\nhosts = [\n  \"one\",\n  \"one\",\n]\n[steps.stack]\nwait = 5\n[steps.docker]\nhold = true\n",
        ),
        ("site.toml", "steps = [\"machine\"]\noptions.user.login = false\n"),
    ]);
    let settings = load(folder.path(), None, None).expect("settings");
    insta::assert_snapshot!(settings.warnings.join("\n"));
    let settings = load(folder.path(), Some("./site.toml"), None).expect("settings");
    insta::assert_snapshot!(settings.warnings.join("\n"));
}

#[test]
fn mistakes_in_keys() {
    insta::assert_snapshot!(sheet(
        &[
            "[steps.docker]\nverison = \">=27\"",
            "[steps.docker]\nwait = 3",
            "[steps.docker]\ncolour = 3",
            "[steps.dcoker]\nversion = \"27\"",
            "[steps.nginx]",
            "host = [\"one\"]",
            "colour = 1",
            "[docker]\nversion = \"27\"",
            "[options.docker]\nversion = \"27\"",
            "description = \"Ours\"",
            "hosts = [\"one\"]\n\n  steps.stack = { path = \"app\", waits = 3 }",
            "[steps.docker]\nhold = true\nhold = false",
            "[steps.docker]\n\"a\\u001b[31m`b\" = 1",
        ],
        project
    ));
}

#[test]
fn mistakes_in_values() {
    insta::assert_snapshot!(sheet(
        &[
            "[steps.stack]\nwait = \"soon\"",
            "[steps.stack]\nwait = -5",
            "[steps.stack]\nwait = 1.5",
            "[steps.stack]\nwait = 99999999999999999999999999999999999999999999",
            "[steps.docker]\nlock_wait = []",
            "[steps.docker]\nhold = \"yes\"",
            "[steps.docker]\nversion = 27",
            "[steps.docker]\nversion = \"latest\"",
            "[steps.docker]\nsource = \"distro\"",
            "[steps.docker]\nsource = \"Docker\"",
            "[steps.docker]\nsource = \"docker-ce\"",
            "[steps.docker]\nsource = 1",
            "[steps.docker]\ndaemon = []",
            "[steps.docker]\ndaemon.since = 2024-01-01",
            "[steps.docker]\ndaemon.factor = [inf]",
            "[steps.machine]\nmemory = \"4gb\"",
            "[steps.machine]\nmemory = 4",
            "[steps.packages]\ninstall = \"curl\"",
            "[steps.packages]\ninstall = [\"curl\", 3]",
            "[steps.stack]\npath = 3",
            "steps = [\"docker\"]",
            "[[steps.docker]]",
            "steps.docker = [\"docker\"]",
            "playbook = [\"docker\"]",
            "playbook = \"compsoe\"",
            "playbook = \"kubernetes\"",
            "playbook = \"ours.toml\"",
            "playbook = \"\"",
            "hosts = \"one\"",
            "hosts = [\"me@one\", \"me@two:2222\"]",
            "hosts = [\"-oProxyCommand=x\"]",
            "hosts = [\"a\\u0007\"]",
            "hosts = [1]",
        ],
        project
    ));
}

#[test]
fn mistakes_in_syntax() {
    insta::assert_snapshot!(sheet(
        &[
            "playbook = compose",
            "playbook = \"compose",
            "playbook",
            "[steps.docker\nhold = true",
            "hosts = [\"one\"\n\"two\"]",
            "\u{1b}[31mred = 1",
            "[steps.docker]\nhold = true\n[steps.docker]\nhold = true",
            "a = \"\r\n",
            "{\n  \"playbook\": \"compose\"\n}",
        ],
        project
    ));
}

#[test]
fn mistakes_in_playbooks() {
    insta::assert_snapshot!(sheet(
        &[
            "",
            "description = \"Ours\"",
            "steps = []",
            "steps = \"docker\"",
            "steps = [\"machine\", \"dokcer\"]",
            "steps = [\"nginx\"]",
            "steps = [\"machine\",\n  \"docker\",\n  \"docker\"]",
            "steps = [1]",
            "[steps.docker]\nhold = true",
            "steps = [\"docker\"]\n[options.docker]\nholds = true",
            "steps = [\"docker\"]\n[options]\ndocker = true",
            "steps = [\"docker\"]\noptions = 3",
            "steps = [\"docker\"]\nhosts = []",
            "steps = [\"docker\"]\n[docker]",
            "step = [\"docker\"]",
        ],
        playbook
    ));
}

#[test]
fn mistakes_in_files() {
    let long = format!("hosts = [{}1, \"last\"]", "\"a-rather-long-name\", ".repeat(20));
    let large = " ".repeat((1 << 20) + 1);
    let none: &[(&str, &str)] = &[];
    let cases: Vec<String> = vec![
        refused(none, None, None),
        refused(none, Some("compsoe"), None),
        refused(none, Some("prefect"), None),
        refused(none, Some(""), None),
        refused(&[("site.toml", "")], Some("site"), None),
        refused(none, Some("./site.toml"), None),
        refused(none, Some("a\u{1b}/site.toml"), None),
        refused(none, Some("docker"), Some("deploy.toml")),
        refused(&[("deploy.toml/x", "")], Some("docker"), Some("deploy.toml")),
        refused(&[("provision.toml/x", "")], Some("docker"), None),
        refused(&[("etc/deploy.toml", "playbook = \"ours.toml\"")], None, Some("etc/deploy.toml")),
        refused(&[("provision.toml", &large)], Some("docker"), None),
        refused(&[("provision.toml", &long)], Some("docker"), None),
        refused(&[("provision.toml", "# ü 漢字\nhosts = [\"漢字\", 1]\r\n")], Some("docker"), None),
    ];
    insta::assert_snapshot!(cases.join("\n\n"));
    let folder = folder(&[]);
    fs::write(folder.path().join("provision.toml"), b"hosts = []\n# \xff\n").expect("a file");
    let error = load(folder.path(), Some("docker"), None).expect_err("a mistake");
    insta::assert_snapshot!(error, @"cannot read provision.toml: line 2 is not UTF-8; save the file as UTF-8");
}

#[test]
fn all_that_ships_can_be_loaded() {
    let there = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks")).expect("playbooks");
    let names = there.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned())).collect();
    names.sort_unstable();
    let mut known: Vec<&str> = shipped().map(|(name, _)| name).collect();
    known.sort_unstable();
    assert_eq!(names, known, "every file in playbooks/ ships");
    let folder = folder(&[]);
    for (name, description) in shipped() {
        let settings = load(folder.path(), Some(name), None).expect(name);
        assert_eq!(settings.playbook.name, name);
        assert_eq!(settings.playbook.description, description);
        assert_eq!(settings.warnings, [""; 0], "{name}");
        assert_eq!(settings.playbook.path, None);
        assert!(!description.is_empty() && !description.ends_with('.'), "{name}");
    }
}

#[test]
fn the_schemas_know_the_documented_keys() {
    let (project, playbook) = (schema(), playbook_schema());
    for (schema, path, keys) in [
        (&project, &[][..], &["playbook", "hosts", "steps"][..]),
        (&project, &["steps"], &NAMES),
        (&project, &["steps", "docker"], &["source", "version", "mirror", "daemon", "hold"]),
        (&project, &["steps", "stack"], &["path", "name", "folder", "wait", "ignore"]),
        (&playbook, &[], &["description", "steps", "options"]),
        (&playbook, &["options"], &NAMES),
        (&playbook, &["options", "packages"], &["install", "lock_wait"]),
    ] {
        let known = super::schema::properties(schema, path);
        for key in keys {
            assert!(known.iter().any(|known| known == key), "{key} in {path:?} of {known:?}");
            let path: Vec<String> = path.iter().chain([key]).map(|key| (*key).to_owned()).collect();
            assert!(super::schema::description(schema, &path).is_some(), "{path:?} is described");
        }
    }
    assert_eq!(super::schema::properties(&project, &["steps"]), NAMES, "every step has options");
    assert_eq!(playbook["properties"]["steps"]["items"]["enum"], serde_json::json!(NAMES));
    assert_eq!(project["additionalProperties"], false);
}

/// Reads a text as both kinds of file and says what was wrong.
fn read_both(text: &str) -> [Option<String>; 2] {
    let source = Source { shown: "x.toml".into(), path: Some("x.toml".into()), text: text.into() };
    let playbook = super::playbook::read(&source, "x").err();
    let project = Project::read(source).err();
    [playbook, project].map(|error| error.map(|error| error.to_string()))
}

fn harmless(message: &str) -> bool {
    message.lines().all(|line| crate::report::harmless(line) == line)
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        for message in read_both(&text).into_iter().flatten() {
            prop_assert!(harmless(&message), "{:?}", message);
        }
    }

    #[test]
    fn anything_like_settings_is_read_or_refused(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "[steps.docker]\n", "[steps.stack]\n", "[options.user]\n", "[[steps]]\n", "",
                    "steps.docker.", "playbook = ", "hosts = ", "steps = ", "daemon.", "wait = ", "version = ",
                    "path = ", "\"é\u{1b}\" = ", "install = ", "\u{feff}",
                ]),
                prop::sample::select(vec![
                    "3", "\"docker\"", "[\"docker\", \"docker\"]", "[[1], {}]", "{ a = { b = 1 } }", "nan",
                    "1979-05-27", "'''\n\n'''", "\"", "true", "\n\n", "\r\n", "\u{200b}", "漢 = 1", "-9e99",
                ]),
            ),
            0..8,
        )
    ) {
        let text: String = lines.into_iter().map(|(key, value)| format!("{key}{value}\n")).collect();
        for message in read_both(&text).into_iter().flatten() {
            prop_assert!(harmless(&message), "{:?}", message);
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    for open in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "a = ".to_owned() + &"{a=".repeat(100_000),
        "a.".repeat(100_000),
    ] {
        assert!(read_both(&open).iter().all(Option::is_some));
    }
}
