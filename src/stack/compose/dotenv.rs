//! `.env` as Compose reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ComposeError;
use super::interpolate::{self, Fault, Scope};

/// The variables that a project is read with: those of `.env`, and no others.
///
/// The environment of this computer does not travel to the host. Its names are
/// kept all the same, so that a variable that is only set here can be pointed
/// out. Values may be secrets: `Debug` shows names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    values: BTreeMap<String, String>,
    outside: BTreeSet<String>,
    warnings: Vec<String>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("names", &self.values.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// Reads the text of a `.env` file; `file` is its name in messages.
    pub fn parse(text: &str, file: &str) -> Result<Environment, ComposeError> {
        Environment::parse_within(text, file, None, BTreeMap::new())
    }

    /// Adds the variables of other files, each with its path: those that are there already stay, and
    /// values may refer to them. Of several files, the last one counts.
    pub(super) fn with_beneath(mut self, files: &[(String, String)]) -> Result<Environment, ComposeError> {
        let mut beneath = BTreeMap::new();
        for (path, text) in files {
            let found = Environment::parse_within(text, path, Some(&self), beneath)?;
            beneath = found.values;
            self.warnings.extend(found.warnings);
        }
        for (name, value) in beneath {
            self.values.entry(name).or_insert(value);
        }
        Ok(self)
    }

    fn parse_within(
        text: &str,
        file: &str,
        outer: Option<&Environment>,
        values: BTreeMap<String, String>,
    ) -> Result<Environment, ComposeError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(at) = text.find('\0') {
            return Err(ComposeError::Invalid {
                file: file.to_owned(),
                line: text[..at].matches('\n').count() + 1,
                what: "there is a NUL character".into(),
                remedy: "save the file as plain text".into(),
            });
        }
        let found = Environment { values, ..Environment::default() };
        let mut reader = Reader { rest: text, line: 1, file, found, outer };
        while reader.statement()? {}
        Ok(reader.found)
    }

    /// Names the variables that are set on this computer.
    #[must_use]
    pub fn with_outside(mut self, names: impl IntoIterator<Item = String>) -> Environment {
        self.outside = names.into_iter().collect();
        self
    }

    /// Lays values over those of `.env`.
    #[must_use]
    pub fn with_values(mut self, values: &BTreeMap<String, String>) -> Environment {
        self.values.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// All variables with their values, which may be secrets.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether a variable is set on this computer, though not in `.env`.
    pub(super) fn only_outside(&self, name: &str) -> bool {
        self.outside.contains(name) && !self.values.contains_key(name)
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value);
    }

    /// What `.env` itself leaves open.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Lines that set variables to these values, as Compose reads them back.
#[must_use]
pub fn write(values: &BTreeMap<String, String>) -> String {
    values.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
}

fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@,+%=-".contains(c);
    if value.chars().all(is_plain) {
        value.to_owned()
    } else if value.contains(['\'', '\\', '\n']) {
        let escaped =
            value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n");
        format!("\"{escaped}\"")
    } else {
        format!("'{value}'")
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    file: &'a str,
    found: Environment,
    /// Variables of other files, which go first.
    outer: Option<&'a Environment>,
}

/// What stood in front of a value.
enum Separator {
    /// `NAME=` or `NAME:`
    Value,
    /// A name alone: the value would come from the shell, and there is none.
    Nothing,
}

