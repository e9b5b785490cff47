//! A TOML file that knows where everything in it stands.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use super::explain;
use super::problem::{ConfigError, Excerpt, Problem};

/// More than a person writes, in bytes.
const LARGEST: u64 = 1 << 20;

/// The text of a file.
#[derive(Debug, Clone)]
pub(super) struct SourceText {
    /// The file as a person knows it.
    pub(super) shown: String,
    /// Where it is; none for what is shipped.
    pub(super) path: Option<PathBuf>,
    pub(super) text: String,
}

impl SourceText {
    /// Reads a file; `None` when there is none.
    pub(super) fn read(path: PathBuf, shown: String) -> Result<Option<Self>, ConfigError> {
        let failed = |reason: String| ConfigError::Read { file: shown.clone(), reason };
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.len() as u64 > LARGEST => {
                return Err(failed("it is larger than 1 MB, which settings never are".to_owned()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(_) if path.is_dir() => return Err(failed("it is a folder; name a TOML file".to_owned())),
            Err(error) => return Err(failed(error.to_string())),
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Self { shown, path: Some(path), text })),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
                Err(failed(format!("line {line} is not UTF-8; save the file as UTF-8")))
            }
        }
    }

    /// The folder of the file.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.path.as_deref().and_then(Path::parent)
    }

    /// A problem at a place in the text.
    pub(super) fn problem(&self, span: Range<usize>, what: impl Into<String>) -> Box<Problem> {
        let text = self.text.as_str();
        let start = (0..=span.start.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let rest = &text[line_start..];
        let line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let mut column = text[line_start..start].chars().count();
        let marked = text.get(start..span.end).unwrap_or_default();
        let mut end = column + marked.split('\n').next().unwrap_or_default().chars().count();
        let mut line = line;
        if line_start == 0
            && let Some(without) = line.strip_prefix('\u{feff}')
        {
            (line, column, end) = (without, column.saturating_sub(1), end.saturating_sub(1));
        }
        Box::new(Problem {
            file: self.shown.clone(),
            line: text[..start].matches('\n').count() + 1,
            column: column + 1,
            what: what.into(),
            excerpt: (!line.trim().is_empty()).then(|| Excerpt::new(line, column, end)),
            hints: Vec::new(),
        })
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.problem(span.clone(), "").line
    }
}

/// The two files that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `provision.toml`.
    Project,
    /// A playbook.
    Playbook,
}

impl FileKind {
    /// The table with the options of the steps.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::Project => "steps",
            Self::Playbook => "options",
        }
    }

    /// What may stand in such a file.
    pub(super) fn schema(self) -> Json {
        match self {
            Self::Project => super::schema(),
            Self::Playbook => super::playbook_schema(),
        }
    }
}

/// A file as TOML.
#[derive(Debug)]
pub(super) struct Document<'s> {
    pub(super) source: &'s SourceText,
    pub(super) kind: FileKind,
    pub(super) root: toml::Spanned<DeTable<'s>>,
}

impl<'s> Document<'s> {
    /// Parses a file and checks what types alone do not say.
    pub(super) fn parse(source: &'s SourceText, kind: FileKind) -> Result<Self, Box<Problem>> {
        let root = DeTable::parse(&source.text).map_err(|error| explain::syntax(source, kind, &error))?;
        let document = Self { source, kind, root };
        document.check_tables()?;
        for (key, value) in document.root.get_ref() {
            document.check_values(key.get_ref(), value)?;
        }
        Ok(document)
    }

    /// The file as a type; what is wrong is said at its place.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Box<Problem>> {
        T::deserialize(Deserializer::from(self.root.clone())).map_err(|error| explain::typed(self, &error))
    }

    /// The options of the steps as they stand in the file.
    pub(super) fn options(&self) -> Result<toml::Table, Box<Problem>> {
        match self.root.get_ref().get(self.kind.section()) {
            None => Ok(toml::Table::new()),
            Some(section) => toml::Table::deserialize(ValueDeserializer::from(section.clone()))
                .map_err(|error| explain::typed(self, &error)),
        }
    }

    /// The steps that have options here, and where.
    pub(super) fn option_places(&self) -> Vec<(String, Range<usize>)> {
        let section = self.root.get_ref().get(self.kind.section());
        let steps = section.and_then(|section| section.get_ref().as_table());
        let steps = steps.into_iter().flatten();
        steps.map(|(name, _)| (name.get_ref().to_string(), name.span())).collect()
    }

    /// Options are tables. Serde would take a list for one, by the order of its fields.
    fn check_tables(&self) -> Result<(), Box<Problem>> {
        let name = self.kind.section();
        let Some(section) = self.root.get_ref().get(name) else { return Ok(()) };
        let Some(steps) = section.get_ref().as_table() else {
            let what = match self.kind {
                FileKind::Project => {
                    "`steps` is a list in playbooks only; here it has a table for each step, as [steps.docker]"
                }
                FileKind::Playbook => "`options` has a table for each step, as [options.docker]",
            };
            return Err(self.source.problem(section.span(), what));
        };
        for (step, value) in steps {
            if !value.get_ref().is_table() && crate::steps::NAMES.contains(&step.get_ref().as_ref()) {
                let found = explain::kind(value.get_ref());
                let what = format!(
                    "[{name}.{}] is a table with a line for each option, not {found}",
                    step.get_ref()
                );
                return Err(self.source.problem(value.span(), what));
            }
        }
        Ok(())
    }

    /// No option is a date, and no number is without an end.
    fn check_values(&self, key: &str, value: &toml::Spanned<DeValue<'s>>) -> Result<(), Box<Problem>> {
        let refused = |what: String| Err(self.source.problem(value.span(), what));
        match value.get_ref() {
            DeValue::Datetime(_) => refused(format!("`{key}` is a date; write it in quotes")),
            DeValue::Float(number) if number.as_str().parse::<f64>().is_ok_and(|n| !n.is_finite()) => {
                refused(format!("`{key}` is no number that anything could use"))
            }
            DeValue::Array(items) => items.iter().try_for_each(|item| self.check_values(key, item)),
            DeValue::Table(entries) => {
                entries.iter().try_for_each(|(key, value)| self.check_values(key.get_ref(), value))
            }
            _ => Ok(()),
        }
    }
}
