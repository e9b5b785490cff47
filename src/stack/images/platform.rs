//! What a host runs, and what an image is made for.

use std::fmt;

/// An operating system and an architecture, in the words of image manifests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The operating system; `linux`.
    pub os: String,
    /// The architecture, such as `amd64` or `arm64`.
    pub architecture: String,
    /// The variant, such as `v8`.
    pub variant: Option<String>,
}

impl Platform {
    /// From the output of `dpkg --print-architecture`.
    #[must_use]
    pub fn from_dpkg(architecture: &str) -> Platform {
        let (architecture, variant) = match architecture {
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v5")),
            "i386" => ("386", None),
            "ppc64el" => ("ppc64le", None),
            other => (other, None),
        };
        Platform::linux(architecture, variant)
    }

    /// From Compose's form: `linux/arm64`, `linux/arm/v7`, or an architecture alone.
    #[must_use]
    pub fn parse(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_ascii_lowercase);
        let first = parts.next().unwrap_or_default();
        match (parts.next(), parts.next()) {
            (None, _) => Platform::linux(canonical(&first), None),
            (Some(architecture), variant) => {
                let architecture = canonical(&architecture).to_owned();
                Platform { os: first, architecture, variant }
            }
        }
    }

    fn linux(architecture: &str, variant: Option<&str>) -> Platform {
        Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether a host of this platform runs an image for `image`; the smaller
    /// the number, the better the match.
    pub(super) fn runs(&self, image: &Platform) -> Option<u32> {
        if self.os != image.os {
            return None;
        }
        match (self.architecture.as_str(), image.architecture.as_str()) {
            ("amd64", "386") => Some(100),
            ("arm", "arm") => {
                let (mine, theirs) = (version(self, 7), version(image, 7));
                mine.checked_sub(theirs)
            }
            // Higher levels of amd64 are only chosen when there is no other.
            ("amd64", "amd64") => Some(version(image, 1)),
            (mine, theirs) if mine == theirs => Some(0),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

fn canonical(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        other => other,
    }
}

/// The number of a variant such as `v7`.
fn version(platform: &Platform, default: u32) -> u32 {
    let variant = platform.variant.as_deref().and_then(|v| v.strip_prefix('v'));
    variant.and_then(|v| v.parse().ok()).unwrap_or(default)
}
