//! Colour, or none: everything is legible without it.

use console::{Style, Term};

/// Whether a stream is to be painted: on a terminal, unless the environment says otherwise.
///
/// `NO_COLOR` (not empty) is always obeyed; `CLICOLOR_FORCE` (not `0`) paints pipes too;
/// `CLICOLOR=0` and a dumb terminal are not painted.
pub(super) fn wanted(term: &Term) -> bool {
    decide(|name| std::env::var(name).ok().filter(|value| !value.is_empty()), term.is_term())
}

fn decide(variable: impl Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    if variable("NO_COLOR").is_some() {
        return false;
    }
    if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    let dumb = variable("TERM").is_none_or(|name| name == "dumb");
    is_terminal && !dumb && variable("CLICOLOR").is_none_or(|value| value != "0")
}

/// A pot of paint, which may be empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        style.force_styling(self.0).apply_to(text).to_string()
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with(Style::new().dim(), text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with(Style::new().yellow(), text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with(Style::new().red(), text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.with(Style::new().cyan(), text)
    }

    /// `error:`, `warning:` and `help:` at the head of a line.
    pub(super) fn word(self, word: Word) -> String {
        match word {
            Word::Error => self.with(Style::new().red().bold(), "error:"),
            Word::Warning => self.with(Style::new().yellow().bold(), "warning:"),
            Word::Help => self.with(Style::new().cyan().bold(), "help:"),
        }
    }
}

/// A word at the head of a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Error,
    Warning,
    Help,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let decide = |variables: &[(&str, &str)], is_terminal| {
            decide(
                |name| {
                    let found = variables.iter().find(|(key, _)| *key == name);
                    found
                        .map(|(_, value)| (*value).to_owned())
                        .or((name == "TERM").then(|| "xterm".to_owned()))
                },
                is_terminal,
            )
        };
        assert!(decide(&[], true));
        assert!(!decide(&[], false));
        assert!(!decide(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(decide(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!decide(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!decide(&[("CLICOLOR", "0")], true));
        assert!(!decide(&[("TERM", "dumb")], true));
    }

    #[test]
    fn an_empty_pot_leaves_no_trace() {
        assert_eq!(Paint(false).word(Word::Error), "error:");
        assert_eq!(Paint(true).green("x"), "\u{1b}[32mx\u{1b}[0m");
    }
}
