//! The `WWW-Authenticate` challenge and the token that answers it.

use serde::Deserialize;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from a server of its own.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// A user and a password.
    Basic,
}

impl Challenge {
    /// From one `WWW-Authenticate` header.
    pub fn parse(header: &str) -> Option<Challenge> {
        let header = header.trim();
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        let mut take = |name: &str| {
            let at = parameters.iter().position(|(n, _)| n.eq_ignore_ascii_case(name))?;
            Some(parameters.swap_remove(at).1)
        };
        Some(Challenge::Bearer { realm: take("realm")?, service: take("service"), scope: take("scope") })
    }
}

/// `a="b, c",d=e` as pairs.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_owned();
        let after = after.trim_start();
        let value = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, tail) = unquote(quoted);
                rest = tail;
                value
            }
            None => {
                let (value, tail) = after.split_once(',').unwrap_or((after, ""));
                rest = tail;
                value.trim().to_owned()
            }
        };
        found.push((name, value));
    }
    found
}

/// The value up to the closing quote, and what comes behind it.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return (value, &text[at + 1..]),
            '\\' if !escaped => escaped = true,
            c => {
                value.push(c);
                escaped = false;
            }
        }
    }
    (value, "")
}

/// What the token server answers.
#[derive(Deserialize)]
pub(super) struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Token {
    /// The token, under the name that this server uses.
    pub fn value(self) -> Option<String> {
        self.token.or(self.access_token).filter(|t| !t.is_empty())
    }
}
