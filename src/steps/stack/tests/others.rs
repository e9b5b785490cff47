//! Names of containers, volumes and networks that others have on the host.

use super::*;
use crate::facts::Owner;

fn refusal(case: &Case, force: bool) -> Option<(String, String)> {
    let mut model = Model { facts: case.facts.clone(), force, ..Model::default() };
    let refusal = case.step().plan(&mut model).err()?;
    Some((refusal.what, format!("{}\n{}", refusal.details.join("\n"), refusal.hints.join("\n"))))
}

#[test]
fn a_containers_name_that_another_has() {
    let compose = "services:\n  web:\n    image: w\n    container_name: front\n  db: {image: d}\n";
    let container = |name: &str, project: &str, folder: &str| Container {
        name: name.into(),
        project: project.into(),
        service: "x".into(),
        image: "caddy:2".into(),
        state: "running".into(),
        folder: folder.into(),
        ..Container::default()
    };
    let shop = "compose.yaml:4: the name front of web is taken by a container of the project shop in /opt/shop \
                (service x, running)";
    let cases = [
        (container("front", "shop", "/opt/shop"), Some(shop)),
        (container("front", "", ""), Some("a container of no Compose project (caddy:2, running)")),
        (container("front", "notes", "/srv/notes"), None),
        (container("notes-web-1", "", ""), None),
        (container("notes-db-1", "", ""), Some("the name notes-db-1 of db is taken by")),
        (container("notes-db-2", "", ""), None),
    ];
    for (container, said) in cases {
        let mut case = Case::new(&[("compose.yaml", compose)]);
        case.facts.neighbours.namesakes.push(container.clone());
        let found = refusal(&case, false);
        assert_eq!(found.is_some(), said.is_some(), "{container:?}: {found:?}");
        if let (Some((_, text)), Some(said)) = (found, said) {
            assert!(text.contains(said), "{text}");
            assert!(refusal(&case, true).is_some(), "Docker gives a name once, forced or not");
        }
    }
    let mut questions = Questions::new();
    Case::new(&[("compose.yaml", compose)]).step().questions(&mut questions);
    for name in ["front", "notes-db-1"] {
        assert!(questions.contains(&Question::ContainerName(name.into())), "{questions:?}");
    }
}

/// A project that was renamed meets its own containers of before.
#[test]
fn a_containers_name_that_the_former_project_has() {
    let mut case = Case::new(&[("compose.yaml", "services:\n  web: {image: w, container_name: front}\n")]);
    put(&mut case.facts, "/var/lib/provision/stacks/former/origin", "here\n");
    let container = Container { name: "front".into(), project: "former".into(), ..Container::default() };
    case.facts.neighbours.namesakes.push(container);
    let (_, text) = refusal(&case, false).expect("it is taken");
    assert!(text.contains("docker compose -p former down"), "{text}");
}

const RESOURCES: &str = "services:
  db: {image: d, volumes: ['data:/data'], networks: [front]}
";

/// What is declared, what the host has (name and project), the question, and what is said.
#[test]
fn volumes_and_networks_of_others() {
    let missing_volume = "docker volume create data";
    let cases: [(&str, &str, Option<&str>, Option<&str>); 11] = [
        ("volumes: {data: {external: true}}", "data", None, Some(missing_volume)),
        ("volumes: {data: {external: true, name: old}}", "old", None, Some("docker volume create old")),
        ("volumes: {data: {external: true}}", "data", Some("shop"), None),
        ("volumes: {data: {name: shared}}", "shared", None, None),
        ("volumes: {data: {name: shared}}", "shared", Some("notes"), None),
        ("volumes: {data: {name: shared}}", "shared", Some("shop"), Some("which the project shop made")),
        ("volumes: {data: {name: shared}}", "shared", Some(""), None),
        ("networks: {front: {external: true}}", "front", None, Some("docker network create front")),
        ("networks: {front: {external: true}}", "front", Some(""), None),
        ("networks: {front: {name: proxy}}", "proxy", Some("shop"), Some("which the project shop made")),
        ("networks: {front: {name: proxy}}", "proxy", Some(""), Some("which Compose did not make")),
    ];
    for (declared, name, owner, said) in cases {
        // The other one is declared as well, and is the project's own.
        let other = if declared.starts_with("volumes") { "networks: {front: }" } else { "volumes: {data: }" };
        let mut case = Case::new(&[("compose.yaml", &format!("{RESOURCES}{declared}\n{other}\n"))]);
        let owner = owner.map(|project| Owner { project: project.into() });
        if declared.starts_with("volumes") {
            case.facts.neighbours.volumes.insert(name.into(), owner);
        } else {
            case.facts.networks.insert(name.into(), owner.is_some().then(Default::default));
            case.facts.neighbours.networks.extend(owner.map(|owner| (name.to_owned(), owner)));
        }
        let found = refusal(&case, false).map(|(_, text)| text);
        assert_eq!(found.is_some(), said.is_some(), "{declared} {name}: {found:?}");
        if let (Some(text), Some(said)) = (&found, said) {
            assert!(text.contains(said), "{text}");
            assert!(text.contains("compose.yaml:3: "), "{text}");
        }
        // Only where Compose itself would go on.
        let forced = refusal(&case, true).is_some();
        assert_eq!(
            forced,
            said.is_some()
                && !(declared.starts_with("volumes") && found.unwrap_or_default().contains("--force")),
            "{declared}"
        );
    }
}

