//! Ctrl-C, as a terminal sends it: to the whole group of processes.

use std::os::unix::process::CommandExt;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::broken::cut;
use super::{fresh, is_as_undisturbed, reference, signal, stack, wait};
use crate::Story;
use crate::lab::{Folder, Host, eventually};

pub const STORIES: &[Story] = &[
    ("resilience::ctrl_c_detaches", ctrl_c_detaches),
    ("resilience::ctrl_c_twice_cancels", ctrl_c_twice_cancels),
    ("resilience::ctrl_c_while_nobody_answers", ctrl_c_while_nobody_answers),
];

/// By then the laptop has heard of what the host knows.
const HEARD: Duration = Duration::from_secs(1);

const LOCK: &str = "/var/lib/dpkg/lock-frontend";

fn start(folder: &Folder, host: &Host) -> Child {
    let mut command = folder.command(&["up", "--yes", &host.name]);
    command.process_group(0);
    command.spawn().expect("provision")
}

fn ctrl_c(child: &Child) {
    signal("INT", &format!("-{}", child.id()));
}

/// A run that waits for a lock, which the process that comes back holds.
fn waiting(folder: &Folder, host: &Host) -> (Child, String) {
    let holder = host.hold_lock(LOCK, 60);
    let child = start(folder, host);
    host.comes_to("apt is locked");
    sleep(HEARD);
    (child, holder)
}

/// The run goes on, and the next `up` finds its work done or follows it.
fn ctrl_c_detaches() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let (child, holder) = waiting(&folder, &host);
    ctrl_c(&child);
    let did = wait(child);
    let run = host.run();
    did.expect(8).said(&[
        &format!("run {run} goes on without you"),
        &format!("'provision up {}' follows it again", host.name),
        "Ctrl-C again within 3 seconds cancels it",
    ]);
    assert!(!did.stderr.contains("error:"), "{}", did.stderr);

    host.inside(&format!("kill {holder}"));
    let did = stack().provision(&["up", "--yes", &host.name]);
    did.expect(0).said(&[&format!("following run {run}, started by "), "[1/", "nothing to change"]);
    is_as_undisturbed(&host);
    Ok(())
}

fn ctrl_c_twice_cancels() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let (child, holder) = waiting(&folder, &host);
    ctrl_c(&child);
    sleep(Duration::from_millis(700));
    ctrl_c(&child);
    eventually("the host knows", 10, || host.inside("ls /var/lib/provision/runs/*/").contains("cancel"));
    host.inside(&format!("kill {holder}"));
    let did = wait(child);
    let run = host.run();
    did.fails(
        9,
        &[
            "cancelling: the run stops after the change that is under way",
            "error: the run was cancelled; what was done stands",
            "goes on from there",
        ],
    );
    assert_eq!(host.applied(), ["packages/install"], "what was under way is finished, and nothing more");

    let did = stack().provision(&["up", "--yes", &host.name]);
    did.expect(0)
        .said(&[&format!("the earlier run {run} was cancelled after packages/install; going on from there")]);
    is_as_undisturbed(&host);
    Ok(())
}

/// Also while the connection is being made again a person may leave.
fn ctrl_c_while_nobody_answers() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let child = start(&folder, &host);
    host.comes_to("change start 001");
    host.iptables("-I INPUT -p tcp --dport 22 -j REJECT");
    cut(&host);
    sleep(Duration::from_secs(2));
    let pressed = Instant::now();
    ctrl_c(&child);
    let did = wait(child);
    assert!(pressed.elapsed() < Duration::from_secs(6), "{:?}", pressed.elapsed());
    did.expect(8).said(&["connection lost", "goes on without you"]);
    host.iptables("-F INPUT");
    stack().provision(&["up", "--yes", &host.name]).expect(0);
    is_as_undisturbed(&host);
    Ok(())
}
