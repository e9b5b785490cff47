//! Logins of this computer, from Docker's `config.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::reference::DOCKER_HUB;

/// A login at a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// A user and a password, as they stand in an `Authorization: Basic` header.
    Basic(String),
    /// A token that is exchanged for one of the registry's.
    Identity(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Login::Basic(_) => "Basic(…)",
            Login::Identity(_) => "Identity(…)",
        })
    }
}

/// What `config.json` says of a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    Login(Login),
    /// The login is kept by a program, which is not run here.
    Helper,
    Nothing,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Credentials {
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// Where Docker keeps its configuration.
pub(super) fn default_path() -> Option<PathBuf> {
    let folder = match std::env::var_os("DOCKER_CONFIG").filter(|f| !f.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()?.join(".docker"),
    };
    Some(folder.join("config.json"))
}

impl Credentials {
    /// From the text of `config.json`; one that cannot be read holds no logins.
    pub fn parse(text: &str) -> Credentials {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// What is known of a registry.
    pub fn of(&self, registry: &str) -> Known {
        let matches = |key: &str| host(key) == registry;
        let auth = self.auths.iter().find(|(key, _)| matches(key)).map(|(_, auth)| auth);
        if let Some(token) = auth.and_then(|a| filled(&a.identitytoken)) {
            return Known::Login(Login::Identity(token.to_owned()));
        }
        let basic = auth.and_then(|a| filled(&a.auth));
        if let Some(encoded) = basic.filter(|e| STANDARD.decode(e).is_ok_and(|d| d.contains(&b':'))) {
            return Known::Login(Login::Basic(encoded.to_owned()));
        }
        let helper = self.helpers.keys().any(|key| matches(key));
        // With a store, an empty entry under `auths` marks each login.
        match helper || (auth.is_some() && self.store.is_some()) {
            true => Known::Helper,
            false => Known::Nothing,
        }
    }
}

fn filled(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|v| !v.is_empty())
}

/// The host of a key, which may be a URL; Docker Hub has several.
fn host(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match bare.split('/').next().unwrap_or(bare) {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        other => other,
    }
}
