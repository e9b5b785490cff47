//! Somebody else's machine: a client from PyPI runs a flow through nginx, with the
//! password, and a browser shows the run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::Value;

use super::super::lab::{Folder, Host, ssh_config};
use super::password;

const FLOW: &str = include_str!("client/flow.py");
const PAGE: &str = include_str!("client/page.py");

/// What the programs read from the environment, without it ever being an argument.
const WITH_PASSWORD: &str = "set -a; . ./client.env; /opt/client/bin/python3";

/// A flow with three tasks on another host: its states, logs and events are read back, and
/// the page lists it. `host` has the stack.
pub fn works(host: &Host, folder: &Folder) -> Result<(), Failed> {
    let person = Host::make("debian13-client");
    let environment = format!(
        "PREFECT_API_URL=http://{}:4200/api\nPREFECT_API_AUTH_STRING=prefect:{}\n",
        host.address,
        password(host, folder)
    );
    put(&person, "client.env", &environment)?;
    put(&person, "flow.py", FLOW)?;
    put(&person, "page.py", PAGE)?;

    let read: Value = serde_json::from_str(&person.ssh(&format!("{WITH_PASSWORD} flow.py")))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed =
        |key: &str| -> Vec<String> { read[key].as_array().into_iter().flatten().map(text).collect() };
    assert_eq!((text(&read["state"]), text(&read["result"])), ("Completed".into(), "the sum is 49".into()));
    for task in ["collect", "count", "tell"] {
        assert_eq!(read["tasks"][task], "Completed", "{read:#}");
    }
    for line in ["collected 3 orders", "counted 49", "the sum is 49"] {
        assert!(listed("logs").iter().any(|said| said == line), "{line}: {read:#}");
    }
    for event in ["prefect.flow-run.Completed", "prefect.task-run.Completed", "shop.orders.counted"] {
        assert!(listed("events").iter().any(|seen| seen == event), "{event}: {read:#}");
    }
    assert_eq!(listed("heard"), ["shop.orders.counted"], "what the websocket was told: {read:#}");

    let (run, name) = (text(&read["run"]), text(&read["name"]));
    let views = format!(
        "/v2/runs {name} runs.png /v2/runs/flow-run/{run} 'the sum is 49' run.png \
         /v2/dashboard 'Active Work Pools' dashboard.png"
    );
    let shown = person.ssh(&format!("{WITH_PASSWORD} page.py http://{}:4200 {views}", host.address));
    assert!(shown.contains(&name) && shown.contains("3 Task runs"), "{shown}");
    for picture in ["runs", "run", "dashboard"] {
        keep(&person, picture)?;
    }
    Ok(())
}

/// Writes a file of `deploy`'s on a host: by stdin, for it may hold a secret.
fn put(host: &Host, file: &str, text: &str) -> Result<(), Failed> {
    let mut ssh = Command::new("ssh")
        .arg("-F")
        .arg(ssh_config())
        .args(["-o", "BatchMode=yes", &host.name, &format!("umask 077; cat >{file}")])
        .stdin(Stdio::piped())
        .spawn()?;
    ssh.stdin.take().ok_or("no stdin")?.write_all(text.as_bytes())?;
    assert!(ssh.wait()?.success(), "{file} is not written");
    Ok(())
}

/// Brings a picture here, where whoever reads the test's outcome finds it.
fn keep(host: &Host, picture: &str) -> Result<(), Failed> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
    let file: PathBuf = target.join("artefacts").join(format!("prefect-{picture}.png"));
    std::fs::create_dir_all(target.join("artefacts"))?;
    let command = format!("cat {picture}.png");
    let read = Command::new("ssh").arg("-F").arg(ssh_config()).args([&host.name, &command]).output()?;
    let size = |at: usize| read.stdout.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    let size = (size(16).map(u32::from_be_bytes), size(20).map(u32::from_be_bytes));
    assert!(read.stdout.starts_with(b"\x89PNG"), "{picture}.png is no picture");
    assert_eq!(size, (Some(1280), Some(800)), "{picture}.png");
    // An empty page packs into a few kilobytes.
    assert!(read.stdout.len() > 30_000, "{picture}.png shows nothing: {} bytes", read.stdout.len());
    std::fs::write(&file, &read.stdout)?;
    eprintln!("prefect::from_nothing: {}", file.display());
    Ok(())
}
