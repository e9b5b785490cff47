//! From files to one merged tree, and from the tree to a project.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::dotenv::Environment;
use super::interpolate::{self, Fault, Scope};
use super::named::Named;
use super::paths::{self, Here, PathUse, Resolved};
use super::read;
use super::yaml::{self, Node, Place, Value};
use super::{ComposeError, FILE_NAMES, Loading, Project, check, invalid, merge, networks, resources};

const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Where a project's name may come from, apart from its files.
#[derive(Debug, Clone, Copy)]
pub struct Naming<'a> {
    /// A name that was given; it goes first.
    pub explicit: Option<&'a str>,
    /// The name of the folder; it goes last.
    pub folder: &'a str,
}

/// A project, and the files of the folder that it reads.
pub(super) struct Assembled {
    pub project: Project,
    pub uses: Vec<PathUse>,
    /// Where the mounts of each service stand, in the order of both.
    pub mounts: Vec<Vec<PathUse>>,
    pub named: Named,
}

/// Reads a folder. All that touches the disk is here.
pub(super) fn load(dir: &Path, loading: &Loading) -> Result<Project, ComposeError> {
    let mut env = environment(dir)?.with_values(&loading.env);
    // As they are on the host, where root runs Compose in the stack's folder.
    for (name, value) in [("PWD", paths::WORKING_FOLDER), ("HOME", "/root")] {
        if env.get(name).is_none() {
            env.set(name, value.to_owned());
        }
    }
    let mut notes = Vec::new();
    let names = file_names(dir, &env, &mut notes)?;
    let mut sources = Vec::with_capacity(names.len());
    for name in names {
        let text = read_text(&dir.join(&name))?;
        sources.push((name, text));
    }
    let absolute =
        dir.canonicalize().map_err(|source| ComposeError::Read { path: dir.to_path_buf(), source })?;
    // Paths count from the first file, which need not lie in the folder itself.
    let base = sources.first().and_then(|(file, _)| Path::new(file).parent()).unwrap_or(dir);
    let within = base.to_str().unwrap_or_default();
    let absolute = absolute.join(base);
    let folder = absolute.file_name().unwrap_or_default().to_string_lossy();
    let naming = Naming { explicit: loading.name.as_deref(), folder: &folder };
    let mut assembled = assemble(&sources, &env, naming)?;
    resolve_uses(dir, within, &mut assembled, &mut notes)?;
    resolve_mounts(dir, within, &mut assembled.project, &assembled.mounts)?;
    assembled.project.sensitive = sensitive(&assembled.uses);
    let read = assembled.uses.iter().map(|usage| usage.path.clone());
    assembled.project.own_files.extend(read);
    assembled.named.add_to(&mut assembled.project, dir, within, &env);
    notes.append(&mut assembled.project.warnings);
    assembled.project.warnings = notes;
    Ok(assembled.project)
}

/// Makes what is read relative to the folder. What is needed has to be there.
fn resolve_uses(
    dir: &Path,
    within: &str,
    assembled: &mut Assembled,
    notes: &mut Vec<String>,
) -> Result<(), ComposeError> {
    let mut inside = Vec::with_capacity(assembled.uses.len());
    for usage in assembled.uses.drain(..) {
        match paths::resolve(within, &usage.path) {
            Resolved::OnHost if usage.required => assembled.project.on_host.push(usage.on_host()),
            Resolved::OnHost => {}
            Resolved::Outside if usage.required => return Err(paths::outside(&usage)),
            Resolved::Outside => {
                if dir.join(within).join(&usage.path).exists() {
                    notes.push(format!(
                        "{}: the {} {} lies outside the stack's folder and is not sent",
                        usage.place, usage.role, usage.path
                    ));
                }
            }
            Resolved::Inside(path) => {
                // Compose counts paths from a folder of that name, whether it is there or not.
                let is_needed = usage.required && usage.role != paths::BASE;
                if is_needed && !dir.join(&path).exists() {
                    let what = format!("the {} {path} is not in the folder", usage.role);
                    return Err(invalid(&usage.place, what, "create it, or correct the path"));
                }
                inside.push(PathUse { path, ..usage });
            }
        }
    }
    assembled.uses = inside;
    Ok(())
}

/// Makes mounts relative to the folder, and looks what of them is there.
fn resolve_mounts(
    dir: &Path,
    within: &str,
    project: &mut Project,
    places: &[Vec<PathUse>],
) -> Result<(), ComposeError> {
    for (service, places) in project.services.iter_mut().zip(places) {
        for (mount, usage) in service.mounts.iter_mut().zip(places) {
            match paths::resolve(within, &mount.source) {
                Resolved::OnHost if service.enabled && mount.looks_like_a_file() => {
                    project.on_host.push(usage.on_host());
                }
                Resolved::OnHost => {}
                Resolved::Outside if service.enabled => return Err(paths::outside(usage)),
                Resolved::Outside => {}
                Resolved::Inside(path) => {
                    let there = dir.join(&path);
                    mount.here = match () {
                        () if there.is_dir() => Here::Folder,
                        () if there.exists() => Here::File,
                        () => Here::Nothing,
                    };
                    mount.source = path;
                }
            }
        }
    }
    Ok(())
}

