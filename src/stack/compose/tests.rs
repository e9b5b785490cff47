use std::fmt::Write;

use super::*;

const NAMING: Naming<'static> = Naming { explicit: None, folder: "My Stack" };

fn read(text: &str) -> Result<Project, ComposeError> {
    read_env(text, "")
}

fn read_env(text: &str, env: &str) -> Result<Project, ComposeError> {
    parse(text, "compose.yaml", &Environment::parse(env, ".env")?, NAMING)
}

/// A project in a few lines, for snapshots.
fn show(result: Result<Project, ComposeError>) -> String {
    let project = match result {
        Ok(project) => project,
        Err(error) => return format!("error: {error}"),
    };
    let mut out = format!("{} from {}\n", project.name, project.files.join(" + "));
    for s in &project.services {
        let ports: Vec<String> = s.ports.iter().map(ToString::to_string).collect();
        let needs = s.depends_on.iter().map(|d| {
            let optional = if d.required { "" } else { "?" };
            format!("{}{optional}:{:?}", d.service, d.condition)
        });
        let needs: Vec<String> = needs.collect();
        let flags = [
            (s.build, "build"),
            (s.healthcheck, "healthcheck"),
            (s.one_shot, "one-shot"),
            (!s.enabled, "off"),
        ];
        let flags: Vec<&str> = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
        let _ = write!(out, "- {} ×{} {:?}", s.name, s.scale, s.image.as_deref().unwrap_or("-"));
        let _ = writeln!(
            out,
            " ports={ports:?} needs={needs:?} {flags:?} platform={:?} restart={:?} profiles={:?} \
             network={:?}",
            s.platform, s.restart, s.profiles, s.network_mode
        );
    }
    let _ = writeln!(out, "sensitive: {:?}", project.sensitive);
    for warning in &project.warnings {
        let _ = writeln!(out, "warning: {warning}");
    }
    out
}

#[test]
fn a_service_that_backs_up() {
    let backups = |image: &str, more: &str| {
        let text = format!("services:\n  b:\n    image: {image}\n{more}volumes: {{named: }}\n");
        read_env(&text, "DB=one\nFOLDER=/var/backups/x\n").expect("a project").services.remove(0).backups
    };
    let image = "mirror.example:5000/prodrigestivill/postgres-backup-local:17@sha256:\
                 0000000000000000000000000000000000000000000000000000000000000000";
    let found = |host: &str, databases: &[&str], role: &str, folder: Option<&str>| {
        Some(Backups {
            host: host.into(),
            databases: databases.iter().map(|name| (*name).to_owned()).collect(),
            role: role.into(),
            folder: folder.map(str::to_owned),
        })
    };
    for (image, more, expected) in [
        (
            image,
            "    environment: {POSTGRES_HOST: db, POSTGRES_DB: \"${DB}\", POSTGRES_USER: me}\n\
             \x20   volumes: [\"${FOLDER}:/backups\"]\n",
            found("db", &["one"], "me", Some("/var/backups/x")),
        ),
        (
            "prodrigestivill/postgres-backup-local",
            "    environment: [POSTGRES_HOST=db, \"POSTGRES_DB=one,two three\", POSTGRES_USER=me, BACKUP_DIR=/b]\n\
             \x20   volumes:\n      - {type: bind, source: ./backups/, target: /b}\n      - /else:/backups\n",
            found("db", &["one", "two", "three"], "me", Some("./backups")),
        ),
        (
            "prodrigestivill/postgres-backup-local:16-alpine",
            "    environment: {POSTGRES_DB_FILE: /run/secrets/db}\n    volumes: [\"named:/backups:rw\"]\n",
            found("", &[], "", None),
        ),
        ("postgres:17", "    volumes: [\"/var/backups:/backups\"]\n", None),
        ("example/postgres-backup-local-fork:1", "", None),
    ] {
        assert_eq!(backups(image, more), expected, "{image}\n{more}");
    }
}

