//! What images weigh together: layers that they share are downloaded and kept once.

use std::collections::HashMap;

use super::Availability;

/// A layer of an image as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its digest, `sha256:…`.
    pub digest: String,
    /// Compressed, in bytes.
    pub bytes: u64,
}

/// The download of several images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// As far as it is known, in bytes.
    pub bytes: u64,
    /// Whether that is all.
    pub complete: bool,
}

impl Weight {
    /// What images weigh together, by what registries said of them.
    pub fn of<'a>(images: impl IntoIterator<Item = &'a Availability>) -> Self {
        let mut layers: HashMap<&str, u64> = HashMap::new();
        let mut weight = Self { bytes: 0, complete: true };
        for image in images {
            match image {
                Availability::Found { layers: own, .. } if !own.is_empty() => {
                    layers.extend(own.iter().map(|layer| (layer.digest.as_str(), layer.bytes)));
                }
                Availability::Found { bytes: Some(bytes), .. } => {
                    weight.bytes = weight.bytes.saturating_add(*bytes);
                }
                _ => weight.complete = false,
            }
        }
        weight.bytes = layers.values().fold(weight.bytes, |sum, bytes| sum.saturating_add(*bytes));
        weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(layers: &[(&str, u64)], bytes: Option<u64>) -> Availability {
        let layer = |(digest, bytes): &(&str, u64)| Layer { digest: (*digest).into(), bytes: *bytes };
        let layers = layers.iter().map(layer).collect();
        Availability::Found { digest: None, bytes, layers, login: false }
    }

    #[test]
    fn shared_layers_count_once() {
        let one = image(&[("a", 10), ("b", 1)], Some(11));
        let two = image(&[("a", 10), ("c", 100)], Some(110));
        let (plain, unknown) = (image(&[], Some(1000)), image(&[], None));
        for (images, bytes, complete) in [
            (vec![&one, &two], 111, true),
            (vec![&one, &one], 11, true),
            (vec![&one, &plain], 1011, true),
            (vec![&one, &unknown], 11, false),
            (vec![&Availability::Missing], 0, false),
            (vec![&image(&[("x", u64::MAX), ("y", u64::MAX)], None)], u64::MAX, true),
            (vec![], 0, true),
        ] {
            assert_eq!(Weight::of(images.clone()), Weight { bytes, complete }, "{images:?}");
        }
    }
}
