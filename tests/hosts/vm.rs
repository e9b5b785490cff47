//! A real machine under Vagrant, with a kernel of its own: control groups of version 2, kernel
//! modules, reboots, snapshots.
//!
//! One machine for all of it, since it takes minutes to come up where the processor is
//! emulated; for the same reason all patience is long. The first story hands it on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use tempfile::TempDir;

use super::Story;
use super::lab::{self, Did, Folder, HandedOn, SETTINGS, eventually};
use super::resilience::signal;

pub const A_LIFE: Story = ("vm::a_life", a_life);
pub const PREFECT: Story = ("vm::prefect", with_prefect);

/// The machine of both.
static MACHINE: HandedOn<Machine> = HandedOn::nothing();

/// Destroys what was handed on, when all is told.
pub fn destroy() {
    MACHINE.hold().take();
}

/// Why there is no machine here; none when there can be one.
pub fn missing() -> Option<String> {
    if let Ok(reason) = std::env::var("PROVISION_NO_VM") {
        return Some(reason);
    }
    let output = Command::new(lab::script("vm")).arg("list").stderr(Stdio::piped()).output();
    match output {
        Err(error) => Some(format!("scripts/lab/vm does not start: {error}")),
        Ok(output) if !output.status.success() => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Ok(_) => None,
    }
}

/// The machine, and how ssh reaches it without provision's help.
struct Machine {
    name: &'static str,
    set: String,
    ssh: TempDir,
    address: String,
}

impl Machine {
    /// A new one.
    fn make(name: &'static str) -> Self {
        let set =
            std::env::var("PROVISION_TEST_PREFIX").unwrap_or_else(|_| format!("test{}", std::process::id()));
        let ssh = TempDir::new().expect("a folder");
        let mut this = Self { name, set, ssh, address: String::new() };
        this.vagrant(&["up", name]);
        let config = this.vagrant(&["ssh-config", name]);
        std::fs::write(this.config(), &config).expect("a file");
        let address = config.lines().find_map(|line| line.trim().strip_prefix("HostName "));
        address.expect("an address").clone_into(&mut this.address);
        this
    }

    /// As provision names it.
    fn host(&self) -> String {
        format!("vagrant:{}", self.name)
    }

    fn config(&self) -> PathBuf {
        self.ssh.path().join("config")
    }

