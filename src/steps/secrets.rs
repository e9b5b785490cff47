//! The secrets step: values that the host makes for itself and that nobody else ever sees, and
//! values that a person gives it.
//!
//! A value is made on the host, once, and stays there. One that a person gives gets there
//! before the run, on stdin, and lies beside until a change takes it. Programs get values by files that
//! the host writes: each with the owner that reads it in its container, each with the
//! lines that it wants. No value is in a plan, a run, a journal or an argument.

mod place;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Refusal, Step, planned};
use crate::digest::sha256;
use crate::facts::{Facts, Question, Questions};
use crate::plan::{Action, Change, PlannedStep, Risk};
pub use place::Format;

const STEP: &str = "secrets";

/// The value of a change that names the secrets which it takes from a person, a line each.
pub const ASKED: &str = "asked";

/// Below it there is a folder a stack.
const ROOT: &str = "/etc/provision/secrets";

/// Secrets that the host makes for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsOptions {
    /// The names of values that are made on the host where it has none: 32 hexadecimal digits each.
    pub generate: Vec<String>,
    /// The names of values that a person gives: `up` asks for those that the host does not have.
    pub given: Vec<String>,
    /// Commands that print the value of a given secret, run here and not on the host: `pass show mail`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<String, String>,
    /// Files with values in them, written on the host below `/etc/provision/secrets/STACK`.
    pub files: Vec<SecretFile>,
}

impl SecretsOptions {
    /// From now on a person gives this one, and the host does not make it.
    pub fn give(&mut self, name: &str) {
        self.generate.retain(|other| other != name);
        if !self.given.iter().any(|other| other == name) {
            self.given.push(name.to_owned());
        }
    }

    /// Whether there is a secret of that name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|other| other == name)
    }

    /// The names of all secrets.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.generate.iter().chain(&self.given).map(String::as_str)
    }
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
    /// How it is read: `plain`, `env`, `raw-env` or `json`. Without it, as the Compose file reads it
    /// (`env_file`), or as its name ends (`.env`, `.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How the Compose file reads it, where `format` is not set.
    #[serde(skip)]
    pub read_as: Option<Format>,
    /// Its lines. `{NAME}` stands for the value of that name, encoded as the file needs it;
    /// `{NAME:url}`, `{NAME:json}`, `{NAME:pgpass}` and `{NAME:raw}` name an encoding.
    pub lines: Vec<String>,
}

impl SecretFile {
    /// One that root reads.
    pub(in crate::steps) fn new(path: &str, lines: Vec<String>) -> Self {
        Self { path: path.into(), owner: root(), format: None, read_as: None, lines }
    }
}

fn root() -> String {
    "0:0".into()
}

/// That one of them is to have another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Which.
    pub name: String,
    /// Whether a person gives it; else the host makes it.
    pub given: bool,
}

/// The secrets step.
#[derive(Debug)]
pub struct Secrets {
    options: SecretsOptions,
    stack: String,
    renewal: Option<Renewal>,
}

impl Secrets {
    /// The step with its options, for the stack of that name.
    pub fn new(options: SecretsOptions, stack: &str) -> Self {
        Self { options, stack: stack.to_owned(), renewal: None }
    }

    /// The same with another value for one of them.
    #[must_use]
    pub fn renewing(self, renewal: Option<Renewal>) -> Self {
        Self { renewal, ..self }
    }

    /// Whether a host has a value of that name for that stack.
    pub fn has(facts: &Facts, stack: &str, name: &str) -> bool {
        let made = facts.files.get(&format!("{ROOT}/{stack}/made")).and_then(Option::as_ref);
        let text = made.and_then(|made| std::str::from_utf8(made.content.as_deref()?).ok());
        is_told(text.unwrap_or_default(), name)
    }

    fn folder(&self) -> String {
        format!("{ROOT}/{}", self.stack)
    }

    /// What the files are made from, as the host reads it: `@NAME OWNER SHA256`, then the lines,
    /// each with its values marked.
    fn templates(&self) -> String {
        let mut text = String::new();
        for file in &self.options.files {
            text.push_str(&format!("@{} {} {}\n", file.path, file.owner, template_hash(file)));
            text.push_str(&place::lines(file));
        }
        text
    }

