//! What is sent and what stays here: git, `.dockerignore`, what a project names.

use std::process::Command;

use super::*;

/// A folder in a repository of its own, and what is sent of it.
struct Case {
    folder: tempfile::TempDir,
    include: Vec<String>,
    ignore: Vec<String>,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = folder(files);
        fs::create_dir(folder.path().join(".git")).unwrap();
        Self { folder, include: Vec::new(), ignore: Vec::new() }
    }

    fn bundle(&self) -> Bundle {
        let mut project = Project::load(self.folder.path(), Some("notes")).unwrap();
        project.localise("/srv/notes");
        let (ignore, include) = (&self.ignore, &self.include);
        let choice = Choice { ignore, include, project: Some(&project), git: true };
        Bundle::collect(self.folder.path(), &choice).unwrap()
    }

    /// What is sent, without Compose's own files.
    fn sent(&self) -> String {
        let bundle = self.bundle();
        let own = ["compose.yaml", ".gitignore", ".dockerignore", "Dockerfile"];
        let others = paths(&bundle).into_iter().filter(|path| !own.contains(path));
        others.collect::<Vec<_>>().join(" ")
    }

    fn git(&self, arguments: &[&str]) {
        let done = Command::new("git").current_dir(self.folder.path()).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

const WEB: &str = "services: {web: {image: a}}\n";

#[test]
fn what_git_ignores_stays_here() {
    let ignored = "*.log\n!keep.log\n/build/\n**/cache\na b.txt\nünï*\nlogs/\ndocs/**/*.pdf\n.env\n";
    let case = Case::new(
        &[
            ("compose.yaml", WEB),
            (".gitignore", ignored),
            (".env", "A=1"),
            ("a.log", "x"),
            ("keep.log", "x"),
            ("build/x", "x"),
            ("sub/build/x", "x"),
            ("sub/cache/x", "x"),
            ("a b.txt", "x"),
            ("ünïcode", "x"),
            ("logs", "a file"),
            ("sub/logs/x", "x"),
            ("docs/a/b/c.pdf", "x"),
            ("docs/a/c.md", "x"),
            ("sub/.gitignore", "own\n!/a.log\n"),
            ("sub/own", "x"),
            ("sub/a.log", "x"),
            (".git/info/exclude", "excluded\n"),
            ("excluded", "x"),
        ]
        .iter()
        .filter(|(path, _)| !path.starts_with(".git/"))
        .copied()
        .collect::<Vec<_>>(),
    );
    fs::create_dir(case.folder.path().join(".git/info")).unwrap();
    fs::write(case.folder.path().join(".git/info/exclude"), "excluded\n").unwrap();
    assert_eq!(case.sent(), ".env docs/a/c.md keep.log logs sub/.gitignore sub/a.log sub/build/x");
    // Outside a repository git ignores nothing.
    fs::remove_dir_all(case.folder.path().join(".git")).unwrap();
    assert!(case.sent().contains("a b.txt a.log build/x"), "{}", case.sent());
}

#[test]
fn what_the_project_names_is_sent() {
    let compose = "\
include:
  - {path: inc/more.yaml, env_file: inc/own.env}
services:
  web:
    image: a
    env_file: [app.env, {path: more.env, required: false}]
    label_file: labels
    configs: [conf]
    secrets: [token]
    volumes: [\"./data:/data\", \"./one.conf:/one.conf:ro\", \"${PWD}/by-pwd:/x\", \"/srv/notes/by-path:/y\"]
  off:
    image: a
    profiles: [never]
    volumes: [\"./off:/off\"]
    extends: {file: base.yaml, service: base}
configs: {conf: {file: ./conf.txt}}
secrets: {token: {file: ./token}}
";
    let case = Case::new(&[
        ("compose.yaml", compose),
        (".gitignore", "*\n"),
        (".env", ""),
        ("app.env", ""),
        ("more.env", ""),
        ("labels", ""),
        ("conf.txt", ""),
        ("token", ""),
        ("data/deep/er/x", ""),
        ("one.conf", ""),
        ("one.conf.bak", ""),
        ("by-pwd/x", ""),
        ("by-path/x", ""),
        ("off/x", ""),
        (
            "inc/more.yaml",
            "services: {x: {image: a, env_file: x.env, volumes: [\"./d:/d\", \"../up:/up\"]}}\n",
        ),
        ("inc/own.env", ""),
        ("inc/.env", ""),
        ("inc/x.env", ""),
        ("inc/d/x", ""),
        ("inc/other", ""),
        ("up/x", ""),
        ("base.yaml", "services: {base: {image: a, volumes: [\"./of-base:/b\"]}}\n"),
        ("of-base/x", ""),
        ("other/x", ""),
    ]);
    assert_eq!(
        case.sent(),
        ".env app.env base.yaml by-path/x by-pwd/x conf.txt data/deep/er/x inc/d/x inc/more.yaml \
         inc/own.env inc/x.env labels more.env of-base/x off/x one.conf token up/x"
    );
}

#[test]
fn a_mount_within_an_ignored_folder_and_one_through_a_link() {
    let compose =
        "services: {web: {image: a, volumes: [\"./var/lib/x.conf:/x.conf:ro\", \"./current:/app:ro\"]}}\n";
    let case = Case::new(&[
        ("compose.yaml", compose),
        (".gitignore", "var/\nreleases/\n/current\n"),
        ("var/lib/x.conf", ""),
        ("var/lib/y.conf", ""),
        ("releases/1/app", ""),
    ]);
    symlink("releases/1", case.folder.path().join("current")).unwrap();
    symlink("/nonexistent", case.folder.path().join("var/out")).unwrap();
    assert_eq!(case.sent(), "current/app var/lib/x.conf");
    let bundle = case.bundle();
    let link = Link { path: "current".into(), to: "releases/1".into(), is_folder: true };
    assert_eq!(bundle.links, [link]);
}

/// Git does not ignore what it keeps, whatever a pattern says; a repository within is one of its own.
#[test]
fn files_that_git_keeps_and_repositories_within() {
    let case = Case::new(&[
        ("compose.yaml", WEB),
        (".gitignore", "dist/\n*.txt\n"),
        ("dist/page", ""),
        ("dist/other", ""),
        ("kept.txt", ""),
        ("other.txt", ""),
        ("module/.gitignore", "own\n"),
        ("module/own", ""),
        ("module/a.txt", ""),
    ]);
    fs::remove_dir(case.folder.path().join(".git")).unwrap();
    case.git(&["init", "-q"]);
    case.git(&["add", "-f", "dist/page", "kept.txt"]);
    fs::write(case.folder.path().join("module/.git"), "gitdir: ../.git/modules/module\n").unwrap();
    assert_eq!(case.sent(), "dist/page kept.txt module/.gitignore module/a.txt");
    // A stack's folder within a repository: patterns above count.
    let above = folder(&[(".gitignore", "*.log\n/deploy/tmp/\n"), ("deploy/compose.yaml", WEB)]);
    fs::create_dir(above.path().join(".git")).unwrap();
    for file in ["a.log", "tmp", "b"] {
        fs::write(above.path().join("deploy").join(file), "").unwrap();
    }
    let choice = Choice { git: true, ..Choice::default() };
    let bundle = Bundle::collect(&above.path().join("deploy"), &choice).unwrap();
    assert_eq!(paths(&bundle), ["b", "compose.yaml", "tmp"]);
}

#[test]
fn what_is_installed_or_left_over_stays_here() {
    let files = [
        ("web/node_modules/a/index.js", ""),
        ("web/app.js", ""),
        ("web/.venv/pyvenv.cfg", ""),
        ("web/.venv/bin/python", ""),
        ("env/pyvenv.cfg", ""),
        ("env/lib/x", ""),
        ("web/__pycache__/x.pyc", ""),
        ("web/.DS_Store", ""),
        ("web/.git/config", ""),
        ("web/.gitkeep", ""),
    ];
    let compose =
        |volumes: &str| format!("services: {{web: {{image: a, build: ./web, volumes: [{volumes}]}}}}\n");
    let mut case = Case::new(&files);
    let write = |case: &Case, volumes: &str| {
        fs::write(case.folder.path().join("compose.yaml"), compose(volumes)).unwrap();
    };
    write(&case, "\"./web:/web\", \".:/all:ro\"");
    assert_eq!(case.sent(), "web/.gitkeep web/app.js");
    write(&case, "\"./web/node_modules:/n\", \"./env/lib:/l\"");
    assert_eq!(case.sent(), "env/lib/x web/.gitkeep web/app.js web/node_modules/a/index.js");
    write(&case, "");
    for (include, expected) in [
        ("node_modules/", "web/.gitkeep web/app.js web/node_modules/a/index.js"),
        ("web/.venv/bin/*", "web/.gitkeep web/.venv/bin/python web/app.js"),
        ("*.js", "web/.gitkeep web/app.js"),
        ("web/.git/", "web/.git/config web/.gitkeep web/app.js"),
    ] {
        case.include = vec![include.to_owned()];
        assert_eq!(case.sent(), expected, "{include}");
    }
}

#[test]
fn a_build_gets_what_its_dockerignore_leaves() {
    let files = [
        ("app/Dockerfile", ""),
        ("app/.dockerignore", "*\n!src\nsrc/**/*.tmp\n"),
        ("app/src/main.c", ""),
        ("app/src/a/b.tmp", ""),
        ("app/README.md", ""),
        ("app/data/x", ""),
        ("app/conf", ""),
        ("other/README.md", ""),
        (".gitignore", "src/\nother/\n"),
    ];
    let compose = |build: &str| {
        format!("services: {{web: {{build: {build}, volumes: [\"./app/data:/d\", \"./app/conf:/c:ro\"]}}}}\n")
    };
    let case = Case::new(&files);
    let sent = |build: &str| {
        fs::write(case.folder.path().join("compose.yaml"), compose(build)).unwrap();
        case.sent()
    };
    let named = "app/.dockerignore app/Dockerfile app/conf app/data/x";
    assert_eq!(sent("./app"), format!("{named} app/src/main.c"));
    // A file that one of two contexts takes is sent.
    assert_eq!(
        sent("{context: ./app, additional_contexts: {all: .}}"),
        "app/.dockerignore app/Dockerfile app/README.md app/conf app/data/x app/src/a/b.tmp app/src/main.c \
         other/README.md"
    );
    fs::write(case.folder.path().join("prod.Dockerfile"), "").unwrap();
    fs::write(case.folder.path().join("prod.Dockerfile.dockerignore"), "**/*.md\n").unwrap();
    assert_eq!(
        sent("{context: ./app, dockerfile: ../prod.Dockerfile}"),
        format!("{named} app/src/a/b.tmp app/src/main.c prod.Dockerfile prod.Dockerfile.dockerignore")
    );
    // The whole folder: Compose's own files are not Docker's to leave out.
    fs::write(case.folder.path().join(".dockerignore"), "*\n!other\nother/*.md\n").unwrap();
    fs::write(case.folder.path().join(".env"), "").unwrap();
    assert_eq!(sent("."), ".env app/conf app/data/x");
    assert!(case.bundle().left_out.phrase().unwrap().contains(" bytes, in .dockerignore), "));
}

#[test]
fn what_stays_here_is_told_in_one_line() {
    let mut case = Case::new(&[
        ("compose.yaml", WEB),
        (".gitignore", "cache/\n*.log\n"),
        ("web/node_modules/a/x", &"x".repeat(40_000)),
        ("web/node_modules/b", &"x".repeat(2_000)),
        ("web/app.js", ""),
        ("cache/a/x", &"x".repeat(5_000)),
        ("a.log", "x"),
        ("web/b.log", "xx"),
        ("notes", "xxx"),
        ("x~", ""),
    ]);
    case.ignore = vec!["notes".into()];
    let bundle = case.bundle();
    assert_eq!(paths(&bundle), [".gitignore", "compose.yaml", "web/app.js"]);
    assert_eq!(
        bundle.left_out.phrase().unwrap(),
        "left out: web/node_modules/ (2 files, 42 kB), cache/ (1 file, 5.0 kB, ignored by git), notes (3 bytes, \
         ignored by your settings) and 2 more files (3 bytes)"
    );
}

#[test]
fn too_many_files_name_the_fullest_folders() {
    let folder = folder(&[("compose.yaml", WEB)]);
    for (name, count) in [("a/few", 3), ("b/deep/many", 12), ("c", 5)] {
        let below = folder.path().join(name);
        fs::create_dir_all(&below).unwrap();
        (0..count).for_each(|at| fs::write(below.join(at.to_string()), "x").unwrap());
    }
    let files: Vec<_> = collect(&folder).unwrap().files.into_iter().map(|file| (file.path, 1)).collect();
    let largest = left_out::largest(files.iter().map(|(path, size)| (path.as_str(), *size)), true);
    assert_eq!(
        largest,
        ["b/deep/many/ (12 files, 12 bytes)", "c/ (5 files, 5 bytes)", "a/few/ (3 files, 3 bytes)"]
    );
}

/// Links that multiply or lead in circles end in a refusal, not in a walk without end.
#[test]
fn links_never_lead_in_circles() {
    let place = folder(&[("compose.yaml", WEB), ("d0/x", "")]);
    for at in 1..30 {
        let below = place.path().join(format!("d{at}"));
        fs::create_dir(&below).unwrap();
        for name in ["a", "b"] {
            symlink(format!("../d{}", at - 1), below.join(name)).unwrap();
        }
    }
    assert!(refusal(&place).contains("reached by a link"), "{}", refusal(&place));
    let own = folder(&[("a/x", "")]);
    symlink("self", own.path().join("self")).unwrap();
    assert!(refusal(&own).contains("does not exist"), "{}", refusal(&own));
}
