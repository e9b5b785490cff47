//! `.dockerignore`, as BuildKit reads it.
//!
//! Patterns count from the context. The last one that matches a path or a folder above it decides,
//! and `!` takes in again. `**` stands for any number of folders.

use std::fs;
use std::path::Path;

use super::{BundleError, walk::read_error};

/// The patterns of a context.
#[derive(Debug, Default)]
pub(super) struct DockerIgnore(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    takes_in: bool,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: one character that is no `/`.
    One,
    /// `*`: any number of characters that are no `/`.
    Many,
    /// `**/`: any number of whole folders.
    Folders,
    /// `**` at the end, or at the start and not before a `/`: anything.
    Anything,
    /// `[a-z]` and `[^a-z]`.
    Class {
        ranges: Vec<(char, char)>,
        inverted: bool,
    },
}

impl DockerIgnore {
    /// The patterns of a context within `root`: those beside its Dockerfile, or else those in it.
    pub(super) fn read(root: &Path, context: &str, dockerfile: &str) -> Result<Self, BundleError> {
        for path in
            [root.join(format!("{dockerfile}.dockerignore")), root.join(context).join(".dockerignore")]
        {
            if path.is_file() {
                let text = fs::read(&path).map_err(|error| read_error(&path, error))?;
                return Ok(Self::parse(&String::from_utf8_lossy(&text)));
            }
        }
        Ok(Self::default())
    }

    fn parse(text: &str) -> Self {
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        Self(lines.filter(|line| !line.starts_with('#')).filter_map(Rule::parse).collect())
    }

    /// Whether a path of the context stays out of the build.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let mut left_out = false;
        for rule in &self.0 {
            let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
            if rule.takes_in == left_out && (rule.matches(path) || above.any(|folder| rule.matches(folder))) {
                left_out = !rule.takes_in;
            }
        }
        left_out
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let (takes_in, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let pattern = clean(pattern);
        (!pattern.is_empty()).then(|| Self { takes_in, tokens: tokens(&pattern) })
    }

    /// Follows all ways to match at once, so that no pattern takes long.
    fn matches(&self, path: &str) -> bool {
        let places = self.tokens.len() + 1;
        let mut states = vec![false; places];
        let mut fresh = vec![false; places];
        (states[0], fresh[0]) = (true, true);
        self.pass(&mut states, &mut fresh, false);
        for c in path.chars() {
            let mut next = vec![false; places];
            fresh = vec![false; places];
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| states[*at]) {
                let (stays, goes) = match token {
                    Token::Char(wanted) => (false, *wanted == c),
                    Token::One => (false, c != '/'),
                    Token::Many => (c != '/', false),
                    Token::Folders | Token::Anything => (true, false),
                    Token::Class { ranges, inverted } => {
                        let is_in = ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                        (false, is_in != *inverted)
                    }
                };
                next[at] |= stays;
                next[at + 1] |= goes;
                fresh[at + 1] |= goes;
            }
            self.pass(&mut next, &mut fresh, c == '/');
            states = next;
        }
        states[places - 1]
    }

    /// Passes over tokens that may stand for nothing. Whole folders do where they are just reached, and
    /// end at a `/`.
    fn pass(&self, states: &mut [bool], fresh: &mut [bool], at_slash: bool) {
        for (at, token) in
            self.tokens.iter().enumerate().filter(|(_, token)| !matches!(token, Token::Char(_)))
        {
            let passes = match token {
                Token::Many | Token::Anything => states[at],
                Token::Folders => states[at] && (at_slash || fresh[at]),
                _ => false,
            };
            states[at + 1] |= passes;
            fresh[at + 1] |= passes;
        }
    }
}

