//! A script that answers a question of a command's own, and questions to the person.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::exit::Exit;
use super::failure;
use crate::report::Failure;
use crate::run::Link;
use crate::text::harmless;

/// What the script says on the host, by lines. Its parameters stand behind it, a line each, and
/// travel on stdin; `what` is what it could not do where it fails.
pub(super) async fn asked(
    link: &mut Link,
    script: &str,
    parameters: &[(&str, &str)],
    what: &str,
) -> Result<Vec<String>, Failure> {
    let mut body = crate::script::squeeze(script);
    for (key, value) in parameters {
        body.push_str(&format!("{key} {}\n", harmless(value)));
    }
    link.connect().await.map_err(failure::from_host)?;
    let host = link.host().map_err(failure::from_host)?;
    let mut lines = Vec::new();
    let ended = host
        .question("its answer", body.as_bytes(), link.passwords(), &mut |line| lines.push(line.to_owned()))
        .await
        .map_err(failure::from_host)?;
    if ended.code != 0 {
        let what = format!("{} could not {what} (exit code {})", link.name(), ended.code);
        let output = ended.stderr.iter().map(|line| harmless(line).into_owned()).collect();
        return Err(Failure { output, ..failure::plain(Exit::Failed, what) });
    }
    Ok(lines)
}

/// How long prompts have waited for a person, in milliseconds.
static THOUGHT: AtomicU64 = AtomicU64::new(0);

/// Shows a prompt; the time until it is answered is no time of ours.
pub(super) fn while_a_person_thinks<T>(prompt: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let answer = prompt();
    let milliseconds = began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
    THOUGHT.fetch_add(milliseconds, Ordering::Relaxed);
    answer
}

/// How long we have worked since then, without what a person has thought.
pub(super) fn worked_since(began: Instant) -> Duration {
    began.elapsed().saturating_sub(Duration::from_millis(THOUGHT.load(Ordering::Relaxed)))
}
