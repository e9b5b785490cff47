//! `provision cloud-init` as a person calls it: what is in the user-data, and what is refused.

#![expect(clippy::expect_used, reason = "a test says what it misses by failing")]

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::GzDecoder;
use provision::config::{self, Settings};
use provision::digest::sha256;
use provision::stack::bundle::{Bundle, Choice};
use tempfile::TempDir;

/// A folder with a stack of its own, and settings.
struct Folder(TempDir);

const COMPOSE: &str = "services:\n  web:\n    image: nginx:1.27\n    ports: [\"${PORT}:80\"]\n";

impl Folder {
    fn with_stack() -> Self {
        let this = Self::empty("");
        this.write("compose.yaml", COMPOSE);
        this.write(".env", "PORT=8080\n");
        this.write("site/run.sh", "#!/bin/sh\n");
        this
    }

    fn empty(settings: &str) -> Self {
        let this = Self(TempDir::new().expect("a folder"));
        this.settings(settings);
        this
    }

    /// provision.toml with a release whose checksums are known.
    fn settings(&self, more: &str) {
        let (one, other) = ("1".repeat(64), "A".repeat(64));
        self.write(
            "provision.toml",
            format!(
                "hosts = [\"ann@192.0.2.7\"]\n[release]\nurl = \"https://files.example/v1/\"\n\
                 sha256 = {{ x86_64 = \"{one}\", aarch64 = \"{other}\" }}\n{more}"
            ),
        );
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect(file);
    }

    /// Exit code, stdout, stderr.
    fn provision(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_provision"))
            .arg("cloud-init")
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("PROVISION_CONFIG")
            .stdin(Stdio::null())
            .output()
            .expect("provision");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn user_data(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.provision(arguments);
        assert_eq!(code, 0, "{stderr}");
        stdout
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], says: &[&str]) {
        let (code, stdout, stderr) = self.provision(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        for text in says {
            assert!(stderr.contains(text), "not said: {text}\n{stderr}");
        }
    }
}

/// The archive behind the script, unpacked as a server does.
fn unpack(script: &str) -> TempDir {
    let (_, encoded) = script.split_once("__ARCHIVE__\n").expect("a marker");
    let bytes = BASE64.decode(encoded.replace('\n', "")).expect("base64");
    let folder = TempDir::new().expect("a folder");
    tar::Archive::new(GzDecoder::new(bytes.as_slice())).unpack(folder.path()).expect("an archive");
    folder
}

fn load(folder: &Path) -> Settings {
    config::load(folder, None, None).expect("settings")
}

/// `provision cloud-init >user-data` in the folder: the shell has made that file before anything is read.
#[test]
fn what_is_being_written_does_not_go_along() {
    let folder = Folder::with_stack();
    let path = folder.0.path().join("user-data");
    let written = std::fs::File::create(&path).expect("a file");
    let status = Command::new(env!("CARGO_BIN_EXE_provision"))
        .args(["cloud-init", "--format", "script"])
        .current_dir(folder.0.path())
        .env_remove("PROVISION_CONFIG")
        .stdin(Stdio::null())
        .stdout(written)
        .status();
    assert!(status.expect("provision").success());
    let server = unpack(&std::fs::read_to_string(&path).expect("user-data"));
    assert!(server.path().join("settings/stack/compose.yaml").exists());
    assert!(!server.path().join("settings/stack/user-data").exists());
}

/// What the server reads means what is read here.
#[test]
fn the_server_reads_the_same_settings() {
    let folder = Folder::with_stack();
    folder.settings(
        "[steps.stack]\nname = \"site\"\nenv = { PORT = 81 }\nignore = [\"notes\"]\n[steps.docker]\n\
         registry_mirrors = [\"https://mirror.example\"]\n",
    );
    folder.write("notes", "not to be sent\n");
    let server = unpack(&folder.user_data(&["--format", "script"]));
    let there = server.path().join("settings");

    let (here, read) = (load(folder.0.path()), load(&there));
    assert_eq!(read.playbook.name, "compose");
    assert_eq!(read.playbook.steps, here.playbook.steps);
    assert!(read.hosts.is_empty() && read.release == Default::default(), "{read:?}");
    let mut options = read.options.clone();
    options.stack.path = here.options.stack.path.clone();
    assert_eq!(options, here.options);
    assert_eq!(
        read.stack_folder.canonicalize().expect("a folder"),
        there.join("stack").canonicalize().expect("it")
    );

    let bundle = |settings: &Settings| {
        let ignore = &settings.options.stack.ignore;
        Bundle::collect(&settings.stack_folder, &Choice { ignore, ..Choice::default() }).expect("a bundle")
    };
    assert_eq!(bundle(&read).hash(), bundle(&here).hash());
    let names: Vec<_> = bundle(&read).files.into_iter().map(|file| file.path).collect();
    assert_eq!(names, [".env", "compose.yaml", "site/run.sh"]);

    let release = std::fs::read_to_string(server.path().join("release")).expect("release");
    assert!(release.contains("\nurl https://files.example/v1\n"), "{release}");
    assert!(release.contains(&format!("\naarch64 {}\n", "a".repeat(64))), "{release}");
}

#[test]
fn an_address_with_a_password_is_refused() {
    let says = ["these look like secrets", "proxy: an address with a password"];
    let proxy = Folder::empty("[steps.docker]\nproxy = \"http://u:PW@proxy.example:3128\"\n");
    proxy.refused(&["--playbook", "docker"], &says);
    let stack = Folder::with_stack();
    stack.refused(&["--stack-url", "https://u:PW@files.example/s.tgz"], &["--stack-url"]);
}

/// A playbook of one's own goes along, with what it says of the stack.
#[test]
fn a_playbook_of_ones_own_goes_along() {
    let folder = Folder::with_stack();
    let playbook = "description = \"mine\"\nsteps = [\"machine\", \"docker\", \"stack\"]\n[options.stack]\npath = \"..\"\n";
    folder.write("ops/mine.toml", playbook);
    let server = unpack(&folder.user_data(&["--playbook", "ops/mine.toml", "--format", "script"]));
    let read = load(&server.path().join("settings"));
    assert_eq!(read.playbook.steps, ["machine", "docker", "stack"]);
    assert!(read.stack_folder.join("compose.yaml").is_file(), "{}", read.stack_folder.display());
}

#[test]
fn the_stacks_that_ship_fit() {
    let folder = Folder::empty("");
    let all = Folder::empty("[steps.stack.env]\nCOMPOSE_PROFILES = \"admin,monitoring,backup,workers\"\n");
    for (folder, playbook) in [(&all, "prefect"), (&folder, "prefect-minimal"), (&folder, "docker")] {
        for format in ["cloud-config", "script", "mime"] {
            let text = folder.user_data(&["--playbook", playbook, "--format", format]);
            assert!(text.len() < 8 * 1024, "{playbook} as {format}: {} bytes", text.len());
        }
    }
}

#[test]
fn a_stack_that_does_not_fit_is_fetched() {
    let folder = Folder::with_stack();
    // What no compression makes small.
    let noise: Vec<u8> = (0..800_u32).flat_map(|n| sha256(&n.to_le_bytes()).into_bytes()).collect();
    folder.write("noise.bin", &noise);
    let says = ["and a server takes 16384", "are the stack's folder", "--stack-url ADDRESS --stack-out FILE"];
    folder.refused(&[], &says);

    let url = ["--stack-url", "https://files.example/s.tgz", "--format", "script"];
    let inside = [&url[..], &["--stack-out", "site/s.tgz"]].concat();
    folder.refused(&inside, &["site/s.tgz would be part of the stack"]);
    let out = TempDir::new().expect("a folder");
    let out = out.path().join("s.tgz");
    let text = folder.user_data(&[&url[..], &["--stack-out", out.to_str().expect("a path")]].concat());
    let server = unpack(&text);
    let packed = std::fs::read(&out).expect("an archive");
    let expected = format!("url https://files.example/s.tgz\nsha256 {}\n", sha256(&packed));
    assert_eq!(std::fs::read_to_string(server.path().join("archive")).expect("archive"), expected);
    let mut names = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(packed.as_slice())).entries().expect("an archive") {
        names.push(entry.expect("an entry").path().expect("a path").display().to_string());
    }
    assert_eq!(names, ["site/", ".env", "compose.yaml", "noise.bin", "site/run.sh"]);

