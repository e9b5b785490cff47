//! The machine step: what a playbook requires of a machine before anything is changed.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Refusal, Size, Step, planned};
use crate::facts::{Facts, Question, Questions, Reach};
use crate::plan::PlannedStep;
use crate::plan::{Finding, Level};
use crate::stack::images::{Availability, Weight};
use crate::text::bytes;

/// Where Docker keeps images, containers and volumes.
const DOCKER_ROOT: &str = "/var/lib/docker";

/// Where a Docker with containerd's image store keeps its images, wherever its own data lies.
const CONTAINERD_ROOT: &str = "/var/lib/containerd";

/// What an image takes of the disk by what it weighs to download: compressed layers unpack to about
/// 2.5 times their size, and while it is pulled some lie there in both forms.
const UNPACKED: u64 = 3;

/// Clocks that differ by more than this make certificates and signatures look wrong, in seconds.
const CLOCK_WRONG: i64 = 3600;

/// Clocks that differ by more than this are worth a word, in seconds.
const CLOCK_ODD: i64 = 30;

/// What the playbook requires of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MachineOptions {
    /// Processors that are recommended.
    pub cpus: u32,
    /// Memory that is recommended.
    pub memory: Size,
    /// Space that must be free where Docker keeps its data.
    pub disk: Size,
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self { cpus: 1, memory: Size(900_000_000), disk: Size(3_000_000_000) }
    }
}

/// The machine step.
#[derive(Debug)]
pub struct Machine {
    options: MachineOptions,
    data_root: Option<String>,
}

impl Machine {
    /// The step with its options; `data_root` is where Docker will keep its data, where settings say so.
    pub fn new(options: MachineOptions, data_root: Option<String>) -> Self {
        Self { options, data_root }
    }
}

impl Step for Machine {
    fn name(&self) -> &'static str {
        "machine"
    }

    fn questions(&self, questions: &mut Questions) {
        questions.insert(Question::Disk(self.data_root.clone().unwrap_or_else(|| DOCKER_ROOT.into())));
        questions.insert(Question::DockerRoot);
        // Where apt and the runner write.
        questions.insert(Question::Disk("/var/lib/provision".into()));
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        let findings = self.findings(model);
        let stops = |finding: &&Finding| {
            finding.level == Level::Hard || (finding.level == Level::Forceable && !model.force)
        };
        if findings.iter().any(|finding| stops(&finding)) {
            return Err(Refusal {
                step: "machine",
                what: "this machine is not ready; nothing was changed".into(),
                details: Vec::new(),
                hints: Vec::new(),
                findings,
            });
        }
        let facts = &model.facts;
        let mut step = planned("machine");
        step.state = format!(
            "{}, {}, {} CPUs, {} memory",
            facts.system.name,
            facts.system.architecture,
            facts.system.cpus,
            bytes(facts.system.memory)
        );
        if let Some(packages) = &facts.reboot_required {
            let names =
                if packages.is_empty() { String::new() } else { format!(" ({})", packages.join(", ")) };
            step.warnings
                .push(format!("the host asks for a reboot{names}; provision never reboots by itself"));
        }
        step.findings = findings;
        Ok(step)
    }
}

impl Machine {
    /// Everything at once, each with what to do.
    fn findings(&self, model: &Model) -> Vec<Finding> {
        let facts = &model.facts;
        let mut findings =
            vec![distribution(facts), architecture(facts), systemd(facts), clock(facts, model.now)];
        findings.push(self.cpus(facts));
        findings.push(self.memory(facts));
        findings.extend(self.disk(model));
        findings.extend(facts.reach.iter().map(|(address, reach)| network(address, *reach)));
        // Its own failure to provision itself is what is being mended here.
        let own = facts.first_boot.as_ref().is_some_and(|first_boot| first_boot.state == "failed");
        if let Some(cloud_init) = &facts.cloud_init
            && cloud_init.status == "error"
            && !own
        {
            findings.push(finding(
                Level::Soft,
                "cloud-init",
                "cloud-init ended with an error",
                "look with `cloud-init status --long` on the host",
            ));
        }
        findings
    }