impl<'a> Reader<'a> {
    /// Reads one variable; `false` at the end.
    fn statement(&mut self) -> Result<bool, ComposeError> {
        loop {
            self.skip(char::is_whitespace);
            if self.rest.is_empty() {
                return Ok(false);
            }
            if !self.rest.starts_with('#') {
                break;
            }
            self.skip(|c| c != '\n');
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(blank)
        {
            self.rest = after.trim_start_matches(blank);
        }
        let (name, separator) = self.name()?;
        if matches!(separator, Separator::Nothing) {
            // Taken from where it is set already.
            if let Some(value) = self.outer.and_then(|outer| outer.get(name)) {
                self.found.values.insert(name.to_owned(), value.to_owned());
            }
            return Ok(true);
        }
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, name)?,
            _ => self.unquoted()?,
        };
        self.found.values.insert(name.to_owned(), value);
        Ok(true)
    }

    fn name(&mut self) -> Result<(&'a str, Separator), ComposeError> {
        let start = self.rest;
        for (at, c) in start.char_indices() {
            match c {
                '=' | ':' | '\n' => {
                    let name = start[..at].trim_end();
                    self.check_name(name)?;
                    self.rest = &start[at..];
                    if c == '\n' {
                        return Ok((name, Separator::Nothing));
                    }
                    self.rest = start[at + 1..].trim_start_matches(blank);
                    return Ok((name, Separator::Value));
                }
                c if c.is_alphanumeric() || "_.-[]".contains(c) || blank(c) => {}
                c => {
                    let what = format!("{c:?} cannot be part of a variable's name");
                    return Err(self.fault(what, "write one NAME=value a line"));
                }
            }
        }
        let name = start.trim_end();
        self.check_name(name)?;
        self.rest = "";
        Ok((name, Separator::Nothing))
    }

    fn check_name(&self, name: &str) -> Result<(), ComposeError> {
        if name.is_empty() {
            return Err(self.fault("a value without a name".into(), "write NAME=value"));
        }
        if name.contains(char::is_whitespace) {
            let what = "a variable's name contains a space".into();
            return Err(self.fault(what, "write NAME=value; start comments with #"));
        }
        Ok(())
    }

    fn unquoted(&mut self) -> Result<String, ComposeError> {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        let value = line.split_once(" #").map_or(line, |(value, _)| value).trim_end();
        let value = self.expand(value);
        self.rest = rest;
        value
    }

    fn quoted(&mut self, quote: char, name: &str) -> Result<String, ComposeError> {
        let body = &self.rest[1..];
        let mut raw = String::new();
        let mut escaped = false;
        for (at, c) in body.char_indices() {
            if c == quote && !escaped {
                let value = match quote {
                    '"' => self.expand(&unescape(&raw))?,
                    _ => raw,
                };
                self.line += body[..at].matches('\n').count();
                self.rest = &body[at + 1..];
                return Ok(value);
            }
            match (escaped, c) {
                (false, '\\') => {
                    escaped = true;
                    continue;
                }
                (true, c) if c != quote => raw.push('\\'),
                _ => {}
            }
            raw.push(c);
            escaped = false;
        }
        let what = format!("the quoted value of {name} does not end");
        Err(self.fault(what, "close it with the quote that opened it"))
    }

    fn expand(&mut self, text: &str) -> Result<String, ComposeError> {
        let mut scope = Earlier { found: &self.found, outer: self.outer, unset: Vec::new() };
        let result = interpolate::expand(text, &mut scope);
        let unset = scope.unset;
        for name in unset {
            self.found.warnings.push(format!(
                "{}:{}: {name} is not set further up in this file: it is taken as blank",
                self.file, self.line
            ));
        }
        result.map_err(|fault| match fault {
            // The text around it may be a secret and is left out.
            Fault::Syntax { remedy, .. } => {
                self.fault("the value has a `$` in a form that Compose refuses".into(), remedy)
            }
            Fault::Required { name, message } => {
                self.fault(format!("{name} is required: {message}"), "set it further up in this file")
            }
        })
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest.trim_start_matches(wanted);
        let skipped = &self.rest[..self.rest.len() - rest.len()];
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }

    fn fault(&self, what: String, remedy: &str) -> ComposeError {
        ComposeError::Invalid { file: self.file.to_owned(), line: self.line, what, remedy: remedy.to_owned() }
    }
}

/// The lines above: what a value of `.env` may refer to.
struct Earlier<'a> {
    found: &'a Environment,
    outer: Option<&'a Environment>,
    unset: Vec<String>,
}

impl Scope for Earlier<'_> {
    fn get(&mut self, name: &str) -> Option<String> {
        let outer = self.outer.and_then(|outer| outer.get(name));
        outer.or_else(|| self.found.get(name)).map(str::to_owned)
    }

    fn unset(&mut self, name: &str, fallback: bool) {
        if !fallback {
            self.unset.push(name.to_owned());
        }
    }
}

/// White space within a line.
fn blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// The escapes of a double-quoted value; others stay as they are.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let plain = match after.chars().next() {
            Some('n') => "\n",
            Some('r') => "\r",
            Some('t') => "\t",
            Some('a') => "\u{7}",
            Some('b') => "\u{8}",
            Some('f') => "\u{c}",
            Some('v') => "\u{b}",
            Some('\\') => "\\",
            // The substitution that follows turns this into one dollar sign.
            Some('$') => "$$",
            Some('0') => {
                // Three octal digits behind the zero make a character.
                let digits = after[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
                let number = &after[1..=digits];
                match u8::from_str_radix(number, 8) {
                    Ok(code) if digits == 3 => out.push(char::from(code)),
                    _ => {
                        out.push('\\');
                        out.push_str(number);
                    }
                }
                rest = &after[1 + digits..];
                continue;
            }
            _ => {
                out.push('\\');
                rest = after;
                continue;
            }
        };
        out.push_str(plain);
        rest = &after[1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
