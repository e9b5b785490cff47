//! Machines of Vagrant's: how one is reached is asked of `vagrant ssh-config`.
//!
//! Only what it says counts then, host keys included: Vagrant's stance is that a machine
//! which is made anew any day has none that is worth knowing.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::process::Command;

use super::HostError;
use crate::text::harmless;

/// Vagrant needs some three seconds; more when many machines are asked at once.
const PATIENCE: Duration = Duration::from_secs(120);

/// What Vagrant says of a machine.
#[derive(Debug)]
pub(super) struct Said {
    /// The name that it has in the configuration.
    pub alias: String,
    /// The configuration, for nobody but ourselves.
    pub config: NamedTempFile,
}

/// Asks Vagrant, in the folder where we are or where VAGRANT_CWD says.
pub(super) async fn ssh_config(machine: &str) -> Result<Said, HostError> {
    let mut command = std::process::Command::new("vagrant");
    super::without_secrets(&mut command);
    let asked = Command::from(command)
        .arg("ssh-config")
        .arg(machine)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(not_started(machine, &error)),
        Err(_) => {
            let what =
                format!("`vagrant ssh-config {machine}` has not answered for {} s", PATIENCE.as_secs());
            let hint = "is another `vagrant` at work on the machine? look with `vagrant status`";
            return Err(unreachable(what, Vec::new(), hint));
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(refused(machine, if said.trim().is_empty() { &text } else { &said }));
    }
    let Some((alias, config)) = parse(&text) else {
        let what = format!("`vagrant ssh-config {machine}` says nothing that ssh understands");
        return Err(unreachable(what, lines(&text), format!("`vagrant ssh {machine}` must work")));
    };
    Ok(Said { alias: alias.to_owned(), config: keep(config)? })
}

/// The configuration's part of what was said, and the name in it.
fn parse(text: &str) -> Option<(&str, &str)> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        // A plugin may have greeted before.
        if let Some(alias) = line.strip_prefix("Host ") {
            let alias = alias.trim().trim_matches('"');
            let config = text.get(start..)?;
            let has_address = config.lines().any(|line| line.trim_start().starts_with("HostName "));
            let is_name = !alias.is_empty() && !alias.starts_with('-') && !alias.contains(['*', ' ']);
            return (is_name && has_address).then_some((alias, config));
        }
        start += line.len();
    }
    None
}

fn keep(config: &str) -> Result<NamedTempFile, HostError> {
    let kept = tempfile::Builder::new().prefix("provision-vagrant-").tempfile().and_then(|mut file| {
        file.write_all(config.as_bytes())?;
        file.flush()?;
        Ok(file)
    });
    kept.map_err(|error| HostError::Odd {
        what: format!("no file for Vagrant's ssh configuration could be made: {error}"),
        output: Vec::new(),
    })
}

fn not_started(machine: &str, error: &std::io::Error) -> HostError {
    if error.kind() == std::io::ErrorKind::NotFound {
        let what = format!("`vagrant:{machine}` is asked of Vagrant, and there is no `vagrant` here");
        return unreachable(what, Vec::new(), "install Vagrant, or name the host as ssh does");
    }
    unreachable(format!("`vagrant` could not be started: {error}"), Vec::new(), "`vagrant status` must work")
}

/// Vagrant's words, as what happened and what to do.
fn refused(machine: &str, said: &str) -> HostError {
    // It breaks its lines where it likes.
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.contains("A Vagrant environment or target machine is required") {
        return unreachable(
            "there is no Vagrantfile in this folder or above it".into(),
            Vec::new(),
            "go to the Vagrantfile's folder, or name it with VAGRANT_CWD",
        );
    }
    if words.contains("was not found configured for this Vagrant environment") {
        return unreachable(
            format!("the Vagrantfile knows no machine `{machine}`"),
            Vec::new(),
            "`vagrant status` lists those that it knows",
        );
    }
    if words.contains("not yet ready for SSH") || words.contains("must be created") {
        return unreachable(
            format!("the machine {machine} is not running"),
            Vec::new(),
            format!("`vagrant up {machine}` starts it"),
        );
    }
    unreachable(
        format!("Vagrant does not say how {machine} is reached"),
        lines(said),
        format!("`vagrant ssh {machine}` must work"),
    )
}

fn unreachable(what: String, output: Vec<String>, hint: impl Into<String>) -> HostError {
    HostError::Unreachable { what, output, hint: hint.into() }
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.map(|line| harmless(line).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As vagrant-libvirt says it.
    const LIBVIRT: &str = "Host debian12
  HostName 192.168.121.65
  User vagrant
  Port 22
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile \"/home/me/my machines/insecure_private_key\"
  IdentitiesOnly yes
  LogLevel FATAL

";

    #[test]
    fn what_vagrant_says_is_understood() {
        assert_eq!(parse(LIBVIRT), Some(("debian12", LIBVIRT)));
        let greeted = format!("[a plugin] is out of date\n\n{LIBVIRT}");
        assert_eq!(parse(&greeted), Some(("debian12", LIBVIRT)));
        for nothing in ["", "\n", "Host \n  HostName x\n", "Host a b\n  HostName x\n", "Host *\n", "Host a\n"]
        {
            assert_eq!(parse(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn what_vagrant_refuses_is_explained() {
        let cases = [
            (
                "A Vagrant environment or target machine is required to run this\ncommand. Run `vagrant init`",
                "no Vagrantfile",
                "VAGRANT_CWD",
            ),
            (
                "The machine with the name 'web' was not found configured for\nthis Vagrant environment.",
                "knows no machine `web`",
                "vagrant status",
            ),
            (
                "The provider for this Vagrant-managed machine is reporting that it\nis not yet ready for SSH. Depending",
                "web is not running",
                "vagrant up web",
            ),
            ("There is a syntax error in the following Vagrantfile", "does not say", "vagrant ssh web"),
        ];
        for (said, what, todo) in cases {
            let HostError::Unreachable { what: found, hint, .. } = refused("web", said) else {
                panic!("{said}")
            };
            assert!(found.contains(what), "{found}");
            assert!(hint.contains(todo), "{hint}");
        }
        // What is shown of it does nothing to a terminal.
        let HostError::Unreachable { output, .. } = refused("web", "new\u{1b}[31m\n\nwords") else {
            panic!("unreachable")
        };
        assert_eq!(output.len(), 2);
        assert!(!output.concat().contains('\u{1b}'), "{output:?}");
    }

    #[test]
    fn the_configuration_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt;
        let file = keep(LIBVIRT).expect("a file");
        assert_eq!(file.as_file().metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(file.path()).expect("text"), LIBVIRT);
    }

    proptest! {
        #[test]
        fn garbage_is_no_machine(text in "(Host )?[ -~\n]{0,60}(\n HostName )?[^\x00]{0,20}") {
            if let Some((alias, config)) = parse(&text) {
                prop_assert!(!alias.is_empty() && !alias.starts_with('-') && config.starts_with("Host "));
            }
        }
    }
}
