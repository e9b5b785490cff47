//! A host on its way to a plan: connect, probe, look up images, fold.

mod elsewhere;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::exit::Exit;
use super::failure;
use super::probe::{Probed, probe};
use super::verdict::{self, ProjectVerdict};
use crate::config::Settings;
use crate::exposure::{self, Declaration};
use crate::facts::{self, Facts, Questions};
use crate::host::{Destination, Passwords, SshOptions, administrator, is_first_boot};
use crate::nearest::{listed, nearest};
use crate::plan::Plan;
use crate::report::{Event, Failure, Reporter};
use crate::run::Link;
use crate::stack::bundle::{Bundle, Patterns};
use crate::stack::compose::{Environment, Loading, Project, write_env};
use crate::stack::{origin, shipped};
use crate::steps::{
    self, Claims, Docker, Firewall, FirewallOptions, Machine, Model, Opening, Packages, Permission, Postgres,
    PostgresMode, Renewal, Secrets, Stack, StackInput, Step, User,
};

/// How long cloud-init may go on before we go ahead without it.
const CLOUD_INIT_PATIENCE: Duration = Duration::from_secs(600);

/// A host with what is wanted of it.
pub(super) struct Session<'a> {
    /// The host as it was named.
    pub name: String,
    /// The ssh configuration that reaches it, when it is not the person's own.
    pub ssh_config: Option<PathBuf>,
    pub link: Link,
    pub started: Instant,
    settings: &'a Settings,
    stack: Option<&'a StackInput>,
    steps: Vec<Box<dyn Step>>,
    reporter: &'a dyn Reporter,
    force: bool,
    pull: bool,
    also: Questions,
    /// The facts of the last probe, or those that were recorded.
    pub facts: Facts,
    /// Whether the facts were recorded: nothing is asked then, neither the host nor registries.
    pub is_recorded: bool,
}

/// What all sessions of a command share.
pub(super) struct Common<'a> {
    pub settings: &'a Settings,
    pub stack: Option<&'a StackInput>,
    pub reporter: &'a dyn Reporter,
    pub ssh: SshOptions,
    pub passwords: Arc<Passwords>,
    pub force: bool,
    /// Whether newer images are asked for.
    pub pull: bool,
    /// The secret that is to have another value.
    pub renewal: Option<&'a Renewal>,
    /// What is asked besides what the steps ask.
    pub also: Questions,
    /// Facts that stand for a probe.
    pub recorded: Option<&'a Facts>,
}

impl<'a> Session<'a> {
    pub fn new(destination: Destination, common: &Common<'a>) -> Self {
        let Common { settings, stack, reporter, ssh, passwords, force, pull, renewal, also, recorded } =
            common;
        Self {
            name: destination.to_string(),
            ssh_config: ssh.config.clone(),
            link: Link::new(destination, ssh.clone(), Arc::clone(passwords)),
            started: Instant::now(),
            settings,
            stack: *stack,
            steps: build(settings, *stack, *renewal),
            reporter: *reporter,
            force: *force,
            pull: *pull,
            also: also.clone(),
            facts: recorded.cloned().unwrap_or_default(),
            is_recorded: recorded.is_some(),
        }
    }

    pub fn tell(&self, event: &Event) {
        self.reporter.tell(&self.name, event);
    }

    /// The link, and a voice that does not need the session.
    pub fn split(&mut self) -> (&mut Link, impl Fn(&Event) + use<'a>) {
        let (reporter, name) = (self.reporter, self.name.clone());
        (&mut self.link, move |event: &Event| reporter.tell(&name, event))
    }

    /// What the playbook tells a person when all is done.
    pub fn afterwards(&self) -> &[String] {
        &self.settings.options.stack.afterwards
    }

    /// The stack that its secrets are for.
    pub fn stack_name(&self) -> &str {
        stack_name(self.settings, self.stack)
    }

    /// Whether the host has the stack: provision has sent it, or it runs.
    pub fn is_there(&self) -> bool {
        let name = self.stack_name();
        self.stack.is_none()
            || self.facts.containers.iter().any(|container| container.project == name)
            || self.facts.stacks().any(|stack| stack == name)
    }

    /// The services of the stack that have been started a moment ago, and are not yet what they will be.
    pub fn starting(&self) -> Vec<&str> {
        let name = self.stack_name();
        let own = self.facts.containers.iter().filter(|container| container.project == name);
        let mut services: Vec<_> = own
            .filter(|container| container.is_starting())
            .map(|container| container.service.as_str())
            .collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// How long its containers may take until they are healthy.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.settings.options.stack.wait.into())
    }

