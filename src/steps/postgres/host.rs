//! A Postgres on the host itself: packages, server, role and database.

use super::{Mode, Placement, Postgres, STEP};
use crate::facts::{Question, Questions, System};
use crate::plan::{Change, FileChange, PlannedStep, Risk};
use crate::steps::packages::refresh;
use crate::steps::postgres::options::Repository;
use crate::steps::{KeyFingerprint, Model, Refusal, plain_file, text_file};

const PGDG: &str = "https://apt.postgresql.org/pub/repos/apt";
/// <https://wiki.postgresql.org/wiki/Apt>.
const PGDG_FINGERPRINT: &str = "B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8";
const PGDG_KEY: &str = "https://www.postgresql.org/media/keys/ACCC4CF8.asc";
const KEY: &str = "/etc/apt/keyrings/pgdg.asc";
const SOURCES: &str = "/etc/apt/sources.list.d/pgdg.sources";
const DAEMON: &str = "/etc/docker/daemon.json";
const UNIT: &str = "postgresql.service";

/// What PGDG's packages are taken for, unless told: as the stack's images.
const PGDG_VERSION: u32 = 17;

/// Versions of which a cluster may be there.
const VERSIONS: std::ops::RangeInclusive<u32> = 10..=19;

/// How roles, database and extensions are made: the same as in the container.
const PREPARE: &str = include_str!("../../../playbooks/prefect/postgres/prepare.sh");

/// Settings of the server, by their names in the stack's.
const SETTINGS: [(&str, &str); 5] = [
    ("max_connections", "POSTGRES_MAX_CONNECTIONS"),
    ("shared_buffers", "POSTGRES_SHARED_BUFFERS"),
    ("effective_cache_size", "POSTGRES_EFFECTIVE_CACHE"),
    ("work_mem", "POSTGRES_WORK_MEM"),
    ("maintenance_work_mem", "POSTGRES_MAINTENANCE_WORK_MEM"),
];

/// Files of a cluster.
fn folder(version: u32) -> String {
    format!("/etc/postgresql/{version}/main")
}

fn main_file(version: u32) -> String {
    format!("{}/postgresql.conf", folder(version))
}

fn hba_file(version: u32) -> String {
    format!("{}/pg_hba.conf", folder(version))
}

fn our_file(version: u32) -> String {
    format!("{}/conf.d/provision.conf", folder(version))
}

/// What is started at boot behind Docker, whose bridge it listens on.
fn drop_in(version: u32) -> String {
    format!("/etc/systemd/system/postgresql@{version}-main.service.d/provision.conf")
}

const DROP_IN: &str = "# Written by provision: Postgres listens on Docker's bridge, which Docker makes.\n\
                       [Unit]\nWants=docker.service\nAfter=docker.service\n";

/// The major version among the distribution's packages.
fn distribution_version(system: &System) -> Option<u32> {
    Some(match (system.id.as_str(), system.version.as_str()) {
        ("debian", "11") => 13,
        ("debian", "12") => 15,
        ("debian", "13") => 17,
        ("ubuntu", "20.04") => 12,
        ("ubuntu", "22.04") => 14,
        ("ubuntu", "24.04") => 16,
        ("ubuntu", "24.10" | "25.04" | "25.10") => 17,
        ("ubuntu", "26.04") => 18,
        _ => return None,
    })
}

/// The port that a cluster's own file says.
fn port_of(conf: &str) -> u16 {
    let value = |line: &str| {
        let (name, value) = line.split('#').next()?.split_once('=')?;
        (name.trim() == "port").then(|| value.trim().parse().ok())?
    };
    conf.lines().filter_map(value).next_back().unwrap_or(5432)
}

impl Postgres {
    pub(super) fn ask_of_host(&self, questions: &mut Questions) {
        questions.insert(Question::Bridge);
        questions.insert(Question::Unit(UNIT.into()));
        for path in [SOURCES, KEY, DAEMON] {
            questions.insert(Question::File { path: path.into(), unless: None });
        }
        for version in VERSIONS {
            questions.insert(Question::Package(format!("postgresql-{version}")));
            for path in [main_file(version), hba_file(version), our_file(version), drop_in(version)] {
                questions.insert(Question::File { path, unless: None });
            }
        }
    }

