//! The start of the stack: why, what it interrupts, and how long it may take.

use std::collections::{BTreeMap, BTreeSet};

use super::containers::{expected, outdated, troubles};
use super::definitions::Recorded;
use super::rolling::{Rolling, rolling};
use super::send::Sent;
use super::touched::Use;
use super::{Pulled, Stack, lines};
use crate::facts::{Container, Published};
use crate::plan::{Action, Change, Risk};
use crate::stack::compose::{Port, Service};
use crate::steps::Model;

/// What a start is judged by.
struct Situation<'a> {
    services: Vec<&'a Service>,
    containers: Vec<&'a Container>,
    /// Running services of which one container after the other is replaced.
    rolling: Vec<Rolling<'a>>,
    /// Services whose containers were made from another image of the same name.
    outdated: Vec<&'a str>,
    pulled: &'a Pulled,
    /// Services that use what is sent; none where nothing is sent, or Compose files are.
    affected: Option<BTreeMap<&'a str, Use>>,
    /// Whether the last start was one of another bundle.
    of_another: bool,
    /// Whether the last start counts for what is there now.
    applied: bool,
    /// Whether secrets have changed since.
    secrets: bool,
    /// Services of the project that are not wanted now.
    off: BTreeSet<&'a str>,
    /// What the last start left behind.
    recorded: Option<Recorded<'a>>,
    /// Whether it is known what the start touches: nothing is known of an earlier one that did not
    /// finish, nor of other Compose files.
    is_known: bool,
}

impl Situation<'_> {
    fn runs(&self, service: &str) -> bool {
        let mut own = self.containers.iter().filter(|container| container.service == service);
        own.any(|container| container.state == "running")
    }

    fn exists(&self, service: &str) -> bool {
        self.containers.iter().any(|container| container.service == service)
    }

    fn is_rolling(&self, service: &str) -> bool {
        self.rolling.iter().any(|each| each.service == service)
    }

    fn is_based_on_new(&self, service: &Service) -> bool {
        service.build && service.bases.iter().any(|base| self.pulled.contains(base))
    }

    fn is_built(&self, service: &Service) -> bool {
        let is_new = !self.is_known || !self.exists(&service.name);
        service.build && (is_new || self.is_affected(&service.name) || self.is_based_on_new(service))
    }

    /// Whether a service uses what is sent, or is defined differently by it.
    fn is_affected(&self, service: &str) -> bool {
        self.affected.as_ref().is_some_and(|all| all.contains_key(service))
    }

    /// Services that Compose recreates, one after the other or not.
    fn recreated(&self) -> BTreeSet<&str> {
        let has_new = |service: &&&Service| {
            service.image.as_ref().is_some_and(|image| self.pulled.contains(image))
                || self.is_based_on_new(service)
        };
        let with_new = self.services.iter().filter(has_new).map(|service| service.name.as_str());
        let affected = self.affected.iter().flatten();
        let made_anew = affected.filter(|(_, part)| part.recreates).map(|(service, _)| *service);
        with_new.chain(self.outdated.iter().copied()).chain(made_anew).collect()
    }

    /// Services that get more or fewer containers, with how many there are.
    fn rescaled(&self) -> impl Iterator<Item = (&Service, usize)> {
        let counted = self.services.iter().map(|service| {
            let own = self.containers.iter().filter(|container| container.service == service.name);
            (*service, own.count())
        });
        counted.filter(|(service, count)| *count > 0 && *count as u64 != u64::from(service.scale))
    }

    /// Services that are no longer part of the project: those that it does not know, and those of the last
    /// start that a profile switches off. What a person has started by its profile stays.
    fn orphans(&self) -> BTreeSet<&str> {
        let is_orphan = |container: &&&Container| {
            let name = container.service.as_str();
            self.services.iter().all(|service| service.name != name)
                && !(self.off.contains(name) && self.recorded.as_ref().is_some_and(|all| !all.started(name)))
        };
        let orphans = self.containers.iter().filter(is_orphan);
        orphans.map(|container| container.service.as_str()).collect()
    }
}