    /// Takes the live lines away for good, before something else is printed.
    pub fn rest(&self) {
        self.reporter.rest();
    }

    /// Makes the connection, if it is not there.
    pub async fn connect(&mut self) -> Result<(), Failure> {
        self.tell(&Event::Connecting);
        self.link.connect().await.map_err(failure::from_host)?;
        if let Some(key) = self.link.take_new_key() {
            self.tell(&Event::NewHostKey { name: key.name, fingerprint: key.fingerprint });
        }
        Ok(())
    }

    /// One exec: everything that the steps ask. The probe's own lines come back.
    pub async fn probe(&mut self) -> Result<String, Failure> {
        let started = Instant::now();
        self.connect().await?;
        self.tell(&Event::Probing);
        let questions = self.questions();
        let mut probed = probe(&self.link, &questions).await?;
        // The files of a large bundle, one by one, only where its digest is not the host's.
        if let Some(by_file) = probed.facts.by_file(&questions) {
            probed = probe(&self.link, &by_file).await?;
        }
        let Probed { facts, text } = probed;
        self.facts = facts;
        let host = self.link.host().map_err(failure::from_host)?;
        if host.sudo_asked() {
            self.facts.identity.becomes = facts::Become::SudoPassword;
        }
        // Nobody logs in at a first boot; whose server it is has been said to cloud-init.
        if self.link.is_local()
            && is_first_boot()
            && let Some(login) = administrator()
        {
            self.facts.identity.user = login;
        }
        // The login shell's own word is right; ssh's is the next best.
        if self.facts.identity.user.is_empty() {
            self.facts.identity.user = host.login().unwrap_or_default().to_owned();
        }
        let milliseconds = started.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        self.tell(&Event::Probed { milliseconds, system: self.facts.system.name.clone() });
        Ok(text)
    }

    /// What the steps ask, and what is asked besides.
    pub fn questions(&self) -> Questions {
        let mut questions = self.also.clone();
        for step in &self.steps {
            step.questions(&mut questions);
        }
        questions
    }

