//! Secrets that people give: where they come from, and how they get to a host.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Read};

use super::ask;
use super::printed::printed;
use crate::commands::asked::while_a_person_thinks;
use crate::commands::exit::Exit;
use crate::commands::failure;
use crate::commands::session::Session;
use crate::host::Password;
use crate::plan::Plan;
use crate::report::{Failure, Reporter};
use crate::steps::ASKED;

/// The longest value that is taken.
const LONGEST: usize = 1024;

/// What may stand in a value besides letters and digits.
const MARKS: &str = "-._~";

/// Values by the names of their secrets, each asked for once a command.
#[derive(Debug, Default)]
pub(in crate::commands) struct Given {
    values: BTreeMap<String, Password>,
    /// Commands that print values, by the names of their secrets.
    commands: BTreeMap<String, String>,
}

/// The secrets that a plan takes from a person.
fn asked(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.changes().filter_map(|change| change.action.arguments.get(ASKED)).flat_map(|names| names.lines())
}

impl Given {
    /// One value that is known already.
    pub fn of(name: &str, value: Password) -> Self {
        Self { values: BTreeMap::from([(name.to_owned(), value)]), ..Self::default() }
    }

    /// Values that these commands print.
    pub fn by(commands: &BTreeMap<String, String>) -> Self {
        Self { commands: commands.clone(), ..Self::default() }
    }

    /// Takes from the environment what these plans want of a person; an error where something is
    /// missing and there is nobody to ask.
    pub fn look(&mut self, plans: &[&Plan]) -> Result<(), Failure> {
        for (name, host) in self.wanted(plans) {
            let variable = variable(name);
            match std::env::var(&variable) {
                Ok(value) => {
                    check(&value).map_err(|mistake| mistake.told(&variable))?;
                    self.values.insert(name.to_owned(), Password::new(value));
                }
                Err(_) if can_ask() || self.commands.contains_key(name) => {}
                Err(_) => {
                    let what = format!(
                        "{host} does not have the secret {name}, and there is no terminal to ask on; nothing was changed"
                    );
                    return Err(Failure {
                        hints: vec![
                            format!("set {variable} in the environment"),
                            format!("or give it to the host: `provision secrets {host} set {name}`"),
                        ],
                        ..failure::plain(Exit::Refused, what)
                    });
                }
            }
        }
        Ok(())
    }

    /// Asks for what is still missing.
    pub fn ask(&mut self, plans: &[&Plan], reporter: &dyn Reporter) -> Result<(), Failure> {
        for (name, host) in self.wanted(plans) {
            if let Some(command) = self.commands.get(name) {
                self.values.insert(name.to_owned(), of_command(name, command)?);
                continue;
            }
            let mut answer = None;
            while_a_person_thinks(|| reporter.suspend(&mut || answer = Some(prompt(name, host))));
            self.values.insert(name.to_owned(), answer.unwrap_or_else(|| Err(nothing_given(name)))?);
        }
        Ok(())
    }

    /// What has no value yet: each once, with the first host that wants it.
    fn wanted<'p>(&self, plans: &[&'p Plan]) -> Vec<(&'p str, &'p str)> {
        let mut seen = BTreeSet::new();
        plans
            .iter()
            .flat_map(|plan| asked(plan).map(|name| (name, plan.host.as_str())))
            .filter(|(name, _)| !self.values.contains_key(*name) && seen.insert(*name))
            .collect()
    }

    /// Lays on the host what this plan takes: the run that follows puts it in its place.
    pub async fn hand_over(&self, session: &mut Session<'_>, plan: &Plan) -> Result<(), Failure> {
        let stack = session.stack_name().to_owned();
        for name in asked(plan) {
            let Some(value) = self.values.get(name) else {
                let what = format!("{} does not have the secret {name} any more", session.name);
                return Err(failure::with_hint(Exit::Refused, what, "run the same again"));
            };
            let parameters = [("verb", "put"), ("stack", &stack), ("name", name), ("value", value.reveal())];
            ask(&mut session.link, &parameters).await?;
        }
        Ok(())
    }
}

