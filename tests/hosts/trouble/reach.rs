//! The way to a host: no answer, no login, another key, no root.

use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::Story;
use crate::lab::{Folder, Host, ssh_config};

pub const STORIES: &[Story] = &[
    ("trouble::nobody_answers", nobody_answers),
    ("trouble::a_host_that_swallows_everything", a_host_that_swallows_everything),
    ("trouble::a_login_that_is_not_accepted", a_login_that_is_not_accepted),
    ("trouble::a_new_and_a_changed_host_key", a_new_and_a_changed_host_key),
    ("trouble::no_root_with_sudo", || no_root("debian13-sudo")),
    ("trouble::no_root_with_sudo_rs", || no_root("ubuntu2604-sudo")),
];

fn nobody_answers() -> Result<(), Failed> {
    let folder = Folder::with_stack();
    folder
        .provision(&["up", "--yes", "ssh://deploy@10.91.0.1:2"])
        .fails(4, &["10.91.0.1 refuses connections on port 2", "is sshd running there"]);
    folder
        .provision(&["up", "--yes", "10.91.0.9"])
        .fails(4, &["10.91.0.9 does not answer on port 22", "is the machine up"]);
    folder
        .provision(&["up", "--yes", "deploy@no-such-host.invalid"])
        .fails(4, &["the name `no-such-host.invalid` does not resolve", "check the spelling"]);
    Ok(())
}

/// The person's own patience holds, and the port is named.
fn a_host_that_swallows_everything() -> Result<(), Failed> {
    let host = Host::make("debian13");
    host.iptables("-I INPUT -p tcp --dport 2222 -j DROP");
    let folder = Folder::empty();
    folder.write("ssh_config", "ConnectTimeout 1\n");
    let config = folder.path().join("ssh_config").display().to_string();
    let started = Instant::now();
    let target = format!("ssh://deploy@{}:2222", host.address);
    let did = folder.provision(&["check", "-F", &config, &target]);
    did.fails(4, &[&format!("{} does not answer on port 2222", host.address), "let port 2222 through"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    Ok(())
}

fn a_login_that_is_not_accepted() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = Folder::with_stack();
    let login = format!("stranger@{}", host.name);
    folder
        .provision(&["up", "--yes", &login])
        .fails(4, &[&format!("{login} does not accept this login"), &format!("ssh-copy-id {login}")]);
    Ok(())
}

fn a_new_and_a_changed_host_key() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = Folder::empty();
    // Where a person keeps it: with a space, and a name of one's own for the host.
    let known = folder.path().join("my keys/known_hosts");
    folder.write("my keys/README", "");
    folder.write(
        "ssh_config",
        &format!(
            "Host web1\n  HostName {}\n  User deploy\n  IdentityFile {}\n  UserKnownHostsFile \"{}\"\n  HashKnownHosts yes\n",
            host.address,
            ssh_config().with_file_name("id_ed25519").display(),
            known.display()
        ),
    );
    let config = folder.path().join("ssh_config").display().to_string();
    let check = || folder.provision(&["check", "--playbook", "docker", "-F", &config, "web1"]);
    let key = || {
        let said = host.inside("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub");
        said.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    };

    let new = |key: &str| format!("new host key of {} accepted: {key} (ED25519)", host.address);
    check().expect(0).said(&[&new(&key())]);
    let again = check();
    again.expect(0);
    assert_eq!(again.stderr, "");

    let former = key();
    host.inside(
        "rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; \
         systemctl restart ssh",
    );
    assert_ne!(key(), former);
    let did = check();
    did.fails(4, &["the host key of web1 has changed", &key(), "the connection may be intercepted"]);
    assert!(!did.stderr.contains("@@@@"), "ssh's shouting is put into words\n{}", did.stderr);
    let cure = did.behind("remove the old one: ");
    assert!(Command::new("sh").args(["-c", cure]).status()?.success(), "{cure}");
    check().expect(0).said(&[&new(&key())]);
    Ok(())
}

fn no_root(kind: &str) -> Result<(), Failed> {
    let host = Host::make(kind);
    let packages = host.packages();
    let with = |password| Folder::with_stack().with("PROVISION_SUDO_PASSWORD", password);

    let nobody_to_ask = format!("sudo on {} wants a password, and there is no terminal to ask on", host.name);
    Folder::with_stack()
        .provision(&["up", "--yes", &host.name])
        .fails(5, &[&nobody_to_ask, "set PROVISION_SUDO_PASSWORD"]);
    let refused = format!("sudo on {} did not accept the password", host.name);
    with("not-it")
        .provision(&["up", "--yes", &host.name])
        .fails(5, &[&refused, "incorrect", "nothing was changed"]);
    let folder = Folder::with_stack();
    folder
        .provision(&["up", "--yes", &host.name, "--sudo-password-file", "no-such-file"])
        .fails(5, &["no-such-file cannot be read"]);
    host.is_untouched(&packages);

    // The cause is removed.
    folder.write("password", "lab-secret\n");
    let did = folder.provision(&["check", &host.name, "--sudo-password-file", "password"]);
    did.expect(0);
    assert!(!did.stdout.contains("lab-secret") && !did.stderr.contains("lab-secret"));

    host.inside("gpasswd -d deploy sudo");
    with("lab-secret").provision(&["up", "--yes", &host.name]).fails(5, &["or this login may not use sudo"]);
    host.is_untouched(&packages);
    Ok(())
}
