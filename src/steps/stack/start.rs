//! The start of the stack: why, what it interrupts, and how long it may take.

use std::collections::BTreeSet;

use super::containers::{expected, outdated, troubles};
use super::rolling::rolling;
use super::send::Sent;
use super::{Pulled, Stack, lines};
use crate::facts::Published;
use crate::plan::{Action, Change, Risk};
use crate::stack::compose::{Port, Service};
use crate::steps::Model;

impl Stack {
    /// The start that is due when files are `sent` or images `pulled`, and whenever the containers are
    /// not what they should be.
    pub(super) fn start(&self, model: &Model, sent: Option<&Sent>, pulled: &Pulled) -> Option<Change> {
        let hash = self.input.bundle.hash();
        let services: Vec<_> = self.services().collect();
        let expected = expected(&services);
        let containers: Vec<_> = model
            .facts
            .containers
            .iter()
            .filter(|container| container.project == self.input.project.name)
            .collect();
        let mut applied = model.text(&self.state("applied")).unwrap_or_default().lines();
        let of_another = applied.next().is_some_and(|first| first != hash);
        // A line behind the hash: secrets have changed since.
        let secrets = applied.next().is_some() || !model.secret_files.is_empty();
        let applied = model.text(&self.state("applied")).map(str::trim) == Some(hash.as_str())
            // What needs no start takes over the one before.
            || of_another && sent.is_some_and(|sent| !sent.is_loud);
        let outdated = outdated(&services, &containers, &model.facts.images);
        let mut troubles = troubles(&expected, &containers);
        troubles.extend(
            outdated
                .iter()
                .map(|name| format!("{name} was created from a different image with the same tag")),
        );
        troubles.extend(self.not_joined(&model.facts.networks, &containers));
        let reason = match () {
            () if containers.is_empty() => "it does not run".to_owned(),
            () if sent.map_or(of_another, |sent| sent.is_loud) => self.why_changed(sent),
            () if secrets => "its secrets have changed".into(),
            () if !pulled.is_empty() => "new images".into(),
            () if !troubles.is_empty() => troubles.join(", "),
            () if !applied => "an earlier start was not finished".into(),
            () => return None,
        };
        let runs = |service: &str| {
            containers.iter().any(|container| container.service == service && container.state == "running")
        };
        let mut rolling = rolling(&services);
        rolling.retain(|each| runs(each.service));
        let mut touched = self.readers(&model.secret_files);
        let is_based_on_new = |service: &Service| service.bases.iter().any(|base| pulled.contains(base));
        let has_new = |service: &&&Service| {
            service.image.as_ref().is_some_and(|image| pulled.contains(image))
                || service.build && is_based_on_new(service)
        };
        let affected = sent.and_then(|sent| self.affected(sent));
        let mut recreated: BTreeSet<_> =
            services.iter().filter(has_new).map(|service| service.name.as_str()).collect();
        recreated.extend(outdated);
        recreated.extend(
            affected.iter().flatten().filter(|(_, part)| part.recreates).map(|(service, _)| *service),
        );
        // Where one container after the other is replaced, Compose is not asked to recreate any.
        let is_rolling = |name: &str| rolling.iter().any(|each| each.service == name);
        touched.extend(&recreated);
        recreated.retain(|service| !is_rolling(service));
        touched.extend(self.followers(&recreated));
        // Nothing is known of an earlier start that did not finish, nor of other Compose files.
        let is_known = match sent {
            Some(_) => (applied || of_another) && affected.is_some(),
            None => applied,
        };
        touched.extend(affected.iter().flat_map(|affected| affected.keys().copied()));
        let is_affected = |name: &str| affected.as_ref().is_some_and(|affected| affected.contains_key(name));
        let exists = |name: &str| containers.iter().any(|container| container.service == name);
        let is_built = |service: &&&Service| {
            let is_new = !is_known || !exists(&service.name);
            service.build && (is_new || is_affected(&service.name) || is_based_on_new(service))
        };
        let built = services.iter().filter(is_built);
        let built = built
            .map(|service| Risk::Builds { service: service.name.clone(), from: service.bases.clone() })
            .collect();
        let (replaced, interrupted): (Vec<_>, Vec<_>) = services
            .iter()
            .map(|service| service.name.as_str())
            .filter(|name| runs(name) && (!is_known || touched.contains(name)))
            .partition(|name| is_rolling(name));
        let mut risks: Vec<Risk> = built;
        let mut reason = reason;
        // What a container that does not run would publish is not known to the host.
        let opening: Vec<_> = services
            .iter()
            .copied()
            .filter(|service| !exists(&service.name) || (!is_known && runs(&service.name)))
            .collect();
        risks.extend(self.opened(&opening, &model.facts.published));
        if !containers.is_empty() {
            if !interrupted.is_empty() {
                let services = interrupted.into_iter().map(str::to_owned).collect();
                risks.push(Risk::InterruptsService { services });
            }
            if !replaced.is_empty() {
                let names = replaced.join(", ");
                reason = format!("{reason}; of {names} one container after the other is replaced");
            }
        }
        let orphans: BTreeSet<_> = containers
            .iter()
            .filter(|container| services.iter().all(|service| service.name != container.service))
            .map(|container| container.service.as_str())
            .collect();
        if !orphans.is_empty() {
            let names: Vec<_> = orphans.into_iter().collect();
            risks.push(Risk::Removes { what: vec![format!("the containers of {}", names.join(", "))] });
        }
        let names: Vec<_> = services.iter().map(|service| service.name.as_str()).collect();
        Some(Change {
            id: "stack/up".into(),
            title: format!(
                "start {} and wait until it is healthy ({})",
                self.input.project.name,
                names.join(", ")
            ),
            reason,
            risks,
            files: Vec::new(),
            undo: Some(format!("docker compose -p {} down", self.input.project.name)),
            action: model
                .watched(self.starting(self.action("up")))
                .with("rolling", lines(&rolling.iter().map(ToString::to_string).collect::<Vec<_>>()))
                .within(
                    self.patience(rolling.iter().fold(0, |sum: u32, each| sum.saturating_add(each.count))),
                ),
        })
    }

    /// What an action that starts the stack needs to know, and the time that it may take.
    pub(in crate::steps) fn starting(&self, action: Action) -> Action {
        let services: Vec<_> = self.services().collect();
        let builds = services.iter().any(|service| service.build);
        let expected: Vec<_> = expected(&services).iter().map(ToString::to_string).collect();
        action
            .with("services", lines(&expected))
            .with("hash", self.input.bundle.hash())
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
}

impl Stack {
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

    /// Why a start follows, in terms of what has changed.
    fn why_changed(&self, sent: Option<&Sent>) -> String {
        let Some(affected) = sent.and_then(|sent| self.affected(sent)) else {
            return "the bundle has changed".into();
        };
        let uses: Vec<_> =
            affected.iter().map(|(service, part)| format!("{service} uses {}", part.path)).collect();
        match uses.as_slice() {
            [] => "the bundle has changed, and no service uses the changed files".into(),
            [one] => format!("{one}, which has changed"),
            [first, second] => format!("{first} and {second}, which have changed"),
            [first, rest @ ..] => format!("{first}, and {} more services use changed files", rest.len()),
        }
    }
}