    pub(super) fn plan_host(
        &self,
        model: &mut Model,
        place: &Placement,
        step: &mut PlannedStep,
    ) -> Result<(), Refusal> {
        let version = self.version(model)?;
        self.check_networks(model)?;
        self.check_port(model, version, place.port())?;
        self.check_backup(place, version)?;
        let package = format!("postgresql-{version}");
        let there = model.has_package(&package);
        if !there {
            if self.options.repository == Repository::Pgdg {
                step.changes.extend(self.repository(model));
            }
            step.changes.push(self.install(model, &package));
        }
        step.changes.extend(self.server(model, place, version, there));
        let networks: Vec<_> = self.options.networks.iter().map(ToString::to_string).collect();
        let hash = place.hash(&format!("host {version} {}", networks.join(" ")));
        let made = model.text(&self.state()).map(str::trim) == Some(hash.as_str());
        if !made || !model.secret_files.is_empty() || !step.changes.is_empty() {
            step.changes.push(self.database(model, place, version));
        }
        self.fit(model, place, &hash, step)?;
        step.state = format!(
            "Postgres {version} on the host: {} of {}, for containers at port {}",
            place.database(),
            place.user(),
            place.port()
        );
        Ok(())
    }

    fn version(&self, model: &Model) -> Result<u32, Refusal> {
        let system = &model.facts.system;
        let pgdg = self.options.repository == Repository::Pgdg;
        let offered = distribution_version(system);
        let version = match (self.options.version, offered) {
            (Some(version), _) => version,
            (None, _) if pgdg => PGDG_VERSION,
            (None, Some(version)) => version,
            (None, None) => {
                return Err(Refusal::new(
                    STEP,
                    format!("which Postgres {} has is not known", system.name),
                    "say `version` in [steps.postgres], such as version = 17",
                ));
            }
        };
        if version < 14 {
            return Err(Refusal::new(
                STEP,
                format!("{} has Postgres {version}, and provision supports 14.9 or newer", system.name),
                "take repository = \"pgdg\" in [steps.postgres]",
            ));
        }
        let has_package = model.has_package(&format!("postgresql-{version}"));
        if let Some(offered) = offered
            && !pgdg
            && !has_package
            && offered != version
        {
            return Err(Refusal::new(
                STEP,
                format!("{} has Postgres {offered}, not {version}", system.name),
                "take repository = \"pgdg\" in [steps.postgres], or leave `version` out",
            ));
        }
        Ok(version)
    }

    /// Networks that Docker takes on this host are those that are let in.
    fn check_networks(&self, model: &Model) -> Result<(), Refusal> {
        let settings =
            model.text(DAEMON).and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        let pools = settings.as_ref().and_then(|settings| settings["default-address-pools"].as_array());
        let bases = pools.into_iter().flatten().filter_map(|pool| pool["base"].as_str());
        let bridge = settings.as_ref().and_then(|settings| settings["bip"].as_str());
        let nets = bases.chain(bridge).filter_map(|text| text.parse::<ipnet::IpNet>().ok());
        let covered = |net: &ipnet::IpNet| self.options.networks.iter().any(|ours| ours.0.contains(net));
        let others: Vec<_> =
            nets.filter(|net| net.addr().is_ipv4() && !covered(net)).map(|net| net.trunc()).collect();
        if others.is_empty() {
            return Ok(());
        }
        let others: Vec<_> = others.iter().map(|net| format!("\"{net}\"")).collect();
        Err(Refusal::new(
            STEP,
            format!(
                "Docker on this host takes its networks from {} ({DAEMON})",
                others.join(", ").replace('"', "")
            ),
            format!("say so in [steps.postgres]: networks = [{}]", others.join(", ")),
        ))
    }

    /// The port is free, or this very cluster's.
    fn check_port(&self, model: &Model, version: u32, port: u16) -> Result<(), Refusal> {
        let refuse = |what: String, hint: String| Err(Refusal::new(STEP, what, hint));
        let other = format!(
            "another `port` in [steps.postgres] is the way around, such as port = {}",
            port.checked_add(1).unwrap_or(5433)
        );
        let ours = model.file(&our_file(version)).is_some();
        if let Some(conf) = model.text(&main_file(version)) {
            let its = port_of(conf);
            if its != port && !ours {
                return refuse(
                    format!("the Postgres {version} that is on the host is at port {its}, not {port}"),
                    format!("say port = {its} in [steps.postgres]"),
                );
            }
        }
        for each in VERSIONS.filter(|each| *each != version) {
            if model.text(&main_file(each)).is_some_and(|conf| port_of(conf) == port) {
                return refuse(
                    format!("port {port} is that of a Postgres {each}, which is on the host"),
                    format!("take that one, version = {each}; {other}"),
                );
            }
        }
        let present = model.file(&main_file(version)).is_some();
        let holder = model
            .facts
            .listening
            .iter()
            .find(|socket| socket.protocol == "tcp" && socket.port == port)
            .filter(|socket| !(present && socket.process == "postgres"));
        match holder {
            None => Ok(()),
            Some(socket) => {
                let process = match socket.process.as_str() {
                    "" => "another program",
                    "docker-proxy" => "a container",
                    "postgres" => "a Postgres that is none of the distribution's",
                    name => name,
                };
                refuse(format!("port {port} is taken on the host by {process}; nothing was changed"), other)
            }
        }
    }