/// As Go's `filepath.Clean`, and without a `/` in front.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        let token = match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let is_folders = rest.next_if_eq(&'/').is_some();
                // Docker takes `**.log` for "ends with .log" where nothing else in it is special.
                let ends_so = tokens.is_empty() && !rest.clone().any(|c| "*?[]\\".contains(c));
                match rest.peek() {
                    Some(_) if is_folders || !ends_so => Token::Folders,
                    _ => Token::Anything,
                }
            }
            '*' => Token::Many,
            '?' => Token::One,
            '[' => match class(&mut rest) {
                Some(class) => class,
                None => Token::Char('['),
            },
            '\\' => Token::Char(rest.next().unwrap_or('\\')),
            c => Token::Char(c),
        };
        tokens.push(token);
    }
    tokens
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let mut ahead = rest.clone();
    let inverted = ahead.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match ahead.next()? {
            ']' if !ranges.is_empty() => break,
            '\\' => ahead.next()?,
            c => c,
        };
        let mut to = from;
        let mut range = ahead.clone();
        if range.next() == Some('-') && range.peek().is_some_and(|c| *c != ']') {
            to = match range.next()? {
                '\\' => range.next()?,
                c => c,
            };
            ahead = range;
        }
        ranges.push((from, to));
    }
    *rest = ahead;
    Some(Token::Class { ranges, inverted })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After moby/patternmatcher's own table, and what its documentation promises.
    #[test]
    fn as_docker_reads_it() {
        for (text, path, expected) in [
            ("**", "file", true),
            ("**", "dir/file", true),
            ("**/", "file", true),
            ("**/", "dir/file", true),
            ("**/**", "dir/file", true),
            ("dir/**", "dir/file", true),
            ("dir/**", "dir/dir2/file", true),
            ("dir/**", "dir", false),
            ("**/dir2/*", "dir/dir2/file", true),
            ("**/dir2/*", "dir2/file", true),
            ("**/dir2/**", "dir/dir2/dir2/file", true),
            ("**file", "file", true),
            ("**file", "dir/file", true),
            ("**file", "dir/a-file", true),
            ("**fi*", "dir/a-file", false),
            ("x**/file", "xfile", true),
            ("x**/file", "xy/z/file", true),
            ("x**/file", "xyfile", false),
            ("**/file", "dir/dir/file", true),
            ("**/file", "dir/afile", false),
            ("**/file*.txt", "dir/dir/file.txt", true),
            ("a**/*.txt", "a/dir/dir/file.txt", true),
            ("a[b-d]e", "ace", true),
            ("a[b-d]e", "aae", false),
            ("a[^b-d]e", "aze", true),
            ("a[^b-d]e", "abe", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
            (
                "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                true,
            ),
            ("*", "a/b/c", true),
            ("*.md", "README.md", true),
            // From the context's top only, unlike git.
            ("*.md", "docs/README.md", false),
            ("**/*.md", "docs/README.md", true),
            ("?.txt", "ä.txt", true),
            ("foo", "foo/bar", true),
            ("foo", "a/foo", false),
            ("/foo/", "foo/bar", true),
            ("./foo/../bar", "bar/x", true),
            ("  a b  ", "a b", true),
            ("# a comment\nx", "# a comment", false),
            (" # none", "# none", true),
            ("!", "a", false),
            ("\u{feff}foo", "foo", true),
            ("node_modules\r\ndist\r\n", "dist/x", true),
            // The last that matches decides.
            ("*\n!src\n!README*", "src/a/b", false),
            ("*\n!src\n!README*", "README.md", false),
            ("*\n!src\n!README*", "other", true),
            ("*\n!src\nsrc/secret", "src/secret/x", true),
            ("*.md\n!README.md\nREADME.md", "README.md", true),
            ("!README.md\n*.md", "README.md", true),
            ("docs\n!docs/keep", "docs/keep", false),
            ("docs\n! docs/keep", "docs/keep", false),
            ("**/**/**/**/**/**/**/**/**/**/x", "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/y", false),
            ("ü*/**", "über/x", true),
        ] {
            assert_eq!(DockerIgnore::parse(text).leaves_out(path), expected, "{text:?} {path}");
        }
    }
}