    /// What a person has to mend.
    fn check(&self) -> Result<(), Refusal> {
        let refuse = |what: String, hint: &str| Err(Refusal::new(STEP, what, hint));
        let mut seen = BTreeSet::new();
        for name in self.options.names() {
            if !is_name(name) || name.ends_with(".new") || name.ends_with(".next") {
                return refuse(
                    format!("`{name}` is no name for a secret"),
                    "fix [steps.secrets]; a name is letters, digits, `.`, `_` and `-`, and ends neither in `.new` nor `.next`",
                );
            }
            if !seen.insert(name) {
                return refuse(
                    format!("the secret `{name}` is there twice"),
                    "fix [steps.secrets]; a name stands once, in `generate` or in `given`",
                );
            }
        }
        if let Some(name) = self.options.commands.keys().find(|name| !self.options.given.contains(name)) {
            return refuse(
                format!("`commands` has a command for `{name}`, which is not in `given`"),
                "add the name to `given` in [steps.secrets], or correct it",
            );
        }
        let mut seen = BTreeSet::new();
        for file in &self.options.files {
            let name = &file.path;
            if !is_name(name) || !seen.insert(name.as_str()) || name == "values" || name == "made" {
                return refuse(
                    format!("`{name}` is no name for a file of secrets, or is there twice"),
                    "fix `files` in [steps.secrets]; a name is letters, digits, `.`, `_` and `-`",
                );
            }
            let is_number = |text: &str| text.parse::<u32>().is_ok();
            if !file.owner.split_once(':').is_some_and(|(user, group)| is_number(user) && is_number(group)) {
                return refuse(
                    format!("`{}` is no owner for {name}", file.owner),
                    "fix `owner` in [steps.secrets]; it is two numbers, `UID:GID`",
                );
            }
            for line in &file.lines {
                if line.chars().any(char::is_control) {
                    return refuse(
                        format!("a line of {name} has a control character in it"),
                        "fix `lines` in [steps.secrets]; each line is an entry of its own",
                    );
                }
                if let Some(unknown) = names(line).find(|name| !self.options.has(name)) {
                    return refuse(
                        format!(
                            "{name} wants the secret `{unknown}`, which is neither in `generate` nor in `given`"
                        ),
                        "add it to one of them in [steps.secrets], or fix the name",
                    );
                }
            }
        }
        Ok(())
    }
}

/// Whether a value of that name is in the list of what is made.
fn is_told(made: &str, name: &str) -> bool {
    made.lines().any(|line| {
        line.split_once(' ').is_some_and(|(kind, other)| other == name && matches!(kind, "value" | "given"))
    })
}

/// A name in a folder of the host, and in a line.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The names that stand in braces; other braces, JSON's for one, are none of ours.
fn names(line: &str) -> impl Iterator<Item = &str> {
    place::parts(line).into_iter().filter_map(|part| match part {
        place::Part::Value(name, _) => Some(name),
        place::Part::Text(_) => None,
    })
}

fn template_hash(file: &SecretFile) -> String {
    // Files from before there were formats keep their hash.
    let format = match file.format.or(file.read_as.filter(|read| *read == Format::RawEnv)) {
        Some(format) => format!("\n{format:?}"),
        None => String::new(),
    };
    let text = format!("{}\n{}{format}", file.owner, file.lines.join("\n"));
    sha256(text.as_bytes()).chars().take(16).collect()
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
        let asked: Vec<_> =
            self.options.given.iter().filter(|name| !has(&format!("given {name}"))).cloned().collect();
        let missing: Vec<_> =
            self.options.generate.iter().filter(|name| !is_told(&made, name)).cloned().collect();
        let wants = |file: &SecretFile, wanted: &[String]| {
            file.lines.iter().flat_map(|line| names(line)).any(|name| wanted.iter().any(|each| each == name))
        };
        let stale: Vec<_> = self
            .options
            .files
            .iter()
            .filter(|file| {
                !has(&format!("file {} {}", file.path, template_hash(file))) || wants(file, &asked)
            })
            .map(|file| file.path.clone())
            .collect();
        step.state = self.state();
        step.changes.extend(self.take(&asked));
        let known = |path: &String| made.lines().any(|line| line.starts_with(&format!("file {path} ")));
        let written = stale.iter().all(known);
        step.changes.extend(self.make(&missing, &stale, written));
        let mut anew = stale;
        // What is taken for the first time needs no second change.
        if let Some(renewal) = self.renewal.as_ref().filter(|renewal| !asked.contains(&renewal.name)) {
            if !is_told(&made, &renewal.name) {
                return Err(self.not_there(renewal, made.is_empty()));
            }
            let files =
                self.options.files.iter().filter(|file| wants(file, std::slice::from_ref(&renewal.name)));
            let files: Vec<_> = files.map(|file| file.path.clone()).collect();
            step.changes.push(self.renew(renewal, &files));
            anew.extend(files);
        }
        model.secret_files.extend(anew.iter().map(|path| format!("{}/{path}", self.folder())));
        Ok(step)
    }
}

