//! What a person writes: `provision.toml` and playbooks.
//!
//! [`load`] reads both and answers with [`Settings`]. Every file is checked on its own first, so
//! that a mistake is shown where it stands; then the options are laid over each other:
//! what a step takes by itself, then the playbook, then `provision.toml`.

mod document;
mod explain;
mod merge;
mod playbook;
mod problem;
mod project;
mod schema;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use playbook::{Playbook, shipped as shipped_playbooks};
pub use problem::{ConfigError, Excerpt, Problem};
pub use schema::{playbook_schema, schema};

use crate::host::Destination;
use crate::stack::compose::{self, FILE_NAMES};
use crate::stack::shipped;
use crate::steps::{self, Options};
use crate::user_data::Release;
use playbook::Chosen;
use project::ReadProject;

/// The file that is read from the working directory when it is there.
pub const FILE_NAME: &str = "provision.toml";

/// All that a run is told by files.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The playbook.
    pub playbook: Playbook,
    /// Whether nobody named it, so that it is the one that is taken by default.
    pub unnamed: bool,
    /// The options of its steps: the steps' own, the playbook's, those of `provision.toml`.
    pub options: Options,
    /// The hosts that `provision.toml` names, each once.
    pub hosts: Vec<Destination>,
    /// Where a server fetches the released binary from at its first boot.
    pub release: Release,
    /// The `provision.toml` that was read.
    pub file: Option<PathBuf>,
    /// The folder of the Compose project: `path` of the stack step, relative to the file that
    /// says it; the working directory when none does.
    pub stack_folder: PathBuf,
    /// Whether the Compose project is the one that ships with the playbook.
    pub ships_stack: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Reads `provision.toml` and the playbook.
///
/// `playbook` is what `--playbook` says: a shipped name, or a path when it holds `/` or ends in
/// `.toml`. `config` is what `--config` says; without it [`FILE_NAME`] is read if `directory`
/// has it, or a folder above that is a project's.
pub fn load(
    directory: &Path,
    playbook: Option<&str>,
    config: Option<&Path>,
) -> Result<Settings, ConfigError> {
    let here = directory;
    let directory = if config.is_some() { here } else { project_folder(here) };
    let project = ReadProject::find(here, directory, config)?;
    let stack_folder = project.as_ref().and_then(ReadProject::stack_folder);
    let named = match playbook {
        Some(name) => Chosen::Flag(name),
        None => project.as_ref().and_then(ReadProject::playbook).unwrap_or(Chosen::None),
    };
    let mut warnings = Vec::new();
    let mut unnamed = false;
    let playbook = match named {
        Chosen::None if has_compose_file(directory, stack_folder.as_deref()) => {
            playbook::find(directory, Chosen::Flag("compose"))?
        }
        Chosen::None => {
            unnamed = true;
            warnings.push(format!(
                "no playbook is named, and there is no {} {}: taking `prefect`, the stack that ships",
                FILE_NAMES[0],
                problem::place(directory)
            ));
            playbook::find(directory, Chosen::Flag("prefect"))?
        }
        chosen => playbook::find(here, chosen)?,
    };
    let own = stack_folder.or_else(|| playbook.stack_folder());
    let ships_stack =
        own.is_none() && playbook.playbook.path.is_none() && shipped::has(&playbook.playbook.name);
    let stack_folder = own.unwrap_or_else(|| directory.to_path_buf());

    let mut options = playbook.options.clone();
    warnings.extend(playbook.warnings.iter().cloned());
    let mut hosts = Vec::new();
    let mut file = None;
    let mut release = Release::default();
    if let Some(mut project) = project {
        warnings.extend(project.warnings(&playbook.playbook));
        merge::given(&mut options, &mut project.options);
        merge::over(&mut options, project.options);
        hosts = project.hosts;
        release = project.release;
        file = Some(project.path);
    }
    let mut options = Options::deserialize(options)
        .map_err(|error| ConfigError::Together { reason: error.message().trim().to_owned() })?;
    if playbook.playbook.steps.contains(&"postgres") {
        settle_postgres(&mut options, file.as_deref().and_then(Path::parent).unwrap_or(directory))?;
    }
    let playbook = playbook.playbook;
    Ok(Settings { playbook, unnamed, options, hosts, release, file, stack_folder, ships_stack, warnings })
}

/// Reads the file that the step `postgres` names, and makes the other steps' options agree with it.
fn settle_postgres(options: &mut Options, folder: &Path) -> Result<(), ConfigError> {
    if let Some(ca) = &options.postgres.ca {
        let text = std::fs::read_to_string(folder.join(ca));
        let failed = |error: std::io::Error| ConfigError::Read {
            file: ca.display().to_string(),
            reason: format!("{error} (`ca` in [steps.postgres])"),
        };
        options.postgres.ca_text = Some(text.map_err(failed)?);
    }
    steps::settle_postgres(options).map_err(|(what, hint)| ConfigError::Step { step: "postgres", what, hint })
}

/// The nearest folder from here upwards that has a `provision.toml` or a Compose file; this one where
/// none has. A git repository's folder is the last that is looked at.
fn project_folder(here: &Path) -> &Path {
    let is_one = |folder: &&Path| folder.join(FILE_NAME).is_file() || compose::is_project(folder);
    let top = here.ancestors().find(|folder| folder.join(".git").exists());
    let is_within = |folder: &&Path| top.is_none_or(|top| folder.starts_with(top));
    here.ancestors().take_while(is_within).find(is_one).unwrap_or(here)
}

/// Whether there is a stack of one's own: a folder that is named is meant, whatever is in it.
fn has_compose_file(directory: &Path, stack_folder: Option<&Path>) -> bool {
    stack_folder.is_some() || compose::is_project(directory)
}
