//! Names of containers that others on the host have: Docker gives each to one container.

use super::{STEP, Stack};
use crate::facts::Container;
use crate::stack::compose::Service;
use crate::steps::{Model, Refusal};

impl Stack {
    /// The names that containers of the project get, each with its service: those that the file
    /// gives, and those that Compose makes of project, service and number.
    pub(super) fn names(&self) -> impl Iterator<Item = (&Service, String)> {
        self.services().flat_map(|service| {
            let project = &self.input.project.name;
            let made = move |number: u32| format!("{project}-{}-{number}", service.name);
            let names: Vec<String> = match &service.container_name {
                Some(name) => vec![name.clone()],
                None => (1..=service.scale.min(100)).map(made).collect(),
            };
            names.into_iter().map(move |name| (service, name))
        })
    }

    /// The start would fail when all else is done, and with `--force` no less.
    pub(super) fn check_names(&self, model: &Model) -> Result<(), Refusal> {
        let own = &self.input.project.name;
        let holder = |name: &str| {
            let others = model.facts.neighbours.namesakes.iter().filter(|each| each.project != *own);
            others.into_iter().find(|container| container.name == name)
        };
        let taken: Vec<_> =
            self.names().filter_map(|(service, name)| Some((service, holder(&name)?))).collect();
        let Some((service, first)) = taken.first() else { return Ok(()) };
        let details = taken.iter().map(|(service, container)| {
            let place = match service.container_name_place.as_str() {
                "" => String::new(),
                place => format!("{place}: "),
            };
            format!("{place}the name {} of {} is taken by {}", container.name, service.name, who(container))
        });
        let mut hints = vec![match service.container_name {
            Some(_) => format!(
                "give {} another `container_name`, or leave it out: Compose then names it {own}-{}-1",
                service.name, service.name
            ),
            None => "give this project another name: `name = …` in [steps.stack]".into(),
        }];
        let former = self.former_name(model);
        hints.push(match former.filter(|former| *former == first.project) {
            Some(former) => format!(
                "{former} is this same folder under its previous name: set name = \"{former}\" in [steps.stack], or \
                 remove it on the host: docker compose -p {former} down"
            ),
            None => format!("if that container is not needed any more, on the host: docker rm -f {}", first.name),
        });
        Err(Refusal {
            step: STEP,
            what: match taken.len() {
                1 => "another container on the host has the name of one of the stack's; nothing was changed"
                    .into(),
                count => format!(
                    "other containers on the host have {count} names of the stack's; nothing was changed"
                ),
            },
            details: details.collect(),
            hints,
            findings: Vec::new(),
        })
    }
}

/// A container as its owner knows it.
fn who(container: &Container) -> String {
    let state = match container.state.as_str() {
        "" => String::new(),
        state => format!(", {state}"),
    };
    match (container.project.as_str(), container.folder.as_str()) {
        ("", _) => format!("a container of no Compose project ({}{state})", container.image),
        (project, "") => {
            format!("a container of the project {project} (service {}{state})", container.service)
        }
        (project, folder) => {
            format!("a container of the project {project} in {folder} (service {}{state})", container.service)
        }
    }
}
