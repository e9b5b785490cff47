//! A stack on a server that is lived in: whose files and containers are whose.

mod others;

use crate::plan::Risk;
use std::fs;

use tempfile::TempDir;

use super::super::tests::{put, with_docker};
use super::*;
use crate::facts::{Container, Facts, File};
use crate::plan::FileChange;
use crate::stack::bundle::Patterns;

mod cases;
mod folders;
mod left_out;
mod listed;
mod outside;
mod permissions;
mod touched;
mod ways;

/// A folder here, and the host as it is found.
struct Case {
    folder: TempDir,
    facts: Facts,
    options: StackOptions,
    origin: String,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let case = Self {
            folder: TempDir::new().expect("a folder"),
            facts: with_docker("28.3.2"),
            options: StackOptions::default(),
            origin: "here".into(),
        };
        for (path, text) in files {
            case.write(path, text);
        }
        case
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn step(&self) -> Stack {
        let mut project = Project::load(self.folder.path(), Some("notes")).expect("a project");
        project.localise(&stack_folder(&self.options, &project.name));
        let mut bundle =
            Bundle::collect(self.folder.path(), &self.options.choice(&project, true)).expect("files");
        Permission::apply(&self.options.permissions, &mut bundle).expect("patterns");
        let overwritten = Patterns::of_option("overwrite", &self.options.overwrite).expect("patterns");
        bundle.mark_seeds(|path| project.is_written(path) && !overwritten.matches(path, false));
        Stack::new(self.options.clone(), StackInput { project, bundle, origin: self.origin.clone() })
    }

    fn plan(&self) -> Result<PlannedStep, Refusal> {
        self.step().plan(&mut Model { facts: self.facts.clone(), ..Model::default() })
    }

    fn bundle(&self) -> Option<Change> {
        let planned = self.plan().unwrap_or_else(|refusal| panic!("{}: {:?}", refusal.what, refusal.details));
        planned.changes.into_iter().find(|change| change.id == "stack/bundle")
    }

    /// As the run leaves the host that sends what is here.
    fn sent(&mut self) {
        let change = self.bundle().expect("something to send");
        for file in &change.files {
            let name = file.path.clone();
            match &file.content {
                Some(content) => put(&mut self.facts, &name, &String::from_utf8_lossy(content)),
                None => drop(self.facts.files.insert(name, None)),
            }
            if let Some(Some(there)) = self.facts.files.get_mut(&file.path) {
                there.mode = file.mode;
                // The host has a name for that number.
                there.owner = file.owner.replace("1000:1000", "deploy:deploy");
                there.ids.clone_from(&file.owner);
            }
        }
        folder_on_host(&mut self.facts, "/srv/notes");
        let unshown = |argument: &str| change.action.unshown.get(argument).cloned().unwrap_or_default();
        for line in change.action.arguments["folders"].lines() {
            let fields: Vec<_> = line.split('\t').collect();
            let path = format!("/srv/notes/{}", fields[3]);
            folder_on_host(&mut self.facts, &path);
            if let Some(Some(there)) = self.facts.files.get_mut(&path) {
                there.mode = u32::from_str_radix(fields[0], 8).expect("octal");
                there.owner = fields[1].into();
            }
        }
        for file in change.files.iter().filter(|file| file.content.is_some()) {
            for (at, _) in file.path.match_indices('/').skip(3) {
                if self.facts.files.get(&file.path[..at]).is_none_or(Option::is_none) {
                    folder_on_host(&mut self.facts, &file.path[..at]);
                }
            }
        }
        for (file, argument) in [("manifest", "manifest"), ("seeds", "seeds"), ("folders", "known_folders")] {
            let text = unshown(argument);
            put(&mut self.facts, &format!("/var/lib/provision/stacks/notes/{file}"), &text);
        }
    }

