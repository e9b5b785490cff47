//! What can be wrong with what a person wrote, and how it is said.

use std::fmt::{self, Write};
use std::path::PathBuf;

use super::playbook::shipped;
use super::{FILE_NAME, nearest::nearest};
use crate::report::harmless;
use crate::stack::compose::FILE_NAMES;

/// How much of a long line is shown, in characters.
const SHOWN: usize = 96;

/// Why settings cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Something in a file is wrong.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// A file that was named is not there.
    #[error("there is no file {}, which {said_by} names; correct the path, or create the file", harmless(.file))]
    Missing {
        /// The file as it was named.
        file: String,
        /// Who names it.
        said_by: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", harmless(.file))]
    Read {
        /// The file as it was named.
        file: String,
        /// Why not.
        reason: String,
    },
    /// No playbook was named, and nothing says which is meant.
    #[error("{}", unnamed(.folder))]
    Unnamed {
        /// Where a Compose file was looked for.
        folder: PathBuf,
    },
    /// No playbook of that name is shipped.
    #[error("{}", unknown_playbook(.name, *.file_exists))]
    UnknownPlaybook {
        /// The name.
        name: String,
        /// Whether `NAME.toml` is in the working directory.
        file_exists: bool,
    },
    /// The options of the playbook and those of `provision.toml` do not make options together.
    #[error("the playbook's options and those of {FILE_NAME} do not go together: {}", harmless(.reason))]
    Together {
        /// What was wrong.
        reason: String,
    },
}

impl ConfigError {
    /// Whether nothing is wrong, apart from no playbook being named.
    pub fn is_unnamed(&self) -> bool {
        matches!(self, Self::Unnamed { .. })
    }
}

impl From<Box<Problem>> for ConfigError {
    fn from(problem: Box<Problem>) -> Self {
        Self::Problem(problem)
    }
}

/// Something in a file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// The file as a person knows it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what to write instead.
    pub what: String,
    /// The line itself.
    pub excerpt: Option<Excerpt>,
    /// More that helps, a line each.
    pub help: Vec<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, what, excerpt, help } = self;
        write!(f, "{}:{line}:{column}: {}", harmless(file), harmless(what))?;
        let margin = " ".repeat(line.to_string().len());
        if let Some(Excerpt { text, before, marked }) = excerpt {
            write!(f, "\n  {line} | {text}\n  {margin} | {}{}", " ".repeat(*before), "^".repeat(*marked))?;
        }
        for line in help {
            write!(f, "\n  {margin} = {}", harmless(line))?;
        }
        Ok(())
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

/// The shipped playbooks, a line each.
pub(super) fn shipped_lines() -> Vec<String> {
    shipped().map(|(name, description)| format!("{name:<10} {description}")).collect()
}

fn with_shipped(mut text: String) -> String {
    for line in shipped_lines() {
        let _ = write!(text, "\n    {line}");
    }
    text
}

fn unnamed(folder: &std::path::Path) -> String {
    let folder = folder.display().to_string();
    let place = if matches!(folder.as_str(), "" | ".") { "here".to_owned() } else { format!("in {folder}") };
    let text = with_shipped(format!(
        "no playbook is named, and there is no {} {}\n  \
         name one with `--playbook NAME`, or with `playbook = \"NAME\"` in {FILE_NAME}:",
        FILE_NAMES[0],
        harmless(&place),
    ));
    text + "\n  or write your own and name the file: `--playbook ./mine.toml`"
}

fn unknown_playbook(name: &str, file_exists: bool) -> String {
    with_shipped(format!("{}\n  these are shipped:", unknown_playbook_line(name, file_exists)))
}

/// That there is no such playbook, and what was meant.
pub(super) fn unknown_playbook_line(name: &str, file_exists: bool) -> String {
    let safe = harmless(name);
    let remedy = if file_exists {
        format!("; write `./{safe}.toml` to use the file")
    } else {
        match nearest(name, shipped().map(|(name, _)| name)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => String::new(),
        }
    };
    format!("there is no playbook `{safe}`{remedy}")
}
