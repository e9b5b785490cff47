//! Volumes and networks by their names on the host: those that must be there, those that others
//! made, and those that would start empty.

use super::{STEP, Stack};
use crate::facts::{Owner, Question, Questions};
use crate::stack::compose::{Resource, ResourceKind};
use crate::steps::{Model, Refusal};

/// What the host says of one.
enum Found<'a> {
    /// Nothing is known: the daemon does not answer.
    Unknown,
    Missing,
    There(&'a Owner),
}

impl Stack {
    pub(super) fn ask_for_resources(&self, questions: &mut Questions) {
        questions.insert(Question::Volumes(self.input.project.name.clone()));
        for resource in self.input.project.resources.iter().filter(|resource| resource.is_plain()) {
            let name = resource.name.clone();
            match resource.kind {
                ResourceKind::Volume => questions.insert(Question::Volume(name)),
                ResourceKind::Network if is_asked(resource) => questions.insert(Question::Network(name)),
                // Those with the project's name in front are its own.
                ResourceKind::Network => false,
            };
        }
    }

    /// What Compose would refuse, or take from another project, when all else is done.
    pub(super) fn check_resources(&self, model: &Model) -> Result<(), Refusal> {
        let resources = &self.input.project.resources;
        let missing: Vec<_> = resources
            .iter()
            .filter(|resource| resource.external && matches!(found(resource, model), Found::Missing))
            .collect();
        if !missing.is_empty() {
            return Err(missing_refusal(&missing, model));
        }
        let own = &self.input.project.name;
        let foreign: Vec<_> = resources
            .iter()
            .filter(|resource| !resource.external && is_asked(resource))
            .filter_map(|resource| match found(resource, model) {
                Found::There(owner) if is_foreign(resource, owner, own) => Some((resource, owner)),
                _ => None,
            })
            .collect();
        match foreign.first() {
            Some((first, _)) if !(model.force && first.kind == ResourceKind::Volume) => {
                Err(foreign_refusal(first, &foreign))
            }
            _ => Ok(()),
        }
    }

    /// Volumes that start empty where the project has others that it no longer uses, and those that
    /// Compose did not make. That some are no longer used is news while something `changes`, and once.
    pub(super) fn remarks_on_volumes(&self, model: &Model, changes: bool) -> Vec<String> {
        let by_hand = self.volumes().filter_map(|volume| match found(volume, model) {
            Found::There(owner) if owner.project.is_empty() => Some(format!(
                "{}: the volume {} is on the host and Compose did not make it; {} gets what is in it: \
                 `external: true` says that this is meant",
                volume.place,
                volume.name,
                volume.services.join(", ")
            )),
            _ => None,
        });
        let mut remarks: Vec<_> = by_hand.collect();
        let left = self.left_volumes(model);
        let Some(first) = left.first() else { return remarks };
        let fresh = self.volumes().filter(|volume| matches!(found(volume, model), Found::Missing));
        remarks.extend(fresh.map(|volume| {
            format!(
                "{}: the volume {} is new and starts empty ({}), while {} of this project {} on the host unused: to \
                 keep the data, keep the volume's name (`name: {first}` below it)",
                volume.place,
                volume.name,
                volume.services.join(", "),
                left.join(", "),
                if left.len() == 1 { "stays" } else { "stay" },
            )
        }));
        let recorded = self.recorded(model);
        let was_used =
            |volume: &&&str| recorded.as_ref().is_none_or(|before| before.volume(volume).is_some());
        let left: Vec<_> = left.iter().filter(was_used).copied().collect();
        if remarks.is_empty() && changes && !left.is_empty() {
            let (stay, it) = if left.len() == 1 { ("volume", "is in it") } else { ("volumes", "is in them") };
            remarks.push(format!(
                "no service uses the {stay} {} of this project any more: what {it} stays on the host, and is not \
                 copied to what takes its place",
                left.join(", ")
            ));
        }
        remarks
    }