#[test]
fn a_whole_stack() {
    let text = r#"
name: orchestra
x-logging: &logging
  logging: { driver: local }
x-server: &server
  <<: *logging
  image: "prefecthq/prefect:${PREFECT_VERSION:-3.9.1}-python3.12"
  restart: unless-stopped
  env_file: [./server.env, { path: extra.env, required: false }]
services:
  postgres:
    image: postgres:16
    healthcheck: { test: [CMD-SHELL, "pg_isready -U $${POSTGRES_USER}"], interval: 5s }
    ports: ["127.0.0.1:5432:5432"]
    secrets: [db]
  migrate:
    <<: *server
    restart: "no"
    command: prefect server database upgrade -y
    depends_on:
      postgres: { condition: service_healthy }
  api:
    <<: *server
    deploy: { replicas: 3 }
    depends_on:
      migrate: { condition: service_completed_successfully, restart: true }
      cache: { condition: service_started, required: false }
      postgres: { condition: service_healthy }
  proxy:
    build: { context: ./proxy }
    platform: linux/amd64
    ports:
      - "80:80"
      - "443:443/udp"
      - { target: 8443, published: "8443", host_ip: "::1", protocol: tcp }
      - 9000
      - "[::1]:9001-9003:9001-9003"
    depends_on: [api]
  cache:
    image: redis
    profiles: [debug]
  debug:
    image: busybox
    profiles: [debug]
    network_mode: host
secrets:
  db: { file: ./secrets/db.txt }
  other: { environment: OTHER }
"#;
    insta::assert_snapshot!(show(read_env(text, "PREFECT_VERSION=3.9.2\n")));
}