    fn cpus(&self, facts: &Facts) -> Finding {
        let (have, want) = (facts.system.cpus, self.options.cpus);
        let level = if have < want { Level::Soft } else { Level::Fine };
        finding(
            level,
            "CPUs",
            format!("{have} of at least {want}"),
            "expect it to be slow, or take a larger machine",
        )
    }

    fn memory(&self, facts: &Facts) -> Finding {
        let (memory, swap, want) = (facts.system.memory, facts.system.swap, self.options.memory.0);
        // Swap is what the remedy below names.
        let have = memory.saturating_add(swap);
        let text = match swap {
            0 => format!("{} of at least {}", bytes(memory), bytes(want)),
            swap => format!("{} and {} of swap, of at least {}", bytes(memory), bytes(swap), bytes(want)),
        };
        // The kernel keeps some of what a machine is sold with.
        let level = match () {
            () if have < want / 2 => Level::Forceable,
            () if have < want - want / 10 => Level::Soft,
            () => Level::Fine,
        };
        finding(level, "memory", text, "take a larger machine, or add swap")
    }

    fn disk(&self, model: &Model) -> Vec<Finding> {
        let facts = &model.facts;
        let mut findings = Vec::new();
        let root = self.data_root.as_deref().or(facts.docker_root.as_deref()).unwrap_or(DOCKER_ROOT);
        // Once Docker is there its images are too, and less is needed.
        let want = match facts.docker.is_some() {
            true => 500_000_000.min(self.options.disk.0),
            false => self.options.disk.0,
        };
        let in_containerd = facts.docker.as_ref().is_some_and(|docker| docker.storage == "overlayfs");
        let image_root = if in_containerd { CONTAINERD_ROOT } else { root };
        if let Some(disk) = facts.disks.get(root) {
            let images = if image_root == root { images_to_come(model) } else { Images::default() };
            findings.push(space(root, disk.available, want, images));
        }
        if let Some(disk) = facts.disks.get(image_root).filter(|_| image_root != root) {
            findings.push(space(image_root, disk.available, 0, images_to_come(model)));
        }
        if let Some(disk) = facts.disks.get("/var/lib/provision").filter(|disk| disk.available < 100_000_000)
        {
            let text = format!("{} free at /var/lib/provision, of at least 100 MB", bytes(disk.available));
            findings.push(finding(Level::Hard, "disk", text, "free some space: `df -h`, `apt-get clean`"));
        }
        findings
    }
}

/// What images will weigh to download.
#[derive(Debug, Clone, Copy, Default)]
struct Images {
    /// Those that the host lacks, in bytes.
    new: u64,
    /// And those that take the place of others, of which the host may have most layers.
    all: u64,
}

/// By what registries said; images that the host has as they are there weigh nothing.
fn images_to_come(model: &Model) -> Images {
    let present = |name: &String| model.facts.image(name);
    let comes = |name: &String, image: &Availability| match (present(name), image) {
        (Some(present), Availability::Found { digest: Some(digest), .. }) => {
            !present.digests.contains(digest)
        }
        (Some(_), _) => false,
        (None, _) => true,
    };
    let coming: Vec<_> = model.images.iter().filter(|(name, image)| comes(name, image)).collect();
    let new = coming.iter().filter(|(name, _)| present(name).is_none()).map(|(_, image)| *image);
    Images { new: Weight::of(new).bytes, all: Weight::of(coming.iter().map(|(_, image)| *image)).bytes }
}