impl Stack {
    /// The start that is due when files are `sent` or images `pulled`, and whenever the containers are
    /// not what they should be.
    pub(super) fn start(&self, model: &Model, sent: Option<&Sent>, pulled: &Pulled) -> Option<Change> {
        let now = self.situation(model, sent, pulled);
        let mut reason = self.why(model, sent, &now)?;
        let (replaced, interrupted) = self.touched(model, &now);
        let built = now.services.iter().filter(|service| now.is_built(service));
        let mut risks: Vec<Risk> = built
            .map(|service| Risk::Builds { service: service.name.clone(), from: service.bases.clone() })
            .collect();
        // What a container that does not run would publish is not known to the host.
        let is_opened = |service: &&&Service| {
            let may_differ = !now.is_known || now.is_affected(&service.name);
            !now.exists(&service.name) || may_differ && now.runs(&service.name)
        };
        let opening: Vec<_> = now.services.iter().filter(is_opened).copied().collect();
        risks.extend(self.opened(&opening, &model.facts.published));
        if !interrupted.is_empty() {
            risks.push(Risk::InterruptsService { services: interrupted });
        }
        if !replaced.is_empty() {
            let names = replaced.join(", ");
            reason = format!("{reason}; of {names} one container after the other is replaced");
        }
        let orphans: Vec<_> = now.orphans().into_iter().collect();
        let orphans = (!orphans.is_empty()).then(|| format!("the containers of {}", orphans.join(", ")));
        let fewer = now.rescaled().filter_map(|(service, count)| {
            let over = count.checked_sub(usize::try_from(service.scale).ok()?).filter(|over| *over > 0)?;
            Some(format!("{over} of the {count} containers of {}", service.name))
        });
        let removed: Vec<_> = orphans.into_iter().chain(fewer).collect();
        if !removed.is_empty() {
            risks.push(Risk::Removes { what: removed });
        }
        let names: Vec<_> = now.services.iter().map(|service| service.name.as_str()).collect();
        let name = &self.input.project.name;
        let rolling: Vec<_> = now.rolling.iter().map(ToString::to_string).collect();
        let replaced = now.rolling.iter().fold(0, |sum: u32, each| sum.saturating_add(each.count));
        let mut action = model
            .watched(self.starting(self.action("up")))
            .with("rolling", lines(&rolling))
            .within(self.patience(replaced));
        if !now.outdated.is_empty() {
            action = action.with("outdated", lines(&now.outdated));
        }
        Some(Change {
            id: "stack/up".into(),
            title: format!("start {name} and wait until it is healthy ({})", names.join(", ")),
            reason,
            risks,
            files: Vec::new(),
            undo: Some(format!("docker compose -p {name} down")),
            action,
        })
    }

