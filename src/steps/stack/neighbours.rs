//! Others on the host who use the project's name: their containers are not replaced or removed.

use std::collections::BTreeSet;

use super::{STEP, Stack};
use crate::facts::Container;
use crate::steps::{Model, Refusal};

impl Stack {
    /// A project of the same name that was started from another folder, by hand or by provision.
    pub(super) fn check_neighbours(&self, model: &Model) -> Result<(), Refusal> {
        if model.force {
            return Ok(());
        }
        let name = &self.input.project.name;
        let containers: Vec<_> =
            model.facts.containers.iter().filter(|container| container.project == *name).collect();
        let foreign: Vec<_> = containers.iter().copied().filter(|each| !self.is_own(each, model)).collect();
        if let Some(first) = foreign.first() {
            return Err(self.refusal(&format!("{} on the host", first.folder), &foreign));
        }
        let origin = model.text(&self.state("origin")).unwrap_or_default().trim();
        if origin.is_empty() || origin == self.input.origin || containers.is_empty() {
            return Ok(());
        }
        // The same application may well be sent from two computers: another one is known by its services.
        let strange: Vec<_> = containers.into_iter().filter(|each| !self.has_like(each)).collect();
        if strange.is_empty() { Ok(()) } else { Err(self.refusal(origin, &strange)) }
    }

    fn is_own(&self, container: &Container, model: &Model) -> bool {
        let lies_in = |folder: &str| {
            container.folder == folder
                || container.folder.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        let before = model.text(&self.state("folder")).unwrap_or_default().trim();
        container.folder.is_empty() || lies_in(&self.folder()) || (!before.is_empty() && lies_in(before))
    }

    /// Whether the project has such a service, with an image of that name, whatever its version.
    fn has_like(&self, container: &Container) -> bool {
        let Some(service) = self.input.project.service(&container.service) else { return false };
        let bare = |image: &str| {
            let image = image.split('@').next().unwrap_or_default();
            match image.rsplit_once(':') {
                Some((name, tag)) if !tag.contains('/') => name.to_owned(),
                _ => image.to_owned(),
            }
        };
        // What is built here has a name that Compose makes.
        service.build || service.image.as_deref().is_some_and(|image| bare(image) == bare(&container.image))
    }

    fn refusal(&self, origin: &str, containers: &[&Container]) -> Refusal {
        let name = &self.input.project.name;
        let services: BTreeSet<_> = containers.iter().map(|container| container.service.as_str()).collect();
        let services: Vec<_> = services.into_iter().collect();
        Refusal {
            step: STEP,
            what: format!("another project named `{name}` runs on the host; nothing was changed"),
            details: vec![format!("it comes from {origin}: {}", services.join(", "))],
            hints: vec![
                format!("give this one another name: `name = \"{name}-2\"` in [steps.stack]"),
                "if it is the same application, `--force` takes it over".into(),
            ],
            findings: Vec::new(),
        }
    }
}
