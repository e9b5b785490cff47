//! `provision up`: plan, ask, do, prove.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::exit::Exit;
use super::reached::{afterwards, published};
use super::secrets::Given;
use super::session::Session;
use super::{asked, failure, index};
use crate::cli::{Global, Up};
use crate::host::command_by_hand;
use crate::plan::Plan;
use crate::report::{
    Event, Failure, Reporter, RunOutcome, Summary, Verbosity, colour_on_stderr, print_aside, render_plan,
};
use crate::run::{self, Followed, Follower};
use crate::stack::compose::Project;

/// Said behind a restore that was interrupted.
const RESTORE_INTERRUPTED: &str = "the earlier run was `provision backup`, which was interrupted: the database is \
                                   either as it was before or wholly the restored one; `provision backup HOST \
                                   restore FILE` does it anew";

/// How often another one's run may come between our plan and our run.
pub(super) const ROUNDS: u32 = 5;

/// What became of a host.
enum Outcome {
    Done,
    Failed(Failure),
    Detached,
}

/// The whole of `up`, for all hosts at once.
pub(super) async fn up(
    mut sessions: Vec<Session<'_>>,
    arguments: &Up,
    global: &Global,
    reporter: &dyn Reporter,
    project: Option<&Project>,
    mut given: Given,
) -> Exit {
    let saved = match arguments.plan.as_deref().map(super::saved::read).transpose() {
        Ok(saved) => saved,
        Err(failure) => return super::fail(reporter, &sessions, &failure),
    };
    let plans = join_all(sessions.iter_mut().map(|session| prepare(session, saved.as_ref()))).await;
    let mut worst = Exit::Done;
    let mut ready = Vec::new();
    for (session, plan) in sessions.into_iter().zip(plans) {
        match plan {
            Ok(Some(plan)) => ready.push((session, plan)),
            Ok(None) => worst = worst.max(Exit::Detached),
            Err(failure) => {
                worst = worst.max(super::exit_of(&failure));
                session.tell(&Event::Failed(failure));
            }
        }
    }
    // One host that cannot be planned stops those that can: nothing is half done.
    if worst != Exit::Done && ready.iter().any(|(_, plan)| !plan.is_empty()) {
        for (session, _) in &ready {
            session.tell(&Event::Warning {
                text: "nothing was changed here, because another host cannot be planned".into(),
            });
        }
        return worst;
    }
    let work: Vec<_> = ready.iter().filter(|(_, plan)| !plan.is_empty()).map(|(_, plan)| plan).collect();
    if !work.is_empty() {
        show(&work, global, reporter);
        if let Err(failure) = agree(&work, arguments, &mut given, reporter) {
            let exit = super::exit_of(&failure);
            for (session, _) in &ready {
                session.tell(&Event::Failed(failure.clone()));
            }
            return exit;
        }
    }
    let outcomes =
        join_all(ready.into_iter().map(|(session, plan)| execute(session, plan, &given, project))).await;
    outcomes.into_iter().fold(worst, |worst, exit| worst.max(exit))
}

/// Follows what is going on there, then plans. None: a person let go of what was followed.
async fn prepare(
    session: &mut Session<'_>,
    saved: Option<&super::saved::Saved>,
) -> Result<Option<Plan>, Failure> {
    if !settle(session).await? {
        return Ok(None);
    }
    if let Some(last) = &session.facts.last_run {
        let outcome = match last.state.as_str() {
            "failed" => Some(RunOutcome::Failed),
            "cancelled" => Some(RunOutcome::Cancelled),
            "completed" => None,
            _ => Some(RunOutcome::Died),
        };
        if let Some(outcome) = outcome {
            let change = Some(last.change.clone()).filter(|change| !change.is_empty());
            let stack = Some(last.stack.clone()).filter(|_| !last.is_of(session.stack_name()));
            if stack.is_none() && outcome == RunOutcome::Died && last.change.starts_with("backup/") {
                session.tell(&Event::Warning { text: RESTORE_INTERRUPTED.to_owned() });
            }
            session.tell(&Event::Resuming { run: last.id.clone(), outcome, change, stack });
        }
    }
    let plan = plan_when_started(session).await?;
    if let Some(saved) = saved {
        saved.must_be(&plan)?;
    }
    session.tell(&Event::Planned { plan: Box::new(plan.clone()) });
    Ok(Some(plan))
}

