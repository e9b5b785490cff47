//! What the engine tells a reporter: linear events, one after another, each of one host.

use serde::Serialize;

use crate::exposure::Exposure;
use crate::plan::{Finding, Plan};

/// An event. With `--json` each is one line: `{"host":…,"at":…,"event":…, …}`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A connection is being made.
    Connecting,
    /// The host's key was not known before and was accepted.
    NewHostKey {
        /// What ssh calls the host.
        name: String,
        /// `SHA256:…` with the key's type.
        fingerprint: String,
    },
    /// The connection stands and the probe is sent.
    Probing,
    /// The probe answered.
    Probed {
        /// Time from the start of the connection, in milliseconds.
        milliseconds: u64,
        /// The system's own name: `Debian GNU/Linux 13 (trixie)`.
        system: String,
    },
    /// Images are being looked up in their registries.
    CheckingImages {
        /// How many.
        count: usize,
    },
    /// What the machine step found.
    Finding(Finding),
    /// An earlier run ended badly; this one goes on behind it.
    Resuming {
        /// The earlier run's id.
        run: String,
        /// How it ended.
        outcome: RunOutcome,
        /// The change in which it ended.
        change: Option<String>,
        /// The other stack whose run it was: it stays as it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        stack: Option<String>,
    },
    /// The plan is made.
    Planned {
        /// The plan.
        plan: Box<Plan>,
    },
    /// A run began on the host.
    RunStarted {
        /// Its id.
        run: String,
        /// How many changes it has.
        changes: usize,
    },
    /// A run that was already going on is followed.
    RunAttached {
        /// Its id.
        run: String,
        /// Who started it, from where.
        holder: String,
    },
    /// A change began.
    ChangeStarted {
        /// The change's id.
        change: String,
        /// Its line for a person.
        title: String,
        /// Counting from 1.
        index: usize,
        /// How many the run has.
        total: usize,
    },
    /// A line that the change that is under way says.
    Output {
        /// The change's id.
        change: String,
        /// What it is.
        kind: LineKind,
        /// The line; control characters are already harmless.
        line: String,
    },
    /// A change ended.
    ChangeEnded {
        /// The change's id.
        change: String,
        /// How.
        outcome: ChangeOutcome,
        /// How long it took, in milliseconds.
        milliseconds: u64,
    },
    /// The run ended.
    RunEnded {
        /// Its id.
        run: String,
        /// How.
        outcome: RunOutcome,
        /// How long it took on the host, in milliseconds.
        milliseconds: u64,
    },
    /// The run has changed who gets in, and a new connection is being made: the change stays only
    /// if it succeeds.
    Proving,
    /// The new connection succeeded; the change stays.
    Proven,
    /// The connection broke; the run goes on without it.
    ConnectionLost {
        /// What ssh said.
        reason: String,
        /// Which attempt to come back this is, counting from 1.
        attempt: u32,
    },
    /// The connection stands again.
    Reattached,
    /// A person pressed Ctrl-C once: the run goes on by itself.
    Detached {
        /// The run's id.
        run: String,
        /// Whether a second Ctrl-C would stop it.
        may_cancel: bool,
    },
    /// A person pressed Ctrl-C twice: the run stops between two changes.
    Cancelling {
        /// The run's id.
        run: String,
    },
    /// The host has a first value for a secret now, and nothing uses it yet.
    SecretKept {
        /// The secret's name.
        secret: String,
    },
    /// Ports of the host are being tried from here.
    Knocking {
        /// How many.
        ports: usize,
    },
    /// What of the host is reached from here.
    Exposure(Exposure),
    /// Something that a person should know, and that stops nothing.
    Warning {
        /// One sentence.
        text: String,
    },
    /// Everything asked for is done on this host.
    Summary(Summary),
    /// It failed on this host.
    Failed(Failure),
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeOutcome {
    /// It was made, and verified.
    Applied,
    /// The guard found that it was already so.
    AlreadySo,
    /// It was not made, or verifying it failed.
    Failed,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// It is going on.
    Running,
    /// All changes were made.
    Completed,
    /// A change failed.
    Failed,
    /// A person cancelled it between two changes.
    Cancelled,
    /// It ended unexpectedly: the host went down, or the runner was killed.
    Died,
}

/// The end of a host's `up`.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The run, if there was one.
    pub run: Option<String>,
    /// How many changes were applied.
    pub applied: usize,
    /// How many were already so when their turn came.
    pub already_so: usize,
    /// Time from the start of the command, in milliseconds.
    pub milliseconds: u64,
    /// Addresses on which the stack publishes something.
    pub addresses: Vec<Address>,
    /// What to do next, one command or sentence each.
    pub next: Vec<String>,
}

/// An address on which the stack publishes something.
#[derive(Debug, Clone, Serialize)]
pub struct Address {
    /// The service.
    pub service: String,
    /// `http://HOST:PORT`, with `https` where TLS answers, or `HOST:PORT/udp`.
    pub address: String,
    /// Whether a connection from here succeeded; none where it was not tried (loopback, UDP, or
    /// closed by the firewall).
    pub reachable: Option<bool>,
    /// Whether the firewall, as the playbook rules it, does not let us in there.
    pub closed: bool,
}

/// Why a host failed: what, where and what to do.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// One plain sentence, a lowercase fragment without a period.
    pub what: String,
    /// The step or change in which it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// The last lines of real output, control characters made harmless.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// What to do: sentences or commands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The exit code that this host asks for.
    pub code: u8,
}

/// What a line is that a change says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// Output of the step, or of a program or container that it runs.
    Output,
    /// What a person should know who does not read all output.
    Notice,
    /// What has come of the change.
    Result,
    /// Why the change failed.
    Error,
    /// What to do about a failure.
    Hint,
}

impl LineKind {
    /// By its name in a run's journal.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "output" => Self::Output,
            "notice" => Self::Notice,
            "result" => Self::Result,
            "error" => Self::Error,
            "hint" => Self::Hint,
            _ => return None,
        })
    }

    /// What stands before such a line among others.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Output | Self::Result => "",
            Self::Notice => "notice: ",
            Self::Error => "error: ",
            Self::Hint => "hint: ",
        }
    }
}
