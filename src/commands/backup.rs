//! `provision backup`: which backups there are, one more, and one brought back.

mod choose;
mod look;

use super::exit::Exit;
use super::session::Session;
use super::{asked, exit_of, failure, index, up};
use crate::cli::{self, BackupVerb, Global};
use crate::config::Settings;
use crate::plan::{Plan, PlannedStep, fingerprint};
use crate::report::{Event, Failure, Reporter, Summary, print};
use crate::run::{self, Followed};
use crate::steps::{Backup, Chosen, StackInput};
use crate::text::bytes;
use choose::choose;
use look::Listing;

/// How much `list` reads to find out what is whole.
const BUDGET: u64 = 256 * 1024 * 1024;

/// What a restore needs besides the file: the tables, and their indices and log beside them.
const ROOM: (u64, u64) = (5, 2);

/// `provision backup HOST`
pub(super) async fn backup(
    sessions: Vec<Session<'_>>,
    arguments: &cli::Backup,
    global: &Global,
    settings: &Settings,
    stack: Option<&StackInput>,
    reporter: &dyn Reporter,
) -> Exit {
    let mut exit = Exit::Done;
    // One: the command line takes no more.
    for mut session in sessions {
        let done = verb(&mut session, arguments, global, settings, stack, reporter).await;
        session.link.close().await;
        exit = exit.max(match done {
            Ok(exit) => exit,
            Err(failure) => {
                let exit = exit_of(&failure);
                session.tell(&Event::Failed(failure));
                exit
            }
        });
    }
    exit
}

async fn verb(
    session: &mut Session<'_>,
    arguments: &cli::Backup,
    global: &Global,
    settings: &Settings,
    stack: Option<&StackInput>,
    reporter: &dyn Reporter,
) -> Result<Exit, Failure> {
    let Some(input) = stack else {
        let what =
            format!("the playbook {} has no stack, so there is nothing to back up", settings.playbook.name);
        let hint = "name one that has (`--playbook prefect`), or set `playbook` in provision.toml";
        return Err(failure::with_hint(Exit::Usage, what, hint));
    };
    let refused = failure::from_refusal;
    let backup = Backup::of(&settings.options.stack, input).map_err(refused)?;
    let work = Work { backup: &backup, playbook: &settings.playbook.name, global, reporter };
    match &arguments.verb {
        None | Some(BackupVerb::List) => list(session, &backup, global).await,
        Some(BackupVerb::Now { yes }) => {
            backup.must_be_on(&session.name).map_err(refused)?;
            work.carry_out(session, *yes, &Wanted::Now).await
        }
        Some(BackupVerb::Restore { file, yes, force }) => {
            backup.postgres().map_err(refused)?;
            let wanted = Wanted::Restore { file, force: *force };
            work.carry_out(session, *yes, &wanted).await
        }
    }
}

async fn list(session: &mut Session<'_>, backup: &Backup, global: &Global) -> Result<Exit, Failure> {
    let listing = Listing::ask(&mut session.link, backup, BUDGET).await?;
    if listing.entries.is_empty() && listing.state.is_empty() {
        session.probe().await?;
        must_be_there(session)?;
    }
    session.rest();
    if !backup.service.enabled || listing.state != "running" {
        let text = match backup.must_be_on(&session.name) {
            Err(refusal) => refusal.what,
            Ok(()) => {
                format!("no backups are taken: the container of `{}` does not run", backup.service.name)
            }
        };
        session.tell(&Event::Warning { text });
    }
    print(&if global.json { listing.json() } else { listing.text(&backup.folder, &session.name) });
    Ok(Exit::Done)
}

/// Refuses a stack that the host does not have, as the last probe found it.
fn must_be_there(session: &Session<'_>) -> Result<(), Failure> {
    match session.is_there() {
        true => Ok(()),
        false => Err(failure::not_there(session.stack_name(), &session.name)),
    }
}

/// What a person wants done, once.
enum Wanted<'a> {
    Now,
    Restore { file: &'a str, force: bool },
}

struct Work<'a> {
    backup: &'a Backup,
    playbook: &'a str,
    global: &'a Global,
    reporter: &'a dyn Reporter,
}