/// The plan, and where it has no change, once containers are not starting any more: right after a boot
/// it is too early to judge them.
async fn plan_when_started(session: &mut Session<'_>) -> Result<Plan, Failure> {
    let began = Instant::now();
    let mut said = false;
    loop {
        let plan = session.plan().await?;
        let starting = session.starting().join(", ");
        if !plan.is_empty() || starting.is_empty() {
            return Ok(plan);
        }
        if began.elapsed() > session.patience() {
            let text = format!("still starting, and not healthy yet: {starting}");
            session.tell(&Event::Warning { text });
            return Ok(plan);
        }
        if !said {
            session.tell(&Event::Warning {
                text: format!("containers are still starting; waiting for {starting}"),
            });
            said = true;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        session.probe().await?;
    }
}

/// Probes, and follows what is going on there to its end; false when a person let go of it.
pub(super) async fn settle(session: &mut Session<'_>) -> Result<bool, Failure> {
    for _ in 0..=ROUNDS {
        session.probe_when_settled().await?;
        let Some((id, holder)) = session.run_going_on() else { return Ok(true) };
        if !attach(session, &id, &holder).await? {
            return Ok(false);
        }
    }
    session.probe().await?;
    session.run_going_on().map_or(Ok(true), |(id, holder)| Err(busy(&id, &holder)))
}

/// Follows somebody's run to its end; false when a person let go of it.
pub(super) async fn attach(session: &mut Session<'_>, id: &str, holder: &str) -> Result<bool, Failure> {
    session.tell(&Event::RunAttached { run: id.to_owned(), holder: holder.to_owned() });
    let (link, voice) = session.split();
    let followed = run::attach(link, id, &voice).await;
    match followed.map_err(|error| failure::from_run(error, &session.name))? {
        Followed::Detached => Ok(false),
        Followed::Busy { .. } => Ok(true),
        Followed::Ended(follower) => {
            if let Some(failed) = follower.failed().cloned() {
                let Failure { what, .. } = failure::from_change(failed, id, String::new());
                session.tell(&Event::Warning { text: format!("the run {id} failed: {what}") });
            }
            Ok(true)
        }
    }
}

pub(super) fn busy(id: &str, holder: &str) -> Failure {
    failure::with_hint(
        Exit::Busy,
        format!("run {id} of {holder} is active on this host"),
        "try again when it has ended; a run that died does not block others",
    )
}

pub(super) fn show(plans: &[&Plan], global: &Global, reporter: &dyn Reporter) {
    // With --json the plan was an event.
    if global.json {
        return;
    }
    let verbosity = super::verbosity(global);
    for plan in plans {
        if verbosity != Verbosity::Quiet {
            let text = render_plan(plan, colour_on_stderr(), verbosity);
            reporter.suspend(&mut || print_aside(&text));
        }
    }
}

/// That a person wants all of it, and gives what it takes.
fn agree(plans: &[&Plan], arguments: &Up, given: &mut Given, reporter: &dyn Reporter) -> Result<(), Failure> {
    given.look(plans)?;
    confirm(plans, arguments.yes, reporter)?;
    given.ask(plans, reporter)
}

/// One question for all hosts.
pub(super) fn confirm(plans: &[&Plan], yes: bool, reporter: &dyn Reporter) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(failure::with_hint(
            Exit::NotConfirmed,
            "there is no terminal to ask on; nothing was changed",
            "read the plan with `provision plan`, then say yes with `--yes`",
        ));
    }
    let changes: usize = plans.iter().map(|plan| plan.changes().count()).sum();
    let what =
        if changes == 1 { "Make this change".to_owned() } else { format!("Make these {changes} changes") };
    let question = match plans {
        [plan] => format!("{what} on {}?", plan.host),
        plans => format!("{what} on {} hosts?", plans.len()),
    };
    // Ctrl-C is an answer: it must not end us before the cursor is shown again.
    let _interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    let mut answer = Ok(false);
    asked::while_a_person_thinks(|| {
        reporter.suspend(&mut || {
            // `y` and Enter: an Enter that is left over would answer the next question.
            let ask = dialoguer::Confirm::new().with_prompt(&question).default(false);
            answer = ask.wait_for_newline(true).interact();
            let _ = console::Term::stderr().show_cursor();
        });
    });
    match answer {
        Ok(true) => Ok(()),
        _ => Err(failure::plain(Exit::NotConfirmed, "not confirmed; nothing was changed")),
    }
}

async fn execute(mut session: Session<'_>, plan: Plan, given: &Given, project: Option<&Project>) -> Exit {
    let outcome = drive(&mut session, plan, given, project).await;
    session.link.close().await;
    match outcome {
        Outcome::Done => Exit::Done,
        Outcome::Detached => Exit::Detached,
        Outcome::Failed(failure) => {
            let exit = super::exit_of(&failure);
            session.tell(&Event::Failed(failure));
            exit
        }
    }
}

