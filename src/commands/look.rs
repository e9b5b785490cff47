//! Verbs that change nothing: plan, check, facts.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;

use super::exit::Exit;
use super::session::Session;
use super::{exit_of, fail, recorded, saved, verbosity};
use crate::cli::{Facts, Global, Plan};
use crate::plan::{has_password, without_passwords};
use crate::report::{
    Event, Reporter, colour_on_stdout, print, render_findings, render_plan, render_plan_markdown,
};

/// `provision plan`
pub(super) async fn plan(
    mut sessions: Vec<Session<'_>>,
    arguments: &Plan,
    global: &Global,
    reporter: &dyn Reporter,
) -> Exit {
    let outcomes = join_all(sessions.iter_mut().map(async |session| {
        if session.is_recorded {
            recorded::tell_what_is_missing(session);
        } else {
            session.probe_when_settled().await?;
        }
        if let Some((run, holder)) = session.run_going_on().filter(|_| !session.is_recorded) {
            let text = format!("the run {run} of {holder} is active; this plan shows the host as it is now");
            session.tell(&Event::Warning { text });
        }
        let plan = session.plan().await;
        let starting = session.starting().join(", ");
        if !starting.is_empty() && plan.as_ref().is_ok_and(crate::plan::Plan::is_empty) {
            session.tell(&Event::Warning { text: format!("containers are still starting: {starting}") });
        }
        session.link.close().await;
        plan
    }))
    .await;
    let mut worst = Exit::Done;
    let mut plans = Vec::new();
    for (session, outcome) in sessions.iter().zip(outcomes) {
        match outcome {
            Ok(plan) => {
                session.tell(&Event::Planned { plan: Box::new(plan.clone()) });
                plans.push(plan);
            }
            Err(failure) => {
                worst = worst.max(exit_of(&failure));
                session.tell(&Event::Failed(failure));
            }
        }
    }
    let plans: Vec<_> = plans.iter().collect();
    for plan in plans.iter().filter(|_| !global.json) {
        print(&if arguments.markdown {
            render_plan_markdown(plan)
        } else {
            render_plan(plan, colour_on_stdout(), verbosity(global))
        });
    }
    if let Some(path) = &arguments.out
        && worst == Exit::Done
        && let Err(failure) = saved::write(path, &plans)
    {
        return fail(reporter, &sessions, &failure);
    }
    match worst {
        Exit::Done if arguments.exit_code && plans.iter().any(|plan| !plan.is_empty()) => Exit::CHANGES,
        worst => worst,
    }
}

/// `provision check`
pub(super) async fn check(mut sessions: Vec<Session<'_>>, global: &Global) -> Exit {
    let outcomes = join_all(sessions.iter_mut().map(async |session| {
        session.probe().await?;
        session.link.close().await;
        Ok(session.check())
    }))
    .await;
    sessions.iter().for_each(Session::rest);
    let several = sessions.len() > 1;
    let mut worst = Exit::Done;
    for (session, outcome) in sessions.iter().zip(outcomes) {
        let (findings, refused) = match outcome {
            Err(failure) => {
                worst = worst.max(exit_of(&failure));
                session.tell(&Event::Failed(failure));
                continue;
            }
            Ok(Ok(plan)) => (plan.steps.into_iter().flat_map(|step| step.findings).collect::<Vec<_>>(), None),
            Ok(Err(refusal)) => (refusal.findings.clone(), Some(refusal)),
        };
        if global.json {
            for finding in &findings {
                session.tell(&Event::Finding(finding.clone()));
            }
        } else {
            if several {
                print(&format!("{}\n", session.name));
            }
            print(&render_findings(&findings, colour_on_stdout(), true));
        }
        if let Some(refusal) = refused {
            let failure = super::failure::from_refusal(refusal);
            worst = worst.max(exit_of(&failure));
            session.tell(&Event::Failed(failure));
        }
    }
    worst
}

/// `provision facts`
pub(super) async fn facts(mut sessions: Vec<Session<'_>>, arguments: &Facts) -> Exit {
    let mut worst = Exit::Done;
    for session in &mut sessions {
        let probed = session.probe().await;
        session.rest();
        match probed {
            Ok(text) if arguments.raw => {
                // A terminal must survive what a host says.
                let lines: String =
                    text.lines().map(|line| format!("{}\n", line_for_terminal(&recorded(line)))).collect();
                print(&lines);
            }
            Ok(_) => {
                let value = serde_json::json!({ "host": session.name, "facts": session.facts });
                print(&format!("{value:#}\n"));
            }
            Err(failure) => {
                worst = worst.max(exit_of(&failure));
                session.tell(&Event::Failed(failure));
            }
        }
        session.link.close().await;
    }
    worst
}

fn line_for_terminal(line: &str) -> String {
    line.split('\t').map(crate::text::harmless).collect::<Vec<_>>().join("\t")
}

/// A line of the probe's as it may be kept in a file: a file's content without the passwords of addresses.
fn recorded(line: &str) -> Cow<'_, str> {
    let content = || {
        let (path, encoded) = line.strip_prefix("content\t")?.split_once('\t')?;
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        has_password(&text)
            .then(|| format!("content\t{path}\t{}", STANDARD.encode(&*without_passwords(&text))))
    };
    content().map_or(Cow::Borrowed(line), Cow::Owned)
}
