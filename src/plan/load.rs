//! Reading plans back that were saved.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::FileChange;

/// A text that the program itself has: the name of a step or an action. It has a name of its own
/// because serde would borrow a `&str` from the file that it reads.
pub type Own = &'static str;

/// A text that a plan of our own has in the program. One command reads one saved plan, of bounded
/// size, so that what is kept until its end is little.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Own, D::Error> {
    Ok(&*Box::leak(String::deserialize(from)?.into_boxed_str()))
}

/// Values by their names.
pub(super) fn values<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Own, String>, D::Error> {
    let values: BTreeMap<String, String> = BTreeMap::deserialize(from)?;
    Ok(values.into_iter().map(|(name, value)| (&*Box::leak(name.into_boxed_str()), value)).collect())
}

/// What a saved plan has of a file.
#[derive(Deserialize)]
struct Saved {
    path: String,
    mode: u32,
    owner: String,
    sha256: Option<String>,
    sensitive: bool,
    exists: bool,
}

impl<'de> Deserialize<'de> for FileChange {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Saved { path, mode, owner, sha256, sensitive, exists } = Saved::deserialize(from)?;
        Ok(Self { path, mode, owner, sha256, before: None, content: None, sensitive, exists, recorded: None })
    }
}
