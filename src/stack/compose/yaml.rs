//! YAML as a tree in which every value knows its place.
//!
//! Anchors, aliases and merge keys are resolved while the tree is built. The parser descends
//! from libyaml, as the one of Compose does: both take the same liberties with the standard.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{Chain, Read};
use std::rc::Rc;

use libyaml_safer::{Encoding, Event, EventData, Mark, Parser, ScalarStyle};

use super::scalar::{self, Scalar};
use super::{ComposeError, invalid};

/// Aliases multiply what they name; a file that grows beyond this is refused.
const MAX_NODES: usize = 200_000;

/// Values within values; a file that goes deeper is refused.
const MAX_DEPTH: usize = 100;

/// Where a value stands.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub file: Rc<str>,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node {
    pub value: Value,
    pub place: Place,
    pub tag: Tag,
}

/// The tags that change how override files are merged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    None,
    Reset,
    Override,
}

#[derive(Clone)]
pub(super) enum Value {
    Null,
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

impl Node {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|e| e.key == key).map(|e| &e.value).filter(|n| !n.is_null())
    }

    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// One value, or each of a list of them.
    pub fn each(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar { .. } => std::slice::from_ref(self),
            Value::Null | Value::Map(_) => &[],
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// A truth value, in any of the spellings that Compose takes.
    pub fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" => Some(true),
            "false" | "no" | "n" | "off" => Some(false),
            _ => None,
        }
    }

    /// A whole number: in YAML's forms where it stands plainly, else in decimal ones.
    pub fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Scalar { text, plain: true } => scalar::integer(text),
            Value::Scalar { text, .. } => text.parse().ok(),
            _ => None,
        }
    }

    /// The same, where `1.0` and `1e3` count as well.
    pub fn whole(&self) -> Option<i64> {
        match &self.value {
            Value::Scalar { text, plain: true } => scalar::integer(text).or_else(|| scalar::whole(text)),
            _ => self.integer(),
        }
    }

    /// What YAML takes a single value for.
    pub fn scalar(&self) -> Option<Scalar> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(scalar::of(text)),
            Value::Scalar { .. } => Some(Scalar::Text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// What a person would call this kind of value.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => match self.scalar() {
                Some(Scalar::Truth) => "true or false",
                Some(Scalar::Integer | Scalar::Float) => "a number",
                Some(Scalar::Time) => "a date",
                _ => "a single value",
            },
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// How many values it consists of.
    pub fn size(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|e| 1 + e.value.size()).sum(),
        }
    }
}

/// The documents of a file, in order; one without anything in it is null.
pub(super) fn documents(text: &str, file: &str) -> Result<Vec<Node>, ComposeError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut events = Parser::new();
    events.set_encoding(Encoding::Utf8);
    events.set_input(text.as_bytes().chain(end_of_line(text).as_bytes()));
    let mut builder = Builder {
        text,
        events,
        file: Rc::from(file),
        anchors: HashMap::new(),
        open: HashSet::new(),
        nodes: 0,
        depth: 0,
        line: 1,
    };
    let mut documents = Vec::new();
    loop {
        match builder.next()? {
            Event { data: EventData::StreamEnd, .. } => return Ok(documents),
            Event {
                data:
                    EventData::StreamStart { .. }
                    | EventData::DocumentStart { .. }
                    | EventData::DocumentEnd { .. },
                ..
            } => {}
            event => documents.push(builder.node(event)?),
        }
    }
}

/// What is missing of the last line: the parser panics where a block scalar ends without it.
fn end_of_line(text: &str) -> &'static str {
    if text.ends_with('\n') { "" } else { "\n" }
}

struct Builder<'a> {
    text: &'a str,
    events: Parser<Chain<&'a [u8], &'static [u8]>>,
    file: Rc<str>,
    /// They hold from document to document.
    anchors: HashMap<String, (Node, usize)>,
    /// Anchors of values that have not ended.
    open: HashSet<String>,
    nodes: usize,
    depth: usize,
    /// How far the file has been read.
    line: usize,
}