    /// Probes, and again while cloud-init is still at work: it holds apt and may undo what we do.
    /// A run of its own that goes on is to be followed, not waited for.
    pub async fn probe_when_settled(&mut self) -> Result<(), Failure> {
        self.probe().await?;
        let started = Instant::now();
        let mut said = false;
        while !(self.link.is_local() && is_first_boot())
            && self.facts.cloud_init.as_ref().is_some_and(|state| state.status == "running")
            && self.run_going_on().is_none()
        {
            if started.elapsed() > CLOUD_INIT_PATIENCE {
                let text = "cloud-init is still running; continuing without waiting for it".into();
                self.tell(&Event::Warning { text });
                break;
            }
            if !said {
                let text =
                    "cloud-init is still setting this machine up; waiting for it, 10 minutes at most".into();
                self.tell(&Event::Warning { text });
                said = true;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.probe().await?;
        }
        Ok(())
    }

    /// The plan for the facts of the last probe, or for those that were recorded.
    pub async fn plan(&mut self) -> Result<Plan, Failure> {
        let mut model = self.model();
        model.claims =
            Claims::read(&self.facts, self.stack_name()).map_err(|refusal| self.refused(refusal))?;
        model.images = self.look_up_images().await;
        let plan = steps::plan(&self.name, &self.settings.playbook.name, &self.steps, &mut model);
        let plan = plan.map_err(|refusal| self.refused(refusal))?;
        self.put_before_compose(&plan).await?;
        Ok(plan)
    }

    /// Asks the host's own Compose whether it accepts the files that the plan sends it, before anything
    /// is changed.
    async fn put_before_compose(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(stack) = self.stack.filter(|_| !self.is_recorded) else { return Ok(()) };
        let folder = steps::stack_folder(&self.settings.options.stack, &stack.project.name);
        let Some(version) = verdict::is_due(plan, &self.facts, stack, &folder) else { return Ok(()) };
        match verdict::ask(&self.link, stack).await? {
            ProjectVerdict::Accepted => Ok(()),
            ProjectVerdict::Unknown(why) => {
                let text = format!(
                    "Compose on the host was not asked whether it accepts the project: {why}; the run asks it before it \
                     changes the stack"
                );
                self.tell(&Event::Warning { text });
                Ok(())
            }
            ProjectVerdict::Refused(said) => Err(self.refused(verdict::refusal(version, &said, stack))),
        }
    }

    /// The machine step alone.
    pub fn check(&self) -> Result<Plan, steps::Refusal> {
        let options = &self.settings.options;
        let machine: Vec<Box<dyn Step>> =
            vec![Box::new(Machine::new(options.machine.clone(), options.docker.data_root()))];
        steps::plan(&self.name, &self.settings.playbook.name, &machine, &mut self.model())
    }

    pub fn refused(&self, refusal: steps::Refusal) -> Failure {
        for finding in &refusal.findings {
            self.tell(&Event::Finding(finding.clone()));
        }
        failure::from_refusal(refusal)
    }

    fn model(&self) -> Model {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Model {
            facts: self.facts.clone(),
            force: self.force,
            pull: self.pull,
            local: self.link.is_local(),
            has_other_folder: self.has_other_folder(),
            // How far a clock was off when it was recorded, nobody knows any more.
            now: if self.is_recorded { self.facts.system.clock } else { now.try_into().unwrap_or(i64::MAX) },
            ..Model::default()
        }
    }

    /// What the firewall lets in, for this stack and for others; none where it is left as it is.
    pub fn openings(&self) -> Option<Vec<Opening>> {
        if !self.steps.iter().any(|step| step.name() == "firewall") {
            return None;
        }
        // Claims that cannot be read are told by the plan.
        let claims = Claims::read(&self.facts, self.stack_name()).unwrap_or_default();
        self.settings.options.firewall.openings_beside(&claims, &self.facts.ssh_ports())
    }

    /// What is declared to be reached: by the firewall's rules, or else by the Compose file.
    pub fn declared(&self) -> Vec<Declaration> {
        match self.openings() {
            Some(openings) => exposure::by_rules(&openings),
            None => {
                let claims = Claims::read(&self.facts, self.stack_name()).unwrap_or_default();
                let others = FirewallOptions::openings_of_others(&claims, &self.facts.ssh_ports());
                let mut declared = exposure::by_compose(&self.facts, self.stack.map(|stack| &stack.project));
                declared.extend(exposure::by_rules(&others));
                declared
            }
        }
    }

    /// Whether a run is going on there, and who started it.
    pub fn run_going_on(&self) -> Option<(String, String)> {
        self.facts.run_going_on().map(|(run, holder)| (run.to_owned(), holder.to_owned()))
    }
}

fn stack_name<'s>(settings: &'s Settings, stack: Option<&'s StackInput>) -> &'s str {
    stack.map_or(settings.playbook.name.as_str(), |input| &input.project.name)
}

fn build(settings: &Settings, stack: Option<&StackInput>, renewal: Option<&Renewal>) -> Vec<Box<dyn Step>> {
    let options = &settings.options;
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    for name in &settings.playbook.steps {
        match AsRef::<str>::as_ref(name) {
            "machine" => {
                steps.push(Box::new(Machine::new(options.machine.clone(), options.docker.data_root())));
            }
            "packages" => steps.push(Box::new(Packages::new(options.packages.clone()))),
            "docker" => steps.push(Box::new(Docker::new(options.docker.clone()))),
            "user" => steps.push(Box::new(User::new(options.user.clone()))),
            "firewall" => steps.push(Box::new(Firewall::new(
                options.firewall.clone(),
                stack.map(|input| input.project.clone()),
            ))),
            "secrets" => {
                let secrets = options.secrets.clone().read_by(stack.map(|input| &input.project));
                let step = Secrets::new(secrets, stack_name(settings, stack));
                steps.push(Box::new(step.renewing(renewal.cloned())));
            }
            // A stack without such a service, of which no other place is said, has no database to speak of.
            "postgres" if options.postgres.mode == PostgresMode::Container && !has_postgres(stack) => {}
            "postgres" => {
                steps.push(Box::new(Postgres::new(options.postgres.clone(), stack.cloned())));
            }
            "stack" => {
                if let Some(input) = stack {
                    steps.push(Box::new(Stack::new(options.stack.clone(), input.clone())));
                }
            }
            // The configuration has checked the names.
            _ => {}
        }
    }
    steps
}

fn has_postgres(stack: Option<&StackInput>) -> bool {
    stack.is_some_and(|stack| stack.project.service("postgres").is_some())
}

/// Reads the stack's folder, when the playbook has a stack.
pub(super) fn read_stack(settings: &Settings) -> Result<Option<StackInput>, Failure> {
    if !settings.playbook.steps.iter().any(|step| AsRef::<str>::as_ref(step) == "stack") {
        return Ok(None);
    }
    let options = &settings.options.stack;
    let wrong = |what: String| failure::plain(Exit::Usage, what);
    let shipped = settings.ships_stack.then(|| shipped_stack(settings)).transpose()?;
    let folder = shipped.as_ref().map_or(settings.stack_folder.as_path(), |(_, folder)| folder);
    let env = options.env.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
    let loading = Loading { name: options.name.clone(), env };
    let mut project = Project::load_with(folder, &loading).map_err(|error| wrong(error.to_string()))?;
    project.localise(&steps::stack_folder(options, &project.name));
    let mut bundle = collect(settings, folder, &project)?;
    if !loading.env.is_empty() {
        bundle.lay_over_env(&write_env(&loading.env));
    }
    let overwritten =
        Patterns::of_option("overwrite", &options.overwrite).map_err(|error| wrong(error.to_string()))?;
    Permission::apply(&options.permissions, &mut bundle).map_err(|error| wrong(error.to_string()))?;
    bundle.mark_seeds(|path| project.is_written(path) && !overwritten.matches(path, false));
    let origin = match shipped {
        // They grow into each other, with what is there.
        Some(_) => steps::SHIPPED.to_owned(),
        None => origin::of(&settings.stack_folder),
    };
    Ok(Some(StackInput { project, bundle, origin }))
}

/// The files of a person's own stack, as they lie there.
pub(super) fn own_bundle(settings: &Settings, project: &Project) -> Result<Bundle, Failure> {
    collect(settings, &settings.stack_folder, project)
}

fn collect(settings: &Settings, folder: &Path, project: &Project) -> Result<Bundle, Failure> {
    // What ships is in no repository, wherever it is unpacked.
    let choice = settings.options.stack.choice(project, !settings.ships_stack);
    let mut bundle =
        Bundle::collect(folder, &choice).map_err(|error| failure::plain(Exit::Usage, error.to_string()))?;
    leave_out_our_own(&mut bundle, settings);
    Ok(bundle)
}

/// The Compose project that ships, in a folder of its own as long as the first of the pair lives.
fn shipped_stack(settings: &Settings) -> Result<(tempfile::TempDir, PathBuf), Failure> {
    let failed = |error: std::io::Error| {
        failure::plain(Exit::Usage, format!("the stack that ships could not be unpacked: {error}"))
    };
    let name = &settings.playbook.name;
    let place = tempfile::TempDir::new().map_err(failed)?;
    let folder = place.path().join(name);
    shipped::write(name, &folder).map_err(failed)?;
    // Its settings are known, all of them.
    let text = std::fs::read_to_string(folder.join(".env")).unwrap_or_default();
    let known = Environment::parse(&text, ".env")
        .map_err(|error| failure::plain(Exit::Bug, format!("playbooks/{name}/{error}")))?;
    if let Some(unknown) = settings.options.stack.env.keys().find(|key| known.get(key).is_none()) {
        let what = format!("the playbook {name} has no setting `{unknown}` ([steps.stack.env])");
        let hint = match nearest(unknown, known.names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its settings are {}", listed(known.names())),
        };
        return Err(failure::with_hint(Exit::Usage, what, hint));
    }
    Ok((place, folder))
}

/// The settings, the playbook and saved plans may lie in the stack's folder and are no part of it.
fn leave_out_our_own(bundle: &mut Bundle, settings: &Settings) {
    let own: Vec<_> = [&settings.file, &settings.playbook.path]
        .into_iter()
        .flatten()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let root = bundle.root.canonicalize().unwrap_or_else(|_| bundle.root.clone());
    let links: Vec<_> = bundle.links.iter().map(|link| link.path.clone()).collect();
    bundle.retain(|file| {
        let is_linked = links.iter().any(|link| Path::new(&file.path).starts_with(link));
        // Only a link can lead elsewhere than its path says: asking for each of thousands takes a while.
        let is_ours = || match is_linked {
            false => own.contains(&root.join(&file.path)),
            true => root.join(&file.path).canonicalize().is_ok_and(|path| own.contains(&path)),
        };
        !super::saved::is_one(&file.content) && (own.is_empty() || !is_ours())
    });
}
