//! A version requirement that the host can check too.

use std::fmt;

use schemars::JsonSchema;
use semver::{Comparator, Op, Version, VersionReq};
use serde::{Deserialize, Serialize};

/// Versions that are wanted: `>=27`, `28.3`, `>=27, <29`, as Cargo writes them; `*` is any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "String")]
pub struct Requirement(VersionReq);

impl Default for Requirement {
    fn default() -> Self {
        Self(VersionReq::STAR)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Requirement {
    /// Whether a version is wanted. A distribution's suffix does not make it a pre-release.
    pub fn allows(&self, version: &Version) -> bool {
        self.0.matches(&Version::new(version.major, version.minor, version.patch))
    }

    /// The same as bounds for `dpkg --compare-versions`, a line each: `ge 27.0.0`.
    pub fn bounds(&self) -> String {
        let mut lines = Vec::new();
        for comparator in &self.0.comparators {
            bounds(comparator, &mut lines);
        }
        lines.join("\n")
    }
}

fn bounds(comparator: &Comparator, lines: &mut Vec<String>) {
    let Comparator { op, major, minor, patch, .. } = comparator;
    let low = Version::new(*major, minor.unwrap_or(0), patch.unwrap_or(0));
    // The first version behind all that the written numbers stand for: 28 → 29.0.0, 28.3 → 28.4.0.
    let behind = match (minor, patch) {
        (None, _) => Version::new(major.saturating_add(1), 0, 0),
        (Some(minor), None) => Version::new(*major, minor.saturating_add(1), 0),
        (Some(minor), Some(patch)) => Version::new(*major, *minor, patch.saturating_add(1)),
    };
    let mut from_to = |from: &Version, to: &Version| lines.extend([format!("ge {from}"), format!("lt {to}")]);
    match op {
        Op::Exact | Op::Wildcard => from_to(&low, &behind),
        Op::Greater => lines.push(format!("ge {behind}")),
        Op::GreaterEq => lines.push(format!("ge {low}")),
        Op::Less => lines.push(format!("lt {low}")),
        Op::LessEq => lines.push(format!("lt {behind}")),
        Op::Tilde => {
            let to = minor.map_or_else(
                || Version::new(major.saturating_add(1), 0, 0),
                |minor| Version::new(*major, minor.saturating_add(1), 0),
            );
            from_to(&low, &to);
        }
        // Caret, and whatever semver may add: compatible versions.
        _ => {
            let to = match (major, minor, patch) {
                (0, Some(0), Some(patch)) => Version::new(0, 0, patch.saturating_add(1)),
                (0, Some(minor), _) => Version::new(0, minor.saturating_add(1), 0),
                _ => Version::new(major.saturating_add(1), 0, 0),
            };
            from_to(&low, &to);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn requirement(text: &str) -> Requirement {
        Requirement(text.parse().expect(text))
    }

    #[test]
    fn bounds_for_dpkg() {
        for (text, expected) in [
            ("*", ""),
            (">=27, <29", "ge 27.0.0\nlt 29.0.0"),
            ("28.3", "ge 28.3.0\nlt 29.0.0"),
            ("~28.3", "ge 28.3.0\nlt 28.4.0"),
            ("=28.3.2", "ge 28.3.2\nlt 28.3.3"),
            ("28.*", "ge 28.0.0\nlt 29.0.0"),
            (">28", "ge 29.0.0"),
            ("<=28.3", "lt 28.4.0"),
        ] {
            assert_eq!(requirement(text).bounds(), expected, "{text}");
        }
    }

    proptest! {
        /// The host's answer is the laptop's.
        #[test]
        fn bounds_mean_the_same(
            op in prop::sample::select(vec!["", "=", ">", ">=", "<", "<=", "~", "^"]),
            parts in prop::collection::vec(0u64..4, 1..4),
            version in (0u64..5, 0u64..5, 0u64..5),
        ) {
            let numbers: Vec<_> = parts.iter().map(u64::to_string).collect();
            let wanted = requirement(&format!("{op}{}", numbers.join(".")));
            let version = Version::new(version.0, version.1, version.2);
            let bounded = wanted.bounds().lines().all(|line| {
                let (relation, bound) = line.split_once(' ').expect("two words");
                let bound: Version = bound.parse().expect("a version");
                if relation == "ge" { version >= bound } else { version < bound }
            });
            prop_assert_eq!(wanted.allows(&version), bounded, "{} {}", wanted, version);
        }
    }
}
