//! The user step: who may use Docker without sudo.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Refusal, Step, planned};
use crate::facts::{Question, Questions};
use crate::plan::{Action, Change, PlannedStep, Risk};

const GROUP: &str = "docker";

/// Who may use Docker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserOptions {
    /// Whether the login that provision uses may use Docker without sudo. It has root's powers then.
    pub login: bool,
    /// Other logins that may.
    pub members: Vec<String>,
}

impl Default for UserOptions {
    fn default() -> Self {
        Self { login: true, members: Vec::new() }
    }
}

/// The user step.
#[derive(Debug)]
pub struct User {
    options: UserOptions,
}

impl User {
    /// The step with its options.
    pub fn new(options: UserOptions) -> Self {
        Self { options }
    }
}

impl Step for User {
    fn name(&self) -> &'static str {
        "user"
    }

    fn questions(&self, questions: &mut Questions) {
        questions.insert(Question::Group(GROUP.into()));
        questions.extend(self.options.members.iter().cloned().map(Question::User));
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        let mut step = planned("user");
        let mut members: BTreeSet<String> = self.options.members.iter().cloned().collect();
        if self.options.login {
            members.insert(model.facts.identity.user.clone());
        }
        // Root needs no group.
        members.remove("root");
        members.remove("");
        let missing = |name: &&String| matches!(model.facts.users.get(*name), Some(None));
        if let Some(unknown) = members.iter().find(missing) {
            let what = format!("there is no login `{unknown}` in /etc/passwd on the host");
            // It may come from a directory (LDAP), which the probe does not ask.
            if !model.force {
                let hint = "mend `members` in [steps.user], or make the login first (`adduser`); \
                            `--force` goes on where it comes from a directory";
                return Err(Refusal::new("user", what, hint));
            }
            step.warnings.push(what);
        }
        for name in &members {
            let group = model.facts.groups.get(GROUP).and_then(Option::as_ref);
            if group.is_some_and(|group| group.members.contains(name)) {
                continue;
            }
            step.changes.push(Change {
                id: format!("user/member:{name}"),
                title: format!("let {name} use Docker without sudo"),
                reason: format!("{name} is not in the group {GROUP}"),
                risks: vec![Risk::GivesRoot { user: name.clone() }],
                files: Vec::new(),
                undo: Some(format!("gpasswd --delete {name} {GROUP}")),
                action: Action::new("user", "member").with("user", name).with("group", GROUP).within(60),
            });
            model.join(GROUP, name);
        }
        step.state = match members.len() {
            0 => "root needs no group".into(),
            _ => format!("{} in the group {GROUP}", members.into_iter().collect::<Vec<_>>().join(", ")),
        };
        Ok(step)
    }
}
