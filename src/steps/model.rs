//! The host as the steps before have left it.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::Claims;
use super::firewall::Opening;
use crate::facts::{Facts, File, Group, Package};
use crate::plan::{Action, FileChange, Finding};
use crate::stack::images::Availability;

/// Facts that each step changes to what they will be after it.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The host.
    pub facts: Facts,
    /// Whether Docker is planned by a step before, so that no version is known yet.
    pub docker_planned: bool,
    /// What the registries said of images that the host does not have.
    pub images: BTreeMap<String, Availability>,
    /// What this stack and others ask of the host.
    pub claims: Claims,
    /// What the firewall lets in, where a step before rules it.
    pub openings: Option<Vec<Opening>>,
    /// Files with secrets that are written anew by a step before, by their paths on the host.
    pub secret_files: BTreeSet<String>,
    /// Whether newer images are asked for, for all tags in use.
    pub pull: bool,
    /// Whether the stack of that name on the host was sent from another folder, which still has it.
    pub has_other_folder: bool,
    /// Whether the host is this very machine.
    pub local: bool,
    /// Whether findings that may be forced are forced.
    pub force: bool,
    /// The clock here, in seconds since 1970.
    pub now: i64,
}

/// Why a step cannot be planned: nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The step.
    pub step: &'static str,
    /// One plain sentence, a lowercase fragment without a period.
    pub what: String,
    /// Details, a line each.
    pub details: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
    /// What the machine step found.
    pub findings: Vec<Finding>,
}

impl Refusal {
    /// A refusal with what to do about it.
    pub fn new(step: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { step, what: what.into(), details: Vec::new(), hints: vec![hint.into()], findings: Vec::new() }
    }
}

impl Model {
    /// An action that makes networks on the host, which is undone there where it cuts the way in or out
    /// (`scripts/way-back.sh`).
    pub fn watched(&self, action: Action) -> Action {
        let action = action.with_unshown("way", if self.local { "local" } else { "new-connection" });
        match self.facts.identity.ssh_client {
            // Not a part of the plan: the same person may come from elsewhere tomorrow.
            Some(client) => action.with_unshown("client", client.to_canonical().to_string()),
            None => action,
        }
    }

    /// Whether Docker is there, or will be.
    pub fn has_docker(&self) -> bool {
        self.docker_planned || self.facts.docker.as_ref().is_some_and(|docker| docker.engine.is_some())
    }

    /// Whether a package is installed and configured.
    pub fn has_package(&self, name: &str) -> bool {
        matches!(self.facts.packages.get(name), Some(Some(package)) if package.configured)
    }

    /// Takes packages for installed.
    pub fn install<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            let package = Package { version: String::new(), configured: true };
            self.facts.packages.insert(name.to_owned(), Some(package));
        }
    }

    /// Takes packages for removed.
    pub fn remove<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.facts.packages.insert(name.to_owned(), None);
        }
    }

    /// Takes files for written or removed.
    pub fn write(&mut self, files: &[FileChange]) {
        for file in files {
            let state = file.content.as_ref().map(|content| File {
                mode: file.mode,
                owner: file.owner.clone(),
                ids: file.owner.clone(),
                size: content.len() as u64,
                sha256: file.sha256.clone().unwrap_or_default(),
                kind: "regular".to_owned(),
                target: None,
                holds_files: false,
                holds: Vec::new(),
                content: (!file.sensitive).then(|| content.clone()),
            });
            self.facts.files.insert(file.path.clone(), state);
        }
    }

    /// A file that stands on the host.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.facts.files.get(path)?.as_ref()
    }

    /// A file's content as text, where the probe brought it.
    pub fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.file(path)?.content.as_deref()?).ok()
    }

    /// Takes a login for a member of a group.
    pub fn join(&mut self, group: &str, user: &str) {
        let group = self.facts.groups.entry(group.to_owned()).or_default().get_or_insert_with(Group::default);
        if !group.members.iter().any(|member| member == user) {
            group.members.push(user.to_owned());
        }
    }

    /// Takes a login for out of a group.
    pub fn leave(&mut self, group: &str, user: &str) {
        if let Some(Some(group)) = self.facts.groups.get_mut(group) {
            group.members.retain(|member| member != user);
        }
    }
}
