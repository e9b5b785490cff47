//! Services of which one container after the other is replaced, without a gap.
//!
//! Compose's own `up` stops a container before it starts its successor. A service with
//! `deploy.update_config.order: start-first` (the Compose Specification's word, which
//! Compose itself leaves to Swarm) is replaced by `roll` in `scripts/steps/stack.sh`.

use std::fmt;

use crate::stack::compose::Service;

/// A service that is replaced so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rolling<'a> {
    pub service: &'a str,
    /// How many containers it is to have.
    pub count: u32,
    /// What must have been brought up before, the services that it waits for and theirs.
    needs: Vec<&'a str>,
}

impl fmt::Display for Rolling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.count)?;
        self.needs.iter().try_for_each(|need| write!(f, " {need}"))
    }
}

pub(super) fn rolling<'a>(services: &[&'a Service]) -> Vec<Rolling<'a>> {
    let wanted = services
        .iter()
        .filter(|service| service.start_first && obstacle(service).is_none() && service.scale > 0);
    wanted
        .map(|service| {
            let mut needs = Vec::new();
            collect_needs(service, services, &mut needs);
            Rolling { service: &service.name, count: service.scale, needs }
        })
        .collect()
}

fn collect_needs<'a>(service: &'a Service, services: &[&'a Service], needs: &mut Vec<&'a str>) {
    for dependency in &service.depends_on {
        let found = services.iter().find(|other| other.name == dependency.service && other.scale > 0);
        if let Some(other) = found
            && !needs.contains(&other.name.as_str())
        {
            needs.push(&other.name);
            collect_needs(other, services, needs);
        }
    }
}

/// Why two containers of the service cannot be there at once.
fn obstacle(service: &Service) -> Option<String> {
    match () {
        () if service.container_name.is_some() => Some("its container has a fixed name".into()),
        () if service.network_mode.as_deref() == Some("host") => Some("it is in the host's network".into()),
        () => {
            let port = service.ports.iter().find(|port| port.fixed())?;
            let number = port.published.map(|range| range.to_string()).unwrap_or_default();
            Some(format!("it publishes the fixed port {number}"))
        }
    }
}

/// What a person should know who asked for what cannot be done.
pub(super) fn cannot_overlap(service: &Service) -> Option<String> {
    let why = obstacle(service).filter(|_| service.start_first)?;
    Some(format!(
        "{} cannot start its new container first (update_config.order), for {why}; it is stopped for a moment",
        service.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::compose::{Environment, Naming, Project, parse};

    fn project(text: &str) -> Project {
        let naming = Naming { explicit: None, folder: "shop" };
        parse(text, "compose.yaml", &Environment::default(), naming).expect("it can be read")
    }

    const TEXT: &str = "
services:
  api:
    image: a
    deploy: {replicas: 3, update_config: {order: start-first}}
    depends_on:
      migrate: {condition: service_completed_successfully}
      cache: {condition: service_started}
  migrate: {image: a, depends_on: [db]}
  cache: {image: c}
  db: {image: d}
  page: {image: p, ports: ['81:80'], depends_on: [api]}
";

    #[test]
    fn asks_for_what_must_be_there_before() {
        let project = project(TEXT);
        let services: Vec<_> = project.services.iter().collect();
        let found: Vec<_> = rolling(&services).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["api 3 migrate db cache"]);
    }

    #[test]
    fn says_what_cannot_be_there_twice() {
        for (line, why) in [
            ("ports: ['80:80']", Some("it publishes the fixed port 80")),
            ("ports: ['80']", None),
            ("container_name: web", Some("its container has a fixed name")),
            ("network_mode: host", Some("it is in the host's network")),
        ] {
            let text = TEXT
                .replace("replicas: 3", "replicas: 1")
                .replace("    image: a\n    deploy", &format!("    image: a\n    {line}\n    deploy"));
            let project = project(&text);
            let services: Vec<_> = project.services.iter().collect();
            assert_eq!(rolling(&services).is_empty(), why.is_some(), "{line}");
            let said = services.iter().find_map(|service| cannot_overlap(service));
            assert_eq!(said.is_some(), why.is_some(), "{line}");
            assert!(said.unwrap_or_default().contains(why.unwrap_or_default()), "{line}");
        }
    }
}
