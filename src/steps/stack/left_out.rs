//! What of the folder is not sent, and what that means for what the host has of it.

use std::collections::BTreeSet;

use super::Stack;
use crate::plan::FileChange;
use crate::stack::bundle::{Group, Why};

impl Stack {
    /// Of the files that a change removes, those that are in the folder here and are no longer sent.
    pub(super) fn dropped(&self, files: &[FileChange]) -> Option<String> {
        let groups: BTreeSet<_> = self.dropped_groups(files).map(|(_, group)| group.path.as_str()).collect();
        let (first, more) = (groups.first()?, groups.len() - 1);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        Some(format!("still in the folder here: {first}{more}"))
    }

    fn dropped_groups<'a>(&'a self, files: &'a [FileChange]) -> impl Iterator<Item = (&'a str, &'a Group)> {
        let prefix = format!("{}/", self.folder());
        files.iter().filter(|file| file.content.is_none()).filter_map(move |file| {
            let path = file.path.strip_prefix(&prefix)?;
            Some((path, self.input.bundle.left_out.of(path)?))
        })
    }

    /// Files that go from the host while a container sees them.
    pub(super) fn remarks_on_dropped(&self, files: &[FileChange]) -> Vec<String> {
        let mut remarks = Vec::new();
        for (path, group) in self.dropped_groups(files).filter(|(_, group)| group.why != Some(Why::Asked)) {
            let mounts =
                self.services().flat_map(|service| service.mounts.iter().map(move |mount| (service, mount)));
            let Some((service, mount)) =
                mounts.into_iter().find(|(_, mount)| mount.is_inside() && mount.covers(path))
            else {
                continue;
            };
            remarks.push(format!(
                "{} is no longer sent and goes from the host, where {} mounts it ({}); to keep it, set \
                 `include = [\"{}\"]` in [steps.stack]",
                group.path, service.name, mount.place, group.path
            ));
        }
        remarks.sort();
        remarks.dedup();
        remarks
    }

    /// Files that Compose reads here and that the host does not get: the plan counts them in, and the
    /// stack runs without them.
    pub(super) fn remarks_on_unsent_settings(&self) -> Vec<String> {
        let bundle = &self.input.bundle;
        let is_kept_back = |path: &&String| bundle.file(path).is_none() && bundle.left_out.of(path).is_some();
        let read: BTreeSet<_> = self.input.project.read_files.iter().filter(is_kept_back).collect();
        let remark = |path: &String| {
            format!(
                "the project reads {path}, and it is not sent: this plan was made with it, and on the host Compose \
                 runs without it; take it out of .provisionignore and of `ignore` in [steps.stack]"
            )
        };
        read.into_iter().map(remark).collect()
    }

    /// Symbolic links to folders, which become folders of their own.
    pub(super) fn remarks_on_links(&self) -> Vec<String> {
        let folders: Vec<_> = self.input.bundle.links.iter().filter(|link| link.is_folder).collect();
        let [first, rest @ ..] = folders.as_slice() else { return Vec::new() };
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        vec![format!(
            "{} is a symbolic link to the folder {}{more}; its files are sent as a copy, since links do not travel",
            first.path, first.to
        )]
    }
}
