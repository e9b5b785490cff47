//! Verbs and options of other tools, and ours for the same purpose.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What other tools call it, and what to type here.
const FAMILIAR: [(&[&str], &str); 9] = [
    (
        &["deploy", "apply", "install", "setup", "bootstrap", "sync", "push", "run"],
        "`provision up HOST` does that",
    ),
    (
        &["init", "new", "create"],
        "no preparation is needed: run `provision up HOST` in the folder with your compose.yaml",
    ),
    (&["diff", "preview", "dry-run"], "`provision plan HOST` shows what would change, and changes nothing"),
    (&["doctor", "verify", "validate"], "`provision check HOST` checks the host"),
    (&["history", "log", "audit"], "`provision runs HOST` lists the runs on a host"),
    (&["logs"], "run `docker compose -p NAME logs -f` on the host"),
    (&["ps", "ls", "list"], "`provision status HOST`, or `docker compose -p NAME ps` on the host"),
    (
        &["destroy", "remove", "down", "rm", "delete", "uninstall", "teardown"],
        "provision does not remove stacks yet; `docker compose -p NAME down` on the host stops one and keeps its volumes",
    ),
    (&["--dry-run", "--check", "--diff", "--noop", "--what-if"], "`provision plan HOST` is the dry run"),
];

/// The same error, with our word for what was meant.
pub(super) fn explain(mut error: Error) -> Error {
    let typed = match error.kind() {
        ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand),
        ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg),
        _ => None,
    };
    let Some(ContextValue::String(typed)) = typed else { return error };
    let Some((_, ours)) = FAMILIAR.iter().find(|(words, _)| words.contains(&typed.as_str())) else {
        return error;
    };
    error.remove(ContextKind::SuggestedSubcommand);
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![(*ours).into()]));
    error
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::Cli;
    use super::*;

    #[test]
    fn other_tools_verbs_lead_to_ours() {
        for (words, ours) in FAMILIAR {
            for word in words {
                let arguments: &[&str] = if word.starts_with('-') {
                    &["provision", "up", word, "web1"]
                } else {
                    &["provision", word]
                };
                let error = explain(Cli::try_parse_from(arguments).expect_err(word));
                let shown = error.to_string();
                assert!(shown.contains(ours) && error.exit_code() == 2, "{word}: {shown}");
            }
        }
        let shown = explain(Cli::try_parse_from(["provision", "statu"]).expect_err("no verb")).to_string();
        assert!(shown.contains("a similar subcommand exists: 'status'"), "{shown}");
    }

    #[test]
    fn ours_are_not_among_them() {
        let command = Cli::command();
        for verb in command.get_subcommands().map(clap::Command::get_name) {
            assert!(FAMILIAR.iter().all(|(words, _)| !words.contains(&verb)), "{verb}");
        }
    }
}
