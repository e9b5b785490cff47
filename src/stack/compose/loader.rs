//! From the files of a project to one tree: overrides, `extends` and `include`.
//!
//! The order is Compose's: variables first, then what services extend, then what is included; then
//! the file is laid over those before it, and checked. Paths are made to count from the stack's
//! folder as soon as a file is read.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::dotenv::Environment;
use super::paths::{self, PathUse, Resolved};
use super::rebase::{joined, name_contexts, rebase};
use super::variables::{Unset, substitute};
use super::yaml::{self, Entry, Node, Place, Tag, Value};
use super::{ComposeError, invalid, merge, read, relations, schema};

/// So many files may be taken in by `include` and `extends`.
const MOST_TAKEN_IN: usize = 500;

/// So many values may come of services that extend others.
const MOST_VALUES: usize = 1_000_000;

/// The sections that an included file brings.
const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Where files come from.
pub(super) trait Files {
    /// The text of a file, by its path from the stack's folder.
    fn read(&self, path: &str) -> io::Result<String>;
    /// Whether there is such a file.
    fn has(&self, path: &str) -> bool;
}

/// The files of a folder.
pub(super) struct Folder<'a>(pub &'a Path);

impl Files for Folder<'_> {
    fn read(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(self.0.join(path))
    }

    fn has(&self, path: &str) -> bool {
        self.0.join(path).is_file()
    }
}

/// Reads files, and notes what of the folder they take in.
pub(super) struct Loader<'a> {
    files: &'a dyn Files,
    /// Other Compose files, and environment files of included ones.
    pub taken_in: Vec<PathUse>,
    pub unset: Unset,
    /// What the `.env` of included files leave open.
    pub warnings: Vec<String>,
    loads: usize,
    values: usize,
}

/// The services of a file, as they stand there.
struct Scope {
    file: Rc<str>,
    services: HashMap<String, Node>,
}

/// What one model has read of others' services.
#[derive(Default)]
struct Extending {
    scopes: HashMap<String, Rc<Scope>>,
    /// By file and name.
    done: HashMap<(Rc<str>, String), Node>,
}

