//! The name of an image, as Docker reads it.

use std::fmt;
use std::net::IpAddr;

/// The registry that is meant when none is named.
pub const DOCKER_HUB: &str = "docker.io";

/// The name of an image, in full: `nginx` is `docker.io/library/nginx:latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The registry's host, with its port where one is named.
    pub registry: String,
    /// The repository, such as `library/nginx`.
    pub repository: String,
    /// The tag; `latest` when neither tag nor digest is named.
    pub tag: Option<String>,
    /// The digest, such as `sha256:…`.
    pub digest: Option<String>,
}

/// Why a text does not name an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} does not name an image: {problem}")]
pub struct ReferenceError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl Reference {
    /// Reads a name as Docker does.
    pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
        parse(text).map_err(|problem| ReferenceError { text: text.to_owned(), problem })
    }

    /// Whether the registry is the machine itself: `localhost:5000` means another
    /// one on every machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        loopback(&self.registry)
    }

    /// What is asked of the registry: the digest when there is one, else the tag.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// The short form that people write: without Docker Hub's name.
    #[must_use]
    pub fn short(&self) -> String {
        let full = self.to_string();
        let bare = full.strip_prefix("docker.io/").unwrap_or(&full);
        bare.strip_prefix("library/").filter(|_| bare != full).unwrap_or(bare).to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        Reference::parse(text)
    }
}

/// Whether a `host[:port]` is this machine.
pub(super) fn loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.split(':').next().unwrap_or(registry),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.is_empty() {
        return Err("it is blank");
    }
    if text.contains("://") {
        return Err("it is a URL; write it without what stands before the host");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(checked_digest(digest)?)),
        None => (text, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(checked_tag(tag)?)),
        _ => (rest, None),
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path),
        _ => (DOCKER_HUB, name),
    };
    let registry = match registry {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
        other => checked_registry(other)?,
    };
    if path.len() == 64 && path.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("it is an image's id, which no registry knows");
    }
    check_path(path)?;
    let repository = match registry == DOCKER_HUB && !path.contains('/') {
        true => format!("library/{path}"),
        false => path.to_owned(),
    };
    if repository.len() > 255 {
        return Err("it is longer than 255 characters");
    }
    let tag = match (tag, &digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag,
    };
    Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
}

/// Docker's rule for what the part before the first slash is.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn checked_registry(registry: &str) -> Result<&str, &'static str> {
    const PROBLEM: &str = "the registry before the first slash is not a host name";
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']').ok_or(PROBLEM)?;
            ip.parse::<std::net::Ipv6Addr>().map_err(|_| PROBLEM)?;
            (None, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or(PROBLEM)?)
        }
        None => {
            let (host, port) = registry.split_once(':').unwrap_or((registry, "0"));
            (Some(host), port)
        }
    };
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if host.is_some_and(|host| !host.split('.').all(label)) {
        return Err(PROBLEM);
    }
    match port.is_empty() && host.is_none() || port.parse::<u16>().is_ok() {
        true => Ok(registry),
        false => Err("the registry's port is not a number up to 65535"),
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository has upper-case letters");
    }
    match path.split('/').all(component) {
        true => Ok(()),
        false => Err("the repository is made of letters, digits and single `.`, `_`, `-` or `/`"),
    }
}

/// Letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends =
        text.bytes().next().is_some_and(alphanumeric) && text.bytes().next_back().is_some_and(alphanumeric);
    let mut separators = text.split(|c: char| c.is_ascii_alphanumeric());
    ends && separators.all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn checked_tag(tag: &str) -> Result<String, &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let valid = tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    match valid {
        true => Ok(tag.to_owned()),
        false => Err("the tag is made of letters, digits, `_`, `.` and `-`, at most 128"),
    }
}

/// Whether it is a digest that can be asked for.
pub(super) fn is_digest(text: &str) -> bool {
    checked_digest(text).is_ok()
}

fn checked_digest(digest: &str) -> Result<String, &'static str> {
    let hex = |s: &str| s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match digest.split_once(':') {
        Some(("sha256", value)) if value.len() == 64 && hex(value) => Ok(digest.to_owned()),
        Some(("sha512", value)) if value.len() == 128 && hex(value) => Ok(digest.to_owned()),
        _ => Err("the digest is not `sha256:` and 64 digits"),
    }
}
