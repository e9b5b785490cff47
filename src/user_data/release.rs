//! Where released binaries are, and what they must be.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// The architectures that there are binaries for, as `uname -m` says them.
pub const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

/// The file beside the binaries with their checksums, as `sha256sum` writes it.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// Checksums by architecture.
pub type Sha256 = BTreeMap<String, String>;

/// The binary that a server fetches at its first boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Release {
    /// The address of the folder with `provision-VERSION-ARCHITECTURE-linux`, of this program's
    /// own version; where this program was released, unless it is said.
    pub url: Option<String>,
    /// The SHA-256 of each by architecture, `x86_64` or `aarch64`; the file `SHA256SUMS` in that
    /// folder, unless they are said.
    pub sha256: Sha256,
}

impl Release {
    /// The address of the folder, without a slash at its end; none where nobody says it.
    pub fn folder(&self) -> Option<&str> {
        let url = self.url.as_deref().or(option_env!("PROVISION_RELEASE_URL")).unwrap_or_default();
        Some(url.trim_end_matches('/')).filter(|url| !url.is_empty())
    }
}

/// The name of the binary of this version.
pub fn file_name(architecture: &str) -> String {
    format!("provision-{}-{architecture}-linux", env!("CARGO_PKG_VERSION"))
}

/// Why there is no checksum to be had from a file of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSums {
    /// A checksum that is none.
    #[error("`{0}` is no SHA-256")]
    NoSum(String),
    /// No binary of this version.
    #[error("it has none of {}", ARCHITECTURES.map(file_name).join(" and "))]
    NoFile,
}

/// The checksums of this version's binaries, out of what `sha256sum` has written.
pub fn from_sums(text: &str) -> Result<Sha256, BadSums> {
    let mut sums = Sha256::new();
    for line in text.lines() {
        let Some((sum, name)) = line.split_once(char::is_whitespace) else { continue };
        let name = name.trim_start().trim_start_matches('*');
        if let Some(architecture) = ARCHITECTURES.into_iter().find(|it| name == file_name(it)) {
            if !is_sum(sum) {
                return Err(BadSums::NoSum(sum.chars().take(80).collect()));
            }
            sums.insert(architecture.to_owned(), sum.to_ascii_lowercase());
        }
    }
    if sums.is_empty() { Err(BadSums::NoFile) } else { Ok(sums) }
}

/// Whether it is 64 hexadecimal digits.
pub fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
