//! A machine that can run a script: over ssh, local, or a recorded one for tests.
//!
//! Everything that crosses to a host goes through one door, [`Host::exec`]: a
//! program goes out, it runs as root, its lines come back. Each call is one exec.

mod bootstrap;
mod bounds;
mod destination;
mod environment;
mod first_boot;
mod password;
mod ssh;
mod vagrant;
mod way;

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio::process::Command;

pub use destination::{Destination, by_hand, command_by_hand};
pub use environment::without_secrets;
pub use first_boot::{administrator, is_first_boot};
pub use password::{Password, Passwords};
pub use ssh::{NewHostKey, SshOptions};
pub use way::Way;

use bootstrap::{Framed, Streams};
use bounds::Bounds;

/// A connected host.
pub struct Host {
    name: String,
    kind: HostKind,
    sudo_asked: std::cell::Cell<bool>,
}

enum HostKind {
    Ssh(Box<ssh::Ssh>),
    Local,
}

/// How a program ended on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// The last lines that came on stderr.
    pub stderr: Vec<String>,
}

/// Why a program could not be run on a host.
#[derive(Debug, Error)]
pub enum HostError {
    /// ssh could not be started here.
    #[error("the `ssh` program could not be started: {0}")]
    NoSsh(#[source] std::io::Error),
    /// No connection was made.
    #[error("{what}")]
    Unreachable {
        /// What ssh said, in our words.
        what: String,
        /// ssh's own last lines.
        output: Vec<String>,
        /// What to do.
        hint: String,
    },
    /// The host does not know us.
    #[error("{host} does not accept this login")]
    NotAccepted {
        /// The host.
        host: String,
        /// ssh's own last lines.
        output: Vec<String>,
    },
    /// The host's key is not the one that is known.
    #[error("the host key of {host} has changed")]
    ChangedHostKey {
        /// The host.
        host: String,
        /// ssh's own last lines.
        output: Vec<String>,
        /// The command that forgets the old key.
        forget: String,
    },
    /// The connection stands, and what answers there runs no commands.
    #[error("the login on {host} does not run commands")]
    NoShell {
        /// The host.
        host: String,
        /// What it said instead.
        output: Vec<String>,
    },
    /// The connection ended before the program did.
    #[error("the connection to {host} was lost")]
    Lost {
        /// The host.
        host: String,
        /// What is known of why.
        reason: String,
    },
    /// It keeps us waiting.
    #[error("{}", silent(host, what, *waited, *is_slow))]
    Silent {
        /// The host.
        host: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
        /// Whether it did say something now and then.
        is_slow: bool,
    },
    /// We are not root there and cannot become it.
    #[error("{what}")]
    NotRoot {
        /// Why not.
        what: String,
        /// sudo's own last lines.
        output: Vec<String>,
        /// What to do.
        hint: String,
    },
    /// The host did not do what every host does.
    #[error("{what}")]
    Odd {
        /// What it did.
        what: String,
        /// Its last lines.
        output: Vec<String>,
    },
}

fn silent(host: &str, what: &str, waited: Duration, is_slow: bool) -> String {
    let how = if is_slow { "has not come to an end" } else { "has said nothing" };
    let waited = crate::text::duration(waited.as_millis().try_into().unwrap_or(u64::MAX));
    format!("{host} {how} for {waited}; provision was waiting for {what}")
}

impl Host {
    /// Connects.
    pub async fn connect(way: &Way) -> Result<(Self, Option<NewHostKey>), HostError> {
        let (kind, key) = if way.is_local() {
            (HostKind::Local, None)
        } else {
            let (ssh, key) = ssh::Ssh::connect(way).await?;
            (HostKind::Ssh(Box::new(ssh)), key)
        };
        Ok((Self { name: way.name.clone(), kind, sudo_asked: false.into() }, key))
    }

    /// The host as it was named on the command line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether sudo has asked for a password.
    pub fn sudo_asked(&self) -> bool {
        self.sudo_asked.get()
    }

    /// The name or address under which this machine reaches the host.
    pub fn address(&self) -> &str {
        match &self.kind {
            HostKind::Ssh(ssh) => ssh.address(),
            HostKind::Local => "localhost",
        }
    }

    /// Whether ssh reaches it through another: a jump host, or a proxy.
    pub fn is_behind_another(&self) -> bool {
        match &self.kind {
            HostKind::Ssh(ssh) => ssh.is_behind_another(),
            HostKind::Local => false,
        }
    }

    /// The login that ssh uses; none for `local`.
    pub fn login(&self) -> Option<&str> {
        match &self.kind {
            HostKind::Ssh(ssh) => ssh.login(),
            HostKind::Local => None,
        }
    }

    /// Runs a program as root and tells each line of its stdout, for as long as there are any. One
    /// that says nothing for two minutes is given up.
    ///
    /// Dropping the future leaves the program to itself.
    pub async fn exec(
        &self,
        program: &[u8],
        passwords: &Passwords,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Ended, HostError> {
        self.within(Bounds::RUN, program, passwords, on_line).await
    }

    /// The same for an answer that is kept: bounded in time and size. `what` is the answer, as a
    /// person is told that waits for it in vain.
    pub async fn question(
        &self,
        what: &'static str,
        program: &[u8],
        passwords: &Passwords,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Ended, HostError> {
        self.within(Bounds::question(what), program, passwords, on_line).await
    }

    async fn within(
        &self,
        bounds: Bounds,
        program: &[u8],
        passwords: &Passwords,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Ended, HostError> {
        let is_root = self.login() == Some("root");
        let frame =
            Framed::new(&self.name, program, passwords, &self.sudo_asked).within(bounds).for_root(is_root);
        match &self.kind {
            HostKind::Ssh(ssh) => {
                let (_child, streams) = ssh.spawn(&frame.command()).await?;
                match frame.run(streams, on_line).await {
                    // Nothing came back: was it the shell, or the connection?
                    Err(HostError::NoShell { host, output }) if !ssh.is_connected().await => {
                        Err(HostError::Lost {
                            host,
                            reason: output.into_iter().next_back().unwrap_or_default(),
                        })
                    }
                    ended => ended,
                }
            }
            HostKind::Local => {
                let mut command = std::process::Command::new("sh");
                without_secrets(&mut command);
                let mut child = Command::from(command)
                    .args(frame.arguments())
                    .stdin(std::process::Stdio::piped())
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped())
                    .process_group(0)
                    .spawn()
                    .map_err(|error| HostError::Odd {
                        what: format!("`sh` could not be started: {error}"),
                        output: Vec::new(),
                    })?;
                let streams = Streams {
                    stdin: child.stdin.take(),
                    stdout: child.stdout.take(),
                    stderr: child.stderr.take(),
                };
                let ended = frame.run(streams, on_line).await;
                // The frame has said how the program ended; this only reaps `sh`.
                let _ = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
                ended
            }
        }
    }

    /// Closes the connection without waiting for it.
    pub async fn close(self) {
        if let HostKind::Ssh(ssh) = self.kind {
            ssh.close().await;
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.name).finish()
    }
}