#[test]
fn what_is_external_is_missing_on_a_bare_host() {
    let declared = format!("{RESOURCES}volumes: {{data: {{external: true}}}}\nnetworks: {{front: }}\n");
    let mut case = Case::new(&[("compose.yaml", &declared)]);
    case.facts.docker = None;
    let mut model = Model { facts: case.facts.clone(), docker_planned: true, ..Model::default() };
    let refusal = case.step().plan(&mut model).expect_err("it is missing");
    assert!(refusal.hints[0].contains("`name: data`"), "{:?}", refusal.hints);
    // A daemon that does not answer tells nothing.
    case.facts.docker = Some(crate::facts::Docker::default());
    let mut model = Model { facts: case.facts.clone(), docker_planned: true, ..Model::default() };
    assert!(case.step().plan(&mut model).is_ok());
}

#[test]
fn a_volume_under_another_name_starts_empty() {
    let compose = |volume: &str, declared: &str| {
        format!("services:\n  db: {{image: d, volumes: ['{volume}:/data']}}\nvolumes: {declared}\n")
    };
    let cases = [
        (compose("pgdata", "{pgdata: }"), true),
        (compose("data", "{data: {name: other}}"), true),
        (compose("data", "{data: }"), false),
        // Declared still, if only for a service that is off.
        (compose("pgdata", "{pgdata: , data: }"), false),
        (compose("pgdata", "{pgdata: {name: notes_data}}"), false),
    ];
    for (compose, warned) in cases {
        let mut case = Case::new(&[("compose.yaml", &compose)]);
        let ours = || Some(Owner { project: "notes".into() });
        for name in ["notes_pgdata", "other"] {
            case.facts.neighbours.volumes.insert(name.into(), None);
        }
        case.facts.neighbours.volumes.insert("notes_data".into(), ours());
        let planned = case.plan().expect("it can be planned");
        let said = planned.warnings.iter().find(|warning| warning.contains("starts empty"));
        assert_eq!(said.is_some(), warned, "{compose}: {:?}", planned.warnings);
        assert!(said.is_none_or(|said| said.contains("`name: notes_data`")), "{said:?}");
    }
}

