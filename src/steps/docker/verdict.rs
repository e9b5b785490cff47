//! What the host has of Docker, and whether that is good.

use semver::Version;

use super::{DockerOptions, EngineSource, OFFICIAL_PACKAGES};
use crate::facts::Facts;

/// `docker compose up --wait` and one-shots as the stack step needs them.
const COMPOSE_OLDEST: Version = Version::new(2, 7, 0);

/// What is to be installed instead of what the host has.
pub(super) enum EngineVerdict {
    /// A good installation stands there.
    Good(String),
    /// The packages are there and the daemon does not answer.
    Silent(String),
    /// Something is missing or not as wanted: why, and from where it comes.
    Install(String, EngineSource),
}

/// Judges the host by the options.
pub(super) fn verdict(options: &DockerOptions, facts: &Facts) -> EngineVerdict {
    let source = options.source;
    let has = |name: &str| matches!(facts.packages.get(name), Some(Some(package)) if package.configured);
    let from_docker = has("docker-ce");
    let from_distribution = has("docker.io");
    let wanted = source.unwrap_or(EngineSource::Docker);
    let Some(docker) = &facts.docker else {
        return EngineVerdict::Install("Docker is not installed".into(), wanted);
    };
    let packaged = from_docker || from_distribution;
    if !packaged && docker.engine.is_none() {
        return EngineVerdict::Install("no Docker Engine is installed".into(), wanted);
    }
    let present = if from_docker { EngineSource::Docker } else { EngineSource::Distribution };
    if packaged && source.is_some_and(|source| source != present) {
        let name = if from_docker { "docker-ce" } else { "docker.io" };
        return EngineVerdict::Install(format!("{name} is installed, from the other source"), wanted);
    }
    if let Some(missing) = OFFICIAL_PACKAGES.iter().find(|name| from_docker && !has(name)) {
        return EngineVerdict::Install(format!("{missing} is not installed"), present);
    }
    match &docker.compose {
        Some(compose) if *compose >= COMPOSE_OLDEST => {}
        Some(compose) => {
            return EngineVerdict::Install(format!("Compose plugin {compose} is too old"), wanted);
        }
        None => {
            let source = if distribution_packages(facts).is_some() { present } else { wanted };
            return EngineVerdict::Install("the Compose plugin is missing".into(), source);
        }
    }
    let package = if from_docker { "docker-ce" } else { "docker.io" };
    let installed = facts.packages.get(package).and_then(Option::as_ref);
    // The package's version, as the run judges and chooses by it; without one, the daemon's own word.
    let version = installed
        .and_then(|package| crate::facts::lenient_version(&package.version))
        .or_else(|| docker.engine.clone());
    if let Some(version) = version.filter(|version| !options.version.allows(version)) {
        let why = format!("Engine {version} is installed, {} is wanted", options.version);
        // A distribution has one version; Docker's repository has them all.
        return EngineVerdict::Install(why, wanted);
    }
    let Some(engine) = &docker.engine else {
        let why = docker.error.as_deref().unwrap_or("the daemon does not answer");
        return EngineVerdict::Silent(why.to_owned());
    };
    if let Some(unit) =
        facts.units.get("docker.service").filter(|unit| unit.load == "loaded" && unit.enabled != "enabled")
    {
        return EngineVerdict::Silent(format!("docker.service is {}", unit.enabled));
    }
    let compose = docker.compose.as_ref().map(Version::to_string).unwrap_or_default();
    let from = match (from_docker, from_distribution) {
        (true, _) => "docker.com",
        (false, true) => "the distribution",
        // Put there by hand: it works, so it is left alone.
        (false, false) => "outside apt",
    };
    EngineVerdict::Good(format!("Engine {engine} from {from}, Compose {compose}"))
}

/// The distribution's packages with a Compose plugin of version 2, the Engine first.
///
/// Debian has one since 13 (in `docker-compose`); Ubuntu in `docker-compose-v2` since 22.04.
pub(super) fn distribution_packages(facts: &Facts) -> Option<Vec<&'static str>> {
    let number: f32 = facts.system.version.parse().ok()?;
    match facts.system.id.as_str() {
        "debian" if number >= 13.0 => {
            Some(vec!["docker.io", "docker-cli", "docker-compose", "docker-buildx"])
        }
        "ubuntu" if number >= 22.04 => Some(vec!["docker.io", "docker-compose-v2", "docker-buildx"]),
        _ => None,
    }
}
