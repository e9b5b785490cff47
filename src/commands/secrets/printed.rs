//! Commands on this computer that print a secret: bounded in what they say and how long they take.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::commands::exit::Exit;
use crate::commands::failure;
use crate::host::without_secrets;
use crate::report::Failure;
use crate::text::harmless;

/// More than any secret has, in bytes; the rest is not kept.
const LONGEST: u64 = 64 * 1024;

/// How long a command may take. It may ask on the terminal, or wait for a finger on a key.
const PATIENCE: Duration = Duration::from_secs(300);

/// So many lines of what it says on stderr are shown.
const LINES: usize = 8;

/// What a command of the settings prints, without the line break at its end. It may ask on the
/// terminal, and sees none of the secrets that the environment holds for provision.
pub(super) fn printed(name: &str, command: &str) -> Result<Vec<u8>, Failure> {
    within(name, command, PATIENCE)
}

fn within(name: &str, command: &str, patience: Duration) -> Result<Vec<u8>, Failure> {
    let failed = |what: String, output: Vec<String>| Failure {
        output,
        ..failure::with_hint(
            Exit::Usage,
            format!("the command for the secret {name} {what}; nothing was changed"),
            format!("try it yourself: {command}"),
        )
    };
    let mut shell = Command::new("sh");
    without_secrets(&mut shell);
    let mut child = shell
        .args(["-c", command])
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}"), Vec::new()))?;
    let out = child.stdout.take().map(reading);
    let err = child.stderr.take().map(reading);
    let end = Instant::now() + patience;
    let (out, err) = (taken(out.as_ref(), end), taken(err.as_ref(), end));
    let said = String::from_utf8_lossy(err.as_deref().unwrap_or_default());
    let lines: Vec<_> = said.lines().map(|line| harmless(line).into_owned()).collect();
    let last = lines.into_iter().rev().take(LINES).collect::<Vec<_>>().into_iter().rev().collect();
    let (Some(text), Some(status)) = (out, ended(&mut child, end)) else {
        let _ = child.kill();
        let _ = child.wait();
        let waited = crate::text::duration(patience.as_millis().try_into().unwrap_or(u64::MAX));
        return Err(failed(
            format!("has not ended within {waited}; provision was waiting for its output"),
            last,
        ));
    };
    if text.len() as u64 > LONGEST {
        let _ = child.kill();
        return Err(failed(format!("prints more than {}", crate::text::bytes(LONGEST)), Vec::new()));
    }
    if !status.success() {
        return Err(failed(format!("failed ({status})"), last));
    }
    Ok(text.strip_suffix(b"\n").unwrap_or(&text).to_vec())
}

/// Reads in a thread of its own: the first bytes are kept, and a program that never ends to print
/// is done with.
fn reading(stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let _ = stream.take(LONGEST + 1).read_to_end(&mut kept);
        // Whoever waited may have given up. Closing the pipe ends a program that prints for ever.
        let _ = sender.send(kept);
    });
    receiver
}

fn taken(receiver: Option<&Receiver<Vec<u8>>>, end: Instant) -> Option<Vec<u8>> {
    receiver?.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
}

/// Its pipes are closed; it has as long as anything.
fn ended(child: &mut Child, end: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_bounded() {
        let what =
            |command: &str, patience| within("mail", command, patience).map_err(|failure| failure.what);
        let long = Duration::from_secs(60);
        assert_eq!(what("echo abc", long).as_deref(), Ok(&b"abc"[..]));
        let endless = what("cat /dev/zero", long).expect_err("endless");
        assert!(endless.contains("prints more than 66 kB"), "{endless}");
        let silent = what("sleep 30", Duration::from_millis(100)).expect_err("silent");
        assert!(silent.contains("has not ended within 0.1 s"), "{silent}");
        // One that goes on behind our back keeps the pipe open.
        let left = what("sleep 30 & echo abc", Duration::from_millis(100)).expect_err("left behind");
        assert!(left.contains("has not ended"), "{left}");
        // A flood on stderr does not matter where the rest is right.
        let loud = what("head -c 300000 /dev/zero >&2; echo abc", long);
        assert!(loud.is_ok() || loud.is_err_and(|what| what.contains("failed")));
    }

    #[test]
    fn what_is_printed_on_stderr_is_harmless() {
        let failure =
            within("mail", "printf 'no \\033[31mentry\\n' >&2; exit 3", PATIENCE).expect_err("failed");
        assert_eq!(failure.output, ["no \\x1b[31mentry"]);
    }
}