/// Every refusal: what, where and what to do.
#[test]
fn refusals() {
    let table = [
        ("", "empty"),
        ("- a", "a list"),
        ("services: {}", "no services"),
        ("name: x", "no services key"),
        ("services: [a]", "services as a list"),
        ("services:\n  web:\n    ports: []", "neither image nor build"),
        ("services:\n  web:", "null service"),
        ("services:\n  we b: {image: x}", "service name"),
        ("services:\n  web: nginx", "service as text"),
        ("services:\n  web: {image: 'UPPER'}", "image name"),
        ("services:\n  web: {image: '${NONE}'}", "blank image"),
        ("services:\n  web: {image: [a]}", "image as a list"),
        ("services:\n  web:\n    image: a\n    ports: ['80:x']", "port"),
        ("services:\n  web:\n    image: a\n    ports: 80", "ports as a number"),
        ("services:\n  web:\n    image: a\n    ports: [[80]]", "port as a list"),
        ("services:\n  web:\n    image: a\n    ports: [{published: 80}]", "no target"),
        ("services:\n  web:\n    image: a\n    ports: [{target: 80, host_ip: x}]", "host_ip"),
        ("services:\n  a: {image: a, ports: ['80:80']}\n  b: {image: b, ports: ['127.0.0.1:80:1']}", "taken"),
        ("services:\n  a: {image: a, ports: ['80:80'], scale: 2}", "scaled with a fixed port"),
        ("services:\n  a: {image: a, scale: two}", "scale"),
        ("services:\n  a: {image: a, depends_on: [b]}", "unknown"),
        ("services:\n  a: {image: a, depends_on: b}", "depends_on as text"),
        ("services:\n  a: {image: a, depends_on: {a: {condition: ready}}}", "condition"),
        ("services:\n  a: {image: a, depends_on: [a]}", "itself"),
        (
            "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, depends_on: [c]}\n  c: {image: c, depends_on: [b]}",
            "circle",
        ),
        ("services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, profiles: [p]}", "off"),
        ("services:\n  a: {image: a, profiles: [p]}", "all off"),
        (
            "services:\n  a: {image: a, depends_on: {b: {condition: service_healthy}}}\n  b: {image: b, healthcheck: {disable: true}}",
            "health check off",
        ),
        ("services:\n  a: {image: a, extends: b}", "extends nothing"),
        ("services:\n  a: {extends: b}\n  b: {extends: a}", "extends in a circle"),
        ("services:\n  a: {image: a, extends: [b]}", "extends a list"),
        ("services:\n  a: {image: a, ports: }", "ports without any"),
        ("services:\n  a: {image: a, depends_on: {b: {}}}\n  b: {image: b}", "no condition"),
        ("services:\n  a: {image: a, depends_on: [b, b]}\n  b: {image: b}", "listed twice"),
        (
            "services:\n  a: {image: a, depends_on: {b: {condition: service_started, required: false}}}",
            "unknown, not required",
        ),
        ("services:\n  a: {image: a, scale: 2, deploy: {replicas: 3}}", "two scales"),
        ("services:\n  a: {image: a, ennvironment: {A: 1}}", "mistyped key"),
        ("services:\n  a: {image: a, user: 1000}", "number for text"),
        ("services:\n  a: {image: a, healthcheck: {test: x, interval: 5}}", "no unit"),
        ("services:\n  a: {image: a, networks: [front]}", "undeclared network"),
        ("services:\n  a: {image: a, volumes: ['data:/d']}", "undeclared volume"),
        ("services:\n  a: {image: a, volumes: ['${NONE}:/d']}", "blank half of a volume"),
        ("services:\n  a: {image: a, command: \"echo 'x\"}", "open quote in a command"),
        (
            "services:\n  a: {image: a}\n  b: {image: b, profiles: [p], volumes: [':/d']}",
            "blank half of a volume of one that is off",
        ),
        ("services:\n  a: {image: a}\nsecrets:\n  s: {}", "secret from nowhere"),
        ("services:\n  a: {image: a, links: [b]}", "link to nothing"),
        ("include: [other.yaml]", "include of what is not there"),
        ("include: [oci://example.com/x]\nservices: {a: {image: a}}", "include from afar"),
        ("services:\n  a: {extends: {service: b, file: ../c.yaml}}", "extends outside"),
        ("services:\n  a:\n    image: a\n   b: c", "indentation"),
        ("services:\n  a: {image: a\n", "open brace"),
        ("services:\n\ta: {image: a}", "tab"),
        ("services:\n  a: {image: a}\n  a: {image: b}", "twice"),
        ("services:\n  a: *nothing", "alias"),
        ("a: &a\n  b: *a", "alias within itself"),
        ("services:\n  a:\n    <<: text\n    image: a", "merge"),
        ("services:\n  a: {image: a}\nx: {[a]: b}", "key"),
        ("services:\n  a:\n    image: a\n    command: 'echo ${A'", "open variable"),
        ("services:\n  a:\n    image: a\n    command: 'echo ${A/b/c}'", "bash form"),
        ("services:\n  a:\n    image: a\n    environment:\n      P: ${P:?set a password}", "required"),
        ("services:\n  a:\n    image: a\n    environment:\n      P: ${P?}", "required, silent"),
    ];
    let shown: Vec<String> =
        table.iter().map(|(text, title)| format!("[{title}] {}", show(read(text)).trim_end())).collect();
    for line in &shown {
        assert!(line.contains("] error: "), "{line}");
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn what_passes() {
    let table = [
        ("services:\n  a: {image: a, x-own: {b: c}}\nmodels: {}\nx-y: 1", "keys of one's own"),
        ("services:\n  a: {provider: {type: cloud}}", "provider"),
        (
            "services:\n  a: {extends: {service: b}, ports: ['2:2']}\n  b: {image: b, platform: linux/arm64, ports: ['127.0.0.1::1'], profiles: []}",
            "extends",
        ),
        ("services:\n  a:\n    image: a\n    ports:\n      - 22:22\n      - 8080:80", "no quotes"),
        (
            "services:\n  a: {image: a, network_mode: host, ports: ['1:1']}\n  b: {image: b, ports: ['1:1']}",
            "host network",
        ),
        (
            "services:\n  a: {image: a, depends_on: {b: {condition: service_started, required: false}}}\n  b: {image: b, profiles: [p]}",
            "not required",
        ),
        (
            "services:\n  a: {image: a, command: 'echo $1 $(date) 5$', ports: ['80:80', '80:80']}",
            "dollars, the same port twice",
        ),
        ("services:\n  a: {image: a, scale: 2, ports: ['8000-8001:80', '81']}", "range to pick from"),
        (
            "services:\n  a: {image: a, ports: ['80:80', '80:80/udp', '127.0.0.2:81:80', '127.0.0.3:81:80', '0.0.0.0:82:80', '[::]:82:80']}",
            "no collision",
        ),
        (
            "services:\n  a: {image: a, deploy: {mode: global, replicas: 3}}\n  b: {image: b, healthcheck: {interval: 1s}}",
            "global",
        ),
        ("services: {a: {image: a}}\n---\nservices: {a: {image: b}, c: {image: c}}", "two documents"),
        (
            "services:\n  a: {image: a, env_file: ../up.env}\n  b: {image: b, env_file: /etc/b.env}",
            "env_file elsewhere",
        ),
        (
            "services:\n  a: {image: a, command: '$A $B', labels: {x: $A, y: $C}}\n  b: {image: b, command: $D}",
            "several variables",
        ),
    ];
    let shown: Vec<String> =
        table.iter().map(|(text, title)| format!("[{title}] {}", show(read(text)))).collect();
    for text in &shown {
        assert!(!text.contains("error: "), "{text}");
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn names() {
    let service = "services: {a: {image: a}}";
    let named = format!("name: ${{WHO:-from-file}}\n{service}");
    let name = |text: &str, env: &str, explicit: Option<&str>, folder: &str| {
        let env = Environment::parse(env, ".env").unwrap();
        match parse(text, "compose.yaml", &env, Naming { explicit, folder }) {
            Ok(project) => project.name,
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(name(service, "", None, "My Stack.v2"), "mystackv2");
    assert_eq!(name(service, "", None, "_-_Äx"), "x");
    assert_eq!(name(&named, "", None, "folder"), "from-file");
    assert_eq!(name(&named, "WHO=My Self", None, "folder"), "myself");
    assert!(name(&named, "WHO=Ä", None, "folder").contains("has no letter or digit"));
    assert_eq!(name(&named, "COMPOSE_PROJECT_NAME=env", None, "folder"), "env");
    assert_eq!(name(&named, "COMPOSE_PROJECT_NAME=env", Some("given"), "folder"), "given");
    insta::assert_snapshot!(
        [
            name(service, "", Some("Given"), "folder"),
            name(service, "", Some(""), "folder"),
            name(service, "COMPOSE_PROJECT_NAME=a b", None, "folder"),
            name(service, "", None, "Ä"),
        ]
        .join("\n")
    );
    let text = "services: {a: {image: 'r/${COMPOSE_PROJECT_NAME}'}}";
    assert_eq!(read(text).unwrap().services[0].image.as_deref(), Some("r/mystack"));
}

#[test]
fn profiles() {
    let text =
        "services:\n  a: {image: a}\n  b: {image: b, profiles: [x, y]}\n  c: {image: c, profiles: [z]}";
    let enabled = |env: &str| {
        let project = read_env(text, env).unwrap();
        project.enabled().map(|s| s.name.clone()).collect::<Vec<_>>().join("")
    };
    assert_eq!(enabled(""), "a");
    assert_eq!(enabled("COMPOSE_PROFILES=y"), "ab");
    assert_eq!(enabled("COMPOSE_PROFILES=w, z"), "ac");
    assert_eq!(enabled("COMPOSE_PROFILES=*"), "abc");
    // A service that is off does not make another a one-shot.
    let text = "services:\n  a: {image: a}\n  b: {image: b, profiles: [x], depends_on: {a: {condition: service_completed_successfully}}}";
    assert!(!read(text).unwrap().services[0].one_shot);
    assert!(read_env(text, "COMPOSE_PROFILES=x").unwrap().services[0].one_shot);
}

#[test]
fn only_dot_env_goes_to_the_host() {
    let text = "services:\n  a:\n    image: a:${TAG}\n    command: $EMPTY ${PORT:-80} $$TAG ${GONE} ${GONE}\n    labels: ['${BOTH}']";
    let env = Environment::parse("EMPTY=\nBOTH=1", ".env").unwrap();
    let env = env.with_outside(["TAG", "PORT", "BOTH"].map(str::to_owned));
    let read = |text: &str| parse(text, "compose.yaml", &env, NAMING);
    insta::assert_snapshot!(show(read(&text.replace("a:${TAG}", "a${TAG}"))));
    let required = "services:\n  a: {image: 'a:${TAG:?which one}'}";
    insta::assert_snapshot!(show(read(required)), @"error: compose.yaml:2: TAG is required and has no value: which one; set TAG in .env: it is set on this computer, but only .env goes to the host");
}

/// Aliases that multiply must not fill the memory.
#[test]
fn alias_bombs_are_refused() {
    let mut text = "a0: &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        let _ = writeln!(text, "a{n}: &a{n} [*a{0}, *a{0}]", n - 1);
    }
    insta::assert_snapshot!(show(read(&text)), @"error: compose.yaml:15: up to here the file has more than 200000 values, those that aliases repeat counted; move what is data into a file that a service mounts, or let fewer aliases repeat each other");
    let deep = "[".repeat(100_000);
    assert!(read(&deep).is_err());
    // Each anchor is kept beside what it stands in.
    let nested = (0..90).fold(vec!["x"; 5000].join(", "), |inner, n| format!("&a{n} [{inner}]"));
    assert!(read(&format!("x: {nested}")).is_err());
}

/// Whatever goes deep or in circles is refused, and ends neither the stack nor the patience.
#[test]
fn depth_has_an_end() {
    let chain = |length: usize| {
        let services = (0..length).map(|n| format!("  s{n}: {{extends: {{service: s{}}}}}\n", n + 1));
        format!("services:\n{}  s{length}: {{image: a}}\n", services.collect::<String>())
    };
    let deep = |open: &str, close: &str| format!("x: {}{}", open.repeat(50_000), close.repeat(50_000));
    for (what, text, expected) in [
        ("lists", deep("[", "]"), ""),
        ("mappings", deep("{a: ", "}"), ""),
        ("lists in a line", format!("x:\n {}a", "- ".repeat(50_000)), "nested more than 100 deep"),
        (
            "defaults",
            format!("services: {{a: {{image: '{}x{}'}}}}", "${A:-".repeat(9000), "}".repeat(9000)),
            "nest fewer",
        ),
        ("itself", "services: {a: {extends: a}}".into(), "leads back"),
        ("a circle", "services: {a: {extends: b}, b: {extends: c}, c: {extends: a}}".into(), "leads back"),
        ("an alias of itself", "x: &x [*x]".into(), "inside the value"),
        ("a mapping in itself", "x: &x {<<: *x}".into(), "inside the value"),
    ] {
        let shown = show(read(&text));
        assert!(shown.starts_with("error") && shown.contains(expected), "{what}: {:.300}", shown);
    }
    for length in [50, 20_000] {
        assert!(!show(read(&chain(length))).starts_with("error"), "{length}");
    }
    let labels = |n| format!("  s{n}: {{image: a, extends: s{}, labels: {{l{n}: x}}}}\n", n + 1);
    let growing = format!("services:\n{}  s3000: {{image: a}}\n", (0..3000).map(labels).collect::<String>());
    assert!(show(read(&growing)).contains("grows beyond"), "{:.300}", show(read(&growing)));
    let mut env = "A=0123456789\n".to_owned();
    for n in 0..60u8 {
        let (from, to) = (char::from(b'A' + n % 26), n);
        let _ = writeln!(env, "V{to}=${{V{0}:-{from}}}${{V{0}:-{from}}}", i32::from(n) - 1);
    }
    let env = env.replace("V-1", "A");
    assert!(Environment::parse(&env, ".env").is_err_and(|error| error.to_string().contains(".env:")));
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "[ a-c:\\[\\]{}&*<\\-\n'\"|>!?#$%0-9]{0,80}|.{0,80}") {
        let _ = read(&text);
        let _ = read(&format!("services:\n  a:\n    image: a\n    {text}"));
        let _ = read(&format!("services:\n  a:\n    image: a\n    ports: [{text}]"));
    }
}

mod folder;
mod large;
mod shipped;
