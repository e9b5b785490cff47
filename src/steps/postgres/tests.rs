//! Plans from facts: what is planned for a database on the host or elsewhere.

use super::*;
use crate::facts::{Container, Facts, Listening, Unit};
use crate::report::{Verbosity, render_plan};
use crate::stack::bundle::{Bundle, Choice};
use crate::stack::compose::{Loading, Project, write_env};
use crate::steps::tests::{bare, install, options, put};
use crate::steps::{Options, settle_postgres};

/// The stack that ships, with the settings that these options lead to.
fn stack(options: &Options) -> StackInput {
    shipped("prefect", options)
}

fn shipped(name: &str, options: &Options) -> StackInput {
    let place = tempfile::TempDir::new().expect("a folder");
    crate::stack::shipped::write(name, place.path()).expect("it ships");
    let env = options.stack.env.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
    let loading = Loading { env, ..Loading::default() };
    let project = Project::load_with(place.path(), &loading).expect("it is right");
    let mut bundle = Bundle::collect(place.path(), &Choice { project: Some(&project), ..Choice::default() })
        .expect("it can be read");
    bundle.lay_over_env(&write_env(&loading.env));
    StackInput { project, bundle, origin: "here".into() }
}

fn step(text: &str) -> Postgres {
    let mut options = options(&format!("{text}\n{WATCHER}"));
    settle_postgres(&mut options).expect(text);
    let stack = stack(&options);
    Postgres::new(options.postgres, Some(stack))
}

/// Whose password the stack `prefect` has besides.
const WATCHER: &str = "[[secrets.files]]\npath = 'postgres_exporter_password'\nlines = []";

/// The small stacks have nobody who looks at figures, and so no role for that.
#[test]
fn without_a_watcher() {
    for name in ["prefect-minimal", "prefect-worker-compose"] {
        for text in [HOST, EXTERNAL] {
            let mut options = options(text);
            settle_postgres(&mut options).expect(text);
            assert!(!options.stack.env.contains_key("POSTGRES_EXPORTER_USER"), "{name} has no such setting");
            let stack = shipped(name, &options);
            let step = Postgres::new(options.postgres, Some(stack)).plan(&mut model(&host())).expect(text);
            let titles: Vec<_> = step.changes.iter().map(|change| change.title.as_str()).collect();
            let told = titles.join("\n");
            assert!(!told.contains("monitoring"), "{told}");
            if text == HOST {
                assert!(told.contains("and let in prefect from 172.16.0.0/12"), "{told}");
                assert!(told.contains("its database prefect with pg_trgm and uuid-ossp\n"), "{told}");
            }
        }
    }
}

/// Debian 13 with Docker.
fn host() -> Facts {
    let mut facts = bare();
    facts.system.name = "Debian GNU/Linux 13 (trixie)".into();
    facts.system.version = "13".into();
    facts.system.codename = "trixie".into();
    facts.docker = Some(crate::facts::Docker {
        engine: Some(semver::Version::new(28, 3, 2)),
        ..crate::facts::Docker::default()
    });
    facts.images.insert(
        "postgres:17".into(),
        Some(crate::facts::Image { id: "sha256:1".into(), digests: Vec::new() }),
    );
    facts
}

fn model(facts: &Facts) -> Model {
    Model { facts: facts.clone(), ..Model::default() }
}

fn planned(text: &str, facts: &Facts) -> Result<PlannedStep, Refusal> {
    step(text).plan(&mut model(facts))
}

fn ids(text: &str, facts: &Facts) -> Vec<String> {
    planned(text, facts).expect(text).changes.into_iter().map(|change| change.id).collect()
}

fn refused(text: &str, facts: &Facts) -> String {
    let refusal = planned(text, facts).expect_err(text);
    format!("{} → {}", refusal.what, refusal.hints.join("; "))
}

const HOST: &str = "postgres.mode = 'host'";
const EXTERNAL: &str = "postgres = { mode = 'external', url = 'postgres://me@db.example/work' }";

/// As the changes leave a host.
fn after(text: &str, facts: &Facts) -> Facts {
    let mut model = model(facts);
    let step = step(text);
    let planned = step.plan(&mut model).expect(text);
    let mut facts = model.facts;
    for change in &planned.changes {
        if let Some(hash) = change.action.arguments.get("hash") {
            put(&mut facts, &step.state(), &format!("{hash}\n"));
        }
        if let Some(rules) = change.action.arguments.get("rules") {
            put(&mut facts, "/etc/postgresql/17/main/pg_hba.conf", &format!("{rules}local all all peer\n"));
            put(&mut facts, "/etc/postgresql/17/main/postgresql.conf", "port = 5432 # (change)\n");
        }
    }
    facts.bridge = "172.17.0.1".parse().ok();
    facts.listening.extend(["127.0.0.1", "172.17.0.1"].map(|address| Listening {
        protocol: "tcp".into(),
        address: address.into(),
        port: 5432,
        process: "postgres".into(),
    }));
    let unit = Unit { load: "loaded".into(), active: "active".into(), enabled: "enabled".into() };
    facts.units.insert("postgresql.service".into(), unit);
    facts
}

