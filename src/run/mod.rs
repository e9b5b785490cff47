//! A run: a compiled plan, sent once, executed on the host, followed from here.
//!
//! The host needs nothing from us once it has begun. We only read its journal,
//! and come back to it when the connection broke.

mod compile;
mod journal;
mod link;
mod script;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

pub use compile::compile;
pub use journal::{FailedChange, Follower, Line};
pub use link::Link;
pub use script::{Request, holder, new_id};

use crate::host::{Ended, HostError};
use crate::plan::Plan;
use crate::report::{Event, LineKind};

/// How following a run ended.
#[derive(Debug)]
pub enum Followed {
    /// The run ended; the follower says how.
    Ended(Box<Follower>),
    /// A person let go of it; it goes on.
    Detached,
    /// Somebody else's run holds the lease; nothing was begun.
    Busy {
        /// That run.
        run: String,
        /// Who started it.
        holder: String,
    },
}

/// Why a run could not be begun or followed.
#[derive(Debug, Error)]
pub enum RunError {
    /// The host, or the way to it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The host could not begin it.
    #[error("{what}")]
    NotBegun {
        /// Why.
        what: String,
        /// What the host said.
        output: Vec<String>,
    },
    /// The connection broke and did not come back.
    #[error("the connection to {host} did not come back within {seconds} s")]
    Gone {
        /// The host.
        host: String,
        /// How long it was tried, in seconds.
        seconds: u64,
        /// Whether the run is known to have begun.
        begun: bool,
    },
    /// Every connection is made, and says nothing.
    #[error("{host} lets us in and says nothing of the run, {FRUITLESS} times in a row")]
    Mute {
        /// The host.
        host: String,
        /// Whether the run is known to have begun.
        begun: bool,
    },
    /// A person left before the host had all of it.
    #[error("left before the run had begun")]
    LeftEarly,
    /// The archive could not be created.
    #[error("the run could not be packed: {0}")]
    Pack(#[source] std::io::Error),
}

/// `ufw limit` refuses an address that has tried six times within 30 seconds, and each further try begins them
/// again.
const LIMITED: Duration = Duration::from_secs(32);

/// So many connections that say nothing end the wait.
const FRUITLESS: u32 = 3;

/// How long a broken connection is tried again.
const PATIENCE: Duration = Duration::from_secs(180);

/// Said to who leaves while the run waits for the proof that a new connection gets in.
const UNPROVEN: &str = "no new connection has been made yet since this change: the host undoes it unless \
                        `provision up` follows the run in time";

/// How long a second Ctrl-C is waited for.
const SECOND_THOUGHTS: Duration = Duration::from_secs(3);

/// Sends a plan's run and follows it to its end.
pub async fn start(
    link: &mut Link,
    plan: &Plan,
    tell: &dyn Fn(&Event),
) -> Result<(String, Followed), RunError> {
    let run = new_id();
    let holder = holder();
    let payload = compile(plan).map_err(RunError::Pack)?;
    let body = Request { verb: "start", run: &run, holder: &holder, from: 1, payload: &payload }.body();
    let mut following = Following::new(link, &run, tell);
    following.starting = true;
    let followed = following.go(body).await?;
    Ok((run, followed))
}

/// Follows a run that is going on, from its beginning.
pub async fn attach(link: &mut Link, run: &str, tell: &dyn Fn(&Event)) -> Result<Followed, RunError> {
    let body = Request { verb: "follow", run, from: 1, ..Request::default() }.body();
    Following::new(link, run, tell).go(body).await
}

struct Following<'a> {
    link: &'a mut Link,
    run: &'a str,
    tell: &'a dyn Fn(&Event),
    state: RefCell<Heard>,
    /// Whether this run is begun here, not only followed.
    starting: bool,
    /// Whether a person wants it to stop.
    cancelling: Cell<bool>,
    /// Told when the run begins to wait for a proof.
    proof: Notify,
    /// How many lines have come, of whatever kind.
    heard: Cell<u64>,
}

#[derive(Default)]
struct Heard {
    follower: Follower,
    begun: bool,
    busy: Option<(String, String)>,
    refused: Option<String>,
    /// Whether the run waits for the proof that a new connection gets in.
    awaits_proof: bool,
    /// How often it has begun to wait for one.
    asked: u32,
}

enum Listened {
    Ended,
    Lost(String),
    /// The host knows nothing of the run.
    NotThere,
    Detached,
}

