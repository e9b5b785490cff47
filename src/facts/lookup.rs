//! What steps look up in [`Facts`], without unwrapping two layers each time.

use semver::Version;

use super::question::Question;
use super::types::{Container, Disk, Facts, File, Group, Image, Listening, Package, Reach, Unit, User};

impl Facts {
    /// An installed package; none when it is not installed or nobody asked.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.get(name)?.as_ref()
    }

    /// Whether a package is fully installed.
    pub fn is_installed(&self, name: &str) -> bool {
        self.package(name).is_some_and(|package| package.configured)
    }

    /// A file; none when there is none or nobody asked.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)?.as_ref()
    }

    /// A file's content, where the probe was asked for it and gave it.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        self.file(path)?.content.as_deref()
    }

    /// A group; none when there is none or nobody asked.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)?.as_ref()
    }

    /// A login; none when there is none or nobody asked.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)?.as_ref()
    }

    /// Whether a login is in a group, by the group's list or as its primary group; both must
    /// have been asked for.
    pub fn is_member(&self, user: &str, group: &str) -> bool {
        self.group(group).is_some_and(|group| {
            group.members.iter().any(|member| member == user)
                || self.user(user).is_some_and(|user| user.gid == group.gid)
        })
    }

    /// Whether a run is going on there, and who started it.
    pub fn run_going_on(&self) -> Option<(&str, &str)> {
        let lease = self.lease.as_ref()?;
        let last = self.last_run.as_ref().filter(|last| last.alive && last.id == lease.run)?;
        Some((&last.id, &lease.holder))
    }

    /// The stacks that provision has brought to the host; known where claims were asked for.
    pub fn stacks(&self) -> impl Iterator<Item = &str> {
        const STACKS: &str = "/var/lib/provision/stacks/";
        let below = self.files.range(STACKS.to_owned()..);
        below
            .map_while(|(path, file)| Some((path.strip_prefix(STACKS)?, file)))
            .filter_map(|(rest, file)| file.as_ref().and(rest.strip_suffix("/origin")))
            .filter(|name| !name.contains('/'))
    }

    /// Whether it is provisioning itself just now.
    pub fn is_at_first_boot(&self) -> bool {
        self.first_boot.as_ref().is_some_and(|first_boot| first_boot.state == "running")
            && self.cloud_init.as_ref().is_some_and(|cloud_init| cloud_init.status == "running")
    }

    /// A systemd unit; none when nobody asked.
    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.get(name)
    }

    /// Space where a path lies; none when nobody asked.
    pub fn disk(&self, path: &str) -> Option<Disk> {
        self.disks.get(path).copied()
    }

    /// Whether `host:port` was reached; none when it was not tried.
    pub fn reached(&self, address: &str) -> Option<Reach> {
        self.reach.get(address).copied()
    }

    /// The version of the Docker daemon; none when there is no docker or it does not answer.
    pub fn docker_engine(&self) -> Option<&Version> {
        self.docker.as_ref()?.engine.as_ref()
    }

    /// The version of the Compose plugin; none when there is none.
    pub fn compose(&self) -> Option<&Version> {
        self.docker.as_ref()?.compose.as_ref()
    }

    /// An image that the host has; none when it does not or nobody asked.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.get(name)?.as_ref()
    }

    /// The containers of a Compose project.
    pub fn containers_of<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| container.project == project)
    }

    /// Whether the probe was asked this, as far as its answer shows it: what it found at most adds lines
    /// for (sources, containers, rules) may have been asked for in vain.
    pub fn answers(&self, question: &Question) -> bool {
        match question {
            Question::Package(name) => self.packages.contains_key(name),
            Question::File { path, .. }
            | Question::SentFile { path, .. }
            | Question::Record { path, .. }
            | Question::SecretFile(path)
            | Question::Presence(path)
            | Question::Place(path) => self.files.contains_key(path),
            Question::Bundle { digest, folder, otherwise, .. } => {
                self.bundle(folder, digest).is_some() || otherwise.iter().all(|file| self.answers(file))
            }
            Question::Group(name) => self.groups.contains_key(name),
            Question::User(name) => self.users.contains_key(name),
            Question::Unit(name) => self.units.contains_key(name),
            Question::Disk(path) => self.disks.contains_key(path),
            // Asked only where there is a daemon to ask.
            Question::Image(name) => self.docker_engine().is_none() || self.images.contains_key(name),
            Question::Network(name) => self.docker_engine().is_none() || self.networks.contains_key(name),
            Question::Volume(name) => {
                self.docker_engine().is_none() || self.neighbours.volumes.contains_key(name)
            }
            Question::AptSource(_)
            | Question::ContainerName(_)
            | Question::Volumes(_)
            | Question::Manifest { .. }
            | Question::Reach(_)
            | Question::Docker
            | Question::DockerRoot
            | Question::Project(_)
            | Question::Published
            | Question::Claims
            | Question::Firewall
            | Question::IfOpened(_)
            | Question::Bridge
            | Question::Routes => true,
        }
    }

    /// The sockets that listen on a port; `protocol` is `tcp` or `udp`.
    pub fn listening_on<'a>(&'a self, protocol: &'a str, port: u16) -> impl Iterator<Item = &'a Listening> {
        self.listening.iter().filter(move |socket| socket.port == port && socket.protocol == protocol)
    }
}

