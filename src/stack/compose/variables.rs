//! Variables of a project's files: their values, and which of them have none.

use std::collections::BTreeMap;

use super::dotenv::Environment;
use super::interpolate::{self, Fault, Scope};
use super::yaml::{Node, Place, Value};
use super::{ComposeError, invalid};

/// So many names are listed in one warning.
const MOST_NAMES: usize = 12;

/// Which variables of a project have no value, and where.
#[derive(Default)]
pub(super) struct Unset {
    /// By file, in the order of the files: each name with its first line.
    files: Vec<(String, BTreeMap<String, Lack>)>,
}

/// What lacks of a variable.
struct Lack {
    line: usize,
    /// A default stands in for it everywhere.
    fallback: bool,
    /// It is set on this computer.
    outside: bool,
}

impl Unset {
    fn note(&mut self, name: &str, place: &Place, fallback: bool, outside: bool) {
        let file = &*place.file;
        let at = self.files.iter().position(|(other, _)| other == file).unwrap_or_else(|| {
            self.files.push((file.to_owned(), BTreeMap::new()));
            self.files.len() - 1
        });
        let lack = Lack { line: place.line, fallback, outside };
        let names = &mut self.files[at].1;
        match names.get_mut(name) {
            Some(known) if known.fallback && !fallback => *known = lack,
            Some(_) => {}
            None => {
                names.insert(name.to_owned(), lack);
            }
        }
    }

    /// At most three lines for each file, which name all of its variables.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (file, names) in &self.files {
            let mut say = |outside: bool, fallback: bool, one: &str, several: &str| {
                let mut those: Vec<_> = names
                    .iter()
                    .filter(|(_, lack)| (lack.outside, lack.fallback) == (outside, fallback))
                    .collect();
                those.sort_by_key(|(_, lack)| lack.line);
                let Some((_, first)) = those.first() else { return };
                let listed = list(&those.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
                let verb = if those.len() == 1 { one } else { several };
                found.push(format!("{file}:{}: {listed} {verb}", first.line));
            };
            say(
                false,
                false,
                "is not set in .env and will be blank; set it there",
                "are not set in .env and will be blank; set them there",
            );
            say(
                true,
                false,
                "is set on this computer but not in .env; only .env goes to the host, so it will be blank there; add \
                 it to .env",
                "are set on this computer but not in .env; only .env goes to the host, so they will be blank there; \
                 add them to .env",
            );
            say(
                true,
                true,
                "is set on this computer but not in .env; only .env goes to the host, so its default applies there",
                "are set on this computer but not in .env; only .env goes to the host, so their defaults apply there",
            );
        }
        found
    }
}

/// `A, B and C`; of many, the first ones and how many more there are.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] if names.len() <= MOST_NAMES => format!("{} and {last}", first.join(", ")),
        many => format!("{} and {} more", many[..MOST_NAMES].join(", "), many.len() - MOST_NAMES),
    }
}

/// The variables that one file is read with.
struct Variables<'a> {
    env: &'a Environment,
    unset: &'a mut Unset,
    here: Place,
}

impl Scope for Variables<'_> {
    fn get(&mut self, name: &str) -> Option<String> {
        self.env.get(name).map(str::to_owned)
    }

    fn unset(&mut self, name: &str, fallback: bool) {
        self.unset.note(name, &self.here, fallback, self.env.only_outside(name));
    }
}

/// Substitutes variables in every value; keys stay as they are.
pub(super) fn substitute(node: &mut Node, env: &Environment, unset: &mut Unset) -> Result<(), ComposeError> {
    match &mut node.value {
        Value::Null => {}
        Value::List(items) => {
            for item in items {
                substitute(item, env, unset)?;
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                substitute(&mut entry.value, env, unset)?;
            }
        }
        Value::Scalar { text, plain } if text.contains('$') => {
            let mut variables = Variables { env, unset, here: node.place.clone() };
            *text = interpolate::expand(text, &mut variables)
                .map_err(|fault| explain(fault, &node.place, env))?;
            // What comes of a variable is text, whatever it looks like.
            *plain = false;
        }
        Value::Scalar { .. } => {}
    }
    Ok(())
}

fn explain(fault: Fault, place: &Place, env: &Environment) -> ComposeError {
    match fault {
        Fault::Syntax { near, remedy } => {
            invalid(place, format!("Compose cannot substitute {near:?}"), remedy)
        }
        Fault::Required { name, message } => {
            let what = match message.is_empty() {
                true => format!("{name} is required and has no value"),
                false => format!("{name} is required and has no value: {message}"),
            };
            let remedy = match env.only_outside(&name) {
                true => {
                    format!("set {name} in .env: it is set on this computer, but only .env goes to the host")
                }
                false => format!("set {name} in .env"),
            };
            invalid(place, what, remedy)
        }
    }
}