impl Builder<'_> {
    fn next(&mut self) -> Result<Event, ComposeError> {
        match self.events.parse() {
            Ok(event) => {
                self.line = line(event.start_mark);
                Ok(event)
            }
            Err(error) => {
                let mark = error.problem_mark();
                let (line, column) = (mark.map_or(self.line, line), mark.map_or(1, column));
                Err(ComposeError::Yaml {
                    file: self.file.to_string(),
                    line,
                    column,
                    problem: self.problem(&error, line),
                })
            }
        }
    }

    /// What the parser says, and where what it was reading begins.
    fn problem(&self, error: &libyaml_safer::Error, at: usize) -> String {
        let indent = self.text.lines().nth(at - 1).unwrap_or_default();
        let indent = &indent[..indent.len() - indent.trim_start().len()];
        if error.problem() == "found character that cannot start any token" && indent.contains('\t') {
            return "the line begins with a tab, and only spaces may indent".to_owned();
        }
        match (error.context(), error.context_mark().map(line)) {
            (Some(context), Some(from)) if from != at => {
                format!("{} {context} that begins on line {from}", error.problem())
            }
            _ => error.problem().to_owned(),
        }
    }

    fn node(&mut self, event: Event) -> Result<Node, ComposeError> {
        let place = self.place(event.start_mark);
        self.count(1, &place)?;
        let (value, anchor, tag) = match event.data {
            EventData::Alias { anchor } => return self.alias(&anchor, &place),
            EventData::Scalar { anchor, tag, mut value, style, .. } => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if block && event.end_mark.index > self.text.len() as u64 && value.ends_with('\n') {
                    // The file does not end its last line.
                    value.pop();
                }
                let plain = style == ScalarStyle::Plain;
                let core = tag.as_deref().and_then(|tag| tag.strip_prefix("tag:yaml.org,2002:"));
                let null = core == Some("null")
                    || plain && tag.is_none() && matches!(&*value, "" | "~" | "null" | "Null" | "NULL");
                let plain = plain && core != Some("str");
                let node = if null { Value::Null } else { Value::Scalar { text: value, plain } };
                (node, anchor, meaning(tag.as_deref()))
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                self.enter(anchor.as_ref(), &place)?;
                let items = self.list()?;
                self.leave(anchor.as_ref());
                (Value::List(items), anchor, meaning(tag.as_deref()))
            }
            EventData::MappingStart { anchor, tag, .. } => {
                self.enter(anchor.as_ref(), &place)?;
                let entries = self.map()?;
                self.leave(anchor.as_ref());
                (Value::Map(entries), anchor, meaning(tag.as_deref()))
            }
            _ => return Err(fault(&place, "a value is missing here")),
        };
        let node = Node { value, place, tag };
        if let Some(anchor) = anchor {
            let size = node.size();
            // It is kept a second time: anchors within anchors multiply as aliases do.
            self.count(size, &node.place)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: &str, place: &Place) -> Result<Node, ComposeError> {
        if self.open.contains(anchor) {
            return Err(fault(place, "this alias stands inside the value that it names"));
        }
        let Some((node, size)) = self.anchors.get(anchor) else {
            let problem = format!("no value before this one has the anchor {anchor:?}");
            return Err(fault(place, &problem));
        };
        let (node, size) = (node.clone(), *size);
        self.count(size, place)?;
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Node>, ComposeError> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                return Ok(items);
            }
            let item = self.node(event)?;
            // One that is to be reset is not there.
            if item.tag != Tag::Reset {
                items.push(item);
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Entry>, ComposeError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut merges = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                break;
            }
            let key = self.node(event)?;
            let event = self.next()?;
            let value = self.node(event)?;
            let (scalar, kind) = (key.scalar(), key.kind());
            let Value::Scalar { text: name, plain } = key.value else {
                return Err(fault(&key.place, &format!("a key is text, and this is {kind}")));
            };
            if scalar != Some(Scalar::Text) {
                let problem = format!("the key {name} is {kind}: Compose takes text alone; put it in quotes");
                return Err(fault(&key.place, &problem));
            }
            if let Some(line) = seen.insert(name.clone(), key.place.line) {
                let what = format!("key {name:?} stands here a second time, first on line {line}");
                return Err(fault(&key.place, &what));
            }
            if plain && name == "<<" {
                merges.push(value);
            } else {
                entries.push(Entry { key: name, place: key.place, value });
            }
        }
        for source in merges {
            self.merge(&mut entries, source)?;
        }
        Ok(entries)
    }

    /// `<<`: keys that are already there stay.
    fn merge(&mut self, entries: &mut Vec<Entry>, source: Node) -> Result<(), ComposeError> {
        match source.value {
            Value::Map(found) => {
                let there: HashMap<String, usize> =
                    entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
                for mut entry in found {
                    // Compose goes by the place at which a tag stands, and that is another one.
                    if entry.value.tag == Tag::Reset {
                        continue;
                    }
                    entry.value.tag = Tag::None;
                    match there.get(&entry.key).and_then(|at| entries.get_mut(*at)) {
                        None => entries.push(entry),
                        // Compose takes what is to be reset out before it merges.
                        Some(own) if own.value.tag == Tag::Reset => {
                            own.value = Node { tag: Tag::Override, ..entry.value };
                        }
                        Some(_) => {}
                    }
                }
                Ok(())
            }
            Value::List(sources) if sources.iter().all(Node::is_map) => {
                sources.into_iter().try_for_each(|s| self.merge(entries, s))
            }
            _ => Err(fault(&source.place, "`<<` needs a mapping or a list of mappings")),
        }
    }

    fn enter(&mut self, anchor: Option<&String>, place: &Place) -> Result<(), ComposeError> {
        self.open.extend(anchor.cloned());
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => {
                let what = format!("the values of this file are nested more than {MAX_DEPTH} deep");
                Err(invalid(place, what, "nest fewer"))
            }
            false => Ok(()),
        }
    }

    fn leave(&mut self, anchor: Option<&String>) {
        self.depth -= 1;
        if let Some(anchor) = anchor {
            self.open.remove(anchor);
        }
    }

    fn count(&mut self, more: usize, place: &Place) -> Result<(), ComposeError> {
        self.nodes += more;
        match self.nodes > MAX_NODES {
            true => {
                let what = format!(
                    "up to here the file has more than {MAX_NODES} values, those that aliases repeat counted"
                );
                Err(invalid(
                    place,
                    what,
                    "move what is data into a file that a service mounts, or let fewer aliases repeat each other",
                ))
            }
            false => Ok(()),
        }
    }

    fn place(&self, mark: Mark) -> Place {
        Place { file: Rc::clone(&self.file), line: line(mark), column: column(mark) }
    }
}

fn line(mark: Mark) -> usize {
    usize::try_from(mark.line).unwrap_or(usize::MAX).saturating_add(1)
}

fn column(mark: Mark) -> usize {
    usize::try_from(mark.column).unwrap_or(usize::MAX).saturating_add(1)
}

fn meaning(tag: Option<&str>) -> Tag {
    match tag {
        Some("!reset") => Tag::Reset,
        Some("!override") => Tag::Override,
        _ => Tag::None,
    }
}

fn fault(place: &Place, problem: &str) -> ComposeError {
    ComposeError::Yaml {
        file: place.file.to_string(),
        line: place.line,
        column: place.column,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests;