fn space(root: &str, available: u64, want: u64, images: Images) -> Finding {
    let needs = |bytes: u64| want.max(bytes.saturating_mul(UNPACKED));
    let level = match () {
        () if available < needs(images.new) => Level::Forceable,
        () if available < needs(images.all) => Level::Soft,
        () => Level::Fine,
    };
    let (need, weight) = match level {
        Level::Soft => (needs(images.all), images.all),
        _ => (needs(images.new), images.new),
    };
    let why = match need > want {
        true => format!(
            ": images of {} are to be downloaded, and take about {UNPACKED} times that unpacked",
            bytes(weight)
        ),
        false => String::new(),
    };
    let text = format!("{} free at {root}, of at least {}{why}", bytes(available), bytes(need));
    finding(level, "disk", text, "free some space (`df -h`, `docker system df`), or add a volume")
}

fn finding(level: Level, topic: &str, text: impl Into<String>, remedy: &str) -> Finding {
    let remedy = if level == Level::Fine { "" } else { remedy };
    Finding { level, topic: topic.to_owned(), text: text.into(), remedy: remedy.to_owned() }
}

fn distribution(facts: &Facts) -> Finding {
    let system = &facts.system;
    let number: Option<f32> = system.version.parse().ok();
    let oldest = match system.id.as_str() {
        "ubuntu" => Some(20.04),
        "debian" => Some(11.0),
        _ => None,
    };
    let name = if system.name.is_empty() { "an unknown system" } else { &system.name };
    match (oldest, number) {
        (Some(oldest), Some(number)) if number >= oldest => finding(Level::Fine, "distribution", name, ""),
        // Debian's testing and unstable have no number.
        (Some(_), None) if system.version.is_empty() && !system.codename.is_empty() => finding(
            Level::Forceable,
            "distribution",
            format!("{name} has no release number"),
            "take a stable release",
        ),
        _ => finding(
            Level::Hard,
            "distribution",
            format!("{name} is not supported"),
            "take Ubuntu 20.04 or newer, or Debian 11 or newer",
        ),
    }
}

fn architecture(facts: &Facts) -> Finding {
    let name = facts.system.architecture.as_str();
    match name {
        "amd64" | "arm64" => finding(Level::Fine, "architecture", name, ""),
        _ => finding(
            Level::Hard,
            "architecture",
            format!("{} is not supported", if name.is_empty() { "an unknown architecture" } else { name }),
            "take an amd64 or arm64 machine",
        ),
    }
}

fn systemd(facts: &Facts) -> Finding {
    if facts.system.systemd {
        finding(Level::Fine, "systemd", "is process 1", "")
    } else {
        let remedy = "take a machine that boots with systemd; a plain container is none";
        finding(Level::Hard, "systemd", "is not process 1", remedy)
    }
}

fn clock(facts: &Facts, now: i64) -> Finding {
    let ahead = facts.system.clock.saturating_sub(now);
    let text = match ahead.saturating_abs() {
        0..=CLOCK_ODD => "agrees with ours".to_owned(),
        apart => {
            let apart = u64::try_from(apart).unwrap_or_default().saturating_mul(1000);
            let side = if ahead > 0 { "ahead of" } else { "behind" };
            format!("{} {side} ours", crate::text::duration(apart))
        }
    };
    let level = match ahead.saturating_abs() {
        0..=CLOCK_ODD => Level::Fine,
        apart if apart <= CLOCK_WRONG => Level::Soft,
        _ => Level::Forceable,
    };
    finding(level, "clock", text, "set it: `timedatectl set-ntp true` on the host")
}

fn network(address: &str, reach: Reach) -> Finding {
    match reach {
        Reach::Reached => finding(Level::Fine, "network", format!("{address} answers"), ""),
        Reach::NoName => finding(
            Level::Forceable,
            "network",
            format!("the name in {address} does not resolve on the host"),
            "check its DNS (`resolvectl status`), or set `mirror` or `proxy` in [steps.docker]",
        ),
        Reach::NoConnection => finding(
            Level::Forceable,
            "network",
            format!("{address} is not reached from the host"),
            "check its route and outgoing firewall, or set `mirror` or `proxy` in [steps.docker]",
        ),
    }
}
