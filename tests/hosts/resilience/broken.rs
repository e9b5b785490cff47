//! Killed at random moments: the laptop's side, the connection, the runner, the host.

use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use libtest_mimic::Failed;

use super::{Chance, Talking, fresh, is_as_undisturbed, reference, signal, stack, wait};
use crate::Story;
use crate::lab::{Folder, Host, eventually};

pub const STORIES: &[Story] = &[
    ("resilience::the_laptop_dies_once", || the_laptop_dies("the_laptop_dies_once")),
    ("resilience::the_laptop_dies_twice", || the_laptop_dies("the_laptop_dies_twice")),
    ("resilience::the_laptop_dies_thrice", || the_laptop_dies("the_laptop_dies_thrice")),
    ("resilience::the_connection_is_cut_once", || the_connection_is_cut("the_connection_is_cut_once")),
    ("resilience::the_connection_is_cut_twice", || the_connection_is_cut("the_connection_is_cut_twice")),
    ("resilience::the_network_is_away", the_network_is_away),
    ("resilience::a_connection_that_needs_a_password_is_cut", a_connection_that_needs_a_password_is_cut),
    ("resilience::the_runner_is_killed", the_runner_is_killed),
    ("resilience::the_runner_dies_before_it_can_say_so", the_runner_dies_before_it_can_say_so),
    ("resilience::the_host_reboots", the_host_reboots),
];

/// The ssh masters that provision has started for this host: each host has a name of its own.
fn masters(host: &Host) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let ours = processes.filter(|process| {
        let line = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split_terminator('\0').collect();
        words.contains(&"-M") && words.last() == Some(&host.name.as_str())
    });
    ours.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

fn kill_all(host: &Host, child: &Child) {
    signal("KILL", &child.id().to_string());
    for master in masters(host) {
        signal("KILL", &master);
    }
}

/// Ends all ssh sessions, on the host.
pub(super) fn cut(host: &Host) {
    host.inside("for pid in $(ps -C sshd-session -o pid=); do kill -9 $pid 2>/dev/null; done; true");
}

fn the_laptop_dies(story: &str) -> Result<(), Failed> {
    let moment = Chance::new(story).moment();
    let host = fresh();
    let folder = stack();
    let child = folder.spawn(&["up", "--yes", &host.name]);
    sleep(moment);
    kill_all(&host, &child);
    wait(child);
    // One that was only being made when its maker died ends by itself after half a minute.
    eventually("no connection is left", || masters(&host).is_empty());

    stack().provision(&["up", "--yes", &host.name]).expect(0);
    is_as_undisturbed(&host);
    Ok(())
}

/// The sessions' processes end on the host; provision lives, and comes back by itself.
fn the_connection_is_cut(story: &str) -> Result<(), Failed> {
    let moment = Chance::new(story).moment();
    let host = fresh();
    let folder = stack();
    let child = folder.spawn(&["up", "--yes", &host.name]);
    sleep(moment);
    cut(&host);
    let did = wait(child);
    did.is_harmless();
    // Before the run has begun there is nothing to come back to.
    if did.code == 4 {
        did.said(&["error: ", "connection"]);
        assert!(!did.stderr.contains("[1/"), "{}", did.stderr);
        stack().provision(&["up", "--yes", &host.name]).expect(0);
    } else {
        did.expect(0);
    }
    is_as_undisturbed(&host);
    Ok(())
}

/// For a while nobody notices; then for longer than ssh waits for a sign of life. What the
/// host downloads comes through all the while.
fn the_network_is_away() -> Result<(), Failed> {
    let host = fresh();
    let folder = stack();
    let child = folder.spawn(&["up", "--yes", &host.name]);
    host.comes_to("change start 001");
    for seconds in [4, 23] {
        host.iptables("-I INPUT -p tcp --dport 22 -j DROP");
        host.iptables("-I OUTPUT -p tcp --sport 22 -j DROP");
        sleep(Duration::from_secs(seconds));
        host.iptables("-F INPUT");
        host.iptables("-F OUTPUT");
        sleep(Duration::from_secs(1));
    }
    let did = wait(child);
    did.expect(0).said(&[
        "connection lost",
        "the run continues on the host",
        "connected again",
        "reachable from here",
    ]);
    is_as_undisturbed(&host);
    Ok(())
}

