//! How the values of a change differ, in words: which setting, and what came or went.

use std::collections::BTreeSet;

use super::short;
use crate::plan::Change;

/// So many things are named that came or went.
const MOST: usize = 3;

/// Values that are a digest of something else.
const DERIVED: [(&str, &str); 5] = [
    ("hash", "the files or settings that it rests on are others"),
    ("manifest", "the files of the stack are others"),
    ("marks", "the rules for containers are others"),
    ("sum", "the backup has another content"),
    ("origin", "the stack comes from another folder or machine"),
];

/// Tells of each value of a change that differs; what only repeats another is left out.
pub(super) fn differences(saved: &Change, now: &Change, tell: &mut impl FnMut(String)) {
    let mut told = BTreeSet::new();
    for name in different(saved, now).filter(|name| DERIVED.iter().all(|(derived, _)| derived != name)) {
        let value = |change: &Change| change.action.arguments.get(name).cloned().unwrap_or_default();
        let line = compared(&label(name), &value(saved), &value(now));
        // What ufw is to add and what it is to have then are the same to a person.
        if told.insert(line.clone()) {
            tell(line);
        }
    }
}

/// What a digest among the values stands for, where one differs.
pub(super) fn derived(saved: &Change, now: &Change) -> Option<String> {
    let names: Vec<_> = different(saved, now).collect();
    let (_, words) = DERIVED.iter().find(|(name, _)| names.contains(name))?;
    Some(format!("{}: {words}", now.title))
}

fn different<'a>(saved: &'a Change, now: &'a Change) -> impl Iterator<Item = &'a str> {
    let (before, after) = (&saved.action.arguments, &now.action.arguments);
    let names: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    names.into_iter().filter(|name| before.get(name) != after.get(name))
}

/// What a person calls a value.
fn label(name: &str) -> String {
    let words = match name {
        "services" => "the services",
        "images" => "the images",
        "moved" => "what tags stand for",
        "packages" => "the packages",
        "conflicts" => "the packages that go",
        "rolling" => "the services that are replaced one container after the other",
        "join" => "the networks that it joins",
        "bounds" | "version" => "the version",
        "folder" => "the folder on the host",
        "key_url" => "the address of the key",
        "address" => "the address of the packages",
        "add" | "present" => "what is let in",
        "remove" | "absent" => "what is no longer let in",
        "ssh" => "the ports of ssh",
        "values" | "given" => "the secrets",
        "rules" => "who is let in to the database",
        "back" | "refresh" | "activate" | "again" => "how it is done",
        "wait" | "watch" | "lock_wait" | "proxy" | "revert_after" | "key_fingerprint" => {
            return format!("the setting `{name}`");
        }
        name => return format!("\"{}\"", name.replace('_', " ")),
    };
    words.to_owned()
}

/// One value then and now. Lists are compared by what is in them.
fn compared(label: &str, before: &str, after: &str) -> String {
    let is_list = |value: &str| value.trim_end().contains('\n');
    if is_list(before) || is_list(after) {
        return listed(label, before, after);
    }
    let (was, is) = (plain(before), plain(after));
    let are = [
        "the services",
        "the images",
        "the packages",
        "the packages that go",
        "the ports of ssh",
        "the secrets",
    ];
    let (verb, past) = if are.contains(&label) { ("are", "were") } else { ("is", "was") };
    match (was.as_str(), is.as_str()) {
        (was, is) if was == is => different_digest(label, &[is]),
        ("", is) => format!("{label} {verb} {} now, and {past} not set", short(is)),
        (was, "") => format!("{label} {verb} no longer set, and {past} {}", short(was)),
        (was, is) => format!("{label} {verb} {} now, and {past} {}", short(is), short(was)),
    }
}

fn listed(label: &str, before: &str, after: &str) -> String {
    let items = |value: &str| -> BTreeSet<String> {
        value.lines().map(plain).filter(|line| !line.is_empty()).collect()
    };
    let (was, is) = (items(before), items(after));
    let some = |items: Vec<&String>| {
        let more = items.len().saturating_sub(MOST);
        let first: Vec<_> = items.into_iter().take(MOST).map(|item| short(item)).collect();
        let first = first.join(", ");
        if more == 0 { first } else { format!("{first} and {more} more") }
    };
    let came: Vec<_> = is.difference(&was).collect();
    let went: Vec<_> = was.difference(&is).collect();
    match (came.is_empty(), went.is_empty()) {
        (true, true) => {
            let raw: BTreeSet<_> = before.lines().collect();
            let moved: Vec<_> = after.lines().filter(|line| !raw.contains(line)).map(plain).collect();
            let moved: Vec<_> = moved.iter().map(String::as_str).collect();
            different_digest(label, &moved)
        }
        (false, true) => format!("{label}: now also {}", some(came)),
        (true, false) => format!("{label}: no longer {}", some(went)),
        (false, false) => format!("{label}: now also {}, and no longer {}", some(came), some(went)),
    }
}

/// Nothing but a digest differs.
fn different_digest(label: &str, of: &[&str]) -> String {
    let of: Vec<_> = of.iter().filter(|of| !of.is_empty()).take(MOST).copied().collect();
    if of.is_empty() {
        format!("{label}: another content")
    } else {
        format!("{label}: another content of {}", of.join(", "))
    }
}

/// Without digests, which tell a person nothing.
fn plain(value: &str) -> String {
    let words = value.split_whitespace().map(|word| match word.split_once("@sha256:") {
        Some((name, _)) => name,
        None => word,
    });
    let is_digest = |word: &&str| {
        let word = word.strip_prefix("sha256:").unwrap_or(word);
        word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    words.filter(|word| !is_digest(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_in_words() {
        let digest = "ab".repeat(32);
        for (name, before, after, told) in [
            ("wait", "300", "60", "the setting `wait` is 60 now, and was 300"),
            ("proxy", "", "http://10.0.0.1", "the setting `proxy` is http://10.0.0.1 now, and was not set"),
            ("proxy", "http://10.0.0.1", "", "the setting `proxy` is no longer set, and was http://10.0.0.1"),
            ("packages", "curl", "curl git", "the packages are curl git now, and were curl"),
            (
                "services",
                "web service 1\ndb service 1\n",
                "web service 2\n",
                "the services: now also web service 2, and no longer db service 1, web service 1",
            ),
            (
                "moved",
                "a:1 sha256:1\n",
                &format!("a:1 sha256:{digest}\nb:1 sha256:{digest}\n"),
                "what tags stand for: now also a:1, b:1, and no longer a:1 sha256:1",
            ),
            ("images", &format!("a@sha256:{digest}"), "a@sha256:12", "the images: another content of a"),
            (
                "join",
                "a\nb\nc\nd\ne",
                "x",
                "the networks that it joins: now also x, and no longer a, b, c and 2 more",
            ),
            ("queue_names", "a", "b", "\"queue names\" is b now, and was a"),
        ] {
            assert_eq!(compared(&label(name), before, after), told);
        }
        let moved = compared("x", &format!("a {digest}\nb 1\n"), &format!("a {}\nb 1\n", "cd".repeat(32)));
        assert_eq!(moved, "x: another content of a");
    }
}
