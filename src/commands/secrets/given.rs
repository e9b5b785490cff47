//! Secrets that people give: where they come from, and how they get to a host.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ask;
use super::printed::printed;
use crate::commands::asked::while_a_person_thinks;
use crate::commands::exit::Exit;
use crate::commands::failure;
use crate::commands::session::Session;
use crate::host::Password;
use crate::plan::Plan;
use crate::report::{Failure, Reporter};
use crate::steps::{ASKED, SecretsOptions};

/// The longest value that is taken, in bytes: a chain of certificates fits, and an environment
/// variable of Linux holds four times as much.
const LONGEST: usize = 32 * 1024;

/// Values by the names of their secrets, each asked for once a command.
#[derive(Debug, Default)]
pub(in crate::commands) struct Given {
    values: BTreeMap<String, Password>,
    /// Commands that print values, by the names of their secrets.
    commands: BTreeMap<String, String>,
    /// Secrets that have to be one line, with the file that cannot hold another.
    one_line: BTreeMap<String, String>,
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

    /// Values for these secrets: from the commands that print them, or else from a person.
    pub fn by(options: &SecretsOptions) -> Self {
        Self { commands: options.commands.clone(), one_line: options.one_line(), ..Self::default() }
    }

    /// Takes from the environment what these plans want of a person; an error where something is
    /// missing and there is nobody to ask.
    pub fn look(&mut self, plans: &[&Plan]) -> Result<(), Failure> {
        for (name, host) in self.wanted(plans) {
            let variable = variable(name);
            match std::env::var_os(&variable).ok_or(()) {
                Ok(value) => {
                    let value = text(value.as_bytes(), self.one_line.get(name))
                        .map_err(|mistake| mistake.told(&variable))?;
                    self.values.insert(name.to_owned(), Password::new(value));
                }
                Err(()) if can_ask() || self.commands.contains_key(name) => {}
                Err(()) => {
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
                self.values.insert(name.to_owned(), of_command(name, command, self.one_line.get(name))?);
                continue;
            }
            let mut answer = None;
            while_a_person_thinks(|| {
                reporter.suspend(&mut || answer = Some(prompt(name, host, self.one_line.get(name))))
            });
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
            let value = STANDARD.encode(value.reveal());
            let parameters = [("verb", "put"), ("stack", &stack), ("name", name), ("value", &value)];
            ask(&mut session.link, &parameters).await?;
        }
        Ok(())
    }
}

/// A value for that secret: hidden and twice on a terminal, and else what stands on stdin, to its end.
pub(super) fn read(
    name: &str,
    host: &str,
    one_line: Option<&String>,
    reporter: &dyn Reporter,
) -> Result<Password, Failure> {
    if can_ask() {
        let mut answer = None;
        while_a_person_thinks(|| reporter.suspend(&mut || answer = Some(prompt(name, host, one_line))));
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
    let value = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    text(value, one_line).map(Password::new).map_err(|mistake| mistake.told("standard input"))
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
fn prompt(name: &str, host: &str, one_line: Option<&String>) -> Result<Password, Failure> {
    // Ctrl-C is an answer: it must not end us before the cursor is shown again.
    let _interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    let answer = dialoguer::Password::new()
        .with_prompt(format!("the secret {name} for {host}"))
        .with_confirmation("again", "the two values differ; try again")
        .validate_with(|value: &String| check(value, one_line).map_err(|mistake| mistake.what))
        .interact();
    let _ = console::Term::stderr().show_cursor();
    answer.map(Password::new).map_err(|_| nothing_given(name))
}

/// What a command of the settings prints, where that can be a secret.
fn of_command(name: &str, command: &str, one_line: Option<&String>) -> Result<Password, Failure> {
    let place = format!("the command for the secret {name}");
    text(&printed(name, command)?, one_line).map(Password::new).map_err(|mistake| mistake.told(&place))
}

fn nothing_given(name: &str) -> Failure {
    failure::plain(
        Exit::NotConfirmed,
        format!("no value was given for the secret {name}; nothing was changed"),
    )
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

/// The text that a secret is.
fn text(bytes: &[u8], one_line: Option<&String>) -> Result<String, Mistake> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Mistake {
            what: "the value is not UTF-8 text".into(),
            hint: "encode it, as base64 does",
        });
    };
    check(text, one_line).map(|()| text.to_owned())
}

/// Whether a value can be a secret. Any text can, as long as an environment variable can hold it;
/// `one_line` is a file that has no way to write a line break.
fn check(value: &str, one_line: Option<&String>) -> Result<(), Mistake> {
    let mistake = |what: String, hint| Err(Mistake { what, hint });
    if value.is_empty() {
        return mistake("the value is empty".into(), "nothing was changed");
    }
    if value.len() > LONGEST {
        let what = format!("the value is longer than {LONGEST} bytes");
        return mistake(what, "nothing was changed; a secret of that size belongs in a file of its own");
    }
    if value.contains('\0') {
        let what = "there is a NUL character in the value, which no environment variable can hold".into();
        return mistake(what, "encode it, as base64 does");
    }
    if let Some(file) = one_line.filter(|_| value.contains(['\n', '\r'])) {
        let what = format!("there is a line break in the value, which {file} cannot hold");
        return mistake(
            what,
            "leave out `format: raw` of the env_file in the Compose file, or give the secret as a file",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_value() {
        let pem = "-----BEGIN KEY-----\nAKIA/ab+cd=\n-----END KEY-----\n";
        for good in ["x", "AKIA/ab+cd=", pem, " ö '\"$(x) `\\ #\t\u{7f}", &"a".repeat(LONGEST)] {
            assert_eq!(text(good.as_bytes(), None).as_deref(), Ok(good));
        }
        let file = "app.env".to_owned();
        assert_eq!(check("a b$", Some(&file)), Ok(()));
        for (bad, one_line, expected) in [
            (&b""[..], None, "the value is empty"),
            (&[b'a'; LONGEST + 1], None, "longer than 32768 bytes"),
            (b"geheim\0", None, "a NUL character"),
            (b"geheim\xff", None, "not UTF-8"),
            (b"geheim\n1", Some(&file), "a line break in the value, which app.env cannot hold"),
            (b"geheim\r", Some(&file), "a line break"),
        ] {
            let mistake = text(bad, one_line).expect_err(expected);
            assert!(mistake.what.contains(expected), "{}", mistake.what);
            assert!(!format!("{mistake:?}").contains("geheim"), "{mistake:?}");
        }
    }

    #[test]
    fn a_command_prints_a_value() {
        let value = |command: &str| of_command("mail", command, None).map(|value| value.reveal().to_owned());
        for (command, expected) in
            [("echo abc", "abc"), ("printf abc", "abc"), ("printf 'a\\nb\\n\\n'", "a\nb\n")]
        {
            assert_eq!(value(command).ok().as_deref(), Some(expected));
        }
        for (command, what) in [
            ("echo 'no such entry' >&2; exit 3", "the command for the secret mail failed (exit status: 3)"),
            ("true", "the value is empty"),
            ("printf 'a\\000b'", "a NUL character"),
            ("/no/such/program", "failed (exit status: 127)"),
        ] {
            let failure = of_command("mail", command, None).expect_err(command);
            assert!(failure.what.contains(what), "{command}: {}", failure.what);
            assert!(failure.hints.iter().all(|hint| !hint.contains("abc")));
        }
    }

    #[test]
    fn a_variable_is_named_after_its_secret() {
        assert_eq!(variable("db_url-password.2"), "PROVISION_SECRET_DB_URL_PASSWORD_2");
    }
}
