//! The user step: who may use Docker without sudo.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claims::{Claim, Members};
use super::{Model, Refusal, Step, planned};
use crate::facts::{Become, Question, Questions};
use crate::plan::{Action, Change, PlannedStep, Risk};

const GROUP: &str = "docker";

/// Who may use Docker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserOptions {
    /// Whether the login that provision uses may use Docker without sudo. It has root's powers then.
    /// Unless set, it may where sudo asks it for no password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<bool>,
    /// Other logins that may.
    pub members: Vec<String>,
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
        let left_out = self.left_out(model);
        // Said once: a stack that is on the host has been decided about.
        let origin = format!("/var/lib/provision/stacks/{}/origin", model.claims.stack());
        let is_new = model.claims.recorded == Claim::default() && model.file(&origin).is_none();
        if let Some(login) = left_out.as_ref().filter(|_| is_new) {
            step.warnings.push(format!(
                "anyone in the group {GROUP} is effectively root; sudo asks {login} for a password here, so {login} \
                 stays out of the group: `login = true` in [steps.user] adds it, `sudo docker` works as ever"
            ));
        }
        let missing = |name: &&String| matches!(model.facts.users.get(*name), Some(None));
        if let Some(unknown) = asked.all().find(missing) {
            let what = format!("there is no login `{unknown}` in /etc/passwd on the host");
            // It may come from a directory (LDAP), which the probe does not ask.
            if !model.force {
                let hint = "fix `members` in [steps.user], or create the user first (`adduser`); \
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
        step.state = match (names.len(), left_out) {
            (0, Some(login)) => format!("{login} uses Docker with sudo, which asks for a password"),
            (0, None) if self.options.login == Some(false) => format!("the group {GROUP} stays as it is"),
            (0, None) => "root needs no group".into(),
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
        if self.options.login.unwrap_or_else(|| is_free_to_join(model)) {
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

    /// The login that could be added and is not, since its sudo asks for a password.
    fn left_out(&self, model: &Model) -> Option<String> {
        let login = &model.facts.identity.user;
        let is_left = self.options.login.is_none()
            && !is_free_to_join(model)
            && !self.options.members.iter().any(|name| name == login);
        is_left.then(|| login.clone())
    }

    /// Members that the last run added for this stack, and that no claim asks for now.
    fn left_over(&self, model: &Model, asked: &Members) -> Vec<String> {
        let others: BTreeSet<_> = model.claims.else_asked().flat_map(|(_, claim)| claim.user.all()).collect();
        let is_wanted = |name: &&String| others.contains(name) || asked.all().any(|other| other == *name);
        let recorded = &model.claims.recorded.user.added;
        recorded.iter().filter(|name| !is_wanted(name) && is_member(model, name)).cloned().collect()
    }
}

/// Whether the group gives the login nothing that it does not have: it is root, or a member, or
/// becomes root without a password.
fn is_free_to_join(model: &Model) -> bool {
    let identity = &model.facts.identity;
    identity.becomes != Become::SudoPassword || is_member(model, &identity.user)
}

fn is_member(model: &Model, name: &String) -> bool {
    let group = model.facts.groups.get(GROUP).and_then(Option::as_ref);
    group.is_some_and(|group| group.members.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Group;
    use crate::steps::tests::{bare, options};

    fn planned(becomes: Become, member: bool, settings: &str) -> (Vec<String>, Vec<String>, Members) {
        let mut model = Model { facts: bare(), ..Model::default() };
        model.facts.identity.becomes = becomes;
        let members = member.then(|| "deploy".to_owned()).into_iter().collect();
        model.facts.groups.insert(GROUP.into(), Some(Group { gid: 998, members }));
        let step = User::new(options(&format!("[user]\n{settings}")).user);
        let planned = step.plan(&mut model).expect("it can be planned");
        let ids = planned.changes.into_iter().map(|change| change.id).collect();
        (ids, planned.warnings, model.claims.asked.user)
    }

    /// The group is root's power: a login has it already, or its owner says so.
    #[test]
    fn a_login_whose_sudo_asks_stays_out() {
        let cases = [
            (Become::Sudo, false, "", true),
            (Become::Root, false, "", true),
            (Become::SudoPassword, false, "", false),
            (Become::SudoPassword, false, "login = true", true),
            (Become::SudoPassword, false, "login = false", false),
            (Become::SudoPassword, false, "members = ['deploy']", true),
            (Become::Sudo, false, "login = false", false),
        ];
        for (becomes, member, settings, added) in cases {
            let (ids, warnings, _) = planned(becomes, member, settings);
            assert_eq!(ids == ["user/member:deploy"], added, "{becomes:?} {settings}: {ids:?}");
            let said = warnings.iter().any(|warning| warning.contains("`login = true` in [steps.user]"));
            assert_eq!(
                said,
                becomes == Become::SudoPassword && settings.is_empty(),
                "{settings}: {warnings:?}"
            );
        }
    }

    /// Who is a member already stays one, and stays in the stack's claim.
    #[test]
    fn a_member_stays_one() {
        let (ids, warnings, asked) = planned(Become::SudoPassword, true, "");
        assert_eq!((ids.len(), warnings.len()), (0, 0), "{warnings:?}");
        assert!(asked.logins.contains("deploy"));
        assert!(asked.added.is_empty(), "provision did not add it");
    }
}
