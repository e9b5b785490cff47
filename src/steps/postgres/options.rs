//! What a person writes below `[steps.postgres]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::steps::KeyFingerprint;
use crate::steps::firewall::SourceNet;

/// Where the stack's database is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresOptions {
    /// In the stack's own container, on the host itself, or elsewhere.
    pub mode: Mode,
    /// The major version on the host; the distribution's, or 17 of PGDG's, unless told.
    pub version: Option<u32>,
    /// Where the host's packages come from.
    pub repository: Repository,
    /// A mirror of <https://apt.postgresql.org/pub/repos/apt>.
    pub mirror: Option<String>,
    /// Where that repository's key is, if not at PGDG's own place.
    pub key: Option<String>,
    /// The fingerprint that this key must have; PGDG's own where `key` is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_fingerprint: Option<KeyFingerprint>,
    /// An HTTP proxy for what apt downloads in this step.
    pub proxy: Option<String>,
    /// Docker's networks, from which the host's Postgres is reached; those that Docker takes
    /// unless told.
    pub networks: Vec<SourceNet>,
    /// Where an external database is: `postgresql://USER@HOST:PORT/DATABASE?sslmode=MODE`, without
    /// a password.
    pub url: Option<String>,
    /// The external server's name or address.
    pub host: Option<String>,
    /// The port; 5432 unless told.
    pub port: Option<u16>,
    /// The database; `POSTGRES_DB` of the stack unless told.
    pub database: Option<String>,
    /// The role; `POSTGRES_USER` of the stack unless told.
    pub user: Option<String>,
    /// How the connection to an external server is protected; `require` unless told.
    pub tls: Option<Tls>,
    /// A file here with the authorities that have signed the server's certificate, relative to
    /// `provision.toml`; those that the host believes unless told.
    pub ca: Option<PathBuf>,
    /// What that file holds.
    #[serde(skip)]
    pub ca_text: Option<String>,
}

/// Where the database is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// In the stack's own container.
    #[default]
    Container,
    /// On the host itself.
    Host,
    /// Elsewhere.
    External,
}

/// Where the host's packages come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Repository {
    /// The distribution.
    #[default]
    Distribution,
    /// The PostgreSQL project's own.
    Pgdg,
}

/// How a connection is protected, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Not at all.
    Disable,
    /// By encryption, whoever it is that answers.
    Require,
    /// The server's certificate is signed by an authority that is believed.
    VerifyCa,
    /// And it is made out to the name by which the server is reached.
    VerifyFull,
}

impl Tls {
    /// As libpq writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Disable, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|each| each.as_str() == text)
    }

    /// Whether the certificate is looked at.
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// What an address of a database says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    pub(super) tls: Option<Tls>,
}

/// Reads `postgresql://USER@HOST:PORT/DATABASE?sslmode=MODE`. The reason of a failure never holds
/// what could be a password.
pub(super) fn url(text: &str) -> Result<Url, (&'static str, &'static str)> {
    const FORM: &str = "write it like postgresql://prefect@db.example:5432/prefect?sslmode=verify-full";
    const PASSWORD: &str = "take the password out of it; it is the secret `postgres`, which is asked for, or read \
                            from the environment variable PROVISION_SECRET_POSTGRES";
    let rest = ["postgresql://", "postgres://", "postgresql+asyncpg://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or(("`url` is no address of a Postgres database", FORM))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) || query.contains("password") {
        return Err(("`url` has a password in it", PASSWORD));
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().map_err(|_| ("the port in `url` is none", FORM))?)),
        None => (place, None),
    };
    let mut url = Url { host: host.to_owned(), port, ..Url::default() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode" | "ssl", mode)) => {
                let mode = Tls::parse(mode).ok_or((
                    "`sslmode` in `url` is none that is known",
                    "write disable, require, verify-ca or verify-full",
                ))?;
                url.tls = Some(mode);
            }
            _ => {
                return Err((
                    "`url` has parameters after its `?` that are not supported",
                    "only `sslmode` is",
                ));
            }
        }
    }
    url.database = Some(database.to_owned()).filter(|database| !database.is_empty());
    url.user = user.map(str::to_owned).filter(|user| !user.is_empty());
    Ok(url)
}

/// A role or a database: such a name means nothing special in a file of settings, in an address or in SQL's quotes.
pub(super) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.@-".contains(c))
}

/// A server's name, or its IPv4 address.
pub(super) fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_databases() {
        let full = url("postgresql://me@db.example:6432/work?sslmode=verify-full").expect("it is one");
        let expected = Url {
            host: "db.example".into(),
            port: Some(6432),
            database: Some("work".into()),
            user: Some("me".into()),
            tls: Some(Tls::VerifyFull),
        };
        assert_eq!(full, expected);
        assert_eq!(url("postgres://db"), Ok(Url { host: "db".into(), ..Url::default() }));
        for (text, what) in [
            ("mysql://db", "is no address"),
            ("db.example", "is no address"),
            ("postgres://me:secret@db/work", "has a password in it"),
            ("postgres://me:p@ss@db/work", "has a password in it"),
            ("postgres://db/work?password=secret", "has a password in it"),
            ("postgres://db:x/work", "the port"),
            ("postgres://db:70000", "the port"),
            ("postgres://db/work?sslmode=prefer", "`sslmode`"),
            ("postgres://db/work?options=-c", "are not supported"),
        ] {
            let (said, hint) = url(text).expect_err(text);
            assert!(said.contains(what), "{text}: {said}");
            assert!(!said.contains("secret") && !hint.contains("secret@"), "{said} {hint}");
        }
    }

    #[test]
    fn names() {
        for good in ["prefect", "a", "_x", "me@project.iam", "my-db_2.x"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a\"b", "a'b", "$x", "-a", "a\nb", "a/b", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(
            is_host("10.0.0.5") && is_host("db.example") && !is_host("/run/postgresql") && !is_host("::1")
        );
    }
}