    /// Volumes of the project that its files no longer declare.
    fn left_volumes<'m>(&self, model: &'m Model) -> Vec<&'m str> {
        let project = &self.input.project;
        let is_left = |(name, owner): &(&String, &Option<Owner>)| {
            owner.as_ref().is_some_and(|owner| owner.project == project.name)
                && !project.declared_volumes.contains(name)
        };
        model.facts.neighbours.volumes.iter().filter(is_left).map(|(name, _)| name.as_str()).collect()
    }

    /// Volumes that are declared differently from when they were made: Docker keeps what they have.
    pub(super) fn remarks_on_redeclared(&self, model: &Model) -> Vec<String> {
        let Some(recorded) = self.recorded(model) else { return Vec::new() };
        let is_redeclared = |volume: &&Resource| {
            recorded.volume(&volume.name).is_some_and(|declared| declared != volume.definition)
                && matches!(found(volume, model), Found::There(_))
        };
        let redeclared = self.volumes().filter(is_redeclared);
        let remark = |volume: &Resource| {
            format!(
                "{}: the volume {} exists, and Docker keeps the options that it was created with: to apply the new \
                 ones, move its data away and remove it on the host (sudo docker volume rm {})",
                volume.place, volume.name, volume.name
            )
        };
        redeclared.map(remark).collect()
    }

    /// Volumes that Compose makes for the project.
    pub(super) fn volumes(&self) -> impl Iterator<Item = &Resource> {
        let resources = self.input.project.resources.iter();
        resources.filter(|resource| resource.kind == ResourceKind::Volume && !resource.external)
    }
}

/// Whether another project may have this name.
fn is_asked(resource: &Resource) -> bool {
    resource.external || resource.fixed
}

fn found<'m>(resource: &Resource, model: &'m Model) -> Found<'m> {
    let facts = &model.facts;
    if facts.docker.is_none() {
        // No Docker, no volumes; what stands in /var/lib/docker from before is not known.
        return Found::Missing;
    }
    if facts.docker_engine().is_none() {
        return Found::Unknown;
    }
    let neighbours = &facts.neighbours;
    match resource.kind {
        ResourceKind::Volume => match neighbours.volumes.get(&resource.name) {
            None => Found::Unknown,
            Some(None) => Found::Missing,
            Some(Some(owner)) => Found::There(owner),
        },
        ResourceKind::Network => match (facts.networks.get(&resource.name), &neighbours.networks) {
            (None, _) => Found::Unknown,
            (Some(None), _) => Found::Missing,
            (Some(Some(_)), owners) => owners.get(&resource.name).map_or(Found::Unknown, Found::There),
        },
    }
}

/// Compose takes a volume without labels with a warning, and refuses a network without them.
fn is_foreign(resource: &Resource, owner: &Owner, own: &str) -> bool {
    let made_by_hand = owner.project.is_empty();
    owner.project != own && (resource.kind == ResourceKind::Network || !made_by_hand)
}

fn missing_refusal(missing: &[&Resource], model: &Model) -> Refusal {
    let details = missing.iter().map(|resource| {
        let (word, name) = (resource.kind.word(), &resource.name);
        format!("{}: {} uses the external {word} {name}", resource.place, resource.services.join(", "))
    });
    let commands: Vec<_> = missing
        .iter()
        .map(|resource| format!("docker {} create {}", resource.kind.word(), resource.name))
        .collect();
    let first = missing.first().map(|resource| resource.name.as_str()).unwrap_or_default();
    let own = format!("or let Compose make it: in place of `external: true` write `name: {first}`");
    let make = match model.facts.docker.is_some() {
        true => format!("make it on the host: {}", commands.join("; ")),
        false => format!(
            "install Docker first (a playbook without the step `stack`), then on the host: {}",
            commands.join("; ")
        ),
    };
    let word = missing.first().map_or("volume", |resource| resource.kind.word());
    Refusal {
        step: STEP,
        what: match missing.len() {
            1 => format!("the host does not have the external {word} {first}; nothing was changed"),
            count => {
                format!("the host lacks {count} external volumes and networks; nothing was changed")
            }
        },
        details: details.collect(),
        hints: if model.facts.docker.is_some() { vec![make, own] } else { vec![own, make] },
        findings: Vec::new(),
    }
}

fn foreign_refusal(first: &Resource, foreign: &[(&Resource, &Owner)]) -> Refusal {
    let details = foreign.iter().map(|(resource, owner)| {
        let Resource { place, name, kind, services, .. } = resource;
        let by = match owner.project.as_str() {
            "" => "Compose did not make".to_owned(),
            project => format!("the project {project} made"),
        };
        format!("{place}: {} would use the {} {name}, which {by}", services.join(", "), kind.word())
    });
    let word = first.kind.word();
    let mut hints = vec![
        format!(
            "give this one another `name`, or leave `name` out: Compose then puts the project's in front"
        ),
        format!("to share the {word}, say so: `external: true`"),
    ];
    if foreign.iter().all(|(resource, _)| resource.kind == ResourceKind::Volume) {
        hints.push("`--force` uses it all the same".into());
    }
    Refusal {
        step: STEP,
        what: format!("the {word} {} on the host is not this project's; nothing was changed", first.name),
        details: details.collect(),
        hints,
        findings: Vec::new(),
    }
}
