//! A host over the system's own OpenSSH.
//!
//! The master connection is started here, with the terminal attached, so that
//! everything of the user's holds: configuration, agents, passphrases, FIDO
//! prompts, jump hosts. The `openssh` crate then speaks to its socket.

mod refused;

use std::fs::Permissions;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use openssh::{Child, ChildStderr, ChildStdin, ChildStdout, Session};
use tempfile::TempDir;
use tokio::process::Command;

use super::bootstrap::Streams;
use super::bounds::patiently;
use super::way::Way;
use super::{HostError, by_hand, without_secrets};
use refused::explain;

/// How ssh is to be called.
#[derive(Debug, Clone, Default)]
pub struct SshOptions {
    /// A configuration file instead of the user's own (`-F`).
    pub config: Option<PathBuf>,
    /// Whether nobody can answer a prompt of ssh's.
    pub batch: bool,
}

/// A host key that was not known before and was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHostKey {
    /// What ssh calls the host.
    pub name: String,
    /// Its fingerprint and type.
    pub fingerprint: String,
}

type Pipes = Streams<ChildStdin, ChildStdout, ChildStderr>;

/// A connection.
pub(super) struct Ssh {
    name: String,
    session: Session,
    resolved: Resolved,
    /// A client of the master's that asks for nothing. As long as there is one, the master does not
    /// count the seconds to its end, however long a person thinks over a question.
    _held: Option<UnixStream>,
}

/// What ssh's own configuration makes of a destination.
#[derive(Debug, Default)]
struct Resolved {
    address: String,
    user: String,
    strict: String,
    known_hosts: String,
    port: String,
    connect_timeout: String,
    jump: String,
    /// Whether a program of the person's own makes the connection.
    proxied: bool,
}

/// How long a connection may take, in seconds, unless the user's configuration says otherwise.
const CONNECT_TIMEOUT: u32 = 20;

/// How long a host that has let us in may take to open a session.
const SESSION_PATIENCE: Duration = Duration::from_secs(60);

/// How long ssh may take to log in: where a person may have to answer, and without a terminal.
const LOGIN_PATIENCE: [Duration; 2] = [Duration::from_secs(15 * 60), Duration::from_secs(2 * 60)];

/// The most that ssh may say until it has logged in, in bytes: a server's greeting is part of it.
const LONGEST_GREETING: u64 = 1024 * 1024;

impl Ssh {
    /// Connects, with the terminal attached for whatever ssh wants to ask.
    pub async fn connect(way: &Way) -> Result<(Self, Option<NewHostKey>), HostError> {
        let resolved = resolve(way).await?;
        // Linux allows 108 bytes for a socket's path and ssh adds a random tail to
        // it at first: never $TMPDIR, which may be long.
        let directory = private_directory().map_err(|error| HostError::Odd {
            what: format!("no directory for the connection could be made: {error}"),
            output: Vec::new(),
        })?;
        let said = start_master(way, &resolved, &directory).await?;
        let key = new_host_key(&said, &resolved).await;
        // Without it the connection would only be made again.
        let held = UnixStream::connect(socket(&directory)).ok();
        let session = Session::new_native_mux(directory);
        Ok((Self { name: way.name.clone(), session, resolved, _held: held }, key))
    }

    /// Where the host is, as seen from here.
    pub fn address(&self) -> &str {
        &self.resolved.address
    }

    /// Whether something stands between us and the host: a jump host, or a proxy.
    pub fn is_behind_another(&self) -> bool {
        self.resolved.proxied || !matches!(self.resolved.jump.as_str(), "" | "none")
    }

    /// The login.
    pub fn login(&self) -> Option<&str> {
        (!self.resolved.user.is_empty()).then_some(self.resolved.user.as_str())
    }

