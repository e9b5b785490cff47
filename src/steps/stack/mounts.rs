//! What containers mount of the stack's folder: what is missing there, and what is theirs.

use super::files::Seeds;
use super::{STEP, Stack};
use crate::stack::compose::{Here, Mount, Service};
use crate::steps::{Model, Refusal};

impl Stack {
    /// Where a mount of the folder lies on the host.
    pub(super) fn on_host(&self, mount: &Mount) -> String {
        format!("{}/{}", self.folder(), mount.source)
    }

    /// Mounts of the folder of which nothing is sent.
    pub(super) fn unsent(&self) -> impl Iterator<Item = (&Service, &Mount)> {
        let mounts =
            self.services().flat_map(|service| service.mounts.iter().map(move |mount| (service, mount)));
        mounts.filter(|(_, mount)| mount.is_inside() && !self.input.bundle.has(&mount.source))
    }

    /// Docker makes an empty folder of what is missing, also where a file is meant to be.
    pub(super) fn check_mounts(&self, model: &Model) -> Result<(), Refusal> {
        let is_missing = |mount: &Mount| {
            let there = model.file(&self.on_host(mount));
            match () {
                () if mount.here == Here::Folder => false,
                () if mount.here == Here::File || mount.looks_like_a_file() => {
                    there.is_none_or(|there| there.kind == "directory")
                }
                () => !mount.created && there.is_none(),
            }
        };
        let missing: Vec<_> = self
            .unsent()
            .filter(|(_, mount)| is_missing(mount))
            .map(|(service, mount)| {
                let why = match mount.here {
                    Here::File => "is not sent, since a pattern leaves it out",
                    _ => "is not in the folder",
                };
                format!("{}: {} mounts {}, which {why}", mount.place, service.name, mount.source)
            })
            .collect();
        if missing.is_empty() || model.force {
            return Ok(());
        }
        Err(Refusal {
            step: STEP,
            what: "a file that a container mounts does not go to the host; nothing was changed".into(),
            details: missing,
            hints: vec![
                "create it here, or correct the path; Docker would make an empty folder in its place".into(),
                "`--force` continues anyway".into(),
            ],
            findings: Vec::new(),
        })
    }

    /// Folders that Docker makes.
    pub(super) fn remarks_on_mounts(&self, model: &Model) -> Vec<String> {
        let made = self
            .unsent()
            .filter(|(_, mount)| mount.here == Here::Nothing && model.file(&self.on_host(mount)).is_none())
            .map(|(service, mount)| {
                format!(
                    "{}: {} is not in the folder; Docker will create an empty folder for {}",
                    mount.place, mount.source, service.name
                )
            });
        let mut remarks: Vec<_> = made.collect();
        remarks.dedup();
        remarks
    }

    /// Files that have changed here and stay as the application has them.
    pub(super) fn kept_back(&self, seeds: &Seeds<'_>) -> Vec<String> {
        let kept = seeds.changed.iter().filter_map(|path| {
            let (service, mount) = self.input.project.writers(path).next()?;
            Some(format!(
                "{path} has changed here and is kept as it is on the host, the application's since the first run: \
                 {} mounts it read-write ({}); add `:ro` there, or send it all the same with \
                 `overwrite = [\"{path}\"]` in [steps.stack]",
                service.name, mount.place
            ))
        });
        let lived_in = seeds.lived_in.iter().map(|path| {
            format!(
                "{path} is kept as it is on the host: an application wrote to it while it was mounted read-write; \
                 send yours all the same with `overwrite = [\"{path}\"]` in [steps.stack]"
            )
        });
        kept.chain(lived_in).collect()
    }
}
