//! What a person calls a host.

use std::fmt;
use std::str::FromStr;

/// A host as it is named on the command line or in `provision.toml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// This very machine.
    Local,
    /// Anything that `ssh` takes: `user@host`, `ssh://user@host:port`, an alias.
    Ssh(String),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_prefix("ssh://").unwrap_or(text);
        if text == "local" {
            return Ok(Self::Local);
        }
        if name.is_empty() || name.ends_with('@') {
            return Err(
                "a host is `user@host`, `ssh://user@host:port`, a name from ~/.ssh/config, or `local`".into(),
            );
        }
        // ssh would take it for an option.
        if text.starts_with('-') {
            return Err(format!("a host cannot begin with a dash: `{text}`"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("a host cannot hold spaces or control characters".into());
        }
        if !text.starts_with("ssh://")
            && let Some((host, port)) = name.rsplit_once(':')
            && !host.contains(':')
            && port.parse::<u16>().is_ok()
        {
            return Err(format!("write the port as `ssh://{host}:{port}`"));
        }
        Ok(Self::Ssh(text.to_owned()))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Ssh(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_ssh_takes() {
        for good in ["web1", "root@203.0.113.7", "ssh://me@host:2222", "fe80::1", "me@[::1]", "a.b-c"] {
            assert_eq!(good.parse(), Ok(Destination::Ssh(good.into())), "{good}");
        }
        assert_eq!("local".parse(), Ok(Destination::Local));
        for bad in ["", "-oProxyCommand=x", "a b", "me@", "ssh://", "a\u{7}"] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
        assert_eq!(
            "me@host:2222".parse::<Destination>(),
            Err("write the port as `ssh://me@host:2222`".into())
        );
    }
}