impl Unit {
    /// Whether systemd knows the unit.
    pub fn is_loaded(&self) -> bool {
        self.load == "loaded"
    }

    /// Whether it runs, or has run and remains (`active`).
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }

    /// Whether it starts at boot: enabled, or always (`static`, `alias`, `generated`, `indirect`).
    pub fn is_enabled(&self) -> bool {
        matches!(self.enabled.as_str(), "enabled" | "static" | "alias" | "generated" | "indirect")
    }
}

/// How long a container that has just been started may still end at once, in seconds: as long as `watch`
/// in `[steps.stack]` unless it is set, so that what an `up` has watched is not waited for by the next.
const MOMENT: u64 = 5;

impl Container {
    /// Whether it has been started a moment ago: its health check has not spoken, or it has run for a
    /// few seconds only.
    pub fn is_starting(&self) -> bool {
        if self.state != "running" || self.status.contains("(unhealthy)") || self.status.contains("(healthy)")
        {
            return false;
        }
        let up = self.status.strip_prefix("Up ").unwrap_or_default();
        let seconds = match up.split_once(' ') {
            Some(("Less", _)) => Some(0),
            Some((number, rest)) if rest.starts_with("second") => number.parse::<u64>().ok(),
            _ => None,
        };
        self.status.contains("(health: starting)") || seconds.is_some_and(|seconds| seconds < MOMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_just_been_started_is_starting() {
        for (state, status, expected) in [
            ("running", "Up 3 minutes", false),
            ("running", "Up 3 minutes (health: starting)", true),
            ("running", "Up 4 seconds (healthy)", false),
            ("running", "Up 4 seconds (unhealthy)", false),
            ("running", "Up Less than a second", true),
            ("running", "Up 1 second", true),
            ("running", "Up 4 seconds", true),
            ("running", "Up 5 seconds", false),
            ("running", "Up About a minute", false),
            ("restarting", "Restarting (1) 2 seconds ago", false),
            ("exited", "Exited (0) 2 seconds ago", false),
        ] {
            let container = Container { state: state.into(), status: status.into(), ..Container::default() };
            assert_eq!(container.is_starting(), expected, "{state} {status}");
        }
    }

    #[test]
    fn stacks_are_known_by_their_origins() {
        let file = |path: &str, is_there: bool| (path.to_owned(), is_there.then(File::default));
        let mut facts = Facts::default();
        facts.files.extend([
            file("/var/lib/provision/stacks", true),
            file("/var/lib/provision/stacks/a/origin", true),
            file("/var/lib/provision/stacks/b/origin", false),
            file("/var/lib/provision/stacks/c/manifest", true),
            file("/var/lib/provision/stacks/d/x/origin", true),
            file("/var/lib/provision/stackz/e/origin", true),
        ]);
        assert_eq!(facts.stacks().collect::<Vec<_>>(), ["a"]);
    }
}
