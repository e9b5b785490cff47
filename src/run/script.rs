//! The laptop's side of `scripts/run.sh`: parameters behind a marker, and a payload behind them.

use std::time::{SystemTime, UNIX_EPOCH};

const RUN: &str = include_str!("../../scripts/run.sh");

/// What `run.sh` is asked to do.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// `start`, `follow`, `cancel`, `prove`, `list` or `show`.
    pub verb: &'a str,
    /// The run's id; empty for `list`.
    pub run: &'a str,
    /// Who asks: `user@laptop`.
    pub holder: &'a str,
    /// The first line of the journal that is wanted, counting from 1.
    pub from: usize,
    /// The archive.
    pub payload: &'a [u8],
}

impl Request<'_> {
    /// The program with its parameters.
    pub fn body(&self) -> Vec<u8> {
        let mut body = crate::script::squeeze(RUN).into_bytes();
        let holder: String = self.holder.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let parameters = format!(
            "verb {}\nrun {}\nholder {holder}\nfrom {}\npayload {}\n",
            self.verb,
            self.run,
            self.from.max(1),
            self.payload.len()
        );
        body.extend_from_slice(parameters.as_bytes());
        body.extend_from_slice(self.payload);
        body
    }
}

/// A new run's id: the time in UTC, so that ids sort by it, and a few digits that tell two apart.
pub fn new_id() -> String {
    let moment = SystemTime::now();
    let now = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let stamp: String = crate::time::rfc3339(moment)
        .chars()
        .take(19)
        .filter(|c| c.is_ascii_digit() || *c == 'T')
        .map(|c| if c == 'T' { '-' } else { c })
        .collect();
    let salt = now.subsec_nanos() ^ std::process::id().rotate_left(16);
    format!("{stamp}-{:04x}", salt >> 8 & 0xffff)
}

/// Who we are to somebody else: `user@machine`.
pub fn holder() -> String {
    let user = match crate::host::is_first_boot() {
        true => "cloud-init".into(),
        false => {
            ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or("root".into())
        }
    };
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    match machine.trim() {
        "" => user,
        machine => format!("{user}@{machine}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_the_host_takes() {
        let id = new_id();
        assert!(id.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || c == '-'), "{id}");
        assert_eq!(id.len(), "20261122-101500-ab12".len(), "{id}");
    }
}
