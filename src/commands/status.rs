//! `provision status`: how a host stands, and the run that goes on.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::exit::Exit;
use super::history::{ask, moment};
use super::probe::probe;
use super::{exit_of, failure, index};
use crate::facts::{Facts, FirstBoot, Question};
use crate::report::{Event, Failure, Reporter, print};
use crate::run::{self, Followed, Follower, Link, Request};
use crate::text::harmless;

/// How long a first boot may take to begin its run: it has a binary to fetch.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often it is looked whether it has.
const PAUSE: Duration = Duration::from_secs(2);

/// `provision status HOST`
///
/// `stack` is that of the folder here, which is expected there.
pub(super) async fn status(mut link: Link, stack: Option<&str>, json: bool, reporter: &dyn Reporter) -> Exit {
    let exit = match look(&mut link, stack, json, reporter).await {
        Ok(exit) => exit,
        Err(failure) => {
            let exit = exit_of(&failure);
            reporter.tell(&link.name(), &Event::Failed(failure));
            exit
        }
    };
    link.close().await;
    exit
}

async fn look(
    link: &mut Link,
    stack: Option<&str>,
    json: bool,
    reporter: &dyn Reporter,
) -> Result<Exit, Failure> {
    let Some(facts) = followed(link, reporter).await? else { return Ok(Exit::Detached) };
    if let Some(last) = &facts.last_run {
        index::remember(&last.id, &link.name());
    }
    reporter.rest();
    if json {
        let Facts { system, cloud_init, first_boot, last_run, reboot_required, .. } = &facts;
        let value = json!({
            "host": link.name(), "system": system.name, "uptime": system.uptime, "cloud_init": cloud_init,
            "first_boot": first_boot, "last_run": last_run, "reboot_required": reboot_required,
            "stacks": facts.stacks().collect::<Vec<_>>(),
        });
        print(&format!("{value}\n"));
    } else {
        print(&shown(&link.name(), &facts));
    }
    if let Some(failure) = why(link, &facts).await? {
        return Err(failure);
    }
    match stack.filter(|stack| !facts.stacks().any(|other| other == *stack)) {
        Some(stack) => Err(failure::not_there(stack, &link.name())),
        None => Ok(Exit::Done),
    }
}

/// What is known of the host when nothing goes on there; none when a person let go of what does.
async fn followed(link: &mut Link, reporter: &dyn Reporter) -> Result<Option<Facts>, Failure> {
    let name = link.name();
    let tell = |event: &Event| reporter.tell(&name, event);
    let began = Instant::now();
    let mut said = false;
    tell(&Event::Connecting);
    loop {
        link.connect().await.map_err(failure::from_host)?;
        let facts = probe(link, &[Question::Docker, Question::Claims].into()).await?.facts;
        if let Some((run, holder)) = facts.run_going_on() {
            tell(&Event::RunAttached { run: run.to_owned(), holder: holder.to_owned() });
            match run::attach(link, run, &tell).await.map_err(|error| failure::from_run(error, &name))? {
                Followed::Detached => return Ok(None),
                Followed::Ended(_) | Followed::Busy { .. } => {}
            }
        } else if !(facts.is_at_first_boot() && began.elapsed() < PATIENCE) {
            return Ok(Some(facts));
        } else if !said {
            tell(&Event::Warning {
                text: "this is its first boot, and its run has not begun; waiting for it".into(),
            });
            said = true;
        }
        // A run that has ended is not yet what its first boot has written down.
        sleep(PAUSE).await;
    }
}

fn shown(name: &str, facts: &Facts) -> String {
    let docker = match &facts.docker {
        None => "not installed".to_owned(),
        Some(docker) => match (&docker.engine, &docker.compose) {
            (Some(engine), Some(compose)) => format!("Engine {engine}, Compose {compose}"),
            (Some(engine), None) => format!("Engine {engine}, no Compose plugin"),
            (None, _) => "installed, and not answering".to_owned(),
        },
    };
    let mut rows = vec![
        ("host", name.to_owned()),
        (
            "system",
            format!(
                "{}, up {}",
                facts.system.name,
                crate::text::duration(facts.system.uptime.saturating_mul(1000))
            ),
        ),
        ("docker", docker),
    ];
    let stacks: Vec<_> = facts.stacks().collect();
    let none = || "none that provision has brought".to_owned();
    rows.push(("stacks", if stacks.is_empty() { none() } else { stacks.join(", ") }));
    if let Some(cloud_init) = &facts.cloud_init {
        rows.push(("cloud-init", cloud_init.status.clone()));
    }
    if let Some(FirstBoot { state, code, at, .. }) = &facts.first_boot {
        let how = if state == "failed" { format!("failed (exit code {code})") } else { state.clone() };
        let at = u64::try_from(*at).unwrap_or_default().saturating_mul(1000);
        rows.push(("first boot", format!("{how}, {}", moment(at))));
    }
    rows.push(match &facts.last_run {
        None => ("last run", "none".to_owned()),
        Some(run) => {
            let state = if run.state == "running" { "ended unexpectedly" } else { &run.state };
            let stack = if run.stack.is_empty() { String::new() } else { format!(" for {}", run.stack) };
            ("last run", format!("{}{stack} of {}: {state}", run.id, run.holder))
        }
    });
    if facts.reboot_required.is_some() {
        rows.push(("reboot", "required by an update".to_owned()));
    }
    rows.iter().map(|(name, text)| format!("{name:<10}  {}\n", harmless(text))).collect()
}

/// Why the host is not what it should be: the last run's failure, or that of a first boot which
/// never came to a run.
async fn why(link: &mut Link, facts: &Facts) -> Result<Option<Failure>, Failure> {
    let again = format!("continue: `provision up {}`", link.name());
    let first_boot = facts.first_boot.as_ref().filter(|first_boot| first_boot.state == "failed");
    let Some(last) = facts.last_run.as_ref().filter(|last| last.state != "completed") else {
        return Ok(first_boot.filter(|_| facts.last_run.is_none()).map(|first_boot| Failure {
            output: first_boot.log.clone(),
            ..failure::with_hint(
                Exit::Failed,
                "the server could not provision itself at its first boot",
                again,
            )
        }));
    };
    let lines = ask(link, &Request { verb: "show", run: &last.id, ..Request::default() }).await?;
    let mut follower = Follower::default();
    for line in lines.iter().skip_while(|line| *line != "journal").skip(1) {
        follower.line(line);
    }
    Ok(Some(match (follower.failed().cloned(), last.state.as_str()) {
        (Some(failed), _) => failure::from_change(failed, &last.id, again),
        (None, "cancelled") => failure::with_hint(Exit::Cancelled, "the last run was cancelled", again),
        (None, _) => Failure {
            change: follower.current().map(str::to_owned),
            output: follower.tail(),
            ..failure::with_hint(Exit::Failed, "the last run ended unexpectedly", again)
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_a_host_is_too_large() {
        let mut facts = Facts::default();
        facts.system.uptime = u64::MAX;
        facts.first_boot =
            Some(FirstBoot { state: "failed".into(), code: u32::MAX, at: i64::MAX, log: Vec::new() });
        assert!(shown("web1", &facts).contains("failed (exit code 4294967295)"));
    }
}
