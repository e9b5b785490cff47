//! How the services, volumes and networks of the last start were defined, as the host records it.
//!
//! `stack.sh` compares the new record with the previous one: Compose itself notices only a part of
//! what may differ.

use std::collections::{BTreeMap, HashMap};

use super::Stack;
use crate::stack::compose::Definition;
use crate::steps::Model;

/// The record's file.
pub(super) const DEFINITIONS: &str = "definitions";

/// What a start leaves behind: `service NAME HASHES`, `volume NAME HASH` and `network NAME HASH`, by
/// their names on the host.
#[derive(Default)]
pub(super) struct Recorded<'a> {
    services: HashMap<&'a str, &'a str>,
    volumes: HashMap<&'a str, &'a str>,
    networks: HashMap<&'a str, &'a str>,
}

impl<'a> Recorded<'a> {
    fn read(text: &'a str) -> Self {
        let mut recorded = Self::default();
        for line in text.lines() {
            let mut parts = line.splitn(3, ' ');
            let (Some(kind), Some(name), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let known = match kind {
                "service" => &mut recorded.services,
                "volume" => &mut recorded.volumes,
                "network" => &mut recorded.networks,
                _ => continue,
            };
            known.insert(name, hash);
        }
        recorded
    }

    /// Whether a service is defined as it was; `order` says that Compose compares that, too.
    pub fn has_service(&self, name: &str, definition: &Definition, order: bool) -> bool {
        self.services.get(name).is_some_and(|before| definition.is(before, order))
    }

    /// Whether the last start was one of this service, too.
    pub fn started(&self, name: &str) -> bool {
        self.services.contains_key(name)
    }

    /// The hash with which a volume was declared.
    pub fn volume(&self, name: &str) -> Option<&'a str> {
        self.volumes.get(name).copied()
    }

    /// Whether the project had no network of this name.
    pub fn is_new_network(&self, name: &str) -> bool {
        !self.services.is_empty() && !self.networks.contains_key(name)
    }
}

impl Stack {
    /// What the host recorded at the last start; none where it did not, as before the first one.
    pub(super) fn recorded<'m>(&self, model: &'m Model) -> Option<Recorded<'m>> {
        let recorded = Recorded::read(model.text(&self.state(DEFINITIONS))?);
        (!recorded.services.is_empty()).then_some(recorded)
    }

    /// The lines of the record that the next start leaves behind.
    pub(super) fn definitions(&self) -> Vec<String> {
        let services =
            self.services().map(|service| format!("service {} {}", service.name, service.definition));
        let volumes = self.volumes().map(|volume| format!("volume {} {}", volume.name, volume.definition));
        let networks: BTreeMap<_, _> = self
            .input
            .project
            .networks
            .iter()
            .map(|network| (&network.on_host, &network.definition))
            .collect();
        let networks = networks.into_iter().map(|(name, definition)| format!("network {name} {definition}"));
        services.chain(volumes).chain(networks).collect()
    }
}
