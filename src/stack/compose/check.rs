//! What holds between services: order, circles, ports.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::read::{Placed, Read};
use super::yaml::Place;
use super::{ComposeError, Condition, Port, Project, Service, invalid, resources};
use crate::stack::images::Reference;

/// Checks the project as a whole and marks its one-shots.
pub(super) fn project(project: &mut Project, read: &Read) -> Result<(), ComposeError> {
    let services: HashMap<&str, &Placed> =
        read.services.iter().map(|s| (s.service.name.as_str(), s)).collect();
    for placed in &read.services {
        dependencies(placed, &services)?;
    }
    cycles(&read.services, &services)?;
    if !read.services.iter().any(|s| s.service.enabled) {
        let what = "every service belongs to a profile, and none is active".to_owned();
        let remedy = "name one in COMPOSE_PROFILES in .env";
        if let Some(first) = read.services.first() {
            return Err(invalid(&first.place, what, remedy));
        }
    }
    ports(&read.services, &services)?;
    resources::container_names(&project.name, &read.services)?;
    let enabled = read.services.iter().filter(|placed| placed.service.enabled);
    let awaited: HashSet<&str> = enabled
        .flat_map(|placed| &placed.service.depends_on)
        .filter(|dependency| dependency.condition == Condition::CompletedSuccessfully)
        .map(|dependency| dependency.service.as_str())
        .collect();
    for service in &mut project.services {
        service.one_shot = awaited.contains(service.name.as_str());
    }
    mark_made_here(project);
    Ok(())
}

/// An image that one service builds and another names is not to be pulled.
fn mark_made_here(project: &mut Project) {
    let name = |service: &Service| match service.image.as_deref() {
        Some(image) => image.to_owned(),
        None => format!("{}-{}", project.name, service.name),
    };
    let full = |image: &str| Reference::parse(image).ok().map(|reference| reference.to_string());
    let built: HashSet<String> = project
        .enabled()
        .filter(|service| service.build)
        .filter_map(|service| full(&name(service)))
        .collect();
    for service in project.services.iter_mut().filter(|service| !service.build) {
        service.is_made_here =
            service.image.as_deref().and_then(full).is_some_and(|image| built.contains(&image));
    }
}

/// Whether a service starts only once another has ended: it waits for its end, or for that of
/// one which does.
fn follows(later: &str, earlier: &str, services: &HashMap<&str, &Placed>) -> bool {
    let mut seen = HashSet::from([later]);
    let mut open = vec![later];
    while let Some(name) = open.pop() {
        let Some(placed) = services.get(name) else { continue };
        for dependency in &placed.service.depends_on {
            let wanted = dependency.service.as_str();
            if wanted == earlier && dependency.condition == Condition::CompletedSuccessfully {
                return true;
            }
            if let Some((wanted, _)) = services.get_key_value(wanted)
                && seen.insert(wanted)
            {
                open.push(wanted);
            }
        }
    }
    false
}

fn dependencies(placed: &Placed, services: &HashMap<&str, &Placed>) -> Result<(), ComposeError> {
    let name = &placed.service.name;
    if !placed.service.enabled {
        return Ok(());
    }
    for (dependency, place) in placed.service.depends_on.iter().zip(&placed.depends_on) {
        let wanted = dependency.service.as_str();
        let Some(other) = services.get(wanted) else {
            let what = format!("service {name:?} depends on {wanted:?}, which is not there");
            return Err(invalid(place, what, "correct the name, or add that service"));
        };
        // Without the other one there is no network to share.
        let shares = placed.service.network_mode.as_deref() == Some(format!("service:{wanted}").as_str());
        if !dependency.required && !shares {
            continue;
        }
        if !other.service.enabled {
            let profiles = other.service.profiles.join(", ");
            let what = format!(
                "service {name:?} depends on {wanted:?}, which is off: none of its profiles \
                 ({profiles}) is active"
            );
            let remedy = "name one in COMPOSE_PROFILES in .env, or write `required: false`";
            return Err(invalid(place, what, remedy));
        }
        if dependency.condition == Condition::Healthy && other.healthcheck_off {
            let what =
                format!("service {name:?} waits until {wanted:?} is healthy, but its health check is off");
            return Err(invalid(place, what, "switch it on, or wait for service_started"));
        }
    }
    Ok(())
}

