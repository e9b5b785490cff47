//! What stands in the way of installing Docker: another Docker.

use super::STEP;
use crate::facts::OtherEngine;
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

/// podman in Docker's place, and Dockers that logins run without root. Where Docker's own service
/// runs, only what stands in its place is in its way.
pub(super) fn check_engines(model: &Model) -> Result<(), Refusal> {
    let runs = model.facts.docker_engine().is_some()
        && model.facts.unit("docker.service").is_some_and(|unit| unit.is_loaded());
    let stops = |engine: &&OtherEngine| match engine {
        OtherEngine::PodmanCommand { .. } | OtherEngine::PodmanSocket { .. } => true,
        OtherEngine::Rootless { .. } => !runs,
        OtherEngine::PodmanService { .. } => !runs && !model.force,
    };
    let found: Vec<_> = model.facts.neighbours.engines.iter().filter(stops).collect();
    let Some(first) = found.first() else { return Ok(()) };
    let leave =
        "to keep it, leave the step `docker` out of the playbook: what provision installs is Docker Engine";
    let (what, hints) = match first {
        OtherEngine::PodmanCommand { .. } | OtherEngine::PodmanSocket { .. } => (
            "podman stands in Docker's place on this host; nothing was changed".to_owned(),
            vec![
                "to have Docker instead, on the host: sudo apt-get remove podman-docker; podman's own containers \
                 stay with podman"
                    .to_owned(),
                leave.into(),
            ],
        ),
        OtherEngine::PodmanService { .. } => (
            "podman serves containers on this host; nothing was changed".to_owned(),
            vec![
                "if it is not needed, on the host: sudo systemctl disable --now podman.socket podman.service".into(),
                "`--force` installs Docker beside it; neither sees the other's containers".into(),
            ],
        ),
        OtherEngine::Rootless { user, .. } => (
            format!("{user} runs a Docker without root on this host; nothing was changed"),
            vec![
                format!(
                    "move its data away, then as {user} on the host: dockerd-rootless-setuptool.sh uninstall"
                ),
                leave.into(),
            ],
        ),
    };
    Err(Refusal {
        step: STEP,
        what,
        details: found.iter().map(|engine| described(engine)).collect(),
        hints,
        findings: Vec::new(),
    })
}

fn described(engine: &OtherEngine) -> String {
    match engine {
        OtherEngine::PodmanCommand { path } => format!("{path} is podman's (package podman-docker)"),
        OtherEngine::PodmanSocket { path } => format!("/var/run/docker.sock leads to {path}"),
        OtherEngine::PodmanService { path } => {
            format!("{path} is there, and a Docker beside it would not see podman's containers")
        }
        OtherEngine::Rootless { path, user } => {
            format!("{path} is {user}'s, and a second Docker beside it would not see its containers")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Unit;
    use crate::steps::tests::{bare, with_docker};

    #[test]
    fn podman_and_rootless_dockers_are_never_doubled() {
        let path = || "/run/x.sock".to_owned();
        let command = OtherEngine::PodmanCommand { path: "/usr/bin/docker".into() };
        let socket = OtherEngine::PodmanSocket { path: path() };
        let service = OtherEngine::PodmanService { path: path() };
        let rootless = OtherEngine::Rootless { user: "ann".into(), path: path() };
        // Refused on a host without Docker; the same with `--force`; and beside a Docker that runs.
        let cases = [
            (
                vec![command.clone(), socket.clone(), service.clone()],
                true,
                true,
                true,
                "apt-get remove podman-docker",
            ),
            (vec![socket], true, true, true, "apt-get remove podman-docker"),
            (vec![service], true, false, false, "systemctl disable --now podman.socket"),
            (vec![rootless.clone()], true, true, false, "as ann on the host: dockerd-rootless-setuptool.sh"),
            (vec![], false, false, false, ""),
        ];
        for (engines, refused, forced, beside, hint) in cases {
            let with = |mut facts: crate::facts::Facts, force: bool| {
                facts.neighbours.engines.clone_from(&engines);
                check_engines(&Model { facts, force, ..Model::default() })
            };
            let found = with(bare(), false);
            assert_eq!(found.is_err(), refused, "{engines:?}");
            assert!(found.err().is_none_or(|refusal| refusal.hints[0].contains(hint)), "{engines:?}");
            assert_eq!(with(bare(), true).is_err(), forced, "{engines:?}");
            assert_eq!(with(with_docker("28.3.2"), false).is_err(), beside, "{engines:?}");
        }
        // Its packages are there, and the system's service is off.
        let mut facts = with_docker("28.3.2");
        facts.docker = Some(crate::facts::Docker::default());
        facts.neighbours.engines = vec![rootless];
        assert!(check_engines(&Model { facts, ..Model::default() }).is_err());
    }

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
