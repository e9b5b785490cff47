//! The services that a change concerns: those that use what it brings, and those that depend on them.

use std::collections::{BTreeMap, BTreeSet};

use super::Stack;
use super::send::Sent;
use crate::stack::compose::Service;

/// What of a service is sent or removed.
pub(super) struct Use {
    /// One of the paths.
    pub(super) path: String,
    /// Whether the service is made from one of them, so that Compose recreates its containers; others are
    /// restarted.
    pub(super) recreates: bool,
}

impl Stack {
    /// Services that use a file that is sent or removed, each with one of these. None where the Compose
    /// files themselves change: Compose alone knows which services they make different.
    pub(super) fn affected(&self, sent: &Sent) -> Option<BTreeMap<&str, Use>> {
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
        if loud.iter().any(is_composes) {
            return None;
        }
        let uses = |service: &Service, path: &str| {
            service.given.iter().any(|part| is_at_or_below(path, part))
                || self.is_made_from(service, path)
                || service.mounts.iter().any(|mount| mount.is_inside() && mount.covers(path))
        };
        let used = self.services().filter_map(|service| {
            let path = loud
                .iter()
                .find(|path| uses(service, path))
                .or_else(|| quiet.iter().find(|path| self.is_built_from(service, path)))?;
            let recreates = loud.iter().any(|path| self.is_made_from(service, path))
                || quiet.iter().any(|path| self.is_built_from(service, path));
            Some((service.name.as_str(), Use { path: (*path).to_owned(), recreates }))
        });
        Some(used.collect())
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

    /// Services that Compose recreates or restarts because it recreates these.
    pub(super) fn followers(&self, recreated: &BTreeSet<&str>) -> BTreeSet<&str> {
        let mut recreated: BTreeSet<&str> = recreated.clone();
        let mut followers = BTreeSet::new();
        loop {
            let before = followers.len() + recreated.len();
            for service in self.services() {
                let name = service.name.as_str();
                let others = service.depends_on.iter();
                let others: Vec<_> =
                    others.filter(|other| recreated.contains(other.service.as_str())).collect();
                if others.iter().any(|other| other.shared) {
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
}

/// Whether a path is a file or folder, or lies in it; a blank one is the whole.
fn is_at_or_below(path: &str, part: &str) -> bool {
    part.is_empty() || path == part || path.strip_prefix(part).is_some_and(|rest| rest.starts_with('/'))
}
