//! Changes and the plan: a pure fold over steps, without any input or output.

mod change;
mod diff;
mod finding;
mod fingerprint;
mod load;
mod login;
mod secret;

use serde::{Deserialize, Serialize};

pub use change::{Action, Change, FileChange, Risk};
pub use diff::{FileDiff, Recorded, diff};
pub use finding::{Finding, Level};
pub use fingerprint::fingerprint;
pub use load::Own;
pub use login::{has_password, split_login, without_passwords};
pub use secret::names_secret;

/// What a run will do on one host, as a person sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The host as it was named on the command line.
    pub host: String,
    /// The playbook's name.
    pub playbook: String,
    /// The stack, or what stands for it in claims: whose run it is. No part of what a plan says.
    #[serde(skip)]
    pub stack: String,
    /// The steps in their order, each with its changes; a step without changes is listed too.
    pub steps: Vec<PlannedStep>,
    /// What this plan rests on: it differs when the host or the settings differ in what matters.
    pub fingerprint: String,
}

/// A step in a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The step's name.
    #[serde(deserialize_with = "load::text")]
    pub step: Own,
    /// One line that says what holds when it has no change: `Engine 28.3.2, Compose 2.38.2`.
    pub state: String,
    /// Its changes, in order.
    pub changes: Vec<Change>,
    /// What a person should know of this step besides its changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What has changed here and is not brought to the host: told even where nothing is to be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<String>,
    /// Warnings that hold as long as the settings do: repeated when the run has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lasting: Vec<String>,
    /// What the step found (the machine step).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl PlannedStep {
    /// All that a person should know of this step besides its changes.
    pub fn remarks(&self) -> impl Iterator<Item = &String> {
        self.warnings.iter().chain(&self.withheld).chain(&self.lasting)
    }

    fn remarks_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.warnings.iter_mut().chain(&mut self.withheld).chain(&mut self.lasting)
    }
}

impl Plan {
    /// Takes the passwords of addresses out of all that is shown.
    pub fn without_passwords(mut self) -> Self {
        let shown = |text: &mut String| {
            if has_password(text) {
                *text = without_passwords(text).into_owned();
            }
        };
        for step in &mut self.steps {
            shown(&mut step.state);
            step.remarks_mut().for_each(shown);
            for change in &mut step.changes {
                [&mut change.title, &mut change.reason].into_iter().chain(&mut change.undo).for_each(shown);
                for file in &mut change.files {
                    let holds = |text: &[u8]| has_password(&String::from_utf8_lossy(text));
                    file.sensitive |=
                        [&file.content, &file.before].into_iter().flatten().any(|text| holds(text));
                }
            }
        }
        self
    }

    /// All changes in the order in which they are made.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().flat_map(|step| &step.changes)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }
}
