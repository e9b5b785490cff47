//! What one digest says of a bundle on the host.

use std::collections::BTreeSet;

use serde::Serialize;

use super::question::{Question, Questions};
use super::types::Facts;

/// A bundle on the host, as a question by its digest was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KnownBundle {
    /// The digest that the host's lists have; none where there is nothing of the bundle.
    pub digest: Option<String>,
    /// The paths on the host that are not as the lists say: each is answered as a file of its own.
    pub differing: BTreeSet<String>,
}

impl KnownBundle {
    /// Whether the answer holds for a bundle with this digest.
    pub fn answers(&self, digest: &str) -> bool {
        self.digest.as_deref().is_none_or(|known| known == digest)
    }
}

impl Facts {
    /// What the host knows of the bundle in a folder, where it has answered for this digest.
    pub fn bundle(&self, folder: &str, digest: &str) -> Option<&KnownBundle> {
        self.bundles.get(folder).filter(|known| known.answers(digest))
    }

    /// All questions again, with the files one by one where a digest is not the host's; none where
    /// every digest has been answered.
    pub fn by_file(&self, questions: &Questions) -> Option<Questions> {
        let is_open = |question: &&Question| match question {
            Question::Bundle { digest, folder, .. } => self.bundle(folder, digest).is_none(),
            _ => false,
        };
        let open: Vec<_> = questions.iter().filter(is_open).collect();
        if open.is_empty() {
            return None;
        }
        let mut all = questions.clone();
        for question in open {
            all.remove(question);
            if let Question::Bundle { otherwise, .. } = question {
                all.extend(otherwise.iter().cloned());
            }
        }
        Some(all)
    }
}
