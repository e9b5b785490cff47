//! The user step: who may use Docker without sudo.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claims::Members;
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
        questions.insert(Question::Claims);
        questions.insert(Question::Group(GROUP.into()));
        questions.extend(self.options.members.iter().cloned().map(Question::User));
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        let mut step = planned("user");
        let asked = self.asked(model);
        let missing = |name: &&String| matches!(model.facts.users.get(*name), Some(None));
        if let Some(unknown) = asked.all().find(missing) {
            let what = format!("there is no login `{unknown}` in /etc/passwd on the host");
            // It may come from a directory (LDAP), which the probe does not ask.
            if !model.force {
                let hint = "mend `members` in [steps.user], or make the login first (`adduser`); \
                            `--force` goes on where it comes from a directory";
                return Err(Refusal::new("user", what, hint));
            }
            step.warnings.push(what);
        }
        let wanted: BTreeSet<&String> = asked.all().chain(&model.claims.host.user.members).collect();
        let names: Vec<String> = wanted.into_iter().cloned().collect();
        for name in names.iter().filter(|name| !is_member(model, name)) {
            step.changes.push(Change {
                id: format!("user/member:{name}"),
                title: format!("let {name} use Docker without sudo"),
                reason: format!("{name} is not in the group {GROUP}"),
                risks: vec![Risk::GivesRoot { user: name.clone() }],
                files: Vec::new(),
                undo: Some(format!("gpasswd --delete {name} {GROUP}")),
                action: Action::new("user", "member").with("user", name).with("group", GROUP).within(60),
            });
        }
        for name in self.left_over(model, &asked) {
            step.changes.push(Change {
                id: format!("user/leave:{name}"),
                title: format!("remove {name} from the group {GROUP}"),
                reason: "provision added it, and no stack asks for it any more".into(),
                risks: Vec::new(),
                files: Vec::new(),
                undo: Some(format!("gpasswd --add {name} {GROUP}")),
                action: Action::new("user", "leave").with("user", &name).with("group", GROUP).within(60),
            });
            model.leave(GROUP, &name);
        }
        for name in &names {
            model.join(GROUP, name);
        }
        step.state = match names.len() {
            0 => "root needs no group".into(),
            _ => format!("{} in the group {GROUP}", names.join(", ")),
        };
        model.claims.asked.user = asked;
        Ok(step)
    }
}

impl User {
    fn asked(&self, model: &Model) -> Members {
        let recorded = &model.claims.recorded.user;
        let mut asked =
            Members { members: self.options.members.iter().cloned().collect(), ..Members::default() };
        if self.options.login {
            // A login that has left the group since, or the host, is not brought back.
            asked.logins = recorded.logins.iter().filter(|name| is_member(model, name)).cloned().collect();
            asked.logins.insert(model.facts.identity.user.clone());
        }
        // Root needs no group.
        for names in [&mut asked.members, &mut asked.logins] {
            names.remove("root");
            names.remove("");
        }
        let others = model.claims.others.values().map(|claim| &claim.user.added);
        let made: BTreeSet<_> = others.chain([&recorded.added]).flatten().collect();
        asked.added =
            asked.all().filter(|name| made.contains(name) || !is_member(model, name)).cloned().collect();
        asked
    }

    /// Members that the last run added for this stack, and that no claim asks for now.
    fn left_over(&self, model: &Model, asked: &Members) -> Vec<String> {
        let others: BTreeSet<_> = model.claims.else_asked().flat_map(|(_, claim)| claim.user.all()).collect();
        let is_wanted = |name: &&String| others.contains(name) || asked.all().any(|other| other == *name);
        let recorded = &model.claims.recorded.user.added;
        recorded.iter().filter(|name| !is_wanted(name) && is_member(model, name)).cloned().collect()
    }
}

fn is_member(model: &Model, name: &String) -> bool {
    let group = model.facts.groups.get(GROUP).and_then(Option::as_ref);
    group.is_some_and(|group| group.members.contains(name))
}
