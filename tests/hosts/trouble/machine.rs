//! Machines that are not fit: found before anything is changed.

use libtest_mimic::Failed;

use super::with_steps;
use crate::Story;
use crate::lab::{Folder, Host};

pub const STORIES: &[Story] = &[
    ("trouble::an_unsupported_distribution", an_unsupported_distribution),
    ("trouble::an_unsupported_architecture", an_unsupported_architecture),
    ("trouble::a_full_disk", a_full_disk),
    ("trouble::no_network", no_network),
];

const NOT_READY: &str = "this machine is not ready; nothing was changed";

fn an_unsupported_distribution() -> Result<(), Failed> {
    let host = Host::make("unsupported");
    let packages = host.packages();
    let folder = Folder::with_stack();
    let texts =
        ["distribution: Debian GNU/Linux 10 (buster) is not supported", "Debian 11 or newer", NOT_READY];
    folder.provision(&["up", "--yes", &host.name]).fails(3, &texts);
    // It is no matter of courage.
    folder.provision(&["up", "--yes", "--force", &host.name]).fails(3, &texts);
    host.is_untouched(&packages);
    Ok(())
}

/// dpkg says what the machine is made of, and here it says something else.
fn an_unsupported_architecture() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let packages = host.packages();
    let told = |from, to| {
        host.inside(&format!(
            "sed -i '/^Package: dpkg$/,/^$/s/^Architecture: {from}$/Architecture: {to}/' /var/lib/dpkg/status"
        ));
    };
    let folder = Folder::with_stack();
    told("amd64", "riscv64");
    folder
        .provision(&["up", "--yes", &host.name])
        .fails(3, &["architecture: riscv64 is not supported", "take an amd64 or arm64 machine", NOT_READY]);
    told("riscv64", "amd64");
    host.is_untouched(&packages);
    folder.provision(&["check", &host.name]).expect(0);
    Ok(())
}

fn a_full_disk() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let folder = with_steps(r#""machine", "docker""#, "[steps.docker.daemon]\ndebug = true\n");
    // A daemon that is still starting would open its files on the small disk, and hold it.
    host.inside("systemctl start docker && mount -t tmpfs -o size=50m tmpfs /var/lib/docker");
    folder.provision(&["up", "--yes", &host.name]).fails(
        3,
        &["disk: 52 MB free at /var/lib/docker, of at least 500 MB", "free some space", "--force", NOT_READY],
    );
    assert_eq!(host.inside("ls -d /etc/docker/* /var/lib/provision 2>/dev/null || true"), "");

    // Where the runner writes there is no way around it.
    host.inside("umount /var/lib/docker && mkdir /var/lib/provision && mount -t tmpfs -o size=50m tmpfs /var/lib/provision");
    folder
        .provision(&["up", "--yes", "--force", &host.name])
        .fails(3, &["disk: 52 MB free at /var/lib/provision, of at least 100 MB", NOT_READY]);

    host.inside("umount /var/lib/provision");
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    Ok(())
}

fn no_network() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let packages = host.packages();
    let folder = Folder::with_stack();

    for how in ["DROP", "REJECT"] {
        let rule = format!("OUTPUT -d 10.91.0.1 -p tcp --dport 8080 -j {how}");
        host.iptables(&format!("-I {rule}"));
        folder.provision(&["up", "--yes", &host.name]).fails(
            3,
            &["network: 10.91.0.1:8080 is not reached from the host", "outgoing firewall", NOT_READY],
        );
        host.iptables(&format!("-D {rule}"));
    }
    let named = Folder::with_stack();
    named.write("provision.toml", "[steps.docker]\nmirror = \"http://mirror.invalid:8080\"\n");
    named.provision(&["up", "--yes", &host.name]).fails(
        3,
        &[
            "network: the name in mirror.invalid:8080 does not resolve on the host",
            "check its DNS",
            NOT_READY,
        ],
    );
    host.is_untouched(&packages);
    folder.provision(&["check", &host.name]).expect(0);
    Ok(())
}
