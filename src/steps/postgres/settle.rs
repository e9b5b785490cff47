//! What a database elsewhere means for the other steps: the stack's settings, what the firewall
//! lets in, whose password it is.

use ipnet::IpNet;

use super::options::{Mode, PostgresOptions, Tls, is_host, is_name, url};
use crate::digest::sha256;
use crate::stack::compose::PortRange;
use crate::steps::firewall::{Allow, PortName, SourceNet, Transport};
use crate::steps::stack::EnvValue;
use crate::steps::{Options, SecretFile, SecretsOptions};

/// By this name containers reach the host that they run on.
const THIS_HOST: &str = "host.docker.internal";

/// What the host itself believes (the package ca-certificates).
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What Docker takes its networks from unless told.
const DOCKERS_NETWORKS: [&str; 2] = ["172.16.0.0/12", "192.168.0.0/16"];

/// The secret that is the role's password.
const SECRET: &str = "postgres";

/// The file of secrets with the password of the role that only looks at figures.
const WATCHERS_PASSWORD: &str = "postgres_exporter_password";

/// Something that a person has to mend: what, and how.
pub type Mistake = (String, String);

/// Makes the options of all steps agree with where the database is.
pub fn settle(options: &mut Options) -> Result<(), Mistake> {
    let postgres = &mut options.postgres;
    take_url(postgres)?;
    check(postgres)?;
    if postgres.mode != Mode::Container {
        own_secrets(postgres, &mut options.secrets);
    }
    if postgres.mode == Mode::Host && postgres.networks.is_empty() {
        postgres.networks = dockers_networks(&options.docker.daemon);
    }
    for (name, value) in values(options) {
        match options.stack.env.get(name) {
            Some(said) if said.0 != value => {
                return Err((
                    format!(
                        "`{name}` is {} in [steps.stack.env], and [steps.postgres] makes it {value}",
                        said.0
                    ),
                    "say it in [steps.postgres] alone".into(),
                ));
            }
            _ => options.stack.env.insert(name.to_owned(), EnvValue(value)),
        };
    }
    match options.postgres.mode {
        Mode::Container => elsewhere_by_hand(options)?,
        Mode::Host => {
            let port = options.postgres.port.unwrap_or(5432);
            let opening = Allow {
                port: PortName::Ports(PortRange { first: port, last: port }),
                protocol: Transport::Tcp,
                from: options.postgres.networks.clone(),
                containers: true,
            };
            options.firewall.allow.iter_mut().for_each(|allow| allow.push(opening.clone()));
        }
        Mode::External => their_password(&mut options.secrets),
    }
    Ok(())
}

/// A stack whose playbook says nothing of a password gets one, and a file with all that a program needs.
fn own_secrets(options: &mut PostgresOptions, secrets: &mut SecretsOptions) {
    let Some(database) = options.database.clone().filter(|_| !secrets.has(SECRET)) else { return };
    let user = options.user.get_or_insert_with(|| database.clone()).replace('@', "%40");
    secrets.generate.push(SECRET.into());
    let (host, tls) = match (options.mode, options.host.as_deref()) {
        (Mode::External, Some(host)) => (host, options.tls.unwrap_or(Tls::Require)),
        _ => (THIS_HOST, Tls::Disable),
    };
    let port = options.port.unwrap_or(5432);
    let url =
        format!("postgresql://{user}:{{{SECRET}:url}}@{host}:{port}/{database}?sslmode={}", tls.as_str());
    let mut add = |path: &str, lines: Vec<String>| {
        if secrets.files.iter().all(|file| file.path != path) {
            secrets.files.push(SecretFile::new(path, lines));
        }
    };
    // Read when the role is made, and by the proof.
    add("postgres_password", vec![format!("{{{SECRET}}}")]);
    add("postgres.env", vec![format!("DATABASE_URL={url}"), format!("PGPASSWORD={{{SECRET}}}")]);
}