/// What takes a volume's place starts without its data, whatever that is.
#[test]
fn a_volume_that_is_no_longer_used_is_named_once() {
    let compose = |mount: &str, declared: &str| {
        format!("services:\n  db: {{image: d, volumes: ['{mount}:/data']}}\nvolumes: {declared}\n")
    };
    let mut case =
        Case::new(&[("compose.yaml", &compose("data", "{data: {labels: {a: b}}}")), ("rows/x", "1\n")]);
    let ours = Some(Owner { project: "notes".into() });
    case.facts.neighbours.volumes.insert("notes_data".into(), ours);
    case.sent();
    let before = lines(&case.step().definitions());
    put(&mut case.facts, "/var/lib/provision/stacks/notes/definitions", &before);
    let warned = |case: &Case| {
        let warnings = case.plan().expect("a plan").warnings;
        let found = warnings.into_iter().filter(|warning| warning.contains("notes_data"));
        found.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(warned(&case), "");
    case.write("compose.yaml", &compose("./rows", "{}"));
    assert!(
        warned(&case)
            .starts_with("no service uses the volume notes_data of this project any more: what is in it")
    );
    case.sent();
    assert_eq!(warned(&case), "", "it was said while it was changed");
    // The start is recorded, and something else changes.
    let definitions = lines(&case.step().definitions());
    put(&mut case.facts, "/var/lib/provision/stacks/notes/definitions", &definitions);
    case.write("rows/y", "1\n");
    assert_eq!(warned(&case), "", "it was said once");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/definitions", &before);
    // Options of a volume that is there.
    for (declared, redeclared) in [
        ("{data: {driver: local, labels: {a: b}, name: notes_data}}", false),
        ("{data: {labels: {a: c}}}", true),
        ("{data: {labels: {a: b}, driver_opts: {type: nfs}}}", true),
    ] {
        case.write("compose.yaml", &compose("data", declared));
        let said = warned(&case);
        assert_eq!(said.contains("Docker keeps the options"), redeclared, "{declared}: {said}");
    }
}

const WRITES: &str = "services: {web: {image: w, volumes: ['./data:/data', './app.conf:/app.conf']}}\n";

fn with_data() -> Case {
    Case::new(&[("compose.yaml", WRITES), ("data/rows", "1\n"), ("app.conf", "a\n")])
}

/// A project that provision never sent belongs to a person, even in the folder that provision would use.
#[test]
fn a_project_that_was_started_by_hand_in_our_folder() {
    let mut case = with_data();
    case.container("erp", "redis:7", "/srv/notes");
    let (what, text) = refusal(&case, false).expect("it is another one");
    assert_eq!(what, "another project named `notes` runs on the host; nothing was changed");
    assert!(text.contains("/srv/notes on the host, where provision has never put it: erp"), "{text}");
    assert_eq!(refusal(&case, true), None);
    put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", "");
    assert_eq!(refusal(&case, false), None);
}

#[test]
fn another_folder_of_that_name_is_refused_while_it_is_there() {
    let mut case = with_data();
    case.sent();
    put(&mut case.facts, "/var/lib/provision/stacks/notes/origin", "/home/ann/other on here\n");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", "644 x compose.yaml\n");
    case.container("web", "w:1", "/srv/notes");
    for (has_other_folder, refused) in [(false, false), (true, true)] {
        let mut model = Model { facts: case.facts.clone(), has_other_folder, ..Model::default() };
        assert_eq!(case.step().plan(&mut model).is_err(), refused);
    }
}

#[test]
fn a_folder_on_the_host_is_one_stacks() {
    for (folder, free) in [
        ("/srv/notes", false),
        ("/srv/notes/sub/", false),
        ("/srv/notes2", true),
        ("/srv/other", true),
        ("/opt", true),
    ] {
        let mut case = with_data();
        put(&mut case.facts, "/var/lib/provision/stacks/shop/folder", folder);
        let found = refusal(&case, false);
        assert_eq!(found.is_none(), free, "{folder}: {found:?}");
        assert!(found.is_none_or(|(what, _)| what.contains("the stack `shop` is in /srv/notes")), "{folder}");
        assert_eq!(refusal(&case, true), None);
    }
    for (folder, good) in [
        ("/srv", false),
        ("/", false),
        ("/opt/", false),
        ("/etc/provision/x", false),
        ("/var/lib/docker/volumes", false),
        ("/var/lib/notes", true),
        ("/opt/notes", true),
    ] {
        let mut case = with_data();
        case.options.folder = Some(folder.into());
        assert_eq!(refusal(&case, true).is_none(), good, "{folder}");
    }
}

#[test]
fn data_stays_where_another_folder_is_named() {
    let mut case = with_data();
    case.sent();
    put(&mut case.facts, "/var/lib/provision/stacks/notes/folder", "/srv/notes");
    assert_eq!(refusal(&case, false), None);
    case.options.folder = Some("/opt/notes".into());
    let (what, text) = refusal(&case, false).expect("the data is elsewhere");
    assert!(what.contains("/srv/notes on the host, and its data would stay there"), "{what}");
    assert!(text.contains("sudo mv -T /srv/notes /opt/notes"), "{text}");
    assert_eq!(refusal(&case, true), None);
    folder_on_host(&mut case.facts, "/opt/notes");
    assert!(refusal(&case, false).is_some(), "an empty folder holds no data");
    folder_on_host(&mut case.facts, "/opt/notes/data");
    assert_eq!(refusal(&case, false), None, "the data has been moved");
    // With all of it in its new place, that place is still to be recorded.
    for path in ["compose.yaml", "app.conf", "data/rows"] {
        let file = case.facts.files[&format!("/srv/notes/{path}")].clone();
        case.facts.files.insert(format!("/opt/notes/{path}"), file);
    }
    assert!(case.bundle().is_some());
    put(&mut case.facts, "/var/lib/provision/stacks/notes/folder", "/opt/notes");
    assert!(case.bundle().is_none());
}

/// What was taken away with its folder is sent again; what the application has removed is not.
#[test]
fn lost_files_of_an_application_are_sent_again() {
    for (lost, sent) in [
        (vec!["data/rows"], ""),
        (vec!["data/rows", "data"], "data/rows"),
        (vec!["app.conf"], "app.conf"),
        (vec!["data/rows", "data", "app.conf", "compose.yaml", ""], "compose.yaml app.conf data/rows"),
    ] {
        let mut case = with_data();
        case.sent();
        for path in &lost {
            case.facts.files.insert(format!("/srv/notes/{path}").trim_end_matches('/').to_owned(), None);
        }
        let change = case.bundle();
        let files = change.iter().flat_map(|change| &change.files).map(|file| file.path.as_str());
        let files: Vec<_> = files.filter_map(|path| path.strip_prefix("/srv/notes/")).collect();
        assert_eq!(files.join(" "), sent, "{lost:?}");
    }
}

#[test]
fn another_project_of_that_name_is_left_alone() {
    let text = "services: {web: {image: \"nginx:1.30\"}}\n";
    let refused = |case: &Case| case.plan().err().map(|refusal| refusal.details.join(" "));
    // By hand, from elsewhere.
    let mut case = Case::new(&[("compose.yaml", text)]);
    case.container("web", "nginx:1.30", "/opt/shop/notes");
    case.container("db", "postgres:17", "/opt/shop/notes");
    assert_eq!(refused(&case).as_deref(), Some("it comes from /opt/shop/notes on the host: db, web"));
    // From the folder that we send, or one below it, or the one in which we had it before.
    for folder in ["/srv/notes", "/srv/notes/deploy", ""] {
        let mut case = Case::new(&[("compose.yaml", text)]);
        case.container("web", "nginx:1.30", folder);
        assert!(refused(&case).is_some(), "by hand: {folder}");
        put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", "644 0 compose.yaml\n");
        assert_eq!(refused(&case), None, "{folder}");
    }
    let mut case = Case::new(&[("compose.yaml", text)]);
    case.container("web", "nginx:1.30", "/opt/notes");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/folder", "/opt/notes");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", "644 0 compose.yaml\n");
    assert_eq!(refused(&case), None);
    // Sent by provision from another folder: the same application may be, another one may not.
    for (service, image, is_other) in [
        ("web", "nginx:1.29", false),
        ("web", "docker.io/library/nginx:1.29", false),
        ("web", "shop/web:1", true),
        ("db", "postgres:17", true),
    ] {
        let mut case = Case::new(&[("compose.yaml", text)]);
        case.container(service, image, "/srv/notes");
        put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", "644 0 compose.yaml\n");
        put(&mut case.facts, "/var/lib/provision/stacks/notes/origin", "elsewhere");
        assert_eq!(refused(&case).is_some(), is_other, "{service} {image}");
        case.origin = "elsewhere".into();
        assert_eq!(refused(&case), None, "its own folder");
    }
}

