//! `provision expose`: try from here what is reached, and hold it against what is declared.

use futures_util::future::{OptionFuture, join, join_all};

use super::exit::Exit;
use super::session::Session;
use super::{exit_of, failure, verbosity};
use crate::cli::Global;
use crate::exposure::{self, Exposure, Knocked, Knocker, Row, Verdict};
use crate::facts::{Question, Questions};
use crate::report::{Event, Failure, colour_on_stdout, print, render_exposure};

/// So many ports are named in a sentence.
const NAMED: usize = 4;

/// What is asked of a host besides what the playbook asks.
pub(super) fn questions() -> Questions {
    [Question::Firewall, Question::Published].into()
}

/// `provision expose`
pub(super) async fn expose(mut sessions: Vec<Session<'_>>, global: &Global) -> Exit {
    if let Some(session) = sessions.iter().find(|session| session.link.is_local()) {
        let failure = from_itself();
        session.tell(&Event::Failed(failure.clone()));
        return exit_of(&failure);
    }
    let knocker = Knocker::default();
    let outcomes = join_all(sessions.iter_mut().map(async |session| {
        session.probe().await?;
        if !session.is_there() {
            let missing = failure::not_there(session.stack_name(), &session.name);
            session.tell(&Event::Warning { text: format!("{}: {}", missing.what, missing.hints.join("; ")) });
        }
        let exposure = look(session, &knocker).await;
        session.link.close().await;
        exposure
    }))
    .await;
    sessions.iter().for_each(Session::rest);
    let several = sessions.len() > 1;
    let mut worst = Exit::Done;
    for (session, outcome) in sessions.iter().zip(outcomes) {
        let exposure = match outcome {
            Ok(exposure) => exposure,
            Err(failure) => {
                worst = worst.max(exit_of(&failure));
                session.tell(&Event::Failed(failure));
                continue;
            }
        };
        let failure = complaint(&exposure, &close(session));
        if global.json {
            session.tell(&Event::Exposure(exposure));
        } else {
            let table = render_exposure(&exposure, colour_on_stdout(), verbosity(global));
            if several && !table.is_empty() {
                print(&format!("{}\n", crate::text::harmless(&session.name)));
            }
            print(&table);
        }
        if let Some(failure) = failure {
            worst = worst.max(exit_of(&failure));
            session.tell(&Event::Failed(failure));
        }
    }
    worst
}

/// After a run of `up`: the same table, and whether something is reached that should not be.
///
/// What is declared and not reached is only worth a warning: it may need a moment, or another hand.
pub(super) async fn after_run(session: &mut Session<'_>) -> Option<Failure> {
    // Before the run the host was another one.
    let looked = match session.probe().await {
        Ok(_) => look(session, &Knocker::default()).await,
        Err(failure) => Err(failure),
    };
    let exposure = match looked {
        Ok(exposure) => exposure,
        Err(failure) => {
            let text = format!("what is exposed could not be tried: {}", failure.what);
            session.tell(&Event::Warning { text });
            return None;
        }
    };
    session.tell(&Event::Exposure(exposure.clone()));
    if let Some((text, _)) = missing(&exposure) {
        session.tell(&Event::Warning { text });
    }
    let (what, hint) = undeclared(&exposure, "close it, or add it to `allow` in [steps.firewall]")?;
    Some(failure::with_hint(Exit::Exposed, what, hint))
}

/// Knocks at a host that has been probed.
async fn look(session: &Session<'_>, knocker: &Knocker) -> Result<Exposure, Failure> {
    let host = session.link.host().map_err(failure::from_host)?;
    let (name, indirect) = (host.address(), host.is_behind_another());
    let mut facts = session.facts.clone();
    let declared = session.declared();
    let ports = exposure::ports(&facts, &declared);
    session.tell(&Event::Knocking { ports: ports.all.len() });
    let resolved = exposure::resolve(name).await;
    let [v4, v6] = exposure::choose(&resolved, &facts.firewall.addresses)
        .map(|address| OptionFuture::from(address.map(|address| knocker.knock(address, &ports))));
    let (mut v4, mut v6) = join(v4, v6).await;
    if [&v4, &v6].into_iter().flatten().any(Knocked::is_ourselves) {
        return Err(from_itself());
    }
    // Through a jump host it is that one which the host sees.
    if indirect {
        facts.identity.ssh_client = None;
    }
    for knocked in [&mut v4, &mut v6].into_iter().flatten() {
        knocked.be_known_as(facts.identity.ssh_client);
    }
    let knocked = [v4.as_ref(), v6.as_ref()];
    if !knocked.into_iter().flatten().any(Knocked::answers) {
        return Err(not_direct(&session.name, name, knocked, indirect));
    }
    Ok(exposure::judge(&facts, &declared, knocked))
}

