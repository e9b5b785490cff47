//! Playbooks: those that ship and those that people write.

use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, FileKind, SourceText};
use super::explain::STEPS_IS_A_LIST;
use super::problem::{ConfigError, Problem, shipped_lines, unknown_playbook};
use crate::nearest::{listed, nearest};
use crate::steps::{NAMES, Options};

/// What ships, by name.
const SHIPPED: [(&str, &str); 5] = [
    ("docker", include_str!("../../playbooks/docker.toml")),
    ("compose", include_str!("../../playbooks/compose.toml")),
    ("prefect", include_str!("../../playbooks/prefect.toml")),
    ("prefect-minimal", include_str!("../../playbooks/prefect-minimal.toml")),
    ("prefect-worker-compose", include_str!("../../playbooks/prefect-worker-compose.toml")),
];

/// A list of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playbook {
    /// Its name; the file's without `.toml` when it is a person's own.
    pub name: String,
    /// What it makes of a host, in one line.
    pub description: String,
    /// The names of its steps, in order.
    pub steps: Vec<&'static str>,
    /// The file, when it is a person's own.
    pub path: Option<PathBuf>,
}

/// A list of steps with their options.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaybookFile {
    /// What it makes of a host, in one line.
    #[serde(default)]
    description: String,
    /// The names of its steps, in the order in which they are taken.
    #[schemars(schema_with = "super::schema::step_names", required)]
    steps: Option<Spanned<Vec<Spanned<String>>>>,
    /// Options of the steps, a table each; `provision.toml` goes before them.
    #[serde(default)]
    options: Options,
}

/// A playbook with all that its file says.
#[derive(Debug, Clone)]
pub(super) struct ReadPlaybook {
    pub(super) playbook: Playbook,
    pub(super) options: toml::Table,
    pub(super) warnings: Vec<String>,
    stack_path: Option<PathBuf>,
}

/// How a playbook is named.
#[derive(Debug, Clone)]
pub(super) enum Chosen<'p> {
    /// Not at all.
    None,
    /// On the command line.
    Flag(&'p str),
    /// In `provision.toml`, there.
    File { name: &'p str, source: &'p SourceText, span: Range<usize> },
}

/// The shipped playbooks: name and description.
pub fn shipped() -> impl Iterator<Item = (&'static str, String)> {
    SHIPPED.iter().map(|(name, text)| {
        let table = text.parse::<toml::Table>().unwrap_or_default();
        let description = table.get("description").and_then(toml::Value::as_str).unwrap_or_default();
        (*name, description.to_owned())
    })
}

/// Reads the playbook that was named: a file, or one that ships.
pub(super) fn find(directory: &Path, chosen: Chosen<'_>) -> Result<ReadPlaybook, ConfigError> {
    let (name, base) = match &chosen {
        Chosen::None => ("", directory),
        Chosen::Flag(name) => (*name, directory),
        Chosen::File { name, source, .. } => (*name, source.folder().unwrap_or(directory)),
    };
    if name.contains('/') || name.ends_with(".toml") {
        let path = base.join(name);
        let shown = match path.strip_prefix(directory) {
            Ok(relative) => relative.display().to_string(),
            Err(_) => path.display().to_string(),
        };
        return match SourceText::read(path, shown.clone())? {
            Some(source) => read(&source, &stem(name)),
            None => Err(missing(chosen, shown)),
        };
    }
    match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
        Some((_, text)) => {
            let shown = format!("playbooks/{name}.toml");
            read(&SourceText { shown, path: None, text: (*text).to_owned() }, name)
        }
        None => Err(unknown(base, chosen, name)),
    }
}

fn stem(name: &str) -> String {
    Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn missing(chosen: Chosen<'_>, shown: String) -> ConfigError {
    let stem = stem(&shown);
    let shipped = SHIPPED.iter().map(|(name, _)| *name).find(|name| *name == stem);
    match chosen {
        Chosen::File { source, span, .. } => {
            let hint = match shipped {
                Some(name) => format!("the shipped playbook is `{name}`"),
                None => "the path is relative to the file that says it".to_owned(),
            };
            source.problem(span, format!("there is no file {shown}")).hinted([hint]).into()
        }
        _ => ConfigError::Missing { file: shown, said_by: "--playbook", shipped },
    }
}

fn unknown(folder: &Path, chosen: Chosen<'_>, name: &str) -> ConfigError {
    let file_exists = !name.is_empty() && folder.join(format!("{name}.toml")).is_file();
    match chosen {
        Chosen::File { source, span, .. } => {
            source.problem(span, unknown_playbook(name, file_exists)).hinted(shipped_lines("")).into()
        }
        _ => ConfigError::UnknownPlaybook { name: name.to_owned(), file_exists },
    }
}

/// Reads a playbook from its text.
pub(super) fn read(source: &SourceText, name: &str) -> Result<ReadPlaybook, ConfigError> {
    let document = Document::parse(source, FileKind::Playbook)?;
    if let Some(steps) = document.root.get_ref().get("steps").filter(|steps| steps.get_ref().is_table()) {
        return Err(source.problem(steps.span(), STEPS_IS_A_LIST).into());
    }
    let file: PlaybookFile = document.read()?;
    let steps = steps(source, file.steps)?;
    let mut warnings = Vec::new();
    for (step, span) in document.option_places() {
        if !steps.contains(&step.as_str()) {
            let line = source.line(&span);
            warnings.push(format!(
                "{}:{line}: [options.{step}] does nothing: the playbook has no step `{step}`",
                source.shown
            ));
        }
    }
    let playbook =
        Playbook { name: name.to_owned(), description: file.description, steps, path: source.path.clone() };
    Ok(ReadPlaybook { playbook, options: document.options()?, warnings, stack_path: file.options.stack.path })
}

fn steps(
    source: &SourceText,
    steps: Option<Spanned<Vec<Spanned<String>>>>,
) -> Result<Vec<&'static str>, Box<Problem>> {
    let known = || [format!("steps are {}", listed(NAMES))];
    let Some(steps) = steps else {
        let what = "the playbook has no steps; list them: `steps = [\"machine\", \"docker\"]`";
        return Err(source.problem(0..0, what).hinted(known()));
    };
    if steps.get_ref().is_empty() {
        return Err(source.problem(steps.span(), "`steps` is empty").hinted(known()));
    }
    let mut names: Vec<(&'static str, usize)> = Vec::new();
    for step in steps.get_ref() {
        let name = step.get_ref();
        let Some(found) = NAMES.iter().find(|known| *known == name) else {
            return Err(match nearest(name, NAMES) {
                Some(near) => {
                    source.problem(step.span(), format!("there is no step `{name}`; did you mean `{near}`?"))
                }
                None => source.problem(step.span(), format!("there is no step `{name}`")).hinted(known()),
            });
        };
        if let Some((_, line)) = names.iter().find(|(name, _)| name == found) {
            let what = format!("the step `{name}` is in the list already, on line {line}; keep one of them");
            return Err(source.problem(step.span(), what));
        }
        names.push((found, source.line(&step.span())));
    }
    Ok(names.into_iter().map(|(name, _)| name).collect())
}

impl ReadPlaybook {
    /// The folder of the Compose project, when the playbook's own file says it.
    pub(super) fn stack_folder(&self) -> Option<PathBuf> {
        let folder = self.playbook.path.as_deref()?.parent()?;
        Some(folder.join(self.stack_path.as_deref()?))
    }
}