impl<'a> Following<'a> {
    fn new(link: &'a mut Link, run: &'a str, tell: &'a dyn Fn(&Event)) -> Self {
        Self {
            link,
            run,
            tell,
            state: RefCell::default(),
            starting: false,
            cancelling: Cell::new(false),
            proof: Notify::new(),
            heard: Cell::new(0),
        }
    }

    async fn go(mut self, first: Vec<u8>) -> Result<Followed, RunError> {
        let mut follow;
        let mut body = &first;
        let mut sent_again = false;
        let mut fruitless = 0;
        loop {
            let heard = self.heard.get();
            match self.listen(body).await? {
                Listened::Ended => break,
                Listened::Detached => return Ok(Followed::Detached),
                Listened::Lost(reason) => {
                    fruitless = if self.heard.get() == heard { fruitless + 1 } else { 0 };
                    if fruitless == FRUITLESS {
                        return Err(RunError::Mute {
                            host: self.link.name(),
                            begun: self.state.borrow().begun,
                        });
                    }
                    if !self.come_back(reason).await? {
                        return Ok(Followed::Detached);
                    }
                }
                // The connection broke before the host had all of it. An id is taken once,
                // so that it cannot begin twice.
                Listened::NotThere if self.starting && !sent_again => {
                    sent_again = true;
                    self.state.borrow_mut().refused = None;
                    body = &first;
                    continue;
                }
                Listened::NotThere => {
                    let what = format!("the host has no run {}", self.run);
                    return Err(RunError::NotBegun { what, output: Vec::new() });
                }
            }
            let from = self.state.borrow().follower.lines() + 1;
            follow = Request { verb: "follow", run: self.run, from, ..Request::default() }.body();
            body = &follow;
        }
        let state = self.state.into_inner();
        Ok(match state.busy {
            Some((run, holder)) => Followed::Busy { run, holder },
            None => Followed::Ended(Box::new(state.follower)),
        })
    }

    /// One exec: until the run ends, the connection breaks or a person lets go.
    async fn listen(&mut self, body: &[u8]) -> Result<Listened, RunError> {
        let host = self.link.host()?;
        let cancel = async || {
            let request = Request { verb: "cancel", run: self.run, ..Request::default() }.body();
            host.exec(&request, self.link.passwords(), &mut |_| {}).await
        };
        // The connection broke as it was asked for.
        if self.cancelling.get()
            && let Err(error) = cancel().await
        {
            return self.judge(Err(error));
        }
        let mut on_line = |line: &str| {
            self.heard.set(self.heard.get().wrapping_add(1));
            heard(&self.state, self.run, self.tell, line);
            if self.state.borrow().awaits_proof {
                self.proof.notify_one();
            }
        };
        let mut exec = std::pin::pin!(host.exec(body, self.link.passwords(), &mut on_line));
        let mut proving = std::pin::pin!(self.prove());
        let ended = loop {
            tokio::select! {
                ended = &mut exec => break ended,
                () = &mut proving => {}
                _ = tokio::signal::ctrl_c() => {
                    if !self.state.borrow().begun {
                        return Err(RunError::LeftEarly);
                    }
                    let may_cancel = !self.cancelling.get();
                    (self.tell)(&Event::Detached { run: self.run.to_owned(), may_cancel });
                    if self.state.borrow().awaits_proof {
                        (self.tell)(&Event::Warning { text: UNPROVEN.to_owned() });
                    }
                    if !may_cancel {
                        return Ok(Listened::Detached);
                    }
                    tokio::select! {
                        ended = &mut exec => break ended,
                        _ = tokio::signal::ctrl_c() => {}
                        () = tokio::time::sleep(SECOND_THOUGHTS) => return Ok(Listened::Detached),
                    }
                    self.cancelling.set(true);
                    (self.tell)(&Event::Cancelling { run: self.run.to_owned() });
                    if let Err(error) = cancel().await {
                        break Err(error);
                    }
                }
            }
        };
        self.judge(ended)
    }

    /// Gives the run its proof whenever it waits for one: a connection that is new from the
    /// first packet on. Never ends; a connection that breaks takes it along.
    async fn prove(&self) {
        let request = Request { verb: "prove", run: self.run, ..Request::default() }.body();
        let mut failed: u32 = 0;
        loop {
            if !self.state.borrow().awaits_proof {
                self.proof.notified().await;
                continue;
            }
            let asked = self.state.borrow().asked;
            if self.link.exec_anew(&request).await.is_ok_and(|ended| ended.code == 0) {
                let mut state = self.state.borrow_mut();
                // It may have asked again meanwhile.
                state.awaits_proof = state.asked != asked;
                drop(state);
                (self.tell)(&Event::Proven);
                failed = 0;
            } else {
                failed = failed.wrapping_add(1);
                let rest = failed.is_multiple_of(5);
                tokio::time::sleep(if rest { LIMITED } else { Duration::from_secs(1) }).await;
            }
        }
    }

