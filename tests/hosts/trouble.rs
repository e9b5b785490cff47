//! What goes wrong on a real host: each time one clear message with what to do,
//! its exit code, and a host that is as it was or can be gone on with.

mod apt;
mod hostile;
mod machine;
mod reach;
mod settings;
mod stack;

use std::process::Command;

use super::Story;
use super::lab::{Did, Folder, Host};

pub fn stories() -> Vec<Story> {
    [apt::STORIES, hostile::STORIES, machine::STORIES, reach::STORIES, settings::STORIES, stack::STORIES]
        .concat()
}

impl Did {
    /// Fails the test unless this is one error that says all of these, with something to do about it.
    #[track_caller]
    pub fn fails(&self, code: i32, texts: &[&str]) -> &Self {
        self.expect(code).said(texts);
        let count = |start| self.stderr.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(count("error:"), 1, "one error\n--- stderr\n{}", self.stderr);
        assert!(count("help:") > 0, "something to do\n--- stderr\n{}", self.stderr);
        self.is_harmless()
    }

    /// Fails the test if a terminal would take any of it for a command.
    #[track_caller]
    pub fn is_harmless(&self) -> &Self {
        for text in [&self.stdout, &self.stderr] {
            let harmful = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(harmful), "control characters: {text:?}");
        }
        self
    }

    /// What stands behind this on its line of stderr.
    #[track_caller]
    pub fn behind(&self, start: &str) -> &str {
        let found = self.stderr.lines().find_map(|line| line.split_once(start));
        found.unwrap_or_else(|| panic!("not said: {start}\n--- stderr\n{}", self.stderr)).1
    }
}

impl Host {
    /// A rule of the packet filter in the host's network, set from outside: a bare host has no iptables.
    pub fn iptables(&self, rule: &str) {
        let netns = format!("provlab-{}", self.name);
        let output = Command::new("ip")
            .args(["netns", "exec", &netns, "iptables", "-w"])
            .args(rule.split(' '))
            .output()
            .expect("ip");
        assert!(output.status.success(), "iptables {rule}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Fails the test unless nothing of provision's is on it, and no package but those of before.
    #[track_caller]
    fn is_untouched(&self, packages: &str) {
        assert_eq!(self.packages(), packages, "packages");
        let left =
            self.inside("ls -d /var/lib/provision /etc/provision /etc/docker /srv/* 2>/dev/null || true");
        assert_eq!(left, "", "what was left");
    }

    /// All packages with their versions and states.
    fn packages(&self) -> String {
        self.inside("dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n'")
    }

    /// Holds one of apt's locks until it is killed or the seconds are over; its process id on the host.
    pub fn hold_lock(&self, path: &str, seconds: u32) -> String {
        let holder = format!(
            "perl -e 'use Fcntl; open(F, \">>\", \"{path}\") or die; \
             my $lock = pack(\"s s l! l! i\", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $lock) or die; \
             open(P, \">\", \"/run/holder\"); print P $$; close P; sleep {seconds}'"
        );
        self.inside(&format!(
            "rm -f /run/holder; setsid {holder} >/dev/null 2>&1 </dev/null & \
             until [ -s /run/holder ]; do sleep 0.05; done"
        ));
        self.inside("cat /run/holder")
    }
}

/// A folder whose playbook is these steps.
fn with_steps(steps: &str, more: &str) -> Folder {
    let folder = Folder::empty();
    folder.write("own.toml", &format!("steps = [{steps}]\n"));
    folder.write("provision.toml", &format!("playbook = \"./own.toml\"\n{more}"));
    folder
}
