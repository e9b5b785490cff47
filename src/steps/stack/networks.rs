//! The networks that a start of a project makes.

use ipnet::IpNet;

use super::{STEP, Stack};
use crate::steps::networks::{Wanted, automatic, check};
use crate::steps::{Model, Refusal};

impl Stack {
    /// Refuses networks that would cover what the host and the person must still reach.
    pub(super) fn check_networks(&self, model: &Model) -> Result<(), Refusal> {
        let project = &self.input.project;
        let runs = model.facts.containers.iter().any(|container| container.project == project.name);
        let is_there = |subnet: &IpNet| model.facts.routes.iter().any(|route| route.network == *subnet);
        let recorded = self.recorded(model).unwrap_or_default();
        let mut choices = automatic(model);
        let mut wanted: Vec<Wanted> = Vec::new();
        for network in project.networks.iter().filter(|network| network.is_bridge) {
            let whose = format!("the network {} of {}", network.name, project.name);
            match network.subnets.as_slice() {
                // Most likely it is there: nothing tells which subnet it has.
                [] if runs && !recorded.is_new_network(&network.on_host) => {}
                [] => wanted.extend(choices.next().map(|subnet| (whose, subnet))),
                subnets => {
                    let new = subnets.iter().filter(|subnet| !runs || !is_there(subnet));
                    wanted.extend(new.map(|subnet| (whose.clone(), *subnet)));
                }
            }
        }
        check(STEP, model, &wanted)
    }
}
