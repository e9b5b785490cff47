//! What an image is built from.

use std::collections::BTreeMap;

use super::loader::Files;
use super::paths;
use super::yaml::Node;

/// How an image is built: its instructions, and what the Compose file says besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    dockerfile: Dockerfile,
    /// Build arguments that have a value.
    args: BTreeMap<String, String>,
    /// Names that stand for other build contexts, not for images.
    contexts: Vec<String>,
}

/// Where the instructions are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Dockerfile {
    /// In a file of the folder.
    File(String),
    /// In the Compose file.
    Inline(String),
}

/// How a service's image is built, where the instructions are in the folder.
pub(super) fn recipe(service: &Node) -> Option<Recipe> {
    let build = service.get("build")?;
    let text = |key: &str| build.get(key).and_then(Node::text);
    let dockerfile = match text("dockerfile_inline") {
        Some(inline) => Dockerfile::Inline(inline.to_owned()),
        None => {
            let folder = build.text().or_else(|| text("context")).unwrap_or(".");
            let file = text("dockerfile").unwrap_or("Dockerfile");
            let path = if file.starts_with('/') { file.to_owned() } else { format!("{folder}/{file}") };
            match paths::resolve("", &path) {
                paths::Resolved::Inside(path) => Dockerfile::File(path),
                paths::Resolved::Outside | paths::Resolved::OnHost => return None,
            }
        }
    };
    let pairs = |key: &str| {
        let node = build.get(key);
        let entries = node.map(Node::entries).unwrap_or_default().iter();
        let entries = entries.filter_map(|entry| Some((entry.key.clone(), entry.value.text()?.to_owned())));
        let items = node.map(Node::items).unwrap_or_default().iter().filter_map(Node::text);
        let items = items.filter_map(|item| item.split_once('='));
        let items = items.map(|(name, value)| (name.to_owned(), value.to_owned()));
        entries.chain(items).collect::<BTreeMap<_, _>>()
    };
    let contexts = pairs("additional_contexts").into_keys().collect();
    Some(Recipe { dockerfile, args: pairs("args"), contexts })
}

impl Recipe {
    /// The images that it begins from; none where the instructions cannot be read.
    pub(super) fn bases(&self, files: &dyn Files) -> Vec<String> {
        match &self.dockerfile {
            Dockerfile::Inline(text) => self.of_text(text),
            Dockerfile::File(path) => files.read(path).map(|text| self.of_text(&text)).unwrap_or_default(),
        }
    }

    /// The images that a Dockerfile begins from: each once, without its own stages and `scratch`.
    fn of_text(&self, dockerfile: &str) -> Vec<String> {
        let (mut found, mut stages) = (Vec::new(), self.contexts.clone());
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        let mut has_begun = false;
        for line in dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            match words.next().map(str::to_ascii_uppercase).as_deref() {
                // What stands behind the first `FROM` is of that stage alone.
                Some("ARG") if !has_begun => {
                    let word = words.next().unwrap_or_default();
                    let (name, default) = word.split_once('=').unwrap_or((word, ""));
                    let given = self.args.get(name).map(String::as_str);
                    let value = given.unwrap_or(default.trim_matches(['"', '\'']));
                    if given.is_some() || word.contains('=') {
                        values.insert(name, value);
                    }
                }
                Some("FROM") => {
                    has_begun = true;
                    let mut words = words.skip_while(|word| word.starts_with("--"));
                    let Some(image) = words.next().map(|image| expanded(image, &values)) else { continue };
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
}

/// A name with the values of `ARG` in it; what has none stays as it is written.
fn expanded(image: &str, values: &BTreeMap<&str, &str>) -> String {
    values.iter().filter(|(name, _)| !name.is_empty()).fold(image.to_owned(), |image, (name, value)| {
        let image = image.replace(&format!("${{{name}}}"), value);
        if image == format!("${name}") { (*value).to_owned() } else { image }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_found() {
        let table: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("FROM nginx:1.27\nRUN true", &["nginx:1.27"]),
            ("# FROM old\nfrom --platform=linux/amd64 a:1 AS Build\nFROM build\nFROM b AS c", &["a:1", "b"]),
            ("FROM scratch\nCOPY x /", &[]),
            ("FROM a\nFROM a", &["a"]),
            ("ARG V=3.12\nARG BASE=\"x\"\nFROM python:${V}-slim\nFROM $BASE", &["python:3.12-slim", "x"]),
            ("FROM ${UNKNOWN}\nFROM", &["${UNKNOWN}"]),
            ("ARG GIVEN=1\nFROM a:$GIVEN-x\nFROM a:${GIVEN}", &["a:$GIVEN-x", "a:2"]),
            ("ARG GIVEN\nARG OTHER\nFROM a:${GIVEN}\nFROM b:${OTHER}", &["a:2", "b:${OTHER}"]),
            ("FROM scratch\nARG V=1\nFROM a:${V}\nFROM shared", &["a:${V}"]),
        ];
        let recipe = Recipe {
            dockerfile: Dockerfile::Inline(String::new()),
            args: [("GIVEN".to_owned(), "2".to_owned())].into(),
            contexts: vec!["shared".into()],
        };
        for (text, expected) in table {
            assert_eq!(recipe.of_text(text), expected, "{text}");
        }
    }
}
