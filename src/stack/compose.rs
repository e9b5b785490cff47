//! The Compose project, read as Docker Compose will read it on the host.
//!
//! What a plan needs is read: images, ports, health checks, the order of services, what of the
//! folder is used. The rest is checked for what Compose would refuse on the host, and left to it.

mod backups;
mod check;
mod complaint;
mod definition;
mod dotenv;
mod interpolate;
mod loader;
mod merge;
mod named;
mod networks;
mod paths;
mod ports;
mod read;
mod rebase;
mod recipe;
mod relations;
mod resources;
mod scalar;
mod schema;
mod shell_words;
mod source;
mod variables;
mod words;
mod written;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use backups::Backups;
pub use complaint::with_place;
pub use definition::Definition;
pub use dotenv::{Environment, write as write_env};
pub use named::Context;
pub use networks::Network;
pub use paths::{Here, Mount};
pub use ports::{Port, PortRange, Protocol};
pub use resources::{Resource, ResourceKind};
pub use source::Naming;
pub use written::{Written, written};
use yaml::Place;

use super::images::Reference;

/// The names of a project's first file, in Compose's order.
pub const FILE_NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// Whether a folder holds a project: its first file, or a `.env` that names one, which may be in
/// another folder and have another name.
#[must_use]
pub fn is_project(folder: &Path) -> bool {
    let named = || {
        // Compose takes any bytes.
        let bytes = std::fs::read(folder.join(".env")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let env = Environment::parse(&text, ".env");
        env.is_ok_and(|env| env.get("COMPOSE_FILE").is_some_and(|file| !file.is_empty()))
    };
    FILE_NAMES.iter().any(|name| folder.join(name).is_file()) || named()
}

/// A Compose project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The project's name; containers and volumes carry it.
    pub name: String,
    /// The first file, relative to the folder.
    pub file: String,
    /// All files in the order in which they are merged; the first is `file`. After them, those that
    /// they include and extend.
    pub files: Vec<String>,
    /// The services in the file's order, the disabled ones among them.
    pub services: Vec<Service>,
    /// Files of the folder that hold secrets: `env_file` of services, and the
    /// files under the top-level `secrets`.
    pub sensitive: Vec<String>,
    /// Files of the folder that Compose itself reads: its own, `.env`, and those of `env_file`,
    /// secrets and configs.
    pub own_files: Vec<String>,
    /// Those of them that `docker compose config` reads: no secrets and configs but what services take
    /// their environment from.
    pub read_files: Vec<String>,
    /// Files and folders of the folder that it names anywhere: they are sent although git ignores
    /// them. An absolute path is the host's own.
    pub named: Vec<String>,
    /// What services that are on read by an absolute path: files of the host's own.
    pub on_host: Vec<OnHost>,
    /// The folders of the folder that images are built from.
    pub contexts: Vec<Context>,
    /// The networks that Compose makes for it.
    pub networks: Vec<Network>,
    /// Volumes and networks that services use.
    pub resources: Vec<Resource>,
    /// The names on the host of all volumes that the project declares, those in use or not.
    pub declared_volumes: Vec<String>,
    /// The variables of `.env`, with those that settings lay over them.
    pub environment: Environment,
    /// What a person should know, each with its file and line.
    pub warnings: Vec<String>,
}

/// A file that a project names by an absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnHost {
    /// The path.
    pub path: String,
    /// What it is for, as a person would say.
    pub role: &'static str,
    /// The file and line that say so.
    pub place: String,
    /// Whether it was written with `~` or `$HOME`.
    pub home: bool,
}