    /// A pg_dump knows no server that is newer than itself.
    fn check_backup(&self, place: &Placement, version: u32) -> Result<(), Refusal> {
        let image = place.get("BACKUP_IMAGE");
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        let major =
            tag.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse::<u32>().ok());
        match major {
            Some(major) if major < version && place.backs_up() => Err(Refusal::new(
                STEP,
                format!("{image} cannot back up Postgres {version}, which is newer"),
                format!(
                    "in [steps.stack.env] set BACKUP_IMAGE and POSTGRES_IMAGE to images of {version}; or take an older \
                     server, version = {major}"
                ),
            )),
            _ => Ok(()),
        }
    }

    fn repository(&self, model: &mut Model) -> Option<Change> {
        let system = &model.facts.system;
        let mirror = self.options.mirror.as_deref().unwrap_or(PGDG).trim_end_matches('/');
        let key_url = self.options.key.clone().unwrap_or_else(|| PGDG_KEY.into());
        let fingerprint = self.options.key_fingerprint.clone();
        let fingerprint = fingerprint
            .or_else(|| self.options.key.is_none().then(|| KeyFingerprint::known(PGDG_FINGERPRINT)));
        let content = format!(
            "# Written by provision.\nTypes: deb\nURIs: {mirror}\nSuites: {}-pgdg\nComponents: main\nArchitectures: {}\n\
             Signed-By: {KEY}\n",
            system.codename, system.architecture
        );
        let has_key = model.file(KEY).is_some_and(|key| key.size > 0);
        let files: Vec<FileChange> = text_file(model, SOURCES, content).into_iter().collect();
        if files.is_empty() && has_key {
            return None;
        }
        model.write(&files);
        let action = self.proxied(crate::plan::Action::new(STEP, "repository")).with("key_url", key_url);
        Some(Change {
            id: "postgres/repository".into(),
            title: format!("add PostgreSQL's apt repository ({mirror})"),
            reason: match &fingerprint {
                Some(fingerprint) => format!("apt does not know it; its key must be {fingerprint}"),
                None => "apt does not know it".into(),
            },
            risks: Vec::new(),
            files,
            undo: Some(format!("rm {SOURCES} {KEY}")),
            action: match &fingerprint {
                Some(fingerprint) => action.with("key_fingerprint", fingerprint.as_str()),
                None => action,
            },
        })
    }

    fn proxied(&self, action: crate::plan::Action) -> crate::plan::Action {
        match &self.options.proxy {
            Some(proxy) => action.with("proxy", proxy),
            None => action,
        }
    }

    fn install(&self, model: &mut Model, package: &str) -> Change {
        let action = crate::plan::Action::new("packages", "install")
            .with("packages", package)
            .with("refresh", refresh(model))
            .within(1800);
        model.install([package]);
        Change {
            id: "postgres/package".into(),
            title: format!("install {package}"),
            reason: "not installed".into(),
            risks: vec![Risk::Downloads { bytes: None }],
            files: Vec::new(),
            undo: Some(format!("apt-get remove {package}; its databases stay in /var/lib/postgresql")),
            action: self.proxied(action),
        }
    }

    /// The server as containers need it: where it listens, whom it lets in, when it starts.
    fn server(&self, model: &mut Model, place: &Placement, version: u32, there: bool) -> Option<Change> {
        // The tuning of a server that was there before us is not ours.
        let tuned = model.file(&main_file(version)).is_none() || model.file(&our_file(version)).is_some();
        let mut files: Vec<FileChange> = Vec::new();
        if tuned {
            files.extend(plain_file(model, &our_file(version), settings(place), 0o644));
        }
        files.extend(text_file(model, &drop_in(version), DROP_IN.into()));
        let rules = self.rules(place);
        let has_rules = model.text(&hba_file(version)).is_some_and(|text| text.contains(&rules));
        let bridge = model.facts.bridge.map(|address| address.to_string());
        let listens = model.facts.listening.iter().any(|socket| {
            let here =
                [bridge.as_deref(), Some("0.0.0.0"), Some("::")].contains(&Some(socket.address.as_str()));
            socket.protocol == "tcp" && socket.port == place.port() && here
        });
        let at_boot = model.facts.units.get(UNIT).is_some_and(|unit| unit.enabled == "enabled");
        let reason = match () {
            () if !there => "it is new".to_owned(),
            () if !has_rules => "it does not let the stack's role in".into(),
            () if !files.is_empty() => "its settings are others".into(),
            () if !listens => "it does not listen for containers".into(),
            () if !at_boot => "it is not started at boot".into(),
            () => return None,
        };
        let mut risks = Vec::new();
        if there && (!listens || !files.is_empty()) {
            risks.push(Risk::InterruptsService {
                services: vec![format!("Postgres {version} with all its databases")],
            });
        }
        model.write(&files);
        let networks: Vec<_> = self.options.networks.iter().map(ToString::to_string).collect();
        let listen = if tuned { "localhost and Docker's bridge alone" } else { "Docker's bridge besides" };
        Some(Change {
            id: "postgres/server".into(),
            title: format!(
                "let Postgres {version} listen on {listen}, port {}, and let in {} from {} by password",
                place.port(),
                roles(place).join(" and "),
                networks.join(", ")
            ),
            reason,
            risks,
            files,
            undo: Some(format!(
                "rm {}/conf.d/provision*.conf {}, take provision's lines out of {}, systemctl daemon-reload, systemctl \
                 restart postgresql@{version}-main",
                folder(version),
                drop_in(version),
                hba_file(version)
            )),
            action: self.action("server", place).with("version", version.to_string()).with("rules", rules),
        })
    }

    /// Our lines of pg_hba.conf.
    fn rules(&self, place: &Placement) -> String {
        let mut rules = format!("# BEGIN provision {}\n", self.stack_name());
        for role in roles(place) {
            for network in &self.options.networks {
                rules.push_str(&format!(
                    "host \"{}\" \"{role}\" {} scram-sha-256\n",
                    place.database(),
                    network.0
                ));
            }
        }
        rules.push_str(&format!("# END provision {}\n", self.stack_name()));
        rules
    }

    fn stack_name(&self) -> &str {
        debug_assert_eq!(self.options.mode, Mode::Host);
        self.stack.as_ref().map_or("", |stack| &stack.project.name)
    }

    fn database(&self, model: &Model, place: &Placement, version: u32) -> Change {
        let (database, user) = (place.database(), place.user());
        let watcher = place.watcher().map_or_else(String::new, |name| format!(", and the role {name}"));
        Change {
            id: "postgres/database".into(),
            title: format!(
                "make the role {user} and its database {database} with pg_trgm and uuid-ossp{watcher}"
            ),
            reason: match () {
                () if model.file(&self.state()).is_none() => "they have not been made yet".into(),
                () if !model.secret_files.is_empty() => "their passwords are new".into(),
                () => "they are others, or the server has changed".into(),
            },
            risks: Vec::new(),
            files: Vec::new(),
            // What is in a database is nobody's to drop here.
            undo: None,
            action: self
                .action("database", place)
                .with("version", version.to_string())
                .with_unshown("prepare", PREPARE)
                .within(300),
        }
    }
}

/// The stack's roles.
fn roles(place: &Placement) -> Vec<&str> {
    [Some(place.user()), place.watcher()].into_iter().flatten().collect()
}

/// The settings of a server that is the stack's alone.
fn settings(place: &Placement) -> String {
    let mut text = String::from("# Written by provision from the stack's settings (POSTGRES_… in .env).\n");
    text.push_str(&format!("port = {}\n", place.port()));
    for (setting, name) in SETTINGS {
        // Anything but a number with its unit is no such setting.
        let value = place.get(name);
        if !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric()) {
            text.push_str(&format!("{setting} = {value}\n"));
        }
    }
    text.push_str(
        "max_wal_size = 2GB\nwal_compression = on\nrandom_page_cost = 1.1\nlog_min_duration_statement = 2s\n\
         idle_in_transaction_session_timeout = 10min\n",
    );
    text
}
