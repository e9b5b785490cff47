//! The laptop's side of `scripts/bootstrap.sh`: how a program reaches a host,
//! becomes root there, and how its end is told apart from the connection's.

use std::cell::Cell;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::bounds::{Bounds, Left};
use super::{Ended, HostError, Password, Passwords};
use crate::script::squeeze;

const BOOTSTRAP: &str = include_str!("../../scripts/bootstrap.sh");

/// A line longer than this is cut: a host cannot make us hold more.
const LONGEST_LINE: usize = 256 * 1024;

/// So much of a program is sent at a time, in bytes; each time has the patience of a line.
const CHUNK: usize = 64 * 1024;

/// How many lines of stderr are kept.
const STDERR_LINES: usize = 20;

/// How many lines of a login shell's greeting are kept, for when nothing else comes.
const GREETING_LINES: usize = 5;

/// How long stderr may still speak after the frame has reported trouble.
const STDERR_GRACE: Duration = Duration::from_millis(100);

/// The three streams of a process, wherever it runs.
pub(super) struct Streams<I, O, E> {
    pub stdin: Option<I>,
    pub stdout: Option<O>,
    pub stderr: Option<E>,
}

/// One exec: a program with its frame.
pub(super) struct Framed<'a> {
    host: &'a str,
    program: &'a [u8],
    passwords: &'a Passwords,
    sudo_asked: &'a Cell<bool>,
    tag: String,
    bounds: Bounds,
    is_root: bool,
}

/// What the frame says.
#[derive(Debug, PartialEq, Eq)]
enum Mark<'a> {
    Begin,
    Exit(i32),
    Password,
    Trouble(&'a str),
}

impl<'a> Framed<'a> {
    pub fn new(
        host: &'a str,
        program: &'a [u8],
        passwords: &'a Passwords,
        sudo_asked: &'a Cell<bool>,
    ) -> Self {
        // Not a secret: it only keeps a login banner or the program's own output
        // from looking like the frame by accident.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let tag = format!("{:x}", now.map_or(0, |now| now.subsec_nanos()) ^ std::process::id());
        Self { host, program, passwords, sudo_asked, tag, bounds: Bounds::RUN, is_root: false }
    }