    /// Starts a command in the login shell. The session ends with the child, so it must be kept.
    pub async fn spawn(&self, command: &str) -> Result<(Child<&Session>, Pipes), HostError> {
        let lost = |reason| HostError::Lost { host: self.name.clone(), reason };
        let mut command = self.session.raw_command(command);
        command
            .stdin(openssh::Stdio::piped())
            .stdout(openssh::Stdio::piped())
            .stderr(openssh::Stdio::piped());
        let (waited, spawned) = patiently(SESSION_PATIENCE, command.spawn()).await;
        let mut child = spawned
            .ok_or_else(|| lost(format!("it has opened no session for {} s", waited.as_secs())))?
            .map_err(|error| lost(error.to_string()))?;
        let streams = Streams {
            stdin: child.stdin().take(),
            stdout: child.stdout().take(),
            stderr: child.stderr().take(),
        };
        Ok((child, streams))
    }

    /// Whether the connection stands. A master that has just lost it takes a moment to leave.
    pub async fn is_connected(&self) -> bool {
        tokio::time::sleep(Duration::from_millis(200)).await;
        matches!(tokio::time::timeout(Duration::from_secs(2), self.session.check()).await, Ok(Ok(())))
    }

    /// Closes the connection.
    pub async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.session.close()).await;
    }
}

/// Where the master listens.
fn socket(directory: &TempDir) -> PathBuf {
    directory.path().join("master")
}

/// A directory for ourselves alone, whatever the umask: with the socket in it one gets into the host.
fn private_directory() -> std::io::Result<TempDir> {
    let make = |parent: &Path| {
        tempfile::Builder::new()
            .prefix("provision-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
    };
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // One that another user owns (it came along by sudo) could be put aside by that user.
    if let Some(parent) = runtime.filter(|path| path.is_absolute() && path.as_os_str().len() <= 40)
        && let Ok(made) = make(&parent)
        && let (Ok(above), Ok(ours)) = (std::fs::symlink_metadata(&parent), made.path().metadata())
        && above.is_dir()
        && above.uid() == ours.uid()
        && above.mode() & 0o022 == 0
    {
        return Ok(made);
    }
    make(Path::new("/tmp"))
}

/// Asks ssh what its configuration makes of the destination.
async fn resolve(way: &Way) -> Result<Resolved, HostError> {
    let output = way
        .ssh()
        .arg("-G")
        .arg("--")
        .arg(&way.alias)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(HostError::NoSsh)?;
    if !output.status.success() {
        return Err(HostError::Unreachable {
            what: format!("ssh does not understand the host `{}`", way.name),
            output: lines(&output.stderr),
            hint: format!("try `{}`; provision takes whatever that takes", by_hand(&way.name)),
        });
    }
    let mut resolved = Resolved::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let value = value.to_owned();
        match key {
            "hostname" => resolved.address = value,
            "user" => resolved.user = value,
            "port" => resolved.port = value,
            "stricthostkeychecking" => resolved.strict = value,
            "userknownhostsfile" => resolved.known_hosts = value,
            "connecttimeout" => resolved.connect_timeout = value,
            "proxyjump" => resolved.jump = value,
            "proxycommand" => resolved.proxied = value != "none",
            _ => {}
        }
    }
    Ok(resolved)
}

