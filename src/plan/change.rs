//! A change: the smallest thing that a run does and a person can judge.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::{Own, Recorded, load};

/// One change to a host: what a person sees of it, and what the runner needs to make it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// Stable name, `step/action` with a subject where there are several: `user/member:deploy`.
    pub id: String,
    /// One line for a person, in the imperative: `install docker-ce and 4 more packages`.
    pub title: String,
    /// Why: what the host has now instead.
    pub reason: String,
    /// What a person should know before saying yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<Risk>,
    /// Files that it writes or removes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// How to undo it by hand, where it can be undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// What the runner executes.
    pub action: Action,
}

/// What the runner executes for a change: three functions in a step's shell file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Action {
    /// The step, and so the file: `docker` is `scripts/steps/docker.sh`.
    #[serde(deserialize_with = "load::text")]
    pub step: Own,
    /// The functions' common name: `engine` is `engine_guard`, `engine_apply`, `engine_verify`.
    #[serde(deserialize_with = "load::text")]
    pub name: Own,
    /// Values for those functions, which read them with `arg NAME`. Never a secret.
    #[serde(default, deserialize_with = "load::values", skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<Own, String>,
    /// Values that no plan shows: not secrets themselves, but what a short one could be guessed from.
    #[serde(skip)]
    pub unshown: BTreeMap<&'static str, String>,
    /// How long each of the functions may take, in seconds.
    pub timeout: u32,
}

impl Action {
    /// An action without values that may take ten minutes.
    pub fn new(step: &'static str, name: &'static str) -> Self {
        Self { step, name, arguments: BTreeMap::new(), unshown: BTreeMap::new(), timeout: 600 }
    }

    /// Adds a value. An address with a password in it is not shown.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        match super::has_password(&value) {
            true => self.unshown.insert(name, value),
            false => self.arguments.insert(name, value),
        };
        self
    }

    /// Adds a value that no plan shows.
    #[must_use]
    pub fn with_unshown(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.unshown.insert(name, value.into());
        self
    }

    /// Sets how long each function may take, in seconds.
    #[must_use]
    pub fn within(mut self, seconds: u32) -> Self {
        self.timeout = seconds;
        self
    }
}

/// What a person should know before saying yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "risk", rename_all = "kebab-case")]
pub enum Risk {
    /// The Docker daemon restarts; `live_restore` says whether containers run on meanwhile.
    RestartsDocker {
        /// Whether running containers survive it.
        live_restore: bool,
    },
    /// Running containers of the stack are replaced or stopped.
    InterruptsService {
        /// Which services.
        services: Vec<String>,
    },
    /// An image is built on the host.
    Builds {
        /// The service that runs it.
        service: String,
        /// The images that it begins from.
        from: Vec<String>,
    },
    /// A port is published on addresses that others may reach.
    OpensPort {
        /// The published port or range, with protocol: `8080/tcp`.
        port: String,
        /// The service behind it.
        service: String,
    },
    /// Others are let in at a port.
    LetsIn {
        /// The port or range with its protocol: `8080/tcp`.
        port: String,
        /// The networks and addresses that may; empty where anybody may.
        from: Vec<String>,
        /// Who answers there: services, processes; empty where nobody does yet.
        behind: Vec<String>,
    },
    /// What answers at a port now is not reached from outside any more.
    ShutsOut {
        /// The port with its protocol: `9090/tcp`.
        port: String,
        /// What answers there; empty where it is not known.
        behind: String,
    },
    /// Something is downloaded.
    Downloads {
        /// How much, in bytes, where it is known.
        bytes: Option<u64>,
    },
    /// A login gains root's permissions.
    GivesRoot {
        /// The login.
        user: String,
    },
    /// Packages or files are removed.
    Removes {
        /// What.
        what: Vec<String>,
    },
    /// What a database holds is replaced by what a backup holds.
    ReplacesDatabase {
        /// The database.
        name: String,
        /// The backup.
        by: String,
    },
    /// A file that was edited on the host is replaced; the previous version is kept.
    ReplacesEdited {
        /// The file's path on the host.
        path: String,
    },
    /// A file that provision has never sent is replaced; the previous version is kept.
    ReplacesForeign {
        /// The file's path on the host.
        path: String,
    },
    /// A file that was edited on the host is removed; a copy is kept.
    RemovesEdited {
        /// The file's path on the host.
        path: String,
    },
    /// A folder was given other permissions on the host, and gets those that it has here.
    ResetsPermissions {
        /// The folder's path on the host.
        path: String,
        /// What it has, in octal, with its owner where that is another than root.
        from: String,
        /// What it gets.
        to: String,
    },
    /// A file that containers may have written to is replaced; the previous version is kept.
    OverwritesData {
        /// The file's path on the host.
        path: String,
    },
}

/// A file that a change writes or removes.
#[derive(Clone)]
pub struct FileChange {
    /// Absolute path on the host.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// SHA-256 of the new content, hexadecimal; none when the file is removed.
    pub sha256: Option<String>,
    /// The content that stands on the host, where it is known, small and not sensitive.
    pub before: Option<Vec<u8>>,
    /// The new content; none when the file is removed. Travels on stdin, never in a saved plan.
    pub content: Option<Vec<u8>>,
    /// Whether the content must not be shown.
    pub sensitive: bool,
    /// Whether a file stands there now.
    pub exists: bool,
    /// What was shown of it, in a plan that was saved and loaded again.
    pub recorded: Option<Recorded>,
}

impl FileChange {
    /// The hash of what may be shown: a short secret could be guessed from its own.
    fn shown_sha256(&self) -> Option<&str> {
        self.sha256.as_deref().filter(|_| !self.sensitive)
    }
}

impl Serialize for FileChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut file = serializer.serialize_struct("FileChange", 6)?;
        file.serialize_field("path", &self.path)?;
        file.serialize_field("mode", &self.mode)?;
        file.serialize_field("owner", &self.owner)?;
        file.serialize_field("sha256", &self.shown_sha256())?;
        file.serialize_field("sensitive", &self.sensitive)?;
        file.serialize_field("exists", &self.exists)?;
        file.end()
    }
}

impl std::fmt::Debug for FileChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileChange")
            .field("path", &self.path)
            .field("mode", &format_args!("{:04o}", self.mode))
            .field("owner", &self.owner)
            .field("sha256", &self.shown_sha256())
            .field("sensitive", &self.sensitive)
            .field("exists", &self.exists)
            .finish_non_exhaustive()
    }
}
