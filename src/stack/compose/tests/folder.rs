//! Projects that are read from a folder.

use std::fs;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Folder {
        let folder = tempfile::Builder::new().prefix("stack").tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Folder(folder)
    }

    fn show(&self) -> String {
        self.show_with(Loading::default())
    }

    fn show_with(&self, mut loading: Loading) -> String {
        loading.name.get_or_insert("test".into());
        let shown = show(Project::load_with(self.0.path(), &loading));
        shown.replace(&self.0.path().display().to_string(), "FOLDER")
    }
}

const A: &str = "services: {a: {image: a}}";

#[test]
fn which_file_is_read() {
    let table: [&[(&str, &str)]; 7] = [
        &[],
        &[("docker-compose.yaml", A)],
        &[("docker-compose.yaml", A), ("docker-compose.yml", A), ("compose.yml", A)],
        &[("compose.yaml", A), ("compose.override.yaml", "services: {b: {image: b}}")],
        &[
            ("x/one.yaml", A),
            ("compose.yaml", A),
            (".env", "COMPOSE_FILE=./x/one.yaml:two.yaml"),
            ("two.yaml", "services: {a: {image: two}}"),
        ],
        &[("compose.yaml", A), (".env", "COMPOSE_FILE=none.yaml")],
        &[("compose.yaml", "services: {a: {image: '${IMAGE}'}}"), (".env", "IMAGE=from-env")],
    ];
    let shown: Vec<String> = table.iter().map(|files| Folder::new(files).show()).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_folder_gives_the_name() {
    let folder = Folder::new(&[("compose.yaml", A)]);
    let project = Project::load(folder.0.path(), None).unwrap();
    assert!(project.name.starts_with("stack"), "{}", project.name);
    assert_eq!(Project::load(folder.0.path(), Some("given")).unwrap().name, "given");
    let missing = Project::load(&folder.0.path().join("none"), None).unwrap_err();
    assert!(matches!(missing, ComposeError::NotFound { .. }), "{missing}");
}

#[test]
fn overrides() {
    let base = r#"
services:
  a:
    image: a
    ports: ["80:80", "127.0.0.1:81:81"]
    depends_on: [b]
    healthcheck: { test: [CMD, x] }
    profiles: [p]
    env_file: one.env
    restart: always
    deploy: { replicas: 2 }
  b: { image: b, ports: ["90:90"] }
  c: { image: c }
"#;
    let over = r#"
services:
  a:
    image: a:2
    ports: ["80:80", "82:82"]
    depends_on: { b: { condition: service_healthy }, c: { condition: service_started } }
    healthcheck: { disable: true }
    profiles: !reset []
    env_file: [{ path: two.env, required: false }]
    restart: !reset null
    deploy: { replicas: 1 }
  b: { ports: !override ["91:91"] }
  c: !override { build: . }
"#;
    let files = [("compose.yaml", base), ("compose.override.yml", over), ("one.env", "")];
    insta::assert_snapshot!(Folder::new(&files).show());
    let files = [("compose.yaml", base), ("compose.override.yml", "services:\n  d: {}")];
    insta::assert_snapshot!(Folder::new(&files).show());
}

#[test]
fn files_that_must_be_there() {
    let text = "services:\n  a:\n    image: a\n    env_file: [a.env, {path: b.env, required: false}]\n    secrets: [s]\n  off:\n    image: a\n    profiles: [p]\n    env_file: c.env\nsecrets:\n  s: {file: s.txt}\n  unused: {file: u.txt}";
    let folder = Folder::new(&[("compose.yaml", text)]);
    let mut shown = folder.show();
    fs::write(folder.0.path().join("a.env"), "").unwrap();
    shown += "\n";
    shown += &folder.show();
    insta::assert_snapshot!(shown);
}

#[test]
fn secrets_of_a_build_must_be_there() {
    for (file, said) in [("s.txt", ""), ("missing", "is not in the folder"), ("../s.txt", "s.txt")] {
        let text = format!(
            "services:\n  a:\n    build: {{context: ., secrets: [s]}}\nsecrets:\n  s: {{file: {file}}}\n"
        );
        let folder = Folder::new(&[("compose.yaml", &text), ("Dockerfile", "FROM a\n"), ("s.txt", "x\n")]);
        let shown = folder.show();
        assert_eq!(shown.starts_with("error: compose.yaml:5"), !said.is_empty(), "{file}: {shown}");
        assert!(shown.contains(said), "{file}: {shown}");
    }
}

#[test]
fn this_computers_environment_is_named_in_a_warning() {
    let folder = Folder::new(&[("compose.yaml", "services: {a: {image: a, command: $PATH}}")]);
    let shown = folder.show();
    assert!(shown.contains("compose.yaml:1: PATH is set on this computer but not in .env"), "{shown}");
}

/// Each with its own variables, paths and overrides.
#[test]
fn files_that_are_taken_in() {
    let table: [(&str, &[(&str, &str)]); 8] = [
        (
            "include with its own .env and paths",
            &[
                (
                    "compose.yaml",
                    "include: [db/compose.yaml]\nservices: {a: {image: 'a:${TAG}', depends_on: [db]}}",
                ),
                (".env", "TAG=1"),
                (
                    "db/compose.yaml",
                    "services: {db: {image: 'db:${TAG}-${OWN}', env_file: x.env, volumes: ['./data:/d', 'v:/v']}}\nvolumes: {v: }",
                ),
                ("db/.env", "TAG=2\nOWN=${TAG}"),
                ("db/x.env", "A=1"),
            ],
        ),
        (
            "include in the long form",
            &[
                (
                    "compose.yaml",
                    "include:\n  - path: [x/one.yaml, x/two.yaml]\n    project_directory: y\n    env_file: [own.env]\n",
                ),
                ("own.env", "TAG=3"),
                ("x/one.yaml", "services: {a: {image: 'a:${TAG}', env_file: e.env}}"),
                ("x/two.yaml", "services: {a: {ports: ['80:80']}}"),
                ("y/e.env", ""),
            ],
        ),
        (
            "extends through three files",
            &[
                ("compose.yaml", "services: {a: {extends: {service: b, file: x/b.yaml}, ports: ['80:80']}}"),
                ("x/b.yaml", "services: {b: {extends: {service: c, file: deep/c.yaml}, env_file: b.env}}"),
                ("x/b.env", ""),
                ("x/deep/c.yaml", "services: {c: {image: c, build: ., profiles: [p]}}"),
                (".env", "COMPOSE_PROFILES=p"),
            ],
        ),
        (
            "declared twice",
            &[
                ("compose.yaml", "include: [x.yaml]\nservices: {a: {image: a}}"),
                ("x.yaml", "services: {a: {image: b}}"),
            ],
        ),
        (
            "the same twice",
            &[
                ("compose.yaml", "include: [x.yaml]\nservices: {a: {image: a}}"),
                ("x.yaml", "services: {a: {image: a}}"),
            ],
        ),
        ("in a circle", &[("compose.yaml", "include: [x.yaml]"), ("x.yaml", "include: [compose.yaml]")]),
        (
            "extends in a circle of files",
            &[
                ("compose.yaml", "services: {a: {extends: {service: b, file: b.yaml}}}"),
                ("b.yaml", "services: {b: {extends: {service: c, file: c.yaml}}}"),
                ("c.yaml", "services: {c: {extends: {service: b, file: b.yaml}}}"),
            ],
        ),
        (
            "a fault in an included file",
            &[
                ("compose.yaml", "include: [x/y.yaml]\nservices: {a: {image: a}}"),
                ("x/y.yaml", "services:\n  b:\n    image: b\n    port: ['80:80']"),
            ],
        ),
    ];
    let shown: Vec<String> =
        table.iter().map(|(title, files)| format!("[{title}] {}", Folder::new(files).show())).collect();
    insta::assert_snapshot!(shown.join("\n"));
}
