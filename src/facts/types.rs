//! What the probe knows of a host, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use semver::Version;
use serde::Serialize;

use super::bundle::KnownBundle;
use super::neighbours::{Neighbours, ServiceLine};

/// Everything that one probe answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Facts {
    /// The machine and its distribution.
    pub system: System,
    /// Who we are on the host.
    pub identity: Identity,
    /// Free space where a step asked for it, by the path that was asked.
    pub disks: BTreeMap<String, Disk>,
    /// Which addresses were reached from the host, by `host:port`; only what was asked and tried.
    pub reach: BTreeMap<String, Reach>,
    /// The state of apt and dpkg.
    pub apt: Apt,
    /// Packages that were asked for; none where not installed.
    pub packages: BTreeMap<String, Option<Package>>,
    /// Files that were asked for; none where there is none.
    pub files: BTreeMap<String, Option<File>>,
    /// Bundles that were asked for by their digests, by their folders.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bundles: BTreeMap<String, KnownBundle>,
    /// Groups that were asked for; none where there is none.
    pub groups: BTreeMap<String, Option<Group>>,
    /// Logins that were asked for, with the groups they are in; none where there is none.
    pub users: BTreeMap<String, Option<User>>,
    /// systemd units that were asked for.
    pub units: BTreeMap<String, Unit>,
    /// Where Docker keeps its data by its service's command line and daemon.json, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_root: Option<String>,
    /// Docker; none where there is no `docker` program.
    pub docker: Option<Docker>,
    /// Containers of the Compose projects that were asked for.
    pub containers: Vec<Container>,
    /// Images that were asked for; none where the host does not have it.
    pub images: BTreeMap<String, Option<Image>>,
    /// Docker networks that were asked for, each with the ids of the containers that run in it.
    pub networks: BTreeMap<String, Option<BTreeSet<String>>>,
    /// What others have on the host, where it was asked.
    pub neighbours: Neighbours,
    /// How Docker's service is started, the files in the order in which systemd reads them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub docker_service: Vec<ServiceLine>,
    /// Sockets that listen.
    pub listening: Vec<Listening>,
    /// Ports that running containers publish, of all projects and of none, where it was asked.
    pub published: Vec<Published>,
    /// What filters packets, where it was asked.
    pub firewall: Firewall,
    /// The address of Docker's own bridge, at which containers reach the host, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<IpAddr>,
    /// The host's routes, without its default, where it was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The name servers that the host asks, without its own, where it was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub name_servers: Vec<IpAddr>,
    /// Packages that ask for a reboot; none when no reboot is asked for.
    pub reboot_required: Option<Vec<String>>,
    /// The state of cloud-init; none where it is not installed.
    pub cloud_init: Option<CloudInit>,
    /// What became of provisioning itself at its first boot; none where it was not told to.
    pub first_boot: Option<FirstBoot>,
    /// What an earlier run left.
    pub last_run: Option<LastRun>,
    /// The lease on this host, while it holds.
    pub lease: Option<Lease>,
}

/// The machine and its distribution.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct System {
    /// `ID` of os-release: `debian`, `ubuntu`.
    pub id: String,
    /// `ID_LIKE` of os-release.
    pub id_like: String,
    /// `VERSION_ID` of os-release: `13`, `24.04`.
    pub version: String,
    /// `UBUNTU_CODENAME` or `VERSION_CODENAME` of os-release: `trixie`, `noble`.
    pub codename: String,
    /// `PRETTY_NAME` of os-release.
    pub name: String,
    /// dpkg's name of the architecture: `amd64`, `arm64`.
    pub architecture: String,
    /// The kernel's release.
    pub kernel: String,
    /// What systemd-detect-virt calls it: `kvm`, `lxc`, `none`.
    pub virtualization: String,
    /// Whether systemd is process 1.
    pub systemd: bool,
    /// Processors on line.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Swap in bytes.
    pub swap: u64,
    /// The host's clock, in seconds since 1970.
    pub clock: i64,
    /// Whether systemd says that the clock is synchronised (the stamp of timesyncd or chrony); none where unknown.
    pub clock_synchronised: Option<bool>,
    /// The host's own name.
    pub hostname: String,
    /// Time since boot in seconds.
    pub uptime: u64,
}

