//! What can be wrong with what a person wrote, and how it is said.

use std::path::Path;

use super::FILE_NAME;
use super::playbook::shipped;
use crate::nearest::nearest;
use crate::text::harmless;

/// How much of a long line is shown, in characters.
const SHOWN: usize = 96;

/// Why settings cannot be had. Its `Display` is one line; [`ConfigError::excerpt`] and
/// [`ConfigError::hints`] go below it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something in a file is wrong.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// A file that was named is not there.
    #[error("there is no file {}, which {said_by} names", harmless(.file))]
    Missing {
        /// The file as it was named.
        file: String,
        /// Who names it.
        said_by: &'static str,
        /// The shipped playbook that was probably meant.
        shipped: Option<&'static str>,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {}", harmless(.file), harmless(.reason))]
    Read {
        /// The file as it was named.
        file: String,
        /// Why not.
        reason: String,
    },
    /// No playbook of that name is shipped.
    #[error("{}", unknown_playbook(.name, *.file_exists))]
    UnknownPlaybook {
        /// The name.
        name: String,
        /// Whether `NAME.toml` is in the working directory.
        file_exists: bool,
    },
    /// The options of a step do not fit together, or not with those of another.
    #[error("{} ([steps.{step}])", harmless(.what))]
    Step {
        /// The step.
        step: &'static str,
        /// What was wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The options of the playbook and those of `provision.toml` do not make options together.
    #[error("the playbook's options and those of {FILE_NAME} do not go together: {}", harmless(.reason))]
    Together {
        /// What was wrong.
        reason: String,
    },
}

impl ConfigError {
    /// The line of the file, and the place in it marked below. Fit for a terminal.
    pub fn excerpt(&self) -> Vec<String> {
        let Self::Problem(problem) = self else { return Vec::new() };
        let Some(Excerpt { text, before, marked }) = &problem.excerpt else { return Vec::new() };
        let line = problem.line.to_string();
        vec![
            format!("{line} | {text}"),
            format!("{:1$} | {2:3$}{4}", "", line.len(), "", *before, "^".repeat(*marked)),
        ]
    }

    /// What to do, or to know, a line each. Fit for a terminal.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Problem(problem) => problem.hints.iter().map(|hint| harmless(hint).into_owned()).collect(),
            Self::Missing { shipped: Some(name), .. } => vec![format!("the shipped playbook is `{name}`")],
            Self::Missing { .. } => vec!["correct the path, or create the file".to_owned()],
            Self::UnknownPlaybook { .. } => shipped_lines(""),
            Self::Step { hint, .. } => vec![hint.clone()],
            Self::Read { .. } | Self::Together { .. } => Vec::new(),
        }
    }
}

impl From<Box<Problem>> for ConfigError {
    fn from(problem: Box<Problem>) -> Self {
        Self::Problem(problem)
    }
}

/// Something in a file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {}", harmless(.file), harmless(.what))]
pub struct Problem {
    /// The file as a person knows it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what was probably meant.
    pub what: String,
    /// The line itself.
    pub excerpt: Option<Excerpt>,
    /// More that helps, a line each.
    pub hints: Vec<String>,
}

impl Problem {
    /// The same with more that helps.
    pub(super) fn hinted(mut self: Box<Self>, hints: impl IntoIterator<Item = String>) -> Box<Self> {
        self.hints.extend(hints);
        self
    }
}

/// A line of a file with the place in it, fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, or a part of a long one.
    pub text: String,
    /// Columns before the place.
    pub before: usize,
    /// Columns of the place, at least 1.
    pub marked: usize,
}

impl Excerpt {
    /// A line of which the characters from `start` to `end` are meant.
    pub(super) fn new(line: &str, start: usize, end: usize) -> Self {
        let line = covered(line);
        let length = line.chars().count();
        let (start, end) = (start.min(length), end.clamp(start.min(length), length));
        let from = if length > SHOWN { start.saturating_sub(SHOWN / 2) } else { 0 };
        let to = length.min(from + SHOWN);
        let part = |from: usize, to: usize| {
            let part: String = line.chars().skip(from).take(to.saturating_sub(from)).collect();
            harmless(&part).into_owned()
        };
        let mut before = part(from, start);
        if from > 0 {
            before.insert(0, '…');
        }
        let marked = part(start, end.min(to));
        let mut text = format!("{before}{marked}{}", part(end.min(to), to));
        if to < length {
            text.push('…');
        }
        let columns = console::measure_text_width;
        Self { before: columns(&before), marked: columns(&marked).max(1), text: text.trim_end().to_owned() }
    }
}

/// The line with credentials in addresses covered, as long as before.
fn covered(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end =
            after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'')).unwrap_or(after.len());
        // ssh takes no password there, and the name is worth seeing.
        let secret = if before.ends_with("ssh://") { 0 } else { after[..end].rfind('@').unwrap_or(0) };
        shown.extend(std::iter::repeat_n('*', after[..secret].chars().count()));
        rest = &after[secret..];
    }
    shown + rest
}

/// The shipped playbooks, a line each, as they are named where that stands before them.
pub(super) fn shipped_lines(before: &str) -> Vec<String> {
    shipped().map(|(name, description)| format!("`{before}{name}`: {description}")).collect()
}

/// A folder as it is named in a sentence.
pub(super) fn place(folder: &Path) -> String {
    match folder.to_str() {
        Some("" | ".") => "here".to_owned(),
        _ => format!("in {}", harmless(&folder.display().to_string())),
    }
}

/// That there is no such playbook, and what was meant.
pub(super) fn unknown_playbook(name: &str, file_exists: bool) -> String {
    let safe = harmless(name);
    let meant = if file_exists {
        format!("; write `./{safe}.toml` to use the file")
    } else {
        match nearest(name, shipped().map(|(name, _)| name)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        }
    };
    format!("there is no playbook `{safe}`{meant}")
}
