//! Ctrl-C, as a terminal sends it: to the whole group of processes.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::broken::cut;
use super::{Talking, fresh, is_as_undisturbed, reference, stack};
use crate::Story;
use crate::lab::{Folder, Host, eventually};

pub const STORIES: &[Story] = &[
    ("resilience::ctrl_c_detaches", ctrl_c_detaches),
    ("resilience::ctrl_c_twice_cancels", ctrl_c_twice_cancels),
    ("resilience::ctrl_c_while_nobody_answers", ctrl_c_while_nobody_answers),
];

const LOCK: &str = "/var/lib/dpkg/lock-frontend";

/// A run that waits for a lock, which the process that comes back holds.
fn waiting(folder: &Folder, host: &Host) -> (Talking, String) {
    let holder = host.hold_lock(LOCK, 600);
    let up = Talking::up(folder, host);
    up.says("apt is locked");
    (up, holder)
}

/// The run goes on, and the next `up` finds its work done or follows it.
fn ctrl_c_detaches() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let (up, holder) = waiting(&folder, &host);
    up.ctrl_c();
    let did = up.end();
    let run = host.run();
    did.expect(8).said(&[
        &format!("run {run} continues on the host"),
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
    let (up, holder) = waiting(&folder, &host);
    up.ctrl_c();
    up.says("Ctrl-C again within 3 seconds cancels it");
    up.ctrl_c();
    eventually("the host knows", || host.inside("ls /var/lib/provision/runs/*/").contains("cancel"));
    host.inside(&format!("kill {holder}"));
    let did = up.end();
    let run = host.run();
    did.fails(
        9,
        &[
            "cancelling: the run stops after the change that is under way",
            "error: the run was cancelled; what was done stands",
            "continues from there",
        ],
    );
    assert_eq!(host.applied(), ["packages/install"], "what was under way is finished, and nothing more");

    let did = stack().provision(&["up", "--yes", &host.name]);
    did.expect(0).said(&[&format!(
        "the earlier run {run} was cancelled after packages/install; continuing from there"
    )]);
    is_as_undisturbed(&host);
    Ok(())
}

/// Also while the connection is being made again a person may leave.
fn ctrl_c_while_nobody_answers() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let up = Talking::up(&folder, &host);
    up.says("[1/");
    host.iptables("-I INPUT -p tcp --dport 22 -j REJECT");
    cut(&host);
    up.says("connection lost");
    let pressed = Instant::now();
    up.ctrl_c();
    let did = up.end();
    assert!(pressed.elapsed() < Duration::from_secs(6), "{:?}", pressed.elapsed());
    did.expect(8).said(&["connection lost", "continues on the host"]);
    host.iptables("-F INPUT");
    stack().provision(&["up", "--yes", &host.name]).expect(0);
    is_as_undisturbed(&host);
    Ok(())
}
