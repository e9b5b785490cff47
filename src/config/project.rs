//! `provision.toml`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::FILE_NAME;
use super::document::{Document, FileKind, SourceText};
use super::playbook::{Chosen, Playbook};
use super::problem::ConfigError;
use crate::host::Destination;
use crate::steps::Options;
use crate::user_data::Release;

/// What a project wants of its hosts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProjectFile {
    /// The playbook: a shipped name, or the path of a TOML file, relative to this one.
    #[schemars(with = "Option<String>")]
    playbook: Option<Spanned<String>>,
    /// The hosts, when the command line names none: `user@host`, `ssh://user@host:port`,
    /// a name from `~/.ssh/config`, or `local`.
    #[schemars(with = "Vec<String>")]
    hosts: Vec<Spanned<String>>,
    /// Where `provision cloud-init` has a server fetch the released binary from.
    release: Release,
    /// Options of the steps, a table each; they go before the playbook's.
    steps: Options,
}

/// `provision.toml` as it was read.
#[derive(Debug)]
pub(super) struct ReadProject {
    pub(super) path: PathBuf,
    pub(super) options: toml::Table,
    pub(super) hosts: Vec<Destination>,
    pub(super) release: Release,
    source: SourceText,
    playbook: Option<Spanned<String>>,
    stack_path: Option<PathBuf>,
    /// The steps with options, and the line of each.
    steps: Vec<(String, usize)>,
    notes: Vec<String>,
}

impl ReadProject {
    /// Reads the file that was named, from here, or the one in the project's folder if it is there.
    pub(super) fn find(
        here: &Path,
        folder: &Path,
        config: Option<&Path>,
    ) -> Result<Option<Self>, ConfigError> {
        let (path, shown) = match config {
            Some(name) => (here.join(name), name.display().to_string()),
            None => {
                let above = here.strip_prefix(folder).map_or(0, |below| below.components().count());
                (folder.join(FILE_NAME), format!("{}{FILE_NAME}", "../".repeat(above)))
            }
        };
        match SourceText::read(path, shown.clone())? {
            Some(source) => Self::read(source).map(Some),
            None if config.is_none() => Ok(None),
            None => Err(ConfigError::Missing { file: shown, said_by: "--config", shipped: None }),
        }
    }

    /// Reads the text of the file.
    pub(super) fn read(source: SourceText) -> Result<Self, ConfigError> {
        let document = Document::parse(&source, FileKind::Project)?;
        let file: ProjectFile = document.read()?;
        let options = document.options()?;
        let places = document.option_places();
        let steps = places.into_iter().map(|(step, span)| (step, source.line(&span))).collect();
        let mut hosts: Vec<Destination> = Vec::new();
        let mut notes = Vec::new();
        for text in file.hosts {
            let host =
                text.get_ref().parse().map_err(|reason: String| source.problem(text.span(), reason))?;
            if hosts.contains(&host) {
                let line = source.line(&text.span());
                notes
                    .push(format!("{}:{line}: {host} is in `hosts` already; it is taken once", source.shown));
            } else {
                hosts.push(host);
            }
        }
        Ok(Self {
            path: source.path.clone().unwrap_or_default(),
            options,
            hosts,
            release: file.release,
            playbook: file.playbook,
            stack_path: file.steps.stack.path,
            steps,
            notes,
            source,
        })
    }

    /// The playbook that the file names.
    pub(super) fn playbook(&self) -> Option<Chosen<'_>> {
        let name = self.playbook.as_ref()?;
        Some(Chosen::File { name: name.get_ref(), source: &self.source, span: name.span() })
    }

    /// The folder of the Compose project, when the file says it.
    pub(super) fn stack_folder(&self) -> Option<PathBuf> {
        Some(self.source.folder()?.join(self.stack_path.as_deref()?))
    }

    /// What a person should know about the file beside that playbook.
    pub(super) fn warnings(&self, playbook: &Playbook) -> Vec<String> {
        let mut warnings = self.notes.clone();
        for (step, line) in &self.steps {
            if !playbook.steps.contains(&step.as_str()) {
                let shown = &self.source.shown;
                warnings.push(format!(
                    "{shown}:{line}: [steps.{step}] does nothing: the playbook `{}` has no step `{step}`",
                    playbook.name
                ));
            }
        }
        warnings
    }
}
