//! A project's files, name and variables, and what of the folder it needs.

use std::path::Path;

use super::dotenv::Environment;
use super::loader::{Files, Folder, Loader, folder_of};
use super::named::Named;
use super::paths::{self, Here, PathUse, Resolved};
use super::read;
use super::variables::{Unset, substitute};
use super::yaml::{self, Node, Place};
use super::{ComposeError, FILE_NAMES, Loading, Project, check, invalid, networks, relations, resources};

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
    for (name, value) in [("PWD", paths::WORKING_FOLDER), ("HOME", paths::HOME_FOLDER)] {
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
    // Compose's own folder is that of the first file, which need not be the stack's.
    let base = sources.first().map(|(file, _)| folder_of(file).to_owned()).unwrap_or_default();
    let absolute = absolute.join(&base);
    let own_env = format!("{base}/.env");
    let has_own_env = !base.is_empty() && dir.join(&own_env).is_file();
    if has_own_env {
        env = env.with_beneath(&[(own_env.clone(), read_text(&dir.join(&own_env))?)])?;
    }
    let folder = absolute.file_name().unwrap_or_default().to_string_lossy();
    let naming = Naming { explicit: loading.name.as_deref(), folder: &folder };
    let mut assembled = assemble(&sources, &env, naming, &Folder(dir))?;
    resolve_uses(dir, &mut assembled, &mut notes)?;
    resolve_mounts(dir, &mut assembled.project, &assembled.mounts)?;
    let project = &mut assembled.project;
    project.sensitive = sensitive(&assembled.uses);
    project.own_files.extend(assembled.uses.iter().map(|usage| usage.path.clone()));
    // A folder that is built from is sent by what `.dockerignore` leaves of it.
    let files = assembled.uses.iter().filter(|usage| matches!(usage.role, paths::TAKEN_IN | read::ENV_FILE));
    project.named.extend(files.map(|usage| usage.path.clone()));
    let read = |usage: &&PathUse| matches!(usage.role, paths::TAKEN_IN | read::ENV_FILE | read::LABEL_FILE);
    project.read_files.extend(assembled.uses.iter().filter(read).map(|usage| usage.path.clone()));
    if has_own_env {
        project.own_files.push(own_env.clone());
        project.read_files.push(own_env.clone());
        project.named.push(own_env);
    }
    assembled.named.add_to(project);
    notes.append(&mut project.warnings);
    project.warnings = notes;
    Ok(assembled.project)
}

/// Makes what is read relative to the folder. What is needed has to be there.
fn resolve_uses(dir: &Path, assembled: &mut Assembled, notes: &mut Vec<String>) -> Result<(), ComposeError> {
    let mut inside = Vec::with_capacity(assembled.uses.len());
    for usage in assembled.uses.drain(..) {
        if usage.path.is_empty() && usage.required {
            let what = format!("the {} has a blank path", usage.role);
            return Err(invalid(
                &usage.place,
                what,
                "name the file; a variable in it may have no value in .env",
            ));
        }
        match paths::resolve("", &usage.path) {
            Resolved::OnHost if usage.required => assembled.project.on_host.push(usage.on_host()),
            Resolved::OnHost => {}
            Resolved::Outside if usage.required => return Err(paths::outside(&usage)),
            Resolved::Outside => {
                if dir.join(&usage.path).exists() {
                    notes.push(format!(
                        "{}: the {} {} lies outside the stack's folder and is not sent",
                        usage.place, usage.role, usage.path
                    ));
                }
            }
            Resolved::Inside(path) => {
                let there = dir.join(&path);
                if usage.required && !there.exists() {
                    let what = format!("the {} {path} is not in the folder", usage.role);
                    return Err(invalid(&usage.place, what, "create it, or correct the path"));
                }
                if usage.required && usage.role == read::ENV_FILE && there.is_dir() {
                    let what = format!("the {} {path} is a folder", usage.role);
                    return Err(invalid(&usage.place, what, "name a file in it"));
                }
                inside.push(PathUse { path, ..usage });
            }
        }
    }
    assembled.uses = inside;
    environment_files(dir, assembled)
}

/// What services take their environment from has to be in Compose's form.
fn environment_files(dir: &Path, assembled: &Assembled) -> Result<(), ComposeError> {
    let project = &assembled.project;
    for file in project.enabled().flat_map(|service| &service.env_files).filter(|file| !file.raw) {
        let Resolved::Inside(path) = paths::resolve("", &file.path) else { continue };
        // What is missing and needed was refused; what is not text, Compose reads as it can.
        if let Ok(text) = std::fs::read_to_string(dir.join(&path)) {
            project.environment.clone().with_beneath(&[(path, text)])?;
        }
    }
    Ok(())
}

