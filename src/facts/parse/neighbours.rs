//! Lines about what is on the host beside the project.

use super::ParseError;
use super::line::Line;
use crate::facts::types::{Container, Facts};
use crate::facts::{OtherEngine, Owner, ServiceLine};

/// Reads a line of these; false where it is none.
pub(super) fn line(facts: &mut Facts, line: &Line<'_>) -> Result<bool, ParseError> {
    let neighbours = &mut facts.neighbours;
    match line.key.as_str() {
        "namesake" => neighbours.namesakes.push(container(line)),
        "volume" => {
            let owner = (!line.json(1).is_empty()).then(|| Owner { project: line.json(2) });
            neighbours.volumes.insert(line.text(0), owner);
        }
        "docker-service" => {
            facts.docker_service.push(ServiceLine { file: line.text(0), line: line.text(1) });
        }
        "engine" => {
            let path = line.text(1);
            neighbours.engines.push(match line.raw(0) {
                b"podman-command" => OtherEngine::PodmanCommand { path },
                b"podman-socket" => OtherEngine::PodmanSocket { path },
                b"podman-service" => OtherEngine::PodmanService { path },
                b"rootless" => OtherEngine::Rootless { path, user: line.text(2) },
                _ => return Err(line.error(0, "a kind of engine was expected")),
            });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn container(line: &Line<'_>) -> Container {
    Container {
        id: line.json(0),
        name: line.json(1),
        project: line.json(2),
        service: line.json(3),
        image: line.json(4),
        state: line.json(5),
        status: line.json(6),
        folder: line.json(7),
        image_id: line.json(8),
    }
}
