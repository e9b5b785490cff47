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
    /// The host does not meet a requirement, or the plan is not safe; nothing was changed.
    Refused = 3,
    /// The host is unreachable, or the connection was lost.
    NotReached = 4,
    /// No root on the host.
    NotRoot = 5,
    /// A change failed; the next `up` continues from there.
    Failed = 6,
    /// Another run is active on the host.
    Busy = 7,
    /// The run continues on the host.
    Detached = 8,
    /// The run was cancelled between two changes.
    Cancelled = 9,
    /// The question was not answered with yes.
    NotConfirmed = 10,
    /// The ports that are reachable from here differ from those that are declared.
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
