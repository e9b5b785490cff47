//! What stands in a Compose file itself: values that it gives to containers, and addresses.

use super::interpolate::{self, Scope};
use super::yaml::{self, Node, Value};

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The line, counting from 1.
    pub line: usize,
    /// Its variable, or the key that it stands under.
    pub name: String,
    /// The value, without what comes from variables.
    pub value: String,
    /// Whether it is a variable of an environment or of a build, or the content of a secret.
    pub is_setting: bool,
}

/// Every value of a Compose file; none where it is no YAML.
#[must_use]
pub fn written(text: &str) -> Vec<Written> {
    let mut found = Vec::new();
    for document in yaml::documents(text, "").unwrap_or_default() {
        collect(&document, "", false, &mut found);
    }
    found
}

/// A level of the tree; its depth is bounded by [`yaml`].
fn collect(node: &Node, key: &str, is_setting: bool, found: &mut Vec<Written>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar { text, .. } => {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) if is_variable(name) => (name, value),
                _ => (key, text.as_str()),
            };
            let value = interpolate::expand(value, &mut Nothing).unwrap_or_default();
            found.push(Written { line: node.place.line, name: name.to_owned(), value, is_setting });
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, key, is_setting, found)),
        Value::Map(entries) => {
            for entry in entries {
                let below = is_setting || matches!(entry.key.as_str(), "environment" | "args");
                match entry.key.as_str() {
                    // `secrets: {db: {content: …}}`
                    "content" => collect(&entry.value, key, is_setting || key == "secrets", found),
                    "secrets" if entry.value.is_map() => secrets(&entry.value, found),
                    name => collect(&entry.value, name, below, found),
                }
            }
        }
    }
}

/// The contents of secrets that stand in the file; where others come from is no secret.
fn secrets(node: &Node, found: &mut Vec<Written>) {
    for entry in node.entries() {
        if let Some(content) = entry.value.get("content") {
            collect(content, &format!("secret {}", entry.key), true, found);
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// No variable is set: what is left of a value stands in the file.
struct Nothing;

impl Scope for Nothing {
    fn get(&mut self, _: &str) -> Option<String> {
        None
    }

    fn unset(&mut self, _: &str, _: bool) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_places() {
        let text = "x-env: &env\n  A_TOKEN: t\nservices:\n  a:\n    environment:\n      <<: *env\n      B: ${B:-left}\n      \
                    C: ${C}\n  b:\n    environment:\n      - D=d=e\n      - F\n    build: {args: [G=g]}\n    \
                    command: redis://:pw@h\nsecrets:\n  db: {content: hidden}\n  other: {file: ./x}\n";
        let settings: Vec<_> = written(text)
            .into_iter()
            .filter(|written| written.is_setting)
            .map(|written| format!("{} {}={}", written.line, written.name, written.value))
            .collect();
        assert_eq!(
            settings,
            [
                "7 B=left",
                "8 C=",
                "2 A_TOKEN=t",
                "11 D=d=e",
                "12 environment=F",
                "13 G=g",
                "16 secret db=hidden"
            ]
        );
        assert!(written(text).iter().any(|written| written.value == "redis://:pw@h"));
        assert_eq!(written("{"), []);
    }
}
