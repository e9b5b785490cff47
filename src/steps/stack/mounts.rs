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
        let of_home = self.in_home().map(|(service, mount)| {
            let missing = match model.file(&mount.source) {
                None => "; there is nothing, and Docker will create an empty folder",
                Some(_) => "",
            };
            format!(
                "{}: {} mounts {} of the host: root runs Compose there, so `~` and $HOME are /root, and nothing of \
                 your own home is sent{missing}; copy it into the folder here and write ./{}, or write the path on \
                 the host in full",
                mount.place,
                service.name,
                mount.source,
                mount.source.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
            )
        });
        let mut remarks: Vec<_> = made.chain(of_home).collect();
        remarks.dedup();
        remarks
    }

    /// Mounts that were written with `~` or `$HOME`, and lead out of the stack's folder.
    pub(super) fn in_home(&self) -> impl Iterator<Item = (&Service, &Mount)> {
        let mounts =
            self.services().flat_map(|service| service.mounts.iter().map(move |mount| (service, mount)));
        mounts.filter(|(_, mount)| mount.home && !mount.is_inside())
    }

    /// Files that have changed here and stay as the application has them.
    pub(super) fn kept_back(&self, seeds: &Seeds<'_>) -> Vec<String> {
        let kept = seeds.changed.iter().filter_map(|path| {
            Some(format!(
                "{path} has changed here and is kept as it is on the host, the application's since the first run: \
                 {}, or send it all the same with `overwrite = [\"{path}\"]` in [steps.stack]",
                self.why_written(path)?
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

    /// Why a path is the application's, and what to do about it: by the narrowest of the mounts.
    fn why_written(&self, path: &str) -> Option<String> {
        let writers: Vec<_> = self.input.project.writers(path).collect();
        let (service, mount) = *writers.iter().max_by_key(|(_, mount)| mount.source.len())?;
        let narrower = "mount only what the application writes to";
        let through = |service: &Service, mount: &Mount| {
            let above = if mount.source.is_empty() { "the whole folder" } else { mount.source.as_str() };
            format!("{} can write to it through {above}, mounted read-write ({})", service.name, mount.place)
        };
        if let Some(shadow) = self.read_only(path, mount) {
            return Some(format!(
                "{}, although {shadow} mounts it read-only; {narrower}",
                through(service, mount)
            ));
        }
        let own = format!("{} mounts it read-write ({})", service.name, mount.place);
        let above = writers.iter().find(|(_, other)| other.source.len() < mount.source.len());
        Some(match above {
            Some((service, above)) => format!("{own}, and {}; {narrower}", through(service, above)),
            None => format!("{own}; add `:ro` there"),
        })
    }

    /// Where a path is mounted read-only while a folder above it is mounted so that it can be written to.
    fn read_only(&self, path: &str, writer: &Mount) -> Option<&str> {
        let mut mounts = self.input.project.services.iter().flat_map(|service| &service.mounts);
        let shadow = mounts.find(|mount| {
            !mount.writable
                && mount.is_inside()
                && mount.covers(path)
                && mount.source.len() > writer.source.len()
        });
        shadow.map(|mount| mount.place.as_str())
    }
}
