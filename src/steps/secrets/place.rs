//! Where a secret goes, and how it is written there.
//!
//! A value may be any text. What a place would misread is encoded on the host, at the moment a file
//! is written: this module only marks each `{NAME}` with its encoding. The marked lines are what
//! `scripts/steps/secrets.sh` reads.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretFile, SecretsOptions, is_name};
use crate::stack::compose::Project;

/// How a program reads a file with secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Its bytes, as they are.
    Plain,
    /// As Compose reads an `env_file`: values are quoted where they need it.
    Env,
    /// As Compose reads an `env_file` with `format: raw`: everything after `=` is the value.
    RawEnv,
    /// JSON: `{NAME}` stands within a string.
    Json,
}

/// The encodings that a person may name, as in `{db:url}`.
pub(super) const ENCODINGS: [&str; 5] = ["raw", "url", "json", "env", "pgpass"];

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    /// The value of a secret, with the encoding that the person named.
    Value(&'a str, Option<&'a str>),
}

/// A line in its parts. Braces around anything else, such as JSON's, are text.
pub(super) fn parts(line: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(open) = line[at..].find('{').map(|found| at + found) {
        let Some(close) = line[open..].find('}').map(|found| open + found) else { break };
        let inside = &line[open + 1..close];
        let (name, encoding) = match inside.rsplit_once(':') {
            Some((name, encoding)) if ENCODINGS.contains(&encoding) => (name, Some(encoding)),
            _ => (inside, None),
        };
        if !is_name(name) {
            at = open + 1;
            continue;
        }
        if start < open {
            parts.push(Part::Text(&line[start..open]));
        }
        parts.push(Part::Value(name, encoding));
        (start, at) = (close + 1, close + 1);
    }
    if start < line.len() {
        parts.push(Part::Text(&line[start..]));
    }
    parts
}

