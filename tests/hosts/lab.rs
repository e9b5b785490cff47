//! Hosts of the lab, and a person's folder from which they are provisioned.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Why there is no lab here; none when there is one.
pub fn missing() -> Option<String> {
    if let Ok(reason) = std::env::var("PROVISION_NO_STORIES") {
        return Some(reason);
    }
    match Command::new(script("host")).arg("kinds").output() {
        Err(error) => Some(format!("scripts/lab/host does not start: {error}")),
        Ok(_) if !state().join("layers").is_dir() => {
            Some("the lab is not built; `scripts/lab/setup` does it, as root".into())
        }
        Ok(output) if !output.status.success() => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Ok(_) => None,
    }
}

fn state() -> PathBuf {
    std::env::var_os("PROVISION_LAB").map_or_else(|| "/var/lib/provision-lab".into(), PathBuf::from)
}

/// A program of the lab.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab").join(name)
}

/// The lab's ssh configuration.
pub fn ssh_config() -> PathBuf {
    state().join("ssh/config")
}

/// What takes long to make, and goes from one story to the next. A story that has it holds this,
/// so that another one waits.
pub struct HandedOn<T>(Mutex<Option<T>>);

impl<T> HandedOn<T> {
    /// Nothing yet.
    pub const fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    /// What was handed on, and where to put it for the next.
    pub fn hold(&self) -> MutexGuard<'_, Option<T>> {
        // What a story had that failed is gone.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A disposable host; removed when it is dropped.
pub struct Host {
    pub name: String,
    pub address: String,
}

impl Host {
    /// A fresh one.
    pub fn make(kind: &str) -> Self {
        Self::make_from(kind, None)
    }

    /// A fresh one of a kind with cloud-init, which finds this user-data.
    pub fn make_with(kind: &str, user_data: &Path) -> Self {
        Self::make_from(kind, Some(user_data))
    }

    fn make_from(kind: &str, user_data: Option<&Path>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let prefix =
            std::env::var("PROVISION_TEST_PREFIX").unwrap_or_else(|_| format!("test{}", std::process::id()));
        let name = format!("{prefix}-{kind}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let output = Command::new(script("host"))
            .args(["make", kind, &name])
            .args(user_data)
            .output()
            .expect("scripts/lab/host");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "no {kind}: {}", String::from_utf8_lossy(&output.stderr));
        let mut words = said.split_whitespace();
        let (name, address) = (words.next().expect("a name"), words.next().expect("an address"));
        Self { name: name.to_owned(), address: address.to_owned() }
    }

    /// A command of `scripts/lab/host` on this one.
    pub fn lab(&self, command: &str) {
        let output =
            Command::new(script("host")).args([command, &self.name]).output().expect("scripts/lab/host");
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
        Command::new("ssh")
            .arg("-F")
            .arg(ssh_config())
            .args(["-o", "BatchMode=yes", login, command])
            .stdin(Stdio::null())
            .output()
            .expect("ssh")
    }

    /// A command as root without any login: it leaves no trace in sshd's log.
    pub fn inside(&self, command: &str) -> String {
        let arguments = ["enter", &self.name, "sh", "-c", command];
        said(Command::new(script("host")).args(arguments).output().expect("scripts/lab/host"), command)
    }

    /// What a port answers to an HTTP request from outside the host.
    pub fn get(&self, port: u16) -> Result<String, String> {
        self.ask(port, "/")
    }

