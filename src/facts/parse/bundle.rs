//! Lines about a bundle on the host, and the lists beside it.

use std::collections::BTreeMap;

use super::ParseError;
use super::line::Line;
use crate::facts::{Facts, KnownBundle};

/// Takes a line in; false where it is about something else.
pub fn line(facts: &mut Facts, line: &Line<'_>) -> Result<bool, ParseError> {
    let folder = line.text(0);
    match line.key.as_str() {
        "bundle" => {
            let digest = line.text(1);
            let is_hash = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_hash && digest != "none" {
                return Err(line.error(1, "a SHA-256 or `none` was expected"));
            }
            let known = KnownBundle { digest: is_hash.then_some(digest), ..KnownBundle::default() };
            facts.bundles.insert(folder, known);
        }
        "differs" => {
            // Without the bundle's own line nothing is known of the others.
            if let Some(known) = facts.bundles.get_mut(&folder) {
                known.differing.insert(line.text(1));
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Takes a line of a list in; its file is known by a line of its own.
pub fn record(contents: &mut BTreeMap<String, Vec<u8>>, line: &Line<'_>) {
    let content = contents.entry(line.text(0)).or_default();
    content.extend_from_slice(line.raw(1));
    content.push(b'\n');
}
