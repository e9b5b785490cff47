//! The postgres step: where the stack's database is, and that it is fit before anything uses it.
//!
//! In the stack's own container there is nothing to do here. Elsewhere the stack has no
//! container for it ([`settle`] has seen to its settings), and what the container does for
//! itself is done here: on the host the server, the role and the database; for an
//! external one the proof, from a container, that all of it is there.

mod host;
mod options;
mod settle;

#[cfg(test)]
mod tests;

pub use options::{Mode, PostgresOptions};
pub use settle::settle;

use super::stack::{Wanted, image_named, image_of, pull};
use super::{Model, Refusal, StackInput, Step, planned};
use crate::digest::sha256;
use crate::facts::{Image, Question, Questions};
use crate::plan::{Action, Change, FileChange, PlannedStep};
use crate::stack::compose::{Environment, Service};

const STEP: &str = "postgres";

/// The service whose container it is otherwise, and whose image has psql.
const SERVICE: &str = "postgres";

/// The image whose psql asks a database that no service of the stack is for.
const PSQL: &str = "postgres:17";

/// The postgres step.
#[derive(Debug)]
pub struct Postgres {
    options: PostgresOptions,
    stack: Option<StackInput>,
}

/// The database as the stack's settings name it.
#[derive(Debug)]
struct Placement {
    env: Environment,
}

impl Placement {
    fn get(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_default()
    }

    fn database(&self) -> &str {
        self.get("POSTGRES_DB")
    }

    fn user(&self) -> &str {
        self.get("POSTGRES_USER")
    }

    /// The role that only looks at figures, where somebody does.
    fn watcher(&self) -> Option<&str> {
        Some(self.get("POSTGRES_EXPORTER_USER")).filter(|name| !name.is_empty())
    }

    fn port(&self) -> u16 {
        self.get("POSTGRES_PORT").parse().unwrap_or(5432)
    }

    /// Whether there are to be backups, for which the image's pg_dump must know the server.
    fn backs_up(&self) -> bool {
        self.get("COMPOSE_PROFILES").split(',').any(|profile| profile.trim() == "backup")
    }

    /// What tells one database from another.
    fn hash(&self, more: &str) -> String {
        let names = ["HOST", "PORT", "DB", "USER", "EXPORTER_USER", "TLS", "CA"];
        let values: Vec<_> = names.map(|name| self.get(&format!("POSTGRES_{name}"))).into();
        sha256(format!("{}\n{more}", values.join("\n")).as_bytes())
    }
}

impl Postgres {
    /// The step with its options, settled, and the stack whose database it is.
    pub fn new(options: PostgresOptions, stack: Option<StackInput>) -> Self {
        Self { options, stack }
    }

    fn name(&self) -> &str {
        self.stack.as_ref().map_or("", |stack| &stack.project.name)
    }

    /// The service of the container that is not wanted.
    fn service(&self) -> Option<&Service> {
        self.stack.as_ref()?.project.service(SERVICE)
    }

    /// What has been found fit, by its hash.
    fn state(&self) -> String {
        format!("/var/lib/provision/postgres/{}", self.name())
    }

    fn place(&self) -> Result<Placement, Refusal> {
        if self.service().is_some_and(|service| service.scale > 0) {
            return Err(Refusal::new(
                STEP,
                "the stack has no setting that turns its own database off",
                "in its Compose file give the service `postgres`, and what prepares it, \
                 `deploy: {replicas: \"${POSTGRES_CONTAINERS:-1}\"}`, or take the service out",
            ));
        }
        let text = self.stack.as_ref().and_then(|stack| stack.bundle.file(".env")).map(|file| &*file.content);
        let text = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
        let env = Environment::parse(&text, ".env").unwrap_or_default();
        let place = Placement { env };
        if place.database().is_empty() || place.user().is_empty() {
            return Err(Refusal::new(
                STEP,
                "nothing says how the stack's database and its role are called",
                "set `database` in [steps.postgres]; the role has the same name unless `user` gives another",
            ));
        }
        Ok(place)
    }

    /// The image whose psql asks: that of the container that is not wanted, or the newest that every
    /// server answers.
    fn image(&self) -> Option<(&str, Wanted)> {
        match self.service() {
            Some(service) => image_of(service),
            None => image_named(PSQL),
        }
    }

    fn action(&self, name: &'static str, place: &Placement) -> Action {
        Action::new(STEP, name)
            .with("name", self.name())
            .with("mode", if self.options.mode == Mode::Host { "host" } else { "external" })
            .with("host", place.get("POSTGRES_HOST"))
            .with("port", place.port().to_string())
            .with("database", place.database())
            .with("user", place.user())
            .with("watcher", place.watcher().unwrap_or_default())
            .with("tls", place.get("POSTGRES_TLS"))
            .with("ca", place.get("POSTGRES_CA"))
    }

