//! Backups of a stack's database: one now, and one brought back. No playbook lists this;
//! `provision backup` asks for its changes, and each is made once.

use std::collections::BTreeSet;

use super::stack::lines;
use super::{Refusal, Stack, StackInput, StackOptions, planned};
use crate::plan::{Action, Change, PlannedStep, Risk};
use crate::stack::compose::{Backups, Project, Service};

const STEP: &str = "backup";

/// Where backups of before a restore lie, in the folder of the others.
const OWN_FOLDER: &str = "before-restore";

/// The backups of a stack: what makes them, and what of it.
#[derive(Debug)]
pub struct Backup {
    stack: Stack,
    options: StackOptions,
    project: Project,
    /// The service that takes them.
    pub service: Service,
    /// What that one's variables say.
    pub source: Backups,
    /// The folder of the host, absolute.
    pub folder: String,
}

/// A backup that is to be restored, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its path in the folder of backups.
    pub file: String,
    /// Its database.
    pub database: String,
    /// The file's SHA-256.
    pub sum: String,
    /// What it is for a person: its age, and its size.
    pub about: String,
    /// How many bytes of SQL it holds.
    pub unpacked: u64,
    /// How large the present database is; none where there is none.
    pub present: Option<u64>,
}

impl Backup {
    /// The backups of a project that has a service for them.
    pub fn of(options: &StackOptions, input: &StackInput) -> Result<Self, Refusal> {
        let project = &input.project;
        let services = project.services.iter();
        let Some((service, source)) =
            services.filter_map(|service| Some((service, service.backups.as_ref()?))).next()
        else {
            return Err(Refusal::new(
                STEP,
                format!("no service of {} takes backups", project.name),
                "`provision backup` works with a service of the image prodrigestivill/postgres-backup-local",
            ));
        };
        let unclear = |what: &str, hint: &str| {
            Err(Refusal::new(STEP, format!("{what} of the service `{}` {hint}", service.name), REMEDY))
        };
        let plain = |name: &String| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        };
        if source.databases.is_empty() || !source.databases.iter().all(plain) {
            return unclear("POSTGRES_DB", "names no database, or not by letters, digits, `_` and `-`");
        }
        if !plain(&source.role) {
            return unclear("POSTGRES_USER", "names no role, or not by letters, digits, `_` and `-`");
        }
        let stack = Stack::new(options.clone(), input.clone());
        let folder = match source.folder.as_deref() {
            None => return unclear("the folder", "is a volume, or is not known ahead"),
            Some(folder) if folder.starts_with('/') => folder.to_owned(),
            Some(folder) => {
                format!("{}/{}", stack.folder(), folder.trim_start_matches('.').trim_start_matches('/'))
            }
        };
        if folder.chars().any(|c| c.is_control()) || folder.split('/').any(|part| part == "..") {
            return unclear("the folder", "is no plain path");
        }
        Ok(Self {
            stack,
            options: options.clone(),
            project: project.clone(),
            service: service.clone(),
            source: source.clone(),
            folder,
        })
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.project.name
    }

    /// The stack's folder on the host.
    pub fn stack_folder(&self) -> String {
        self.stack.folder()
    }

    /// Why nothing can be backed up now, where the service is off.
    pub fn must_be_on(&self, host: &str) -> Result<(), Refusal> {
        if self.service.enabled {
            return Ok(());
        }
        let switch = self.service.profiles.first().map_or("backup", String::as_str);
        Err(Refusal::new(
            STEP,
            format!("backups are off: the service `{}` is not among those that run", self.service.name),
            format!(
                "add `{switch}` to COMPOSE_PROFILES ([steps.stack.env] in provision.toml, or .env), then \
                 `provision up {host}`"
            ),
        ))
    }

    /// The service with the database. One that is not the project's can only be restored by hand.
    pub fn postgres(&self) -> Result<&Service, Refusal> {
        let host = self.source.host.as_str();
        if let Some(service) = self.project.service(host).filter(|service| service.enabled) {
            return Ok(service);
        }
        let Backups { role, databases, .. } = &self.source;
        let database = databases.first().map_or("", String::as_str);
        let at = if host.is_empty() { "DATABASE-HOST" } else { host };
        let fresh = format!("{database}_restored");
        let users = self.users(host).join(" ");
        Err(Refusal {
            details: vec![
                format!("createdb -h {at} -U {role} -T template0 {fresh}"),
                format!(
                    "gunzip -c {}/FILE | psql -X -h {at} -U {role} -d {fresh} -v ON_ERROR_STOP=1 \
                     --single-transaction -o /dev/null",
                    self.folder
                ),
                format!("cd {} && docker compose stop {users}", self.stack.folder()),
                format!(
                    "psql -h {at} -U {role} -d postgres -c 'ALTER DATABASE {database} RENAME TO \
                     {database}_before' -c 'ALTER DATABASE {fresh} RENAME TO {database}'"
                ),
                format!("cd {} && docker compose up -d", self.stack.folder()),
            ],
            ..Refusal::new(
                STEP,
                format!("the database is at `{at}`, which is no service of {}", self.project.name),
                "restore it by hand, as the lines above do: on the host, as root, with a role that may \
                 create databases and the extensions pg_trgm and uuid-ossp",
            )
        })
    }

    /// The services that use the database: those that wait for it, directly or through
    /// others, and go on running. The one that backs it up only reads.
    fn users(&self, postgres: &str) -> Vec<&str> {
        let enabled: Vec<_> = self.project.enabled().collect();
        let mut found = BTreeSet::from([postgres]);
        loop {
            let more: Vec<_> = enabled
                .iter()
                .filter(|service| !found.contains(service.name.as_str()))
                .filter(|service| service.depends_on.iter().any(|on| found.contains(on.service.as_str())))
                .map(|service| service.name.as_str())
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        let uses = |service: &&Service| {
            service.name != postgres
                && found.contains(service.name.as_str())
                && !service.one_shot
                && service.name != self.service.name
        };
        let users: Vec<_> =
            enabled.iter().copied().filter(uses).map(|service| service.name.as_str()).collect();
        if postgres.is_empty() || self.project.service(postgres).is_none() {
            // Nobody waits for what is not of the project.
            return enabled
                .iter()
                .filter(|service| !service.one_shot && service.name != self.service.name)
                .map(|service| service.name.as_str())
                .collect();
        }
        users
    }

    fn action(&self, name: &'static str, database: &str) -> Action {
        Action::new(STEP, name)
            .with("name", self.project())
            .with("folder", self.stack.folder())
            .with("backups", &self.folder)
            .with("backup", &self.service.name)
            .with("postgres", &self.source.host)
            .with("role", &self.source.role)
            .with("database", database)
    }

    /// A backup now.
    pub fn take(&self) -> PlannedStep {
        let databases = self.source.databases.join(", ");
        let mut step = planned(STEP);
        step.changes = vec![Change {
            id: "backup/taken".into(),
            title: format!("back up {databases} to {}/last", self.folder),
            reason: "asked for".into(),
            risks: Vec::new(),
            files: Vec::new(),
            undo: None,
            action: self
                .action("taken", self.source.databases.first().map_or("", String::as_str))
                .with("databases", lines(&self.source.databases))
                // Gigabytes may take hours.
                .within(4 * 3600),
        }];
        step
    }

    /// A backup brought back.
    pub fn restore(&self, chosen: &Chosen) -> Result<PlannedStep, Refusal> {
        let postgres = self.postgres()?;
        let Chosen { file, database, sum, about, .. } = chosen;
        let users = self.users(&postgres.name);
        // A slow disk loads some hundred kilobytes a second.
        let patience = |bytes: u64| u32::try_from(bytes / 300_000).unwrap_or(u32::MAX).saturating_add(1800);
        let change = |id: &str, title, reason: &str, action| Change {
            id: format!("backup/{id}"),
            title,
            reason: reason.to_owned(),
            risks: Vec::new(),
            files: Vec::new(),
            undo: None,
            action,
        };
        let mut step = planned(STEP);
        step.changes.push(change(
            "loaded",
            format!("load {file} ({about}) into a new database beside {database}"),
            "read to its end, and whole",
            self.action("loaded", database)
                .with("file", file)
                .with("sum", sum)
                .within(patience(chosen.unpacked)),
        ));
        if let Some(present) = chosen.present {
            step.changes.push(change(
                "kept",
                format!("back up {database} as it is now to {}/{OWN_FOLDER}", self.folder),
                "so that the restore can be undone",
                self.action("kept", database).with("file", file).within(patience(present)),
            ));
        }
        let former = match chosen.present {
            Some(_) => {
                format!(
                    "the present {database} goes away when the new one serves, and comes back if it does not"
                )
            }
            None => format!("there is no {database} now"),
        };
        let interrupts =
            Risk::InterruptsService { services: users.iter().map(|name| (*name).to_owned()).collect() };
        let replaces =
            chosen.present.map(|_| Risk::ReplacesDatabase { name: database.clone(), by: file.clone() });
        let start = self.stack.starting(self.action("restored", database));
        // Forward, and perhaps back again.
        let seconds = start.timeout.saturating_mul(2).saturating_add(1800);
        let mut action = start
            .with("stop", lines(&users))
            .with("queues", lines(&self.queues()))
            .with("service", self.options.proof.as_deref().unwrap_or_default())
            .with("file", file)
            .within(seconds);
        action.arguments.retain(|name, value| *name != "queues" || !value.is_empty());
        step.changes.push(Change {
            risks: std::iter::once(interrupts).chain(replaces).collect(),
            ..change(
                "restored",
                format!("put it in the place of {database}, and start {} with it", self.project()),
                &former,
                action,
            )
        });
        Ok(step)
    }

    /// Those that are there and on.
    fn queues(&self) -> Vec<&str> {
        let on = |name: &&String| self.project.service(name).is_some_and(|service| service.enabled);
        self.options.queues.iter().filter(on).map(String::as_str).collect()
    }
}

const REMEDY: &str = "fix it in the Compose file or in .env";

#[cfg(test)]
mod tests;
