//! The known name that a mistyped one was meant to be.

/// The nearest of the known names, if one is near enough to be meant.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wanted = plain(name);
    // A third of the letters may be wrong, more would be guessing.
    let allowed = (wanted.chars().count() / 3).max(1);
    let measured = known.into_iter().map(|known| {
        let candidate = plain(known);
        let distance = strsim::damerau_levenshtein(&wanted, &candidate);
        // `mirrors` for `registry_mirrors`, `lock` for `lock_wait`.
        let part = wanted.len() >= 3 && candidate.split('_').any(|word| word == wanted);
        (if part { distance.min(1) } else { distance }, known)
    });
    let near = measured.filter(|(distance, known)| *distance <= allowed && *distance < known.len());
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

fn plain(name: &str) -> String {
    // Longer ones are no typing mistakes, and would take long to compare.
    name.chars().take(64).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Names as a sentence holds them: `` `a`, `b` ``.
pub fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["source", "version", "mirror", "registry_mirrors", "lock_wait", "hold"];
        for (name, expected) in [
            ("verison", Some("version")),
            ("versions", Some("version")),
            ("Version", Some("version")),
            ("registry-mirrors", Some("registry_mirrors")),
            ("mirrors", Some("mirror")),
            ("lock", Some("lock_wait")),
            ("h", None),
            ("", None),
            ("colour", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
