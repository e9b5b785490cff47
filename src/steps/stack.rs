//! The stack step: a Compose project from a folder here, running there.

mod absolute;
mod containers;
mod definitions;
mod files;
mod folders;
mod images;
mod join;
mod left_out;
mod listed;
mod logins;
mod mounts;
mod names;
mod neighbours;
mod networks;
mod permissions;
mod ports;
mod resources;
mod rolling;
mod send;
mod start;
mod strays;
mod touched;
mod ways;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Refusal, Step, planned};
use crate::facts::{Question, Questions};
use crate::plan::{Action, Change, PlannedStep};
use crate::stack::bundle::{Bundle, Choice};
use crate::stack::compose::{Project, Service};
use crate::stack::images::Availability;

use definitions::DEFINITIONS;
use files::is_above;
use images::Pulled;
pub(super) use images::{Images, Pull, Wanted, base as image_named, of as image_of, pull};
pub use permissions::Permission;
use rolling::cannot_overlap;

const STEP: &str = "stack";

/// The Compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StackOptions {
    /// The folder here that holds `compose.yaml`, relative to the file that says so.
    pub path: Option<PathBuf>,
    /// The project's name; Compose's own rules unless told.
    pub name: Option<String>,
    /// The folder on the host; `/srv/NAME` unless told.
    pub folder: Option<String>,
    /// How long containers may take until they are well, in seconds.
    pub wait: u32,
    /// How long a container without a health check is watched after its start, in seconds.
    pub watch: u32,
    /// Values that go over those of the folder's `.env`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Redis services that hold nothing but what belongs to the database's present state:
    /// a backup that is restored begins with empty ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    /// A service that proves the stack: it is run once when all is well, and must end with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// Lines that are printed when all is done, such as commands for whoever uses the stack.
    /// `{host}` is the host as it was named, `{SERVICE}` where that service is published.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub afterwards: Vec<String>,
    /// Docker networks of others that services join where they exist, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub join: BTreeMap<String, Vec<String>>,
    /// Services that ask for a password, each with the files on the host that give it TLS: without
    /// them, one that everybody reaches is warned of. `{NAME}` is a value of `.env`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logins: BTreeMap<String, Vec<String>>,
    /// Files that are not sent, as patterns (`*.log`, `data/`), besides those in `.provisionignore`.
    pub ignore: Vec<String>,
    /// Files that are sent although they would be left out, as patterns: what git or `.dockerignore`
    /// ignores, `node_modules`, virtual environments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Owners and permissions of files, by pattern; the last entry that matches a file counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    /// Files that are sent again when they change here, as patterns (`conf/*.yml`), although a
    /// container may write to them. All others below a read-write mount are sent once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overwrite: Vec<String>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            path: None,
            name: None,
            folder: None,
            wait: 300,
            watch: 5,
            env: BTreeMap::new(),
            queues: Vec::new(),
            proof: None,
            afterwards: Vec::new(),
            join: BTreeMap::new(),
            logins: BTreeMap::new(),
            ignore: Vec::new(),
            include: Vec::new(),
            permissions: Vec::new(),
            overwrite: Vec::new(),
        }
    }
}

impl StackOptions {
    /// What of the folder is sent. `git` says whether what it ignores stays here.
    pub fn choice<'a>(&'a self, project: &'a Project, git: bool) -> Choice<'a> {
        Choice { ignore: &self.ignore, include: &self.include, project: Some(project), git }
    }
}

/// A value in `.env`, which people also write as a number or as true and false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "String")]
#[schemars(with = "Written")]
pub struct EnvValue(pub String);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Text(String),
    Number(i64),
    Truth(bool),
}

impl From<Written> for EnvValue {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
            Written::Truth(truth) => truth.to_string(),
        })
    }
}

impl From<EnvValue> for String {
    fn from(value: EnvValue) -> Self {
        value.0
    }
}

/// What has been read of the folder here.
#[derive(Debug, Clone)]
pub struct StackInput {
    /// The project.
    pub project: Project,
    /// Its files.
    pub bundle: Bundle,
    /// Where it comes from, so that another project of the same name is told from it: a repository
    /// and the folder in it, or a folder on a computer.
    pub origin: String,
}

/// What stands for the origin of a stack that ships.
pub const SHIPPED: &str = "a playbook of provision's own";