impl Secrets {
    /// What there is when all is done.
    fn state(&self) -> String {
        let told = |count: usize, who: &str| match count {
            1 => format!("1 value, {who}"),
            count => format!("{count} values, {who}"),
        };
        let (made, given) = (self.options.generate.len(), self.options.given.len());
        match (made, given) {
            (0, 0) => "none are asked for".into(),
            (made, 0) => told(made, "known only to the host"),
            (0, given) => told(given, "provided by you"),
            (made, given) => {
                format!("{}; {}", told(made, "known only to the host"), told(given, "provided by you"))
            }
        }
    }

    fn action(&self, name: &'static str) -> Action {
        Action::new(STEP, name)
            .with("folder", self.folder())
            .with("values", lines(&self.options.generate))
            .with("given", lines(&self.options.given))
            .with("templates", self.templates())
            .within(60)
    }

    /// Values that a person gives before the run.
    fn take(&self, asked: &[String]) -> Option<Change> {
        let title = match asked {
            [] => return None,
            [name] => format!("take the secret {name}, which will be asked for"),
            names => format!("take the secrets {}, which will be asked for", names.join(", ")),
        };
        Some(Change {
            id: "secrets/given".into(),
            title,
            reason: match asked {
                [_] => "the host does not have it yet".into(),
                _ => "the host does not have them yet".into(),
            },
            risks: Vec::new(),
            files: Vec::new(),
            undo: None,
            action: self.action("given").with(ASKED, lines(asked)),
        })
    }

    /// Values that the host makes, and files with values; `written` says whether these stand there
    /// with something else in them.
    fn make(&self, missing: &[String], stale: &[String], written: bool) -> Option<Change> {
        let (folder, names) = (self.folder(), missing.join(", "));
        let title = match (missing, stale) {
            ([], []) => return None,
            ([], stale) => format!("write {} with secrets in {folder}", stale.join(", ")),
            (_, []) => format!("make the secrets {names} in {folder}"),
            (_, [_]) => format!("make the secrets {names} in {folder}, and a file with them"),
            (_, stale) => {
                format!("make the secrets {names} in {folder}, and {} files with them", stale.len())
            }
        };
        Some(Change {
            id: "secrets/made".into(),
            title,
            reason: match (missing, written) {
                ([], true) => "their contents change".into(),
                ([], false) => "they do not exist yet".into(),
                _ => "the host does not have them yet; their values never leave it".into(),
            },
            risks: Vec::new(),
            files: Vec::new(),
            // What is encrypted or set up with them is lost with them.
            undo: None,
            action: self.action("made"),
        })
    }
}

impl Secrets {
    /// Another value in place of the one that is there.
    fn renew(&self, renewal: &Renewal, files: &[String]) -> Change {
        let Renewal { name, given } = renewal;
        let title = match files {
            [] => format!("change the secret {name}"),
            [file] => format!("change the secret {name}, and write {file} with it"),
            files => format!("change the secret {name}, and write {} with it", files.join(", ")),
        };
        let action = self.action("rotated").with("name", name);
        Change {
            id: "secrets/rotated".into(),
            title,
            reason: if *given {
                "you set a new value".into()
            } else {
                "the host generates a new value, which never leaves it".into()
            },
            risks: vec![Risk::Removes { what: vec![format!("the previous value of {name}")] }],
            files: Vec::new(),
            undo: None,
            action: if *given {
                action.with("source", "next").with(ASKED, format!("{name}\n"))
            } else {
                action.with("source", "new")
            },
        }
    }

    fn not_there(&self, renewal: &Renewal, nothing: bool) -> Refusal {
        let what = if nothing {
            format!("the host has no secrets of {} yet", self.stack)
        } else {
            format!("the host does not have the secret {} yet", renewal.name)
        };
        Refusal::new(STEP, what, "run `provision up` with this host first, and with the same playbook")
    }
}

fn lines(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}
