//! Files that the project names by an absolute path: they are the host's own, and have to be there.

use super::{STEP, Stack};
use crate::stack::compose::OnHost;
use crate::steps::{Model, Refusal};

/// What is there only once something runs, or is provision's own to make.
const MADE: [&str; 6] = ["/run/", "/var/run/", "/proc/", "/sys/", "/dev/", "/etc/provision/"];

impl Stack {
    /// Files of the host that have to be there, each once.
    pub(super) fn on_host_already(&self) -> impl Iterator<Item = &OnHost> {
        let own = format!("{}/", self.folder());
        self.input.project.on_host.iter().filter(move |file| {
            let is_sent = || file.path.strip_prefix(&own).is_some_and(|path| self.input.bundle.has(path));
            let is_made = MADE.iter().any(|folder| file.path.starts_with(folder));
            file.path.starts_with('/') && !file.path.contains(char::is_control) && !is_made && !is_sent()
        })
    }

    /// Compose stops at a file that is missing, and Docker makes a folder of it: both after changes.
    pub(super) fn check_absolute(&self, model: &Model) -> Result<(), Refusal> {
        let is_missing = |file: &&OnHost| {
            model.facts.files.get(&file.path).is_some_and(Option::is_none)
                && !model.secret_files.contains(&file.path)
        };
        let missing: Vec<_> = self.on_host_already().filter(is_missing).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        if model.force {
            return Ok(());
        }
        let here = self.input.bundle.root.canonicalize().unwrap_or_default();
        let within = missing.iter().find_map(|file| {
            let rest = std::path::Path::new(&file.path).strip_prefix(&here).ok()?;
            Some((&file.path, rest.display().to_string()))
        });
        let hint = match within {
            Some((path, rest)) => {
                format!(
                    "{path} is in the stack's folder on this computer; write ./{rest}, which is sent to the host"
                )
            }
            None => {
                let name = first.path.rsplit('/').next().unwrap_or_default();
                format!("create it on the host, or copy it into the stack's folder here and write ./{name}")
            }
        };
        let details = missing.iter().map(|file| {
            let home = if file.home { " (`~` and $HOME are /root on the host)" } else { "" };
            format!("{}: the {} {}{home}", file.place, file.role, file.path)
        });
        Err(Refusal {
            step: STEP,
            what: "the project names a file by an absolute path, and the host does not have it; nothing was changed"
                .into(),
            details: details.collect(),
            hints: vec![hint, "`--force` continues anyway".into()],
            findings: Vec::new(),
        })
    }
}
