mod mistakes;

use std::fs;

use proptest::prelude::*;

use super::document::SourceText;
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

/// A mistake with all that is shown of it.
fn show(error: &ConfigError) -> String {
    let excerpt = error.excerpt().into_iter().map(|line| format!("\n  {line}"));
    let hints = error.hints().into_iter().map(|hint| format!("\n  help: {hint}"));
    error.to_string() + &excerpt.chain(hints).collect::<String>()
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
fn the_project_is_found_upwards() {
    for (files, expected, shown) in [
        (&[("compose.yaml", ""), ("a/b/x", "")][..], Some(""), None),
        (&[("provision.toml", "bad"), ("a/b/x", "")], Some(""), Some("../../provision.toml")),
        (&[("a/docker-compose.yml", ""), ("provision.toml", ""), ("a/b/x", "")], Some("a"), None),
        (&[("a/.env", "COMPOSE_FILE=x.yaml\n"), ("a/b/x", "")], Some("a"), None),
        // A repository in another project's folder is another project.
        (&[("compose.yaml", ""), ("a/.git/config", ""), ("a/b/x", "")], None, None),
        (&[("a/compose.yaml", ""), ("a/.git/config", ""), ("a/b/x", "")], Some("a"), None),
    ] {
        let folder = folder(files);
        let here = folder.path().join("a/b");
        match (load(&here, None, None), shown) {
            (Ok(settings), None) => {
                assert_eq!(settings.unnamed, expected.is_none(), "{files:?}");
                let expected = expected.map_or(here, |expected| folder.path().join(expected));
                assert_eq!(settings.stack_folder, expected.components().collect::<std::path::PathBuf>());
            }
            (Err(error), Some(shown)) => assert!(error.to_string().starts_with(shown), "{error}"),
            (other, _) => panic!("{files:?}: {other:?}"),
        }
    }
}

#[test]
fn which_playbook_is_meant() {
    for (files, flag, expected) in [
        (&[("compose.yaml", "")][..], None, "compose"),
        (&[][..], None, "prefect"),
        (&[("provision.toml", "hosts = [\"web1\"]")], None, "prefect"),
        (&[("provision.toml", "steps.stack.path = \"app\"")], None, "compose"),
        (&[("docker-compose.yml", "")], None, "compose"),
        (&[(".env", "COMPOSE_FILE=deploy/prod.yaml\n")], None, "compose"),
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
fn all_that_ships_can_be_loaded() {
    let there = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks")).expect("playbooks");
    let names = there.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned())).collect();
    names.sort_unstable();
    let mut known: Vec<&str> = shipped_playbooks().map(|(name, _)| name).collect();
    known.sort_unstable();
    assert_eq!(names, known, "every file in playbooks/ ships");
    let folder = folder(&[]);
    for (name, description) in shipped_playbooks() {
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
    assert_eq!(playbook["required"], serde_json::json!(["steps"]));
    for schema in [project, playbook] {
        assert_eq!(schema["additionalProperties"], false);
        assert!(!schema.to_string().contains("null"), "{schema:#}");
    }
}

/// Reads a text as both kinds of file and says what was wrong.
fn read_both(text: &str) -> [Option<String>; 2] {
    let source = SourceText { shown: "x.toml".into(), path: Some("x.toml".into()), text: text.into() };
    let playbook = super::playbook::read(&source, "x").err();
    let project = ReadProject::read(source).err();
    [playbook, project].map(|error| error.map(|error| show(&error)))
}

fn harmless(message: &str) -> bool {
    message.lines().all(|line| crate::text::harmless(line) == line)
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