async fn drive(
    session: &mut Session<'_>,
    mut plan: Plan,
    given: &Given,
    project: Option<&Project>,
) -> Outcome {
    let mut counts = (0, 0);
    let mut run = None;
    for _ in 0..ROUNDS {
        if plan.is_empty() {
            if run.is_none() {
                let withheld = plan.steps.iter().flat_map(|step| &step.withheld);
                withheld.for_each(|text| session.tell(&Event::Warning { text: text.clone() }));
            }
            warn_of_what_lasts(session, &plan);
            session.tell(&Event::Summary(summary(session, &plan, run, counts, project).await));
            return Outcome::Done;
        }
        if let Err(failure) = given.hand_over(session, &plan).await {
            return Outcome::Failed(failure);
        }
        let (link, voice) = session.split();
        let started = run::start(link, &plan, &voice).await;
        let next = match started {
            Err(error) => return Outcome::Failed(failure::from_run(error, &session.name)),
            Ok((id, Followed::Ended(follower))) => {
                index::remember(&id, &session.name);
                counts = follower.counts();
                run = Some(id.clone());
                match ended(&follower, &id, &goes_on(&session.name)) {
                    Some(failure) => return Outcome::Failed(failure),
                    None => {
                        let ruled = session.openings().is_some() && !session.link.is_local();
                        let exposed = if ruled { super::expose::after_run(session).await } else { None };
                        warn_of_what_lasts(session, &plan);
                        session.tell(&Event::Summary(summary(session, &plan, run, counts, project).await));
                        return exposed.map_or(Outcome::Done, Outcome::Failed);
                    }
                }
            }
            Ok((id, Followed::Detached)) => {
                index::remember(&id, &session.name);
                return Outcome::Detached;
            }
            Ok((_, Followed::Busy { run, holder })) => {
                // Somebody was faster: theirs first, then what is left of ours.
                match attach(session, &run, &holder).await {
                    Ok(true) => {}
                    Ok(false) => return Outcome::Detached,
                    Err(failure) => return Outcome::Failed(failure),
                }
                match session.probe().await {
                    Ok(_) => session.plan().await,
                    Err(failure) => Err(failure),
                }
            }
        };
        match next {
            Ok(next) => plan = next,
            Err(failure) => return Outcome::Failed(failure),
        }
    }
    Outcome::Failed(busy("(unknown)", "another user"))
}

/// What the plan has warned of and the run could not change.
fn warn_of_what_lasts(session: &Session<'_>, plan: &Plan) {
    let lasting = plan.steps.iter().flat_map(|step| &step.lasting);
    lasting.for_each(|text| session.tell(&Event::Warning { text: text.clone() }));
}

fn goes_on(host: &str) -> String {
    format!("`provision up {host}` continues from there")
}

/// What a run that has ended means; `again` is how to go on.
pub(super) fn ended(follower: &Follower, run: &str, again: &str) -> Option<Failure> {
    match follower.outcome() {
        Some(RunOutcome::Completed) => None,
        Some(RunOutcome::Cancelled) => {
            Some(failure::with_hint(Exit::Cancelled, "the run was cancelled; what was done stands", again))
        }
        Some(RunOutcome::Failed) => Some(follower.failed().cloned().map_or_else(
            || failure::plain(Exit::Failed, "the run failed"),
            |failed| failure::from_change(failed, run, format!("once fixed, {again}; what was done stands")),
        )),
        _ => Some(Failure {
            change: follower.current().map(str::to_owned),
            output: follower.tail(),
            ..failure::with_hint(
                Exit::Failed,
                "the run ended unexpectedly: the host went down, or the runner was killed",
                again,
            )
        }),
    }
}

async fn summary(
    session: &Session<'_>,
    plan: &Plan,
    run: Option<String>,
    (applied, already_so): (usize, usize),
    project: Option<&Project>,
) -> Summary {
    let host = session.link.host().ok();
    let address = host.map_or_else(|| session.name.clone(), |host| host.address().to_owned());
    let mut addresses = Vec::new();
    let mut next = Vec::new();
    if let Some(project) = project {
        // Nothing was changed: what answered yesterday is not knocked at again.
        let knock = run.is_some();
        addresses = published(session, project, &address, knock).await;
        if run.is_some() {
            let on = |command: String| there(session, &command);
            next.push(on(format!("docker compose -p {} ps", project.name)));
            next.push(on(format!("docker compose -p {} logs -f", project.name)));
            next.extend(afterwards(session, project, &addresses));
        }
    }
    if session.link.is_local() && plan.changes().any(|change| change.id.starts_with("user/member:")) {
        next.push("log in again, so that `docker` works without sudo in your shell".into());
    }
    if let Some(run) = &run {
        next.push(format!("provision show {run}"));
    }
    let milliseconds = asked::worked_since(session.started).as_millis().try_into().unwrap_or(u64::MAX);
    Summary { run, applied, already_so, milliseconds, addresses, next }
}

/// A command as a person types it here to have it done on the host.
fn there(session: &Session<'_>, command: &str) -> String {
    let name = &session.name;
    match &session.ssh_config {
        _ if session.link.is_local() => command.to_owned(),
        Some(config) if !session.link.is_vagrant() => format!("ssh -F {} {name} {command}", config.display()),
        _ => command_by_hand(name, command),
    }
}