fn environment(dir: &Path) -> Result<Environment, ComposeError> {
    let path = dir.join(".env");
    let env = match path.is_file() {
        true => Environment::parse(&read_text(&path)?, ".env")?,
        false => Environment::default(),
    };
    let here = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    Ok(env.with_outside(here))
}

fn read_text(path: &Path) -> Result<String, ComposeError> {
    std::fs::read_to_string(path).map_err(|source| ComposeError::Read { path: path.to_path_buf(), source })
}

/// The files of a project: `COMPOSE_FILE` of `.env`, or the usual names.
fn file_names(dir: &Path, env: &Environment, notes: &mut Vec<String>) -> Result<Vec<String>, ComposeError> {
    if let Some(list) = env.get("COMPOSE_FILE").filter(|l| !l.is_empty()) {
        let separator = env.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty()).unwrap_or(":");
        return list.split(separator).map(|file| named_in_env(dir, file)).collect();
    }
    let there = |name: &&&str| dir.join(name).is_file();
    let found: Vec<&str> = FILE_NAMES.iter().filter(there).copied().collect();
    let Some(first) = found.first() else {
        return Err(ComposeError::NotFound { folder: dir.to_path_buf() });
    };
    if found.len() > 1 {
        let others = found[1..].join(", ");
        notes.push(format!("{first} is read; also in the folder, but not read: {others}"));
    }
    let mut names = vec![(*first).to_owned()];
    names.extend(OVERRIDE_NAMES.iter().find(there).map(|name| (*name).to_owned()));
    Ok(names)
}

/// A file of COMPOSE_FILE, relative to the folder.
fn named_in_env(dir: &Path, file: &str) -> Result<String, ComposeError> {
    match paths::resolve("", file) {
        Resolved::Inside(path) => Ok(path),
        Resolved::Outside | Resolved::OnHost => {
            let text = read_text(&dir.join(".env")).unwrap_or_default();
            let names_it =
                |line: &str| line.trim_start().trim_start_matches("export ").starts_with("COMPOSE_FILE");
            let line = text.lines().position(names_it).map_or(1, |at| at + 1);
            let place = Place { file: ".env".into(), line, column: 1 };
            Err(paths::outside(&PathUse {
                path: file.to_owned(),
                role: "COMPOSE_FILE",
                required: true,
                place,
            }))
        }
    }
}

/// Merges the texts of a project and reads the result.
pub(super) fn assemble(
    sources: &[(String, String)],
    env: &Environment,
    naming: Naming<'_>,
) -> Result<Assembled, ComposeError> {
    let mut documents = Vec::new();
    for (file, text) in sources {
        for document in yaml::documents(text, file)? {
            if !document.is_map() {
                let what = format!("a Compose file is a mapping, this is {}", document.kind());
                return Err(invalid(&document.place, what, "begin with `services:`"));
            }
            documents.push(document);
        }
    }
    let first = sources.first().map(|(file, _)| file.as_str()).unwrap_or_default();
    if documents.is_empty() {
        return Err(empty(first));
    }
    let mut env = env.clone();
    let name = project_name(&documents, &env, naming)?;
    env.set("COMPOSE_PROJECT_NAME", name.clone());
    let mut variables = Variables::new(&env);
    let mut merged: Option<Node> = None;
    for mut document in documents {
        substitute(&mut document, &mut variables)?;
        let document = merge::extend(document)?;
        merged = Some(match merged {
            Some(base) => merge::overlay(base, document),
            None => document,
        });
    }
    let Some(root) = merged else { return Err(empty(first)) };
    let mut warnings = env.warnings().to_vec();
    warnings.extend(variables.warnings());
    let read = read::project(&root, &env, &mut warnings)?;
    let (resources, declared_volumes) = resources::of(&root, &read, &name);
    let mut project = Project {
        name,
        file: first.to_owned(),
        files: sources.iter().map(|(file, _)| file.clone()).collect(),
        services: read.services.iter().map(|s| s.service.clone()).collect(),
        sensitive: sensitive(&read.uses),
        own_files: sources.iter().map(|(file, _)| file.clone()).chain([".env".to_owned()]).collect(),
        other_mounts: Vec::new(),
        named: sources.iter().map(|(file, _)| file.clone()).chain([".env".to_owned()]).collect(),
        on_host: Vec::new(),
        contexts: Vec::new(),
        networks: networks::networks(&root),
        resources,
        declared_volumes,
        complete: read.complete,
        environment: env.clone(),
        warnings,
    };
    check::project(&mut project, &read)?;
    let mounts = read.services.into_iter().map(|placed| placed.mounts).collect();
    Ok(Assembled { project, uses: read.uses, mounts, named: Named::of(&root) })
}

