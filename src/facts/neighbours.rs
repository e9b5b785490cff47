//! What else is on a host beside the project: containers, volumes and networks of others, other
//! engines, and how Docker's own service is started.

use std::collections::BTreeMap;

use serde::Serialize;

use super::types::Container;

/// What others have on the host, as far as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Neighbours {
    /// Containers, of any project and of none, that have a name which was asked for.
    pub namesakes: Vec<Container>,
    /// Volumes that were asked for, and those of the projects that were asked for; none where the
    /// host does not have it.
    pub volumes: BTreeMap<String, Option<Owner>>,
    /// Docker networks that were asked for and exist, by name.
    pub networks: BTreeMap<String, Owner>,
    /// Programs that serve Docker's interface and are not Docker's system service.
    pub engines: Vec<OtherEngine>,
}

/// What made a volume or a network, by its labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The Compose project; blank where Compose did not make it.
    pub project: String,
}

/// An engine other than Docker's system service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OtherEngine {
    /// The `docker` command is podman's (package podman-docker): its path.
    PodmanCommand {
        /// Its path.
        path: String,
    },
    /// Docker's socket leads to podman.
    PodmanSocket {
        /// Where it leads.
        path: String,
    },
    /// podman serves a socket of its own.
    PodmanService {
        /// The socket.
        path: String,
    },
    /// A Docker that a login runs without root.
    Rootless {
        /// The login, or its number.
        user: String,
        /// Its socket, or the link that starts it with the login's session.
        path: String,
    },
}

/// A line that decides how Docker's service is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServiceLine {
    /// The unit file, drop-in or environment file.
    pub file: String,
    /// The line, such as `ExecStart=/usr/bin/dockerd -H fd://`. It may hold a proxy's password.
    #[serde(skip)]
    pub line: String,
}
