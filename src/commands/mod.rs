//! One file a verb, or a few that belong together; what they share is here.

mod asked;
mod backup;
mod bug;
mod cloud_init;
mod exit;
mod expose;
mod failure;
mod history;
mod index;
mod look;
mod open;
mod playbook;
mod probe;
mod reached;
mod recorded;
mod saved;
mod secrets;
mod session;
mod status;
mod up;
mod verdict;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory;

pub use exit::Exit;

use crate::cli::{BackupVerb, Cli, Command, Global, Target};
use crate::config::{self, Settings};
use crate::facts::Questions;
use crate::host::{Destination, Password, Passwords, SshOptions};
use crate::report::{Event, Failure, Reporter, Verbosity, choose, print, print_aside};
use crate::run::Link;
use crate::stack::compose;
use crate::steps::Renewal;
use session::{Common, Session};

/// Does what the command line says.
pub fn run(cli: Cli) -> Exit {
    bug::ends_the_program();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(dispatch(cli));
            // A lookup that hangs in a registry must not keep us.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            print_aside(&format!("error: the program could not start: {error}\n"));
            Exit::Bug
        }
    }
}

async fn dispatch(cli: Cli) -> Exit {
    let Cli { command, global } = cli;
    match &command {
        Command::Up(up) => on_hosts(&up.target, &global, Verb::Up(up)).await,
        Command::Plan(plan) => on_hosts(&plan.target, &global, Verb::Plan(plan)).await,
        Command::Check(check) => on_hosts(&check.target, &global, Verb::Check).await,
        Command::Facts(facts) => on_hosts(&facts.target, &global, Verb::Facts(facts)).await,
        Command::Expose(expose) => on_hosts(&expose.target, &global, Verb::Expose).await,
        Command::Backup(backup) => {
            let force = matches!(backup.verb, Some(BackupVerb::Restore { force: true, .. }));
            let (hosts, playbook) = (vec![backup.host.clone()], backup.playbook.clone());
            let target = Target { hosts, playbook, force };
            on_hosts(&target, &global, Verb::Backup(backup)).await
        }
        Command::Runs(runs) => {
            let reporter = choose(global.json, verbosity(&global), &[runs.host.to_string()]);
            history::runs(link(&runs.host, &global), global.json, &*reporter).await
        }
        Command::Show(show) if history::is_file(&show.run) => {
            let reporter = choose(global.json, verbosity(&global), &[]);
            saved::show(Path::new(&show.run), show, &global, &*reporter)
        }
        Command::Show(show) => match history::host_of(&show.run, show.host.as_ref()) {
            Ok(host) => {
                let reporter = choose(global.json, verbosity(&global), &[host.to_string()]);
                history::show(link(&host, &global), &show.run, global.json, &*reporter).await
            }
            Err(failure) => complain(&global, &failure),
        },
        Command::Open(open) => {
            let reporter = choose(global.json, verbosity(&global), &[open.host.to_string()]);
            open::open(link(&open.host, &global), open, &*reporter).await
        }
        Command::Secrets(secrets) => match secrets.verb.as_ref().and_then(secrets::Renewing::of) {
            Some(renewing) => {
                let up = renewing.arguments.as_up(&secrets.host);
                on_hosts(&up.target, &global, Verb::Renew(&up, &renewing.what, secrets.stack.as_deref()))
                    .await
            }
            None => {
                let reporter = choose(global.json, verbosity(&global), &[secrets.host.to_string()]);
                secrets::secrets(link(&secrets.host, &global), secrets, global.json, &*reporter).await
            }
        },
        Command::CloudInit(arguments) => cloud_init::cloud_init(arguments, &global),
        Command::Status(status) => {
            let reporter = choose(global.json, verbosity(&global), &[status.host.to_string()]);
            let stack = stack_here(&global);
            status::status(link(&status.host, &global), stack.as_deref(), global.json, &*reporter).await
        }
        Command::Playbooks | Command::Schema(_) | Command::Completions(_) | Command::Man(_) => {
            here(&command, &global)
        }
    }
}