/// Makes mounts relative to the folder, and looks what of them is there.
fn resolve_mounts(dir: &Path, project: &mut Project, places: &[Vec<PathUse>]) -> Result<(), ComposeError> {
    for (service, places) in project.services.iter_mut().zip(places) {
        for (mount, usage) in service.mounts.iter_mut().zip(places) {
            match paths::resolve("", &mount.source) {
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
    std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::InvalidData => ComposeError::NotText { path: path.to_path_buf() },
        _ => ComposeError::Read { path: path.to_path_buf(), source },
    })
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
    files: &dyn Files,
) -> Result<Assembled, ComposeError> {
    let first = sources.first().map(|(file, _)| file.as_str()).unwrap_or_default();
    let mut env = env.clone();
    let name = project_name(sources, &env, naming)?;
    env.set("COMPOSE_PROJECT_NAME", name.clone());
    let mut loader = Loader::new(files);
    let root = loader.model(sources, folder_of(first), &env, &[])?;
    let mut warnings = env.warnings().to_vec();
    warnings.append(&mut loader.warnings);
    warnings.extend(loader.unset.warnings());
    let mut read = read::project(&root, &env)?;
    relations::check(&root, &read)?;
    read.uses.append(&mut loader.taken_in);
    let (resources, declared_volumes) = resources::of(&root, &read, &name);
    let own: Vec<String> = sources.iter().map(|(file, _)| file.clone()).chain([".env".to_owned()]).collect();
    let networks = networks::networks(&root, &name);
    let mut project = Project {
        name,
        file: first.to_owned(),
        files: sources.iter().map(|(file, _)| file.clone()).collect(),
        services: read.services.iter().map(|s| s.service.clone()).collect(),
        sensitive: sensitive(&read.uses),
        own_files: own.clone(),
        read_files: own.clone(),
        named: own,
        on_host: Vec::new(),
        contexts: Vec::new(),
        networks,
        resources,
        declared_volumes,
        environment: env.clone(),
        warnings,
    };
    let taken_in = read.uses.iter().filter(|usage| usage.role == paths::TAKEN_IN);
    project.files.extend(taken_in.map(|usage| usage.path.clone()));
    check::project(&mut project, &read)?;
    for (service, placed) in project.services.iter_mut().zip(&read.services) {
        service.bases = placed.recipe.iter().flat_map(|recipe| recipe.bases(files)).collect();
    }
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

/// The name in Compose's order: given, `.env`, the files, the folder.
fn project_name(
    sources: &[(String, String)],
    env: &Environment,
    naming: Naming<'_>,
) -> Result<String, ComposeError> {
    let (name, origin) = if let Some(name) = naming.explicit {
        (name.to_owned(), "the project's settings".to_owned())
    } else if let Some(name) = env.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()) {
        (name.to_owned(), "COMPOSE_PROJECT_NAME in .env".to_owned())
    } else {
        let name = match declared_name(sources, env)?.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => sanitise(naming.folder),
        };
        return match name.is_empty() {
            false => Ok(name),
            true => {
                let origin = "the folder's name".to_owned();
                Err(ComposeError::Name { name: naming.folder.to_owned(), origin })
            }
        };
    };
    match !name.is_empty() && sanitise(&name) == name {
        true => Ok(name),
        false => Err(ComposeError::Name { name, origin }),
    }
}

/// What the last file that says `name:` says, as Compose makes a name of it.
fn declared_name(sources: &[(String, String)], env: &Environment) -> Result<Option<String>, ComposeError> {
    let mut declared: Option<Node> = None;
    for (file, text) in sources {
        let documents = yaml::documents(text, file)?;
        declared =
            documents.iter().filter_map(|document| document.get("name")).next_back().cloned().or(declared);
    }
    let Some(mut node) = declared else { return Ok(None) };
    let is_blank = node.text().is_none_or(str::is_empty);
    let place = node.place.clone();
    substitute(&mut node, env, &mut Unset::default())?;
    let name = sanitise(node.text().unwrap_or_default());
    if name.is_empty() && !is_blank {
        let what = "the project's name has no letter or digit".to_owned();
        return Err(invalid(&place, what, "write one, or set the variable that it comes from in .env"));
    }
    Ok(Some(name))
}

/// What Compose makes of the name of a folder, or in a file.
fn sanitise(name: &str) -> String {
    let lower = name.to_lowercase();
    let kept: String = lower.chars().filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}