/// Follows `depends_on` from every service without recursion.
fn cycles(all: &[Placed], services: &HashMap<&str, &Placed>) -> Result<(), ComposeError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Open,
        Done,
    }
    let mut states: HashMap<&str, Visit> = HashMap::new();
    for start in all.iter().filter(|s| s.service.enabled) {
        let mut path: Vec<(&Placed, usize)> = vec![(start, 0)];
        while let Some((placed, next)) = path.last_mut() {
            let name = placed.service.name.as_str();
            if *next == 0 && states.get(name) == Some(&Visit::Done) {
                path.pop();
                continue;
            }
            states.insert(name, Visit::Open);
            let Some(dependency) = placed.service.depends_on.get(*next) else {
                states.insert(name, Visit::Done);
                path.pop();
                continue;
            };
            let place = &placed.depends_on[*next];
            *next += 1;
            let wanted = dependency.service.as_str();
            if states.get(wanted) == Some(&Visit::Open) {
                return Err(circle(&path, wanted, place));
            }
            if let Some(other) = services.get(wanted).filter(|s| s.service.enabled) {
                path.push((other, 0));
            }
        }
    }
    Ok(())
}

fn circle(path: &[(&Placed, usize)], wanted: &str, place: &Place) -> ComposeError {
    let names = path.iter().map(|(p, _)| p.service.name.as_str());
    let mut names: Vec<&str> = names.skip_while(|n| *n != wanted).collect();
    names.push(wanted);
    let what = format!("services wait for each other in a circle: {}", names.join(" → "));
    invalid(place, what, "remove one of these `depends_on`")
}

/// Ports of the host that are bound, by the first of each range: thousands are looked through quickly.
#[derive(Default)]
struct Bound<'a> {
    by_first: BTreeMap<u16, Vec<(usize, &'a Port, &'a str, &'a Place)>>,
    count: usize,
    /// One less than the longest range has.
    longest: u16,
}

impl<'a> Bound<'a> {
    fn add(&mut self, port: &'a Port, owner: &'a str, place: &'a Place) {
        let Some(range) = port.published else { return };
        self.longest = self.longest.max(range.last.saturating_sub(range.first));
        self.by_first.entry(range.first).or_default().push((self.count, port, owner, place));
        self.count += 1;
    }

    /// Those that may share a port with this one.
    fn near(&self, port: &Port) -> impl Iterator<Item = &(usize, &'a Port, &'a str, &'a Place)> {
        let range = port.published.into_iter();
        range
            .flat_map(|range| self.by_first.range(range.first.saturating_sub(self.longest)..=range.last))
            .flat_map(|(_, ports)| ports)
    }
}

/// No two containers may bind the same port of the host.
fn ports(services: &[Placed], by_name: &HashMap<&str, &Placed>) -> Result<(), ComposeError> {
    let bridged = |s: &&Placed| {
        let mode = s.service.network_mode.as_deref().unwrap_or_default();
        s.service.enabled
            && s.service.scale > 0
            && mode != "host"
            && !mode.starts_with("service:")
            && !mode.starts_with("container:")
    };
    let mut bound = Bound::default();
    for placed in services.iter().filter(bridged) {
        let name = &placed.service.name;
        for (port, place) in placed.service.ports.iter().zip(&placed.ports) {
            if port.fixed() && placed.service.scale > 1 {
                let what = format!(
                    "service {name:?} has {} containers, and only one can bind port {port}",
                    placed.service.scale
                );
                let remedy = "put a proxy in front, or publish a range of ports";
                return Err(invalid(place, what, remedy));
            }
            let is_handed_on = |owner: &str| follows(name, owner, by_name) || follows(owner, name, by_name);
            let mut taken: Vec<_> = bound.near(port).filter(|(_, other, ..)| port.collides(other)).collect();
            taken.sort_unstable_by_key(|(order, ..)| *order);
            if let Some((_, other, owner, first)) = taken.iter().find(|(_, _, owner, _)| !is_handed_on(owner))
            {
                let what =
                    format!("port {port} of service {name:?} is taken by {other} of {owner:?} ({first})");
                return Err(invalid(place, what, "publish one of them elsewhere"));
            }
            bound.add(port, name, place);
        }
    }
    Ok(())
}
