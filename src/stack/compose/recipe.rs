//! What an image is built from.

use std::collections::BTreeMap;

use super::paths;
use super::yaml::Node;

/// Where the instructions for a build are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe {
    /// In a file of the folder.
    File(String),
    /// In the Compose file.
    Inline(String),
}

/// The instructions for a service's image, where they are in the folder.
pub(super) fn recipe(service: &Node) -> Option<Recipe> {
    let build = service.get("build")?;
    let text = |key: &str| build.get(key).and_then(Node::text);
    if let Some(inline) = text("dockerfile_inline") {
        return Some(Recipe::Inline(inline.to_owned()));
    }
    let folder = build.text().or_else(|| text("context")).unwrap_or(".");
    let file = text("dockerfile").unwrap_or("Dockerfile");
    let path = if file.starts_with('/') { file.to_owned() } else { format!("{folder}/{file}") };
    match paths::resolve("", &path) {
        paths::Resolved::Inside(path) => Some(Recipe::File(path)),
        paths::Resolved::Outside | paths::Resolved::OnHost => None,
    }
}

/// The images that a Dockerfile begins from: each once, without its own stages and `scratch`.
pub fn bases(dockerfile: &str) -> Vec<String> {
    let (mut found, mut stages) = (Vec::new(), Vec::new());
    let mut defaults: BTreeMap<&str, &str> = BTreeMap::new();
    for line in dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            Some("ARG") => {
                let (name, value) = words.next().and_then(|word| word.split_once('=')).unwrap_or_default();
                defaults.insert(name, value.trim_matches(['"', '\'']));
            }
            Some("FROM") => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                let Some(image) = words.next().map(|image| expanded(image, &defaults)) else { continue };
                let is_stage = stages.iter().any(|stage: &String| stage.eq_ignore_ascii_case(&image));
                if !is_stage && image != "scratch" && !found.contains(&image) {
                    found.push(image);
                }
                stages.extend(words.nth(1).map(str::to_owned));
            }
            _ => {}
        }
    }
    found
}

/// A name with the defaults of `ARG` in it; what has none stays as it is written.
fn expanded(image: &str, defaults: &BTreeMap<&str, &str>) -> String {
    defaults.iter().filter(|(name, _)| !name.is_empty()).fold(image.to_owned(), |image, (name, value)| {
        let image = image.replace(&format!("${{{name}}}"), value);
        if image == format!("${name}") { (*value).to_owned() } else { image }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_found() {
        let table: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("FROM nginx:1.27\nRUN true", &["nginx:1.27"]),
            ("# FROM old\nfrom --platform=linux/amd64 a:1 AS Build\nFROM build\nFROM b AS c", &["a:1", "b"]),
            ("FROM scratch\nCOPY x /", &[]),
            ("FROM a\nFROM a", &["a"]),
            ("ARG V=3.12\nARG BASE=\"x\"\nFROM python:${V}-slim\nFROM $BASE", &["python:3.12-slim", "x"]),
            ("FROM ${UNKNOWN}\nFROM", &["${UNKNOWN}"]),
        ];
        for (text, expected) in table {
            assert_eq!(bases(text), expected, "{text}");
        }
    }
}
