//! The secrets step: values that the host makes for itself and that nobody else ever sees.
//!
//! A value is made on the host, once, and stays there. Programs get it by files that
//! the host writes: each with the owner that reads it in its container, each with the
//! lines that it wants. No value is in a plan, a run, a journal or an argument.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Refusal, Step, planned};
use crate::facts::{Question, Questions};
use crate::plan::{Action, Change, PlannedStep, sha256};

const STEP: &str = "secrets";

/// Below it there is a folder a stack.
const ROOT: &str = "/etc/provision/secrets";

/// Secrets that the host makes for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsOptions {
    /// The names of values that are made on the host where it has none: 32 hexadecimal digits each.
    pub generate: Vec<String>,
    /// Files with values in them, written on the host below `/etc/provision/secrets/STACK`.
    pub files: Vec<SecretFile>,
}

/// A file with secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// Its name in that folder.
    pub path: String,
    /// Who reads it, as numbers: `UID:GID`. root's unless told.
    #[serde(default = "root")]
    pub owner: String,
    /// Its lines. `{NAME}` stands for the value of that name.
    pub lines: Vec<String>,
}

fn root() -> String {
    "0:0".into()
}

/// The secrets step.
#[derive(Debug)]
pub struct Secrets {
    options: SecretsOptions,
    stack: String,
}

impl Secrets {
    /// The step with its options, for the stack of that name.
    pub fn new(options: SecretsOptions, stack: &str) -> Self {
        Self { options, stack: stack.to_owned() }
    }

    fn folder(&self) -> String {
        format!("{ROOT}/{}", self.stack)
    }

    /// What the files are made from, as the host reads it: `@NAME OWNER SHA256`, then the lines,
    /// each behind a space.
    fn templates(&self) -> String {
        let mut text = String::new();
        for file in &self.options.files {
            text.push_str(&format!("@{} {} {}\n", file.path, file.owner, template_hash(file)));
            for line in &file.lines {
                text.push_str(&format!(" {line}\n"));
            }
        }
        text
    }

    /// What a person has to mend.
    fn check(&self) -> Result<(), Refusal> {
        let refuse = |what: String, hint: &str| Err(Refusal::new(STEP, what, hint));
        let mut seen = BTreeSet::new();
        for name in &self.options.generate {
            if !is_name(name) {
                return refuse(
                    format!("`{name}` is no name for a secret"),
                    "mend `generate` in [steps.secrets]; a name is letters, digits, `.`, `_` and `-`",
                );
            }
        }
        for file in &self.options.files {
            let name = &file.path;
            if !is_name(name) || !seen.insert(name) || name == "values" || name == "made" {
                return refuse(
                    format!("`{name}` is no name for a file of secrets, or is there twice"),
                    "mend `files` in [steps.secrets]; a name is letters, digits, `.`, `_` and `-`",
                );
            }
            let is_number = |text: &str| text.parse::<u32>().is_ok();
            if !file.owner.split_once(':').is_some_and(|(user, group)| is_number(user) && is_number(group)) {
                return refuse(
                    format!("`{}` is no owner for {name}", file.owner),
                    "mend `owner` in [steps.secrets]; it is two numbers, `UID:GID`",
                );
            }
            for line in &file.lines {
                if line.chars().any(char::is_control) {
                    return refuse(
                        format!("a line of {name} has a control character in it"),
                        "mend `lines` in [steps.secrets]; each line is an entry of its own",
                    );
                }
                if let Some(unknown) =
                    names(line).find(|name| !self.options.generate.iter().any(|known| known == name))
                {
                    return refuse(
                        format!("{name} wants the secret `{unknown}`, which is not in `generate`"),
                        "add it to `generate` in [steps.secrets], or mend the name",
                    );
                }
            }
        }
        Ok(())
    }
}

/// A name in a folder of the host, and in a line.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The names that stand in braces; other braces, JSON's for one, are none of ours.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let inside = line.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    inside.map(|(name, _)| name).filter(|name| is_name(name))
}

fn template_hash(file: &SecretFile) -> String {
    sha256(format!("{}\n{}", file.owner, file.lines.join("\n")).as_bytes()).chars().take(16).collect()
}