    fn container(&mut self, service: &str, image: &str, folder: &str) {
        self.facts.containers.push(Container {
            project: "notes".into(),
            service: service.into(),
            image: image.into(),
            folder: folder.into(),
            state: "running".into(),
            status: "Up 3 minutes".into(),
            ..Container::default()
        });
    }
}

fn paths(files: &[FileChange]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

const NOTES: &str =
    "services:\n  app:\n    image: busybox:1.36\n    volumes: [\"./data:/data\", \"./conf:/conf:ro\"]\n";

#[test]
fn what_containers_write_is_sent_once() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("data/app.db", "one"), ("conf/a", "a")]);
    let first = case.bundle().expect("all of it");
    assert_eq!(
        paths(&first.files),
        ["/srv/notes/compose.yaml", "/srv/notes/conf/a", "/srv/notes/data/app.db"].map(|path| path).to_vec()
    );
    case.sent();
    put(&mut case.facts, "/srv/notes/data/app.db", "rows of a year");
    assert!(case.bundle().is_none(), "it is the application's");

    // It changes here, it goes here, it comes by another way: nothing is sent, and that is said.
    case.write("data/app.db", "two");
    case.write("conf/a", "b");
    let change = case.bundle().expect("the other file");
    assert_eq!(paths(&change.files), ["/srv/notes/conf/a"]);
    assert!(
        change.reason.contains("data/app.db: kept, the application's since the first run"),
        "{}",
        change.reason
    );
    let warnings = case.plan().expect("a plan").withheld;
    assert!(
        warnings.iter().any(|text| text.contains("compose.yaml:4") && text.contains("overwrite")),
        "{warnings:?}"
    );
    case.sent();
    fs::remove_file(case.folder.path().join("data/app.db")).expect("a file");
    assert!(case.bundle().is_none(), "not removed either");

    // The application has removed it: it is not brought back.
    case.write("data/app.db", "two");
    case.facts.files.insert("/srv/notes/data/app.db".into(), None);
    assert!(case.bundle().is_none());
    // A new one is sent, once.
    case.write("data/new", "x");
    assert_eq!(paths(&case.bundle().expect("a file").files), ["/srv/notes/data/new"]);
}

#[test]
fn what_containers_write_is_overwritten_only_when_it_is_named() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("data/app.db", "one"), ("data/settings.yml", "a")]);
    case.sent();
    case.options.overwrite = vec!["data/*.yml".into()];
    put(&mut case.facts, "/srv/notes/data/settings.yml", "theirs");
    put(&mut case.facts, "/srv/notes/data/app.db", "theirs");
    let change = case.bundle().expect("the one file");
    assert_eq!(paths(&change.files), ["/srv/notes/data/settings.yml"]);
    assert_eq!(change.risks, [Risk::OverwritesData { path: "/srv/notes/data/settings.yml".into() }]);
}

#[test]
fn what_containers_wrote_stays_when_the_mount_goes() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("data/app.db", "one"), ("data/still", "same")]);
    case.sent();
    put(&mut case.facts, "/srv/notes/data/app.db", "rows of a year");
    case.write("compose.yaml", "services:\n  app:\n    image: busybox:1.36\n");
    case.write("data/app.db", "two");
    case.write("data/still", "new");
    // Nothing has written to the other one: it is the folder's again.
    assert_eq!(
        paths(&case.bundle().expect("a change").files),
        ["/srv/notes/compose.yaml", "/srv/notes/data/still"]
    );
    for _ in ["at once", "and later"] {
        let warnings = case.plan().expect("a plan").withheld;
        assert!(warnings.iter().any(|text| text.starts_with("data/app.db is kept")), "{warnings:?}");
        if case.bundle().is_some() {
            case.sent();
        }
    }
    case.options.overwrite = vec!["data/app.db".into()];
    assert_eq!(paths(&case.bundle().expect("it is named").files), ["/srv/notes/data/app.db"]);
}