impl Work<'_> {
    /// Plan, ask, do; behind a run that is going on there, or that comes in between.
    async fn carry_out(
        &self,
        session: &mut Session<'_>,
        yes: bool,
        wanted: &Wanted<'_>,
    ) -> Result<Exit, Failure> {
        let mut agreed = None;
        for _ in 0..up::ROUNDS {
            session.probe_when_settled().await?;
            if session.run_going_on().is_some() {
                if !up::settle(session).await? {
                    return Ok(Exit::Detached);
                }
                // Whoever comes back to a restore does not want another one behind it.
                let of_this = session.stack_name();
                if let Some(last) = session
                    .facts
                    .last_run
                    .as_ref()
                    .filter(|last| last.change.starts_with("backup/") && last.is_of(of_this))
                {
                    if last.state != "completed" {
                        let what = format!("the run {}, which was followed, did not complete", last.id);
                        let hint =
                            format!("what it said: `provision show {} --host {}`", last.id, session.name);
                        return Err(failure::with_hint(Exit::Failed, what, hint));
                    }
                    let text =
                        "the run that was followed was `provision backup`, too; nothing more was done".into();
                    session.tell(&Event::Warning { text });
                    return Ok(Exit::Done);
                }
            }
            must_be_there(session)?;
            let step = match wanted {
                Wanted::Now => self.take(session).await?,
                Wanted::Restore { file, force } => self.restore(session, file, *force).await?,
            };
            let steps = vec![step];
            let fingerprint = fingerprint(self.playbook, &steps);
            let plan = Plan {
                host: session.name.clone(),
                playbook: self.playbook.to_owned(),
                stack: session.stack_name().to_owned(),
                steps,
                fingerprint,
            };
            session.tell(&Event::Planned { plan: Box::new(plan.clone()) });
            // What was said yes to, and nothing else.
            if agreed.as_ref() != Some(&plan.fingerprint) {
                up::show(&[&plan], self.global, self.reporter);
                up::confirm(&[&plan], yes, self.reporter)?;
                agreed = Some(plan.fingerprint.clone());
            }
            if let Some(exit) = self.run(session, &plan, wanted).await? {
                return Ok(exit);
            }
        }
        Err(up::busy("(unknown)", "another user"))
    }

    /// None when somebody was faster.
    async fn run(
        &self,
        session: &mut Session<'_>,
        plan: &Plan,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Exit>, Failure> {
        let (link, voice) = session.split();
        let started = run::start(link, plan, &voice).await;
        let (id, followed) = started.map_err(|error| failure::from_run(error, &session.name))?;
        let follower = match followed {
            Followed::Ended(follower) => follower,
            Followed::Detached => {
                index::remember(&id, &session.name);
                return Ok(Some(Exit::Detached));
            }
            Followed::Busy { .. } => return Ok(None),
        };
        index::remember(&id, &session.name);
        let host = &session.name;
        let again = match wanted {
            Wanted::Now => format!("run `provision backup {host} now` again"),
            Wanted::Restore { .. } => {
                format!(
                    "run the same `provision backup {host} restore` again; `provision up {host}` starts what is stopped"
                )
            }
        };
        if let Some(failure) = up::ended(&follower, &id, &again) {
            return Err(failure);
        }
        let (applied, already_so) = follower.counts();
        let milliseconds = asked::worked_since(session.started).as_millis().try_into().unwrap_or(u64::MAX);
        let next = vec![format!("provision backup {host} list"), format!("provision show {id}")];
        let addresses = Vec::new();
        let run = Some(id);
        session.tell(&Event::Summary(Summary { run, applied, already_so, milliseconds, addresses, next }));
        Ok(Some(Exit::Done))
    }

    async fn take(&self, session: &mut Session<'_>) -> Result<PlannedStep, Failure> {
        let listing = Listing::ask(&mut session.link, self.backup, 0).await?;
        if listing.state != "running" {
            let what = format!("the container of `{}` does not run", self.backup.service.name);
            let hint = format!("`provision up {}` starts it", session.name);
            return Err(failure::with_hint(Exit::Refused, what, hint));
        }
        Ok(self.backup.take())
    }

    async fn restore(
        &self,
        session: &mut Session<'_>,
        wanted: &str,
        force: bool,
    ) -> Result<PlannedStep, Failure> {
        self.is_as_sent(session).await?;
        let host = session.name.clone();
        let listing = Listing::ask(&mut session.link, self.backup, 0).await?;
        let entry = choose(&listing.entries, wanted, &self.backup.folder, &host)?;
        let checked = look::Checked::ask(&mut session.link, self.backup, entry).await?;
        checked.must_fit(entry, &host)?;
        if !force {
            let needed = checked.unpacked / ROOM.1 * ROOM.0;
            if checked.free < needed {
                let what = format!(
                    "{} needs about {} in the volume of `{}`, where {} are free; nothing was changed",
                    entry.file,
                    bytes(needed),
                    self.backup.source.host,
                    bytes(checked.free)
                );
                let hint = "free some space, or continue with `--force`";
                return Err(failure::with_hint(Exit::Refused, what, hint));
            }
        }
        let chosen = Chosen {
            file: entry.file.clone(),
            database: entry.database.clone(),
            sum: checked.sum,
            about: format!("{}, {}", look::age(listing.now, entry.taken), bytes(entry.bytes)),
            unpacked: checked.unpacked,
            present: checked.present,
        };
        self.backup.restore(&chosen).map_err(failure::from_refusal)
    }

    /// The stack there must be the one that is described here: its services are stopped
    /// and waited for by what is written here.
    async fn is_as_sent(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        let plan = session.plan().await?;
        let differs = |id: &str| id.starts_with("secrets/") || ["stack/images", "stack/bundle"].contains(&id);
        let pending: Vec<_> =
            plan.changes().filter(|change| differs(&change.id)).map(|change| change.title.clone()).collect();
        if pending.is_empty() {
            return Ok(());
        }
        let host = &session.name;
        let what = format!("the stack on {host} is not the one that is here; nothing was changed");
        let hint = format!("`provision up {host}` would do the above; let it do so first");
        Err(Failure { output: pending, ..failure::with_hint(Exit::Refused, what, hint) })
    }
}