impl StackInput {
    fn is_shipped(&self) -> bool {
        self.origin == SHIPPED
    }

    /// Where a person changes it: a stack that ships has no Compose file to edit.
    pub(super) fn place(&self) -> &str {
        if self.is_shipped() { "[steps.stack.env] of provision.toml" } else { &self.project.file }
    }
}

/// Folders that belong to the system, to Docker or to provision itself: no stack goes there or below.
const NOT_A_STACKS: [&str; 9] = [
    "/boot",
    "/dev",
    "/etc/provision",
    "/proc",
    "/run",
    "/sys",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/provision",
];

/// The folder on the host of a project with this name.
pub fn stack_folder(options: &StackOptions, name: &str) -> String {
    let folder = options.folder.clone().unwrap_or_else(|| format!("/srv/{name}"));
    folder.trim_end_matches('/').to_owned()
}

/// The stack step.
#[derive(Debug)]
pub struct Stack {
    options: StackOptions,
    input: StackInput,
    /// The digests of the bundle's lists, which are asked for several times.
    sums: OnceLock<listed::Sums>,
}

impl Stack {
    /// The step with its options and what was read.
    pub fn new(options: StackOptions, input: StackInput) -> Self {
        Self { options, input, sums: OnceLock::new() }
    }

    /// The folder on the host.
    pub fn folder(&self) -> String {
        stack_folder(&self.options, &self.input.project.name)
    }

    fn state(&self, file: &str) -> String {
        format!("/var/lib/provision/stacks/{}/{file}", self.input.project.name)
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        // One of which no container is wanted is as if it were not there.
        self.input.project.services.iter().filter(|service| service.enabled && service.scale > 0)
    }

    /// Images that are pulled, each once: as the project names them, and what the host is to pull.
    fn images(&self) -> Images<'_> {
        let proof = self.options.proof.as_deref().and_then(|name| self.input.project.service(name));
        self.services().chain(proof).filter(|service| service.is_pulled()).filter_map(images::of).collect()
    }

    /// Images that others are built from, and that no service here makes.
    fn bases(&self) -> Images<'_> {
        let services = &self.input.project.services;
        let is_made = |name: &&String| {
            services.iter().any(|service| service.build && service.image.as_ref() == Some(name))
        };
        let bases = self.services().filter(|service| service.build).flat_map(|service| &service.bases);
        bases.filter(|name| !is_made(name)).filter_map(|name| images::base(name)).collect()
    }

    fn action(&self, name: &'static str) -> Action {
        Action::new(STEP, name).with("name", &self.input.project.name).with("folder", self.folder())
    }
}