/// A value for that secret: hidden and twice on a terminal, and else what stands on stdin, to its end.
pub(super) fn read(name: &str, host: &str, reporter: &dyn Reporter) -> Result<Password, Failure> {
    if can_ask() {
        let mut answer = None;
        while_a_person_thinks(|| reporter.suspend(&mut || answer = Some(prompt(name, host))));
        return answer.unwrap_or_else(|| Err(nothing_given(name)));
    }
    let failed = |what: String| failure::with_hint(Exit::Usage, what, PIPE_IT);
    if std::io::stdin().is_terminal() {
        return Err(failed("there is no terminal to ask on".into()));
    }
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(LONGEST as u64 + 2)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(format!("standard input cannot be read: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let value = text.strip_suffix('\n').unwrap_or(&text);
    check(value).map_err(|mistake| mistake.told("standard input"))?;
    Ok(Password::new(value.to_owned()))
}

const PIPE_IT: &str =
    "without one the value comes on standard input: `pass db | provision secrets web1 set db --yes`";

/// The variable of the environment that may hold a secret.
fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("PROVISION_SECRET_{}", name.chars().map(letter).collect::<String>())
}

fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a value, hidden and twice; what is none is said, and asked for again.
fn prompt(name: &str, host: &str) -> Result<Password, Failure> {
    // Ctrl-C is an answer: it must not end us before the cursor is shown again.
    let _interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    let answer = dialoguer::Password::new()
        .with_prompt(format!("the secret {name} for {host}"))
        .with_confirmation("the same again", "these are two; once more")
        .validate_with(|value: &String| check(value).map_err(|mistake| mistake.what))
        .interact();
    let _ = console::Term::stderr().show_cursor();
    answer.map(Password::new).map_err(|_| nothing_given(name))
}

/// What a command of the settings prints, where that can be a secret.
fn of_command(name: &str, command: &str) -> Result<Password, Failure> {
    let value = printed(name, command)?;
    check(&value).map_err(|mistake| mistake.told(&format!("the command for the secret {name}")))?;
    Ok(Password::new(value))
}

fn nothing_given(name: &str) -> Failure {
    failure::plain(Exit::NotConfirmed, format!("nobody gave the secret {name}; nothing was changed"))
}

/// Why a value is not taken; nothing of it is in here.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    what: String,
    hint: &'static str,
}

impl Mistake {
    fn told(self, place: &str) -> Failure {
        failure::with_hint(Exit::Usage, format!("{place}: {}", self.what), self.hint)
    }
}

/// Whether a value can be a secret: it is put into addresses, environments, JSON and configuration
/// files as it is, and must mean the same in all of them.
fn check(value: &str) -> Result<(), Mistake> {
    let mistake = |what: String, hint| Err(Mistake { what, hint });
    if value.is_empty() {
        return mistake("the value is empty".into(), "nothing was changed");
    }
    if value.len() > LONGEST {
        return mistake(format!("the value is longer than {LONGEST} bytes"), "nothing was changed");
    }
    if value.chars().any(char::is_control) {
        return mistake("there is a control character in the value".into(), "a value is one line");
    }
    if !value.chars().all(|c| c.is_ascii_alphanumeric() || MARKS.contains(c)) {
        return mistake(
            format!("letters and digits of ASCII and {} alone may stand in a value", spaced(MARKS)),
            "it gets into addresses, environments, JSON and configuration files, and must mean the same in all of them",
        );
    }
    Ok(())
}

fn spaced(marks: &str) -> String {
    marks.chars().map(|mark| format!("`{mark}`")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_mean_the_same_everywhere() {
        for good in ["x", "0aZ-._~", &"a".repeat(1024)] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, expected) in [
            ("", "the value is empty"),
            (&*"a".repeat(1025), "longer than 1024 bytes"),
            ("a\nb", "a control character"),
            ("a\u{7f}", "a control character"),
            ("geheim!", "`-` `.` `_` `~` alone may stand"),
            ("a b", "alone may stand"),
            ("a@b", "alone may stand"),
            ("a$b", "alone may stand"),
            ("schön", "alone may stand"),
        ] {
            let mistake = check(bad).expect_err(bad);
            assert!(mistake.what.contains(expected), "{bad}: {}", mistake.what);
            assert!(bad.is_empty() || !format!("{mistake:?}").contains("geheim"), "{mistake:?}");
        }
    }

    #[test]
    fn a_command_prints_a_value() {
        let value = |command: &str| of_command("mail", command).map(|value| value.reveal().to_owned());
        assert_eq!(value("echo abc").ok().as_deref(), Some("abc"));
        assert_eq!(value("printf abc").ok().as_deref(), Some("abc"));
        for (command, what) in [
            ("echo 'no such entry' >&2; exit 3", "the command for the secret mail failed (exit status: 3)"),
            ("true", "the value is empty"),
            ("printf 'a\\nb'", "a control character"),
            ("/no/such/program", "failed (exit status: 127)"),
        ] {
            let failure = of_command("mail", command).expect_err(command);
            assert!(failure.what.contains(what), "{command}: {}", failure.what);
            assert!(failure.hints.iter().all(|hint| !hint.contains("abc")));
        }
    }

    #[test]
    fn a_variable_is_named_after_its_secret() {
        assert_eq!(variable("db_url-password.2"), "PROVISION_SECRET_DB_URL_PASSWORD_2");
    }
}