fn shown(text: &str, facts: &Facts) -> String {
    let steps: Vec<Box<dyn Step>> = vec![Box::new(step(text))];
    let plan = crate::steps::plan("web1", "prefect", &steps, &mut model(facts)).expect(text);
    render_plan(&plan, false, Verbosity::Normal)
}

#[test]
fn in_the_container_there_is_nothing_to_do() {
    let mut questions = Questions::default();
    step("").questions(&mut questions);
    assert!(questions.is_empty());
    let planned = planned("", &host()).expect("it can be planned");
    assert!(planned.changes.is_empty());
    assert_eq!(planned.state, "in the stack's own container");
}

#[test]
fn a_bare_host() {
    insta::assert_snapshot!(shown(HOST, &host()));
    let done = after(HOST, &host());
    assert_eq!(ids(HOST, &done), [""; 0]);
}

#[test]
fn what_differs_on_the_host_is_named() {
    let good = after(HOST, &host());
    let reasons = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good.clone();
        change(&mut facts);
        let planned = planned(HOST, &facts).expect("it can be planned");
        let reasons = planned.changes.iter().map(|change| format!("{}: {}", change.id, change.reason));
        reasons.take(1).collect::<String>()
    };
    for (change, expected) in [
        (&(|_: &mut Facts| {}) as &dyn Fn(&mut Facts), ""),
        (
            &|facts| put(facts, "/etc/postgresql/17/main/pg_hba.conf", "local all all peer\n"),
            "postgres/server: it does not let the stack's role in",
        ),
        (
            &|facts| facts.bridge = "10.9.0.1".parse().ok(),
            "postgres/server: it does not listen for containers",
        ),
        (
            &|facts| put(facts, "/etc/postgresql/17/main/conf.d/provision.conf", "port = 5432\n"),
            "postgres/server: its settings are others",
        ),
        (
            &|facts| {
                facts.units.remove("postgresql.service");
            },
            "postgres/server: it is not started at boot",
        ),
        (
            &|facts| put(facts, "/var/lib/provision/postgres/prefect", "other\n"),
            "postgres/database: they are others, or the server has changed",
        ),
    ] {
        assert_eq!(reasons(change), expected);
    }
}

#[test]
fn a_server_that_is_there_keeps_its_settings() {
    let mut facts = host();
    install(&mut facts, "postgresql-17", "17.6");
    put(&mut facts, "/etc/postgresql/17/main/postgresql.conf", "#port = 1\nport = 5432\n");
    put(&mut facts, "/etc/postgresql/17/main/pg_hba.conf", "local all all peer\n");
    facts.listening.push(Listening {
        protocol: "tcp".into(),
        address: "127.0.0.1".into(),
        port: 5432,
        process: "postgres".into(),
    });
    let planned = planned(HOST, &facts).expect("it can be planned");
    let server = &planned.changes[0];
    assert_eq!(server.id, "postgres/server");
    let files: Vec<_> = server.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["/etc/systemd/system/postgresql@17-main.service.d/provision.conf"]);
    assert!(
        matches!(&server.risks[..], [crate::plan::Risk::InterruptsService { services }]
            if services == &["Postgres 17 with all its databases"]),
        "{:?}",
        server.risks
    );
}

#[test]
fn what_cannot_be_on_the_host() {
    let mut old = host();
    old.system.version = "11".into();
    old.system.name = "Debian 11".into();
    let mut unknown = host();
    unknown.system.version = "99".into();
    let mut taken = host();
    taken.listening.push(Listening {
        protocol: "tcp".into(),
        address: "0.0.0.0".into(),
        port: 5432,
        process: "pgbouncer".into(),
    });
    let mut elsewhere = host();
    put(&mut elsewhere, "/etc/postgresql/17/main/postgresql.conf", "port = 5433\n");
    let mut older = host();
    put(&mut older, "/etc/postgresql/15/main/postgresql.conf", "");
    let mut pools = host();
    put(
        &mut pools,
        "/etc/docker/daemon.json",
        r#"{"default-address-pools": [{"base": "10.200.0.0/16", "size": 24}], "bip": "172.17.0.1/16"}"#,
    );
    let mut no_docker = host();
    no_docker.docker = None;
    for (facts, text, expected) in [
        (
            &old,
            HOST,
            "Debian 11 has Postgres 13, and provision supports 14.9 or newer → take repository = \"pgdg\"",
        ),
        (&unknown, HOST, "is not known → say `version`"),
        (&host(), "postgres = { mode = 'host', version = 16 }", "has Postgres 17, not 16 → take repository"),
        (&taken, HOST, "port 5432 is taken on the host by pgbouncer; nothing was changed → another `port`"),
        (&elsewhere, HOST, "is at port 5433, not 5432 → say port = 5433"),
        (
            &older,
            HOST,
            "port 5432 is that of a Postgres 15, which is on the host → take that one, version = 15",
        ),
        (&pools, HOST, "takes its networks from 10.200.0.0/16 (/etc/docker/daemon.json) → say so"),
        (
            &host(),
            "postgres = { mode = 'host', repository = 'pgdg', version = 18 }",
            "prodrigestivill/postgres-backup-local:17 cannot back up Postgres 18, which is newer → in",
        ),
        (&no_docker, HOST, "there is no Docker on the host"),
    ] {
        let said = refused(text, facts);
        assert!(said.contains(expected), "{text}: {said}");
    }
    // What is in the way of one is none for the other.
    assert!(planned("postgres = { mode = 'host', repository = 'pgdg' }", &old).is_ok());
    assert!(planned("postgres = { mode = 'host', port = 5433 }", &taken).is_ok());
    let wide = "postgres = { mode = 'host', networks = ['10.200.0.0/16', '172.16.0.0/12'] }";
    assert!(planned(wide, &pools).is_ok());
}

