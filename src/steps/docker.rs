//! The docker step: Engine, CLI, containerd, buildx and the Compose plugin.

mod command_line;
mod daemon;
mod engine;
mod foreign;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeSet;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use daemon::Engine;
pub(super) use daemon::present as daemon_settings;
use verdict::{EngineVerdict, distribution_packages, verdict};

use super::packages::refresh;
use super::{KeyFingerprint, Model, Refusal, Requirement, Step, networks, planned};
use crate::facts::{Question, Questions, Route};
use crate::plan::{Action, Change, FileChange, PlannedStep, Risk, split_login};

const STEP: &str = "docker";
const SOURCES: &str = "/etc/apt/sources.list.d/docker.sources";
const KEY: &str = "/etc/apt/keyrings/docker.asc";
const AUTH: &str = "/etc/apt/auth.conf.d/provision-docker.conf";
/// <https://docs.docker.com/engine/install/debian/> until 2023; the key has not changed since.
const OFFICIAL_KEY: &str = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
const OFFICIAL: &str = "https://download.docker.com";

/// What Docker's own repository has.
const OFFICIAL_PACKAGES: [&str; 5] =
    ["docker-ce", "docker-ce-cli", "containerd.io", "docker-buildx-plugin", "docker-compose-plugin"];

/// What cannot stand beside it: <https://docs.docker.com/engine/install/debian/#uninstall-old-versions>,
/// and the newer distributions' parts of the same programs.
const CONFLICTS: [&str; 9] = [
    "docker.io",
    "docker-cli",
    "docker-compose",
    "docker-compose-v2",
    "docker-buildx",
    "docker-doc",
    "podman-docker",
    "containerd",
    "runc",
];

/// Docker Engine and the Compose plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DockerOptions {
    /// Where the packages come from. Without it a good installation of either kind is left alone,
    /// and a new one comes from Docker's own repository.
    pub source: Option<EngineSource>,
    /// Versions of the Engine that are wanted: `>=27, <29`.
    pub version: Requirement,
    /// A mirror of <https://download.docker.com>, with `/linux/debian` and `/linux/ubuntu` below it.
    pub mirror: Option<String>,
    /// Where the repository's key is, if not at `gpg` below its folder.
    pub key: Option<String>,
    /// The fingerprint that this key must have; Docker's own where neither `mirror` nor `key` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_fingerprint: Option<KeyFingerprint>,
    /// Mirrors of Docker Hub, asked first: `https://HOST` or `http://HOST:PORT`.
    pub registry_mirrors: Vec<String>,
    /// An HTTP proxy for what apt and the daemon download: `http://HOST:PORT`.
    pub proxy: Option<String>,
    /// Whether apt and unattended-upgrades leave Docker's packages alone.
    pub hold: bool,
    /// More settings of daemon.json, merged into what stands there.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub daemon: toml::Table,
    /// How long to wait for somebody else's apt or dpkg to end, in seconds; 300 unless told.
    pub lock_wait: Option<u32>,
}

impl DockerOptions {
    /// Where the daemon keeps its data, where its settings are given it.
    pub fn data_root(&self) -> Option<String> {
        self.daemon.get("data-root").and_then(toml::Value::as_str).map(str::to_owned)
    }

    /// Registries whose certificate the daemon does not check, as its own setting names them.
    pub fn insecure_registries(&self) -> Vec<String> {
        let named = self.daemon.get("insecure-registries").and_then(toml::Value::as_array);
        named.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
    }
}

/// Where Docker's packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineSource {
    /// Docker's own repository, or its mirror.
    Docker,
    /// The distribution's.
    Distribution,
}

/// The docker step.
#[derive(Debug)]
pub struct Docker {
    options: DockerOptions,
}

impl Docker {
    /// The step with its options.
    pub fn new(options: DockerOptions) -> Self {
        Self { options }
    }

    fn mirror(&self) -> &str {
        self.options.mirror.as_deref().unwrap_or(OFFICIAL).trim_end_matches('/')
    }

    /// How the addresses of Docker's repositories begin. Others may lie on the same mirror.
    fn repositories(&self) -> String {
        format!("{}/linux/", split_login(self.mirror()).0)
    }

    /// `host:port` that must be reached before anything can be installed.
    fn way_out(&self) -> Option<String> {
        if self.options.source == Some(EngineSource::Distribution) {
            return None;
        }
        let address = self.options.proxy.as_deref().unwrap_or_else(|| self.mirror());
        let (scheme, rest) = address.split_once("://")?;
        let authority = rest.split('/').next()?.rsplit('@').next()?;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if scheme == "http" { 80 } else { 443 };
        Some(if has_port { authority.to_owned() } else { format!("{authority}:{port}") })
    }

