//! Two at once, and what a dead run leaves: followed, kept apart, gone on behind.

use libtest_mimic::Failed;

use super::{Talking, fresh, is_as_undisturbed, reference, stack, wait};
use crate::Story;
use crate::lab::Folder;

pub const STORIES: &[Story] = &[
    ("resilience::a_run_that_is_going_on_is_followed", a_run_that_is_going_on_is_followed),
    ("resilience::two_at_the_same_moment", two_at_the_same_moment),
    ("resilience::a_lease_binds_while_its_run_lives", a_lease_binds_while_its_run_lives),
];

const LOCK: &str = "/var/lib/dpkg/lock-frontend";

fn a_run_that_is_going_on_is_followed() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let first = folder.spawn(&["up", "--yes", &host.name]);
    host.comes_to("change start 001");
    let run = host.run();
    let plan = stack().provision(&["plan", &host.name]);
    plan.expect(0)
        .said(&[&format!("warning: the run {run} of "), "is active; this plan shows the host as it is now"]);
    let second = folder.spawn(&["up", "--yes", &host.name]);
    let third = stack().provision(&["up", "--yes", &host.name]);
    for did in [wait(second), third] {
        did.expect(0).said(&[&format!("following run {run}, started by "), "nothing to change"]);
    }
    wait(first).expect(0).said(&["changes made"]);
    assert_eq!(host.inside("ls /var/lib/provision/runs | wc -l").trim(), "1");
    is_as_undisturbed(&host);
    Ok(())
}

/// Both have seen the same bare host; one is first, and the other finds nothing left to do.
fn two_at_the_same_moment() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folders = [stack(), stack(), stack()];
    let children: Vec<_> = folders.iter().map(|folder| folder.spawn(&["up", "--yes", &host.name])).collect();
    let did: Vec<_> = children.into_iter().map(wait).collect();
    for did in &did {
        did.expect(0);
    }
    let changed = did.iter().filter(|did| did.stderr.contains("changes made")).count();
    assert_eq!(changed, 1, "one has made the changes");
    is_as_undisturbed(&host);
    Ok(())
}

fn a_lease_binds_while_its_run_lives() -> Result<(), Failed> {
    let host = fresh();
    let folder = Folder::empty();
    folder.write("own.toml", "steps = [\"packages\"]\n[options.packages]\ninstall = [\"tree\"]\n");
    folder.write("provision.toml", "playbook = \"./own.toml\"\n");
    let lease = "/var/lib/provision/lease";

    // Its time is over by the clock, and its run lives: a machine that was asleep, or has a full disk.
    let holder = host.hold_lock(LOCK, 600);
    let first = folder.spawn(&["up", "--yes", &host.name]);
    host.comes_to("apt is locked");
    let run = host.run();
    host.inside(&format!("sed -i 's/^until .*/until 1/' {lease}"));
    let second = Talking::up(&folder, &host);
    second.says(&format!("following run {run}"));
    assert_eq!(host.inside("ls /var/lib/provision/runs").trim(), run, "no second run");
    host.inside(&format!("kill {holder}"));
    wait(first).expect(0);
    second.end().expect(0);

    // Its run is gone, whatever it says of time.
    let now = host.inside("date +%s");
    let now: u64 = now.trim().parse()?;
    for (package, until) in [("hello", now + 3600), ("sl", 1)] {
        folder.write(
            "own.toml",
            &format!("steps = [\"packages\"]\n[options.packages]\ninstall = [\"{package}\"]\n"),
        );
        host.inside(&format!(
            "printf 'run 20200101-000000-dead\\nholder ghost@nowhere\\nsince 1\\nuntil {until}\\n' >{lease}"
        ));
        folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["1 change made"]);
    }
    // What is no lease at all.
    folder.write("own.toml", "steps = [\"packages\"]\n[options.packages]\ninstall = [\"bc\"]\n");
    host.inside(&format!("head -c 300 /dev/urandom >{lease}"));
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["1 change made"]);
    assert_eq!(host.inside(&format!("ls {lease} 2>/dev/null || true")), "");
    Ok(())
}
