//! What must not be in user-data: whoever may ask for the instance's metadata can read it.

use crate::plan::{has_password, names_secret};
use crate::stack::bundle::BundleFile;
use crate::stack::compose::{Environment, Written, written};

/// Whether a setting, as a person writes it, holds a secret, as far as its name and value tell.
pub fn looks_secret(name: &str, value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    // A reference to another setting is none.
    !value.starts_with('$') && is_secret(name, value)
}

/// The same of a value as Compose reads it: without quotes and references.
fn is_secret(name: &str, value: &str) -> bool {
    let value = value.trim();
    if value.is_empty() {
        return false;
    }
    names_secret(name) && !matches!(value, "true" | "false") || has_password(value)
}

/// What in a stack's files holds secrets: a line for a person each.
pub fn secrets_in_files(files: &[BundleFile]) -> Vec<String> {
    files.iter().flat_map(secrets_in).collect()
}

fn secrets_in(file: &BundleFile) -> Vec<String> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let text = String::from_utf8_lossy(&file.content);
    if name.ends_with(".yaml") || name.ends_with(".yml") {
        let mut found = in_compose(&file.path, &text);
        if file.sensitive && found.is_empty() {
            found.push(file.path.clone());
        }
        return found;
    }
    if !file.sensitive {
        return Vec::new();
    }
    match name.starts_with(".env") || name.ends_with(".env") {
        true => in_env(&file.path, &text),
        false => vec![file.path.clone()],
    }
}

/// Read as Compose does: quotes, `export`, several lines, and values made of others.
fn in_env(path: &str, text: &str) -> Vec<String> {
    let Ok(env) = Environment::parse(text, path) else { return by_lines(path, text) };
    let mut found: Vec<_> = env
        .entries()
        .filter(|(name, value)| is_secret(name, value))
        .map(|(name, _)| (line_of(text, name), name))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(line, name)| format!("{path}:{line}: {name}")).collect()
}

/// The last line that gives the variable a value, which is the one that counts.
fn line_of(text: &str, name: &str) -> usize {
    let gives = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim_start();
        let after =
            |line: &str| line.strip_prefix(name).map(|rest| rest.trim_start().starts_with(['=', ':']));
        after(line) == Some(true)
            || line.strip_prefix("export").is_some_and(|line| after(line.trim_start()) == Some(true))
    };
    text.lines().enumerate().filter(|(_, line)| gives(line)).last().map_or(1, |(at, _)| at + 1)
}

/// What Compose would refuse may hold secrets all the same.
fn by_lines(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if let Some((name, value)) = line.split_once(['=', ':']).filter(|_| !line.starts_with('#'))
            && is_secret(name, value)
        {
            found.push(format!("{path}:{}: {}", at + 1, name.trim()));
        }
    }
    found
}

/// In Compose files: what containers get as their environment, and addresses anywhere.
fn in_compose(path: &str, text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for Written { line, name, value, is_setting } in written(text) {
        let is_content = name.starts_with("secret ");
        if has_password(&value)
            || is_setting && (is_content && !value.trim().is_empty() || is_secret(&name, &value))
        {
            let shown = format!("{path}:{line}: {name}");
            if !found.contains(&shown) {
                found.push(shown);
            }
        }
    }
    found
}