/// What an earlier provision has sent, which kept no list of what is sent once.
#[test]
fn what_containers_write_is_known_from_an_older_manifest() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("data/app.db", "one")]);
    let sum = crate::digest::sha256(b"one");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", &format!("644 {sum} data/app.db\n"));
    put(&mut case.facts, "/srv/notes/data/app.db", "theirs");
    for folder in ["/srv/notes", "/srv/notes/data"] {
        folder_on_host(&mut case.facts, folder);
    }
    assert_eq!(paths(&case.bundle().expect("the project").files), ["/srv/notes/compose.yaml"]);
    case.facts.files.insert("/srv/notes/data/app.db".into(), None);
    assert_eq!(paths(&case.bundle().expect("the project").files), ["/srv/notes/compose.yaml"]);
    fs::remove_file(case.folder.path().join("data/app.db")).expect("a file");
    assert_eq!(paths(&case.bundle().expect("the project").files), ["/srv/notes/compose.yaml"]);
}

/// The whole folder is mounted, as in development: Compose's own files are sent all the same.
#[test]
fn a_project_that_mounts_itself() {
    let text = "services:\n  app:\n    image: a\n    env_file: app.env\n    volumes: [\".:/app\"]\n";
    let mut case =
        Case::new(&[("compose.yaml", text), ("app.env", "A=1\n"), (".env", "B=1\n"), ("code.py", "1")]);
    case.sent();
    for file in ["app.env", ".env", "code.py"] {
        case.write(file, "C=2\n");
    }
    let change = case.bundle().expect("Compose's own");
    assert_eq!(paths(&change.files), ["/srv/notes/.env", "/srv/notes/app.env"]);
}

#[test]
fn what_was_edited_is_named_when_it_goes() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("conf/a", "a"), ("conf/b", "b")]);
    case.sent();
    put(&mut case.facts, "/srv/notes/conf/a", "by hand");
    for file in ["conf/a", "conf/b"] {
        fs::remove_file(case.folder.path().join(file)).expect("a file");
    }
    let change = case.bundle().expect("two that go");
    assert_eq!(paths(&change.files), ["/srv/notes/conf/a", "/srv/notes/conf/b"]);
    assert_eq!(change.risks, [Risk::RemovesEdited { path: "/srv/notes/conf/a".into() }]);
}

#[test]
fn a_file_becomes_a_folder_and_a_folder_a_file() {
    let text = "services: {app: {image: a}}\n";
    let mut case = Case::new(&[("compose.yaml", text), ("one", "1"), ("two/x", "x"), ("other", "o")]);
    case.sent();
    for file in ["one", "two/x", "other"] {
        fs::remove_file(case.folder.path().join(file)).expect("a file");
    }
    fs::remove_dir(case.folder.path().join("two")).expect("a folder");
    case.write("one/y", "y");
    case.write("two", "2");
    let change = case.bundle().expect("changes");
    // What is in the way goes first, what is not last.
    assert_eq!(
        paths(&change.files),
        ["/srv/notes/one", "/srv/notes/two/x", "/srv/notes/one/y", "/srv/notes/two", "/srv/notes/other"]
    );
}

