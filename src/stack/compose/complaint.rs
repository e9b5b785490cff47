//! Where in a project's files a complaint of Compose's belongs: Compose itself names no line.

use super::yaml::{self, Node, Place};

/// Words before the name of what is complained of, and the section that declares it.
const SECTIONS: [(&str, &str); 5] = [
    ("service", "services"),
    ("network", "networks"),
    ("volume", "volumes"),
    ("secret", "secrets"),
    ("config", "configs"),
];

/// A complaint with the file and line that it is about before it, where they can be found. Of the
/// files, later ones are laid over earlier ones.
#[must_use]
pub fn with_place(complaint: &str, files: &[(&str, &str)]) -> String {
    // The file that Compose names here is the first one, whichever the value comes from.
    let text = complaint
        .strip_prefix("validating ")
        .and_then(|rest| rest.split_once(": "))
        .filter(|(file, _)| files.iter().any(|(name, _)| name == file))
        .map_or(complaint, |(_, text)| text);
    match place(text, files) {
        Some(place) => format!("{place}: {}", said_once(text)),
        None => complaint.to_owned(),
    }
}

/// Some releases begin with the way to the value twice.
fn said_once(text: &str) -> &str {
    match text.split_once(' ') {
        Some((first, rest)) if rest.split(' ').next() == Some(first) => rest,
        _ => text,
    }
}

fn place(complaint: &str, files: &[(&str, &str)]) -> Option<Place> {
    let keys = dotted(complaint).or_else(|| named(complaint));
    let documents: Vec<Node> =
        files.iter().filter_map(|(name, text)| yaml::documents(text, name).ok()).flatten().collect();
    let Some(keys) = keys else { return only(complaint, &documents) };
    let mut best: Option<(usize, Place)> = None;
    for document in &documents {
        let Some((depth, place)) = deepest(document, &keys, complaint) else { continue };
        if depth > 1 && best.as_ref().is_none_or(|(known, _)| *known <= depth) {
            best = Some((depth, place));
        }
    }
    best.map(|(_, place)| place)
}

/// The way to a value: `services.web.ports.0`, or `services[web].deploy`.
fn dotted(complaint: &str) -> Option<Vec<String>> {
    let is_part = |c: char| c.is_alphanumeric() || "._-[]".contains(c);
    complaint.split(|c| !is_part(c)).find_map(|word| {
        let mut keys = word.split(['.', '[', ']']).filter(|key| !key.is_empty()).map(str::to_owned);
        let first = keys.next()?;
        let rest: Vec<_> = keys.collect();
        let is_section = SECTIONS.iter().any(|(_, section)| *section == first);
        (is_section && !rest.is_empty()).then(|| [first].into_iter().chain(rest).collect())
    })
}

/// What is named in quotes: `service "web"`.
fn named(complaint: &str) -> Option<Vec<String>> {
    SECTIONS.iter().find_map(|(word, section)| {
        let rest = complaint.split_once(&format!("{word} \""))?.1;
        Some(vec![(*section).to_owned(), rest.split_once('"')?.0.to_owned()])
    })
}

/// Words of a complaint that may be values of the file.
fn words(complaint: &str) -> impl Iterator<Item = &str> {
    let trimmed = complaint.split_whitespace().map(|word| word.trim_matches(['"', '\'', ',', ':']));
    trimmed.filter(|word| word.len() > 1)
}

/// As far down as the keys lead, and from there to what else is named.
fn deepest(document: &Node, keys: &[String], complaint: &str) -> Option<(usize, Place)> {
    let (mut node, mut depth, mut place) = (document, 0, None);
    for key in keys {
        let next = match key.parse::<usize>() {
            Ok(number) if !node.is_map() => node.items().get(number).map(|item| (item, &item.place)),
            _ => {
                let entry = node.entries().iter().find(|entry| entry.key == *key);
                entry.map(|entry| (&entry.value, &entry.place))
            }
        };
        let Some((below, at)) = next else { break };
        (node, depth, place) = (below, depth + 1, Some(at));
    }
    let mentioned = || {
        let complaint = complaint.trim_end_matches(": invalid compose project");
        let rest = words(complaint).filter(|word| keys.iter().all(|key| key != word));
        rest.filter_map(|word| mention(node, word)).last()
    };
    match mentioned() {
        Some(place) if depth > 1 => Some((depth + 1, place.clone())),
        _ => place.map(|place| (depth, place.clone())),
    }
}

/// The key or value below that reads so.
fn mention<'n>(node: &'n Node, word: &str) -> Option<&'n Place> {
    if node.text() == Some(word) {
        return Some(&node.place);
    }
    let entries = node.entries().iter();
    entries
        .map(|entry| if entry.key == word { Some(&entry.place) } else { mention(&entry.value, word) })
        .chain(node.items().iter().map(|item| mention(item, word)))
        .find_map(|found| found)
}

/// The one value of all files that is named, where it is one.
fn only(complaint: &str, documents: &[Node]) -> Option<Place> {
    fn all<'n>(node: &'n Node, word: &str, found: &mut Vec<&'n Place>) {
        if node.text() == Some(word) {
            found.push(&node.place);
        }
        node.entries().iter().for_each(|entry| all(&entry.value, word, found));
        node.items().iter().for_each(|item| all(item, word, found));
    }
    words(complaint).filter(|word| word.len() > 2).find_map(|word| {
        let mut found = Vec::new();
        documents.iter().for_each(|document| all(document, word, &mut found));
        match found.as_slice() {
            [one] => Some((*one).clone()),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "services:\n  web:\n    image: w\n    pull_policy: daily\n    ports:\n      - \"80:80\"\n      \
                         - \"81:81/foo\"\n  db:\n    image: d\n    networks: [back]\nvolumes:\n  data:\n    foo: 1\n";
    const SECOND: &str = "services:\n  web:\n    pull_policy: weekly\n    deploy:\n      replicas: 2\n";

    #[test]
    fn complaints_get_the_line_that_they_are_about() {
        let files = [("compose.yaml", FIRST), ("compose.override.yaml", SECOND)];
        for (complaint, expected) in [
            (
                "validating compose.yaml: services.web.pull_policy must be one of the following: \"always\"",
                "compose.override.yaml:3: services.web.pull_policy must be one of the following: \"always\"",
            ),
            (
                "validating compose.yaml: services.db.networks.0 services.db.networks.0 is wrong",
                "compose.yaml:10: services.db.networks.0 is wrong",
            ),
            (
                "'services[web].deploy.replicas' cannot parse value as 'int'",
                "compose.override.yaml:5: 'services[web].deploy.replicas' cannot parse value as 'int'",
            ),
            (
                "service \"db\" refers to undefined network back: invalid compose project",
                "compose.yaml:10: service \"db\" refers to undefined network back: invalid compose project",
            ),
            (
                "validating compose.yaml: volumes.data Additional property foo is not allowed",
                "compose.yaml:13: volumes.data Additional property foo is not allowed",
            ),
            ("volume \"data\" is no good", "compose.yaml:12: volume \"data\" is no good"),
            ("Invalid spec: 81:81/foo", "compose.yaml:7: Invalid spec: 81:81/foo"),
            ("services.nobody.image is wrong", "services.nobody.image is wrong"),
            ("no space left on device", "no space left on device"),
            ("", ""),
        ] {
            assert_eq!(with_place(complaint, &files), expected);
        }
    }

    #[test]
    fn what_is_no_yaml_has_no_lines() {
        let said = "services.web.image is wrong";
        assert_eq!(with_place(said, &[("compose.yaml", "a: [")]), said);
        assert_eq!(with_place(said, &[]), said);
    }
}
