//! How long a host is waited for, and how much it may say.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::HostError;

/// What a host may take and say during one exec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// What is waited for, as a person is told.
    pub what: &'static str,
    /// The longest time without a line.
    pub silence: Duration,
    /// The longest time for all of it.
    pub total: Option<Duration>,
    /// The most that is read.
    pub bytes: Option<usize>,
}

/// What a kept line costs besides its text: endless empty lines must come to an end, too.
const LINE: usize = 64;

impl Bounds {
    /// A run, whose journal is followed: it takes as long as it takes, and says that it lives
    /// every second.
    pub const RUN: Self =
        Self { what: "the journal of its run", silence: Duration::from_secs(120), total: None, bytes: None };

    /// A question, whose answer is kept.
    pub const fn question(what: &'static str) -> Self {
        Self {
            what,
            silence: Duration::from_secs(180),
            total: Some(Duration::from_secs(900)),
            bytes: Some(48 * 1024 * 1024),
        }
    }
}

/// What is left of the bounds.
pub(super) struct Left<'a> {
    host: &'a str,
    bounds: Bounds,
    time: Option<Duration>,
    bytes: Option<usize>,
}

impl<'a> Left<'a> {
    pub fn new(host: &'a str, bounds: Bounds) -> Self {
        Self { host, bounds, time: bounds.total, bytes: bounds.bytes }
    }

    /// Waits no longer than it may be silent.
    pub async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Result<T, HostError> {
        let longest = self.time.map_or(self.bounds.silence, |left| left.min(self.bounds.silence));
        let (waited, done) = patiently(longest, future).await;
        if let Some(left) = &mut self.time {
            *left = left.saturating_sub(waited);
        }
        let is_slow = self.time == Some(Duration::ZERO);
        done.ok_or_else(|| HostError::Silent {
            host: self.host.to_owned(),
            what: self.bounds.what,
            waited: self.bounds.total.filter(|_| is_slow).unwrap_or(longest),
            is_slow,
        })
    }

    /// Counts a line.
    pub fn count(&mut self, line: &str) -> Result<(), HostError> {
        let Some(left) = self.bytes else { return Ok(()) };
        match left.checked_sub(line.len().saturating_add(LINE)) {
            Some(rest) => self.bytes = Some(rest),
            None => {
                let what = format!(
                    "{} sends more than {} for {}; provision has stopped reading",
                    self.host,
                    crate::text::bytes(self.bounds.bytes.unwrap_or_default().try_into().unwrap_or(u64::MAX)),
                    self.bounds.what
                );
                return Err(HostError::Odd { what, output: Vec::new() });
            }
        }
        Ok(())
    }
}

/// Waits second by second, so that a time in which this process stood still (a person was asked
/// something, the laptop slept) counts as one second at most. Also tells how long it waited.
pub(super) async fn patiently<T>(
    longest: Duration,
    future: impl Future<Output = T>,
) -> (Duration, Option<T>) {
    const SLICE: Duration = Duration::from_secs(1);
    let mut future = pin!(future);
    let mut waited = Duration::ZERO;
    loop {
        let slice = SLICE.min(longest.saturating_sub(waited));
        let began = Instant::now();
        let done = timeout(slice, &mut future).await;
        waited += began.elapsed().min(slice);
        match done {
            Ok(done) => return (waited, Some(done)),
            Err(_) if waited >= longest => return (longest, None),
            // A timer may end a little early.
            Err(_) if slice.is_zero() => return (longest, None),
            Err(_) => {}
        }
    }
}
