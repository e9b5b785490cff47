//! Lines about Docker, and what of the project it has.

use semver::Version;

use super::line::{Line, address};
use super::neighbours;
use crate::facts::types::{Docker, Image};
use crate::facts::version::lenient_version;
use crate::facts::{Facts, Owner};

/// Takes a line in; false where it is about something else.
pub(super) fn line(facts: &mut Facts, line: &Line<'_>) -> bool {
    match line.key.as_str() {
        "docker" => {
            let engine = line.json(0);
            let docker = facts.docker.get_or_insert_with(Docker::default);
            // A daemon that was built without a version still answers.
            docker.engine = (!engine.is_empty())
                .then(|| lenient_version(&engine).unwrap_or_else(|| Version::new(0, 0, 0)));
            docker.storage = line.json(1);
            docker.error = line.optional(2);
        }
        "compose" => {
            facts.docker.get_or_insert_with(Docker::default).compose = lenient_version(&line.text(0));
        }
        "docker-root" => facts.docker_root = Some(line.text(0)),
        "bridge" => facts.bridge = address(&line.text(0)),
        "container" => facts.containers.push(neighbours::container(line)),
        "image" => {
            let image = Image { id: line.json(1), digests: words(line, 2) };
            facts.images.insert(line.text(0), (!image.id.is_empty()).then_some(image));
        }
        "network" => {
            let is_there = !line.json(1).is_empty();
            facts.networks.insert(line.text(0), is_there.then(|| words(line, 2)));
            if is_there {
                facts.neighbours.networks.insert(line.text(0), Owner { project: line.json(3) });
            }
        }
        _ => return false,
    }
    true
}

/// The words of a field.
fn words<T: FromIterator<String>>(line: &Line<'_>, at: usize) -> T {
    line.text(at).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
