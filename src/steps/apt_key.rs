//! The fingerprint of the key that signs an apt repository.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::plan::PlannedStep;

/// A fingerprint of version 4 (RFC 4880): 40 hexadecimal digits, in capitals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFingerprint(String);

impl KeyFingerprint {
    /// One that is known to be right.
    pub(super) fn known(digits: &str) -> Self {
        Self(digits.to_owned())
    }

    /// As gpg and the step's shell write it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a plan says where the key of a repository comes in the clear and could be anybody's.
pub(super) fn warn_of_unproven_keys(step: &mut PlannedStep) {
    let unproven = step.changes.iter().filter_map(|change| {
        let arguments = &change.action.arguments;
        let url = arguments.get("key_url").filter(|url| url.starts_with("http://"))?;
        (!arguments.contains_key("key_fingerprint")).then_some(url)
    });
    let warnings: Vec<_> = unproven
        .map(|url| {
            format!(
                "the key of the apt repository comes over plain http from {url}, and anyone on the way can replace it \
                 and every package; set `key_fingerprint` in [steps.{}], or use https",
                step.step
            )
        })
        .collect();
    step.warnings.extend(warnings);
}

/// In groups of four, as people compare them.
impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, digit) in self.0.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                f.write_str(" ")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for KeyFingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: String = text.split_whitespace().collect::<String>().to_ascii_uppercase();
        let is_one = digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_one.then_some(Self(digits)).ok_or_else(|| {
            format!("`{text}` is no fingerprint of a key; write its 40 hexadecimal digits (`gpg --show-keys FILE`)")
        })
    }
}

impl From<KeyFingerprint> for String {
    fn from(fingerprint: KeyFingerprint) -> Self {
        fingerprint.0
    }
}

impl JsonSchema for KeyFingerprint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeyFingerprint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f ]{40,60}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        let read = |text: &str| KeyFingerprint::try_from(text.to_owned()).map(|key| key.to_string());
        let shown = "9DC8 5822 9FC7 DD38 854A E2D8 8D81 803C 0EBF CD88";
        assert_eq!(read("9dc858229fc7dd38854ae2d88d81803c0ebfcd88").as_deref(), Ok(shown));
        assert_eq!(read("9DC8 5822 9FC7 DD38 854A  E2D8 8D81 803C 0EBF CD88").as_deref(), Ok(shown));
        for bad in ["", "0EBFCD88", "x".repeat(40).as_str()] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
