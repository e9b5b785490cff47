//! Whether the containers of a project are what its services ask for.
//!
//! `settled` in `scripts/steps/stack.sh` judges the same while a start is waited for.

use std::collections::BTreeMap;
use std::fmt;

use crate::facts::{Container, Image};
use crate::stack::compose::Service;

/// What becomes of a service's containers when all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceKind {
    /// They run.
    Service,
    /// They run once and end with 0; others wait for it.
    Job,
    /// They run, or have ended with 0: nothing restarts them, and nobody reaches them.
    Task,
}

/// What is expected of a service.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    name: &'a str,
    kind: ServiceKind,
    count: u32,
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ServiceKind::Service => "service",
            ServiceKind::Job => "job",
            ServiceKind::Task => "task",
        };
        write!(f, "{} {kind} {}", self.name, self.count)
    }
}

pub(super) fn expected<'a>(services: &[&'a Service]) -> Vec<Expected<'a>> {
    services
        .iter()
        .map(|service| {
            let policy = service.restart.as_deref().unwrap_or_default();
            // Docker starts it again at most where it has failed.
            let unattended = matches!(policy, "" | "no") || policy.starts_with("on-failure");
            let kind = match () {
                () if service.one_shot => ServiceKind::Job,
                () if unattended && service.ports.is_empty() && !service.healthcheck => ServiceKind::Task,
                () => ServiceKind::Service,
            };
            Expected { name: &service.name, kind, count: service.scale }
        })
        .collect()
}

/// What is wrong, a phrase a service; a health check that has not spoken yet is not.
pub(super) fn troubles(expected: &[Expected<'_>], containers: &[&Container]) -> Vec<String> {
    let mut troubles = Vec::new();
    for Expected { name, kind, count } in expected {
        let own: Vec<_> = containers.iter().filter(|container| container.service == *name).collect();
        if (own.len() as u64) < u64::from(*count) {
            let what = if own.is_empty() {
                "no container".to_owned()
            } else {
                format!("{} of {count} containers", own.len())
            };
            troubles.push(format!("{name} has {what}"));
            continue;
        }
        troubles.extend(
            own.iter().find_map(|container| trouble(*kind, container)).map(|what| format!("{name} {what}")),
        );
    }
    troubles
}

/// Services of which a container was made from another image than the one that has its name now, as
/// Compose judges it: Compose would recreate them.
pub(super) fn outdated<'a>(
    services: &[&'a Service],
    containers: &[&Container],
    images: &BTreeMap<String, Option<Image>>,
) -> Vec<&'a str> {
    let is_outdated = |service: &&&Service| {
        // What is said to be for one platform may be another image of the same name.
        if !service.is_pulled() || service.platform.is_some() {
            return false;
        }
        let Some(Some(image)) = service.image.as_ref().and_then(|name| images.get(name)) else {
            return false;
        };
        let mut own = containers.iter().filter(|container| container.service == service.name);
        // An image that an earlier step pulls has no id yet.
        own.any(|container| {
            !container.image_id.is_empty() && !image.id.is_empty() && container.image_id != image.id
        })
    };
    services.iter().filter(is_outdated).map(|service| service.name.as_str()).collect()
}

fn trouble(kind: ServiceKind, container: &Container) -> Option<String> {
    let ended_well = container.state == "exited" && container.status.starts_with("Exited (0)");
    match container.state.as_str() {
        "exited" if ended_well && kind != ServiceKind::Service => None,
        "running" if container.status.contains("(unhealthy)") => Some("is unhealthy".into()),
        "running" => None,
        "exited" => {
            let code = container.status.split(['(', ')']).nth(1).unwrap_or("?");
            Some(format!("has ended with code {code}"))
        }
        other => Some(format!("is {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_containers() {
        let container = |state: &str, status: &str| Container {
            service: "x".into(),
            state: state.into(),
            status: status.into(),
            ..Container::default()
        };
        let cases = [
            (ServiceKind::Service, "running", "Up 3 minutes", None),
            (ServiceKind::Service, "running", "Up 3 minutes (health: starting)", None),
            (ServiceKind::Service, "running", "Up 3 minutes (unhealthy)", Some("x is unhealthy")),
            (ServiceKind::Service, "exited", "Exited (0) 2 hours ago", Some("x has ended with code 0")),
            (ServiceKind::Job, "exited", "Exited (0) 2 hours ago", None),
            (ServiceKind::Job, "exited", "Exited (3) 2 hours ago", Some("x has ended with code 3")),
            (ServiceKind::Task, "exited", "Exited (0) 2 hours ago", None),
            (ServiceKind::Service, "restarting", "Restarting (1) 2 seconds ago", Some("x is restarting")),
            (ServiceKind::Service, "created", "Created", Some("x is created")),
        ];
        for (kind, state, status, trouble) in cases {
            let expected = [Expected { name: "x", kind, count: 1 }];
            let found = troubles(&expected, &[&container(state, status)]);
            assert_eq!(found.first().map(String::as_str), trouble, "{kind:?} {status}");
        }
        let none = troubles(&[Expected { name: "x", kind: ServiceKind::Service, count: 2 }], &[]);
        assert_eq!(none, ["x has no container"]);
    }
}
