//! Plans that were saved for a review and are applied later.

mod stale;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::{exit_of, failure};
use crate::cli::{Global, Show};
use crate::plan::{Plan, Recorded};
use crate::report::{
    Event, Failure, Reporter, colour_on_stdout, print, recorded, render_plan, render_plan_markdown,
};

/// The format's number; it changes when an older file would be misread.
const FORMAT: u64 = 1;

/// The largest file that is read. A plan that fills it has tens of thousands of files.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What every saved plan has, of whatever format.
const KEY: &str = "provision-plan";

/// Plans that were saved. `up` plans again, and the plan must be the same.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    hosts: Vec<SavedHost>,
}

#[derive(Debug, Deserialize)]
struct SavedHost {
    #[serde(flatten)]
    plan: Plan,
    /// What was shown of the files of each change, in their order.
    #[serde(default)]
    shown: BTreeMap<String, Vec<Recorded>>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "provision-plan")]
    format: u64,
    hosts: Vec<WrittenHost<'a>>,
}

#[derive(Serialize)]
struct WrittenHost<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    shown: BTreeMap<&'a str, Vec<Recorded>>,
}

/// Saves plans: what they would do, and of files what is shown of them.
pub(super) fn write(path: &Path, plans: &[&Plan]) -> Result<(), Failure> {
    let hosts = plans.iter().map(|plan| WrittenHost { plan, shown: recorded_files(plan) }).collect();
    let text = serde_json::to_string_pretty(&Written { format: FORMAT, hosts }).map_err(|error| {
        failure::plain(Exit::Bug, format!("the plan could not be written as JSON: {error}"))
    })?;
    // It describes the host, so only its owner may read it.
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    options.and_then(|mut file| file.write_all((text + "\n").as_bytes())).map_err(|error| {
        failure::plain(Exit::Usage, format!("the plan could not be saved in {}: {error}", path.display()))
    })
}

fn recorded_files(plan: &Plan) -> BTreeMap<&str, Vec<Recorded>> {
    let changes = plan.changes().filter(|change| !change.files.is_empty());
    changes.map(|change| (change.id.as_str(), change.files.iter().map(recorded).collect())).collect()
}

/// Whether a file's content is a saved plan, which is no part of the stack in whose folder it lies.
pub(super) fn is_one(content: &[u8]) -> bool {
    content.starts_with(b"{\n  \"provision-plan\": ")
}

/// Reads saved plans.
pub(super) fn read(path: &Path) -> Result<Saved, Failure> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(
        |error| {
            let what = format!("the plan {} cannot be read: {error}", path.display());
            failure::with_hint(Exit::Usage, what, SAVE_IT)
        },
    )?;
    parse(&bytes)
        .map_err(|(what, hint)| failure::with_hint(Exit::Usage, format!("{} {what}", path.display()), hint))
}

const SAVE_IT: &str = "`provision plan HOST --out FILE` saves one";

fn parse(bytes: &[u8]) -> Result<Saved, (String, String)> {
    let foreign = || ("is not a saved plan".to_owned(), SAVE_IT.to_owned());
    if bytes.len() as u64 > LARGEST {
        return Err(foreign());
    }
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| match is_one(bytes) {
        true => (format!("is a saved plan that is damaged: {error}"), SAVE_IT.to_owned()),
        false => foreign(),
    })?;
    let format = value.get(KEY).and_then(serde_json::Value::as_u64).ok_or_else(foreign)?;
    if format > FORMAT {
        return Err((
            format!("was saved by a newer provision: it has format {format}, and this one reads {FORMAT}"),
            "update provision, or save the plan again with this one: `provision plan HOST --out FILE`".into(),
        ));
    }
    let mut saved: Saved = serde_json::from_value(value)
        .map_err(|error| (format!("is a saved plan that is damaged: {error}"), SAVE_IT.to_owned()))?;
    for SavedHost { plan, shown } in &mut saved.hosts {
        for change in plan.steps.iter_mut().flat_map(|step| &mut step.changes) {
            let Some(files) = shown.remove(&change.id) else { continue };
            for (file, recorded) in change.files.iter_mut().zip(files) {
                file.recorded = Some(recorded);
            }
        }
    }
    Ok(saved)
}

