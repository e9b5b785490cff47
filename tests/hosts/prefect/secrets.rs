//! Each secret of the stack gets another value: the former one opens nothing any more, and the
//! new one what it is for.

use libtest_mimic::Failed;

use crate::lab::{Folder, Host, eventually};

/// All but Grafana's, of which the lab has no image.
pub const ALL: [&str; 6] = ["postgres", "postgres_exporter", "redis", "prefect", "pgadmin", "redis_page"];

/// What everything stands on, and what the replicas and a person's client have.
pub const ESSENTIAL: [&str; 2] = ["postgres", "prefect"];

/// On a host with the stack: each of these secrets gets another value, one after the other.
pub fn rotates(host: &Host, folder: &Folder, names: &[&'static str]) -> Result<(), Failed> {
    let show = |name: &str| {
        let did = folder.provision(&["secrets", &host.name, "show", name]);
        did.expect(0);
        did.stdout.trim().to_owned()
    };
    let mut said = String::new();
    let mut values = Vec::new();
    for &name in names {
        let former = show(name);
        assert!(lets_in(host, name, &former), "{name}: what is there works");
        let did = folder.provision(&[
            "secrets",
            &host.name,
            "rotate",
            name,
            "--playbook",
            "prefect",
            "--yes",
            "--json",
        ]);
        did.expect(0);
        assert_eq!(did.ended("applied"), ["secrets/rotated", "stack/up", "stack/proof"], "{name}");
        let new = show(name);
        assert!(new.len() == 32 && new != former, "{name}: another value");
        eventually(&format!("{name}: the new value is taken"), || lets_in(host, name, &new));
        assert!(!lets_in(host, name, &former), "{name}: the former value is refused");
        let sick = host.inside(
            "docker ps -a --filter label=com.docker.compose.project=prefect --format '{{.Names}} {{.Status}}' |
             grep -v 'Up .*(healthy)$' | grep -v -e 'exporter-1 Up' -e 'Exited (0)' || true",
        );
        assert_eq!(sick, "", "{name}: all is well");
        if name == "postgres" {
            each_replica_comes_in(host);
        }
        said.push_str(&did.stdout);
        said.push_str(&did.stderr);
        values.extend([(name, former), (name, new)]);
    }
    // The exporter has been asked since: its own role lets it in, and Redis' password it.
    let seen = |figure: &str| {
        host.inside(&format!(
            "curl -fsS 'http://127.0.0.1:9090/api/v1/query?query={figure}' | grep -o '\"value\":.*'"
        ))
    };
    for figure in ["pg_up", "redis_up"] {
        eventually(&format!("{figure} is 1"), || seen(figure).contains("\"1\"]"));
    }
    folder.provision(&["up", "--yes", "--playbook", "prefect", &host.name]).said(&["nothing to change"]);
    let places = [
        ("what was printed", said),
        (
            "a journal or a plan on the host",
            host.inside("cat /var/lib/provision/runs/*/journal /var/lib/provision/runs/*/plan.json"),
        ),
        ("the arguments of a process", host.inside("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")),
        ("the host's log", host.inside("journalctl -o cat --no-pager")),
    ];
    for (name, value) in &values {
        for (place, text) in &places {
            assert!(!text.contains(value.as_str()), "{name} stands in {place}");
        }
    }
    Ok(())
}

/// What a replica had open before the change would serve on with the former password: so all of
/// that is cut, and each replica by itself has to come in again.
fn each_replica_comes_in(host: &Host) {
    let replicas = host.inside("docker ps -q --filter label=com.docker.compose.service=prefect-api");
    assert!(replicas.lines().count() > 1, "one after the other: {replicas}");
    let cut = host.inside(
        "docker exec prefect-postgres-1 psql -U postgres -qAt -d postgres -c \
         \"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'prefect'\"",
    );
    assert_ne!(cut.trim(), "0", "somebody was in");
    for replica in replicas.lines() {
        let ask = format!(
            "docker exec {replica} python -c \
             'import urllib.request as u; u.urlopen(\"http://127.0.0.1:4200/api/ready\", timeout=15)'"
        );
        eventually("each replica comes in again", || host.try_root(&ask).status.success());
    }
}

/// Whether a value opens what it is for: a login like that of whoever uses it.
fn lets_in(host: &Host, name: &str, value: &str) -> bool {
    let psql = |user: &str| {
        format!(
            "docker exec -e PGPASSWORD=$value prefect-backup-1 psql -h postgres -U {user} -d prefect -Atc 'SELECT 1' | grep -qx 1"
        )
    };
    let ask = match name {
        "postgres" => psql("prefect"),
        "postgres_exporter" => psql("monitoring"),
        "redis" => {
            "docker exec -e REDISCLI_AUTH=$value prefect-redis-1 redis-cli -h redis ping | grep -qx PONG"
                .into()
        }
        "prefect" => "curl -fs -o /dev/null -u prefect:$value http://127.0.0.1:4200/api/admin/version".into(),
        // Its first page is anybody's; the password opens what is behind it.
        "redis_page" => {
            "curl -s -d username=admin -d password=$value http://127.0.0.1:8081/signin | grep -q '\"ok\":true'".into()
        }
        "pgadmin" => PGADMIN.into(),
        other => unreachable!("{other}"),
    };
    host.inside(&format!("value={value}; if {ask}; then echo yes; else echo no; fi 2>/dev/null")).trim()
        == "yes"
}

/// Its form, sent as a browser does: who is let in goes to the browser of databases.
const PGADMIN: &str = r#"
    rm -f /tmp/cookies
    token=$(curl -s -c /tmp/cookies http://127.0.0.1:8888/login | sed -n 's/.*"csrfToken": "\([^"]*\)".*/\1/p' | head -n 1)
    curl -s -b /tmp/cookies -c /tmp/cookies -o /dev/null -w '%{redirect_url}' --data-urlencode "csrf_token=$token" \
        -d email=admin@example.com -d "password=$value" -d internal_button=Login \
        http://127.0.0.1:8888/authenticate/login | grep -q '/browser/$'"#;