/// Whether what follows this text is within an address: `postgresql://app:`.
fn in_address(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).next().unwrap_or_default();
    word.split_once("://").is_some_and(|(scheme, _)| scheme.ends_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Each value with its encoding: the one that is named, the one of an address, or the place's own.
fn marked(line: &str, own: &str, text: impl Fn(&str) -> String) -> String {
    let (mut out, mut before) = (String::new(), String::new());
    for part in parts(line) {
        match part {
            Part::Text(literal) => {
                before.push_str(literal);
                out.push_str(&text(literal));
            }
            Part::Value(name, encoding) => {
                let encoding = encoding.unwrap_or(if in_address(&before) { "url" } else { own });
                // What its author has encoded already still has to get through the quotes.
                let encoding = if own == "env" && encoding == "raw" { "env" } else { encoding };
                before.push('x');
                out.push_str(&format!("{{{name}:{encoding}}}"));
            }
        }
    }
    out
}

/// The lines of a file, as the host reads them: ` LINE`, or `~LINE` without a line break at its
/// end, or `?LINE` with `=LINE`, of which the second one counts where a value needs quotes.
pub(super) fn lines(file: &SecretFile) -> String {
    let has_values = |line: &str| parts(line).iter().any(|part| matches!(part, Part::Value(..)));
    let as_it_is = |text: &str| text.to_owned();
    let mut out = String::new();
    let alone = file.lines.len() == 1;
    for line in &file.lines {
        match file.format() {
            _ if !has_values(line) => out.push_str(&format!(" {line}\n")),
            Format::Plain if alone && matches!(parts(line).as_slice(), [Part::Value(..)]) => {
                out.push_str(&format!("~{}\n", marked(line, "raw", as_it_is)));
            }
            Format::Plain => out.push_str(&format!(" {}\n", marked(line, "raw", as_it_is))),
            Format::Json => out.push_str(&format!(" {}\n", marked(line, "json", as_it_is))),
            Format::RawEnv => out.push_str(&format!(" {}\n", marked(line, "line", as_it_is))),
            Format::Env => {
                out.push_str(&format!("?{}\n={}\n", marked(line, "raw", as_it_is), quoted(line)));
            }
        }
    }
    out
}

/// A line of a dotenv file with its value in double quotes: whatever the secrets in it are, Compose
/// reads them back.
fn quoted(line: &str) -> String {
    let Some(at) = line.find(['=', ':']).filter(|at| !line[..*at].contains(['{', '#'])) else {
        return marked(line, "env", str::to_owned);
    };
    let (name, value) = line.split_at(at + 1);
    let value = value.trim_start();
    if value.starts_with('"') {
        return format!("{name}{}", marked(value, "env", str::to_owned));
    }
    if let Some(body) = value.strip_prefix('\'') {
        // What single quotes keep as it is.
        let body = body.rfind('\'').map_or(body, |end| &body[..end]);
        let text = |text: &str| escaped(&text.replace("\\'", "'")).replace('$', "\\$");
        return format!("{name}\"{}\"", marked(body, "env", text));
    }
    let value = value.split_once(" #").map_or(value, |(value, _)| value).trim_end();
    // A `$NAME` is replaced here as it is without quotes.
    format!("{name}\"{}\"", marked(value, "env", escaped))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

impl SecretFile {
    /// How it is read: as it says, or as its name does.
    pub(super) fn format(&self) -> Format {
        let ends = |end: &str| self.path.to_ascii_lowercase().ends_with(end);
        self.format.or(self.read_as).unwrap_or(match () {
            () if ends(".env") => Format::Env,
            () if ends(".json") => Format::Json,
            () => Format::Plain,
        })
    }
}

impl SecretsOptions {
    /// Learns from the Compose project which files it reads as `env_file`, and how.
    #[must_use]
    pub fn read_by(mut self, project: Option<&Project>) -> Self {
        let Some(project) = project else { return self };
        for file in &mut self.files {
            let path = format!("{}/{}/{}", super::ROOT, project.name, file.path);
            let mut read = project.services.iter().flat_map(|service| &service.env_files);
            if let Some(read) = read.find(|read| read.path == path) {
                file.read_as = Some(if read.raw { Format::RawEnv } else { Format::Env });
            }
        }
        self
    }

    /// The secrets that have to be one line, each with the file that cannot hold another.
    #[must_use]
    pub fn one_line(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for file in &self.files {
            for line in &file.lines {
                let mut before = String::new();
                for part in parts(line) {
                    match part {
                        Part::Text(text) => before.push_str(text),
                        Part::Value(name, encoding) => {
                            let own = file.format() == Format::RawEnv && !in_address(&before);
                            if encoding == Some("pgpass") || encoding.is_none_or(|own| own == "raw") && own {
                                found.entry(name.to_owned()).or_insert_with(|| file.path.clone());
                            }
                        }
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: &[&str]) -> SecretFile {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        SecretFile { path: path.into(), owner: "0:0".into(), format: None, read_as: None, lines }
    }

    #[test]
    fn each_place_has_its_encoding() {
        for (path, line, expected) in [
            ("db", "{db}", "~{db:raw}\n"),
            ("conf", "password {db}", " password {db:raw}\n"),
            ("conf", "no value", " no value\n"),
            ("conf", "u={db:url}", " u={db:url}\n"),
            ("conf", "redis://:{db}@redis/{name:raw}", " redis://:{db:url}@redis/{name:raw}\n"),
            ("conf", "a://b {db}", " a://b {db:raw}\n"),
            ("pgpass", "*:*:*:*:{db:pgpass}", " *:*:*:*:{db:pgpass}\n"),
            ("a.json", r#"{"a": "{db}", "b": {}}"#, " {\"a\": \"{db:json}\", \"b\": {}}\n"),
            ("a.json", r#"{"redis://r": "{db}"}"#, " {\"redis://r\": \"{db:json}\"}\n"),
            ("a.env", "A={db}", "?A={db:raw}\n=A=\"{db:env}\"\n"),
            ("a.env", "A=x\\{db}\"y # {db}", "?A=x\\{db:raw}\"y # {db:raw}\n=A=\"x\\\\{db:env}\\\"y\"\n"),
            ("a.env", "A='$x{db}' # y", "?A='$x{db:raw}' # y\n=A=\"\\$x{db:env}\"\n"),
            ("a.env", "A=\"$B {db}\"", "?A=\"$B {db:raw}\"\n=A=\"$B {db:env}\"\n"),
            ("a.env", "U=p://u:{db}@h/d", "?U=p://u:{db:url}@h/d\n=U=\"p://u:{db:url}@h/d\"\n"),
            ("a.env", "export A: {db:raw}", "?export A: {db:raw}\n=export A:\"{db:env}\"\n"),
            ("a.env", "A=$B", " A=$B\n"),
        ] {
            assert_eq!(lines(&file(path, &[line])), expected, "{line}");
        }
    }

    #[test]
    fn some_places_hold_one_line() {
        let mut raw = file("a.env", &["A={a}", "U=x://{b}@c", "C={c:url}"]);
        raw.format = Some(Format::RawEnv);
        let files = vec![raw, file("b", &["{d:pgpass}", "{e}"])];
        let options = SecretsOptions { files, ..SecretsOptions::default() };
        let found: Vec<_> = options.one_line().into_iter().collect();
        assert_eq!(found, [("a".into(), "a.env".into()), ("d".into(), "b".into())]);
    }
}
