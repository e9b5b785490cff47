//! apt and dpkg: locked, interrupted, without network or room in the middle of a run.

use libtest_mimic::Failed;

use super::with_steps;
use crate::Story;
use crate::lab::{Did, Folder, Host, eventually};

pub const STORIES: &[Story] = &[
    ("trouble::a_held_apt_lock", a_held_apt_lock),
    ("trouble::an_interrupted_dpkg", an_interrupted_dpkg),
    ("trouble::the_network_goes_in_the_middle", the_network_goes_in_the_middle),
    ("trouble::the_disk_fills_in_the_middle", the_disk_fills_in_the_middle),
];

const LOCK: &str = "/var/lib/dpkg/lock-frontend";

fn packages(install: &str, more: &str) -> Folder {
    with_steps(r#""machine", "packages""#, &format!("[steps.packages]\ninstall = [{install}]\n{more}"))
}

fn a_held_apt_lock() -> Result<(), Failed> {
    let host = Host::make("debian13");

    // Longer than the patience.
    let folder = packages(r#""hello""#, "lock_wait = 3\n");
    let pid = host.hold_lock(LOCK, 600);
    let did = folder.provision(&["up", "--yes", &host.name]);
    did.fails(
        6,
        &[
            &format!("apt is in use by perl (pid {pid}); the run waits for it, up to 3 s"),
            &format!("error: apt has been locked for 3 seconds by perl (pid {pid})"),
            &format!("'ps -fp {pid}'"),
            "continues from there",
        ],
    );
    assert!(!host.try_root("dpkg -s hello").status.success());
    host.inside(&format!("kill {pid}"));

    // Shorter than the patience: each of apt's locks is waited for, and its holder named.
    host.inside("find /var/lib/apt/lists -type f -delete");
    for (package, lock) in [("hello", "/var/lib/apt/lists/lock"), ("tree", "/var/lib/dpkg/lock")] {
        let folder = packages(&format!("\"{package}\""), "");
        let pid = host.hold_lock(lock, 4);
        let did = folder.provision(&["up", "--yes", &host.name]);
        did.expect(0)
            .said(&[&format!("apt is locked by perl (pid {pid}); waiting for it, up to 300 seconds")]);
        host.root(&format!("dpkg -s {package}"));
    }
    Ok(())
}

/// dpkg is killed while it configures a package, and as it writes down what it did.
fn an_interrupted_dpkg() -> Result<(), Failed> {
    let host = Host::make("debian13");
    host.inside(
        r#"set -e
        d=/root/slow; mkdir -p $d/DEBIAN
        printf 'Package: slow\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: slow\n' >$d/DEBIAN/control
        printf '#!/bin/sh\n[ ! -e /root/stop ] || exec sleep 60\n' >$d/DEBIAN/postinst
        chmod 755 $d/DEBIAN/postinst
        dpkg-deb -b $d /root/slow.deb >/dev/null
        touch /root/stop
        dpkg -i /root/slow.deb >/dev/null 2>&1 & pid=$!
        until grep -A1 '^Package: slow$' /var/lib/dpkg/updates/* 2>/dev/null | grep -q half-configured; do sleep 0.1; done
        kill -9 $pid
        rm /root/stop"#,
    );
    assert!(!host.inside("dpkg --audit").is_empty(), "dpkg is interrupted");

    let folder = packages(r#""hello""#, "");
    assert_eq!(folder.planned(&host), ["packages/repair", "packages/install"]);
    let did = folder.provision(&["up", "--yes", "--json", &host.name]);
    did.expect(0);
    assert_eq!(did.ended("applied"), ["packages/repair", "packages/install"]);
    assert_eq!(host.inside("dpkg --audit; ls /var/lib/dpkg/updates"), "");
    assert!(host.root("dpkg -s slow").contains("Status: install ok installed"));
    folder.provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);
    Ok(())
}

/// The way out is closed after the probe found it open, while the run waits for apt.
fn the_network_goes_in_the_middle() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = packages(r#""hello""#, "");
    let held_up = |folder: &Folder, meanwhile: &dyn Fn()| {
        let pid = host.hold_lock(LOCK, 600);
        let child = folder.spawn(&["up", "--yes", &host.name]);
        waits_for_apt(&host);
        meanwhile();
        host.inside(&format!("kill {pid}"));
        Did::from(child.wait_with_output().expect("provision"))
    };
    let close = || {
        host.iptables("-I OUTPUT -p tcp --syn -j REJECT --reject-with tcp-reset");
        host.iptables("-I OUTPUT -p udp -j REJECT");
    };
    let before = host.packages();
    held_up(&folder, &close).fails(
        6,
        &[
            "the package lists could not be refreshed: the name ",
            " does not resolve on the host",
            "check the host's DNS",
            "continues from there",
        ],
    );
    assert_eq!(host.packages(), before);
    host.iptables("-F OUTPUT");
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["continuing from there"]);

    // The same before Docker's repository stands: apt is left as it was.
    let docker = with_steps(
        r#""machine", "packages", "docker""#,
        "[steps.packages]\ninstall = [\"tree\"]\n[steps.docker]\nmirror = \"http://10.91.0.1:8080\"\n",
    );
    let cut = || host.iptables("-I OUTPUT -d 10.91.0.1 -p tcp --dport 8080 -j REJECT");
    held_up(&docker, &cut).fails(
        6,
        &[
            "the key of Docker's repository could not be downloaded",
            "the host must reach",
            "continues from there",
        ],
    );
    assert_eq!(host.inside("ls /etc/apt/sources.list.d/docker.sources 2>/dev/null || true"), "");
    host.root("apt-get -qq update");
    host.iptables("-F OUTPUT");
    docker.provision(&["up", "--yes", &host.name]).expect(0).said(&["continuing from there"]);
    host.root("docker version");
    Ok(())
}

fn waits_for_apt(host: &Host) {
    eventually("the run waits for apt", || {
        host.inside("cat /var/lib/provision/runs/*/journal 2>/dev/null | tail -n 1 || true")
            .contains("apt is locked")
    });
}

/// Where apt downloads to, and then also where the run keeps its journal.
fn the_disk_fills_in_the_middle() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = packages(r#""gcc""#, "");
    host.inside(
        "mount -t tmpfs -o size=2m tmpfs /var/cache/apt/archives; mkdir /var/cache/apt/archives/partial",
    );
    folder.provision(&["up", "--yes", &host.name]).fails(
        6,
        &["packages could not be installed: the disk is full", "free some space", "continues from there"],
    );

    host.inside("mkdir -p /root/room; cp -a /var/lib/provision /root/room; mount -t tmpfs -o size=120m tmpfs /var/lib/provision; cp -a /root/room/provision /var/lib");
    let pid = host.hold_lock(LOCK, 600);
    let child = folder.spawn(&["up", "--yes", &host.name]);
    waits_for_apt(&host);
    host.inside("cat /dev/zero >/var/lib/provision/filling 2>/dev/null || true");
    host.inside(&format!("kill {pid}"));
    Did::from(child.wait_with_output()?).fails(
        6,
        &["packages could not be installed: the disk is full", "free some space", "continues from there"],
    );

    host.inside("rm /var/lib/provision/filling; umount /var/cache/apt/archives");
    let hello = packages(r#""hello""#, "");
    hello.provision(&["up", "--yes", &host.name]).expect(0).said(&["continuing from there"]);
    Ok(())
}
