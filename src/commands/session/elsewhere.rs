//! What a plan needs to know of registries and of this computer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Session;
use crate::report::Event;
use crate::stack::compose::Service;
use crate::stack::images::{Availability, Lookup, Platform, Reference};
use crate::stack::origin;
use crate::steps::{self, PostgresMode};

impl Session<'_> {
    /// Whether the stack on the host was sent from another folder, as far as it can be known here.
    pub(super) fn has_other_folder(&self) -> bool {
        let Some(stack) = self.stack.filter(|stack| stack.origin != steps::SHIPPED) else { return false };
        let path = format!("/var/lib/provision/stacks/{}/origin", stack.project.name);
        let former = self.facts.content(&path).map(String::from_utf8_lossy).unwrap_or_default();
        let former = former.trim();
        !former.is_empty()
            && former != steps::SHIPPED
            && origin::is_another(former, &stack.origin, &stack.bundle.root)
    }

    /// Whether each image that the host lacks can be had for its architecture, asked from here.
    pub(super) async fn look_up_images(&self) -> BTreeMap<String, Availability> {
        let Some(stack) = self.stack else { return Default::default() };
        let platform = Platform::from_dpkg(&self.facts.system.architecture);
        let mut names = Vec::new();
        let mut pairs = Vec::new();
        let proof = self.settings.options.stack.proof.as_deref();
        // A database that is not in its container is asked by that container's psql.
        let asks = self.settings.options.postgres.mode != PostgresMode::Container;
        let starts = |service: &&Service| {
            (service.enabled && service.scale > 0)
                || proof == Some(&service.name)
                || (asks && service.name == "postgres")
        };
        let services: Vec<_> = stack.project.services.iter().filter(starts).collect();
        let pulled = services.iter().filter(|service| service.is_pulled());
        let pulled =
            pulled.filter_map(|service| Some((service.image.as_ref()?, *service, service.asks_again)));
        // What is built is built from newer images only where these are asked for.
        let built = services.iter().filter(|service| self.pull && service.build);
        let built = built.flat_map(|service| service.bases.iter().map(move |base| (base, *service, false)));
        for (image, service, asks_again) in pulled.chain(built) {
            let Ok(reference) = Reference::parse(image) else { continue };
            let is_there = matches!(self.facts.images.get(image), Some(Some(_)));
            let asks_again = (self.pull || asks_again) && reference.digest.is_none();
            let known = names.contains(image) || is_there && !asks_again;
            // The host's own registry is none that can be asked from here.
            if known || reference.is_loopback() && !self.link.is_local() {
                continue;
            }
            let wanted = service.platform.as_deref().map_or_else(|| platform.clone(), Platform::parse);
            names.push(image.clone());
            pairs.push((reference, wanted));
        }
        if pairs.is_empty() {
            return Default::default();
        }
        if self.is_recorded {
            let what = match names.as_slice() {
                [name] => format!("{name}, and its size"),
                names => format!("the {} images, and their size", names.len()),
            };
            let text = format!("registries are not asked: whether they have {what}, is not known");
            self.tell(&Event::Warning { text });
            return Default::default();
        }
        self.tell(&Event::CheckingImages { count: pairs.len() });
        let lookup = Lookup {
            mirrors: self.settings.options.docker.registry_mirrors.clone(),
            insecure: self.settings.options.docker.insecure_registries(),
            cache: cache(),
            ..Lookup::default()
        };
        let answers =
            tokio::task::spawn_blocking(move || lookup.check_pairs(&pairs)).await.unwrap_or_default();
        names.into_iter().zip(answers).collect()
    }
}

fn cache() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("provision/manifests"))
}
