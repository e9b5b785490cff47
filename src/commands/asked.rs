//! A script that answers a question of a command's own.

use super::exit::Exit;
use super::failure;
use crate::report::{Failure, harmless};
use crate::run::Link;

/// What the script says on the host, by lines. Its parameters stand behind it, a line each, and
/// travel on stdin; `what` is what it could not do where it fails.
pub(super) async fn asked(
    link: &mut Link,
    script: &str,
    parameters: &[(&str, &str)],
    what: &str,
) -> Result<Vec<String>, Failure> {
    let mut body = crate::host::squeeze(script);
    for (key, value) in parameters {
        body.push_str(&format!("{key} {}\n", harmless(value)));
    }
    link.connect().await.map_err(failure::from_host)?;
    let host = link.host().map_err(failure::from_host)?;
    let mut lines = Vec::new();
    let ended = host
        .exec(body.as_bytes(), link.passwords(), &mut |line| lines.push(line.to_owned()))
        .await
        .map_err(failure::from_host)?;
    if ended.code != 0 {
        let what = format!("{} could not {what} (exit code {})", link.name(), ended.code);
        let output = ended.stderr.iter().map(|line| harmless(line).into_owned()).collect();
        return Err(Failure { output, ..failure::plain(Exit::Failed, what) });
    }
    Ok(lines)
}
