//! Which playbook is meant, where neither the command line nor a file says so.

use std::io::IsTerminal;

use super::exit::Exit;
use super::failure;
use crate::config::shipped_playbooks;
use crate::report::Failure;

/// The error instead of a guess: the working folder may be the wrong one.
pub(super) fn none() -> Failure {
    let what = "no compose.yaml here or in a parent folder, and no playbook is named; nothing was changed";
    let names: Vec<_> = shipped_playbooks().map(|(name, _)| name).collect();
    Failure {
        hints: vec![
            "change to the folder of your project".into(),
            format!("or name a playbook with `--playbook`: {}", names.join(", ")),
        ],
        ..failure::plain(Exit::Usage, what)
    }
}

/// Asks for one of those that ship, where a person is there and may be asked.
pub(super) fn ask(may_ask: bool) -> Result<String, Failure> {
    if !may_ask || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(none());
    }
    let all: Vec<_> = shipped_playbooks().collect();
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<_> = all.iter().map(|(name, text)| format!("{name:<width$}  {text}")).collect();
    let chosen = dialoguer::Select::new()
        .with_prompt("No compose.yaml here or in a parent folder. What do you want to set up?")
        .items(&lines)
        .interact_opt();
    match chosen.ok().flatten().and_then(|index| all.get(index)) {
        Some((name, _)) => Ok((*name).to_owned()),
        None => Err(none()),
    }
}
