//! The installation of the Engine and all that belongs to it, or of another version.

use super::{
    CONFLICTS, Docker, Engine, EngineSource, OFFICIAL_PACKAGES, STEP, bounds_text, daemon,
    distribution_packages,
};
use crate::plan::{Change, PlannedStep, Risk};
use crate::steps::packages::refresh;
use crate::steps::{Model, Refusal};

impl Docker {
    pub(super) fn install(
        &self,
        model: &mut Model,
        step: &mut PlannedStep,
        why: String,
        source: EngineSource,
    ) -> Result<(), Refusal> {
        let bare = model.facts.docker.is_none();
        let packages = packages(model, source)?;
        let main = packages.first().copied().unwrap_or_default();
        if let Some(missing) = self.missing_parts(model, &packages, main) {
            // Their owner's entry for the repository does as well.
            if source == EngineSource::Docker && model.facts.apt.sources.is_empty() {
                step.changes.extend(self.repository(model));
            }
            step.changes.push(self.parts(model, &missing, why));
            step.changes.extend(daemon::plan(self, model, Engine::Running)?);
            return Ok(());
        }
        let conflicts = conflicts(model, source, &packages);
        // daemon.json first, so that the daemon's first start is with it.
        if bare {
            step.changes.extend(daemon::plan(self, model, Engine::New)?);
            self.check_bridge(model)?;
        }
        if source == EngineSource::Docker {
            step.changes.extend(self.repository(model));
        }
        let is_installed = |name: &&String| packages.contains(&name.as_str());
        let held: Vec<_> = model.facts.apt.held.iter().filter(is_installed).cloned().collect();
        // Those that we hold ourselves are no surprise.
        if !held.is_empty() && !self.options.hold {
            step.warnings.push(format!("apt holds {}; this change goes over the hold", held.join(", ")));
        }
        step.changes.push(self.engine(model, &packages, &conflicts, why));
        model.remove(conflicts.iter().copied());
        model.install(packages.iter().copied());
        if source == EngineSource::Distribution {
            // What its docker.io brings along.
            model.install(["containerd", "runc"]);
        }
        model.docker_planned = true;
        model.facts.groups.entry("docker".into()).or_default().get_or_insert_with(Default::default);
        if !bare {
            step.changes.extend(daemon::plan(self, model, Engine::Running)?);
        }
        Ok(())
    }

    /// The change that installs `packages`, the Engine's first, in the place of `conflicts`.
    fn engine(&self, model: &mut Model, packages: &[&str], conflicts: &[&str], why: String) -> Change {
        let main = packages.first().copied().unwrap_or_default();
        let present = model.facts.docker_engine().cloned();
        let version = self.options.version.to_string();
        let mut action = self
            .action("engine")
            .with("packages", packages.join(" "))
            .with("main", main)
            .with("conflicts", conflicts.join(" "))
            .with("bounds", bounds_text(&self.options.version))
            .with("version", &version)
            .with("refresh", refresh(model))
            .within(1800);
        if action.arguments.get("bounds").is_some_and(String::is_empty) {
            action.arguments.remove("bounds");
        }
        let mut risks = vec![Risk::Downloads { bytes: None }];
        if !conflicts.is_empty() {
            risks.push(Risk::Removes { what: conflicts.iter().map(|name| (*name).to_owned()).collect() });
        }
        if model.facts.docker.is_none() {
            action = model.watched(action);
        } else {
            risks.push(Risk::RestartsDocker { live_restore: false });
        }
        let wanted = if version == "*" { String::new() } else { format!(" {version}") };
        let others = packages.len().saturating_sub(1);
        Change {
            id: "docker/engine".into(),
            title: format!("install Docker Engine{wanted} and Compose ({main} and {others} more)"),
            reason: match present {
                Some(present) => format!("{why}; replaces Engine {present}"),
                None => why,
            },
            risks,
            files: Vec::new(),
            undo: Some(format!("apt-get remove {}; /var/lib/docker stays", packages.join(" "))),
            action,
        }
    }
}

/// The packages from this source, the Engine's first.
fn packages(model: &Model, source: EngineSource) -> Result<Vec<&'static str>, Refusal> {
    match source {
        EngineSource::Docker => Ok(OFFICIAL_PACKAGES.to_vec()),
        EngineSource::Distribution => distribution_packages(&model.facts).ok_or_else(|| {
            let name = &model.facts.system.name;
            let what = format!("{name} has no Compose plugin of version 2 among its packages");
            Refusal::new(STEP, what, "take source = \"docker\" in [steps.docker]")
        }),
    }
}

/// Installed packages that cannot stay beside these.
fn conflicts(model: &Model, source: EngineSource, packages: &[&str]) -> Vec<&'static str> {
    CONFLICTS
        .iter()
        .chain(&OFFICIAL_PACKAGES)
        .copied()
        .filter(|name| !packages.contains(name))
        // Debian's docker.io needs Debian's containerd and runc.
        .filter(|name| source == EngineSource::Docker || !["containerd", "runc"].contains(name))
        .filter(|name| matches!(model.facts.packages.get(*name), Some(Some(_))))
        .collect()
}
