//! `provision open`: a page of the host's own, here.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use super::exit::Exit;
use super::probe::probe;
use super::{exit_of, failure};
use crate::cli::Open;
use crate::facts::{Facts, Published, Question};
use crate::host::{Destination, Way};
use crate::report::{Event, Failure, Reporter, print};
use crate::run::Link;
use crate::text::harmless;

/// How long the tunnel may take until it stands.
const PATIENCE: Duration = Duration::from_secs(30);

/// `provision open HOST SERVICE`
pub(super) async fn open(mut link: Link, arguments: &Open, reporter: &dyn Reporter) -> Exit {
    let name = link.name();
    let opened = async {
        if arguments.host == Destination::Local {
            let what = "on this very machine there is no way to make: its pages are on localhost";
            return Err(failure::plain(Exit::Usage, what));
        }
        link.connect().await.map_err(failure::from_host)?;
        let facts = probe(&link, &[Question::Published].into()).await?.facts;
        link.close().await;
        let page = choose(&facts, &arguments.service, &name)?;
        let way = link.way().await.map_err(failure::from_host)?;
        tunnel(&page, arguments.port, &name, &way).await
    };
    match opened.await {
        Ok(()) => Exit::Done,
        Err(failure) => {
            reporter.tell(&name, &Event::Failed(failure.clone()));
            exit_of(&failure)
        }
    }
}

/// A page on the host.
struct Page {
    name: String,
    address: String,
    port: u16,
}

/// The service's page, or what answers at that port.
fn choose(facts: &Facts, wanted: &str, host: &str) -> Result<Page, Failure> {
    let tcp: Vec<&Published> = facts.published.iter().filter(|port| port.protocol == "tcp").collect();
    let page = |port: &Published| Page {
        name: harmless(if port.service.is_empty() { &port.container } else { &port.service }).into_owned(),
        address: match port.address {
            address if address.is_unspecified() => "127.0.0.1".to_owned(),
            address => address.to_string(),
        },
        port: port.port,
    };
    let found = tcp.iter().find(|port| port.service == wanted || port.container == wanted);
    if let Some(port) = found.or_else(|| tcp.iter().find(|port| wanted.parse() == Ok(port.port))) {
        return Ok(page(port));
    }
    // A program of the host's own.
    if let Ok(port) = wanted.parse() {
        return Ok(Page { name: format!("port {port}"), address: "127.0.0.1".to_owned(), port });
    }
    let known: BTreeSet<&str> =
        tcp.iter().map(|port| port.service.as_str()).filter(|name| !name.is_empty()).collect();
    let hint = if known.is_empty() {
        format!(
            "no container there publishes anything: `provision up {host}` starts a stack; a port number is taken as well"
        )
    } else {
        format!("these do: {}", harmless(&crate::nearest::listed(known)))
    };
    Err(failure::with_hint(Exit::Usage, format!("no service `{wanted}` publishes a port on {host}"), hint))
}

/// Until Ctrl-C.
async fn tunnel(page: &Page, port: Option<u16>, host: &str, way: &Way) -> Result<(), Failure> {
    let here = match port {
        Some(port) => port,
        None if is_free(page.port) => page.port,
        None => a_free_one()?,
    };
    let address =
        if page.address.contains(':') { format!("[{}]", page.address) } else { page.address.clone() };
    // Listened for before anything is open that Ctrl-C is to close.
    let interrupt = tokio::signal::unix::SignalKind::interrupt();
    let mut interrupts = tokio::signal::unix::signal(interrupt)
        .map_err(|error| failure::plain(Exit::Bug, format!("Ctrl-C cannot be listened for: {error}")))?;
    let forward = format!("127.0.0.1:{here}:{address}:{}", page.port);
    let mut ssh = way
        .ssh()
        .args([
            "-N",
            "-T",
            "-o",
            "ExitOnForwardFailure=yes",
            "-o",
            "ControlPath=none",
            "-L",
            &forward,
            "--",
            way.alias(),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            failure::plain(Exit::NotReached, format!("the `ssh` program could not be started: {error}"))
        })?;
    let stands = async {
        while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, here)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = stands => {}
        _ = interrupts.recv() => return Ok(()),
        ended = ssh.wait() => return Err(ended_early(ended.ok().and_then(|status| status.code()))),
        () = tokio::time::sleep(PATIENCE) => return Err(ended_early(None)),
    }
    print(&format!("http://localhost:{here} is {} on {}; Ctrl-C closes it\n", page.name, harmless(host)));
    tokio::select! {
        _ = interrupts.recv() => Ok(()),
        ended = ssh.wait() => Err(ended_early(ended.ok().and_then(|status| status.code()))),
    }
}

fn ended_early(code: Option<i32>) -> Failure {
    let code = code.map_or_else(String::new, |code| format!(" (exit code {code})"));
    failure::with_hint(
        Exit::NotReached,
        format!("ssh did not keep the tunnel open{code}"),
        "what ssh said stands above; `--port` names another port here",
    )
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn a_free_one() -> Result<u16, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| failure::plain(Exit::Usage, format!("no port is free here: {error}")))
}
