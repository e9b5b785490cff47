//! A person's folder, and what a command typed there did.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::times::{Doing, doing};
use super::{Host, ssh_config};

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
        let output = doing(Doing::Provision, || self.command(arguments).output());
        let did = Did::from(output.expect("provision"));
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

    /// Fails the test unless it said all of these on stderr, in however many lines.
    #[track_caller]
    pub fn said(&self, texts: &[&str]) -> &Self {
        let words = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            let is_said = self.stderr.contains(text) || words.contains(text.trim());
            assert!(is_said, "not said: {text}\n--- stderr\n{}", self.stderr);
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

/// The lab's mirrors in place of docker.com and Docker Hub.
pub const SETTINGS: &str = r#"
[steps.docker]
mirror = "http://10.91.0.1:8080"
registry_mirrors = ["http://10.91.0.1:5000"]
"#;
