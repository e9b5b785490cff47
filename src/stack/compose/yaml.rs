//! YAML as a tree in which every value knows its place.
//!
//! Compose files are read untyped: a key that is not known here is left alone,
//! and a wrong one is reported with its line. Anchors, aliases and merge keys
//! are resolved while the tree is built.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::ComposeError;

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

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
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
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Node::size).sum(),
            Value::Map(entries) => entries.iter().map(|e| 1 + e.value.size()).sum(),
        }
    }
}

/// The documents of a file, in order; empty ones are left out.
pub(super) fn documents(text: &str, file: &str) -> Result<Vec<Node>, ComposeError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        events: Parser::new_from_str(text),
        file: Rc::from(file),
        anchors: HashMap::new(),
        nodes: 0,
        depth: 0,
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            event => {
                let node = builder.node(event, span)?;
                if !node.is_null() {
                    documents.push(node);
                }
            }
        }
    }
    Ok(documents)
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    file: Rc<str>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    depth: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, ComposeError> {
        loop {
            match self.events.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(found)) => return Ok(Some(found)),
                Some(Err(error)) => {
                    return Err(ComposeError::Yaml {
                        file: self.file.to_string(),
                        line: error.marker().line(),
                        column: error.marker().col() + 1,
                        problem: error.kind().to_string(),
                    });
                }
            }
        }
    }

    fn child(&mut self, parent: &Place) -> Result<(Event<'a>, Span), ComposeError> {
        match self.next()? {
            Some(found) => Ok(found),
            None => Err(fault(parent, "the file ends in the middle of this value")),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, ComposeError> {
        let place = self.place(span);
        self.count(1, &place)?;
        let (value, anchor, tag) = match event {
            Event::Alias(id) => return self.alias(id, &place),
            Event::Scalar(text, style, anchor, tag) => {
                let core = tag.as_deref().map(|t| t.suffix().to_owned());
                let plain = style == ScalarStyle::Plain;
                let null = core.as_deref() == Some("null")
                    || plain
                        && core.as_deref() != Some("str")
                        && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = match null {
                    true => Value::Null,
                    false => Value::Scalar { text: text.into_owned(), plain },
                };
                (value, anchor, meaning(core.as_deref()))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.deeper(&place)?;
                let items = self.list(&place)?;
                self.depth -= 1;
                (Value::List(items), anchor, meaning(tag.as_deref().map(|t| t.suffix())))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.deeper(&place)?;
                let entries = self.map(&place)?;
                self.depth -= 1;
                (Value::Map(entries), anchor, meaning(tag.as_deref().map(|t| t.suffix())))
            }
            _ => return Err(fault(&place, "a value is missing here")),
        };
        let node = Node { value, place, tag };
        if anchor != 0 {
            let size = node.size();
            // It is kept a second time: anchors within anchors multiply as aliases do.
            self.count(size, &node.place)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, place: &Place) -> Result<Node, ComposeError> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(fault(place, "this alias stands inside the value that it names"));
        };
        let (node, size) = (node.clone(), *size);
        self.count(size, place)?;
        Ok(node)
    }

    fn list(&mut self, place: &Place) -> Result<Vec<Node>, ComposeError> {
        let mut items = Vec::new();
        loop {
            match self.child(place)? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self, place: &Place) -> Result<Vec<Entry>, ComposeError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.child(place)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span)?;
            let (event, span) = self.child(&key.place)?;
            let value = self.node(event, span)?;
            let (name, plain) = match key.value {
                Value::Scalar { text, plain } => (text, plain),
                Value::Null => (String::new(), false),
                _ => return Err(fault(&key.place, "a key must be a single value")),
            };
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
                let there: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
                entries.extend(found.into_iter().filter(|entry| !there.contains(&entry.key)));
                Ok(())
            }
            Value::List(sources) if sources.iter().all(Node::is_map) => {
                sources.into_iter().try_for_each(|s| self.merge(entries, s))
            }
            _ => Err(fault(&source.place, "`<<` needs a mapping or a list of mappings")),
        }
    }

    fn deeper(&mut self, place: &Place) -> Result<(), ComposeError> {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => Err(fault(place, "the values of this file are nested more than 100 deep")),
            false => Ok(()),
        }
    }

    fn count(&mut self, more: usize, place: &Place) -> Result<(), ComposeError> {
        self.nodes += more;
        match self.nodes > MAX_NODES {
            true => Err(fault(place, "the aliases of this file multiply beyond 200000 values")),
            false => Ok(()),
        }
    }

    fn place(&self, span: Span) -> Place {
        Place { file: Rc::clone(&self.file), line: span.start.line(), column: span.start.col() + 1 }
    }
}

fn meaning(suffix: Option<&str>) -> Tag {
    match suffix {
        Some("reset") => Tag::Reset,
        Some("override") => Tag::Override,
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
