//! Files on the host that Compose reads by itself, and that no plan knows: they are not in the folder here.

use super::send::Sent;
use super::{STEP, Stack};
use crate::steps::{Model, Refusal};

/// Compose files that Compose looks for where none is named.
const FOUND_BY_NAME: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

impl Stack {
    /// Those that are not sent, by their paths in the folder.
    pub(super) fn read_unasked(&self) -> impl Iterator<Item = &'static str> {
        let project = &self.input.project;
        let named = project.environment.get("COMPOSE_FILE").is_some_and(|files| !files.is_empty());
        let files = FOUND_BY_NAME.into_iter().filter(move |_| !named);
        files.chain([".env"]).filter(|name| !self.input.bundle.has(name))
    }

    /// What the host has of them changes what Compose makes of the project, whatever was planned.
    pub(super) fn check_strays(&self, model: &Model, sent: Option<&Sent>) -> Result<(), Refusal> {
        let is_removed = |path: &str| {
            let mut files = sent.iter().flat_map(|sent| &sent.change.files);
            files.any(|file| file.content.is_none() && file.path == path)
        };
        let found: Vec<_> = self
            .read_unasked()
            .map(|name| format!("{}/{name}", self.folder()))
            .filter(|path| model.file(path).is_some() && !is_removed(path))
            .collect();
        let Some(first) = found.first() else { return Ok(()) };
        if model.force {
            return Ok(());
        }
        Err(Refusal {
            step: STEP,
            what: "Compose reads a file on the host that is not in the folder here; nothing was changed"
                .into(),
            details: found.iter().map(|path| format!("{path}: it would change what is planned")).collect(),
            hints: vec![
                format!(
                    "copy it into the folder here, or move it away on the host: sudo mv {first} {first}.old"
                ),
                "`--force` lets Compose read it".into(),
            ],
            findings: Vec::new(),
        })
    }
}
