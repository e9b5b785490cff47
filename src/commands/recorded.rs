//! A plan from recorded facts: nobody is asked, neither the host nor registries.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::exit::Exit;
use super::failure;
use super::session::Session;
use crate::facts::{Facts, ParseError, parse};
use crate::host::Destination;
use crate::report::{Event, Failure};
use crate::text::harmless;

/// More than any recording has; the rest is not read.
const LARGEST: u64 = 80 * 1024 * 1024;

/// So many questions are named in a sentence.
const NAMED: usize = 3;

/// Facts from a file, and the host that they are taken for.
#[derive(Debug)]
pub(super) struct Recorded {
    pub host: Destination,
    pub facts: Facts,
}

/// Reads what `provision facts HOST --raw` printed. Its host is the one that was named, or is
/// called what it calls itself.
pub(super) fn read(path: &Path, named: &[Destination]) -> Result<Recorded, Failure> {
    if named.len() > 1 {
        let what = format!("{} hosts are named, and recorded facts are of one", named.len());
        return Err(failure::with_hint(Exit::Usage, what, "name one, or none: it is only a name here"));
    }
    let shown = path.display();
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut content))
        .map_err(|error| wrong(format!("the facts in {shown} cannot be read: {error}")))?;
    let facts = parse(&content).map_err(|error| wrong(not_facts(&shown.to_string(), &error)))?.facts;
    if let Some(line) = behind_the_end(&content) {
        return Err(wrong(format!(
            "{shown}, line {line}: facts end above it, and a file holds those of one host"
        )));
    }
    let host = named.first().cloned().unwrap_or_else(|| own_name(&facts));
    Ok(Recorded { host, facts })
}

fn wrong(what: String) -> Failure {
    failure::with_hint(Exit::Usage, what, "record facts with `provision facts HOST --raw > FILE`")
}

/// What a file has instead of facts. The words of [`ParseError`] are for a host that answers.
fn not_facts(file: &str, error: &ParseError) -> String {
    match error {
        ParseError::NotFacts { first } if first.is_empty() => {
            format!("{file}, line 1: facts begin with `provision-facts`, and it is empty")
        }
        ParseError::NotFacts { first } => {
            format!("{file}, line 1: facts begin with `provision-facts`, and it is `{}`", harmless(first))
        }
        ParseError::Format { found } => {
            format!("{file}, line 1: recorded by another version of provision: `{}`", harmless(found))
        }
        ParseError::Truncated { last } => {
            format!("{file} is cut short: facts end with `end`, and its last line is `{}`", harmless(last))
        }
        ParseError::TooLarge => format!("{file} is larger than facts can be"),
        ParseError::Value { line, key, what, value } => {
            format!("{file}, line {line}, `{}`: {what}, but it is `{}`", harmless(key), harmless(value))
        }
    }
}

/// The first line behind the end that says something.
fn behind_the_end(content: &[u8]) -> Option<usize> {
    let lines = content.split(|byte| *byte == b'\n').zip(1..);
    let mut behind = lines.skip_while(|(line, _)| *line != b"end").skip(1);
    behind.find(|(line, _)| !line.trim_ascii().is_empty()).map(|(_, number)| number)
}

/// What the host calls itself, where that can be a host's name.
fn own_name(facts: &Facts) -> Destination {
    match facts.system.hostname.parse() {
        Ok(Destination::Ssh(name)) => Destination::Ssh(name),
        _ => Destination::Ssh("recorded".to_owned()),
    }
}

/// Warns of what the steps ask and the recording does not answer: it was made for another playbook,
/// or by another version.
pub(super) fn tell_what_is_missing(session: &Session<'_>) {
    let questions = session.questions();
    let missing: Vec<_> = questions.iter().filter(|question| !session.facts.answers(question)).collect();
    if missing.is_empty() {
        return;
    }
    let mut named: Vec<_> = missing
        .iter()
        .take(NAMED)
        .filter_map(|question| question.line())
        .map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    if missing.len() > NAMED {
        named.push("…".to_owned());
    }
    let text = format!(
        "the facts were not recorded for this playbook, and leave {} of its questions open ({}); what is \
         not answered counts as not there: `provision facts HOST --raw --playbook NAME` asks all of them",
        missing.len(),
        named.join(", "),
    );
    session.tell(&Event::Warning { text });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Recorded, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("web1.facts");
        std::fs::write(&path, text).expect("a file");
        read(&path, &[]).map_err(|failure| {
            let what = failure.what.replace(&format!("{}/", folder.path().display()), "");
            Failure { what, ..failure }
        })
    }

    fn why_not(text: &str) -> String {
        let failure = read_text(text).expect_err("it is no recording");
        assert_eq!(failure.code, Exit::Usage as u8);
        assert_eq!(failure.hints, ["record facts with `provision facts HOST --raw > FILE`"]);
        failure.what
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let recorded = include_str!("../../tests/fixtures/facts/debian12-bare.txt");
        assert_eq!(why_not(""), "web1.facts, line 1: facts begin with `provision-facts`, and it is empty");
        assert_eq!(
            why_not("{\n  \"host\": \"web1\""),
            "web1.facts, line 1: facts begin with `provision-facts`, and it is `{`"
        );
        assert_eq!(
            why_not("provision-facts 9\nend\n"),
            "web1.facts, line 1: recorded by another version of provision: `provision-facts 9`"
        );
        assert_eq!(
            why_not("provision-facts 1\ncpus\t2\n"),
            "web1.facts is cut short: facts end with `end`, and its last line is `cpus\t2`"
                .replace('\t', "�")
        );
        assert_eq!(
            why_not("provision-facts 1\ncpus\ttwo\nend\n"),
            "web1.facts, line 2, `cpus`: a whole number was expected, but it is `two`"
        );
        let twice = format!("{recorded}{recorded}");
        let line = recorded.lines().count() + 1;
        assert_eq!(
            why_not(&twice),
            format!("web1.facts, line {line}: facts end above it, and a file holds those of one host")
        );
    }

    #[test]
    fn a_host_is_called_what_it_calls_itself() {
        let host = |name: &str| {
            read_text(&format!("provision-facts 1\nhostname\t{name}\nend\n")).expect("facts").host.to_string()
        };
        assert_eq!(host("debian12"), "debian12");
        for none in ["", "local", "-oProxyCommand=x", "a b"] {
            assert_eq!(host(none), "recorded", "{none}");
        }
    }
}