/// The files that hold secrets, each once.
fn sensitive(uses: &[PathUse]) -> Vec<String> {
    let secret = uses.iter().filter(|usage| matches!(usage.role, read::ENV_FILE | read::SECRET_FILE));
    let mut paths: Vec<String> = secret
        .filter_map(|usage| match paths::resolve("", &usage.path) {
            Resolved::Inside(path) => Some(path),
            Resolved::Outside | Resolved::OnHost => None,
        })
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn empty(file: &str) -> ComposeError {
    ComposeError::Invalid {
        file: file.to_owned(),
        line: 1,
        what: "the file is empty".into(),
        remedy: "declare at least one service under `services:`".into(),
    }
}

/// The name in Compose's order: given, `.env`, the files, the folder.
fn project_name(documents: &[Node], env: &Environment, naming: Naming<'_>) -> Result<String, ComposeError> {
    let declared = documents.iter().rev().find_map(|d| d.get("name"));
    let (name, origin) = if let Some(name) = naming.explicit {
        (name.to_owned(), "the project's settings".to_owned())
    } else if let Some(name) = env.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()) {
        (name.to_owned(), "COMPOSE_PROJECT_NAME in .env".to_owned())
    } else {
        let declared = declared.cloned().map(|mut node| {
            substitute(&mut node, &mut Variables::new(env))?;
            Ok::<_, ComposeError>(sanitise(node.text().unwrap_or_default()))
        });
        if let Some(name) = declared.transpose()?.filter(|n| !n.is_empty()) {
            return Ok(name);
        }
        let name = sanitise(naming.folder);
        if name.is_empty() {
            let origin = "the folder's name".to_owned();
            return Err(ComposeError::Name { name: naming.folder.to_owned(), origin });
        }
        return Ok(name);
    };
    match !name.is_empty() && sanitise(&name) == name {
        true => Ok(name),
        false => Err(ComposeError::Name { name, origin }),
    }
}

/// What Compose makes of the name of a folder, or in a file.
fn sanitise(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept: String = lower.chars().filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

/// The variables of a project, and which of them had no value, and where.
pub(super) struct Variables<'a> {
    env: &'a Environment,
    here: Option<Place>,
    unset: BTreeMap<String, (Place, bool)>,
    order: Vec<String>,
    seen: HashSet<String>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(env: &'a Environment) -> Variables<'a> {
        Variables { env, here: None, unset: BTreeMap::new(), order: Vec::new(), seen: HashSet::new() }
    }

    fn warnings(&self) -> Vec<String> {
        let warning = |name: &String| {
            let (place, fallback) = self.unset.get(name)?;
            match (self.env.only_outside(name), *fallback) {
                (true, false) => Some(format!(
                    "{place}: {name} is set on this computer but not in .env; only .env goes to \
                     the host, so {name} will be blank there; add it to .env"
                )),
                (true, true) => Some(format!(
                    "{place}: {name} is set on this computer but not in .env; only .env goes to \
                     the host, so what stands for an unset {name} applies there"
                )),
                (false, false) => {
                    Some(format!("{place}: {name} is not set in .env and will be blank; set it there"))
                }
                (false, true) => None,
            }
        };
        self.order.iter().filter_map(warning).collect()
    }
}

impl Scope for Variables<'_> {
    fn get(&mut self, name: &str) -> Option<String> {
        self.env.get(name).map(str::to_owned)
    }

    fn unset(&mut self, name: &str, fallback: bool) {
        let Some(place) = &self.here else { return };
        if self.seen.insert(name.to_owned()) {
            self.order.push(name.to_owned());
        }
        let entry = self.unset.entry(name.to_owned()).or_insert_with(|| (place.clone(), fallback));
        if entry.1 && !fallback {
            *entry = (place.clone(), false);
        }
    }
}

/// Substitutes variables in every value; keys stay as they are.
pub(super) fn substitute(node: &mut Node, variables: &mut Variables<'_>) -> Result<(), ComposeError> {
    match &mut node.value {
        Value::Null => {}
        Value::List(items) => {
            for item in items {
                substitute(item, variables)?;
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                substitute(&mut entry.value, variables)?;
            }
        }
        Value::Scalar { text, .. } if text.contains('$') => {
            variables.here = Some(node.place.clone());
            *text = interpolate::expand(text, variables)
                .map_err(|fault| explain(fault, &node.place, variables.env))?;
        }
        Value::Scalar { .. } => {}
    }
    Ok(())
}

fn explain(fault: Fault, place: &Place, env: &Environment) -> ComposeError {
    match fault {
        Fault::Syntax { near, remedy } => {
            invalid(place, format!("Compose cannot substitute {near:?}"), remedy)
        }
        Fault::Required { name, message } => {
            let what = match message.is_empty() {
                true => format!("{name} is required and has no value"),
                false => format!("{name} is required and has no value: {message}"),
            };
            let remedy = match env.only_outside(&name) {
                true => {
                    format!("set {name} in .env: it is set on this computer, but only .env goes to the host")
                }
                false => format!("set {name} in .env"),
            };
            invalid(place, what, remedy)
        }
    }
}
