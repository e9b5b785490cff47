//! What a start interrupts, builds and opens.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::facts::Image;
use crate::stack::images::Availability;

#[test]
fn a_start_names_the_services_that_it_interrupts() {
    let mut case = Case::new(&[
        (
            "compose.yaml",
            "services:\n  web: {image: a, volumes: [\"./site:/site:ro\"]}\n  api: {image: b, env_file: app.env}\n  \
             made: {build: ./app}\n  cache: {image: a}\n",
        ),
        ("site/index.html", "<p>\n"),
        ("app.env", "A=1\n"),
        ("app/Dockerfile", "FROM scratch\n"),
        ("README.md", "read me\n"),
    ]);
    running(&mut case);
    let start = |case: &Case| {
        let planned = case.plan().expect("a plan");
        let start = planned.changes.into_iter().find(|change| change.id == "stack/up")?;
        let interrupted = start.risks.iter().find_map(|risk| match risk {
            Risk::InterruptsService { services } => Some(services.join(" ")),
            _ => None,
        });
        Some(format!("{}: {}", start.reason, interrupted.unwrap_or_default()))
    };
    assert_eq!(start(&case), None);
    for (path, expected) in [
        ("site/index.html", "web uses site/index.html, which has changed: web"),
        ("app.env", "api uses app.env, which has changed: api"),
        ("app/Dockerfile", "made uses app/Dockerfile, which has changed: made"),
        ("README.md", "the bundle has changed, and no service uses the changed files: "),
        (".env", "the bundle has changed: web api made cache"),
        ("compose.yaml", "the bundle has changed: web api made cache"),
    ] {
        let file = case.folder.path().join(path);
        let before = fs::read_to_string(&file).unwrap_or_default();
        case.write(path, &format!("{before}# more\n"));
        assert_eq!(start(&case).as_deref(), Some(expected), "{path}");
        match before.is_empty() {
            true => fs::remove_file(file).expect("a file"),
            false => case.write(path, &before),
        }
    }
    // An earlier start that did not finish may have left anything to do.
    case.facts.files.insert("/var/lib/provision/stacks/notes/applied".into(), None);
    case.write("README.md", "more\n");
    assert!(start(&case).is_some_and(|start| start.ends_with(": web api made cache")));
}

