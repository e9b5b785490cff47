//! Hosts that say what they should not: nothing of it reaches the terminal, and
//! nothing of it is taken for an answer.

use libtest_mimic::Failed;

use crate::Story;
use crate::lab::{Folder, Host, Layer};

pub const STORIES: &[Story] = &[
    ("trouble::a_host_that_speaks_to_the_terminal", a_host_that_speaks_to_the_terminal),
    ("trouble::login_shells_of_all_kinds", login_shells_of_all_kinds),
    ("trouble::a_login_that_runs_no_commands", a_login_that_runs_no_commands),
];

/// Its name, its files, its services: whatever is shown is shown harmless.
fn a_host_that_speaks_to_the_terminal() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    host.inside(
        r#"printf 'PRETTY_NAME="Debian \033]0;owned\007 \033[31m13\033[0m"\nID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n' >/etc/os-release"#,
    );
    let folder = Folder::with_stack();
    folder.settings("[steps.packages]\ninstall = []\n[steps.stack]\nwait = 20\n");
    folder.write(
        "compose.yaml",
        r#"
name: three
services:
  web:
    image: nginx:1.27
    restart: unless-stopped
    command: ["sh", "-c", "printf 'no \\033[31mdatabase\\033[0m\\a\\n\\033]0;owned\\007\\r\\f\\v\\033[2J\\377\\302\\233\\n@x exit 0\\nrun completed\\n'; exit 3"]
    healthcheck:
      test: ["CMD-SHELL", "printf 'sick \\033[31m\\033[0m'; exit 3"]
"#,
    );
    for verb in ["check", "plan", "facts"] {
        folder.provision(&[verb, &host.name]).expect(0).is_harmless();
    }
    let mut raw = folder.provision(&["facts", "--raw", &host.name]);
    raw.expect(0);
    raw.stdout = raw.stdout.replace('\t', " ");
    raw.is_harmless();

    for talk in ["-q", "-v", "--json"] {
        let did = folder.provision(&["up", "--yes", talk, &host.name]);
        did.expect(6).is_harmless();
        let said = format!("{}{}", did.stdout, did.stderr);
        assert!(
            said.contains("no ") && said.contains("database") && said.contains("run completed"),
            "{said}"
        );
    }
    let runs = folder.provision(&["runs", &host.name]);
    runs.expect(0).is_harmless();
    let run = runs.stdout.split_whitespace().next().expect("a run");
    folder.provision(&["show", run]).expect(0).is_harmless();

    // A file that was edited on the host is shown as a diff.
    host.inside(r"printf '# \033[31mred\033[0m\033]0;owned\007\n' >>/srv/three/compose.yaml");
    let did = folder.provision(&["plan", &host.name]);
    did.expect(0).is_harmless();
    assert!(did.stdout.contains("edited on the host"), "{}", did.stdout);

    // A journal that somebody else has written.
    host.inside(&format!(
        r"printf '1 run start \033[31m 9 \033[0m\n2 change start 001 \033]0;x\007\n3 output 001 \377\033[2J\n4 change failed 001 \033c 1 x\n5 run failed\n' >/var/lib/provision/runs/{run}/journal; printf '\033c' >/var/lib/provision/runs/{run}/holder"
    ));
    for arguments in
        [&["show", run][..], &["show", run, "--json"], &["runs", &host.name], &["plan", &host.name]]
    {
        folder.provision(arguments).expect(0).is_harmless();
    }
    Ok(())
}

/// A greeting on stdout, and shells with another grammar.
fn login_shells_of_all_kinds() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = Folder::empty();
    let check = |what: &str| {
        let did = folder.provision(&["facts", "--playbook", "docker", &host.name]);
        did.expect(0);
        let facts: serde_json::Value = serde_json::from_str(&did.stdout).expect(what);
        assert_eq!(facts["facts"]["identity"]["user"], "deploy", "{what}");
        assert_eq!(did.stderr, "", "{what}");
    };
    host.inside(
        r#"printf 'Welcome to our machine!\n\033[1mNo entry\033[0m\n' >/etc/banner
        echo 'Banner /etc/banner' >/etc/ssh/sshd_config.d/banner.conf; systemctl reload ssh
        echo 'echo greeting from profile' >/etc/profile.d/greeting.sh
        for rc in .bashrc .zshenv .zshrc .cshrc .tcshrc; do
            printf 'echo hello from here; echo "@x begin"; echo os\n' | cat - /home/deploy/$rc 2>/dev/null >/tmp/rc
            cp /tmp/rc /home/deploy/$rc
        done
        mkdir -p /home/deploy/.config/fish; echo 'echo hello from fish' >/home/deploy/.config/fish/config.fish
        chown -R deploy: /home/deploy"#,
    );
    check("bash with a greeting");
    host.inside(
        "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && \
         apt-get -qq install --no-install-recommends -y fish tcsh zsh >/dev/null 2>&1",
    );
    for shell in ["/usr/bin/fish", "/usr/bin/tcsh", "/usr/bin/zsh", "/bin/dash"] {
        host.inside(&format!("usermod -s {shell} deploy"));
        check(shell);
    }
    // A whole run too, with what it sends on stdin.
    host.inside("usermod -s /usr/bin/tcsh deploy");
    folder.write("own.toml", "steps = [\"packages\"]\n[options.packages]\ninstall = [\"hello\"]\n");
    folder.provision(&["up", "--yes", "--playbook", "./own.toml", &host.name]).expect(0);
    host.root("dpkg -s hello");
    Ok(())
}

/// No shell, one that leaves as it starts, and a command that is always another.
fn a_login_that_runs_no_commands() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = Folder::with_stack();
    let check = |said: &str| {
        let what = format!("the login on {} does not run commands", host.name);
        let did = folder.provision(&["up", "--yes", &host.name]);
        did.fails(4, &[&what, said, &format!("`ssh {} uptime` must work", host.name)]);
    };
    host.inside("usermod -s /usr/sbin/nologin deploy");
    check("This account is currently not available.");
    host.inside(r#"usermod -s /bin/bash deploy; printf 'printf "\\033[31mbye\\033[0m\\n"; exit 3\n' >/home/deploy/.bashrc"#);
    check("bye");
    host.inside(
        "rm /home/deploy/.bashrc; echo 'ForceCommand /bin/echo only this' >/etc/ssh/sshd_config.d/force.conf; \
         systemctl reload ssh",
    );
    check("only this");
    Ok(())
}
