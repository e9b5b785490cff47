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
    /// A machine of Vagrant's, by the name that `vagrant ssh` takes.
    Vagrant(String),
}

/// What stands before the name of a machine of Vagrant's.
const VAGRANT: &str = "vagrant:";

/// What a person types to log in to a host by hand.
pub fn by_hand(host: &str) -> String {
    match host.strip_prefix(VAGRANT) {
        Some(machine) => format!("vagrant ssh {machine}"),
        None => format!("ssh {host}"),
    }
}

/// What a person types to have a command done on a host by hand.
pub fn command_by_hand(host: &str, command: &str) -> String {
    let login = by_hand(host);
    match host.starts_with(VAGRANT) {
        true => format!("{login} -c '{command}'"),
        false => format!("{login} {command}"),
    }
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
                "a host is `user@host`, `ssh://user@host:port`, a name from ~/.ssh/config, `vagrant:NAME`, or `local`"
                    .into(),
            );
        }
        // ssh would take it for an option.
        if text.starts_with('-') {
            return Err(format!("a host cannot begin with a dash: `{text}`"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("a host cannot hold spaces or control characters".into());
        }
        if let Some(machine) = text.strip_prefix(VAGRANT) {
            // A slash would make a pattern of it, that many machines may match.
            if machine.is_empty() || machine.starts_with('-') || machine.contains('/') {
                return Err(format!(
                    "a machine of Vagrant's is `vagrant:NAME`, as in `vagrant up NAME`: `{text}`"
                ));
            }
            return Ok(Self::Vagrant(machine.to_owned()));
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
            Self::Vagrant(machine) => write!(f, "{VAGRANT}{machine}"),
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
        for good in ["debian12", "default", "2222", "a.b-c_d", "1a2b3c4"] {
            let name = format!("vagrant:{good}");
            assert_eq!(name.parse(), Ok(Destination::Vagrant(good.into())), "{name}");
            assert_eq!(Destination::Vagrant(good.into()).to_string(), name);
        }
        for bad in ["vagrant:", "vagrant:-h", "vagrant:/deb/", "vagrant:a b", "vagrant:\u{1b}"] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
        // The word alone may be anybody's.
        assert_eq!("vagrant".parse(), Ok(Destination::Ssh("vagrant".into())));
        assert_eq!(
            "me@host:2222".parse::<Destination>(),
            Err("write the port as `ssh://me@host:2222`".into())
        );
    }

    #[test]
    fn a_person_logs_in_by_hand() {
        assert_eq!(by_hand("me@web1"), "ssh me@web1");
        assert_eq!(by_hand("vagrant:debian12"), "vagrant ssh debian12");
    }
}