/// Each way to say that a container may write to a folder of the stack.
#[test]
fn every_way_to_mount_a_folder_is_known() {
    let service = |volume: &str| format!("services:\n  app:\n    image: a\n    volumes: [{volume}]\n");
    let bound = "volumes: {dd: {driver: local, driver_opts: {type: none, o: bind, device: ./data}}}\n";
    for (compose, other) in [
        (service("\"./data:/d\""), ""),
        (service("\"./data:/d:rw,z\""), ""),
        (service("\"${PWD}/data:/d\""), ""),
        (service("\"$PWD/data/:/d\""), ""),
        (service("\"/srv/notes/data:/d\""), ""),
        (service("{type: bind, source: data, target: /d}"), ""),
        (format!("{}{bound}", service("\"dd:/d\"")), ""),
        (format!("{}{bound}", service("{type: volume, source: dd, target: /d}")), ""),
        ("include: [sub/c.yaml]\n".to_owned(), "services: {x: {image: a, volumes: [\"../data:/d\"]}}\n"),
        (
            "include: [{path: sub/c.yaml}]\nservices: {y: {image: a}}\n".to_owned(),
            "services: {x: {image: a, volumes: [\"${PWD}/data:/d\"]}}\n",
        ),
        (
            "services: {b: {extends: {file: sub/c.yaml, service: x}}}\n".to_owned(),
            "services: {x: {image: a, volumes: [\"../data:/d\"]}}\n",
        ),
    ] {
        let mut case = Case::new(&[("compose.yaml", &compose), ("sub/c.yaml", other), ("data/f", "one")]);
        if other.is_empty() {
            case.write("sub/c.yaml", "services: {}\n");
        }
        case.sent();
        put(&mut case.facts, "/srv/notes/data/f", "theirs");
        case.write("data/f", "two");
        assert!(case.bundle().is_none(), "{compose}{other}: {:?}", case.bundle().map(|change| change.risks));
    }
}

/// Where a file of the application's stands, nothing else takes its place; Docker's empty folder is none.
#[test]
fn what_stands_in_a_seeds_place() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("data/f", "one")]);
    case.sent();
    fs::remove_file(case.folder.path().join("data/f")).expect("a file");
    case.write("data/f/g", "two");
    assert!(case.bundle().is_none(), "data/f is the application's");
    assert!(case.plan().expect("a plan").withheld[0].contains("data/f/g has changed here"));

    let mut case = Case::new(&[("compose.yaml", NOTES), ("data/f", "one")]);
    case.sent();
    fs::remove_dir_all(case.folder.path().join("data")).expect("a folder");
    case.write("data", "a file now");
    folder_on_host(&mut case.facts, "/srv/notes/data");
    assert!(case.bundle().is_none(), "data is the application's");
    assert!(case.plan().expect("a plan").withheld[0].contains("data has changed here"));

    let text = "services:\n  web:\n    image: a\n    volumes: [\"./a.conf:/x/a.conf\"]\n";
    let mut case = Case::new(&[("compose.yaml", text), ("a.conf", "x")]);
    folder_on_host(&mut case.facts, "/srv/notes/a.conf");
    assert_eq!(paths(&case.bundle().expect("both").files), ["/srv/notes/compose.yaml", "/srv/notes/a.conf"]);
}

/// A mount that was read-only becomes writable, and the file changes here, in one edit.
#[test]
fn a_mount_that_becomes_writable() {
    let mut case = Case::new(&[("compose.yaml", NOTES), ("conf/a", "one")]);
    case.sent();
    case.write("compose.yaml", &NOTES.replace("/conf:ro", "/conf"));
    case.write("conf/a", "two");
    for round in 0..2 {
        let withheld = case.plan().expect("a plan").withheld;
        assert!(
            withheld.iter().any(|text| text.contains("conf/a has changed here")),
            "{round}: {withheld:?}"
        );
        if round == 0 {
            case.sent();
        }
    }
}

/// The project runs on the host as it was sent.
fn running(case: &mut Case) {
    case.sent();
    let step = case.step();
    let hash = step.input.bundle.hash();
    put(&mut case.facts, "/var/lib/provision/stacks/notes/applied", &format!("{hash}\n"));
    let each = step.services().flat_map(|service| (0..service.scale).map(move |_| service));
    case.facts.containers = each
        .map(|service| Container {
            project: "notes".into(),
            service: service.name.clone(),
            folder: "/srv/notes".into(),
            state: "running".into(),
            status: "Up".into(),
            ..Container::default()
        })
        .collect();
    for service in ["a", "b"] {
        case.facts.images.insert(service.into(), Some(crate::facts::Image::default()));
    }
}

fn folder_on_host(facts: &mut Facts, path: &str) {
    let (owner, ids) = ("root:root".into(), "0:0".into());
    let folder = File { kind: "directory".into(), mode: 0o755, owner, ids, ..File::default() };
    facts.files.insert(path.into(), Some(folder));
}