/// The parts of `url`, each in its own option.
fn take_url(options: &mut PostgresOptions) -> Result<(), Mistake> {
    let Some(text) = options.url.take() else { return Ok(()) };
    let found = url(&text).map_err(|(what, hint)| (what.to_owned(), hint.to_owned()))?;
    let twice = [
        ("host", options.host.is_some()),
        ("port", options.port.is_some() && found.port.is_some()),
        ("database", options.database.is_some() && found.database.is_some()),
        ("user", options.user.is_some() && found.user.is_some()),
        ("tls", options.tls.is_some() && found.tls.is_some()),
    ];
    if let Some((name, _)) = twice.iter().find(|(_, twice)| *twice) {
        return Err((format!("`{name}` is said twice, by itself and in `url`"), "keep one of them".into()));
    }
    options.host = Some(found.host);
    options.port = options.port.or(found.port);
    options.database = options.database.take().or(found.database);
    options.user = options.user.take().or(found.user);
    options.tls = options.tls.or(found.tls);
    Ok(())
}

fn check(options: &PostgresOptions) -> Result<(), Mistake> {
    let mistake = |what: String, hint: &str| Err((what, hint.to_owned()));
    let PostgresOptions { mode, .. } = options;
    let (host, external) = (*mode == Mode::Host, *mode == Mode::External);
    let said = [
        ("version", options.version.is_some(), host, "mode = \"host\""),
        ("repository", options.repository != Default::default(), host, "mode = \"host\""),
        ("mirror", options.mirror.is_some(), host, "mode = \"host\""),
        ("key", options.key.is_some(), host, "mode = \"host\""),
        ("proxy", options.proxy.is_some(), host, "mode = \"host\""),
        ("networks", !options.networks.is_empty(), host, "mode = \"host\""),
        ("host", options.host.is_some(), external, "mode = \"external\""),
        ("tls", options.tls.is_some(), external, "mode = \"external\""),
        ("ca", options.ca.is_some(), external, "mode = \"external\""),
        ("port", options.port.is_some(), host || external, "mode = \"host\" or \"external\""),
    ];
    if let Some((name, _, _, modes)) = said.iter().find(|(_, said, fits, _)| *said && !fits) {
        return mistake(format!("`{name}` is for {modes}"), "say the mode as well, or take the option away");
    }
    for (name, value) in [("database", &options.database), ("user", &options.user)] {
        if let Some(value) = value
            && !is_name(value)
        {
            return mistake(
                format!("`{value}` is no `{name}` that can be used here"),
                "a name is letters, digits, `_`, `.`, `@` and `-`, 63 at most",
            );
        }
    }
    if options.user.as_deref() == Some("postgres") && host {
        return mistake(
            "`postgres` is the superuser of the host's Postgres, and not for the stack".into(),
            "name a role of its own in `user`",
        );
    }
    if external {
        match options.host.as_deref() {
            None => return mistake("nothing says where the database is".into(), "say `url` or `host`"),
            Some(name) if name == "localhost" || name.starts_with("127.") => {
                return mistake(
                    format!("`{name}` is each container itself"),
                    "for a Postgres on the host take mode = \"host\"; else name the server as others do",
                );
            }
            Some(name) if !is_host(name) => {
                return mistake(
                    format!("`{name}` is no name of a server"),
                    "write a name or an IPv4 address",
                );
            }
            Some(_) => {}
        }
    }
    let tls = options.tls.unwrap_or(Tls::Require);
    if options.ca.is_some() && !tls.verifies() {
        return mistake(
            format!("`ca` is not looked at with tls = \"{}\"", tls.as_str()),
            "take tls = \"verify-full\" or \"verify-ca\"",
        );
    }
    if options.ca_text.as_ref().is_some_and(|text| !text.contains("-----BEGIN CERTIFICATE-----")) {
        return mistake(
            "the file that `ca` names has no certificate in it".into(),
            "it is a file of PEM certificates",
        );
    }
    if options.version.is_some_and(|version| !(14..100).contains(&version)) {
        return mistake(
            format!("Postgres {} is not supported", options.version.unwrap_or_default()),
            "use 14 or newer, as a major version: version = 17",
        );
    }
    Ok(())
}

