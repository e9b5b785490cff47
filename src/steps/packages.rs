//! The packages step: apt done properly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Model, Refusal, Step, planned};
use crate::facts::{Question, Questions, SourceEntry};
use crate::plan::{Action, Change, PlannedStep, Risk};

/// Package lists older than this may name versions that are gone, in seconds.
const LISTS_STALE: u64 = 3600;

/// Packages of the distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PackagesOptions {
    /// Packages that must be installed.
    pub install: Vec<String>,
    /// How long to wait for somebody else's apt or dpkg to end, in seconds.
    pub lock_wait: u32,
    /// An HTTP proxy for what apt downloads in this step: `http://HOST:PORT`.
    pub proxy: Option<String>,
}

impl Default for PackagesOptions {
    fn default() -> Self {
        Self { install: Vec::new(), lock_wait: 300, proxy: None }
    }
}

/// The packages step.
#[derive(Debug)]
pub struct Packages {
    options: PackagesOptions,
}

impl Packages {
    /// The step with its options.
    pub fn new(options: PackagesOptions) -> Self {
        Self { options }
    }
}

/// Whether apt's lists must be refreshed before something new is installed; they are fresh afterwards.
pub(super) fn refresh(model: &mut Model) -> &'static str {
    let stale = model.facts.apt.lists_age.is_none_or(|age| age > LISTS_STALE);
    model.facts.apt.lists_age = Some(0);
    if stale { "yes" } else { "no" }
}

/// apt does nothing while it cannot read an entry in its sources, or two of them contradict each other.
pub(super) fn check_sources(steps: &[PlannedStep], model: &Model) -> Result<(), Refusal> {
    let uses_apt = |step: &&PlannedStep| {
        step.changes.iter().any(|change| change.action.arguments.contains_key("refresh"))
    };
    let apt = &model.facts.apt;
    let Some(step) = steps.iter().find(uses_apt) else { return Ok(()) };
    let mut details: Vec<_> =
        apt.malformed.iter().map(|entry| format!("{entry}: apt cannot read it")).collect();
    details.extend(apt.conflicts.iter().map(|conflict| {
        let option = &conflict.option;
        format!(
            "{}: it has another `{option}` than {}, which is for the same suite",
            conflict.second, conflict.first
        )
    }));
    let hint = match (apt.malformed.first(), apt.conflicts.first()) {
        (Some(SourceEntry { file, line }), _) => {
            format!("fix or remove that entry on the host; `sudo sed -n {line}p {file}` shows it")
        }
        (None, Some(conflict)) => {
            format!("remove one of the two on the host, or give both the same `{}`", conflict.option)
        }
        (None, None) => return Ok(()),
    };
    Err(Refusal {
        step: step.step,
        what: "apt cannot use its sources on the host, and installs nothing; nothing was changed".into(),
        details,
        hints: vec![format!("{hint}; `sudo apt-get check` succeeds when all is well")],
        findings: Vec::new(),
    })
}

impl Step for Packages {
    fn name(&self) -> &'static str {
        "packages"
    }

    fn questions(&self, questions: &mut Questions) {
        questions.extend(self.options.install.iter().cloned().map(Question::Package));
    }

    fn plan(&self, model: &mut Model) -> Result<PlannedStep, Refusal> {
        let mut step = planned("packages");
        if let Some(bad) = self.options.install.iter().find(|name| !is_package_name(name)) {
            return Err(Refusal::new(
                "packages",
                format!("`{bad}` is no package name"),
                "fix `install` in [steps.packages]; a name is lowercase letters, digits and `+-.`",
            ));
        }
        if let Some(holder) = &model.facts.apt.busy {
            step.warnings.push(format!(
                "apt is in use by {} (pid {}); the run waits for it, up to {} s",
                holder.command, holder.pid, self.options.lock_wait
            ));
        }
        let lock_wait = self.options.lock_wait.to_string();
        step.changes.extend(repair(model, &lock_wait));
        let missing: Vec<_> =
            self.options.install.iter().filter(|name| !model.has_package(name)).cloned().collect();
        if !missing.is_empty() {
            let mut action = Action::new("packages", "install")
                .with("packages", missing.join(" "))
                .with("lock_wait", &lock_wait)
                .with("refresh", refresh(model))
                .within(1800);
            if let Some(proxy) = &self.options.proxy {
                action = action.with("proxy", proxy);
            }
            step.changes.push(Change {
                id: "packages/install".into(),
                title: format!("install {}", missing.join(", ")),
                reason: "not installed".into(),
                risks: vec![Risk::Downloads { bytes: None }],
                files: Vec::new(),
                undo: Some(format!("apt-get remove {}", missing.join(" "))),
                action,
            });
            model.install(missing.iter().map(String::as_str));
        }
        step.state = match self.options.install.len() {
            0 => "dpkg in order".into(),
            1..=4 => format!("{} installed", self.options.install.join(", ")),
            count => format!("{count} packages installed"),
        };
        Ok(step)
    }
}

fn repair(model: &mut Model, lock_wait: &str) -> Option<Change> {
    let apt = &mut model.facts.apt;
    // A dpkg that is at work just now looks half done too.
    let in_order = !apt.interrupted && apt.half_configured.is_empty();
    if in_order || apt.busy.is_some() {
        return None;
    }
    let reason = match apt.half_configured.as_slice() {
        [] => "dpkg was interrupted".to_owned(),
        names => format!("dpkg was interrupted; not configured: {}", names.join(", ")),
    };
    for name in std::mem::take(&mut apt.half_configured) {
        if let Some(Some(package)) = model.facts.packages.get_mut(&name) {
            package.configured = true;
        }
    }
    model.facts.apt.interrupted = false;
    Some(Change {
        id: "packages/repair".into(),
        title: "finish what an interrupted dpkg left".into(),
        reason,
        risks: Vec::new(),
        files: Vec::new(),
        undo: None,
        action: Action::new("packages", "repair").with("lock_wait", lock_wait).within(1800),
    })
}

/// Debian Policy 5.6.1.
fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}