impl<'a> Loader<'a> {
    pub fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            taken_in: Vec::new(),
            unset: Unset::default(),
            warnings: Vec::new(),
            loads: 0,
            values: 0,
        }
    }

    /// Merges files into one tree. `base` is the folder from which their paths count, `within` the
    /// files that have included them.
    pub fn model(
        &mut self,
        files: &[(String, String)],
        base: &str,
        env: &Environment,
        within: &[String],
    ) -> Result<Node, ComposeError> {
        let mut extending = Extending::default();
        let mut merged: Option<Node> = None;
        for (file, text) in files {
            let mut within = within.to_vec();
            within.push(file.clone());
            for document in yaml::documents(text, file)? {
                let document = self.prepare(document, base, env)?;
                let document = self.extend(document, file, env, &mut extending)?;
                let document = self.include(document, base, env, &within)?;
                let mut whole = match merged {
                    Some(below) => merge::files(below, document)?,
                    None => document,
                };
                merge::unify(&mut whole);
                merged = Some(whole);
            }
        }
        let Some(merged) = merged else {
            let file = files.first().map(|(file, _)| file.as_str()).unwrap_or_default();
            return Err(empty(file));
        };
        let mut merged = merge::settled(merged);
        name_contexts(&mut merged, base);
        schema::check(&merged)?;
        Ok(merged)
    }

    fn prepare(&mut self, mut document: Node, base: &str, env: &Environment) -> Result<Node, ComposeError> {
        if !document.is_map() {
            let what = format!("a Compose file is a mapping, this is {}", document.kind());
            let remedy = match document.is_null() {
                true => "remove the `---` before it",
                false => "begin with `services:`",
            };
            return Err(invalid(&document.place, what, remedy));
        }
        let sections = ["configs", "networks", "secrets", "services", "volumes"];
        let is_blank = |entry: &&Entry| {
            sections.contains(&entry.key.as_str()) && entry.value.is_null() && entry.value.tag == Tag::None
        };
        if let Some(entry) = document.entries().iter().find(is_blank) {
            let what = format!("{} is nothing, and Compose wants a mapping", entry.key);
            return Err(invalid(&entry.place, what, "write what belongs below it, or remove the line"));
        }
        substitute(&mut document, env, &mut self.unset)?;
        rebase(&mut document, base);
        Ok(document)
    }

    /// The text of a file that another one takes in.
    fn text(&mut self, path: &str, role: &'static str, place: &Place) -> Result<String, ComposeError> {
        self.loads += 1;
        if self.loads > MOST_TAKEN_IN {
            let what = format!("more than {MOST_TAKEN_IN} files are taken in, up to {path}");
            return Err(invalid(place, what, "take in fewer"));
        }
        let usage = PathUse { path: path.to_owned(), role, required: true, place: place.clone() };
        self.taken_in.push(usage);
        self.files.read(path).map_err(|error| {
            let what = match error.kind() {
                io::ErrorKind::NotFound => format!("the {role} {path} is not in the folder"),
                _ => format!("the {role} {path} cannot be read: {error}"),
            };
            invalid(place, what, "create it, or correct the path")
        })
    }

    // --- extends ------------------------------------------------------------

    fn extend(
        &mut self,
        document: Node,
        file: &str,
        env: &Environment,
        extending: &mut Extending,
    ) -> Result<Node, ComposeError> {
        let extends = |service: &Entry| service.value.get("extends").is_some();
        if !document.get("services").map(Node::entries).unwrap_or_default().iter().any(extends) {
            return Ok(document);
        }
        let scope = Rc::new(Scope::new(file, &document));
        // A file that is read twice is another one each time.
        extending.done.retain(|(other, _), _| **other != *file);
        let mut document = document;
        for entry in merge::entry_mut(&mut document, "services").map(merge::entries_mut).unwrap_or_default() {
            if entry.value.get("extends").is_some() {
                entry.value = self.extended(&entry.key, &scope, env, extending)?;
            }
        }
        Ok(document)
    }

    /// A service with all that it extends below it. Follows the chain down, then builds it up: it may
    /// be of any length.
    fn extended(
        &mut self,
        name: &str,
        scope: &Rc<Scope>,
        env: &Environment,
        extending: &mut Extending,
    ) -> Result<Node, ComposeError> {
        let mut chain: Vec<(Rc<Scope>, String)> = Vec::new();
        let mut seen: HashSet<(Rc<str>, String)> = HashSet::new();
        let (mut scope, mut name) = (Rc::clone(scope), name.to_owned());
        let mut below: Option<Node> = None;
        loop {
            let key = (Rc::clone(&scope.file), name.clone());
            if let Some(done) = extending.done.get(&key) {
                below = Some(done.clone());
                break;
            }
            let Some(service) = scope.services.get(&name) else { break };
            let extends = service.get("extends").cloned();
            seen.insert(key);
            chain.push((Rc::clone(&scope), name));
            let Some(extends) = extends else { break };
            let (next, target, place) = self.target(&extends, &scope, env, extending)?;
            if seen.contains(&(Rc::clone(&next.file), target.clone())) {
                let what = format!("`extends` leads back to {target:?}");
                return Err(invalid(&place, what, "break the circle"));
            }
            (scope, name) = (next, target);
        }
        for (scope, name) in chain.into_iter().rev() {
            let Some(own) = scope.services.get(&name).cloned() else { continue };
            let whole = match below.take() {
                Some(base) if !base.is_null() => merge::services(base, without_extends(own))?,
                _ => without_extends(own),
            };
            self.values += whole.size();
            if self.values > MOST_VALUES {
                let what = format!("what services extend grows beyond {MOST_VALUES} values at {name:?}");
                return Err(invalid(&whole.place, what, "let fewer services extend each other"));
            }
            extending.done.insert((Rc::clone(&scope.file), name), whole.clone());
            below = Some(whole);
        }
        below.ok_or_else(|| empty(&scope.file))
    }

    /// The file and name of a service that is extended, and where it is named.
    fn target(
        &mut self,
        extends: &Node,
        scope: &Rc<Scope>,
        env: &Environment,
        extending: &mut Extending,
    ) -> Result<(Rc<Scope>, String, Place), ComposeError> {
        let target = extends.get("service").unwrap_or(extends);
        let Some(name) = target.text() else {
            let what = "`extends` does not name a service".to_owned();
            return Err(invalid(&extends.place, what, "write `extends: { service: name }`"));
        };
        let place = target.place.clone();
        let scope = match extends.get("file") {
            None => Rc::clone(scope),
            Some(file) => {
                let path = self.inside(file, "", "`extends`")?;
                match extending.scopes.get(&path) {
                    Some(known) => Rc::clone(known),
                    None => {
                        let loaded = Rc::new(self.scope(&path, &file.place, env)?);
                        extending.scopes.insert(path, Rc::clone(&loaded));
                        loaded
                    }
                }
            }
        };
        if scope.services.contains_key(name) {
            return Ok((scope, name.to_owned(), place));
        }
        let (at, remedy) = match extends.get("file") {
            Some(_) => (scope.file.to_string(), "add it there, or correct the name"),
            None => ("this file".to_owned(), "add it, or name its file with `file:`"),
        };
        let what = format!("`extends` names the service {name:?}, which is not in {at}");
        Err(invalid(&place, what, remedy))
    }

    /// The services of another file, merged where it has several documents.
    fn scope(&mut self, path: &str, place: &Place, env: &Environment) -> Result<Scope, ComposeError> {
        let text = self.text(path, paths::TAKEN_IN, place)?;
        let mut merged: Option<Node> = None;
        for document in yaml::documents(&text, path)? {
            let document = self.prepare(document, folder_of(path), env)?;
            merged = Some(match merged {
                Some(below) => merge::files(below, document)?,
                None => document,
            });
        }
        let mut merged = merge::settled(merged.ok_or_else(|| empty(path))?);
        schema::check_conversions(&merged)?;
        relations::check_taken_apart(&merged)?;
        merge::unify(&mut merged);
        Ok(Scope::new(path, &merged))
    }

    // --- include ------------------------------------------------------------

    fn include(
        &mut self,
        mut document: Node,
        base: &str,
        env: &Environment,
        within: &[String],
    ) -> Result<Node, ComposeError> {
        let Value::Map(entries) = &mut document.value else { return Ok(document) };
        let Some(at) = entries.iter().position(|entry| entry.key == "include") else { return Ok(document) };
        let include = entries.remove(at).value;
        // All of it may be commented out.
        if include.is_null() {
            return Ok(document);
        }
        schema::check_include(&include)?;
        for item in include.items() {
            let included = self.included(item, base, env, within)?;
            import(&mut document, included)?;
        }
        Ok(document)
    }

    fn included(
        &mut self,
        item: &Node,
        base: &str,
        env: &Environment,
        within: &[String],
    ) -> Result<Node, ComposeError> {
        let mut files = Vec::new();
        for path in item.get("path").unwrap_or(item).each() {
            let name = self.inside(path, base, "`include`")?;
            if files.is_empty() && within.contains(&name) {
                let what = format!("`include` leads back to {name}");
                return Err(invalid(&path.place, what, "break the circle"));
            }
            let text = self.text(&name, paths::TAKEN_IN, &path.place)?;
            files.push((name, text));
        }
        let Some((first, _)) = files.first() else {
            let what = "`include` names no file".to_owned();
            return Err(invalid(&item.place, what, "write its path"));
        };
        let own_base = match item.get("project_directory") {
            Some(folder) => {
                let usage = usage(folder, paths::BASE);
                match paths::resolve(base, &usage.path) {
                    Resolved::Inside(path) => path,
                    Resolved::Outside | Resolved::OnHost => return Err(paths::outside(&usage)),
                }
            }
            None => folder_of(first).to_owned(),
        };
        let env = self.environment(item, base, &own_base, env)?;
        self.model(&files, &own_base, &env, within)
    }

    /// The variables of an included file: those of the project, and beneath them its own.
    fn environment(
        &mut self,
        item: &Node,
        base: &str,
        own_base: &str,
        env: &Environment,
    ) -> Result<Environment, ComposeError> {
        let mut files = Vec::new();
        let mut add = |this: &mut Self, path: String, place: &Place| {
            let text = this.text(&path, read::ENV_FILE, place)?;
            files.push((path, text));
            Ok(())
        };
        match item.get("env_file") {
            Some(given) => {
                for file in given.each().iter().filter(|file| file.text() != Some("/dev/null")) {
                    let usage = usage(file, read::ENV_FILE);
                    let Resolved::Inside(path) = paths::resolve(base, &usage.path) else {
                        return Err(paths::outside(&usage));
                    };
                    add(self, path, &file.place)?;
                }
            }
            None => {
                let path = if own_base.is_empty() { ".env".to_owned() } else { joined(own_base, ".env") };
                if self.files.has(&path) {
                    add(self, path, &item.place)?;
                }
            }
        }
        let known = env.warnings().len();
        let env = env.clone().with_beneath(&files)?;
        self.warnings.extend(env.warnings()[known..].iter().cloned());
        Ok(env)
    }

    /// The path of a Compose file from the stack's folder.
    fn inside(&self, node: &Node, base: &str, role: &str) -> Result<String, ComposeError> {
        let usage = usage(node, paths::TAKEN_IN);
        if !paths::is_local(&usage.path) || usage.path.starts_with("oci:") {
            let what = format!(
                "{role} names {}, which Compose fetches on the host: what is in it cannot be shown or checked here",
                usage.path
            );
            return Err(invalid(&node.place, what, "copy the file into the folder and name that"));
        }
        match paths::resolve(base, &usage.path) {
            Resolved::Inside(path) => Ok(path),
            Resolved::Outside | Resolved::OnHost => Err(paths::outside(&usage)),
        }
    }
}

