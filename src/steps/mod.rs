//! Steps: pieces of desired state with options. One file a step; no input or output here.
//!
//! A step asks ([`Step::questions`]) and plans ([`Step::plan`]); what it changes
//! is in `scripts/steps/NAME.sh`. A new step is a file here, one there, a line
//! in [`script`] and in [`Options`], and its documentation.

mod apt_key;
mod backup;
mod claims;
mod docker;
mod firewall;
mod machine;
mod model;
mod networks;
mod packages;
mod postgres;
mod requirement;
mod secrets;
mod size;
mod stack;
#[cfg(test)]
mod tests;
mod user;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use apt_key::KeyFingerprint;
pub use backup::{Backup, Chosen};
pub use claims::{Claim, Claims};
pub use docker::{Docker, DockerOptions, EngineSource};
pub use firewall::{Allow, Firewall, FirewallOptions, Opening, Transport};
pub use machine::{Machine, MachineOptions};
pub use model::{Model, Refusal};
pub use packages::{Packages, PackagesOptions};
pub use postgres::{Mode as PostgresMode, Postgres, PostgresOptions, settle as settle_postgres};
pub use requirement::Requirement;
pub use secrets::{ASKED, Format as SecretFormat, Renewal, SecretFile, Secrets, SecretsOptions};
pub use size::Size;
pub use stack::{Permission, SHIPPED, Stack, StackInput, StackOptions, stack_folder};
pub use user::{User, UserOptions};

use crate::facts::Questions;
use crate::plan::{FileChange, Plan, PlannedStep, fingerprint};

/// A piece of desired state.
pub trait Step {
    /// Its name, as playbooks and settings write it.
    fn name(&self) -> &'static str;
    /// What the probe must answer for it. No step may add an exec.
    fn questions(&self, questions: &mut Questions);
    /// What is to be changed, and leaves the model as the host will be then.
    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal>;
}

/// The options of all steps: `[steps.NAME]` in `provision.toml`, `[options.NAME]` in a playbook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// What the playbook requires of the machine.
    pub machine: MachineOptions,
    /// Packages of the distribution.
    pub packages: PackagesOptions,
    /// Docker Engine and the Compose plugin.
    pub docker: DockerOptions,
    /// Who may use Docker.
    pub user: UserOptions,
    /// What comes in.
    pub firewall: FirewallOptions,
    /// Secrets that the host makes for itself.
    pub secrets: SecretsOptions,
    /// Where the stack's database is.
    pub postgres: PostgresOptions,
    /// The Compose project.
    pub stack: StackOptions,
}

/// The names of all steps, in the order in which a playbook usually has them.
pub const NAMES: [&str; 8] =
    ["machine", "packages", "docker", "user", "firewall", "secrets", "postgres", "stack"];

/// The plan of a host: a fold over its steps, each seeing the host as the ones before leave it.
pub fn plan(host: &str, playbook: &str, steps: &[Box<dyn Step>], model: &mut Model) -> Result<Plan, Refusal> {
    let shared = steps.iter().rposition(|step| claims::SHARED.contains(&step.name()));
    let mut steps = steps.iter().map(|step| step.plan(model)).collect::<Result<Vec<_>, _>>()?;
    if let Some(last) = shared
        && let Some(record) = model.claims.plan(&model.facts)
    {
        steps.insert(last + 1, record);
    }
    packages::check_sources(&steps, model)?;
    steps.iter_mut().for_each(apt_key::warn_of_unproven_keys);
    let fingerprint = fingerprint(playbook, &steps);
    let plan = Plan {
        host: host.to_owned(),
        playbook: playbook.to_owned(),
        stack: model.claims.stack().to_owned(),
        steps,
        fingerprint,
    };
    Ok(plan.without_passwords())
}

/// The shell of a step that changes something.
pub fn script(step: &str) -> Option<&'static str> {
    match step {
        "packages" => Some(include_str!("../../scripts/steps/packages.sh")),
        "docker" => Some(include_str!("../../scripts/steps/docker.sh")),
        "user" => Some(include_str!("../../scripts/steps/user.sh")),
        "claims" => Some(include_str!("../../scripts/steps/claims.sh")),
        "firewall" => Some(include_str!("../../scripts/steps/firewall.sh")),
        "secrets" => Some(include_str!("../../scripts/steps/secrets.sh")),
        "postgres" => Some(include_str!("../../scripts/steps/postgres.sh")),
        "stack" => Some(concat!(
            include_str!("../../scripts/steps/stack.sh"),
            include_str!("../../scripts/steps/bundle.sh"),
            include_str!("../../scripts/steps/watch.sh"),
            include_str!("../../scripts/steps/rolling.sh"),
            include_str!("../../scripts/steps/recreate.sh")
        )),
        // Its restore ends with a start of the stack, and both of its scripts read backups.
        "backup" => Some(concat!(
            include_str!("../../scripts/steps/stack.sh"),
            include_str!("../../scripts/steps/bundle.sh"),
            include_str!("../../scripts/steps/watch.sh"),
            include_str!("../../scripts/steps/rolling.sh"),
            include_str!("../../scripts/steps/recreate.sh"),
            include_str!("../../scripts/dump.sh"),
            include_str!("../../scripts/steps/backup.sh")
        )),
        _ => None,
    }
}

/// A step in a plan that has nothing to say yet.
fn planned(step: &'static str) -> PlannedStep {
    PlannedStep {
        step,
        state: String::new(),
        changes: Vec::new(),
        warnings: Vec::new(),
        withheld: Vec::new(),
        lasting: Vec::new(),
        findings: Vec::new(),
    }
}

/// The change of a file of root's that everybody may read; none when it stands there already.
fn text_file(model: &Model, path: &str, content: String) -> Option<FileChange> {
    plain_file(model, path, content, 0o644)
}

/// The change of a file of root's with these permission bits; none when it stands there already.
fn plain_file(model: &Model, path: &str, content: String, mode: u32) -> Option<FileChange> {
    let sha256 = crate::digest::sha256(content.as_bytes());
    let present = model.file(path);
    if present.is_some_and(|file| file.sha256 == sha256 && file.mode == mode && file.owner == "root:root") {
        return None;
    }
    Some(FileChange {
        path: path.to_owned(),
        mode,
        owner: "root:root".to_owned(),
        sha256: Some(sha256),
        before: present.and_then(|file| file.content.clone()),
        content: Some(content.into_bytes()),
        sensitive: false,
        exists: present.is_some(),
        recorded: None,
    })
}