/// `provision show FILE`: the plans as `provision plan` printed them.
pub(super) fn show(path: &Path, arguments: &Show, global: &Global, reporter: &dyn Reporter) -> Exit {
    let wanted = arguments.host.as_ref().map(ToString::to_string);
    let result = read(path).and_then(|saved| saved.of(wanted.as_deref(), path));
    let plans = match result {
        Ok(plans) => plans,
        Err(failure) => {
            let exit = exit_of(&failure);
            reporter.tell("", &Event::Failed(failure));
            return exit;
        }
    };
    for plan in plans {
        if global.json {
            let host = plan.host.clone();
            reporter.tell(&host, &Event::Planned { plan: Box::new(plan) });
        } else if arguments.markdown {
            print(&render_plan_markdown(&plan));
        } else {
            print(&render_plan(&plan, colour_on_stdout(), super::verbosity(global)));
        }
    }
    Exit::Done
}

impl Saved {
    /// The plans, or the one for that host.
    fn of(self, host: Option<&str>, path: &Path) -> Result<Vec<Plan>, Failure> {
        let mut plans: Vec<_> = self.hosts.into_iter().map(|saved| saved.plan).collect();
        let all: Vec<_> = plans.iter().map(|plan| plan.host.clone()).collect();
        plans.retain(|plan| host.is_none_or(|host| host == plan.host));
        match host {
            Some(host) if plans.is_empty() => Err(failure::with_hint(
                Exit::Usage,
                format!("{} has no plan for {host}", path.display()),
                format!("it has one for {}", crate::nearest::listed(all.iter().map(String::as_str))),
            )),
            _ => Ok(plans),
        }
    }

    /// Refuses a plan that is not what was saved for its host.
    pub fn must_be(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(SavedHost { plan: saved, .. }) =
            self.hosts.iter().find(|saved| saved.plan.host == plan.host)
        else {
            return Err(failure::with_hint(
                Exit::Refused,
                format!("the saved plan is not for {}", plan.host),
                "save one that has it: `provision plan HOST… --out FILE`",
            ));
        };
        // What was planned may have been done already.
        if saved.fingerprint == plan.fingerprint || plan.is_empty() {
            return Ok(());
        }
        Err(Failure {
            output: stale::differences(saved, plan),
            ..failure::with_hint(
                Exit::Refused,
                "the host, or what is here, has changed since the plan was saved; nothing was changed",
                format!("save it again: `provision plan {} --out FILE`", plan.host),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn saved(plan: &Plan) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("web1.plan");
        write(&path, &[plan]).expect("it is written");
        std::fs::read(path).expect("it is there")
    }

    #[test]
    fn what_is_saved_is_shown_as_it_was_printed() {
        for plan in [samples::bare(), samples::converged(), samples::removal()] {
            let bytes = saved(&plan);
            assert!(is_one(&bytes));
            let again = &parse(&bytes).expect("it is a plan").hosts[0].plan;
            for verbosity in [
                crate::report::Verbosity::Quiet,
                crate::report::Verbosity::Normal,
                crate::report::Verbosity::Verbose,
            ] {
                assert_eq!(render_plan(again, false, verbosity), render_plan(&plan, false, verbosity));
            }
            assert_eq!(render_plan_markdown(again), render_plan_markdown(&plan));
            assert_eq!(serde_json::to_value(again).ok(), serde_json::to_value(&plan).ok());
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let good = String::from_utf8_lossy(&saved(&samples::bare())).into_owned();
        for (text, expected) in [
            ("", "is not a saved plan"),
            ("hosts = []", "is not a saved plan"),
            ("{\"hosts\": []}", "is not a saved plan"),
            ("{\"provision-plan\": \"x\", \"hosts\": []}", "is not a saved plan"),
            (&good[..good.len() / 2], "is a saved plan that is damaged"),
            (
                &good.replace("\"reason\"", "\"raeson\""),
                "is a saved plan that is damaged: missing field `reason`",
            ),
            (
                &good.replace("plan\": 1", "plan\": 2"),
                "was saved by a newer provision: it has format 2, and this one reads 1",
            ),
        ] {
            let (what, _) = parse(text.as_bytes()).expect_err(expected);
            assert!(what.starts_with(expected), "{what}");
        }
        // One that an earlier version saved has no contents.
        let earlier = samples::removal();
        let value = serde_json::json!({ "provision-plan": 1, "hosts": [earlier] });
        let again = parse(value.to_string().as_bytes()).expect("it is a plan");
        assert_eq!(again.hosts[0].plan.fingerprint, earlier.fingerprint);
    }
}
