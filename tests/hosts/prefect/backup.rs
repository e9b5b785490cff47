//! Backups of Prefect's database: taken, listed, refused, brought back, and interrupted.

use libtest_mimic::Failed;
use serde_json::Value;

use crate::lab::{Did, Folder, Host, eventually};

const FOLDER: &str = "/var/backups/prefect";

/// Where a restore has most to lose: by what its run says there.
pub const MOMENTS: [&str; 3] = ["loading ", "Stopping", "is prefect now"];

/// On a stack of Prefect that is up: what was backed up comes back after the database is
/// dropped, with flow run, variable and extensions; what is no whole backup is refused
/// before anything is touched; what cannot be loaded, or does not work, leaves what serves;
/// after a restore that was killed at one of these moments, `up` makes it serve.
pub fn comes_back(host: &Host, folder: &Folder, moments: &[&str]) -> Result<(), Failed> {
    let prefect = Prefect { host, folder };
    let run = prefect.make_flow_run("kept");
    prefect.ask("POST", "variables/", r#"{"name": "colour", "value": "blue"}"#);

    let did = prefect.backup(&["now", "--yes"]);
    did.expect(0).said(&["back up prefect to /var/backups/prefect/last", "whole"]);
    let listed: Vec<Value> = prefect
        .backup(&["list", "--json"])
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let newest = listed.first().expect("a backup");
    assert_eq!(newest["whole"], true, "{listed:?}");
    let file = newest["file"].as_str().expect("a name").to_owned();
    assert!(newest["also"].as_array().is_some_and(|names| names.len() >= 3), "{newest}");

    refused_before_anything_is_touched(&prefect, &file)?;
    what_cannot_be_loaded(&prefect, &file);

    // The database goes, really.
    prefect.sql("postgres", "DROP DATABASE prefect WITH (FORCE)");
    let did = prefect.backup(&["restore", &file, "--yes"]);
    did.expect(0).said(&["1 flow run", "the stack was down for"]);
    assert!(!did.stderr.contains("before-restore"), "there was nothing to keep: {}", did.stderr);
    prefect.has(&run, "blue");
    prefect.is_well();

    // With one that is there: that is kept until the new one serves, and as a backup.
    prefect.ask("PATCH", "variables/name/colour", r#"{"value": "red"}"#);
    let did = prefect.backup(&["restore", &file, "--yes"]);
    did.expect(0).said(&["restore that to undo this"]);
    prefect.has(&run, "blue");
    prefect.is_well();
    let undo = host.inside(&format!("cd {FOLDER} && ls -1 before-restore/*.sql.gz | tail -n 1"));
    // The state of before comes back, too.
    interrupted(&prefect, undo.trim(), &run, moments)?;
    prefect.backup(&["restore", undo.trim(), "--yes"]).expect(0);
    prefect.has(&run, "red");
    prefect.is_well();
    does_not_work(&prefect, &file);
    nothing_leaks(&prefect);
    Ok(())
}

/// Half a file, and one whose dump ends too early.
fn refused_before_anything_is_touched(prefect: &Prefect<'_>, file: &str) -> Result<(), Failed> {
    prefect.host.inside(&format!(
        "cd {FOLDER} && head -c $(($(stat -c %s {file}) / 2)) {file} >prefect-half.sql.gz && \
         gunzip -c {file} | head -n -40 | gzip >prefect-short.sql.gz"
    ));
    let before = prefect.footprint();
    for (name, what) in [("prefect-half.sql.gz", "is cut off"), ("prefect-short.sql.gz", "is not complete")] {
        let did = prefect.backup(&["restore", name, "--yes"]);
        did.fails(3, &[what, "nothing was changed"]);
        assert_eq!(prefect.footprint(), before, "{name}");
    }
    let did = prefect.backup(&["restore", "monday", "--yes"]);
    did.fails(2, &["no backup `monday`", file]);
    let did = prefect.backup(&["restore", file]);
    did.fails(10, &["nothing was changed"]);
    assert_eq!(prefect.footprint(), before);
    let listed = prefect.backup(&[]).stdout;
    assert!(listed.contains("CUT OFF") && listed.contains("NOT COMPLETE"), "{listed}");
    prefect.host.inside(&format!("rm {FOLDER}/prefect-half.sql.gz {FOLDER}/prefect-short.sql.gz"));
    Ok(())
}

/// A whole dump with a statement that Postgres does not take.
fn what_cannot_be_loaded(prefect: &Prefect<'_>, file: &str) {
    prefect.host.inside(&format!(
        "cd {FOLDER} && {{ gunzip -c {file} | sed 's/^ALTER TABLE ONLY public.flow_run$/ALTER TABEL x/'; }} | \
         gzip >prefect-wrong.sql.gz"
    ));
    let before = prefect.footprint();
    let did = prefect.backup(&["restore", "prefect-wrong", "--yes"]);
    did.fails(6, &["syntax error", "could not be loaded", "serves as before"]);
    assert_eq!(prefect.footprint(), before);
    prefect.host.inside(&format!("rm {FOLDER}/prefect-wrong.sql.gz"));
}

/// The runner is killed at these moments; then `up` brings the stack back.
fn interrupted(prefect: &Prefect<'_>, undo: &str, run: &str, moments: &[&str]) -> Result<(), Failed> {
    let host = prefect.host;
    for moment in moments {
        let arguments = ["backup", &host.name, "restore", undo, "--yes", "--playbook", "prefect"];
        let child = prefect.folder.spawn(&arguments);
        let came = format!(
            "run=$(systemctl list-units --plain --no-legend 'provision-run-*' | sed -n 's/^provision-run-\\(.*\\)[.]service.*/\\1/p')
            [ -z \"$run\" ] || ! grep -q '{moment}' /var/lib/provision/runs/$run/journal || echo provision-run-$run.service"
        );
        let mut unit = String::new();
        eventually(&format!("the restore comes to `{moment}`"), || {
            unit = host.inside(&came).trim().to_owned();
            !unit.is_empty()
        });
        host.inside(&format!("systemctl kill -s KILL {unit}"));
        let did = Did::from(child.wait_with_output()?);
        did.expect(6).said(&["the run ended unexpectedly", "restore` again"]);
        let databases = prefect.sql("postgres", "SELECT datname FROM pg_database");
        assert!(databases.lines().any(|name| name == "prefect"), "at `{moment}`: {databases}");
    }
    if !moments.is_empty() {
        // `up` makes it serve, whichever it is.
        let did = prefect.folder.provision(&["up", "--yes", "--playbook", "prefect", &host.name]);
        did.expect(0).said(&["which was interrupted"]);
        prefect.has(run, "red");
    }
    Ok(())
}

/// A backup that loads, and with which the stack does not work: the former one comes back.
fn does_not_work(prefect: &Prefect<'_>, file: &str) {
    // A version that this Prefect does not know: its migration fails.
    prefect.host.inside(&format!(
        "cd {FOLDER} && gunzip -c {file} | sed '/^COPY public.alembic_version/,/^\\\\\\./ s/^[0-9a-f]\\{{12\\}}$/000000000000/' | \
         gzip >prefect-newer.sql.gz"
    ));
    let did = prefect.backup(&["restore", "prefect-newer", "--yes"]);
    did.fails(6, &["the stack does not work with", "the previous database is back in its place and serves"]);
    did.said(&[
        "what was loaded is kept as the database prefect_restore_",
        "with prefect-newer.sql.gz: the stack did not start: prefect-migrate ended with exit code 1\n",
    ]);
    let colour = prefect.ask("GET", "variables/name/colour", "");
    assert_eq!(colour["value"], "red");
    prefect.host.inside(&format!("rm {FOLDER}/prefect-newer.sql.gz"));
    prefect.folder.provision(&["up", "--yes", "--playbook", "prefect", &prefect.host.name]).expect(0);
    let left = prefect.sql("postgres", "SELECT datname FROM pg_database WHERE datname ~ '_restore_'");
    assert_eq!(left.lines().count(), 1, "it is kept for a look: {left}");
}

/// The database's password is in no journal, and in nobody's arguments.
fn nothing_leaks(prefect: &Prefect<'_>) {
    let host = prefect.host;
    let secret = prefect.folder.provision(&["secrets", &host.name, "show", "postgres"]).stdout;
    let journals = host.inside("cat /var/lib/provision/runs/*/journal /var/lib/provision/runs/*/plan.json");
    assert!(journals.contains("backup/restored") && !journals.contains(secret.trim()));
}

struct Prefect<'a> {
    host: &'a Host,
    folder: &'a Folder,
}

impl Prefect<'_> {
    fn backup(&self, arguments: &[&str]) -> Did {
        self.folder.provision(&[&["backup", &self.host.name, "--playbook", "prefect"], arguments].concat())
    }

    /// The API's answer to a person with the password.
    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.host.inside(&format!(
            "cd /etc/provision/secrets/prefect && curl -sS -m 30 -X {method} -u \"$(sed s/.*=// client.env)\" \
             -H 'Content-Type: application/json' -d '{body}' http://127.0.0.1:4200/api/{path}"
        ));
        if answer.trim().is_empty() { Value::Null } else { serde_json::from_str(&answer).expect(&answer) }
    }

    fn make_flow_run(&self, name: &str) -> String {
        let flow = self.ask("POST", "flows/", &format!(r#"{{"name": "{name}"}}"#));
        let flow = flow["id"].as_str().expect("a flow");
        let run = self.ask(
            "POST",
            "flow_runs/",
            &format!(r#"{{"flow_id": "{flow}", "name": "{name}", "state": {{"type": "COMPLETED"}}}}"#),
        );
        run["id"].as_str().expect("a flow run").to_owned()
    }

    fn sql(&self, database: &str, query: &str) -> String {
        self.host.inside(&format!(
            "cd /srv/prefect && docker compose exec -T postgres psql -X -At -U postgres -d {database} -c \"{query}\""
        ))
    }

    /// What a refusal must leave as it is.
    fn footprint(&self) -> String {
        let started = self.host.inside(
            "docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}' \
             $(docker ps -aq --filter label=com.docker.compose.oneoff=False) | sort",
        );
        started + &self.sql("postgres", "SELECT oid, datname FROM pg_database ORDER BY 1")
    }

    /// The flow run, the variable and the extensions.
    #[track_caller]
    fn has(&self, run: &str, colour: &str) {
        assert_eq!(self.ask("GET", &format!("flow_runs/{run}"), "")["state_type"], "COMPLETED");
        assert_eq!(self.ask("GET", "variables/name/colour", "")["value"], colour);
        let extensions = self.sql("prefect", "SELECT extname FROM pg_extension ORDER BY 1");
        assert_eq!(extensions, "pg_trgm\nplpgsql\nuuid-ossp\n");
    }

    /// Nothing to change, so everything is healthy and proven; one database, of the role.
    #[track_caller]
    fn is_well(&self) {
        let did = self.folder.provision(&["up", "--playbook", "prefect", &self.host.name]);
        did.expect(0).said(&["nothing to change"]);
        let databases = self.sql(
            "postgres",
            "SELECT datname, datdba::regrole FROM pg_database WHERE NOT datistemplate ORDER BY 1",
        );
        assert_eq!(databases, "postgres|postgres\nprefect|prefect\n");
        let queues = self.host.inside(
            "cd /srv/prefect && docker compose exec -T redis sh -c \
             'REDISCLI_AUTH=$(cat /run/secrets/redis_password) redis-cli info keyspace'",
        );
        assert!(!queues.contains("db8") && !queues.contains("db9"), "{queues}");
    }
}
