//! What stands in settings, here and on the host.

use libtest_mimic::Failed;

use super::with_steps;
use crate::Story;
use crate::lab::{Folder, Host};

pub const STORIES: &[Story] = &[
    ("trouble::an_option_that_does_not_exist", an_option_that_does_not_exist),
    ("trouble::a_daemon_json_that_is_none", a_daemon_json_that_is_none),
    ("trouble::a_setting_that_dockerd_refuses", a_setting_that_dockerd_refuses),
];

/// Before any connection: the host does not even exist.
fn an_option_that_does_not_exist() -> Result<(), Failed> {
    let folder = Folder::with_stack();
    folder.settings("mirorr = \"http://example.org\"\n");
    folder.provision(&["up", "--yes", "no-such-host.invalid"]).expect(2).said(&[
        "provision.toml:5",
        "unknown key `mirorr` in [steps.docker]",
        "did you mean `mirror`?",
    ]);
    folder.write("provision.toml", "playbook = \"docker\"\n[steps.packages]\nlock_wait = \"long\"\n");
    folder
        .provision(&["up", "--yes", "no-such-host.invalid"])
        .expect(2)
        .said(&["provision.toml:3", "`lock_wait` is a whole number of seconds, not text"]);
    Ok(())
}

fn a_daemon_json_that_is_none() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let folder = with_steps(r#""machine", "docker""#, "[steps.docker.daemon]\ndebug = true\n");
    host.inside("mkdir -p /etc/docker; echo '{ \"debug\": false,' >/etc/docker/daemon.json");
    folder
        .provision(&["up", "--yes", &host.name])
        .fails(3, &["/etc/docker/daemon.json on the host is no valid JSON", "fix it first"]);
    assert_eq!(host.inside("cat /etc/docker/daemon.json"), "{ \"debug\": false,\n");
    assert_eq!(host.inside("ls /var/lib/provision 2>/dev/null || true"), "");

    host.inside("echo '{ \"debug\": false }' >/etc/docker/daemon.json");
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    Ok(())
}

fn a_setting_that_dockerd_refuses() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let was = "{\"log-level\": \"info\"}\n";
    host.inside("mkdir -p /etc/docker; echo '{\"log-level\": \"info\"}' >/etc/docker/daemon.json; systemctl restart docker");
    let daemon = || host.inside("systemctl show -p MainPID -p ActiveState docker");
    let before = daemon();
    let folder =
        |setting: &str| with_steps(r#""machine", "docker""#, &format!("[steps.docker.daemon]\n{setting}\n"));

    for setting in ["no-such-setting = true", "log-level = \"shout\"", "max-concurrent-downloads = \"many\""]
    {
        let did = folder(setting).provision(&["up", "--yes", &host.name]);
        did.fails(
            6,
            &[
                "dockerd does not accept the new daemon.json; the previous one and the running Docker are untouched",
                setting.split(' ').next().expect("a name"),
                "continues from there",
            ],
        );
        assert!(!did.stderr.contains("/var/lib/provision/runs"), "where it was tried is nobody's business");
        assert_eq!(host.inside("cat /etc/docker/daemon.json"), was);
        assert_eq!(daemon(), before, "{setting}");
    }

    let mended = folder("log-level = \"warn\"");
    mended.provision(&["up", "--yes", &host.name]).expect(0).said(&["continuing from there"]);
    assert_ne!(daemon(), before);
    assert!(host.inside("cat /etc/docker/daemon.json").contains("\"log-level\": \"warn\""));
    Ok(())
}