/// A service of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The service's name.
    pub name: String,
    /// Its image; `None` when it is only built, or not known ahead.
    pub image: Option<String>,
    /// Whether it is built from a Dockerfile.
    pub build: bool,
    /// Whether the build of another service makes its image.
    pub is_made_here: bool,
    /// The images that it is built from, as its Dockerfile names them; a variable without a value stays.
    pub bases: Vec<String>,
    /// Whether a newer image for its tag is asked for at each start (`pull_policy: always`, and
    /// those that name a time).
    pub asks_again: bool,
    /// The platform it asks for, such as `linux/amd64`.
    pub platform: Option<String>,
    /// What it publishes on the host.
    pub ports: Vec<Port>,
    /// The network mode; `host` means that all its ports are the host's.
    pub network_mode: Option<String>,
    /// Whether the Compose file gives it a health check. Without one, the image may.
    pub healthcheck: bool,
    /// The services that it waits for.
    pub depends_on: Vec<Dependency>,
    /// Whether an enabled service waits until this one has completed.
    pub one_shot: bool,
    /// The restart policy.
    pub restart: Option<String>,
    /// The profiles that it belongs to.
    pub profiles: Vec<String>,
    /// Whether `up` starts it: no profiles, or one of them active in `.env`.
    pub enabled: bool,
    /// Whether it takes an image that the host already has, and none else: `pull_policy: never`.
    pub never_pulled: bool,
    /// How many containers it has.
    pub scale: u32,
    /// Whether a new container is started before the one that it replaces is stopped:
    /// `deploy.update_config.order: start-first`.
    pub start_first: bool,
    /// The fixed name of its container, so that there can be one only.
    pub container_name: Option<String>,
    /// The file and line that say so.
    pub container_name_place: String,
    /// What it backs up, where that is what it is for.
    pub backups: Option<Backups>,
    /// `user:`, where it is given as a number: the user that reads what is mounted.
    pub uid: Option<u32>,
    /// Hashes of its definition: its containers are recreated when that changes.
    pub definition: Definition,
    /// Files of the folder that its `secrets` and `configs` give it, relative to the folder.
    pub given: Vec<String>,
    /// Files and folders of the folder that it is made from: `env_file`, `label_file`, what it is
    /// built from. Compose recreates its containers when they change.
    pub made_from: Vec<String>,
    /// Its files of `env_file`, as they are named.
    pub env_files: Vec<EnvFile>,
    /// Files and folders of the host that it takes its environment from or mounts, by absolute path.
    pub reads: Vec<String>,
    /// The files and folders of the host that its containers see.
    pub mounts: Vec<Mount>,
}

/// A file that a service takes its environment from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// Its path, as the Compose file has it.
    pub path: String,
    /// Whether everything after `=` is the value (`format: raw`).
    pub raw: bool,
}

impl Service {
    /// The image's full name, where it is known.
    #[must_use]
    pub fn reference(&self) -> Option<Reference> {
        // Reading the project has already refused what does not parse.
        self.image.as_deref().and_then(|image| Reference::parse(image).ok())
    }

    /// Whether its image comes from a registry, rather than from a build.
    #[must_use]
    pub fn is_pulled(&self) -> bool {
        self.image.is_some() && !self.build && !self.is_made_here && !self.never_pulled
    }
}

/// That a service waits for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The service that is waited for.
    pub service: String,
    /// What is waited for.
    pub condition: Condition,
    /// Whether it must be there at all.
    pub required: bool,
    /// Whether Compose restarts the one that waits when it recreates this one.
    pub restart: bool,
    /// Whether the one that waits has this one's network, processes or volumes, which go away with its
    /// container: Compose recreates both.
    pub shared: bool,
    /// Whether that is its network or processes, which go away when its container is restarted, too.
    pub namespace: bool,
}

/// What a service waits for in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its container has started.
    Started,
    /// Its health check passes.
    Healthy,
    /// It ran and exited with 0.
    CompletedSuccessfully,
}

/// Why a project cannot be read, or would not come up.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The folder has no Compose file.
    #[error(
        "no Compose file in {}: looked for {}; add one, or name the folder that has it",
        .folder.display(), FILE_NAMES.join(", ")
    )]
    NotFound {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}; check that it exists and that you may read it", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no text.
    #[error("{} is not UTF-8 text; save it as UTF-8", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A file is not YAML.
    #[error("{file}:{line}:{column}: not valid YAML: {problem}; correct the file there")]
    Yaml {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What the parser said.
        problem: String,
    },
    /// A line that Compose would refuse, or that could not run.
    #[error("{file}:{line}: {what}; {remedy}")]
    Invalid {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The project's name is not one that Compose takes.
    #[error(
        "project name {name:?} from {origin} is not valid; use lower-case letters, digits, `-` \
         and `_`, and begin with a letter or digit"
    )]
    Name {
        /// The name.
        name: String,
        /// Where it comes from.
        origin: String,
    },
}