#[test]
fn what_is_mounted_has_to_be_there() {
    let text = |volume: &str| {
        format!("services:\n  web:\n    image: a\n    volumes:\n      - {volume}\nvolumes: {{named: }}\n")
    };
    for (volume, said) in [
        (
            "./nginx.conf:/etc/nginx/nginx.conf:ro",
            Some("compose.yaml:5: web mounts nginx.conf, which is not in the folder"),
        ),
        ("./conf:/etc/app/app.toml", Some("compose.yaml:5: web mounts conf, which is not in the folder")),
        (
            "{type: bind, source: ./x, target: /x, bind: {create_host_path: false}}",
            Some("compose.yaml:5: web mounts x"),
        ),
        (
            "./left.log:/x",
            Some("compose.yaml:5: web mounts left.log, which is not sent, since a pattern leaves it out"),
        ),
        ("./data:/data", None),
        ("/etc/hosts:/etc/hosts:ro", None),
        ("named:/data", None),
        ("./there:/data", None),
    ] {
        let mut case = Case::new(&[("compose.yaml", &text(volume)), ("left.log", ""), ("there/x", "")]);
        case.options.ignore = vec!["*.log".into()];
        let refused = case.plan().err().map(|refusal| refusal.details.join("\n"));
        match (said, &refused) {
            (Some(said), Some(details)) => assert!(details.contains(said), "{volume}: {details}"),
            (None, None) => {}
            _ => panic!("{volume}: {refused:?}"),
        }
        // Docker has made a folder of it: that is no file.
        for name in ["nginx.conf", "conf", "left.log", "x"] {
            folder_on_host(&mut case.facts, &format!("/srv/notes/{name}"));
        }
        assert_eq!(case.plan().is_err(), said.is_some() && !volume.contains("create_host_path"), "{volume}");
        // A person has put it there.
        for name in ["nginx.conf", "conf", "left.log", "x"] {
            put(&mut case.facts, &format!("/srv/notes/{name}"), "theirs");
        }
        assert!(case.plan().is_ok(), "{volume}");
    }
    let case = Case::new(&[("compose.yaml", &text("./data:/data"))]);
    let warnings = case.plan().expect("a plan").warnings;
    assert_eq!(
        warnings,
        ["compose.yaml:5: data is not in the folder; Docker will create an empty folder for web"]
    );
}

/// A folder that Docker has made is replaced, and not called an edited file.
#[test]
fn a_file_takes_the_place_of_dockers_folder() {
    let text = "services:\n  web:\n    image: a\n    volumes: [\"./nginx.conf:/etc/nginx/nginx.conf:ro\"]\n";
    let mut case = Case::new(&[("compose.yaml", text), ("nginx.conf", "x")]);
    folder_on_host(&mut case.facts, "/srv/notes/nginx.conf");
    let change = case.bundle().expect("both");
    assert_eq!(paths(&change.files), ["/srv/notes/compose.yaml", "/srv/notes/nginx.conf"]);
    assert_eq!(change.risks, []);
}

#[test]
fn another_name_for_the_same_folder() {
    let mut case = Case::new(&[("compose.yaml", "services: {a: {image: a}}\n")]);
    let renamed = |case: &Case| {
        let warnings = case.plan().expect("a plan").warnings;
        warnings.into_iter().find(|warning| warning.contains("volumes start empty"))
    };
    put(&mut case.facts, "/var/lib/provision/stacks/other/origin", "elsewhere\n");
    assert_eq!(renamed(&case), None);
    put(&mut case.facts, "/var/lib/provision/stacks/shop/origin", "here\n");
    assert!(renamed(&case).is_some_and(|warning| warning.contains("set name = \"shop\"")));
    // Known under this name as well: two that are meant.
    put(&mut case.facts, "/var/lib/provision/stacks/notes/origin", "here\n");
    assert_eq!(renamed(&case), None);
}