impl Step for Stack {
    fn name(&self) -> &'static str {
        STEP
    }

    fn questions(&self, questions: &mut Questions) {
        questions.insert(Question::Docker);
        questions.insert(Question::Project(self.input.project.name.clone()));
        questions.insert(Question::Published);
        questions.insert(Question::Routes);
        questions.insert(Question::Claims);
        let images = self.images().into_keys().chain(self.bases().into_keys());
        questions.extend(images.map(|image| Question::Image(image.to_owned())));
        questions.extend(self.options.join.keys().cloned().map(Question::Network));
        questions.extend(self.names().map(|(_, name)| Question::ContainerName(name)));
        self.ask_for_resources(questions);
        self.ask_for_files(questions);
        for file in ["applied", "origin", "folder", DEFINITIONS] {
            questions.insert(Question::File { path: self.state(file), unless: None });
        }
        if self.options.proof.is_some() {
            questions.insert(Question::File { path: self.state("proven"), unless: None });
        }
        questions.extend(self.on_host_already().map(|file| Question::Presence(file.path.clone())));
        questions.extend(self.unsent().map(|(_, mount)| Question::Presence(self.on_host(mount))));
        questions.extend(self.in_home().map(|(_, mount)| Question::Presence(mount.source.clone())));
        questions.extend(self.tls_files().map(Question::Presence));
        let folder = self.folder();
        questions.extend(self.read_unasked().map(|name| Question::Presence(format!("{folder}/{name}"))));
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        self.take_as_listed(model);
        self.check(model)?;
        self.check_joins()?;
        self.check_neighbours(model)?;
        self.check_folder(model)?;
        self.check_names(model)?;
        self.check_resources(model)?;
        self.check_mounts(model)?;
        self.check_absolute(model)?;
        self.check_ports(model)?;
        self.check_networks(model)?;
        let project = &self.input.project;
        let mut step = planned(STEP);
        step.warnings.extend(project.warnings.iter().cloned());
        step.warnings.extend(self.remarks_on_unsent_settings());
        step.warnings.extend(self.remarks_on_ports(model.openings.as_deref()));
        step.warnings.extend(self.services().filter_map(cannot_overlap));
        let seeds = self.seeds(model);
        let kept = seeds.phrase();
        step.warnings.extend(self.remarks_on_mounts(model));
        step.warnings.extend(self.unreadable());
        step.warnings.extend(self.unwritable(model));
        step.warnings.extend(self.renamed(model));
        step.warnings.extend(self.remarks_on_redeclared(model));
        step.withheld = self.kept_back(&seeds);
        step.lasting = self.remarks_on_logins(model);
        let Pull { change, images } = self.pull(model, &mut step.warnings)?;
        let sent = self.send(model, &seeds)?;
        self.check_strays(model, sent.as_ref())?;
        step.warnings.extend(self.remarks_on_volumes(model, sent.is_some()));
        if let Some(sent) = &sent {
            step.warnings.extend(self.remarks_on_links());
            step.warnings.extend(self.remarks_on_dropped(&sent.change.files));
        }
        let start = self.start(model, sent.as_ref(), &images);
        let starts = start.is_some();
        step.changes.extend(change.into_iter().chain(sent.map(|sent| sent.change)).chain(start));
        step.changes.extend(self.prove(model, starts));
        let names: Vec<_> = self.services().map(|service| service.name.as_str()).collect();
        step.state = format!("{} is up ({})", project.name, names.join(", "));
        for more in [kept, self.input.bundle.left_out.phrase()].into_iter().flatten() {
            step.state.push_str("; ");
            step.state.push_str(&more);
        }
        Ok(step)
    }
}

impl Stack {
    fn check(&self, model: &Model) -> Result<(), Refusal> {
        if !model.has_docker() {
            return Err(Refusal::new(
                STEP,
                "there is no Docker on the host for the stack",
                "put the step `docker` before `stack` in the playbook",
            ));
        }
        let folder = self.folder();
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if !folder.starts_with('/')
            || folder.split('/').filter(|part| !part.is_empty()).count() < 2
            || NOT_A_STACKS.iter().any(|other| folder == *other || is_above(other, &folder))
            || folder.contains(odd)
            || folder.split('/').any(|part| part == "..")
        {
            return Err(Refusal::new(
                STEP,
                format!("`{folder}` cannot be the stack's folder on the host"),
                "fix `folder` in [steps.stack]; it is an absolute path without spaces to a folder of its own, such \
                 as /srv/app",
            ));
        }
        Ok(())
    }

    fn pull(&self, model: &Model, warnings: &mut Vec<String>) -> Result<Pull, Refusal> {
        let mut images = self.images();
        if model.pull {
            // One that no registry has and that is not on the host comes from elsewhere: a build knows better.
            let can_be_had = |name: &str| {
                model.facts.image(name).is_some()
                    || matches!(model.images.get(name), Some(Availability::Found { .. }))
            };
            for (name, wanted) in self.bases().into_iter().filter(|(name, _)| can_be_had(name)) {
                images.entry(name).or_insert(wanted);
            }
        }
        pull(STEP, images, self.action("images"), self.input.place(), model, warnings)
    }

    /// The proof that it works, behind every start, and until it has succeeded once.
    fn prove(&self, model: &Model, starts: bool) -> Option<Change> {
        let service = self.options.proof.as_deref()?;
        let hash = self.input.bundle.hash();
        let proven = model.text(&self.state("proven")).map(str::trim) == Some(hash.as_str());
        if proven && !starts {
            return None;
        }
        Some(Change {
            id: "stack/proof".into(),
            title: format!("prove that {} works ({service})", self.input.project.name),
            reason: if starts { "the stack is started".into() } else { "it has not been proven yet".into() },
            risks: Vec::new(),
            files: Vec::new(),
            undo: None,
            action: self.action("proof").with("service", service).with("hash", hash).within(900),
        })
    }
}

pub(super) fn lines<T: AsRef<str>>(items: &[T]) -> String {
    items.iter().map(|item| format!("{}\n", item.as_ref())).collect()
}
