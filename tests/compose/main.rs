//! The reader of Compose projects, held against Compose itself.
//!
//! Each project is read by `provision`, and by `docker-compose config` of two releases, which needs
//! no daemon. What `provision` claims to know has to be the same: whether the project is accepted,
//! its name, which services run, their images, containers, ports, dependencies and health checks.
//! Where `provision` refuses more than Compose does, the refusal has to be one that is meant.
//!
//! `scripts/lab/compose` prints the programs; without them the comparisons are skipped.

#![expect(clippy::expect_used, reason = "a comparison ends where something is not as it must be")]

mod generated;
mod oracle;
mod ours;
mod projects;

use std::fmt::Write;
use std::path::PathBuf;

use libtest_mimic::{Arguments, Failed, Trial};
use oracle::Oracle;
use projects::{Expected, Project};

/// So many generated projects are compared where nothing is said (PROVISION_COMPOSE_GENERATED).
const GENERATED: usize = 60;

fn main() {
    let arguments = Arguments::from_args();
    let oracles = Oracle::all();
    let mut trials = Vec::new();
    match &oracles {
        Ok(oracles) => {
            for project in projects::all() {
                let oracles = oracles.clone();
                trials.push(Trial::test(project.name.clone(), move || {
                    compare(&project, &oracles).map_err(Failed::from)
                }));
            }
            let count = std::env::var("PROVISION_COMPOSE_GENERATED").ok();
            let count = count.and_then(|text| text.parse().ok()).unwrap_or(GENERATED);
            let oracles = oracles.clone();
            trials.push(Trial::test("generated", move || {
                generated::compared(count, &oracles).map_err(Failed::from)
            }));
        }
        Err(why) => {
            eprintln!("SKIP  comparison with Compose itself: {why}");
            trials.push(Trial::test("with Compose itself", || Ok(())).with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Refusals of what Compose accepts, by words in them: the folder's project would not run on a host
/// as it is meant, or not at all.
const STRICTER: [&str; 18] = [
    "lies outside the stack's folder",
    "is an absolute path, and only the stack's folder is sent",
    "is taken by",
    "only one can bind port",
    "that of",
    "is not in the folder",
    "needs brackets around the IPv6 address",
    "which Compose fetches on the host",
    "every service belongs to a profile, and none is active",
    "services wait for each other in a circle",
    "waits for itself",
    "its health check is off",
    "the image of service",
    "mounts two things at",
    "is no name for the container",
    "grows beyond",
    "is no restart policy",
    "permissions such as",
];

/// What both say of a project, or where they differ.
pub fn compare(project: &Project, oracles: &[Oracle]) -> Result<(), String> {
    let folder = project.write();
    let ours = ours::read(folder.path());
    let mut complaints = String::new();
    let all: Vec<_> = oracles.iter().map(|oracle| oracle.read(folder.path())).collect();
    // Where two releases read a project differently, no reader agrees with both.
    let agrees_with_one = ours
        .as_ref()
        .is_ok_and(|ours| all.iter().any(|theirs| theirs.as_ref().is_ok_and(|theirs| theirs == ours)));
    for (oracle, theirs) in oracles.iter().zip(&all) {
        let differs = match (&ours, theirs) {
            (Ok(_), Ok(_)) if agrees_with_one => None,
            (Ok(ours), Ok(theirs)) => Some(ours::difference(ours, theirs)),
            (Err(_), Err(_)) => None,
            (Err(why), Ok(_)) => {
                let is_meant = STRICTER.iter().any(|words| why.contains(words));
                (!is_meant).then(|| format!("refused here, accepted there: {why}"))
            }
            // A key that this release does not have yet, or what another one has relaxed.
            (Ok(_), Err(why)) => {
                let newest = oracles.last().is_some_and(|last| last.version == oracle.version);
                (newest && !project.is_newer()).then(|| format!("accepted here, refused there: {why}"))
            }
        };
        if let Some(differs) = differs {
            let _ = writeln!(complaints, "Compose {}: {differs}", oracle.version);
        }
    }
    match (&project.expected, &ours) {
        (Expected::Accepted, Err(why)) => {
            let _ = writeln!(complaints, "it is to be accepted: {why}");
        }
        (Expected::Refused(words), Err(why)) if !why.contains(words.as_str()) => {
            let _ = writeln!(complaints, "it is to be refused with {words:?}: {why}");
        }
        (Expected::Refused(words), Ok(_)) => {
            let _ = writeln!(complaints, "it is to be refused with {words:?}");
        }
        _ => {}
    }
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(format!("{complaints}{}", project.shown())),
    }
}

/// Where the text files of this test are.
fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/compose")
}