    fn vagrant(&self, arguments: &[&str]) -> String {
        let output = self.try_vagrant(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "vagrant {}: {said}", arguments.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn try_vagrant(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(lab::script("vm"));
        command
            .arg("vagrant")
            .args(arguments)
            .env("PROVISION_VMS", &self.set)
            .env("PROVISION_VM_MEMORY", "3072");
        command.stdin(Stdio::null()).output().expect("scripts/lab/vm")
    }

    /// A program of the shell's as root, whatever comes of it.
    fn try_root(&self, program: &str) -> Output {
        let mut ssh = Command::new("ssh")
            .arg("-F")
            .arg(self.config())
            .args(["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6"])
            .args([self.name, "sudo sh -eu"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh");
        let mut stdin = ssh.stdin.take().expect("stdin");
        // A machine that is just going down reads none of it.
        let _ = stdin.write_all(program.as_bytes());
        drop(stdin);
        ssh.wait_with_output().expect("ssh")
    }

    /// The same, and the test fails unless it ends well.
    #[track_caller]
    fn root(&self, program: &str) -> String {
        let output = self.try_root(program);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What the page of a port answers, asked from here.
    fn get(&self, port: u16) -> Result<String, String> {
        ask(&self.address, port, "/")
    }

    /// A person's folder from where this Vagrant is found.
    fn person(&self, folder: Folder) -> Folder {
        let ours = lab::script("vagrant/bin");
        let others = std::env::var("PATH").unwrap_or_default();
        folder
            .with("PATH", &format!("{}:{others}", ours.display()))
            .with("PROVISION_VMS", &self.set)
            // What is said of hosts of ssh's does not concern a machine of Vagrant's.
            .with("PROVISION_SSH_CONFIG", "/dev/null")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("PROVISION_KEEP_HOSTS").is_some() {
            eprintln!("kept: PROVISION_VMS={} scripts/lab/vm vagrant ssh {}", self.set, self.name);
            return;
        }
        self.try_vagrant(&["destroy", "--force", self.name]);
    }
}

fn ask(address: &str, port: u16, path: &str) -> Result<String, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect((address, port)).map_err(said)?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(said)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).map_err(said)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(said)?;
    Ok(answer)
}

/// Tells how long each part took.
struct Clock(Instant);

impl Clock {
    fn tell(&mut self, what: &str) {
        eprintln!("  vm: {what}: {} s", self.0.elapsed().as_secs());
        self.0 = Instant::now();
    }
}

fn a_life() -> Result<(), Failed> {
    let mut hand_on = MACHINE.hold();
    let mut clock = Clock(Instant::now());
    let machine = Machine::make("debian12");
    clock.tell("made");
    is_real(&machine);
    let folder = machine.person(Folder::with_stack());
    let settings = |more: &str| {
        let text = format!("hosts = [\"{}\"]\n{SETTINGS}{more}", machine.host());
        folder.write("provision.toml", &text);
    };
    settings("[steps.firewall]\nallow = [8080]\nrevert_after = 600\n[steps.stack]\nwait = 1200\n");
    names_are_asked_of_vagrant(&machine, &folder);
    clock.tell("names");

    goes_down_in_the_middle(&machine, &folder);
    clock.tell("went down in the middle of a run, and is up again");
    let did = folder.provision(&["up", "--yes"]);
    did.expect(0).said(&[
        "ended unexpectedly in docker/engine; continuing from there",
        "8080/tcp  web (three)",
        "none reachable",
        "vagrant ssh debian12 -c 'docker",
    ]);
    clock.tell("the run goes on to its end");
    let before = is_as_told(&machine, &folder);
    clock.tell("as told");
    what_is_exposed(&machine, &folder);
    clock.tell("exposed");
    comes_back_from_a_snapshot(&machine, &folder, &before);
    clock.tell("back from a snapshot");
    *hand_on = Some(machine);
    Ok(())
}

/// Nothing of this machine's kernel.
fn is_real(machine: &Machine) {
    let here = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    let there = machine.root("uname -r");
    assert_ne!(there, here);
    assert_eq!(machine.root("stat -fc %T /sys/fs/cgroup").trim(), "cgroup2fs");
    assert!(machine.root("systemd-detect-virt -c || true").contains("none"), "no container");
    assert!(!machine.root("cat /proc/modules").contains("nf_tables"), "bare");
    assert!(!machine.try_root("command -v docker ufw curl").status.success(), "bare");
}

/// What is not there is said in Vagrant's words, before anything is tried.
fn names_are_asked_of_vagrant(machine: &Machine, folder: &Folder) {
    let facts = |host: &str| folder.provision(&["facts", host]);
    facts("vagrant:nobody").expect(4).said(&["the Vagrantfile knows no machine `nobody`", "vagrant status"]);
    facts("vagrant:debian13")
        .expect(4)
        .said(&["the machine debian13 is not running", "`vagrant up debian13`"]);
    let without = Folder::empty().with("PATH", "/nowhere");
    without.provision(&["facts", &machine.host()]).expect(4).said(&["there is no `vagrant` here"]);
    let did = folder.provision(&["facts"]);
    let facts: serde_json::Value = serde_json::from_str(&did.expect(0).stdout).expect("facts");
    assert_eq!(facts["host"], machine.host().as_str());
    assert_eq!(facts["facts"]["identity"]["user"], "vagrant");
}

/// While Docker is being unpacked the machine reboots.
fn goes_down_in_the_middle(machine: &Machine, folder: &Folder) {
    let boot = machine.root("cat /proc/sys/kernel/random/boot_id");
    let child = folder.spawn(&["up", "--yes"]);
    eventually("Docker is being installed", || {
        let program = "cat /var/lib/provision/runs/*/journal 2>/dev/null || true";
        let journal = String::from_utf8_lossy(&machine.try_root(program).stdout).into_owned();
        assert!(!journal.contains(" run failed"), "{journal}");
        journal.contains("docker/engine") && journal.contains("Unpacking docker-ce")
    });
    machine.try_root("systemctl reboot");
    let did = Did::from(child.wait_with_output().expect("provision"));
    // An emulated machine may be away for longer than anybody waits.
    match did.code {
        4 => did.said(&["did not come back within", "follows it, or continues after it"]),
        _ => did.expect(6).said(&["the host went down, or the runner was killed", "continues from there"]),
    };
    eventually("the machine is up again", || machine.try_root("true").status.success());
    assert_ne!(machine.root("cat /proc/sys/kernel/random/boot_id"), boot, "another boot");
}

/// The stack is well and reached, the rules hold in the kernel, and nothing is to be changed.
fn is_as_told(machine: &Machine, folder: &Folder) -> String {
    folder.provision(&["up"]).expect(0).said(&["nothing to change"]);
    let containers = machine.root("docker ps -a --format '{{.Names}} {{.Status}}'");
    assert!(containers.contains("three-cache-1 Up") && containers.contains("(healthy)"), "{containers}");
    assert!(containers.contains("three-prepare-1 Exited (0)"), "{containers}");
    let page = machine.get(8080).expect("the page");
    assert!(page.contains("three services, one page"), "{page}");
    assert_eq!(machine.root("docker info -f '{{.CgroupVersion}} {{.Driver}}'").trim(), "2 overlay2");
    let modules = machine.root("cut -d' ' -f1 /proc/modules");
    for module in ["nf_tables", "nf_conntrack", "overlay", "bridge"] {
        assert!(modules.lines().any(|each| each == module), "{module}: {modules}");
    }
    assert!(machine.root("ufw status").contains("Status: active"));
    assert!(
        machine.root("iptables -t mangle -S FORWARD").contains("-j PROVISION-FORWARD"),
        "the containers' ports, too"
    );
    machine.root("cat /srv/three/site/index.html /var/lib/provision/runs/*/journal | sha256sum")
}

/// What is reached from here is what was declared; a port that somebody opens is told.
fn what_is_exposed(machine: &Machine, folder: &Folder) {
    let expose = || folder.provision(&["expose"]);
    let did = expose();
    for port in ["22/tcp", "8080/tcp"] {
        assert!(did.expect(0).stdout.contains(port), "{}", did.stdout);
    }
    machine.root("systemd-run --quiet --unit=nosy python3 -m http.server 9999");
    eventually("somebody listens", || machine.root("ss -Htln sport = 9999").contains("9999"));
    // Behind the firewall it harms nobody.
    expose().expect(0);
    machine.root("iptables -I INPUT -p tcp --dport 9999 -j ACCEPT");
    let did = expose();
    did.expect(11).said(&["9999/tcp (python3) is reached from here and not declared"]);
    machine.root("iptables -D INPUT -p tcp --dport 9999 -j ACCEPT; systemctl stop nosy");
    expose().expect(0);
}

/// The machine forgets a run; this side does not, and `up` makes again what was undone.
fn comes_back_from_a_snapshot(machine: &Machine, folder: &Folder, before: &str) {
    let lines = |text: String| text.lines().count();
    let runs = || lines(folder.provision(&["runs", &machine.host()]).expect(0).stdout.clone());
    let remembered = runs();
    machine.vagrant(&["snapshot", "save", machine.name, "well"]);
    folder.write("site/index.html", "<h1>another page</h1>\n");
    let up = || folder.provision(&["up", "--yes", "--json"]);
    let did = up();
    let applied = did.expect(0).ended("applied");
    assert_eq!(runs(), remembered + 1);
    let run = did.events().iter().find_map(|event| event["run"].as_str().map(str::to_owned)).expect("a run");
    folder.provision(&["show", &run]).expect(0);
    assert!(machine.get(8080).expect("the page").contains("another page"));

    machine.vagrant(&["snapshot", "restore", "--no-provision", machine.name, "well"]);
    eventually("ssh answers", || machine.try_root("true").status.success());
    let now = machine.root("cat /srv/three/site/index.html /var/lib/provision/runs/*/journal | sha256sum");
    assert_eq!(now, before, "as it was");
    assert_eq!(runs(), remembered);
    assert_ne!(folder.provision(&["show", &run]).code, 0, "that run has never been");
    let did = up();
    assert_eq!(did.expect(0).ended("applied"), applied, "what was undone is done again");
    assert!(machine.get(8080).expect("the page").contains("another page"));
    folder.provision(&["up"]).expect(0).said(&["nothing to change"]);
    machine.vagrant(&["snapshot", "delete", machine.name, "well"]);
}

/// The smallest Prefect, beside whatever is there: healthy, and its API reached through a tunnel.
fn with_prefect() -> Result<(), Failed> {
    let mut held = MACHINE.hold();
    let mut clock = Clock(Instant::now());
    let machine = &held.take().unwrap_or_else(|| Machine::make("debian12"));
    let folder = &machine.person(Folder::empty());
    let settings = "[steps.firewall]\nallow = [4200]\nrevert_after = 600\n[steps.stack]\nwait = 1800\n";
    folder.write("provision.toml", &format!("hosts = [\"{}\"]\n{SETTINGS}{settings}", machine.host()));
    clock.tell("had");
    let up = |more: &[&str]| folder.provision(&[&["up", "--playbook", "prefect-minimal"], more].concat());
    up(&["--yes"]).expect(0).said(&["✓ 4200/tcp", "prove that prefect works"]);
    up(&[]).expect(0).said(&["nothing to change"]);
    let containers = machine.root("docker ps --format '{{.Names}} {{.Status}}'");
    for name in ["prefect-prefect-1", "prefect-postgres-1"] {
        let line = containers.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        assert!(line.contains("(healthy)"), "{name}: {containers}");
    }
    let mut open = folder.spawn(&["open", &machine.host(), "prefect"]);
    let mut said = String::new();
    let stdout = open.stdout.take().expect("stdout");
    BufReader::new(stdout).read_line(&mut said).expect("where it is");
    let port = said.strip_prefix("http://localhost:").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let answer = port.map(|port| ask("127.0.0.1", port, "/api/ready"));
    signal("INT", &open.id().to_string());
    let _ = open.wait();
    let answer = answer.unwrap_or_else(|| panic!("no tunnel: {said}"));
    assert!(answer.as_ref().is_ok_and(|answer| answer.contains(" 200 ")), "{answer:?}");
    // And from outside, as anybody does: it wants a password.
    let answer = ask(&machine.address, 4200, "/api/flows/count");
    assert!(answer.as_ref().is_ok_and(|answer| answer.contains(" 401 ")), "{answer:?}");
    clock.tell("Prefect");
    Ok(())
}