    fn action(&self, name: &'static str) -> Action {
        let mut action =
            Action::new(STEP, name).with("lock_wait", self.options.lock_wait.unwrap_or(300).to_string());
        if let Some(proxy) = &self.options.proxy {
            action = action.with("proxy", proxy);
        }
        action
    }
}

impl Step for Docker {
    fn name(&self) -> &'static str {
        STEP
    }

    fn questions(&self, questions: &mut Questions) {
        questions.insert(Question::Docker);
        questions.insert(Question::Claims);
        questions.insert(Question::Routes);
        questions
            .extend(OFFICIAL_PACKAGES.iter().chain(&CONFLICTS).map(|name| Question::Package((*name).into())));
        questions.insert(Question::File { path: daemon::PATH.into(), unless: None });
        questions.insert(Question::File { path: SOURCES.into(), unless: None });
        questions.insert(Question::File { path: KEY.into(), unless: None });
        if split_login(self.mirror()).1.is_some() {
            questions.insert(Question::SecretFile(AUTH.into()));
        }
        questions.insert(Question::Unit("docker.service".into()));
        questions.insert(Question::Unit(foreign::SNAP_UNIT.into()));
        questions.insert(Question::AptSource(self.repositories()));
        questions.extend(self.way_out().map(Question::Reach));
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        self.check_options()?;
        foreign::check_snap(model)?;
        foreign::check_engines(model)?;
        let mut step = planned(STEP);
        match verdict(&self.options, &model.facts) {
            EngineVerdict::Good(state) => {
                step.state = state;
                step.changes.extend(self.single_entry(model));
                step.changes.extend(daemon::plan(self, model, Engine::Running)?);
                self.check_bridge(model)?;
            }
            EngineVerdict::Silent(why) => {
                step.changes.extend(self.single_entry(model));
                // What does not run starts with the new settings.
                if model.facts.docker_engine().is_none() {
                    step.changes.extend(daemon::plan(self, model, Engine::Stopped)?);
                    self.check_bridge(model)?;
                    step.changes.push(self.service(model, why));
                } else {
                    step.changes.push(self.service(model, why));
                    step.changes.extend(daemon::plan(self, model, Engine::Running)?);
                }
                model.docker_planned = true;
            }
            EngineVerdict::Install(why, source) => {
                step.state = "Docker Engine and Compose plugin".into();
                self.install(model, &mut step, why, source)?;
            }
        }
        if step.changes.is_empty() {
            step.warnings.extend(daemon::remark(model));
        }
        if self.options.hold {
            step.changes.extend(self.hold(model));
        }
        Ok(step)
    }
}