    fn judge(&self, ended: Result<Ended, HostError>) -> Result<Listened, RunError> {
        let state = self.state.borrow();
        if state.follower.outcome().is_some() || state.busy.is_some() {
            return Ok(Listened::Ended);
        }
        match ended {
            Err(HostError::Lost { reason, .. }) => Ok(Listened::Lost(reason)),
            // A host that stands still may go on by another connection; the run does.
            Err(error @ HostError::Silent { .. }) => Ok(Listened::Lost(error.to_string())),
            Err(other) => Err(other.into()),
            Ok(ended) => {
                let what = match (state.refused.as_deref(), state.begun) {
                    (Some("no-run"), _) => return Ok(Listened::NotThere),
                    (Some("unpack-failed"), _) => "the host could not unpack the run".to_owned(),
                    (Some("start-failed"), _) => "systemd on the host could not start the run".to_owned(),
                    (Some(word), _) => format!("the host could not begin the run ({word})"),
                    (None, true) => return Ok(Listened::Lost("the host stopped telling".into())),
                    (None, false) => format!("the host could not begin the run (exit code {})", ended.code),
                };
                let output =
                    ended.stderr.iter().map(|line| crate::text::harmless(line).into_owned()).collect();
                Err(RunError::NotBegun { what, output })
            }
        }
    }

    /// Makes the connection again; false when a person does not want to wait for it.
    async fn come_back(&mut self, reason: String) -> Result<bool, RunError> {
        let started = tokio::time::Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            (self.tell)(&Event::ConnectionLost { reason: reason.clone(), attempt });
            let again = async {
                tokio::time::sleep(Duration::from_millis(500 * u64::from(attempt.min(10)))).await;
                self.link.reconnect().await
            };
            let connected = tokio::select! {
                connected = again => connected,
                _ = tokio::signal::ctrl_c() => {
                    (self.tell)(&Event::Detached { run: self.run.to_owned(), may_cancel: false });
                    return Ok(false);
                }
            };
            match connected {
                Ok(()) => {
                    (self.tell)(&Event::Reattached);
                    return Ok(true);
                }
                // Waiting mends neither a changed key nor a refused login.
                Err(error @ (HostError::ChangedHostKey { .. } | HostError::NotAccepted { .. })) => {
                    return Err(error.into());
                }
                Err(_) if started.elapsed() < PATIENCE => {}
                Err(_) => {
                    return Err(RunError::Gone {
                        host: self.link.name(),
                        seconds: started.elapsed().as_secs(),
                        begun: self.state.borrow().begun,
                    });
                }
            }
        }
    }
}

/// A line of `run.sh` or of the journal.
fn heard(state: &RefCell<Heard>, run: &str, tell: &dyn Fn(&Event), line: &str) {
    let mut state = state.borrow_mut();
    match line.split_once(' ') {
        None if line == ":" => {}
        None if matches!(line, "unpack-failed" | "start-failed" | "no-run") => {
            state.refused = Some(line.to_owned())
        }
        None if line == "died" => {
            let event = state.follower.died(run);
            tell(&event);
        }
        Some(("following", _)) => state.begun = true,
        Some(("busy", rest)) => {
            let (run, holder) = rest.split_once(' ').unwrap_or((rest, "another user"));
            let harmless = |text| crate::text::harmless(text).into_owned();
            state.busy = Some((harmless(run), harmless(holder)));
        }
        _ => match state.follower.line(line) {
            Some(Event::RunEnded { outcome, milliseconds, .. }) => {
                state.awaits_proof = false;
                tell(&Event::RunEnded { run: run.to_owned(), outcome, milliseconds });
            }
            Some(event) => {
                match event {
                    Event::Proving => {
                        state.awaits_proof = true;
                        state.asked = state.asked.wrapping_add(1);
                    }
                    Event::ChangeEnded { .. } => state.awaits_proof = false,
                    _ => {}
                }
                tell(&event);
                // What a step wants a person to know, also one who does not read all output.
                if let Event::Output { kind: LineKind::Notice, line, .. } = event {
                    tell(&Event::Warning { text: line });
                }
            }
            None => {}
        },
    }
}