#[test]
fn the_projects_own_repository() {
    let text = "postgres = { mode = 'host', repository = 'pgdg', mirror = 'http://mirror.example/pgdg/' }";
    let step = planned(text, &host()).expect("it can be planned");
    let ids: Vec<_> = step.changes.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(
        ids,
        ["postgres/repository", "postgres/package", "postgres/server", "postgres/database", "postgres/fit"]
    );
    let sources = step.changes[0].files[0].content.clone().expect("a file");
    let sources = String::from_utf8(sources).expect("text");
    assert!(sources.contains("URIs: http://mirror.example/pgdg\nSuites: trixie-pgdg\n"), "{sources}");
}

#[test]
fn an_external_one() {
    let mut facts = host();
    facts.images.clear();
    facts.containers.push(Container {
        project: "prefect".into(),
        service: "postgres".into(),
        state: "running".into(),
        ..Container::default()
    });
    insta::assert_snapshot!(shown(EXTERNAL, &facts));
    let done = after(EXTERNAL, &host());
    assert_eq!(ids(EXTERNAL, &done), [""; 0]);
    // Another place is another proof, and so is another password.
    assert_eq!(ids(&EXTERNAL.replace("work", "play"), &done), ["postgres/fit"]);
    let mut model = model(&done);
    model.secret_files.insert("/etc/provision/secrets/prefect/postgres_password".into());
    let changes = step(EXTERNAL).plan(&mut model).expect("it can be planned").changes;
    assert_eq!(changes[0].reason, "secrets have changed");
}

/// A stack of a person's own, which has no service for the database, and whose playbook knows no secret.
#[test]
fn a_stack_of_ones_own() {
    let folder = tempfile::TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("compose.yaml"), "services: {app: {image: app}}\n").expect("a file");
    let own = |options: &Options| {
        let env = options.stack.env.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
        let loading = Loading { env, ..Loading::default() };
        let project = Project::load_with(folder.path(), &loading).expect("it is right");
        let choice = Choice { project: Some(&project), ..Choice::default() };
        let mut bundle = Bundle::collect(folder.path(), &choice).expect("it can be read");
        bundle.lay_over_env(&write_env(&loading.env));
        StackInput { project, bundle, origin: "here".into() }
    };
    for (text, url) in [
        (
            "postgres = { mode = 'host', database = 'notes' }",
            "DATABASE_URL=postgresql://notes:{postgres:url}@host.docker.internal:5432/notes?sslmode=disable",
        ),
        (
            "postgres = { mode = 'external', url = 'postgresql://me@db.example:5433/notes?sslmode=verify-full' }",
            "DATABASE_URL=postgresql://me:{postgres:url}@db.example:5433/notes?sslmode=verify-full",
        ),
    ] {
        let mut settled = options(text);
        settle_postgres(&mut settled).expect("it fits");
        let file = settled.secrets.files.iter().find(|file| file.path == "postgres.env").expect("a file");
        assert_eq!(file.lines, [url, "PGPASSWORD={postgres}"]);
        assert!(settled.secrets.has("postgres"));
        let mut facts = host();
        facts.images.clear();
        let mut model = model(&facts);
        let step = Postgres::new(settled.postgres.clone(), Some(own(&settled)));
        let changes = step.plan(&mut model).expect("it can be planned").changes;
        let ids: Vec<_> = changes.iter().map(|change| change.id.as_str()).collect();
        assert!(ids.ends_with(&["postgres/images", "postgres/fit"]), "{ids:?}");
        assert!(model.facts.image("postgres:17").is_some(), "the stack need not pull it again");
    }
    // Without a name there is nothing to make.
    let mut settled = options("postgres = { mode = 'host' }");
    settle_postgres(&mut settled).expect("it fits");
    let step = Postgres::new(settled.postgres.clone(), Some(own(&settled)));
    let refusal = step.plan(&mut model(&host())).expect_err("no name");
    assert!(refusal.hints[0].contains("set `database` in [steps.postgres]"), "{refusal:?}");
}

#[test]
fn a_stack_that_knows_no_switch() {
    let mut settled = options(EXTERNAL);
    settle_postgres(&mut settled).expect("it fits");
    let own = stack(&options(""));
    let refusal =
        Postgres::new(settled.postgres, Some(own)).plan(&mut model(&host())).expect_err("no setting");
    assert!(refusal.what.contains("has no setting that turns its own database off"), "{}", refusal.what);
}