/// What needs no host and no settings.
fn here(command: &Command, global: &Global) -> Exit {
    match command {
        Command::Playbooks => {
            let width = config::shipped_playbooks().map(|(name, _)| name.len()).max().unwrap_or_default();
            let lines: String =
                config::shipped_playbooks().map(|(name, text)| format!("{name:<width$}  {text}\n")).collect();
            print(&lines);
        }
        Command::Schema(schema) => {
            let schema = if schema.playbook { config::playbook_schema() } else { config::schema() };
            print(&format!("{schema:#}\n"));
        }
        Command::Completions(completions) => {
            let mut script = Vec::new();
            clap_complete::generate(completions.shell, &mut Cli::command(), "provision", &mut script);
            print(&String::from_utf8_lossy(&script));
        }
        Command::Man(man) => {
            if let Err(error) = write_man(&man.folder) {
                let what = format!("the man pages could not be written to {}: {error}", man.folder.display());
                return complain(global, &failure::plain(Exit::Usage, what));
            }
        }
        _ => return Exit::Bug,
    }
    Exit::Done
}

fn write_man(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

/// The verbs that work on hosts with a playbook.
enum Verb<'a> {
    Up(&'a crate::cli::Up),
    Plan(&'a crate::cli::Plan),
    Check,
    Facts(&'a crate::cli::Facts),
    Expose,
    Backup(&'a crate::cli::Backup),
    /// Another value for a secret; and the stack that it must be of.
    Renew(&'a crate::cli::Up, &'a Renewal, Option<&'a str>),
}

async fn on_hosts(target: &Target, global: &Global, verb: Verb<'_>) -> Exit {
    let settings = match settings(target, global, &verb) {
        Ok(settings) => settings,
        Err(failure) => return complain(global, &failure),
    };
    let expose = matches!(verb, Verb::Expose);
    let stack = match session::read_stack(&settings) {
        Ok(stack) => stack,
        // What is exposed is worth knowing of a host without a stack.
        Err(_) if expose && !compose::is_project(&settings.stack_folder) => None,
        Err(failure) => return complain(global, &failure),
    };
    let recorded = match &verb {
        Verb::Plan(plan) => plan.facts.as_deref().map(|path| recorded::read(path, &target.hosts)).transpose(),
        _ => Ok(None),
    };
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(failure) => return complain(global, &failure),
    };
    let hosts = hosts(target, &settings, recorded.as_ref());
    if hosts.is_empty() {
        let what = "no host is named";
        let hint = "name one (`provision up user@host`), or set `hosts` in provision.toml";
        return complain(global, &failure::with_hint(Exit::Usage, what, hint));
    }
    let names: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    let reporter: Arc<dyn Reporter> = choose(global.json, verbosity(global), &names).into();
    for text in &settings.warnings {
        reporter.tell(names.first().map_or("", String::as_str), &Event::Warning { text: text.clone() });
    }
    let common = Common {
        settings: &settings,
        stack: stack.as_ref(),
        reporter: &*reporter,
        ssh: ssh_options(global),
        passwords: Arc::new(passwords(global, Some(Arc::clone(&reporter)))),
        force: target.force,
        pull: match &verb {
            Verb::Up(up) => up.pull,
            Verb::Plan(plan) => plan.pull,
            _ => false,
        },
        renewal: if let Verb::Renew(_, renewal, _) = verb { Some(renewal) } else { None },
        also: if expose { expose::questions() } else { Questions::new() },
        recorded: recorded.as_ref().map(|recorded| &recorded.facts),
    };
    let sessions = hosts.into_iter().map(|host| Session::new(host, &common)).collect();
    perform(verb, sessions, &common, global).await
}

/// The hosts that are named, each once.
fn hosts(target: &Target, settings: &Settings, recorded: Option<&recorded::Recorded>) -> Vec<Destination> {
    let mut hosts = match recorded {
        Some(recorded) => vec![recorded.host.clone()],
        None if target.hosts.is_empty() => settings.hosts.clone(),
        None => target.hosts.clone(),
    };
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

async fn perform(
    verb: Verb<'_>,
    mut sessions: Vec<Session<'_>>,
    common: &Common<'_>,
    global: &Global,
) -> Exit {
    let (settings, reporter) = (common.settings, common.reporter);
    let project = common.stack.map(|stack| &stack.project);
    match verb {
        Verb::Up(up) => {
            let given = secrets::Given::by(&settings.options.secrets.clone().read_by(project));
            up::up(sessions, up, global, reporter, project, given).await
        }
        Verb::Plan(plan) => look::plan(sessions, plan, global, reporter).await,
        Verb::Check => look::check(sessions, global).await,
        Verb::Facts(facts) => look::facts(sessions, facts).await,
        Verb::Expose => expose::expose(sessions, global).await,
        Verb::Backup(arguments) => {
            backup::backup(sessions, arguments, global, settings, common.stack, reporter).await
        }
        Verb::Renew(up, renewal, only) => match sessions.pop() {
            Some(session) if only.is_none_or(|only| only == session.stack_name()) => {
                secrets::renew(session, renewal, up, settings, global, reporter, project).await
            }
            Some(session) => {
                let what = format!("the playbook's stack is {}", session.stack_name());
                fail(reporter, &[session], &failure::with_hint(Exit::Usage, what, "leave `--stack` out"))
            }
            None => Exit::Bug,
        },
    }
}

fn settings(target: &Target, global: &Global, verb: &Verb<'_>) -> Result<Settings, Failure> {
    let here = std::env::current_dir().map_err(|error| {
        failure::plain(Exit::Usage, format!("the working directory is not there: {error}"))
    })?;
    let load = |playbook| config::load(&here, playbook, global.config.as_deref());
    let settings = match load(target.playbook.as_deref()) {
        // What a host is and shows is worth knowing without a stack.
        Ok(settings) if settings.unnamed && matches!(verb, Verb::Facts(_) | Verb::Expose | Verb::Check) => {
            load(Some("docker")).map(|settings| Settings { warnings: Vec::new(), ..settings })
        }
        Ok(settings) if settings.unnamed && matches!(verb, Verb::Up(_) | Verb::Plan(_)) => {
            let asks = match verb {
                Verb::Up(up) => !up.yes && !global.json,
                _ => !global.json,
            };
            load(Some(&playbook::ask(asks)?))
        }
        other => other,
    };
    settings.map_err(failure::from_config)
}

/// The stack of this folder, where there is one that can be read.
fn stack_here(global: &Global) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    let settings = config::load(&here, None, global.config.as_deref()).ok()?;
    let stack = session::read_stack(&settings).ok().filter(|_| !settings.unnamed)??;
    Some(stack.project.name)
}

fn link(host: &Destination, global: &Global) -> Link {
    Link::new(host.clone(), ssh_options(global), Arc::new(passwords(global, None)))
}

fn ssh_options(global: &Global) -> SshOptions {
    SshOptions { config: global.ssh_config.clone(), batch: !std::io::stdin().is_terminal() }
}

/// sudo's password: from the file, the environment, or one prompt.
fn passwords(global: &Global, reporter: Option<Arc<dyn Reporter>>) -> Passwords {
    let file = global.sudo_password_file.clone();
    Passwords::new(move |host, refused, other| {
        let given = match &file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
            None => std::env::var("PROVISION_SUDO_PASSWORD").ok(),
        };
        match given {
            Some(_) if refused => return Err("it was refused".into()),
            Some(password) => return Ok(Password::new(password)),
            None => {}
        }
        if !std::io::stdin().is_terminal() {
            return Err("there is no terminal to ask on".into());
        }
        let again = if refused { " (the last one was refused)" } else { "" };
        let same = other.map_or_else(String::new, |other| format!(" (Enter: the same as on {other})"));
        let prompt = format!("sudo password on {host}{again}{same}");
        let ask = || {
            let prompt = dialoguer::Password::new().with_prompt(&prompt);
            prompt.allow_empty_password(other.is_some()).interact()
        };
        let mut answer = None;
        asked::while_a_person_thinks(|| match &reporter {
            Some(reporter) => reporter.suspend(&mut || answer = Some(ask())),
            None => answer = Some(ask()),
        });
        match answer {
            Some(Ok(password)) => Ok(Password::new(password)),
            _ => Err("none was given".into()),
        }
    })
}

fn verbosity(global: &Global) -> Verbosity {
    match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    }
}

/// A failure before any host was spoken to.
fn complain(global: &Global, failure: &Failure) -> Exit {
    choose(global.json, verbosity(global), &[]).tell("", &Event::Failed(failure.clone()));
    exit_of(failure)
}

/// A failure of all hosts.
fn fail(reporter: &dyn Reporter, sessions: &[Session<'_>], failure: &Failure) -> Exit {
    let name = sessions.first().map_or("", |session| session.name.as_str());
    reporter.tell(name, &Event::Failed(failure.clone()));
    exit_of(failure)
}

fn exit_of(failure: &Failure) -> Exit {
    [
        Exit::Usage,
        Exit::Refused,
        Exit::NotReached,
        Exit::NotRoot,
        Exit::Failed,
        Exit::Busy,
        Exit::Detached,
        Exit::Cancelled,
        Exit::NotConfirmed,
        Exit::Exposed,
    ]
    .into_iter()
    .find(|exit| *exit as u8 == failure.code)
    .unwrap_or(Exit::Bug)
}