/// Who we are on the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Identity {
    /// The login.
    pub user: String,
    /// How we become root.
    pub becomes: Become,
    /// The port of the server in this ssh connection; none for `local`.
    pub ssh_port: Option<u16>,
    /// Where this ssh connection comes from, as the host sees it; none for `local`.
    pub ssh_client: Option<IpAddr>,
}

/// How we become root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Become {
    /// We are root.
    #[default]
    Root,
    /// sudo asks nothing.
    Sudo,
    /// sudo wants a password.
    SudoPassword,
}

/// Space of the file system that holds a path (or its nearest existing parent).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Bytes that may still be written, without what the file system keeps back for root:
    /// containers write as other users.
    pub available: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Whether an address was reached from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// A TCP connection was made.
    Reached,
    /// The name did not resolve.
    NoName,
    /// The name resolved, but no connection was made within the time limit.
    NoConnection,
}

/// The state of apt and dpkg.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Apt {
    /// Entries in apt's sources whose address holds one of the texts that were asked for.
    pub sources: Vec<AptSource>,
    /// Entries in apt's sources that apt cannot read: it does nothing until they are fixed.
    pub malformed: Vec<SourceEntry>,
    /// Entries in apt's sources for one suite whose options differ: it does nothing until they agree.
    pub conflicts: Vec<Conflict>,
    /// Age of the package lists in seconds; none where there are none.
    pub lists_age: Option<u64>,
    /// Who holds one of apt's or dpkg's locks.
    pub busy: Option<LockHolder>,
    /// Whether dpkg was interrupted (it has unfinished updates) or packages are not fully configured: their names.
    pub half_configured: Vec<String>,
    /// Whether dpkg's journal (/var/lib/dpkg/updates) is not empty.
    pub interrupted: bool,
    /// Packages on hold.
    pub held: Vec<String>,
}

/// An entry in apt's sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AptSource {
    /// The file.
    pub file: String,
    /// The line of a `.list` file or the `URIs:` line of a `.sources` file, as it stands.
    pub line: String,
}

/// Two entries in apt's sources for one suite that have different values of an option.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The option, such as `Signed-By`.
    pub option: String,
    /// The entry that apt reads first.
    pub first: SourceEntry,
    /// The other one.
    pub second: SourceEntry,
}

/// Where an entry in apt's sources is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceEntry {
    /// The file.
    pub file: String,
    /// The line at which the entry begins, from 1.
    pub line: u32,
}

impl std::fmt::Display for SourceEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Who holds a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LockHolder {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// The lock file.
    pub lock: String,
}

/// An installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Package {
    /// dpkg's version.
    pub version: String,
    /// Whether it is fully installed (`ok installed`).
    pub configured: bool,
}

/// A file on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct File {
    /// Permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// The same in numbers: `UID:GID`. Blank where it is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ids: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, hexadecimal; empty for what is no regular file.
    pub sha256: String,
    /// `regular`, `directory`, `symlink`, `other`. A symbolic link is itself, not what it points to.
    pub kind: String,
    /// Where a symbolic link points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether it is a folder with a file in it, at any depth. Known where a file was expected there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub holds_files: bool,
    /// Paths of files in such a folder, from there on: as many as a person may want to know of.
    #[serde(skip)]
    pub holds: Vec<String>,
    /// The content, where the question asked for it and it is at most 64 KiB.
    #[serde(skip)]
    pub content: Option<Vec<u8>>,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its number.
    pub gid: u32,
    /// Its supplementary members, as /etc/group lists them.
    pub members: Vec<String>,
}

/// A login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
    /// Its home.
    pub home: String,
}

/// A systemd unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// `LoadState`: `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `ActiveState`: `active`, `inactive`, `failed`.
    pub active: String,
    /// `UnitFileState`: `enabled`, `disabled`, `static`; empty where there is none.
    pub enabled: String,
}

