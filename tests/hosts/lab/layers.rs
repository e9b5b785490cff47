//! What stories begin from: made once by provision itself, frozen, and cloned in seconds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::times::{self, Doing, doing};
use super::{Folder, Host, script};

/// A host that stopped when it was as far as this.
#[derive(Clone, Copy)]
pub enum Layer {
    /// Docker from docker.com's repository on Debian 13, by the playbook `docker`, with containerd's
    /// image store.
    Docker,
    /// The same with each image of the lab pulled.
    Images,
    /// The same with Prefect's stack up and proven, all of it but Grafana.
    Prefect,
    /// Debian's own Docker, and the images of the stack of three services: provision was not there.
    DebianImages,
    /// The same with that stack up.
    Three,
}

/// Images in containerd's store, as on new installations of Engine 29.
const IMAGE_STORE: &str = "
[steps.docker.daemon]
features = { containerd-snapshotter = true }
";

/// What the lab has no image for stays off; its registry stands in for Docker Hub alone.
pub const PREFECT_SETTINGS: &str = "
[steps.docker.daemon]
features = { containerd-snapshotter = true }

[steps.stack.env]
COMPOSE_PROFILES = \"admin,monitoring,backup,workers\"
REDIS_PAGE_IMAGE = \"rediscommander/redis-commander:0.9.0\"
";

impl Layer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Images => "images",
            Self::Prefect => "prefect",
            Self::DebianImages => "debian-images",
            Self::Three => "three",
        }
    }

    /// The lab's name of it: made if it is not there yet.
    pub fn frozen(self) -> String {
        // Whoever waits for it does not count that as its own time.
        let mut known = doing(Doing::Layers, || self.known());
        let known = known.get_or_insert_with(|| doing(Doing::Layers, || self.find_or_make()));
        known.clone().unwrap_or_else(|why| panic!("the layer {} could not be created: {why}", self.name()))
    }

    /// The same, made by a story that tells of it; who wants it meanwhile waits.
    pub fn made_by<T>(self, story: impl FnOnce() -> (Host, T)) -> T {
        let mut known = doing(Doing::Layers, || self.known());
        let (host, told) = story();
        let name = self.full_name();
        host.freeze(&name);
        hold(&name);
        self.forget_former(&name);
        *known = Some(Ok(name));
        told
    }

    fn known(self) -> MutexGuard<'static, Option<Result<String, String>>> {
        static KNOWN: [Mutex<Option<Result<String, String>>>; 5] = [const { Mutex::new(None) }; 5];
        KNOWN[self as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another program makes other hosts, so it is part of the name.
    fn full_name(self) -> String {
        format!("test-{}-{}", self.name(), program())
    }

    fn find_or_make(self) -> Result<String, String> {
        let name = self.full_name();
        if hold(&name) {
            return Ok(name);
        }
        // What is below is told by itself.
        if let Some(below) = self.below() {
            below.frozen();
        }
        let began = Instant::now();
        let make = || self.make().freeze(&name);
        catch_unwind(AssertUnwindSafe(make)).map_err(|why| {
            let text = why.downcast_ref::<String>().cloned();
            text.or_else(|| why.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
        })?;
        times::of_a_layer(self.name(), began.elapsed());
        hold(&name);
        self.forget_former(&name);
        Ok(name)
    }

    /// What another program made serves nobody any more.
    fn forget_former(self, name: &str) {
        let start = format!("test-{}-", self.name());
        for old in lab(&["frozen"]).lines().filter(|each| *each != name && is_of(each, &start)) {
            lab(&["forget", old]);
        }
    }

    fn below(self) -> Option<Self> {
        match self {
            Self::Docker | Self::DebianImages => None,
            Self::Images => Some(Self::Docker),
            Self::Prefect => Some(Self::Images),
            Self::Three => Some(Self::DebianImages),
        }
    }

    fn make(self) -> Host {
        let folder = Folder::empty();
        let up = |host: Host, playbook: &[&str]| {
            folder.provision(&[&["up", "--yes", &host.name], playbook].concat()).expect(0);
            host
        };
        match self {
            Self::Docker => {
                folder.settings(IMAGE_STORE);
                up(Host::make("debian13"), &["--playbook", "docker"])
            }
            Self::Images => pulls(Host::on(Self::Docker), |_| true),
            Self::Prefect => {
                folder.settings(PREFECT_SETTINGS);
                up(Host::on(Self::Images), &["--playbook", "prefect"])
            }
            Self::DebianImages => {
                let host = Host::make("debian13-docker");
                let mirror = r#"{"registry-mirrors": ["http://10.91.0.1:5000"]}"#;
                host.inside(&format!(
                    "mkdir -p /etc/docker && echo '{mirror}' >/etc/docker/daemon.json && systemctl restart docker"
                ));
                let host = pulls(host, |image| ["busybox:1.36", "nginx:1.27", "redis:8"].contains(&image));
                // But for the images it is as Debian makes it.
                host.inside("rm /etc/docker/daemon.json");
                host
            }
            Self::Three => {
                let host = Host::on(Self::DebianImages);
                Folder::with_stack().provision(&["up", "--yes", &host.name]).expect(0);
                host
            }
        }
    }
}

/// Whether a name is this with a program's behind it, and no longer layer's name.
fn is_of(name: &str, start: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| !rest.contains('-'))
}

fn lab(arguments: &[&str]) -> String {
    String::from_utf8_lossy(&run(arguments).stdout).into_owned()
}

/// Whether there is such a layer; then it stays as long as this program does, whoever else tests here.
fn hold(name: &str) -> bool {
    run(&["hold", name]).status.success()
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(script("host"));
    command.args(arguments).env("PROVISION_LAB_OWNER", std::process::id().to_string());
    command.output().expect("scripts/lab/host")
}

/// The program that is tried, in twelve digits.
fn program() -> &'static str {
    static SUM: OnceLock<String> = OnceLock::new();
    SUM.get_or_init(|| {
        let output =
            Command::new("sha256sum").arg(env!("CARGO_BIN_EXE_provision")).output().expect("sha256sum");
        String::from_utf8_lossy(&output.stdout).chars().take(12).collect()
    })
}

/// Pulls the lab's images, as `scripts/lab/images/list` names them, two at a time.
fn pulls(host: Host, wanted: impl Fn(&str) -> bool) -> Host {
    let list = std::fs::read_to_string(script("images/list")).expect("the list of images");
    let images = list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let image = line.split_whitespace().nth(2)?;
        // One is for no machine here, and the others are only built upon.
        let of_nobody = image.starts_with("armonly") || image.starts_with("provision-lab/");
        (!of_nobody && !image.starts_with("debian:") && wanted(image)).then(|| image.to_owned())
    });
    let images: Vec<_> = images.collect();
    host.inside(&format!("printf '%s\\n' {} | xargs -P 2 -n 1 docker pull -q", images.join(" ")));
    host
}