/// What the stack's `.env` has to say.
fn values(options: &Options) -> Vec<(&'static str, String)> {
    let postgres = &options.postgres;
    let mut values = Vec::new();
    if let Some(database) = &postgres.database {
        values.push(("POSTGRES_DB", database.clone()));
    }
    if let Some(user) = &postgres.user {
        values.push(("POSTGRES_USER", user.clone()));
    }
    let said = |name: &str| options.stack.env.get(name).map(|value| value.0.clone());
    let user = postgres.user.clone().or_else(|| said("POSTGRES_USER")).unwrap_or_else(|| "prefect".into());
    let (host, tls, watcher) = match postgres.mode {
        Mode::Container => return values,
        // Not `monitoring`, which may be somebody else's there.
        Mode::Host => (THIS_HOST.to_owned(), Tls::Disable, format!("{user}_monitoring")),
        Mode::External => {
            (postgres.host.clone().unwrap_or_default(), postgres.tls.unwrap_or(Tls::Require), user)
        }
    };
    values.extend([
        ("POSTGRES_CONTAINERS", "0".to_owned()),
        ("POSTGRES_HOST", host),
        ("POSTGRES_PORT", postgres.port.unwrap_or(5432).to_string()),
        ("POSTGRES_TLS", tls.as_str().to_owned()),
    ]);
    // A stack that has nobody who looks at figures knows no such setting.
    if options.secrets.files.iter().any(|file| file.path == WATCHERS_PASSWORD) {
        values.push(("POSTGRES_EXPORTER_USER", watcher));
    }
    if tls.verifies() {
        values.push(("POSTGRES_CA", authorities(postgres)));
    }
    values
}

/// The host's file with the authorities that are believed.
pub(super) fn authorities(options: &PostgresOptions) -> String {
    match &options.ca_text {
        // Another content is another file, so that containers take notice.
        Some(text) => format!("/etc/provision/postgres/ca-{:.12}.crt", sha256(text.as_bytes())),
        None => AUTHORITIES.into(),
    }
}

/// The stack's settings alone do not take the container away.
fn elsewhere_by_hand(options: &Options) -> Result<(), Mistake> {
    for (name, own) in [("POSTGRES_CONTAINERS", "1"), ("POSTGRES_HOST", "postgres")] {
        if options.stack.env.get(name).is_some_and(|value| value.0 != own) {
            return Err((
                format!("`{name}` in [steps.stack.env] is the step `postgres`' to say"),
                "for a database elsewhere take mode = \"host\" or \"external\" in [steps.postgres]".into(),
            ));
        }
    }
    Ok(())
}

/// An external database's password is not made here; and there is one role alone, for the figures too.
fn their_password(secrets: &mut SecretsOptions) {
    if secrets.generate.iter().any(|name| name == SECRET) {
        secrets.give(SECRET);
    }
    for file in secrets.files.iter_mut().filter(|file| file.path == WATCHERS_PASSWORD) {
        file.lines = vec!["{postgres}".into()];
    }
}