    /// With other bounds than those of a run.
    pub fn within(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Whether the login is root, which no sudo has anything to ask of.
    pub fn for_root(self, is_root: bool) -> Self {
        Self { is_root, ..self }
    }

    /// What `sh` is started with.
    pub fn arguments(&self) -> [String; 5] {
        let text = squeeze(BOOTSTRAP).lines().collect::<Vec<_>>().join(" ");
        ["-c".into(), text, "provision".into(), self.tag.clone(), self.program.len().to_string()]
    }

    /// The same as one line for a login shell.
    pub fn command(&self) -> String {
        let [c, text, name, tag, size] = self.arguments();
        debug_assert!(!text.contains('\''), "the bootstrap holds no single quote");
        format!("exec sh {c} '{text}' {name} {tag} {size}")
    }

    fn mark<'l>(&self, line: &'l str) -> Option<Mark<'l>> {
        let rest = line.strip_prefix('@')?.strip_prefix(self.tag.as_str())?.strip_prefix(' ')?;
        Some(match rest {
            "begin" => Mark::Begin,
            "password" => Mark::Password,
            _ => match rest.strip_prefix("exit ").map(str::parse) {
                Some(Ok(code)) => Mark::Exit(code),
                _ => Mark::Trouble(rest),
            },
        })
    }

    /// Sends the program, answers for sudo, and tells its lines.
    pub async fn run<I, O, E>(
        &self,
        streams: Streams<I, O, E>,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Ended, HostError>
    where
        I: AsyncWrite + Unpin,
        O: AsyncRead + Unpin,
        E: AsyncRead + Unpin,
    {
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (streams.stdin, streams.stdout, streams.stderr)
        else {
            return Err(HostError::Odd {
                what: "a stream of the exec is missing".into(),
                output: Vec::new(),
            });
        };
        let mut errors = Vec::new();
        let outcome = {
            let mut collect = std::pin::pin!(async {
                let mut stderr = BufReader::new(stderr);
                while let Some(line) = read_line(&mut stderr).await {
                    errors.push(line);
                    if errors.len() > STDERR_LINES {
                        errors.remove(0);
                    }
                }
            });
            let mut talk = std::pin::pin!(async {
                // The host may refuse before it has read everything; then its lines say why.
                let mut left = Left::new(self.host, self.bounds);
                let sent = self.send(&mut stdin, &mut left).await?;
                self.talk(sent, &mut stdin, BufReader::new(stdout), &mut left, on_line).await
            });
            let mut collected = false;
            let outcome = loop {
                tokio::select! {
                    outcome = &mut talk => break outcome,
                    () = &mut collect, if !collected => collected = true,
                }
            };
            if outcome.is_err() && !collected {
                // What stands on stderr explains it and may come a moment later.
                let _ = tokio::time::timeout(STDERR_GRACE, collect).await;
            }
            outcome
        };
        outcome.map(|code| Ended { code, stderr: errors.clone() }).map_err(|error| match error {
            HostError::NotRoot { what, hint, .. } => HostError::NotRoot { what, output: errors, hint },
            HostError::Odd { what, .. } => HostError::Odd { what, output: errors },
            HostError::NoShell { host, mut output } => {
                output.append(&mut errors);
                HostError::NoShell { host, output }
            }
            HostError::Lost { host, reason } if reason.is_empty() => {
                HostError::Lost { host, reason: errors.pop().unwrap_or_default() }
            }
            other => other,
        })
    }

    /// Sends the program, as long as the host goes on taking it.
    async fn send<I: AsyncWrite + Unpin>(
        &self,
        stdin: &mut I,
        left: &mut Left<'_>,
    ) -> Result<std::io::Result<()>, HostError> {
        for chunk in self.program.chunks(CHUNK) {
            if let Err(error) = left.wait(stdin.write_all(chunk)).await? {
                return Ok(Err(error));
            }
        }
        left.wait(stdin.flush()).await
    }

    async fn talk<I, O>(
        &self,
        sent: std::io::Result<()>,
        stdin: &mut I,
        mut stdout: BufReader<O>,
        left: &mut Left<'_>,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<i32, HostError>
    where
        I: AsyncWrite + Unpin,
        O: AsyncRead + Unpin,
    {
        let mut begun = false;
        let mut spoke = false;
        let mut given = None;
        let mut greeting = Vec::new();
        // The frame's end stands on a line of its own behind a line break of its own.
        let mut held: Option<String> = None;
        while let Some(line) = left.wait(read_line(&mut stdout)).await? {
            left.count(&line)?;
            let mark = self.mark(&line);
            spoke |= mark.is_some();
            match mark {
                Some(Mark::Begin) => begun = true,
                Some(Mark::Exit(code)) => {
                    if let Some(last) = held.take().filter(|last| !last.is_empty()) {
                        on_line(&last);
                    }
                    return Ok(code);
                }
                Some(Mark::Password) if begun || self.is_root => return Err(self.out_of_turn(begun)),
                Some(Mark::Password) => given = Some(self.answer(stdin, given.as_ref()).await?),
                Some(Mark::Trouble(word)) => return Err(self.trouble(word)),
                None if begun => {
                    if let Some(line) = held.replace(line) {
                        on_line(&line);
                    }
                    // Nothing is held back but a line that may be the frame's own.
                    if held.as_deref().is_some_and(|line| !line.is_empty())
                        && let Some(line) = held.take()
                    {
                        on_line(&line);
                    }
                }
                // A login shell's greeting.
                None => {
                    greeting.push(line);
                    if greeting.len() > GREETING_LINES {
                        greeting.remove(0);
                    }
                }
            }
        }
        if !spoke {
            return Err(HostError::NoShell { host: self.host.to_owned(), output: greeting });
        }
        Err(HostError::Lost {
            host: self.host.to_owned(),
            reason: sent.err().map(|error| error.to_string()).unwrap_or_default(),
        })
    }

    /// Gives sudo the password, or another one than it has refused.
    async fn answer<I: AsyncWrite + Unpin>(
        &self,
        stdin: &mut I,
        refused: Option<&Password>,
    ) -> Result<Password, HostError> {
        self.sudo_asked.set(true);
        let password = self.passwords.get(self.host, refused).map_err(|why| match refused {
            Some(_) => self.trouble("refused"),
            None => HostError::NotRoot {
                what: format!("sudo on {} wants a password, and {why}", self.host),
                output: Vec::new(),
                hint: "run it in a terminal, set PROVISION_SUDO_PASSWORD, or let this login use sudo without a password".into(),
            },
        })?;
        let line = format!("{}\n", password.reveal().replace(['\n', '\r'], ""));
        let written = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        };
        let lost =
            |error: std::io::Error| HostError::Lost { host: self.host.to_owned(), reason: error.to_string() };
        written.await.map_err(lost)?;
        Ok(password)
    }

    /// A password is asked for by what cannot be sudo.
    fn out_of_turn(&self, begun: bool) -> HostError {
        let why =
            if begun { "although its program runs as root already" } else { "although the login is root" };
        self.odd(&format!("it asks for a password of sudo, {why}; it did not get any"))
    }

    fn odd(&self, what: &str) -> HostError {
        HostError::Odd { what: format!("{}: {what}", self.host), output: Vec::new() }
    }

    fn trouble(&self, word: &str) -> HostError {
        let not_root =
            |what: String, hint: &str| HostError::NotRoot { what, output: Vec::new(), hint: hint.into() };
        match word {
            "refused" => not_root(
                format!("sudo on {} did not accept the password, or this login may not use sudo", self.host),
                "check the password, and that the login is in the group `sudo` (`groups`); nothing was changed",
            ),
            "no-password" => not_root(
                format!("sudo on {} wants a password and none was given", self.host),
                "run it in a terminal or set PROVISION_SUDO_PASSWORD",
            ),
            "no-sudo" => not_root(
                format!("the login on {} is not root, and there is no `sudo`", self.host),
                "log in as root, or install sudo and add the login to its group",
            ),
            "no-space" => self.odd("no temporary file could be made in /dev/shm, /run or /tmp"),
            "short" => {
                HostError::Lost { host: self.host.to_owned(), reason: "the program arrived cut short".into() }
            }
            other => self.odd(&format!("unexpected answer `{}`", crate::text::harmless(other))),
        }
    }
}

/// Reads a line, without its line break; none at the end. Bytes that are no UTF-8 become `�`.
async fn read_line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> Option<String> {
    let mut line = Vec::new();
    while let Ok(chunk) = reader.fill_buf().await {
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        let room = LONGEST_LINE.saturating_sub(line.len());
        line.extend_from_slice(&chunk[..taken.min(room)]);
        let consumed = end.map_or(taken, |end| end + 1);
        reader.consume(consumed);
        if end.is_some() {
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
    }
    (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests;
