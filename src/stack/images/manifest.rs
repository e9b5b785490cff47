//! Manifests and indexes, Docker's and OCI's.

use serde::Deserialize;

use super::client::brief;
use super::platform::Platform;
use super::weight::Layer;

/// More platforms than any image has; the rest of an index is not named.
const MOST_SHOWN: usize = 40;

/// What is asked for: indexes first, so that the architectures are seen.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// The parts of a manifest or an index that matter here.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    /// Present in an index.
    manifests: Option<Vec<Child>>,
    /// Present in a manifest.
    pub config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Descriptor {
    pub digest: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
struct Child {
    digest: String,
    platform: Option<RawPlatform>,
}

/// A platform as it stands in an index or in an image's configuration.
#[derive(Debug, Deserialize)]
pub(super) struct RawPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl From<RawPlatform> for Platform {
    fn from(raw: RawPlatform) -> Platform {
        let variant = raw.variant.filter(|v| !v.is_empty());
        Platform { os: raw.os, architecture: raw.architecture, variant }
    }
}

/// What an index offers for a platform.
pub(super) enum Choice {
    /// The digest of the manifest for it.
    Child(String),
    /// None of it; what there is instead.
    None(Vec<String>),
}

impl Manifest {
    /// The bytes of all layers, compressed.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
    }

    /// All layers, compressed.
    pub fn into_layers(self) -> Vec<Layer> {
        let layer = |layer: Descriptor| Layer { digest: layer.digest, bytes: layer.size };
        self.layers.into_iter().map(layer).collect()
    }

    /// Chooses from an index; `None` when this is a manifest.
    pub fn choose(self, wanted: &Platform) -> Option<Choice> {
        let children = self.manifests?;
        let mut best: Option<(u32, String)> = None;
        let mut available: Vec<String> = Vec::new();
        for child in children {
            let Some(platform) = child.platform.map(Platform::from) else { continue };
            // Attestations lie beside the images under this name.
            if platform.os == "unknown" {
                continue;
            }
            match wanted.runs(&platform) {
                Some(rank) if best.as_ref().is_none_or(|(least, _)| rank < *least) => {
                    best = Some((rank, child.digest));
                }
                _ => {}
            }
            let shown = brief(&platform.to_string());
            if available.len() < MOST_SHOWN && !available.contains(&shown) {
                available.push(shown);
            }
        }
        Some(match best {
            Some((_, digest)) => Choice::Child(digest),
            None => Choice::None(available),
        })
    }
}