/// The networks that Docker gives to containers, by its settings.
fn dockers_networks(daemon: &toml::Table) -> Vec<SourceNet> {
    let text = |value: &toml::Value| value.as_str().and_then(|text| text.parse::<IpNet>().ok());
    let pools = daemon.get("default-address-pools").and_then(toml::Value::as_array);
    let mut networks: Vec<IpNet> = pools
        .into_iter()
        .flatten()
        .filter_map(|pool| text(pool.get("base")?))
        .map(|net| net.trunc())
        .collect();
    if networks.is_empty() {
        networks.extend(DOCKERS_NETWORKS.iter().filter_map(|text| text.parse::<IpNet>().ok()));
    }
    if let Some(bridge) = daemon.get("bip").and_then(text)
        && !networks.iter().any(|net| net.contains(&bridge))
    {
        networks.push(bridge.trunc());
    }
    networks.retain(|net| net.addr().is_ipv4());
    networks.into_iter().map(SourceNet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::tests::options;

    fn settled(text: &str) -> Result<Options, Mistake> {
        let mut options = options(text);
        settle(&mut options).map(|()| options)
    }

    fn env(options: &Options) -> String {
        options.stack.env.iter().map(|(name, value)| format!("{name}={}\n", value.0)).collect()
    }

    #[test]
    fn in_a_container_nothing_is_said() {
        assert_eq!(env(&settled("").expect("it fits")), "");
        let named = settled("postgres.database = 'work'").expect("it fits");
        assert_eq!(env(&named), "POSTGRES_DB=work\n");
    }

    #[test]
    fn on_the_host() {
        let options = settled(
            "firewall.allow = [4200]\npostgres = { mode = 'host', port = 5433 }\n\
             docker.daemon.bip = '10.9.0.1/24'\nstack.env.POSTGRES_USER = 'me'\n\
             secrets.files = [{ path = 'postgres_exporter_password', lines = ['{postgres_exporter}'] }]",
        )
        .expect("it fits");
        assert_eq!(
            env(&options),
            "POSTGRES_CONTAINERS=0\nPOSTGRES_EXPORTER_USER=me_monitoring\nPOSTGRES_HOST=host.docker.internal\n\
             POSTGRES_PORT=5433\nPOSTGRES_TLS=disable\nPOSTGRES_USER=me\n"
        );
        let openings: Vec<_> = options.firewall.openings(&[22]).iter().map(ToString::to_string).collect();
        assert_eq!(
            openings,
            [
                "22/tcp (ssh)",
                "4200/tcp",
                "5433/tcp from containers (10.9.0.0/24, 172.16.0.0/12, 192.168.0.0/16)"
            ]
        );
        // A firewall that is left as it is stays so.
        assert_eq!(settled("postgres.mode = 'host'").expect("it fits").firewall.allow, None);
        let pools = "postgres.mode = 'host'\n\
                     docker.daemon.default-address-pools = [{ base = '10.200.0.0/16', size = 24 }]";
        let networks = settled(pools).expect("it fits").postgres.networks;
        assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.200.0.0/16"]);
    }

    #[test]
    fn elsewhere() {
        let options = settled(
            "postgres = { mode = 'external', url = 'postgres://me@db.example/work?sslmode=verify-full' }\n\
             secrets = { generate = ['postgres', 'redis'], files = [\n\
             { path = 'postgres_exporter_password', lines = ['{postgres_exporter}'] }] }",
        )
        .expect("it fits");
        assert_eq!(
            env(&options),
            "POSTGRES_CA=/etc/ssl/certs/ca-certificates.crt\nPOSTGRES_CONTAINERS=0\nPOSTGRES_DB=work\n\
             POSTGRES_EXPORTER_USER=me\nPOSTGRES_HOST=db.example\nPOSTGRES_PORT=5432\n\
             POSTGRES_TLS=verify-full\nPOSTGRES_USER=me\n"
        );
        assert_eq!(options.secrets.files[0].lines, ["{postgres}"]);
        assert_eq!(options.secrets.generate, ["redis"]);
        assert_eq!(options.secrets.given, ["postgres"]);
        let quiet = settled("postgres = { mode = 'external', host = '10.0.0.5' }").expect("it fits");
        assert!(env(&quiet).contains("POSTGRES_TLS=require\n") && !env(&quiet).contains("POSTGRES_CA"));
        assert!(!env(&quiet).contains("EXPORTER"), "nobody looks at figures");
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            ("postgres.host = 'db'", "`host` is for mode = \"external\""),
            ("postgres = { mode = 'external' }", "nothing says where the database is"),
            ("postgres = { mode = 'external', host = 'localhost' }", "is each container itself"),
            ("postgres = { mode = 'external', host = '::1' }", "no name of a server"),
            ("postgres = { mode = 'external', host = 'db', url = 'postgres://db' }", "`host` is said twice"),
            (
                "postgres = { mode = 'external', host = 'db', version = 17 }",
                "`version` is for mode = \"host\"",
            ),
            (
                "postgres = { mode = 'external', host = 'db', tls = 'require', ca = 'ca.pem' }",
                "`ca` is not looked",
            ),
            ("postgres = { mode = 'external', url = 'postgres://me:x@db' }", "has a password in it"),
            ("postgres = { mode = 'host', user = 'postgres' }", "is the superuser"),
            ("postgres = { mode = 'host', user = 'a b' }", "`a b` is no `user`"),
            ("postgres = { mode = 'host', version = 13 }", "Postgres 13 is not supported"),
            (
                "postgres.mode = 'host'\nstack.env.POSTGRES_HOST = 'db'",
                "[steps.postgres] makes it host.docker",
            ),
            ("stack.env.POSTGRES_HOST = 'db'", "the step `postgres`' to say"),
            ("stack.env.POSTGRES_CONTAINERS = 0", "the step `postgres`' to say"),
        ] {
            let (what, hint) = settled(text).expect_err(text);
            assert!(what.contains(expected), "{text}: {what}");
            assert!(!hint.is_empty());
        }
    }
}