    /// The proof, from a container as the stack's are, that the database is there and fit.
    fn fit(
        &self,
        model: &mut Model,
        place: &Placement,
        hash: &str,
        step: &mut PlannedStep,
    ) -> Result<(), Refusal> {
        let proven = model.text(&self.state()).map(str::trim) == Some(hash);
        let files: Vec<FileChange> = self
            .options
            .ca_text
            .as_ref()
            .and_then(|text| super::text_file(model, &settle::authorities(&self.options), text.clone()))
            .into_iter()
            .collect();
        if proven && files.is_empty() && step.changes.is_empty() && model.secret_files.is_empty() {
            return Ok(());
        }
        let image = self.image();
        let Some(full) = image.as_ref().map(|(_, wanted)| wanted.full().to_owned()) else {
            return Err(Refusal::new(
                STEP,
                "the service `postgres` of the stack has no image, whose psql would query the database",
                "give it one that is pulled, such as postgres:17",
            ));
        };
        let pulling = Action::new("stack", "images").with("name", self.name()).with("folder", "/");
        let file = self.stack.as_ref().map_or("compose.yaml", |stack| stack.place());
        let pulled = pull(STEP, image.into_iter().collect(), pulling, file, model, &mut step.warnings)?;
        step.changes.extend(pulled.change);
        for image in pulled.images {
            // The stack need not pull it again.
            model.facts.images.insert(image, Some(Image::default()));
        }
        model.write(&files);
        let (database, server) = (place.database(), place.get("POSTGRES_HOST"));
        step.changes.push(Change {
            id: "postgres/fit".into(),
            title: match self.options.mode {
                Mode::Host => {
                    format!("check from a container that the database {database} is reachable and suitable")
                }
                _ => format!(
                    "check the database {database} on {server}:{} and create its extensions",
                    place.port()
                ),
            },
            reason: match () {
                () if proven && !model.secret_files.is_empty() => "secrets have changed".into(),
                () if model.file(&self.state()).is_some() => {
                    "it is not the one that was checked, or has changed".into()
                }
                () => "it has not been checked yet".into(),
            },
            risks: Vec::new(),
            files,
            undo: None,
            action: self
                .action("fit", place)
                .with("image", full)
                .with("hash", hash)
                .with("backup", if place.backs_up() { "yes" } else { "no" })
                .with("again", if !model.secret_files.is_empty() { "yes" } else { "no" })
                .within(300),
        });
        Ok(())
    }

    /// What was in the container's database stays there.
    fn left_behind(&self, model: &Model) -> Option<String> {
        let name = self.name();
        let running = model
            .facts
            .containers
            .iter()
            .any(|container| container.project == name && container.service == SERVICE);
        running.then(|| {
            format!(
                "the stack's own database is left: what is in it stays in the volume {name}_postgres, and is not \
                 carried over"
            )
        })
    }
}

impl Step for Postgres {
    fn name(&self) -> &'static str {
        STEP
    }

    fn questions(&self, questions: &mut Questions) {
        if self.options.mode == Mode::Container {
            return;
        }
        questions.insert(Question::File { path: self.state(), unless: None });
        questions.extend(self.image().map(|(image, _)| Question::Image(image.to_owned())));
        if self.options.ca_text.is_some() {
            questions.insert(Question::File { path: settle::authorities(&self.options), unless: None });
        }
        if self.options.mode == Mode::Host {
            self.ask_of_host(questions);
        }
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        let mut step = planned(STEP);
        if self.options.mode == Mode::Container {
            step.state = "in the stack's own container".into();
            return Ok(step);
        }
        if !model.has_docker() {
            return Err(Refusal::new(
                STEP,
                "there is no Docker on the host for the containers that use the database",
                "put the step `docker` before `postgres` in the playbook",
            ));
        }
        let place = self.place()?;
        step.warnings.extend(self.left_behind(model));
        if self.options.mode == Mode::Host {
            self.plan_host(model, &place, &mut step)?;
        } else {
            let hash = place.hash("external");
            self.fit(model, &place, &hash, &mut step)?;
            step.state = format!(
                "{} at {}:{}, as {} (TLS: {})",
                place.database(),
                place.get("POSTGRES_HOST"),
                place.port(),
                place.user(),
                place.get("POSTGRES_TLS")
            );
        }
        Ok(step)
    }
}