    /// The same for a path.
    pub fn ask(&self, port: u16, path: &str) -> Result<String, String> {
        let mut stream =
            TcpStream::connect((self.address.as_str(), port)).map_err(|error| error.to_string())?;
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
        eventually("sshd writes down what it is given", 20, || {
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
        if std::thread::panicking() && std::env::var_os("PROVISION_KEEP_HOSTS").is_some() {
            eprintln!("kept: {} {}", self.name, self.address);
            return;
        }
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

/// A person's folder with a stack and settings, and a home of its own.
pub struct Folder {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// What a command of provision did.
pub struct Did {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    /// A folder with the stack of three services, and settings that point to the lab's mirrors.
    pub fn with_stack() -> Self {
        let this = Self::empty();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stack");
        for file in ["compose.yaml", ".env", "site/index.html"] {
            let text = std::fs::read_to_string(fixture.join(file)).expect(file);
            this.write(file, &text);
        }
        this
    }

    /// A folder with settings alone.
    pub fn empty() -> Self {
        let this = Self { folder: TempDir::new().expect("a folder"), environment: Vec::new() };
        this.write("provision.toml", SETTINGS);
        this
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect(file);
    }

    /// Adds lines to provision.toml.
    pub fn settings(&self, more: &str) {
        self.write("provision.toml", &format!("{SETTINGS}{more}"));
    }

    /// What this person has in the environment.
    pub fn with(mut self, key: &'static str, value: &str) -> Self {
        self.environment.push((key, value.to_owned()));
        self
    }

    /// provision with these arguments, as this person types them.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PROVISION_SSH_CONFIG", ssh_config())
            .env("XDG_STATE_HOME", self.folder.path().join(".provision-state"))
            .env("XDG_CACHE_HOME", self.folder.path().join(".provision-cache"))
            .env_remove("PROVISION_SUDO_PASSWORD")
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end. With PROVISION_TALK set, what it said can be read.
    pub fn provision(&self, arguments: &[&str]) -> Did {
        let did = Did::from(self.command(arguments).output().expect("provision"));
        if std::env::var_os("PROVISION_TALK").is_some() {
            eprintln!("$ provision {}\n{}{}[{}]\n", arguments.join(" "), did.stdout, did.stderr, did.code);
        }
        did
    }

    /// Starts it and leaves it running.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("provision")
    }

    /// The changes that `plan --json` shows.
    pub fn plan(&self, host: &str) -> Vec<Value> {
        let did = self.provision(&["plan", host, "--json"]);
        did.expect(0);
        did.plan()
    }

    /// The plan's change ids.
    pub fn planned(&self, host: &Host) -> Vec<String> {
        ids(&self.plan(&host.name))
    }
}

/// The changes of a plan, by id and in order.
pub fn ids(changes: &[Value]) -> Vec<String> {
    changes.iter().map(|change| change["id"].as_str().expect("an id").to_owned()).collect()
}

impl From<Output> for Did {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Did {
    /// What a command said that ended well.
    pub fn of(stdout: String) -> Self {
        Self { code: 0, stdout, stderr: String::new() }
    }

    /// Fails the test unless it ended with this exit code.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless it said all of these on stderr.
    #[track_caller]
    pub fn said(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "not said: {text}\n--- stderr\n{}", self.stderr);
        }
        self
    }

    /// The events of `--json`.
    pub fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The changes of the plan among the events.
    pub fn plan(&self) -> Vec<Value> {
        let events = self.events();
        let planned = events.iter().find(|event| event["event"] == "planned").expect("a plan");
        let steps = planned["plan"]["steps"].as_array().expect("steps");
        steps.iter().flat_map(|step| step["changes"].as_array().expect("changes").clone()).collect()
    }

    /// The changes that ended so, in order.
    pub fn ended(&self, outcome: &str) -> Vec<String> {
        let events = self.events();
        let ended =
            events.iter().filter(|event| event["event"] == "change-ended" && event["outcome"] == outcome);
        ended.map(|event| event["change"].as_str().expect("a change").to_owned()).collect()
    }
}

/// Waits until something holds, or fails the test.
#[track_caller]
pub fn eventually(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(seconds), "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lab's mirrors in place of docker.com and Docker Hub.
pub const SETTINGS: &str = r#"
[steps.docker]
mirror = "http://10.91.0.1:8080"
registry_mirrors = ["http://10.91.0.1:5000"]
"#;
