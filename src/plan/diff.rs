//! What a file change looks like to a person.

use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::secret::{is_secret_file, without_secrets};
use super::{FileChange, Own, load};

/// A file change, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileDiff {
    /// The file is new; its lines.
    New(Vec<String>),
    /// The file is removed.
    Removed,
    /// A unified diff, line by line, each with its sign: `+`, `-` or a space; `@@` heads a hunk.
    Text(Vec<String>),
    /// Something that is not shown: `binary`, `content hidden`, with how the size changes.
    Opaque(#[serde(deserialize_with = "load::text")] Own),
}

/// What a saved plan has of a file change: what was shown of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// What it looked like.
    pub diff: FileDiff,
    /// How long the new content is, in bytes, where it may be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Works out what to show of a file change.
pub fn diff(file: &FileChange) -> FileDiff {
    let Some(content) = &file.content else { return FileDiff::Removed };
    if file.sensitive {
        return FileDiff::Opaque("content hidden");
    }
    let Some(after) = readable(content) else { return FileDiff::Opaque("binary") };
    if let Some(why) = unshowable(after) {
        return FileDiff::Opaque(why);
    }
    if is_secret_file(&file.path, after) {
        return FileDiff::Opaque("content hidden");
    }
    if !file.exists {
        return FileDiff::New(without_secrets(after));
    }
    let Some(before) = &file.before else { return FileDiff::Opaque("content not read") };
    let Some(before) = readable(before) else { return FileDiff::Opaque("binary") };
    if let Some(why) = unshowable(before) {
        return FileDiff::Opaque(why);
    }
    let text = TextDiff::from_lines(before, after);
    // Another secret is a change, too, so both are hidden only behind the comparison.
    let (before, after) = (without_secrets(before), without_secrets(after));
    let line = |lines: &[String], at: Option<usize>| at.and_then(|at| lines.get(at).cloned());
    let mut lines = Vec::new();
    for hunk in text.unified_diff().context_radius(3).iter_hunks() {
        lines.push(hunk.header().to_string());
        for change in hunk.iter_changes() {
            let shown = line(&after, change.new_index()).or_else(|| line(&before, change.old_index()));
            lines.push(format!("{}{}", change.tag(), shown.unwrap_or_default()));
            if change.missing_newline() {
                lines.push("\\ No newline at end of file".into());
            }
        }
    }
    if lines.is_empty() { FileDiff::Opaque("mode or owner only") } else { FileDiff::Text(lines) }
}

/// The largest file of which lines are shown, in bytes.
const LARGEST: usize = 64 * 1024;
/// The longest line that a person reads, in characters. Longer ones are written by programs.
const LONGEST_LINE: usize = 1000;

/// The text of a file that is no binary.
fn readable(content: &[u8]) -> Option<&str> {
    std::str::from_utf8(content).ok().filter(|text| !text.contains('\0'))
}

/// Why the lines of a text are not shown.
fn unshowable(text: &str) -> Option<&'static str> {
    match () {
        () if text.len() > LARGEST => Some("too large to show"),
        () if text.lines().any(|line| line.chars().count() > LONGEST_LINE) => Some("lines too long to show"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(before: Option<&str>, after: Option<&str>, sensitive: bool) -> FileChange {
        FileChange {
            path: "/etc/x".into(),
            mode: 0o644,
            owner: "root:root".into(),
            sha256: None,
            before: before.map(|text| text.as_bytes().to_vec()),
            content: after.map(|text| text.as_bytes().to_vec()),
            sensitive,
            exists: before.is_some(),
            recorded: None,
        }
    }

    #[test]
    fn shows_what_a_person_may_see() {
        assert_eq!(diff(&file(None, Some("a\nb\n"), false)), FileDiff::New(vec!["a".into(), "b".into()]));
        assert_eq!(diff(&file(Some("a\n"), None, false)), FileDiff::Removed);
        let long = "a".repeat(1001);
        let large = "a line\n".repeat(10_000);
        for (text, why) in
            [("a\0b", "binary"), (&*long, "lines too long to show"), (&*large, "too large to show")]
        {
            assert_eq!(diff(&file(None, Some(text), false)), FileDiff::Opaque(why));
            assert_eq!(diff(&file(Some(text), Some("a\n"), false)), FileDiff::Opaque(why));
        }
        assert_eq!(diff(&file(Some("A=1\n"), Some("A=2\n"), true)), FileDiff::Opaque("content hidden"));
        assert_eq!(
            diff(&file(Some("a\nb\n"), Some("a\nc\n"), false)),
            FileDiff::Text(vec!["@@ -1,2 +1,2 @@".into(), " a".into(), "-b".into(), "+c".into()])
        );
        assert_eq!(diff(&file(Some("a\n"), Some("a\n"), false)), FileDiff::Opaque("mode or owner only"));
        assert_eq!(
            diff(&file(Some("a\nPASSWORD: b\n"), Some("a\nPASSWORD: c"), false)),
            FileDiff::Text(
                ["@@ -1,2 +1,2 @@", " a", "-PASSWORD: …", "+PASSWORD: …", "\\ No newline at end of file"]
                    .map(str::to_owned)
                    .to_vec()
            )
        );
        assert_eq!(
            diff(&file(None, Some("PASSWORD: b\n"), false)),
            FileDiff::New(vec!["PASSWORD: …".into()])
        );
    }
}
