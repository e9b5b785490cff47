//! What stands in the way of installing Docker: another Docker.

use super::STEP;
use crate::steps::{Model, Refusal};

/// The unit of the snap `docker`: <https://snapcraft.io/docker>.
pub(super) const SNAP_UNIT: &str = "snap.docker.dockerd.service";

/// Two daemons on one machine know nothing of each other.
pub(super) fn check_snap(model: &Model) -> Result<(), Refusal> {
    let is_there = model.facts.units.get(SNAP_UNIT).is_some_and(|unit| unit.load == "loaded");
    if !is_there {
        return Ok(());
    }
    Err(Refusal {
        step: STEP,
        what: "Docker is installed as a snap; nothing was changed".into(),
        details: vec![format!(
            "{SNAP_UNIT} is on the host, and a second Docker beside it would not see its containers"
        )],
        hints: vec![
            "move its data away, then on the host: sudo snap remove docker".into(),
            "to keep the snap, leave the step `docker` out of the playbook".into(),
        ],
        findings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Unit;
    use crate::steps::tests::bare;

    #[test]
    fn a_snap_is_never_doubled() {
        let mut model = Model { facts: bare(), ..Model::default() };
        assert!(check_snap(&model).is_ok());
        let unit = |load: &str| Unit { load: load.into(), ..Unit::default() };
        model.facts.units.insert(SNAP_UNIT.into(), unit("not-found"));
        assert!(check_snap(&model).is_ok());
        model.facts.units.insert(SNAP_UNIT.into(), unit("loaded"));
        // It is no matter of courage.
        model.force = true;
        let refusal = check_snap(&model).expect_err("a snap");
        assert!(refusal.hints[0].contains("snap remove docker"));
    }
}
