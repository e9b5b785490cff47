//! `provision secrets HOST rotate NAME` and `set NAME`: another value, and the run that brings it
//! to all that use the former one. It is the run that `up` makes, with one change more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Given, ask, given, names};
use crate::cli::{Global, Renew, SecretsVerb, Up};
use crate::commands::exit::Exit;
use crate::commands::session::Session;
use crate::commands::{exit_of, failure, up};
use crate::config::Settings;
use crate::host::Password;
use crate::nearest::{listed, nearest};
use crate::report::{Event, Failure, Reporter};
use crate::stack::compose::Project;
use crate::steps::{Renewal, Secrets};

/// What a person wants of a secret, and how.
pub(in crate::commands) struct Renewing<'a> {
    pub what: Renewal,
    pub arguments: &'a Renew,
}

impl<'a> Renewing<'a> {
    /// None where nothing is to change.
    pub fn of(verb: &'a SecretsVerb) -> Option<Self> {
        let (arguments, given) = match verb {
            SecretsVerb::Rotate(arguments) => (arguments, false),
            SecretsVerb::Set(arguments) => (arguments, true),
            SecretsVerb::List | SecretsVerb::Show { .. } => return None,
        };
        Some(Self { what: Renewal { name: arguments.name.clone(), given }, arguments })
    }
}

/// What is behind a look at the host.
enum Next {
    /// The run, with what a person gave for it.
    Run(Given),
    /// Nothing: the host had no value of that name, and has one now.
    Kept,
}

/// `provision secrets HOST rotate NAME`, `provision secrets HOST set NAME`
pub(in crate::commands) async fn renew(
    mut session: Session<'_>,
    renewal: &Renewal,
    arguments: &Up,
    settings: &Settings,
    global: &Global,
    reporter: &dyn Reporter,
    project: Option<&Project>,
) -> Exit {
    match begin(&mut session, renewal, settings, reporter, project).await {
        Ok(Next::Run(given)) => up::up(vec![session], arguments, global, reporter, project, given).await,
        Ok(Next::Kept) => {
            session.link.close().await;
            session.tell(&Event::SecretKept { secret: renewal.name.clone() });
            Exit::Done
        }
        Err(failure) => {
            session.link.close().await;
            let exit = exit_of(&failure);
            session.tell(&Event::Failed(failure));
            exit
        }
    }
}

async fn begin(
    session: &mut Session<'_>,
    renewal: &Renewal,
    settings: &Settings,
    reporter: &dyn Reporter,
    project: Option<&Project>,
) -> Result<Next, Failure> {
    let name = renewal.name.as_str();
    let options = &settings.options.secrets;
    let has_step = settings.playbook.steps.contains(&"secrets");
    if !has_step || !options.has(name) {
        return Err(unknown(session, name, settings).await);
    }
    let is_given = options.given.iter().any(|given| given == name);
    if !renewal.given {
        if is_given {
            return Err(failure::with_hint(
                Exit::Usage,
                format!("the secret {name} is given by a person, and not made by the host"),
                format!("`provision secrets {} set {name}` changes it", session.name),
            ));
        }
        return Ok(Next::Run(Given::default()));
    }
    let one_line = options.clone().read_by(project).one_line();
    let value = given::read(name, &session.name, one_line.get(name), reporter)?;
    session.probe_when_settled().await?;
    if session.run_going_on().is_none() && !Secrets::has(&session.facts, session.stack_name(), name) {
        keep(session, name, if is_given { "given" } else { "value" }, &value).await?;
        return Ok(Next::Kept);
    }
    Ok(Next::Run(Given::of(name, value)))
}

/// The first value of a secret: nothing uses it yet, so that there is nothing to plan.
async fn keep(
    session: &mut Session<'_>,
    name: &str,
    kind: &'static str,
    value: &Password,
) -> Result<(), Failure> {
    let stack = session.stack_name().to_owned();
    let value = STANDARD.encode(value.reveal());
    let parameters =
        [("verb", "keep"), ("stack", &stack), ("name", name), ("kind", kind), ("value", &*value)];
    ask(&mut session.link, &parameters).await.map(|_| ())
}

/// A name that the playbook does not have; the host may, from another one.
async fn unknown(session: &mut Session<'_>, name: &str, settings: &Settings) -> Failure {
    let playbook = &settings.playbook.name;
    let stack = session.stack_name().to_owned();
    let kept = names(&mut session.link, None).await.unwrap_or_default();
    if let Some((stack, _)) =
        kept.iter().filter(|(_, other)| other == name).max_by_key(|(other, _)| *other == stack)
    {
        return failure::with_hint(
            Exit::Usage,
            format!(
                "{} has a secret {name} of the stack {stack}, and the playbook {playbook} has not",
                session.name
            ),
            "name the playbook that has it with `--playbook`; without one nothing uses it any more",
        );
    }
    let options = &settings.options.secrets;
    let known = || options.names();
    let hint = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known().next().is_none() => "name the playbook that has it with `--playbook`".to_owned(),
        None => format!("it has {}", listed(known())),
    };
    failure::with_hint(Exit::Usage, format!("the playbook {playbook} has no secret `{name}`"), hint)
}