impl Step for Secrets {
    fn name(&self) -> &'static str {
        STEP
    }

    fn questions(&self, questions: &mut Questions) {
        let folder = self.folder();
        // Which of them are there is all that is asked: their hashes stay on the host.
        questions.insert(Question::File { path: format!("{folder}/made"), unless: None });
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        self.check()?;
        let mut step = planned(STEP);
        let made = model.text(&format!("{}/made", self.folder())).unwrap_or_default().to_owned();
        let has = |entry: &str| made.lines().any(|line| line == entry);
        let missing: Vec<_> =
            self.options.generate.iter().filter(|name| !has(&format!("value {name}"))).cloned().collect();
        let stale: Vec<_> = self
            .options
            .files
            .iter()
            .filter(|file| !has(&format!("file {} {}", file.path, template_hash(file))))
            .map(|file| file.path.clone())
            .collect();
        step.state = match self.options.generate.len() {
            0 => "none are asked for".into(),
            1 => "1 value, known to the host alone".into(),
            count => format!("{count} values, known to the host alone"),
        };
        if missing.is_empty() && stale.is_empty() {
            return Ok(step);
        }
        let title = match (missing.as_slice(), stale.len()) {
            ([], _) => format!("write {} with secrets in {}", stale.join(", "), self.folder()),
            (missing, 0) => format!("make the secrets {} in {}", missing.join(", "), self.folder()),
            (missing, 1) => {
                format!("make the secrets {} in {}, and a file with them", missing.join(", "), self.folder())
            }
            (missing, count) => {
                format!(
                    "make the secrets {} in {}, and {count} files with them",
                    missing.join(", "),
                    self.folder()
                )
            }
        };
        step.changes.push(Change {
            id: "secrets/made".into(),
            title,
            reason: if missing.is_empty() {
                "they are to hold something else".into()
            } else {
                "the host does not have them; nobody else will see them".into()
            },
            risks: Vec::new(),
            files: Vec::new(),
            // What is encrypted or set up with them is lost with them.
            undo: None,
            action: Action::new(STEP, "made")
                .with("folder", self.folder())
                .with(
                    "values",
                    self.options.generate.iter().map(|name| format!("{name}\n")).collect::<String>(),
                )
                .with("templates", self.templates())
                .within(60),
        });
        model.secrets_change = true;
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::tests::{bare, options, put};

    const TEXT: &str = r#"
secrets.generate = ["db", "page"]
secrets.files = [
  { path = "server.env", lines = ["PASSWORD={db}", 'AUTH={"admin": "{page}"}'] },
  { path = "db_password", owner = "999:999", lines = ["{db}"] },
]"#;

    fn plan(text: &str, made: Option<&str>) -> Result<PlannedStep, Refusal> {
        let mut facts = bare();
        if let Some(made) = made {
            put(&mut facts, "/etc/provision/secrets/shop/made", made);
        }
        let mut model = Model { facts, ..Model::default() };
        Secrets::new(options(text).secrets, "shop").plan(&mut model)
    }

    #[test]
    fn they_are_made_once() {
        let step = plan(TEXT, None).expect("it can be planned");
        let change = &step.changes[0];
        assert_eq!(
            change.title,
            "make the secrets db, page in /etc/provision/secrets/shop, and 2 files with them"
        );
        let templates = &change.action.arguments["templates"];
        let made: String = templates
            .lines()
            .filter_map(|line| line.strip_prefix('@'))
            .map(|line| {
                let words: Vec<_> = line.split(' ').collect();
                format!("file {} {}\n", words[0], words[2])
            })
            .collect();
        let made = format!("value db\nvalue page\n{made}");
        assert!(plan(TEXT, Some(&made)).expect("it can be planned").changes.is_empty());
        let other = TEXT.replace("admin", "root");
        let step = plan(&other, Some(&made)).expect("it can be planned");
        assert_eq!(step.changes[0].title, "write server.env with secrets in /etc/provision/secrets/shop");
        let more = TEXT.replace("\"page\"]", "\"page\", \"more\"]");
        let step = plan(&more, Some(&made)).expect("it can be planned");
        assert_eq!(step.changes[0].title, "make the secrets more in /etc/provision/secrets/shop");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("secrets.generate = [\"a b\"]", "`a b` is no name for a secret"),
            ("secrets.generate = [\"../x\"]", "`../x` is no name for a secret"),
            ("secrets.files = [{ path = \"made\", lines = [] }]", "`made` is no name for a file"),
            ("secrets.files = [{ path = \"a\", owner = \"root\", lines = [] }]", "`root` is no owner for a"),
            ("secrets.files = [{ path = \"a\", lines = [\"x={db}\"] }]", "a wants the secret `db`"),
            (
                "secrets.files = [{ path = \"a\", lines = [\"x\\ny\"] }]",
                "a line of a has a control character",
            ),
        ] {
            let refusal = plan(text, None).expect_err(text);
            assert!(refusal.what.contains(expected), "{text}: {}", refusal.what);
        }
    }
}