impl Scope {
    fn new(file: &str, document: &Node) -> Self {
        let services = document.get("services").map(Node::entries).unwrap_or_default();
        let services = services.iter().map(|entry| (entry.key.clone(), entry.value.clone()));
        Self { file: Rc::from(file), services: services.collect() }
    }
}

fn without_extends(mut service: Node) -> Node {
    if let Value::Map(entries) = &mut service.value {
        entries.retain(|entry| entry.key != "extends");
    }
    service
}

/// Adds what an included file declares. What is declared twice has to be the same.
fn import(document: &mut Node, included: Node) -> Result<(), ComposeError> {
    let Value::Map(sections) = included.value else { return Ok(()) };
    for section in sections.into_iter().filter(|section| SECTIONS.contains(&section.key.as_str())) {
        let Value::Map(found) = section.value.value else { continue };
        if document.get(&section.key).is_none() {
            let value = Node { value: Value::Map(Vec::new()), place: section.value.place, tag: Tag::None };
            if let Value::Map(entries) = &mut document.value {
                entries.retain(|entry| entry.key != section.key);
                entries.push(Entry { key: section.key.clone(), place: section.place, value });
            }
        }
        let Some(Node { value: Value::Map(there), .. }) = merge::entry_mut(document, &section.key) else {
            continue;
        };
        let known: HashMap<String, usize> =
            there.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        for entry in found {
            match known.get(&entry.key).map(|at| &there[*at]) {
                None => there.push(entry),
                Some(other) if merge::same(&other.value, &entry.value) => {}
                Some(other) => {
                    let kind = section.key.trim_end_matches('s');
                    let what = format!(
                        "the {kind} {:?} is declared here, and differently at {}",
                        entry.key, other.place
                    );
                    let remedy = "rename one of them; a file that is to change it belongs under the same `include`: \
                                  `- path: [FILE, OVERRIDE]`";
                    return Err(invalid(&entry.place, what, remedy));
                }
            }
        }
    }
    Ok(())
}

fn usage(node: &Node, role: &'static str) -> PathUse {
    let path = node.text().unwrap_or_default().to_owned();
    PathUse { path, role, required: true, place: node.place.clone() }
}

/// The folder that a file lies in; blank for the stack's own.
pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The refusal of a file without anything in it.
pub(super) fn empty(file: &str) -> ComposeError {
    ComposeError::Invalid {
        file: file.to_owned(),
        line: 1,
        what: "the file is empty".into(),
        remedy: "declare at least one service under `services:`".into(),
    }
}
