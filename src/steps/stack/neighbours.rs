//! Others on the host who use the project's name: their containers are not replaced or removed.

use std::collections::BTreeSet;

use super::files::is_above;
use super::{STEP, Stack};
use crate::facts::Container;
use crate::steps::{Model, Refusal};

/// Where the host keeps what is known of stacks.
const STACKS: &str = "/var/lib/provision/stacks/";

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
        if let Some(first) = containers.first().filter(|_| !self.is_known(model)) {
            let place = match first.folder.as_str() {
                "" => "elsewhere: provision has never put it on the host".to_owned(),
                folder => format!("{folder} on the host, where provision has never put it"),
            };
            return Err(self.refusal(&place, &containers));
        }
        let origin = model.text(&self.state("origin")).unwrap_or_default().trim();
        if origin.is_empty() || origin == self.input.origin {
            return Ok(());
        }
        // The very same files are no other application, whatever they were sent from.
        let sent = model.file(&self.state("manifest"));
        if sent.is_none_or(|sent| sent.sha256 == self.manifest_sum()) {
            return Ok(());
        }
        if containers.is_empty() || model.has_other_folder {
            return Err(self.refusal(origin, &containers));
        }
        // The same application may well be sent from two computers: another one is known by its services.
        let strange: Vec<_> = containers.into_iter().filter(|each| !self.has_like(each)).collect();
        if strange.is_empty() { Ok(()) } else { Err(self.refusal(origin, &strange)) }
    }

    /// The same folder under another name: volumes have the project's name, so they begin empty.
    pub(super) fn renamed(&self, model: &Model) -> Option<String> {
        let former = self.former_name(model)?;
        Some(format!(
            "this folder is on the host already, as the project `{former}`; with the new name its volumes start \
             empty, and `{former}` keeps running: to keep the data, set name = \"{former}\" in [steps.stack]"
        ))
    }

    /// The name under which this folder is on the host, where it has another one now.
    pub(super) fn former_name(&self, model: &Model) -> Option<String> {
        let name = &self.input.project.name;
        if self.input.is_shipped() || model.file(&self.state("origin")).is_some() {
            return None;
        }
        let stacks = model.facts.files.range(STACKS.to_owned()..);
        stacks.map_while(|(path, _)| path.strip_prefix(STACKS)).find_map(|rest| {
            let other = rest.strip_suffix("/origin").filter(|other| other != name)?;
            let origin = model.text(&format!("{STACKS}{other}/origin"))?;
            (origin.trim() == self.input.origin).then(|| other.to_owned())
        })
    }

    /// Whether provision has put the stack on the host.
    fn is_known(&self, model: &Model) -> bool {
        ["manifest", "origin"].iter().any(|file| model.file(&self.state(file)).is_some())
    }

    /// The folder on the host has to be the stack's own, and the one in which its data is.
    pub(super) fn check_folder(&self, model: &Model) -> Result<(), Refusal> {
        if model.force {
            return Ok(());
        }
        let folder = self.folder();
        let is_other = |(_, other): &(&str, &str)| {
            *other == folder || is_above(other, &folder) || is_above(&folder, other)
        };
        if let Some((name, other)) = self.other_folders(model).find(is_other) {
            return Err(Refusal::new(
                STEP,
                format!(
                    "{folder} on the host is not free: the stack `{name}` is in {other}; nothing was changed"
                ),
                "give this one another `folder` in [steps.stack]; without it, it is in /srv/NAME",
            ));
        }
        let Some(before) = self.folder_before(model) else { return Ok(()) };
        let mounts = self.services().flat_map(|service| &service.mounts);
        let mut data = mounts.filter(|mount| mount.is_inside() && mount.writable).peekable();
        let has_data = data.peek().is_some();
        // A folder that is there without what containers write has only been made.
        let mut is_moved =
            || data.any(|mount| model.file(self.on_host(mount).trim_end_matches('/')).is_some());
        if !has_data || is_moved() {
            return Ok(());
        }
        Err(Refusal {
            step: STEP,
            what: format!(
                "the stack is in {before} on the host, and its data would stay there; nothing was changed"
            ),
            details: vec![format!(
                "`folder` is {folder} now, and containers would start without what they wrote"
            )],
            hints: vec![
                format!(
                    "move it first, on the host: sudo docker compose -p {} down, then sudo mv -T {before} {folder}",
                    self.input.project.name
                ),
                "or let it start with what is sent: `--force`".into(),
            ],
            findings: Vec::new(),
        })
    }

    /// The folder on the host in which the stack was, where that is another one now.
    pub(super) fn folder_before<'m>(&self, model: &'m Model) -> Option<&'m str> {
        let before = model.text(&self.state("folder"))?.trim();
        (!before.is_empty() && before != self.folder()).then_some(before)
    }

    /// Names and folders of other stacks.
    fn other_folders<'m>(&self, model: &'m Model) -> impl Iterator<Item = (&'m str, &'m str)> {
        let own = self.input.project.name.clone();
        let stacks = model.facts.files.range(STACKS.to_owned()..);
        let stacks = stacks.map_while(|(path, _)| path.strip_prefix(STACKS));
        stacks.filter_map(|rest| rest.strip_suffix("/folder")).filter(move |name| *name != own).filter_map(
            |name| {
                let folder = model.text(&format!("{STACKS}{name}/folder"))?.trim().trim_end_matches('/');
                (!folder.is_empty()).then_some((name, folder))
            },
        )
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
            let name = match image.rsplit_once(':') {
                Some((name, tag)) if !tag.contains('/') => name,
                _ => image,
            };
            let name = name.strip_prefix("docker.io/").unwrap_or(name);
            name.strip_prefix("library/").unwrap_or(name).to_owned()
        };
        // What is built has the name that Compose makes of project and service: that tells nothing.
        !service.build && service.image.as_deref().is_some_and(|image| bare(image) == bare(&container.image))
    }

    fn refusal(&self, origin: &str, containers: &[&Container]) -> Refusal {
        let name = &self.input.project.name;
        let services: BTreeSet<_> = containers.iter().map(|container| container.service.as_str()).collect();
        let services: Vec<_> = services.into_iter().collect();
        Refusal {
            step: STEP,
            what: match services.is_empty() {
                true => format!("another project named `{name}` is on the host; nothing was changed"),
                false => format!("another project named `{name}` runs on the host; nothing was changed"),
            },
            details: vec![match services.is_empty() {
                true => format!("it comes from {origin}"),
                false => format!("it comes from {origin}: {}", services.join(", ")),
            }],
            hints: vec![
                format!("give this one another name: `name = \"{name}-2\"` in [steps.stack]"),
                "if it is the same application, `--force` takes it over".into(),
            ],
            findings: Vec::new(),
        }
    }
}