impl Docker {
    fn check_options(&self) -> Result<(), Refusal> {
        let addresses =
            [("mirror", &self.options.mirror), ("key", &self.options.key), ("proxy", &self.options.proxy)];
        for (name, value) in addresses {
            if let Some(value) = value
                && (!value.starts_with("http://") && !value.starts_with("https://")
                    || value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '|'))
            {
                return Err(Refusal::new(
                    STEP,
                    format!("`{value}` is no address"),
                    format!("fix `{name}` in [steps.docker]; it begins with http:// or https://"),
                ));
            }
        }
        Ok(())
    }

    /// Refuses the network that Docker's own bridge gets at the daemon's next start, where it is in use.
    fn check_bridge(&self, model: &mut Model) -> Result<(), Refusal> {
        let has_it = |network: &IpNet| {
            model.facts.routes.iter().any(|route| route.device == "docker0" && route.network == *network)
        };
        // The one that it has now is part of how the host is reached.
        let Some(network) = networks::bridge(model).filter(|network| !has_it(network)) else {
            return Ok(());
        };
        networks::check(STEP, model, &[("Docker's bridge".to_owned(), network)])?;
        let device = "docker0".to_owned();
        model.facts.routes.retain(|route| route.device != device);
        model.facts.routes.push(Route { network, device, by_gateway: false });
        Ok(())
    }

    /// What is missing beside an Engine that is good: that one stays as its owner has it.
    fn missing_parts<'p>(&self, model: &Model, packages: &[&'p str], main: &str) -> Option<Vec<&'p str>> {
        let engine = model.facts.packages.get(main)?.as_ref()?;
        let version = crate::facts::lenient_version(&engine.version)?;
        let missing: Vec<_> = packages.iter().copied().filter(|name| !model.has_package(name)).collect();
        let is_good = engine.configured && self.options.version.allows(&version);
        (is_good && !missing.is_empty()).then_some(missing)
    }

    fn parts(&self, model: &mut Model, missing: &[&str], why: String) -> Change {
        let names = missing.join(" ");
        let action =
            self.action("parts").with("packages", &names).with("refresh", refresh(model)).within(1800);
        model.install(missing.iter().copied());
        Change {
            id: "docker/parts".into(),
            title: format!("install {}", missing.join(", ")),
            reason: format!("{why}; the Engine stays as it is"),
            risks: vec![Risk::Downloads { bytes: None }],
            files: Vec::new(),
            undo: Some(format!("apt-get remove {names}")),
            action,
        }
    }

    /// Our entry for the repository, where somebody has added another: with two keys apt refuses all work.
    fn single_entry(&self, model: &mut Model) -> Option<Change> {
        let ours = model.file(SOURCES).is_some();
        let double = model.facts.apt.sources.iter().any(|source| source.file != SOURCES);
        (ours && double).then(|| self.repository(model)).flatten()
    }

    fn repository(&self, model: &mut Model) -> Option<Change> {
        let system = &model.facts.system;
        let folder = format!("{}{}", self.repositories(), system.id);
        let key_url =
            self.options.key.clone().unwrap_or_else(|| format!("{}/linux/{}/gpg", self.mirror(), system.id));
        let content = format!(
            "# Written by provision.\nTypes: deb\nURIs: {folder}\nSuites: {}\nComponents: stable\nArchitectures: {}\nSigned-By: {KEY}\n",
            system.codename, system.architecture
        );
        let file = super::text_file(model, SOURCES, content);
        let login = self.login(model);
        let files = model.facts.apt.sources.iter().map(|source| source.file.as_str());
        let doubles: BTreeSet<_> = files.filter(|file| *file != SOURCES).map(str::to_owned).collect();
        let has_key = model.file(KEY).is_some_and(|key| key.size > 0);
        if file.is_none() && login.is_none() && doubles.is_empty() && has_key {
            return None;
        }
        let reason = if file.is_none() && login.is_some() {
            "apt does not have the mirror's login".to_owned()
        } else if doubles.is_empty() {
            "apt does not know it".to_owned()
        } else {
            let doubles = doubles.into_iter().collect::<Vec<_>>().join(", ");
            format!("{doubles} names it already, perhaps with another key; that entry is switched off")
        };
        let fingerprint = self.options.key_fingerprint.clone().or_else(|| {
            let is_official = self.options.mirror.is_none() && self.options.key.is_none();
            is_official.then(|| KeyFingerprint::known(OFFICIAL_KEY))
        });
        let reason = match &fingerprint {
            Some(fingerprint) => format!("{reason}; its key must be {fingerprint}"),
            None => reason,
        };
        let mut action =
            self.action("repository").with("key_url", key_url).with("address", self.repositories());
        if let Some(fingerprint) = &fingerprint {
            action = action.with("key_fingerprint", fingerprint.as_str());
        }
        // The guard looks at the file even when only the key is missing.
        let files: Vec<FileChange> = file.into_iter().chain(login).collect();
        model.write(&files);
        model.facts.apt.sources.clear();
        Some(Change {
            id: "docker/repository".into(),
            title: format!("add Docker's apt repository ({folder})"),
            reason,
            risks: Vec::new(),
            files,
            undo: Some(format!("rm {SOURCES} {KEY}")),
            action,
        })
    }

    /// The mirror's login, which apt reads where only root does: `man 5 apt_auth.conf`.
    fn login(&self, model: &Model) -> Option<FileChange> {
        let (address, login) = split_login(self.mirror());
        let (user, password) = login?;
        let (scheme, rest) = address.split_once("://")?;
        let host = rest.split('/').next()?;
        let text =
            format!("# Written by provision.\nmachine {scheme}://{host} login {user} password {password}\n");
        let file = super::plain_file(model, AUTH, text, 0o600)?;
        Some(FileChange { sensitive: true, ..file })
    }

    fn service(&self, model: &Model, why: String) -> Change {
        Change {
            id: "docker/service".into(),
            title: "start docker.service and enable it at boot".into(),
            reason: why,
            risks: Vec::new(),
            files: Vec::new(),
            undo: Some("systemctl disable --now docker.service".into()),
            action: model.watched(self.action("service")),
        }
    }

    fn hold(&self, model: &mut Model) -> Option<Change> {
        let names: Vec<_> = OFFICIAL_PACKAGES
            .iter()
            .chain(&CONFLICTS)
            .copied()
            .filter(|name| model.has_package(name) && !model.facts.apt.held.iter().any(|held| held == name))
            .collect();
        if names.is_empty() {
            return None;
        }
        model.facts.apt.held.extend(names.iter().map(|name| (*name).to_owned()));
        Some(Change {
            id: "docker/hold".into(),
            title: format!("hold {}", names.join(", ")),
            reason: "apt may replace them at any time".into(),
            risks: Vec::new(),
            files: Vec::new(),
            undo: Some(format!("apt-mark unhold {}", names.join(" "))),
            action: self.action("hold").with("packages", names.join(" ")),
        })
    }
}

fn bounds_text(requirement: &Requirement) -> String {
    let mut text = requirement.bounds();
    if !text.is_empty() {
        text.push('\n');
    }
    text
}
