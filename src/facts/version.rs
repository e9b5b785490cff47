//! Versions, as lenient as those who write them.

use semver::{Prerelease, Version};

/// Reads a version as programs and packages write it: `28.3.2`, `20.10.24+dfsg1`,
/// `v2.26.1-ds1`, `5:28.3.2-1~debian.12~bookworm`. What a distribution adds is
/// left out; a pre-release (`-rc.1`, `~beta2`) stays one.
pub fn lenient_version(written: &str) -> Option<Version> {
    let written = written.trim();
    let written = written.rsplit_once(':').map_or(written, |(_, rest)| rest);
    let written = written.strip_prefix(['v', 'V']).unwrap_or(written);
    let end = written.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(written.len());
    let (numbers, rest) = written.split_at(end);
    let mut numbers = numbers.split('.').map(|number| number.parse::<u64>().ok());
    let major = numbers.next()??;
    let mut next = || numbers.next().map_or(Some(0), |number| number);
    let mut version = Version::new(major, next().unwrap_or(0), next().unwrap_or(0));
    if let Some(pre) = rest.strip_prefix(['-', '~'])
        && ["alpha", "beta", "rc"].iter().any(|word| pre.starts_with(word))
    {
        let end = pre.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(pre.len());
        let pre = pre.get(..end).unwrap_or_default().trim_end_matches('.');
        version.pre = Prerelease::new(pre).unwrap_or(Prerelease::EMPTY);
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_as_they_are_written() {
        let cases = [
            ("28.3.2", "28.3.2"),
            ("20.10.24+dfsg1", "20.10.24"),
            ("26.1.5+dfsg1-9+deb13u1", "26.1.5"),
            ("v2.26.1-ds1", "2.26.1"),
            ("2.26.1-4", "2.26.1"),
            ("2.38.2", "2.38.2"),
            ("5:28.3.2-1~debian.12~bookworm", "28.3.2"),
            ("2.40.3+ds1-0ubuntu1~24.04.1", "2.40.3"),
            ("29.0.0-rc.1", "29.0.0-rc.1"),
            ("5:29.0.0~rc.2-1~debian.12~bookworm", "29.0.0-rc.2"),
            ("v2.0.0-beta.6", "2.0.0-beta.6"),
            ("v2.40.3-desktop.1", "2.40.3"),
            ("24.04", "24.4.0"),
            ("9", "9.0.0"),
            ("1.2.3.4", "1.2.3"),
            (" 1.2.3\n", "1.2.3"),
        ];
        for (written, version) in cases {
            assert_eq!(lenient_version(written), Some(version.parse().unwrap()), "{written}");
        }
        for nothing in ["", "v", "dev", "-1", ".1.2", "99999999999999999999999.1.2", "library-import"] {
            assert_eq!(lenient_version(nothing), None, "{nothing}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn versions_are_never_a_reason_to_panic(written in "\\PC{0,40}|[v0-9.~+:a-z-]{0,30}") {
            lenient_version(&written);
        }
    }
}