    assert_eq!(text, folder.user_data(&url), "each time the same");
}

#[test]
fn no_secret_goes_along() {
    let folder = Folder::with_stack();
    folder.write(".env", "PORT=8080\nDB_PASSWORD=hunter2\n");
    folder.write("tls/site.key", "-----BEGIN\n");
    folder.settings("[steps.stack.env]\nAPI_TOKEN = \"hunter2\"\n");
    let found = [".env:2: DB_PASSWORD", "tls/site.key", "[steps.stack.env] API_TOKEN", "--force"];
    folder.refused(&[], &found);
    let (_, _, stderr) = folder.provision(&[]);
    assert!(!stderr.contains("hunter2"), "{stderr}");
    let (code, _, stderr) = folder.provision(&["--force"]);
    assert_eq!(code, 0);
    assert!(stderr.contains("tls/site.key"), "{stderr}");

    let folder = Folder::empty("[steps.secrets]\ngiven = [\"smtp_password\"]\n");
    folder.refused(&["--playbook", "prefect"], &["`smtp_password`", "which is not possible at a first boot"]);
}

#[test]
fn what_is_wrong_is_said() {
    let release = |text: &str| {
        let folder = Folder::empty("");
        folder.write("provision.toml", format!("[release]\n{text}\n"));
        folder
    };
    let sum = "1".repeat(64);
    for (text, says) in [
        ("", "`url` in [release]"),
        ("url = \"files.example\"", "`files.example` is no address"),
        ("url = \"https://x y\"", "`https://x y` is no address"),
        ("url = \"https://x\"\nsha256.x86_64 = \"12\"", "`x86_64` in [release.sha256] is no SHA-256"),
        (&format!("url = \"https://x\"\nsha256.i386 = \"{sum}\""), "there are `x86_64`, `aarch64`"),
        ("address = \"x\"", "`address`"),
        ("url = \"http://127.0.0.1:9\"", "http://127.0.0.1:9/SHA256SUMS cannot be fetched"),
    ] {
        release(text).refused(&["--playbook", "docker"], &[says]);
    }
    let folder = Folder::empty("");
    folder.refused(&["--playbook", "docker", "--stack-url", "https://x"], &["leave `--stack-url` out"]);
    Folder::with_stack().refused(&["--stack-url", "nowhere"], &["`nowhere` is no address (--stack-url)"]);
}
