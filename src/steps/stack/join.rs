//! Networks of others that services join where they exist.

use std::collections::{BTreeMap, BTreeSet};

use super::{STEP, Stack};
use crate::facts::Container;
use crate::steps::Refusal;

impl Stack {
    /// Each network that is joined, and the services that do.
    pub(super) fn joins(&self) -> Vec<String> {
        self.options.join.iter().map(|(network, names)| format!("{network} {}", names.join(" "))).collect()
    }

    /// Running containers that are not in a network which they join, a phrase each.
    pub(super) fn not_joined(
        &self,
        networks: &BTreeMap<String, Option<BTreeSet<String>>>,
        containers: &[&Container],
    ) -> Vec<String> {
        let mut phrases = Vec::new();
        for (network, names) in &self.options.join {
            let Some(Some(inside)) = networks.get(network) else { continue };
            let outside = containers.iter().filter(|container| {
                names.contains(&container.service)
                    && container.state == "running"
                    && !inside.contains(&container.id)
            });
            phrases.extend(outside.map(|container| format!("{} is not in {network}", container.service)));
        }
        phrases
    }

    /// Networks and services that cannot be.
    pub(super) fn check_joins(&self) -> Result<(), Refusal> {
        for (network, names) in &self.options.join {
            if !is_network(network) {
                return Err(Refusal::new(
                    STEP,
                    format!("`{network}` is no name of a Docker network"),
                    "fix `join` in [steps.stack]",
                ));
            }
            if let Some(unknown) = names.iter().find(|name| self.input.project.service(name).is_none()) {
                return Err(Refusal::new(
                    STEP,
                    format!(
                        "`{unknown}`, which is to join {network}, is no service of {}",
                        self.input.project.file
                    ),
                    "fix `join` in [steps.stack]",
                ));
            }
        }
        Ok(())
    }
}

/// As Docker takes it.
fn is_network(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
