//! Prefect's database: on the host itself, elsewhere, and in a volume from before.

use std::net::TcpStream;
use std::time::Duration;

use libtest_mimic::Failed;

use super::is_ready;
use crate::Story;
use crate::lab::{Did, Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[
    ("prefect::postgres::elsewhere", elsewhere),
    ("prefect::postgres::on_the_host", on_the_host),
    ("prefect::postgres::a_volume_from_before", a_volume_from_before),
];

/// What both extensions are, asked of a database by somebody who may see it.
const EXTENSIONS: &str = "SELECT string_agg(extname, ' ' ORDER BY extname) FROM pg_extension";

fn up(folder: &Folder, host: &Host) -> Did {
    folder.provision(&["up", "--yes", "--playbook", "prefect", &host.name])
}

/// A bare host gets its own Postgres: used by all of the stack, closed to everybody else, back after a reboot.
fn on_the_host() -> Result<(), Failed> {
    let host = Host::on(Layer::Images);
    let folder = Folder::empty();
    folder.settings(
        "[steps.postgres]\nmode = \"host\"\n[steps.stack.env]\nCOMPOSE_PROFILES = \"admin,monitoring,backup\"\n\
         REDIS_PAGE_IMAGE = \"rediscommander/redis-commander:0.9.0\"\nPREFECT_API_REPLICAS = 1\n",
    );
    up(&folder, &host).expect(0).said(&[
        "let in 22/tcp (ssh), 4200/tcp, 5432/tcp from containers (172.16.0.0/12, 192.168.0.0/16) and nothing else",
        "install postgresql-17",
        "prove that prefect works (selftest)",
    ]);
    let postgres = |sql: &str, database: &str| {
        host.inside(&format!("cd / && runuser -u postgres -- psql -At -d {database} -c \"{sql}\""))
            .trim()
            .to_owned()
    };
    assert_eq!(postgres(EXTENSIONS, "prefect"), "pg_trgm plpgsql uuid-ossp");
    let tables = "SELECT tableowner FROM pg_tables WHERE tablename = 'flow_run'";
    assert_eq!(postgres(tables, "prefect"), "prefect");
    assert_eq!(postgres("SELECT rolsuper FROM pg_roles WHERE rolname = 'prefect'", "postgres"), "f");
    let containers = host.inside("docker ps -a --format '{{.Label \"com.docker.compose.service\"}}'");
    assert!(
        !containers.lines().any(|name| name.starts_with("postgres") && name != "postgres-exporter"),
        "{containers}"
    );

    // Its way in is Docker's bridge.
    let address = (host.address.as_str(), 5432);
    assert!(TcpStream::connect_timeout(&address_of(address)?, Duration::from_secs(3)).is_err());
    let sockets = host.inside("ss -Hltn 'sport = :5432' | awk '{print $4}' | sort");
    assert_eq!(sockets, "127.0.0.1:5432\n172.17.0.1:5432\n[::1]:5432\n");
    up(&folder, &host).expect(0).said(&["nothing to change"]);

    host.lab("reboot");
    is_ready(&host);
    eventually("nothing is to be changed after a reboot", || {
        up(&folder, &host).stderr.contains("nothing to change")
    });

    // What somebody takes away is made again.
    host.inside("sed -i '/provision prefect/,/provision prefect/d' /etc/postgresql/17/main/pg_hba.conf");
    up(&folder, &host).expect(0).said(&["it does not let the stack's role in"]);
    up(&folder, &host).expect(0).said(&["nothing to change"]);
    Ok(())
}

fn address_of(place: (&str, u16)) -> Result<std::net::SocketAddr, Failed> {
    use std::net::ToSocketAddrs;
    Ok(place.to_socket_addrs()?.next().ok_or("no address")?)
}

const PASSWORD: &str = "0123456789abcdef0123456789abcdef";

/// Somebody else's server: with the roles `boss`, who may all, and `poor`, who may only connect.
fn server() -> Host {
    let server = Host::make("debian13");
    server.inside(
        "apt-get update -q >/dev/null && apt-get install -qy --no-install-recommends postgresql-17 ssl-cert >/dev/null",
    );
    server.inside(
        "cd /etc/postgresql/17/main && echo \"listen_addresses = '*'\" >conf.d/all.conf && \
         echo 'hostssl all all 10.91.0.0/24 scram-sha-256' >>pg_hba.conf && systemctl restart postgresql@17-main",
    );
    for sql in [
        &format!("CREATE ROLE boss LOGIN SUPERUSER PASSWORD '{PASSWORD}'"),
        &format!("CREATE ROLE poor LOGIN PASSWORD '{PASSWORD}'"),
        "CREATE DATABASE rich ENCODING 'UTF8' TEMPLATE template0",
        "CREATE DATABASE work ENCODING 'UTF8' TEMPLATE template0",
    ] {
        ask(&server, "postgres", sql);
    }
    server
}

fn ask(server: &Host, database: &str, sql: &str) -> String {
    let sql = sql.replace('"', "\\\"");
    let command =
        format!("cd / && runuser -u postgres -- psql -At -v ON_ERROR_STOP=1 -d {database} -c \"{sql}\"");
    server.inside(&command).trim().to_owned()
}

/// A database elsewhere: a wrong password, a poor role that is told what it lacks, the same when an
/// administrator has done that; and a role that may all of it.
fn elsewhere() -> Result<(), Failed> {
    let (server, host) = (server(), Host::on(Layer::Images));
    let with = |password: &str, user: &str, database: &str, tls: &str, server_name: &str| {
        let folder = Folder::empty().with("PROVISION_SECRET_POSTGRES", password);
        folder.settings(&format!(
            "[steps.postgres]\nmode = \"external\"\n\
             url = \"postgresql://{user}@{server_name}/{database}?sslmode={tls}\"\n\
             [steps.stack.env]\nCOMPOSE_PROFILES = \"\"\nPREFECT_API_REPLICAS = 1\n"
        ));
        folder
    };
    let fails = |folder: &Folder, said: &[&str]| {
        let did = up(folder, &host);
        assert_ne!(did.code, 0);
        did.said(said);
        assert!(!did.stderr.contains(PASSWORD), "the password is told");
        assert_eq!(host.inside("docker ps -aq"), "", "nothing of the stack runs");
        assert_eq!(ask(&server, "work", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
        assert_eq!(ask(&server, "work", EXTENSIONS), "plpgsql");
        did
    };
    let at = server.address.as_str();
    fails(&with("wrong", "poor", "work", "require", at), &["refuses the password of poor"]);
    // The host forgets what it was given, and takes it anew.
    host.inside("rm /etc/provision/secrets/prefect/made");
    fails(
        &with(PASSWORD, "poor", "none", "require", at),
        &["there is no database none", "CREATE DATABASE \"none\""],
    );
    fails(
        &with(PASSWORD, "poor", "work", "verify-full", at),
        &["is signed by an authority that the host does not trust"],
    );
    fails(&with(PASSWORD, "poor", "work", "disable", at), &["without TLS"]);
    fails(
        &with(PASSWORD, "poor", "work", "require", "none.invalid"),
        &["the name none.invalid does not resolve"],
    );
    fails(&with(PASSWORD, "poor", "work", "require", "10.91.0.1"), &["the connection was refused"]);

    let poor = with(PASSWORD, "poor", "work", "require", at);
    let did = fails(
        &poor,
        &[
            "the role poor is not allowed to do what the stack needs in the database work; nothing was changed",
        ],
    );
    // What is told is all that is needed.
    let sql: Vec<_> = did
        .stderr
        .lines()
        .filter_map(|line| line.trim_start_matches(['│', ' ']).strip_suffix(';'))
        .filter(|line| line.starts_with("CREATE EXTENSION") || line.starts_with("GRANT"))
        .collect();
    let sql: std::collections::BTreeSet<_> = sql.into_iter().collect();
    assert_eq!(sql.len(), 3, "{}", did.stderr);
    for each in sql {
        ask(&server, "work", each);
    }
    up(&poor, &host).expect(0).said(&["prove that prefect works (selftest)"]);
    up(&poor, &host).expect(0).said(&["nothing to change"]);
    assert_eq!(ask(&server, "work", EXTENSIONS), "pg_trgm plpgsql uuid-ossp");
    assert_eq!(ask(&server, "work", "SELECT tableowner FROM pg_tables WHERE tablename = 'flow_run'"), "poor");
    let secure =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'poor'";
    assert_eq!(ask(&server, "work", secure), "t");

    // An administrator's role makes for itself what is missing; by a certificate that is looked at.
    let boss = with(PASSWORD, "boss", "rich", "verify-ca", at);
    boss.write("ca.pem", &server.inside("cat /etc/ssl/certs/ssl-cert-snakeoil.pem"));
    let settings = std::fs::read_to_string(boss.path().join("provision.toml"))?;
    boss.write(
        "provision.toml",
        &settings.replace("[steps.stack.env]", "ca = \"ca.pem\"\n[steps.stack.env]"),
    );
    up(&boss, &host).expect(0).said(&["and create its extensions", "prove that prefect works (selftest)"]);
    assert_eq!(ask(&server, "rich", EXTENSIONS), "pg_trgm plpgsql uuid-ossp");
    Ok(())
}

/// A volume that was made without the extensions has them after `up`. And a certificate that lies
/// there is used from the start, as the last lines tell.
fn a_volume_from_before() -> Result<(), Failed> {
    let host = Host::on(Layer::Images);
    let folder = Folder::empty();
    folder.settings(
        "[steps.stack.env]\nCOMPOSE_PROFILES = \"\"\nPREFECT_API_REPLICAS = 1\nPREFECT_BASE_PATH = \"/flows\"\n",
    );
    host.inside(
        "mkdir -p /etc/provision/tls/prefect && cd /etc/provision/tls/prefect && \
         openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.crt -days 9 -subj /CN=flows 2>/dev/null",
    );
    host.inside(
        "docker run -d --name before -e POSTGRES_PASSWORD=x -v prefect_postgres:/var/lib/postgresql/data postgres:17",
    );
    let before = |sql: &str| {
        host.try_root(&format!("docker exec before psql -h 127.0.0.1 -U postgres -At -c \"{sql}\""))
    };
    eventually("the volume is made", || before("SELECT 1").status.success());
    assert!(before("CREATE DATABASE prefect").status.success());
    host.inside("docker stop before && docker rm before");
    let at = format!("https://{}:4200", host.address);
    up(&folder, &host)
        .expect(0)
        .said(&[&format!("nginx  {at}  ✓ reachable from here"), &format!("PREFECT_API_URL={at}/flows/api")]);
    let found = host.inside(&format!(
        "docker exec prefect-postgres-1 psql -U postgres -At -d prefect -c \"{EXTENSIONS}\""
    ));
    assert_eq!(found.trim(), "pg_trgm plpgsql uuid-ossp");
    Ok(())
}
