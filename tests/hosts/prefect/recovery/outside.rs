//! The stack as those see it who only have its address and its password.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::Host;

/// Whoever waits longer has given up. Long, since a busy machine is no outage; who is not
/// there at all is noticed sooner.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(3);

/// The API through nginx. No connection is used twice: each request is one of a newcomer.
#[derive(Clone)]
pub struct Api {
    agent: ureq::Agent,
    address: String,
    authorization: String,
    flow: String,
}

impl Api {
    /// With a flow of its own, whose runs are what is written.
    pub fn of(host: &Host, password: &str) -> Result<Self, Failed> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT))
            .max_idle_connections(0)
            .build()
            .new_agent();
        let authorization = format!("Basic {}", STANDARD.encode(format!("prefect:{password}")));
        let address = format!("http://{}:4200/api", host.address);
        let mut this = Self { agent, address, authorization, flow: String::new() };
        let flow = this.post("flows/", &json!({"name": "recovery"}))?;
        flow["id"].as_str().ok_or("the flow has no id")?.clone_into(&mut this.flow);
        Ok(this)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, ureq::Error> {
        let request = self.agent.post(format!("{}/{path}", self.address));
        request.header("Authorization", &self.authorization).send_json(body)?.body_mut().read_json()
    }

    /// Opens the page.
    fn page(&self) -> bool {
        let asked = self.agent.get(self.address.trim_end_matches("api")).call();
        let page = asked.and_then(|mut answer| answer.body_mut().read_to_string());
        page.is_ok_and(|page| page.contains("<title>Prefect"))
    }

    /// Puts a row into the database and an event into Redis.
    fn writes(&self) -> Result<(), ureq::Error> {
        let run = json!({"flow_id": self.flow, "state": {"type": "PENDING"}});
        self.post("flow_runs/", &run).map(drop)
    }

    /// Removes the flow, and with it all that was written.
    pub fn tidy(&self) -> Result<(), Failed> {
        let request = self.agent.delete(format!("{}/flows/{}", self.address, self.flow));
        request.header("Authorization", &self.authorization).call()?;
        Ok(())
    }

    /// Several who write one after the other.
    pub fn load<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, writers: usize) -> Load<'scope> {
        let end = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let work = |end: Arc<AtomicBool>, answered: Arc<AtomicUsize>| {
            move || {
                let mut lost = Vec::new();
                while !end.load(Ordering::Relaxed) {
                    match self.writes() {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => lost.push(error.to_string()),
                    }
                    // The processors are others' as well.
                    std::thread::sleep(Duration::from_millis(20));
                }
                lost
            }
        };
        let writers = (0..writers).map(|_| scope.spawn(work(end.clone(), answered.clone()))).collect();
        Load { end, answered, writers }
    }
}

/// Requests that are going on.
pub struct Load<'scope> {
    end: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    writers: Vec<ScopedJoinHandle<'scope, Vec<String>>>,
}

impl Load<'_> {
    /// How many have been answered so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// How many were answered, and what those were told that were not.
    pub fn end(self) -> (usize, Vec<String>) {
        self.end.store(true, Ordering::Relaxed);
        let lost = self.writers.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect();
        (self.answered.load(Ordering::Relaxed), lost)
    }
}

/// Asks several times a second whether the page is there and whether it can be written.
pub struct Watch {
    end: Arc<AtomicBool>,
    page: JoinHandle<Duration>,
    writing: JoinHandle<Duration>,
}

impl Watch {
    /// From now on.
    pub fn start(api: &Api) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let watch = |ask: fn(&Api) -> bool| {
            let (api, end) = (api.clone(), end.clone());
            std::thread::spawn(move || longest_outage(&end, || ask(&api)))
        };
        Self { page: watch(Api::page), writing: watch(|api| api.writes().is_ok()), end }
    }

    /// How long the page, and how long writing, was not there: from the first question
    /// that was not answered to the first one after it that was.
    pub fn end(self) -> (Duration, Duration) {
        self.end.store(true, Ordering::Relaxed);
        (self.page.join().expect("the watch"), self.writing.join().expect("the watch"))
    }
}

fn longest_outage(end: &AtomicBool, mut holds: impl FnMut() -> bool) -> Duration {
    let (mut longest, mut since) = (Duration::ZERO, None);
    // What is down at the end is waited for.
    while !end.load(Ordering::Relaxed)
        || since.is_some_and(|since: Instant| since.elapsed() < super::PATIENCE)
    {
        let asked = Instant::now();
        if holds() {
            longest = longest.max(since.take().map_or(Duration::ZERO, |since: Instant| since.elapsed()));
        } else {
            since.get_or_insert(asked);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    longest.max(since.map_or(Duration::ZERO, |since| since.elapsed()))
}