fn from_itself() -> Failure {
    failure::with_hint(
        Exit::Usage,
        "what is exposed is tried from elsewhere, and this is the machine itself: that it reaches itself proves nothing",
        "run `provision expose` on another machine, one outside of its network if you can",
    )
}

fn not_direct(host: &str, address: &str, knocked: [Option<&Knocked>; 2], indirect: bool) -> Failure {
    let said = knocked.into_iter().flatten().map(|knocked| match knocked.intercepted {
        true => format!("a proxy on the way answers on every port of {}", knocked.address),
        false => format!("nothing answers at {}", knocked.address),
    });
    let mut why = said.collect::<Vec<_>>().join(", ");
    if why.is_empty() {
        why = format!("{address} is no address of the host itself");
    }
    let way = if indirect { "; ssh goes through another host" } else { "" };
    failure::with_hint(
        Exit::NotReached,
        format!("{host} is not reached directly from here: {why}{way}"),
        format!("run `provision expose {host}` on a machine that reaches it without a detour"),
    )
}

/// What is wrong, and what to do about it.
fn complaint(exposure: &Exposure, close: &str) -> Option<Failure> {
    let found = [undeclared(exposure, close), missing(exposure)];
    let (what, hints): (Vec<_>, Vec<_>) = found.into_iter().flatten().unzip();
    if what.is_empty() {
        return None;
    }
    Some(Failure { hints, ..failure::plain(Exit::Exposed, what.join("; ")) })
}

/// What to do about a port that should not be reached.
fn close(session: &Session<'_>) -> String {
    match session.openings() {
        Some(_) => format!(
            "close it: `provision up {}` sets the firewall as the playbook says, and you remove a rule made by hand \
             (`sudo ufw status` on the host); or add it to `allow` in [steps.firewall]",
            session.name
        ),
        None => "close it (a container: publish it on 127.0.0.1), or let the firewall decide: list what it lets in with `allow` in [steps.firewall]".into(),
    }
}

fn undeclared(exposure: &Exposure, close: &str) -> Option<(String, String)> {
    let ports: Vec<_> = exposure.undeclared().collect();
    let what = match ports.as_slice() {
        [] => return None,
        [_] => format!("{} is reached from here and not declared", named(&ports)),
        _ => format!("{} are reached from here and not declared", named(&ports)),
    };
    Some((what, close.to_owned()))
}

fn missing(exposure: &Exposure) -> Option<(String, String)> {
    let ports: Vec<_> = exposure.missing().collect();
    let what = match ports.as_slice() {
        [] => return None,
        [_] => format!("{} is declared and not reached from here", named(&ports)),
        _ => format!("{} are declared and not reached from here", named(&ports)),
    };
    let any = |verdict| ports.iter().any(|row| row.verdict == verdict);
    let firewall = "look for a firewall in the way, the provider's too";
    let service = "start what is to answer there, or declare it no longer";
    let hint = match (any(Verdict::Blocked), any(Verdict::NothingListens)) {
        (true, true) => format!("blocked: {firewall}; nothing listens: {service}"),
        (true, false) => firewall.to_owned(),
        _ => service.to_owned(),
    };
    Some((what, hint))
}

/// `9999/tcp (nc), 5432/tcp (db) and 3 more`.
fn named(rows: &[&Row]) -> String {
    let name = |row: &&Row| match row.owners.as_slice() {
        [] => row.port(),
        owners => format!("{} ({})", row.port(), owners.join(", ")),
    };
    let mut text = rows.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    if rows.len() > NAMED {
        text.push_str(&format!(" and {} more", rows.len() - NAMED));
    }
    text
}