/// Docker on the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Docker {
    /// The daemon's version; none when the daemon does not answer.
    pub engine: Option<Version>,
    /// The Compose plugin's version; none when there is no plugin.
    pub compose: Option<Version>,
    /// The daemon's storage driver, as `docker info` says it; empty when the daemon does not answer.
    pub storage: String,
    /// What docker said when the daemon did not answer.
    pub error: Option<String>,
}

/// A container of a Compose project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The Compose project.
    pub project: String,
    /// The Compose service.
    pub service: String,
    /// The image as it was asked for.
    pub image: String,
    /// The id of the image that Compose made it from; blank where it is not known.
    pub image_id: String,
    /// `running`, `exited`, `restarting`, `created`, …
    pub state: String,
    /// What `docker ps` says of it: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
    pub status: String,
    /// The folder from which Compose made it; blank where it is not known.
    pub folder: String,
}

/// An image that the host has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// The digests under which registries have it: `sha256:…`.
    pub digests: Vec<String>,
}

/// A socket that listens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The local address: `0.0.0.0`, `::`, `127.0.0.1`.
    pub address: String,
    /// The local port.
    pub port: u16,
    /// The process behind it, where it is known.
    pub process: String,
}

/// A port of the host that leads to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The container's name.
    pub container: String,
    /// Its Compose project; empty where it has none.
    pub project: String,
    /// Its Compose service; empty where it has none.
    pub service: String,
    /// The address on the host; unspecified (`0.0.0.0`, `::`) for all of a family.
    pub address: IpAddr,
    /// The port on the host.
    pub port: u16,
    /// The port in the container.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// What filters the host's packets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Firewall {
    /// The ports that sshd is told to listen on (`sshd -T`).
    pub ssh_ports: Vec<u16>,
    /// The host's own addresses that others may reach: scope global, of interfaces that are no
    /// container bridges.
    pub addresses: Vec<IpAddr>,
    /// What is loaded just now of the chains that matter: filter INPUT and DOCKER-USER, mangle
    /// FORWARD and PROVISION-FORWARD.
    pub loaded: Vec<LoadedRule>,
    /// Tables of a ruleset that is neither ufw's, nor Docker's, nor fail2ban's, and that drops or
    /// rejects what comes in or is forwarded: `inet filter`.
    pub foreign_tables: Vec<String>,
}

/// A line of `iptables-save` or `ip6tables-save`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadedRule {
    /// 4 or 6.
    pub family: u8,
    /// `filter`, `mangle`.
    pub table: String,
    /// The rule (`-A INPUT -j ufw-before-input`), or a built-in chain with its policy (`:INPUT DROP`).
    pub rule: String,
}

/// A route of the host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Where it leads.
    pub network: IpNet,
    /// The interface.
    pub device: String,
    /// Whether a gateway is asked; otherwise the network is directly connected.
    pub by_gateway: bool,
}

/// The state of cloud-init.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CloudInit {
    /// `running`, `done`, `error`, `degraded` (finished with recoverable errors), `disabled`, `not-started`.
    pub status: String,
}

/// What became of provisioning itself at its first boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FirstBoot {
    /// `running`, `provisioned` or `failed`.
    pub state: String,
    /// The exit code with which it failed.
    pub code: u32,
    /// When that was written, in seconds since 1970.
    pub at: i64,
    /// Its last words, where it failed.
    pub log: Vec<String>,
}

/// What an earlier run left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// Its id.
    pub id: String,
    /// Its journal's last record of the run itself: `running`, `completed`, `failed`, `cancelled`.
    pub state: String,
    /// Whether its systemd unit is still active.
    pub alive: bool,
    /// The id of the last change that began.
    pub change: String,
    /// Who started it: `user@laptop`.
    pub holder: String,
    /// Whose run it was: the name of a stack, or of a playbook without one. Empty where that is not known.
    pub stack: String,
}

impl LastRun {
    /// Whether it was a run for this stack, as far as is known.
    pub fn is_of(&self, stack: &str) -> bool {
        self.stack.is_empty() || self.stack == stack
    }
}

/// The lease on a host: who may change it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// The run that holds it.
    pub run: String,
    /// Who started that run: `user@laptop`.
    pub holder: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// Until when, unless it is renewed.
    pub until: i64,
}
