//! `provision secrets`: which secrets a host has, what they are, and other values for them.

mod given;
mod printed;
mod renew;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) use given::Given;
pub(super) use renew::{Renewing, renew};

use super::asked::asked;
use super::exit::Exit;
use super::{exit_of, failure};
use crate::cli::{Secrets, SecretsVerb};
use crate::nearest::{listed, nearest};
use crate::report::{Event, Failure, Reporter, print};
use crate::run::Link;
use crate::text::harmless;

const SCRIPT: &str = include_str!("../../../scripts/secrets.sh");

/// `provision secrets HOST`
pub(super) async fn secrets(
    mut link: Link,
    arguments: &Secrets,
    json: bool,
    reporter: &dyn Reporter,
) -> Exit {
    let done = match &arguments.verb {
        // The last two have a playbook, and come another way.
        None | Some(SecretsVerb::List | SecretsVerb::Rotate(_) | SecretsVerb::Set(_)) => {
            list(&mut link, arguments.stack.as_deref(), json).await
        }
        Some(SecretsVerb::Show { name }) => show(&mut link, arguments.stack.as_deref(), name).await,
    };
    let name = link.name();
    link.close().await;
    match done {
        Ok(text) => {
            print(&text);
            Exit::Done
        }
        Err(failure) => {
            reporter.tell(&name, &Event::Failed(failure.clone()));
            exit_of(&failure)
        }
    }
}

async fn list(link: &mut Link, stack: Option<&str>, json: bool) -> Result<String, Failure> {
    let all = names(link, stack).await?;
    if json {
        return Ok(all
            .iter()
            .map(|(stack, name)| format!("{}\n", serde_json::json!({ "stack": stack, "name": name })))
            .collect());
    }
    if let (true, Some(stack)) = (all.is_empty(), stack) {
        let what = format!("{} has no secrets of a stack {stack}", link.name());
        let hint = format!("`provision secrets {}` lists the secrets of all stacks there", link.name());
        return Err(failure::with_hint(Exit::Refused, what, hint));
    }
    if all.is_empty() {
        return Ok(format!(
            "{0} has no secrets yet: `provision up {0}` makes those of a stack\n",
            link.name()
        ));
    }
    let width = all.iter().map(|(stack, _)| stack.len()).max().unwrap_or(0);
    Ok(all.iter().map(|(stack, name)| format!("{stack:<width$}  {name}\n")).collect())
}

/// The value alone, so that it can be piped.
async fn show(link: &mut Link, stack: Option<&str>, name: &str) -> Result<String, Failure> {
    let all = names(link, stack).await?;
    let stacks: Vec<_> =
        all.iter().filter(|(_, each)| each == name).map(|(stack, _)| stack.as_str()).collect();
    let stack = match stacks.as_slice() {
        [stack] => *stack,
        [] => {
            let known: BTreeSet<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => {
                    format!("`provision up {}` makes those that the playbook asks for", link.name())
                }
                None => format!("it has {}", listed(known)),
            };
            let what = format!("{} has no secret `{name}`", link.name());
            return Err(failure::with_hint(Exit::Usage, what, hint));
        }
        several => {
            let what = format!("several stacks have a secret `{name}`: {}", several.join(", "));
            return Err(failure::with_hint(Exit::Usage, what, "name one of them with `--stack`"));
        }
    };
    let lines = ask(link, &[("verb", "show"), ("stack", stack), ("name", name)]).await?;
    let value = lines.first().and_then(|line| STANDARD.decode(line.strip_prefix("value ")?).ok());
    value.map(|value| shown(&value)).ok_or_else(|| {
        failure::plain(
            Exit::Refused,
            format!("the secret `{name}` was there a moment ago and is not any more"),
        )
    })
}

/// A value on stdout: a terminal gets nothing that could steer it, a pipe gets what there is.
fn shown(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    let mut text = match std::io::stdout().is_terminal() {
        true => value.lines().map(|line| format!("{}\n", harmless(line))).collect(),
        false => value.into_owned(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Stack and name of each.
async fn names(link: &mut Link, only: Option<&str>) -> Result<Vec<(String, String)>, Failure> {
    let lines = ask(link, &[("verb", "list")]).await?;
    let pairs = lines.iter().filter_map(|line| line.split_once('\t'));
    let harmless = |text| harmless(text).into_owned();
    Ok(pairs
        .filter(|(stack, _)| only.is_none_or(|only| only == *stack))
        .map(|(stack, name)| (harmless(stack), harmless(name)))
        .collect())
}

async fn ask(link: &mut Link, parameters: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
    asked(link, SCRIPT, parameters, "look for its secrets").await
}