/// Of a change in a Compose file, those services alone that it defines differently.
#[test]
fn a_start_names_the_services_that_are_defined_differently() {
    let compose = "services:
  web: {image: a, volumes: [\"data:/data\"], environment: [A=1, GIVEN], deploy: {replicas: 2}}
  api: {image: b, networks: [inner], depends_on: [web], secrets: [key]}
  db: {image: a, command: \"${TAG:-1}\", networks: {inner: {aliases: [store]}}, labels: {a: b, c: d}}
networks: {inner: {}}
volumes: {data: {}}
secrets: {key: {file: ./key}}
";
    let mut case = Case::new(&[("compose.yaml", compose), ("key", "k\n"), (".env", "GIVEN=1\n")]);
    running(&mut case);
    started(&mut case);
    for (from, to, expected) in [
        ("services:", "# more\nservices:", ""),
        ("labels: {a: b, c: d}", "labels: {c: d, a: b}", ""),
        ("depends_on: [web]", "depends_on: [db]", ""),
        ("replicas: 2", "replicas: 3", ""),
        ("A=1", "A=2", "web"),
        ("a: b", "a: e", "db"),
        ("inner: {}", "inner: {internal: true}", "api db"),
        ("data: {}", "data: {labels: {a: b}}", ""),
        ("data: {}", "data: {name: other}", "web"),
        ("file: ./key", "file: ./.env", "api"),
        (":-1}", ":-2}", "db"),
    ] {
        let changed = compose.replace(from, to);
        assert_ne!(changed, compose, "{from}");
        case.write("compose.yaml", &changed);
        assert_eq!(interrupted(&case), expected, "{from}");
    }
    // A port that it publishes from now on is named.
    case.write(
        "compose.yaml",
        &compose.replace("networks: [inner]", "networks: [inner], ports: [\"9090:80\"]"),
    );
    let planned = case.plan().expect("a plan");
    let risks = planned.changes.iter().flat_map(|change| &change.risks);
    let opened = risks.filter(
        |risk| matches!(risk, Risk::OpensPort { service, port } if service == "api" && port == "9090/tcp"),
    );
    assert_eq!(opened.count(), 1);
    case.write("compose.yaml", compose);
    case.write(".env", "GIVEN=2\n");
    assert_eq!(interrupted(&case), "web");
    // With a file that another service uses.
    case.write("key", "other\n");
    assert_eq!(interrupted(&case), "web api");
    let planned = case.plan().expect("a plan");
    let start = planned.changes.iter().find(|change| change.id == "stack/up").expect("a start");
    assert_eq!(start.reason, "api uses key and web is defined in .env, which have changed");
}

/// How many containers a service is to have is no part of what it is.
#[test]
fn another_scale_is_said() {
    let compose = "services:\n  web: {image: a, scale: 2}\n  api: {image: b}\n";
    let mut case = Case::new(&[("compose.yaml", compose)]);
    running(&mut case);
    started(&mut case);
    for (from, to, expected) in [
        (
            "scale: 2",
            "scale: 1",
            "web is to have 1 container and has 2; removes 1 of the 2 containers of web",
        ),
        ("scale: 2", "scale: 4", "web has 2 of 4 containers; "),
        ("image: b", "image: b, scale: 3", "api has 1 of 3 containers; "),
        (
            "a, scale: 2}\n  api: {image: b",
            "a, scale: 1}\n  api: {image: b, command: c",
            "api is defined in compose.yaml, which has changed; web is to have 1 container and has 2; removes 1 \
             of the 2 containers of web",
        ),
    ] {
        case.write("compose.yaml", &compose.replace(from, to));
        let planned = case.plan().expect("a plan");
        let start = planned.changes.into_iter().find(|change| change.id == "stack/up").expect("a start");
        let removed = start.risks.iter().find_map(|risk| match risk {
            Risk::Removes { what } => Some(format!("removes {}", what.join(", "))),
            _ => None,
        });
        assert_eq!(format!("{}; {}", start.reason, removed.unwrap_or_default()), expected);
    }
}

/// What Compose does to services that depend on one that it recreates, and to those alone.
#[test]
fn a_start_names_what_depends_on_a_recreated_service() {
    let mut case = Case::new(&[
        (
            "compose.yaml",
            "services:
  vpn: {image: a, env_file: vpn.env, volumes: [\"./conf:/conf:ro\"]}
  waits: {image: a, depends_on: [vpn]}
  asks: {image: a, depends_on: {vpn: {condition: service_started, restart: true}}}
  behind: {image: a, depends_on: {asks: {condition: service_started, restart: true}}}
  inside: {image: a, network_mode: \"service:vpn\"}
  within: {image: a, pid: \"service:inside\", depends_on: {inside: {condition: service_started}}}
  listed: {image: a, links: [\"vpn:v\"], depends_on: [vpn]}
  linked: {image: a, links: [\"within:w\"]}
  shares: {image: a, volumes_from: [\"linked:ro\", \"vpn\"]}
",
        ),
        ("vpn.env", "A=1\n"),
        ("conf/vpn.conf", "1\n"),
    ]);
    running(&mut case);
    case.write("vpn.env", "A=2\n");
    assert_eq!(interrupted(&case), "vpn asks inside within linked shares");
    case.write("vpn.env", "A=1\n");
    case.write("conf/vpn.conf", "2\n");
    assert_eq!(interrupted(&case), "vpn inside within", "it is restarted, not recreated");
    // Before 2.29.4 Compose recreated what only waits for a service.
    case.write("conf/vpn.conf", "1\n");
    case.write("vpn.env", "A=2\n");
    for (version, others) in
        [("2.29.3", "waits asks behind inside within listed"), ("2.29.4", "asks inside within")]
    {
        let docker = case.facts.docker.get_or_insert_default();
        docker.compose = Some(version.parse().expect("a version"));
        assert_eq!(interrupted(&case), format!("vpn {others} linked shares"), "{version}");
    }
}

/// What Compose compared once.
#[test]
fn older_versions_compare_the_order() {
    let compose = "services:\n  a: {image: a}\n  b: {image: b, depends_on: [a], profiles: []}\n";
    let mut case = Case::new(&[("compose.yaml", compose)]);
    running(&mut case);
    started(&mut case);
    case.write("compose.yaml", &compose.replace(", depends_on: [a]", ""));
    for (version, expected) in [("2.26.1", "b"), ("2.30.2", "")] {
        let docker = case.facts.docker.get_or_insert_default();
        docker.compose = Some(version.parse().expect("a version"));
        assert_eq!(interrupted(&case), expected, "{version}");
    }
}

/// What containers get by name, and what of it they keep from when they were made.
#[test]
fn a_start_names_services_of_which_others_parts_differ() {
    let compose = "services:
  web: {image: a, networks: [front], configs: [page, {source: words, target: /words}]}
  api: {image: b, secrets: [key], volumes: [{type: volume, source: data, target: /data}]}
  db: {image: a}
  vpn: {image: a, network_mode: host}
networks: {front: {}, default: {}}
volumes: {data: {driver_opts: {type: none}}}
configs: {page: {content: one}, words: {environment: WORDS}}
secrets: {key: {environment: KEY}}
";
    let mut case = Case::new(&[("compose.yaml", compose), (".env", "KEY=1\nWORDS=1\n")]);
    running(&mut case);
    started(&mut case);
    for (from, to, expected) in [
        ("content: one", "content: two", "web"),
        ("front: {}", "front: {internal: true}", "web"),
        ("front: {}", "front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}", "web"),
        ("front: {}", "front: {name: other}", "web"),
        ("front: {}", "front: {x-note: 1}", ""),
        ("default: {}", "default: {internal: true}", "db api"),
        ("type: none", "type: tmpfs", ""),
        ("data: {driver_opts", "data: {name: other, driver_opts", "api"),
    ] {
        let changed = compose.replace(from, to);
        assert_ne!(changed, compose, "{from}");
        case.write("compose.yaml", &changed);
        let found: BTreeSet<_> = interrupted(&case).split_whitespace().map(str::to_owned).collect();
        let expected: BTreeSet<_> = expected.split_whitespace().map(str::to_owned).collect();
        assert_eq!(found, expected, "{to}");
    }
    case.write("compose.yaml", compose);
    for (env, expected) in [("KEY=2\nWORDS=1\n", "api"), ("KEY=1\nWORDS=2\n", "web")] {
        case.write(".env", env);
        assert_eq!(interrupted(&case), expected, "{env}");
    }
}

/// The host records what has been started.
fn started(case: &mut Case) {
    let definitions = lines(&case.step().definitions());
    put(&mut case.facts, "/var/lib/provision/stacks/notes/definitions", &definitions);
}

/// The services that a start interrupts.
fn interrupted(case: &Case) -> String {
    let planned = case.plan().expect("a plan");
    let start = planned.changes.into_iter().find(|change| change.id == "stack/up").expect("a start");
    let services = start.risks.iter().find_map(|risk| match risk {
        Risk::InterruptsService { services } => Some(services.join(" ")),
        _ => None,
    });
    services.unwrap_or_default()
}

#[test]
fn a_start_names_what_is_built_and_published_for_the_first_time() {
    let mut case = Case::new(&[
        (
            "compose.yaml",
            "services:\n  web: {image: a, ports: [\"8080:80\", \"127.0.0.1:81:81\"]}\n  made: {build: ./app}\n  \
             two: {build: {context: app, dockerfile: two/Dockerfile}}\n  in: {build: {context: app, dockerfile_inline: \"FROM c\"}}\n",
        ),
        ("app/Dockerfile", "ARG V=1\nFROM python:${V} AS base\nFROM base\n"),
        ("app/two/Dockerfile", "FROM a:2\nFROM b\n"),
        ("page", "1\n"),
    ]);
    let named = |case: &Case| {
        let planned = case.plan().expect("a plan");
        let start = planned.changes.into_iter().find(|change| change.id == "stack/up").expect("a start");
        let words = start.risks.iter().filter_map(|risk| match risk {
            Risk::Builds { service, from } => Some(format!("{service}<{}", from.join("+"))),
            Risk::OpensPort { port, service } => Some(format!("{service}>{port}")),
            _ => None,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(named(&case), "made<python:1 two<a:2+b in<c web>8080/tcp");
    running(&mut case);
    case.facts.published.push(crate::facts::Published {
        container: "notes-web-1".into(),
        project: "notes".into(),
        service: "web".into(),
        address: std::net::Ipv4Addr::UNSPECIFIED.into(),
        port: 8080,
        target: 80,
        protocol: "tcp".into(),
    });
    case.write("page", "2\n");
    assert_eq!(named(&case), "", "what is there is not named again");
    case.write("app/Dockerfile", "FROM python:2\n");
    assert_eq!(named(&case), "made<python:2 two<a:2+b in<c", "all that is built from the folder");
    case.write("app/Dockerfile", "ARG V=1\nFROM python:${V} AS base\nFROM base\n");
    let text = fs::read_to_string(case.folder.path().join("compose.yaml")).expect("a file");
    case.write("compose.yaml", &text.replace("127.0.0.1:81:81", "81:81"));
    assert!(named(&case).ends_with("web>81/tcp"), "{}", named(&case));
}

/// `up --pull` is for images that others are built from, too.
#[test]
fn images_that_are_built_from_others_follow_them() {
    let text = "services:
  made: {build: ./app}
  child: {build: {context: ., dockerfile_inline: \"FROM notes-base\"}}
  base: {image: notes-base, build: {context: ., dockerfile_inline: \"FROM b:1\", args: {X: 1}}}
  odd: {build: {context: ., dockerfile_inline: \"FROM a:${UNKNOWN}\"}}
  web: {image: c}
";
    let mut case = Case::new(&[
        ("compose.yaml", &text.replace("${", "$${")),
        ("app/Dockerfile", "ARG V=1\nFROM a:${V}\n"),
    ]);
    running(&mut case);
    let image = |digest: &str| Image { digests: vec![digest.into()], ..Image::default() };
    case.facts.images.extend([
        ("a:1".to_owned(), Some(image("sha256:aa"))),
        ("b:1".to_owned(), Some(image("sha256:bb"))),
        ("c".to_owned(), Some(image("sha256:cc"))),
    ]);
    let planned = |case: &Case, pull: bool| {
        let found = |digest: &str| Availability::Found {
            digest: Some(digest.into()),
            bytes: None,
            layers: Vec::new(),
            login: false,
        };
        let mut model = Model { facts: case.facts.clone(), ..Model::default() };
        model.pull = pull;
        model.images.extend([
            ("a:1".to_owned(), found("sha256:new")),
            ("b:1".to_owned(), found("sha256:bb")),
            ("c".to_owned(), found("sha256:cc")),
        ]);
        case.step().plan(&mut model).expect("a plan").changes
    };
    assert!(planned(&case, false).is_empty());
    let changes = planned(&case, true);
    let told: Vec<_> = changes.iter().map(|change| format!("{}: {}", change.title, change.reason)).collect();
    assert_eq!(told[0], "pull a:1: a:1 has moved: aa → new");
    let start = changes.iter().find(|change| change.id == "stack/up").expect("a start");
    assert_eq!(
        start.risks,
        [
            Risk::Builds { service: "made".into(), from: vec!["a:1".into()] },
            Risk::InterruptsService { services: vec!["made".into()] },
        ]
    );
}
