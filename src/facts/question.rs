//! What steps ask the probe.

use std::collections::BTreeSet;

/// A question to the host. All of them go out in one probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Whether a package is installed, and its version.
    Package(String),
    /// A file's hash, mode and owner; its content too when it is at most 64 KiB and its hash
    /// is not `unless` (an empty text: always).
    File {
        /// Absolute path.
        path: String,
        /// The SHA-256 that makes the content uninteresting.
        unless: Option<String>,
    },
    /// A file's hash, mode and owner; never its content.
    SecretFile(String),
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
    /// Docker's version and state.
    Docker,
    /// Containers of this Compose project.
    Project(String),
    /// Whether the host has this image.
    Image(String),
}

impl Question {
    /// The line that the probe reads: a word, then arguments separated by tabs.
    ///
    /// A question with a tab or a line break in it cannot be asked; it would be
    /// another question. Steps ask for names and paths that configuration has
    /// checked, so none is returned only for what could not exist there either.
    pub fn line(&self) -> Option<String> {
        let line = match self {
            Self::Package(name) => format!("package\t{name}"),
            Self::File { path, unless } => {
                format!("file\t{path}\t{}", unless.as_deref().unwrap_or("-"))
            }
            Self::SecretFile(path) => format!("secret-file\t{path}"),
            Self::Group(name) => format!("group\t{name}"),
            Self::User(name) => format!("user\t{name}"),
            Self::Unit(name) => format!("unit\t{name}"),
            Self::Disk(path) => format!("disk\t{path}"),
            Self::AptSource(text) => format!("apt-source\t{text}"),
            Self::Reach(address) => format!("reach\t{address}"),
            Self::Docker => "docker".to_owned(),
            Self::Project(name) => format!("project\t{name}"),
            Self::Image(name) => format!("image\t{name}"),
        };
        (!line.contains(['\n', '\r', '\0'])).then_some(line)
    }
}

/// Questions of all steps, each asked once.
pub type Questions = BTreeSet<Question>;