/// sudo asks again on the new connection, and is answered without asking anybody.
fn a_connection_that_needs_a_password_is_cut() -> Result<(), Failed> {
    let host = Host::make("debian13-sudo");
    let folder = Folder::empty().with("PROVISION_SUDO_PASSWORD", "lab-secret");
    folder.write("own.toml", "steps = [\"packages\"]\n[options.packages]\ninstall = [\"hello\"]\n");
    folder.write("provision.toml", "playbook = \"./own.toml\"\n");
    let holder = host.hold_lock("/var/lib/dpkg/lock-frontend", 600);
    let up = Talking::up(&folder, &host);
    up.says("apt is locked");
    cut(&host);
    up.says("connected again");
    host.inside(&format!("kill {holder}"));
    up.end().expect(0).said(&["connection lost", "1 change made"]);
    assert_eq!(host.applied(), ["packages/install"]);
    Ok(())
}

/// With all that it has started, in the middle of dpkg or of Docker.
fn the_runner_is_killed() -> Result<(), Failed> {
    let moment = Chance::new("the_runner_is_killed").moment();
    let host = fresh();
    let folder = stack();
    let child = folder.spawn(&["up", "--yes", &host.name]);
    host.comes_to("change start 001");
    sleep(moment.mul_f64(0.6));
    let run = host.run();
    host.inside(&format!("systemctl kill -s KILL provision-run-{run}"));
    let did = wait(child);
    if did.code != 0 {
        let change =
            did.fails(6, &["the run ended unexpectedly", "continues from there"]).behind("  in ").to_owned();
        stack()
            .provision(&["up", "--yes", &host.name])
            .expect(0)
            .said(&[&format!("the earlier run {run} ended unexpectedly in {change}; continuing from there")]);
    }
    let ran = |state: &str| state.lines().last().expect("a line").to_owned();
    // What was under way is done again: the one-shot may have been.
    if ran(&host.state()) == "the one-shot ran 2 times" {
        host.inside("sed -i 1d /var/lib/docker/volumes/three_counted/_data/runs");
    }
    is_as_undisturbed(&host);
    Ok(())
}

/// A change is done and the journal does not know: the next `up` sees the host, not the journal.
fn the_runner_dies_before_it_can_say_so() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let child = folder.spawn(&["up", "--yes", &host.name]);
    host.comes_to("change start 001");
    let run = host.run();
    host.inside(&format!("kill -s STOP $(systemctl show -P MainPID provision-run-{run})"));
    eventually("the change is done", || host.inside("pgrep -f /ste[p].sh || echo none").trim() == "none");
    host.inside(&format!("systemctl kill -s KILL provision-run-{run}"));
    wait(child).fails(6, &["the run ended unexpectedly", "continues from there"]);
    let did = stack().provision(&["up", "--yes", &host.name]);
    did.expect(0).said(&[&format!(
        "the earlier run {run} ended unexpectedly in packages/install; continuing from there"
    )]);
    assert!(!host.applied().contains(&"packages/install".to_owned()));
    is_as_undisturbed(&host);
    Ok(())
}

/// A clean reboot: provision waits for the host, and says how the run has ended.
fn the_host_reboots() -> Result<(), Failed> {
    let _ = reference();
    let host = fresh();
    let folder = stack();
    let child = folder.spawn(&["up", "--yes", &host.name]);
    host.comes_to("change start 001");
    host.lab("reboot");
    let did = wait(child);
    did.fails(
        6,
        &["connection lost", "the run ended unexpectedly: the host went down", "continues from there"],
    );
    let did = stack().provision(&["up", "--yes", "--json", &host.name]);
    did.expect(0);
    let resuming = did.events().into_iter().find(|event| event["event"] == "resuming").expect("resuming");
    assert_eq!((&resuming["outcome"], &resuming["change"]), (&"died".into(), &"packages/install".into()));
    is_as_undisturbed(&host);
    Ok(())
}