#[test]
fn another_project_is_known_without_its_containers_and_by_builds() {
    let refused = |case: &Case| case.plan().err().map(|refusal| refusal.details.join(" "));
    let mut case = Case::new(&[("compose.yaml", "services: {web: {image: a}}\n")]);
    case.sent();
    put(&mut case.facts, "/var/lib/provision/stacks/notes/origin", "elsewhere");
    assert_eq!(refused(&case), None, "the very same files");
    case.write("compose.yaml", "services: {other: {image: b}}\n");
    assert_eq!(refused(&case).as_deref(), Some("it comes from elsewhere"));

    let mut case =
        Case::new(&[("compose.yaml", "services: {web: {build: .}}\n"), ("Dockerfile", "FROM a\n")]);
    case.container("web", "notes-web", "/srv/notes");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/manifest", "644 0 compose.yaml\n");
    put(&mut case.facts, "/var/lib/provision/stacks/notes/origin", "elsewhere");
    assert_eq!(refused(&case).as_deref(), Some("it comes from elsewhere: web"));
}

/// Files that Compose reads by itself change what it makes of the project.
#[test]
fn files_on_the_host_that_compose_would_read() {
    for (file, files, refused) in [
        ("compose.override.yaml", &[("compose.yaml", NOTES)][..], true),
        ("docker-compose.override.yml", &[("docker-compose.yml", NOTES)], true),
        ("compose.yaml", &[("docker-compose.yml", NOTES)], true),
        (".env", &[("compose.yaml", NOTES)], true),
        (".env", &[("compose.yaml", NOTES), (".env", "A=1\n")], false),
        (
            "compose.override.yaml",
            &[("compose.yaml", NOTES), ("compose.override.yaml", "services: {}\n")],
            false,
        ),
        ("compose.override.yaml", &[("own.yaml", NOTES), (".env", "COMPOSE_FILE=own.yaml\n")], false),
        ("other.yaml", &[("compose.yaml", NOTES)], false),
    ] {
        let mut case = Case::new(files);
        put(&mut case.facts, &format!("/srv/notes/{file}"), "services: {}\n");
        let (what, text) = refusal(&case, false).unwrap_or_default();
        assert_eq!(what.starts_with("Compose reads a file on the host"), refused, "{file} {files:?}: {what}");
        assert_eq!(text.contains(&format!("/srv/notes/{file}: it would change")), refused, "{text}");
        assert!(!refused || refusal(&case, true).is_none(), "--force");
    }
    // One that was sent and is no longer here goes with the change.
    let mut case = Case::new(&[("compose.yaml", NOTES), ("compose.override.yaml", "services: {}\n")]);
    case.sent();
    fs::remove_file(case.folder.path().join("compose.override.yaml")).expect("a file");
    assert_eq!(refusal(&case, false), None);
}
