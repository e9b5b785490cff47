//! A change of the firewall that would lock us out, by whatever: the host sets itself back.

use std::process::Command;

use libtest_mimic::Failed;

use super::{ALONE, install_ufw, two_pages};
use crate::Story;
use crate::lab::{Folder, Host, eventually, ssh_config};

pub const STORIES: &[Story] = &[
    ("firewall::ssh_is_shut_out", ssh_is_shut_out),
    ("firewall::everything_is_shut_out", everything_is_shut_out),
    ("firewall::nobody_proves", nobody_proves),
    ("firewall::the_power_goes_half_way", the_power_goes_half_way),
    ("firewall::on_the_host_itself", on_the_host_itself),
];

/// The host's own rules would keep ssh out as soon as ufw is on: it sets itself back.
fn ssh_is_shut_out() -> Result<(), Failed> {
    let host = Host::make("debian12");
    install_ufw(&host);
    before_all(&host, "-p tcp --dport 22 -m conntrack --ctstate NEW -j DROP");
    // A slow host: setting it back takes longer than systemd waits for the start of just any unit.
    host.inside(
        "mkdir -p /etc/systemd/system.conf.d && cd /etc/systemd/system.conf.d && \
         printf '[Manager]\\nDefaultTimeoutStartSec=3s\\n' >hasty.conf && systemctl daemon-reexec; \
         sed -i 's/^stop)/&\\n    sleep 5/' /etc/ufw/before.init; chmod +x /etc/ufw/before.init",
    );
    let before = host.ufw();
    let folder = Folder::empty();
    folder.write("alone.toml", ALONE);
    folder.settings("[steps.firewall]\nallow = []\nrevert_after = 8\n");
    let up = || folder.provision(&["up", "--yes", "--playbook", "./alone.toml", &host.name]);
    up().fails(
        6,
        &[
            "the firewall was reverted: no new connection from the laptop succeeded within 8 seconds",
            "in firewall/rules",
        ],
    );
    assert_eq!(host.ssh("echo in"), "in\n", "reached again");
    assert_eq!(host.ufw(), before, "nothing of it remains");
    assert!(!host.inside("iptables-save; ip6tables-save").contains("PROVISION"), "nor in the kernel");
    host.nothing_is_armed();

    host.inside("sed -i '/--dport 22 .*DROP/d' /etc/ufw/before.rules");
    // A line for a shell would break what is none, and so nothing is changed.
    host.inside("mv /etc/ufw/after.init /root/ && printf '#!/usr/bin/perl\\n' >/etc/ufw/after.init");
    let before = host.ufw();
    up().fails(6, &["/etc/ufw/after.init is no shell script (#!/usr/bin/perl)", "nothing was changed"]);
    assert_eq!(host.ufw(), before);
    host.inside("mv /root/after.init /etc/ufw/");
    up().expect(0).said(&["the firewall was reverted at ", "after run "]);
    up().expect(0).said(&["nothing to change"]);
    assert_eq!(host.inside("ls -A /var/lib/provision/firewall"), "");
    Ok(())
}

/// A rule in ufw's own files, which it has not loaded yet.
fn before_all(host: &Host, rule: &str) {
    host.inside(&format!(
        "sed -i '0,/^# End required lines/s/^# End required lines/&\\n-A ufw-before-input {rule}/' /etc/ufw/before.rules; \
         grep -q '^-A ufw-before-input {rule}$' /etc/ufw/before.rules"
    ));
}

/// What is under way dies as well; the rules that were loaded before are loaded again, although
/// the files that they came from have changed since.
fn everything_is_shut_out() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let folder = two_pages();
    folder.settings("[steps.firewall]\nallow = [8080]\nrevert_after = 25\n");
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    before_all(&host, "-j DROP");
    let before = host.ufw();

    folder.settings("[steps.firewall]\nallow = [8080, 9090]\nrevert_after = 25\n");
    folder.provision(&["up", "--yes", &host.name]).fails(6, &["the firewall was reverted"]);
    assert_eq!(host.ssh("echo in"), "in\n", "reached again");
    assert_eq!(host.ufw(), before);
    assert_eq!((host.reached(8080).0, host.reached(9090).0), (true, false), "as it was before");
    host.nothing_is_armed();

    host.inside("sed -i '/^-A ufw-before-input -j DROP$/d' /etc/ufw/before.rules");
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["the firewall was reverted"]);
    assert_eq!((host.reached(8080).0, host.reached(9090).0), (true, true));
    Ok(())
}

