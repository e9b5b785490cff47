//! The services that a change concerns: those that use what it brings, and those that depend on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use semver::Version;

use super::Stack;
use super::send::Sent;
use crate::plan::Risk;
use crate::stack::compose::Service;
use crate::steps::Model;

/// Since this version Compose leaves alone what only waits for a service that it recreates
/// (`setDependentLifecycle` in compose's `pkg/compose/convergence.go` is gone).
const DEPENDENTS_LEFT: Version = Version::new(2, 29, 4);

/// Since this version Compose compares neither `depends_on` nor `profiles` (`pkg/compose/hash.go`).
const ORDER_IGNORED: Version = Version::new(2, 30, 2);

/// What of a service is sent or removed.
pub(super) struct Use {
    /// One of the paths.
    path: String,
    /// Whether that is a Compose file, which now defines the service differently.
    defines: bool,
    /// Whether the service is made from one of them, so that Compose recreates its containers; others are
    /// restarted.
    pub(super) recreates: bool,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.defines { "is defined in" } else { "uses" }, self.path)
    }
}

impl Stack {
    /// Services that use a file that is sent or removed, each with one of these. None where the Compose
    /// files themselves change and the host does not know how they defined the services before.
    pub(super) fn affected(&self, model: &Model, sent: &Sent) -> Option<BTreeMap<&str, Use>> {
        let project = &self.input.project;
        let folder = format!("{}/", self.folder());
        let (quiet, loud): (Vec<&str>, Vec<&str>) = sent
            .change
            .files
            .iter()
            .filter_map(|file| file.path.strip_prefix(&folder))
            .chain(sent.quiet.iter().map(String::as_str))
            .partition(|path| sent.quiet.contains(*path));
        let is_composes = |path: &&str| *path == ".env" || project.files.iter().any(|file| file == path);
        let composes = loud.iter().find(|path| is_composes(path));
        // What a person has started with a file that they edited on the host is not known.
        let edited = |risk: &Risk| {
            let Risk::ReplacesEdited { path } = risk else { return false };
            path.strip_prefix(&folder).is_some_and(|path| is_composes(&path))
        };
        if sent.change.risks.iter().any(edited) {
            return None;
        }
        let redefined = match composes {
            Some(_) => self.redefined(model)?,
            None => BTreeSet::new(),
        };
        let uses = |service: &Service, path: &str| {
            service.given.iter().any(|part| is_at_or_below(path, part))
                || self.is_made_from(service, path)
                || service.mounts.iter().any(|mount| mount.is_inside() && mount.covers(path))
        };
        let used = self.services().filter_map(|service| {
            if let Some(path) = composes.filter(|_| redefined.contains(service.name.as_str())) {
                let part = Use { path: (*path).to_owned(), defines: true, recreates: true };
                return Some((service.name.as_str(), part));
            }
            let path = loud
                .iter()
                .find(|path| uses(service, path))
                .or_else(|| quiet.iter().find(|path| self.is_built_from(service, path)))?;
            let recreates = loud.iter().any(|path| self.is_made_from(service, path))
                || quiet.iter().any(|path| self.is_built_from(service, path));
            Some((service.name.as_str(), Use { path: (*path).to_owned(), defines: false, recreates }))
        });
        Some(used.collect())
    }

    /// Services whose definition differs from the one that was last started; none where that is not known.
    fn redefined(&self, model: &Model) -> Option<BTreeSet<&str>> {
        let recorded = self.recorded(model)?;
        let order = older_than(model, &ORDER_IGNORED);
        let differs = |service: &&Service| !recorded.has_service(&service.name, &service.definition, order);
        Some(self.services().filter(differs).map(|service| service.name.as_str()).collect())
    }

    /// Whether a service's containers are created again when this path changes.
    fn is_made_from(&self, service: &Service, path: &str) -> bool {
        service.made_from.iter().any(|part| part == path) || self.is_built_from(service, path)
    }

    /// Whether a service's image holds this path, with its permissions.
    pub(super) fn is_built_from(&self, service: &Service, path: &str) -> bool {
        // Of what is gone it is not known.
        let is_there = self.input.bundle.has(path);
        let is_below = |part: &String| {
            part.is_empty() || path.strip_prefix(part.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        service.build
            && (!is_there || self.input.bundle.is_built(path))
            && service.made_from.iter().any(is_below)
    }

    /// Services that read one of these files, and those that wait for one that does: what they
    /// lean on goes away for a while. What runs once is not leaned on.
    pub(super) fn readers(&self, files: &BTreeSet<String>) -> BTreeSet<&str> {
        let reads = |service: &&Service| service.reads.iter().any(|path| files.contains(path));
        let mut found: BTreeSet<_> =
            self.services().filter(reads).map(|service| service.name.as_str()).collect();
        loop {
            let before = found.len();
            let runs = |name: &str| self.input.project.service(name).is_some_and(|other| !other.one_shot);
            let leans = |service: &&Service| {
                let mut others = service.depends_on.iter().map(|other| other.service.as_str());
                others.any(|other| found.contains(other) && runs(other))
            };
            let more: Vec<_> = self.services().filter(leans).map(|service| service.name.as_str()).collect();
            found.extend(more);
            if found.len() == before {
                return found;
            }
        }
    }

    /// Services that are recreated or restarted because these are recreated: by Compose, and by
    /// `stack.sh` where Compose leaves one in a namespace that is gone.
    pub(super) fn followers(&self, recreated: &BTreeSet<&str>, model: &Model) -> BTreeSet<&str> {
        let all = older_than(model, &DEPENDENTS_LEFT);
        let mut recreated: BTreeSet<&str> = recreated.clone();
        let mut followers = BTreeSet::new();
        loop {
            let before = followers.len() + recreated.len();
            for service in self.services() {
                let name = service.name.as_str();
                let others = service.depends_on.iter();
                let others: Vec<_> =
                    others.filter(|other| recreated.contains(other.service.as_str())).collect();
                if others.iter().any(|other| all || other.shared) {
                    recreated.insert(name);
                    followers.insert(name);
                } else if others.iter().any(|other| other.restart) {
                    followers.insert(name);
                }
            }
            if followers.len() + recreated.len() == before {
                return followers;
            }
        }
    }

    /// Services in a namespace of one of these, which goes when its container is restarted.
    pub(super) fn sharers<'a>(&'a self, restarted: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        let mut found = restarted.clone();
        loop {
            let before = found.len();
            for service in self.services() {
                let mut others = service.depends_on.iter();
                if others.any(|other| other.namespace && found.contains(other.service.as_str())) {
                    found.insert(&service.name);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }
}

/// Whether the host's Compose is older than one that is known to behave otherwise.
fn older_than(model: &Model, version: &Version) -> bool {
    let present = model.facts.docker.as_ref().and_then(|docker| docker.compose.as_ref());
    present.is_some_and(|present| present < version)
}

/// Whether a path is a file or folder, or lies in it; a blank one is the whole.
fn is_at_or_below(path: &str, part: &str) -> bool {
    part.is_empty() || path == part || path.strip_prefix(part).is_some_and(|rest| rest.starts_with('/'))
}