/// How a folder is loaded.
#[derive(Debug, Clone, Default)]
pub struct Loading {
    /// The project's name, before every other source.
    pub name: Option<String>,
    /// Values that go over those of `.env`.
    pub env: BTreeMap<String, String>,
}

impl Project {
    /// Loads the project in a folder.
    pub fn load(dir: &Path, name: Option<&str>) -> Result<Project, ComposeError> {
        let loading = Loading { name: name.map(str::to_owned), ..Loading::default() };
        Project::load_with(dir, &loading)
    }

    /// Loads the project in a folder, in a way of one's own.
    pub fn load_with(dir: &Path, loading: &Loading) -> Result<Project, ComposeError> {
        source::load(dir, loading)
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|s| s.name == name)
    }

    /// Takes mounts by an absolute path for what they are where they lead into the stack's own folder
    /// on the host, and `~` for the home of root, who runs Compose there.
    pub fn localise(&mut self, folder: &str) {
        // From its own folder on, it is asked for there.
        for file in &mut self.on_host {
            if let Some(rest) =
                file.path.strip_prefix(paths::WORKING_FOLDER).filter(|rest| rest.starts_with('/'))
            {
                file.path = format!("{folder}{rest}");
            }
            file.home |= paths::leave_home(&mut file.path);
        }
        for mount in self.services.iter_mut().flat_map(|service| &mut service.mounts) {
            mount.home |= paths::leave_home(&mut mount.source);
        }
        let mounts = self.services.iter_mut().flat_map(|service| &mut service.mounts);
        let contexts = self.contexts.iter_mut().map(|context| &mut context.folder);
        for path in mounts.map(|mount| &mut mount.source).chain(&mut self.named).chain(contexts) {
            paths::leave_home(path);
            for root in [folder, paths::WORKING_FOLDER] {
                let Some(rest) = path.strip_prefix(root) else { continue };
                if rest.is_empty() || rest.starts_with('/') {
                    *path = rest.trim_matches('/').to_owned();
                    break;
                }
            }
        }
    }

    /// Whether a path of the folder is the application's, since a container may write to it.
    /// Services that are off count as well: they can be switched on, or run by hand. What Compose
    /// itself reads is not the application's, even where the whole folder is mounted.
    #[must_use]
    pub fn is_written(&self, path: &str) -> bool {
        self.writers(path).next().is_some() && !self.own_files.iter().any(|file| file == path)
    }

    /// Whether a container mounts a path of the folder, or a folder above it.
    #[must_use]
    pub fn is_mounted(&self, path: &str) -> bool {
        let mut mounts = self.services.iter().flat_map(|service| &service.mounts);
        mounts.any(|mount| mount.is_inside() && mount.covers(path))
    }

    /// The mounts by which containers may write to a path of the folder, each with its service.
    pub fn writers<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a Service, &'a Mount)> {
        let mounts =
            self.services.iter().flat_map(|service| service.mounts.iter().map(move |mount| (service, mount)));
        mounts.filter(move |(_, mount)| mount.writes_to(path))
    }

    /// The services that `up` starts.
    pub fn enabled(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|s| s.enabled)
    }
}

/// Reads one Compose file. Does no I/O: there are no others that it could take in.
pub fn parse(text: &str, file: &str, env: &Environment, naming: Naming<'_>) -> Result<Project, ComposeError> {
    let sources = [(file.to_owned(), text.to_owned())];
    Ok(source::assemble(&sources, env, naming, &NoFiles)?.project)
}

/// A folder with nothing in it.
struct NoFiles;

impl loader::Files for NoFiles {
    fn read(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}

fn invalid(place: &Place, what: String, remedy: impl Into<String>) -> ComposeError {
    ComposeError::Invalid { file: place.file.to_string(), line: place.line, what, remedy: remedy.into() }
}
