//! A disposable host of the lab.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::layers::Layer;
use super::times::{self, Doing, doing};
use super::{eventually, script, ssh_config};

/// A disposable host; removed when it is dropped.
pub struct Host {
    pub name: String,
    pub address: String,
    made: SystemTime,
    /// Whether it goes with this.
    ours: bool,
}

impl Host {
    /// A fresh one.
    pub fn make(kind: &str) -> Self {
        Self::new(kind, |name| vec![kind.into(), name.into()])
    }

    /// A fresh one of a kind with cloud-init, which finds this user-data.
    pub fn make_with(kind: &str, user_data: &Path) -> Self {
        Self::new(kind, |name| vec![kind.into(), name.into(), user_data.into()])
    }

    /// One that begins where a layer ends.
    pub fn on(layer: Layer) -> Self {
        let frozen = layer.frozen();
        Self::new(layer.name(), |name| vec!["--from".into(), frozen.into(), name.into()])
    }

    /// One that somebody else has made, and removes.
    pub fn of_others(name: &str, address: &str) -> Self {
        Self { name: name.to_owned(), address: address.to_owned(), made: SystemTime::now(), ours: false }
    }

    fn new(kind: &str, arguments: impl FnOnce(&str) -> Vec<OsString>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let prefix =
            std::env::var("PROVISION_TEST_PREFIX").unwrap_or_else(|_| format!("test{}", std::process::id()));
        let name = format!("{prefix}-{kind}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut make = Command::new(script("host"));
        make.arg("make").args(arguments(&name)).env("PROVISION_LAB_OWNER", std::process::id().to_string());
        let output = doing(Doing::Hosts, || make.output()).expect("scripts/lab/host");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "no {kind}: {}", String::from_utf8_lossy(&output.stderr));
        let mut words = said.split_whitespace();
        let (name, address) = (words.next().expect("a name"), words.next().expect("an address"));
        let mut this = Self::of_others(name, address);
        this.ours = true;
        this
    }

    /// What it is becomes a layer of the lab's, and the host is gone.
    pub fn freeze(mut self, layer: &str) {
        self.lab_with("freeze", &[layer]);
        // There is nothing left to remove.
        self.ours = false;
    }

    /// A command of `scripts/lab/host` on this one.
    pub fn lab(&self, command: &str) {
        self.lab_with(command, &[]);
    }

    fn lab_with(&self, command: &str, more: &[&str]) {
        let mut asked = Command::new(script("host"));
        asked.args([command, &self.name]).args(more);
        let output = doing(Doing::Hosts, || asked.output()).expect("scripts/lab/host");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A command in a new login of `deploy`: exit code 0 or the test fails; its stdout.
    pub fn ssh(&self, command: &str) -> String {
        said(self.try_ssh(&self.name, command), command)
    }

    /// The same as root.
    pub fn root(&self, command: &str) -> String {
        said(self.try_ssh(&format!("root@{}", self.name), command), command)
    }

    /// A command as root, whatever comes of it.
    pub fn try_root(&self, command: &str) -> Output {
        self.try_ssh(&format!("root@{}", self.name), command)
    }

    fn try_ssh(&self, login: &str, command: &str) -> Output {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(ssh_config()).args(["-o", "BatchMode=yes", login, command]).stdin(Stdio::null());
        doing(Doing::Commands, || ssh.output()).expect("ssh")
    }

    /// A command as root without any login: it leaves no trace in sshd's log.
    pub fn inside(&self, command: &str) -> String {
        said(self.try_inside(command), command)
    }

    fn try_inside(&self, command: &str) -> Output {
        let mut enter = Command::new(script("host"));
        enter.args(["enter", &self.name, "sh", "-c", command]);
        doing(Doing::Commands, || enter.output()).expect("scripts/lab/host")
    }

    /// What a port answers to an HTTP request from outside the host.
    pub fn get(&self, port: u16) -> Result<String, String> {
        self.ask(port, "/")
    }

    /// The same for a path.
    pub fn ask(&self, port: u16, path: &str) -> Result<String, String> {
        let address: SocketAddr = format!("{}:{port}", self.address).parse().expect("an address");
        // A port that is shut does not answer at all: the kernel would try for two minutes.
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))
            .map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        Ok(answer)
    }

    /// From now on sshd writes down each command that it is given.
    pub fn count_execs(&self) {
        self.inside("echo LogLevel VERBOSE >/etc/ssh/sshd_config.d/00-verbose.conf && systemctl reload ssh");
        eventually("sshd writes down what it is given", || {
            let _ = self.try_root("true");
            self.execs().1 > 0
        });
    }

    /// How many logins sshd has had, and how many commands it has been given, so far.
    pub fn execs(&self) -> (usize, usize) {
        let log = self.inside("journalctl --sync; journalctl -t sshd -t sshd-session -o cat --no-pager");
        let lines = |start| log.lines().filter(|line| line.starts_with(start)).count();
        (lines("Accepted publickey"), lines("Starting session: command"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
        if std::thread::panicking() && std::env::var_os("PROVISION_KEEP_HOSTS").is_some() {
            eprintln!("kept: {} {}", self.name, self.address);
            return;
        }
        let journals = self.try_inside("cat /var/lib/provision/runs/*/journal 2>/dev/null");
        times::of_runs(&String::from_utf8_lossy(&journals.stdout), self.made);
        let _ = Command::new(script("host")).args(["remove", &self.name]).output();
    }
}

fn said(output: Output, command: &str) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "`{command}`: {}\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}