/// Starts the master in the background; what it said on stderr comes back.
async fn start_master(way: &Way, resolved: &Resolved, directory: &TempDir) -> Result<Vec<String>, HostError> {
    let log = directory.path().join("stderr");
    let file = std::fs::File::create(&log).map_err(|error| HostError::Odd {
        what: format!("{}: {error}", log.display()),
        output: Vec::new(),
    })?;
    let mut command = way.ssh();
    // The first value wins, and the command line comes first: only what must hold stands here.
    command.args(["-M", "-N", "-f", "-T", "-x", "-a", "-S"]).arg(socket(directory));
    command.args(["-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none"]);
    command.args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]);
    // Ends the master by itself when this process was killed, and its socket is closed.
    command.args(["-o", "ControlPersist=30"]);
    if matches!(resolved.connect_timeout.as_str(), "" | "none" | "0") {
        command.args(["-o", &format!("ConnectTimeout={CONNECT_TIMEOUT}")]);
    }
    if resolved.strict == "ask" {
        command.args(["-o", "StrictHostKeyChecking=accept-new"]);
    }
    if way.is_vagrant() {
        // Vagrant's configuration says FATAL: then ssh keeps for itself what went wrong.
        command.args(["-o", "LogLevel=ERROR"]);
    }
    if way.batch {
        command.args(["-o", "BatchMode=yes"]);
    }
    command.arg("--").arg(&way.alias).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    // Whoever no longer waits for the connection does not want it later either.
    command.kill_on_drop(true);
    let status = logged_in(way, command, &log).await?;
    let mut greeting = Vec::new();
    if let Ok(file) = std::fs::File::open(&log) {
        let _ = file.take(LONGEST_GREETING).read_to_end(&mut greeting);
    }
    let said = lines(&greeting);
    if status.success() { Ok(said) } else { Err(explain(&way.name, resolved, said)) }
}

/// Waits until ssh has logged in and gone into the background.
async fn logged_in(way: &Way, mut command: Command, log: &Path) -> Result<ExitStatus, HostError> {
    let given_up = |what: String| HostError::Unreachable {
        what,
        output: Vec::new(),
        hint: format!("look what `{}` waits for", by_hand(&way.name)),
    };
    let mut child = command.spawn().map_err(HostError::NoSsh)?;
    let patience = LOGIN_PATIENCE[usize::from(way.batch)];
    let mut waited = Duration::ZERO;
    while waited < patience {
        let (slice, ended) = patiently(Duration::from_secs(5), child.wait()).await;
        if let Some(ended) = ended {
            return ended.map_err(HostError::NoSsh);
        }
        waited += slice;
        if log.metadata().is_ok_and(|log| log.len() > LONGEST_GREETING) {
            return Err(given_up(format!("the greeting of {} does not end", way.name)));
        }
    }
    let minutes = patience.as_secs() / 60;
    Err(given_up(format!("the login on {} has not come about within {minutes} minutes", way.name)))
}

/// The key that ssh has just added to known_hosts, with its fingerprint.
async fn new_host_key(said: &[String], resolved: &Resolved) -> Option<NewHostKey> {
    let line = said.iter().find(|line| line.contains("Permanently added"))?;
    let name = line.split('\'').nth(1)?.to_owned();
    let file = known_hosts_file(&resolved.known_hosts)?;
    let mut keygen = std::process::Command::new("ssh-keygen");
    without_secrets(&mut keygen);
    keygen.arg("-l").arg("-f").arg(file).arg("-F").arg(&name);
    let found = Command::from(keygen).output().await.ok()?;
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    let fingerprint = text.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let digest = words.iter().find(|word| word.starts_with("SHA256:"))?;
        let kind =
            words.iter().find(|word| word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))?;
        Some(format!("{digest} ({kind})"))
    });
    Some(NewHostKey { name, fingerprint: fingerprint.unwrap_or_default() })
}

/// The file that ssh adds keys to: the first of a list, which ssh prints without quotes,
/// so that a name with spaces looks like several.
fn known_hosts_file(list: &str) -> Option<PathBuf> {
    let expanded = |file: &str| match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(file),
    };
    let ends = list.match_indices(' ').map(|(end, _)| end).chain([list.len()]);
    ends.filter_map(|end| list.get(..end)).map(expanded).find(|file| file.is_file())
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(|line| crate::text::harmless(line.trim_end()).into_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_known_hosts_may_have_spaces() {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("known hosts");
        std::fs::write(&file, "").expect("a file");
        let list = format!("{} /nowhere/at all", file.display());
        assert_eq!(known_hosts_file(&list), Some(file));
        assert_eq!(known_hosts_file("/nowhere/at all"), None);
    }
}
