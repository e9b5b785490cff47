//! Whatever a host says, nothing panics, grows or gets through to a terminal.

use proptest::prelude::*;

use super::super::*;
use super::{RECORDED, answer, facts_of};

/// Every string in the facts, as JSON shows them.
fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        serde_json::Value::Object(values) => {
            for (key, value) in values {
                found.push(key.clone());
                strings(value, found);
            }
        }
        _ => {}
    }
}

/// That nothing hostile is left in what was made of `text`.
pub fn is_harmless(text: &[u8]) -> Result<(), TestCaseError> {
    let mut found = Vec::new();
    match parse(text) {
        Ok(parsed) => {
            strings(&serde_json::to_value(&parsed.facts).unwrap(), &mut found);
            found.extend(parsed.unknown);
        }
        Err(error) => found.push(error.to_string()),
    }
    for text in found {
        prop_assert!(!text.chars().any(is_hostile), "{text:?}");
    }
    Ok(())
}

#[test]
fn sizes_beyond_measure_are_the_largest() {
    let largest = u64::try_from(i64::MAX).unwrap();
    for absurd in ["9223372036854775808", "18446744073709551615", "99999999999999999999999999999999"] {
        assert_eq!(facts_of(&format!("memory\t{absurd}")).system.memory, largest);
    }
    assert_eq!(facts_of("cpus\t99999999999").system.cpus, u32::MAX);
}

#[test]
fn values_are_cut() {
    let long = "x".repeat(100_000);
    assert_eq!(facts_of(&format!("hostname\t{long}")).system.hostname.len(), 4096);
    assert!(parse(answer(&format!("{long}\t1"))).unwrap().unknown[0].len() < 200);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        is_harmless(&bytes)?;
        let mut framed = b"provision-facts 1\n".to_vec();
        framed.extend_from_slice(&bytes);
        framed.extend_from_slice(b"\nend\n");
        is_harmless(&framed)?;
    }

    #[test]
    fn a_known_key_with_any_fields_is_survived(
        key in prop::sample::select(vec![
            "os", "architecture", "kernel", "virtualization", "systemd", "cpus", "memory", "clock",
            "clock-synchronised", "hostname", "uptime", "identity", "ssh-port", "lists-age", "lock",
            "half-configured", "held", "apt-source", "package", "file", "content", "group", "user", "unit", "disk",
            "reach", "docker", "compose", "container", "image", "listening", "reboot-required", "reboot-package",
            "cloud-init", "first-boot", "first-boot-log", "last-run", "lease", "ssh-client", "sshd-port", "address", "rule", "foreign-table", "route", "name-server",
            "published", "network", "bridge",
        ]),
        fields in proptest::collection::vec("(yes|no|[0-7]{3}|[0-9]{0,30}|\"\\PC*\"|[\u{0}-\u{9f}]*|\\PC{0,20})", 0..9),
    ) {
        is_harmless(answer(&format!("{key}\t{}", fields.join("\t"))).as_bytes())?;
    }

    #[test]
    fn a_flipped_bit_is_survived(at in any::<prop::sample::Index>(), bit in 0..8u8, which in 0..RECORDED.len()) {
        let mut bytes = RECORDED[which].1.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        is_harmless(&bytes)?;
    }
}

#[test]
fn an_answer_cut_anywhere_is_told_so() {
    for (name, text) in RECORDED {
        for end in 0..text.len() - 1 {
            let Some(cut) = text.get(..end) else { continue };
            let error = parse(cut).map(|_| ()).unwrap_err();
            if !cut.ends_with("\nend") && end > 17 {
                // In the middle of a line its value may be wrong, too.
                assert!(
                    matches!(error, ParseError::Truncated { .. } | ParseError::Value { .. }),
                    "{name} {end}: {error}"
                );
            }
        }
    }
}
