//! Servers that provision themselves at their first boot, with real cloud-init and a seed on
//! their disk.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Folder, Host, eventually};

pub const STORIES: &[Story] = &[
    ("first_boot::provisions_itself", provisions_itself),
    ("first_boot::a_step_that_fails", a_step_that_fails),
    ("first_boot::rebooted_in_the_middle", rebooted_in_the_middle),
    ("first_boot::never_fetched", never_fetched),
    ("first_boot::another_binary", another_binary),
];

/// Released binaries, and what else a server fetches, on the lab's bridge.
struct Files {
    folder: tempfile::TempDir,
    port: u16,
    server: Child,
}

impl Files {
    fn serve() -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let name = format!("provision-{}-x86_64-linux", env!("CARGO_PKG_VERSION"));
        // What scripts/release has made, or else what was built for the tests.
        let released =
            std::env::var_os("PROVISION_RELEASE_FILES").map(|files| PathBuf::from(files).join(&name));
        match released.filter(|file| file.is_file()) {
            Some(file) => std::fs::copy(file, folder.path().join(&name)).map(|_| ()).expect("a copy"),
            None => {
                let strip = Command::new("strip")
                    .arg("-o")
                    .arg(folder.path().join(&name))
                    .arg(env!("CARGO_BIN_EXE_provision"))
                    .status();
                assert!(strip.expect("strip").success());
            }
        }
        let sums =
            Command::new("sha256sum").arg(&name).current_dir(folder.path()).output().expect("sha256sum");
        std::fs::write(folder.path().join("SHA256SUMS"), sums.stdout).expect("SHA256SUMS");
        // A port that is free now.
        let port = std::net::TcpListener::bind(("10.91.0.1", 0))
            .and_then(|it| it.local_addr())
            .expect("a port")
            .port();
        let server = Command::new("python3")
            .args(["-m", "http.server", "--bind", "10.91.0.1", &port.to_string(), "--directory"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let this = Self { folder, port, server };
        eventually("the files are served", || std::net::TcpStream::connect(("10.91.0.1", this.port)).is_ok());
        this
    }

    fn url(&self) -> String {
        format!("http://10.91.0.1:{}", self.port)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A new server with the user-data that `provision cloud-init` prints for this folder.
fn boot(kind: &str, folder: &Folder, arguments: &[&str]) -> Host {
    let did = folder.provision(&[&["cloud-init"], arguments].concat());
    did.expect(0);
    assert!(did.stdout.len() < 16 * 1024, "{} bytes", did.stdout.len());
    folder.write(".provision-user-data", &did.stdout);
    Host::make_with(kind, &folder.path().join(".provision-user-data"))
}

/// The login that the image's cloud-init makes.
fn login(host: &Host) -> String {
    format!("debian@{}", host.name)
}

fn long_status(host: &Host) -> String {
    host.inside("cloud-init status --long || true")
}

/// Waits for cloud-init's own word that what it ran has failed.
#[track_caller]
fn fails_in(host: &Host, module: &str) {
    eventually("cloud-init has an error", || long_status(host).contains("status: error"));
    let long = long_status(host);
    assert!(long.contains(&format!("('{module}', RuntimeError('Runparts: 1 failures")), "{long}");
}

fn runs(host: &Host) -> usize {
    host.inside("ls /var/lib/provision/runs | wc -l").trim().parse().expect("a number")
}

/// From nothing to the stack, with nobody there; then a laptop comes, and a second boot.
fn provisions_itself() -> Result<(), Failed> {
    let files = Files::serve();
    let folder = Folder::with_stack();
    folder.settings(&format!("[release]\nurl = \"{}\"\n", files.url()));
    let host = boot("debian13-cloud", &folder, &[]);

    // ssh opens long before it is done: the laptop finds the run and follows it.
    let did = folder.provision(&["status", &login(&host)]);
    did.expect(0).said(&["started by cloud-init@", "install Docker Engine and Compose"]);
    assert!(did.stdout.contains("first boot  provisioned"), "{}", did.stdout);
    assert!(did.stdout.contains("completed"), "{}", did.stdout);
    eventually("cloud-init is done", || long_status(&host).contains("status: done"));
    let long = long_status(&host);
    assert!(long.contains("errors: []") && !long.contains("recoverable_errors:\n"), "{long}");
    assert_eq!(host.inside("cloud-init schema --system 2>&1").trim(), "Valid schema user-data");
    assert!(host.get(8080)?.contains("three services, one page"));

    let log = host.inside("cat /var/log/cloud-init-output.log");
    for said in ["[1/", "install Docker Engine and Compose", "provision: this server is provisioned"] {
        assert!(log.contains(said), "not in the log: {said}\n{log}");
    }
    assert!(!log.contains('\u{1b}'), "no escape sequences: {log}");
    assert_eq!(host.inside("ls /var/lib/provision/first-boot"), "log\nstate\n");
    let unit = "/etc/systemd/system/provision-first-boot.service";
    host.inside(&format!("! test -e {unit} && ! systemctl cat provision-first-boot.service 2>/dev/null"));

    // The login is the one that cloud-init made, and takes over as it is.
    folder.provision(&["up", &login(&host)]).expect(0).said(&["nothing to change"]);
    assert_eq!(runs(&host), 1);

    host.lab("reboot");
    eventually("cloud-init is done again", || long_status(&host).contains("status: done"));
    eventually("the stack is back", || host.get(8080).is_ok());
    assert_eq!(runs(&host), 1, "a second boot does nothing");
    assert_eq!(host.inside("grep -c 'provision: fetching' /var/log/cloud-init-output.log").trim(), "1");
    folder.provision(&["up", &login(&host)]).expect(0).said(&["nothing to change"]);
    Ok(())
}

/// What fails is an error of cloud-init's; a laptop sees why, and goes on.
fn a_step_that_fails() -> Result<(), Failed> {
    let files = Files::serve();
    let folder = Folder::empty();
    let release = format!("[release]\nurl = \"{}\"\n", files.url());
    folder.settings(&format!("{release}[steps.packages]\ninstall = [\"no-such-package\"]\n"));
    let host = boot("debian12-cloud", &folder, &["--playbook", "docker", "--format", "script"]);

    fails_in(&host, "scripts-user");
    let did = folder.provision(&["status", &login(&host)]);
    did.expect(6).said(&["no-such-package", &format!("provision up {}", login(&host))]);
    assert!(did.stdout.contains("cloud-init  error"), "{}", did.stdout);
    assert!(did.stdout.contains("first boot  failed (exit code 6)"), "{}", did.stdout);
    let (_, run) = did.stderr.split_once("provision show ").ok_or("no run is named")?;
    let run = run.split('`').next().unwrap_or_default();
    let shown = folder.provision(&["show", run]);
    assert!(shown.expect(0).stdout.contains("no-such-package"), "{}", shown.stdout);

    // Settings mended: no finding of cloud-init's stands in the way.
    folder.settings(&release);
    let did = folder.provision(&["up", "--playbook", "docker", &login(&host), "--yes"]);
    did.expect(0);
    assert!(!did.stderr.contains("cloud-init"), "{}", did.stderr);
    folder.provision(&["status", &login(&host)]).expect(0);
    eventually("no unit is left", || {
        host.inside("systemctl list-unit-files 'provision-*' || true").contains("0 unit files")
    });
    Ok(())
}

/// The machine goes down while the run goes on: the next boot goes on, and cloud-init is not done
/// before.
fn rebooted_in_the_middle() -> Result<(), Failed> {
    let files = Files::serve();
    let folder = Folder::with_stack();
    folder.settings(&format!("[release]\nurl = \"{}\"\n", files.url()));
    let (url, out) = (format!("{}/stack.tgz", files.url()), files.folder.path().join("stack.tgz"));
    let out = out.to_str().ok_or("a path")?;
    let host =
        boot("debian13-cloud", &folder, &["--format", "mime", "--stack-url", &url, "--stack-out", out]);

    let journal = "cat /var/lib/provision/runs/*/journal 2>/dev/null || true";
    eventually("Docker is being installed", || {
        host.inside(journal).contains("change start")
            && host.inside("ls /var/lib/provision/first-boot").contains("unit")
            && host.inside(journal).lines().any(|line| line.ends_with("docker/engine"))
    });
    host.lab("reboot");
    // A laptop that comes now waits and follows, and has nothing to add.
    let did = folder.provision(&["up", &login(&host)]);
    did.expect(0).said(&["started by cloud-init@", "nothing to change"]);
    let did = folder.provision(&["status", &login(&host)]);
    did.expect(0);
    assert!(did.stdout.contains("first boot  provisioned"), "{}{}", did.stdout, did.stderr);
    assert!(host.get(8080)?.contains("three services, one page"));
    eventually("cloud-init is done", || long_status(&host).contains("status: done"));
    let log = host.inside("cat /var/lib/provision/first-boot/log");
    assert!(log.contains("continuing after the reboot"), "{log}");
    assert!(!log.contains("is not provisioned"), "{log}");
    assert_eq!(runs(&host), 2);
    host.inside("! test -e /etc/systemd/system/provision-first-boot.service");
    Ok(())
}

/// The binary is nowhere, and the machine goes down while it is looked for: the next boot gives
/// up, and that is an error of cloud-init's as well.
fn never_fetched() -> Result<(), Failed> {
    let folder = Folder::empty();
    // Nothing listens on the host's own port 9.
    let sums = format!("[release.sha256]\nx86_64 = \"{}\"\n", "0".repeat(64));
    folder.settings(&format!("[release]\nurl = \"http://127.0.0.1:9\"\n{sums}"));
    let host = boot("debian12-cloud", &folder, &["--playbook", "docker"]);

    let log = "cat /var/lib/provision/first-boot/log 2>/dev/null || true";
    eventually("it is looked for", || host.inside(log).contains("trying again"));
    host.lab("reboot");
    fails_in(&host, "scripts-per-boot");
    let did = folder.provision(&["status", &login(&host)]);
    did.expect(6).said(&["could not be fetched", "continuing after the reboot"]);
    host.inside("! test -e /etc/systemd/system/provision-first-boot.service");
    host.lab("reboot");
    eventually("cloud-init has no error any more", || long_status(&host).contains("status: done"));
    Ok(())
}

/// A binary that is not the one whose checksum the user-data has is not started.
fn another_binary() -> Result<(), Failed> {
    let files = Files::serve();
    let folder = Folder::empty();
    let sums = format!("[release.sha256]\nx86_64 = \"{}\"\n", "0".repeat(64));
    folder.settings(&format!("[release]\nurl = \"{}\"\n{sums}", files.url()));
    let host = boot("debian13-cloud", &folder, &["--playbook", "docker"]);

    fails_in(&host, "scripts-user");
    // Its state is written just after the error is known to be one.
    eventually("the first boot has failed", || {
        host.inside("cat /var/lib/provision/first-boot/state").contains("failed")
    });
    let did = folder.provision(&["status", &login(&host)]);
    did.expect(6).said(&["is not what was promised", "it was not used"]);
    assert!(did.stdout.contains("last run    none"), "{}", did.stdout);
    host.inside("! test -e /var/lib/provision/first-boot/provision");
    Ok(())
}