    fn situation<'a>(&'a self, model: &'a Model, sent: Option<&Sent>, pulled: &'a Pulled) -> Situation<'a> {
        let services: Vec<_> = self.services().collect();
        let containers = model.facts.containers.iter();
        let containers: Vec<_> =
            containers.filter(|container| container.project == self.input.project.name).collect();
        let hash = self.input.bundle.hash();
        let text = model.text(&self.state("applied"));
        let mut applied = text.unwrap_or_default().lines();
        let of_another = applied.next().is_some_and(|first| first != hash);
        // A line behind the hash: secrets have changed since.
        let secrets = applied.next().is_some() || !model.secret_files.is_empty();
        let applied = text.map(str::trim) == Some(hash.as_str())
            // What needs no start takes over the one before.
            || of_another && sent.is_some_and(|sent| !sent.is_loud);
        let outdated = outdated(&services, &containers, &model.facts.images);
        let affected = sent.and_then(|sent| self.affected(model, sent));
        let is_known = match sent {
            Some(_) => (applied || of_another) && affected.is_some(),
            None => applied,
        };
        let rolling = rolling(&services);
        let mut now = Situation {
            services,
            containers,
            rolling: Vec::new(),
            outdated,
            pulled,
            affected,
            of_another,
            applied,
            secrets,
            off: self
                .input
                .project
                .services
                .iter()
                .filter(|service| !service.enabled)
                .map(|service| service.name.as_str())
                .collect(),
            recorded: self.recorded(model),
            is_known,
        };
        now.rolling = rolling.into_iter().filter(|each| now.runs(each.service)).collect();
        now
    }

    /// Why a start is due; none where all is as it should be.
    fn why(&self, model: &Model, sent: Option<&Sent>, now: &Situation<'_>) -> Option<String> {
        let mut troubles = troubles(&expected(&now.services), &now.containers);
        let of_outdated =
            |name: &&str| format!("{name} was created from a different image with the same tag");
        troubles.extend(now.outdated.iter().map(of_outdated));
        troubles.extend(self.not_joined(&model.facts.networks, &now.containers));
        Some(match () {
            () if now.containers.is_empty() => "it does not run".to_owned(),
            () if sent.map_or(now.of_another, |sent| sent.is_loud) => why_changed(now),
            () if now.secrets => "its secrets have changed".into(),
            () if !now.pulled.is_empty() => "new images".into(),
            () if !troubles.is_empty() => troubles.join(", "),
            () if !now.applied => "an earlier start was not finished".into(),
            () => return None,
        })
    }

    /// Running services of which one container after the other is replaced, and those that are interrupted.
    fn touched(&self, model: &Model, now: &Situation<'_>) -> (Vec<String>, Vec<String>) {
        let mut touched = self.readers(&model.secret_files);
        let mut recreated = now.recreated();
        touched.extend(&recreated);
        touched.extend(now.affected.iter().flat_map(|affected| affected.keys().copied()));
        touched = self.sharers(&touched);
        // Where one container after the other is replaced, Compose is not asked to recreate any.
        recreated.retain(|service| !now.is_rolling(service));
        touched.extend(self.followers(&recreated, model));
        let names = now.services.iter().map(|service| &service.name);
        names
            .filter(|name| now.runs(name) && (!now.is_known || touched.contains(name.as_str())))
            .cloned()
            .partition(|name| now.is_rolling(name))
    }

    /// What an action that starts the stack needs to know, and the time that it may take.
    pub(in crate::steps) fn starting(&self, action: Action) -> Action {
        let services: Vec<_> = self.services().collect();
        let builds = services.iter().any(|service| service.build);
        let expected: Vec<_> = expected(&services).iter().map(ToString::to_string).collect();
        action
            .with("services", lines(&expected))
            .with("hash", self.input.bundle.hash())
            .with("definitions", lines(&self.definitions()))
            .with("wait", self.options.wait.to_string())
            .with("watch", self.options.watch.min(self.options.wait).to_string())
            .with("build", if builds { "yes" } else { "no" })
            .with("join", lines(&self.joins()))
            .within(self.patience(0))
    }

    /// How long a start may take, in seconds, in which so many containers are replaced one after the other.
    fn patience(&self, replaced: u32) -> u32 {
        let builds = self.services().any(|service| service.build);
        (self.options.wait.saturating_add(60))
            .saturating_mul(replaced.saturating_add(2))
            .saturating_add(if builds { 3480 } else { 480 })
    }

    /// Ports that are published on addresses that others may reach, and are not yet.
    fn opened(&self, services: &[&Service], present: &[Published]) -> Vec<Risk> {
        let is_open = |service: &Service, port: &Port| {
            present.iter().any(|open| {
                (&open.project, &open.service) == (&self.input.project.name, &service.name)
                    && open.protocol == port.protocol.to_string()
                    && !open.address.is_loopback()
                    && port.target.first <= open.target
                    && open.target <= port.target.last
                    && port.published.is_none_or(|range| range.first <= open.port && open.port <= range.last)
            })
        };
        let ports =
            services.iter().flat_map(|service| service.ports.iter().map(move |port| (*service, port)));
        ports
            .filter(|(service, port)| {
                !port.host_ip.is_some_and(|ip| ip.is_loopback()) && !is_open(service, port)
            })
            .map(|(service, port)| {
                let published =
                    port.published.map_or_else(|| "a free port".into(), |range| range.to_string());
                Risk::OpensPort {
                    port: format!("{published}/{}", port.protocol),
                    service: service.name.clone(),
                }
            })
            .collect()
    }
}

/// The reason for a start: what has changed, and what else the start repairs.
fn why_changed(now: &Situation<'_>) -> String {
    let Some(affected) = &now.affected else {
        return "the bundle has changed".into();
    };
    let over = now.rescaled().filter(|(service, count)| *count as u64 > u64::from(service.scale));
    let over = over.map(|(service, count)| {
        let containers = if service.scale == 1 { "container" } else { "containers" };
        format!("{} is to have {} {containers} and has {count}", service.name, service.scale)
    });
    let unaffected: Vec<_> =
        now.services.iter().copied().filter(|service| !now.is_affected(&service.name)).collect();
    let others: Vec<_> = over.chain(troubles(&expected(&unaffected), &now.containers)).collect();
    let uses: Vec<_> = affected.iter().map(|(service, part)| format!("{service} {part}")).collect();
    let used = match uses.as_slice() {
        [] if others.is_empty() => "the bundle has changed, and no service uses the changed files".into(),
        [] => return others.join(", "),
        [one] => format!("{one}, which has changed"),
        [first, second] => format!("{first} and {second}, which have changed"),
        [first, rest @ ..] => {
            format!("{first}, which has changed, as has what {} more services use", rest.len())
        }
    };
    std::iter::once(used).chain(others).collect::<Vec<_>>().join("; ")
}
