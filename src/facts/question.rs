//! What steps ask the probe.

use std::collections::BTreeSet;

/// A question to the host. All of them go out in one probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Whether a package is installed, and its version.
    Package(String),
    /// A file's hash, mode and owner; its content too when it is at most 64 KiB and its hash
    /// is not `unless`.
    File {
        /// Absolute path.
        path: String,
        /// The SHA-256 (hexadecimal, small letters) that makes the content uninteresting; none: the
        /// content is always wanted.
        unless: Option<String>,
    },
    /// The same of a file of a large bundle: the content of the first forty that differ, which are those
    /// that a plan shows.
    SentFile {
        /// Absolute path.
        path: String,
        /// The SHA-256 that makes the content uninteresting.
        unless: String,
    },
    /// A file's hash, mode and owner; never its content.
    SecretFile(String),
    /// A list that provision itself keeps on the host: all of it, however long, where its hash is not
    /// `unless`.
    Record {
        /// Absolute path.
        path: String,
        /// The SHA-256 that makes the content uninteresting; none: it is always wanted.
        unless: Option<String>,
    },
    /// Whether the files of a bundle are what its list on the host says, and whether that list is the
    /// one that belongs to it here: one digest, however many files. Those that differ are answered one by one.
    Bundle {
        /// The folder on the host with `manifest` and `expected`.
        state: String,
        /// The SHA-256 of both, one after the other.
        digest: String,
        /// The folder that the bundle is in.
        folder: String,
        /// What is asked, in a second probe, where the digest is another one.
        otherwise: BTreeSet<Question>,
    },
    /// Whether there is anything at a path, and of which kind. Costs the same however large it is.
    Presence(String),
    /// The same where a file is to be: of a folder there, whether it holds files, and which.
    Place(String),
    /// The files of a bundle that was sent before, as `SecretFile` answers, where its list differs
    /// from the one that would be written now.
    Manifest {
        /// The list on the host: mode, SHA-256 and path, a line a file.
        path: String,
        /// The SHA-256 (hexadecimal, small letters) of the list that would be written.
        unless: String,
        /// The folder that its paths count from.
        folder: String,
    },
    /// What stacks ask of the host, each in a file of its own, the host's own file, and where each
    /// stack comes from.
    Claims,
    /// A group and its members.
    Group(String),
    /// A login.
    User(String),
    /// A systemd unit.
    Unit(String),
    /// Free space where this path lies.
    Disk(String),
    /// Entries in apt's sources whose address holds this text.
    AptSource(String),
    /// Whether `host:port` is reached; tried only when there is no `docker` program on the host
    /// (a converged host is not made to wait for the network).
    Reach(String),
    /// Where Docker keeps its data by its service's command line or daemon.json, and the free space
    /// there and at containerd's.
    DockerRoot,
    /// Docker's version and state, how its service is started, and engines beside it.
    Docker,
    /// Containers of this Compose project.
    Project(String),
    /// Whether the host has this image.
    Image(String),
    /// Whether the host has this Docker network, and which containers are in it.
    Network(String),
    /// Which container has this name.
    ContainerName(String),
    /// Whether the host has this Docker volume, and which Compose project made it.
    Volume(String),
    /// The Docker volumes that this Compose project made.
    Volumes(String),
    /// The ports that all running containers publish.
    Published,
    /// What filters packets, sshd's ports and the host's addresses.
    Firewall,
    /// Another question, only where some claim lets something in.
    IfOpened(Box<Question>),
    /// The address of Docker's own bridge.
    Bridge,
    /// The host's routes and name servers.
    Routes,
}

impl Question {
    /// The line that the probe reads: a word, then arguments separated by tabs.
    ///
    /// None for what cannot be asked: a name or path with a control character in it
    /// would be another question. Configuration refuses such names long before.
    pub fn line(&self) -> Option<String> {
        let (word, arguments): (_, Vec<&str>) = match self {
            Self::Package(name) => ("package", vec![name]),
            Self::File { path, unless } => ("file", vec![path, unless.as_deref().unwrap_or("-")]),
            Self::SentFile { path, unless } => ("sent-file", vec![path, unless]),
            Self::SecretFile(path) => ("secret-file", vec![path]),
            Self::Record { path, unless } => ("record", vec![path, unless.as_deref().unwrap_or("-")]),
            Self::Bundle { state, digest, folder, .. } => ("bundle", vec![state, digest, folder]),
            Self::Presence(path) => ("presence", vec![path]),
            Self::Place(path) => ("place", vec![path]),
            Self::Manifest { path, unless, folder } => ("manifest", vec![path, unless, folder]),
            Self::Claims => ("claims", vec![]),
            Self::Group(name) => ("group", vec![name]),
            Self::User(name) => ("user", vec![name]),
            Self::Unit(name) => ("unit", vec![name]),
            Self::Disk(path) => ("disk", vec![path]),
            Self::AptSource(text) => ("apt-source", vec![text]),
            Self::Reach(address) => ("reach", vec![address]),
            Self::DockerRoot => ("docker-root", vec![]),
            Self::Docker => ("docker", vec![]),
            Self::Project(name) => ("project", vec![name]),
            Self::Image(name) => ("image", vec![name]),
            Self::Network(name) => ("network", vec![name]),
            Self::ContainerName(name) => ("container-name", vec![name]),
            Self::Volume(name) => ("volume", vec![name]),
            Self::Volumes(project) => ("volumes", vec![project]),
            Self::Published => ("published", vec![]),
            Self::Firewall => ("firewall", vec![]),
            Self::IfOpened(question) => return Some(format!("if-opened\t{}", question.line()?)),
            Self::Bridge => ("bridge", vec![]),
            Self::Routes => ("routes", vec![]),
        };
        let mut line = word.to_owned();
        for argument in arguments {
            if argument.chars().any(super::is_hostile) {
                return None;
            }
            line.push('\t');
            line.push_str(argument);
        }
        Some(line)
    }
}

/// Questions of all steps, each asked once.
pub type Questions = BTreeSet<Question>;
