//! Exit codes: documented (`provision --help`, docs/exit-codes.md) and stable.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// A bug in provision.
    Bug = 1,
    /// The command line, the settings, a playbook or a Compose file is wrong.
    Usage = 2,
    /// The machine or the plan is not fit; nothing was changed.
    Refused = 3,
    /// The host was not reached, or the connection was lost.
    NotReached = 4,
    /// No root on the host.
    NotRoot = 5,
    /// A change failed; `up` goes on from there.
    Failed = 6,
    /// Somebody else's run holds the host.
    Busy = 7,
    /// The run goes on by itself.
    Detached = 8,
    /// The run was cancelled between two changes.
    Cancelled = 9,
    /// Nobody said yes.
    NotConfirmed = 10,
    /// What is reached from here is not what was declared.
    Exposed = 11,
}

impl Exit {
    /// There is something to change, for `plan --exit-code`; in which nothing else ends so.
    pub const CHANGES: Self = Self::Usage;
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