/// The laptop dies before it can prove anything, and the host goes down before its time is over:
/// the next boot sets it back. What was never proven is no rest.
fn nobody_proves() -> Result<(), Failed> {
    let host = Host::make("debian13");
    install_ufw(&host);
    let before = host.ufw();
    let folder = Folder::empty();
    folder.write("alone.toml", ALONE);
    let start = |seconds: u32| {
        folder.settings(&format!("[steps.firewall]\nallow = [8080]\nrevert_after = {seconds}\n"));
        // The way in is closed for what is new only after the run was sent.
        before_all(&host, "-p tcp --dport 22 -m conntrack --ctstate NEW -j DROP");
        let mut child = folder.spawn(&["up", "--yes", "--playbook", "./alone.toml", &host.name]);
        eventually("the proof is awaited", || {
            host.inside("cat /var/lib/provision/runs/*/journal 2>/dev/null || true")
                .contains(" new-connection\n")
        });
        let _ = child.kill();
        let _ = child.wait();
        host.inside("sed -i '/--dport 22 .*DROP/d' /etc/ufw/before.rules /var/lib/provision/firewall/before/rules/before.rules");
    };
    start(60);
    host.lab("stop");
    host.lab("start");
    eventually("it sets itself back after a reboot", || host.inside("ufw status").contains("inactive"));
    // It is off while the files are put back.
    host.nothing_is_armed();
    assert_eq!(host.ufw(), before);
    host.inside("rm -r /var/lib/provision/runs");

    // Somebody comes back before the time is over: the rules stand, and are proven first.
    start(600);
    host.inside("systemctl kill -s KILL 'provision-run-*'");
    host.inside("iptables -D ufw-before-input -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP");
    let up = || folder.provision(&["up", "--yes", "--playbook", "./alone.toml", &host.name]);
    up().expect(0)
        .said(&["an earlier change was not proven to let us in again", "the new connection succeeded"]);
    host.nothing_is_armed();
    up().expect(0).said(&["nothing to change"]);
    assert!(host.inside("ufw status").contains("8080/tcp"));
    Ok(())
}

/// The power goes while the rules are written and ufw is off on disk: the boot starts with the rules of before.
fn the_power_goes_half_way() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let folder = two_pages();
    folder.settings("[steps.firewall]\nallow = [8080]\n");
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    let before = host.ufw();
    assert!(!host.reached(9090).0, "it is shut");
    folder.settings("[steps.firewall]\nallow = [8080, 9090]\n");
    let mut child = folder.spawn(&["up", "--yes", &host.name]);
    host.inside(
        "until grep -qi '^ENABLED=no' /etc/ufw/ufw.conf; do :; done; systemctl kill -s KILL 'provision-run-*'; sync",
    );
    let _ = child.kill();
    let _ = child.wait();
    // Now, and not by a reload that ends well.
    host.inside("grep -qi '^ENABLED=no' /etc/ufw/ufw.conf && test -e /var/lib/provision/firewall/armed");
    host.lab("stop");
    host.lab("start");
    assert!(!host.reached(9090).0, "still shut");
    assert_eq!(host.ufw(), before);
    host.nothing_is_armed();
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    assert_eq!((host.reached(8080).0, host.reached(9090).0), (true, true));
    Ok(())
}

/// Nobody is there to prove anything: the host tries from a network beside itself.
fn on_the_host_itself() -> Result<(), Failed> {
    let host = Host::make("debian13");
    install_ufw(&host);
    let copied = Command::new("scp")
        .arg("-qF")
        .arg(ssh_config())
        .arg(env!("CARGO_BIN_EXE_provision"))
        .arg(format!("root@{}:provision", host.name))
        .status()?;
    assert!(copied.success());
    host.inside("printf '%s\\n' 'steps = [\"firewall\"]' '[options.firewall]' 'allow = [8080]' 'revert_after = 20' >/root/alone.toml");
    let up = || {
        let output = host.try_root("./provision up local --yes --playbook ./alone.toml");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    before_all(&host, "-i prov-in -j DROP");
    let before = host.ufw();
    let (code, said) = up();
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("the host itself is not reached at port 22"), "{said}");
    assert_eq!(host.ufw(), before);
    host.nothing_is_armed();

    host.inside("sed -i '/-i prov-in -j DROP/d' /etc/ufw/before.rules");
    let (code, said) = up();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("no network could be made"), "{said}");
    assert!(host.inside("ufw status").contains("8080/tcp"));
    assert!(!host.inside("ip link; ip netns").contains("prov"), "nothing of the try is left");
    let (code, said) = up();
    assert!(code == Some(0) && said.contains("nothing to change"), "{said}");
    Ok(())
}
