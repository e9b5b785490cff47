//! What a project names of the stack's folder: it is sent whatever git ignores, and a build gets what
//! its `.dockerignore` leaves of its context.

use super::Project;
use super::paths::{self, Resolved};
use super::yaml::Node;

/// A folder that an image is built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Context {
    /// The folder within the stack's folder; blank for that folder itself.
    pub folder: String,
    /// The Dockerfile within the stack's folder, where it is a file there.
    pub dockerfile: Option<String>,
}

/// What a merged file names.
#[derive(Default)]
pub(super) struct Named {
    paths: Vec<String>,
    contexts: Vec<(String, Option<String>)>,
}

impl Named {
    /// Reads a merged file. Services that are off count as well: they can be switched on.
    pub(super) fn of(root: &Node) -> Self {
        let mut named = Self::default();
        let under = |key: &str| root.get(key).map(Node::entries).unwrap_or_default().iter();
        for entry in under("secrets").chain(under("configs")) {
            named.paths.extend(text(entry.value.get("file")));
        }
        let bound = paths::Bound::of(root);
        for entry in under("services") {
            let service = &entry.value;
            for key in ["env_file", "label_file"] {
                let files = service.get(key).map(Node::each).unwrap_or_default().iter();
                named.paths.extend(files.filter_map(|file| text(file.get("path").or(Some(file)))));
            }
            named.paths.extend(paths::mounts(service, &bound).into_iter().map(|(mount, _)| mount.source));
            named.build(service);
        }
        named
    }

    fn build(&mut self, service: &Node) {
        for build in paths::builds(service, false) {
            match build.role {
                paths::CONTEXT => self.contexts.push((build.path, None)),
                // It stands behind its context, before the additional ones.
                _ => match self.contexts.last_mut() {
                    Some((_, dockerfile)) => *dockerfile = Some(build.path),
                    None => self.paths.push(build.path),
                },
            }
        }
    }

    /// Adds what it names to a project.
    pub(super) fn add_to(self, project: &mut Project) {
        project.named.extend(self.paths.iter().map(|path| inside(path)));
        project.contexts.extend(self.contexts.iter().map(|(folder, dockerfile)| Context {
            folder: inside(folder),
            dockerfile: dockerfile.as_ref().map(|path| inside(path)),
        }));
        project.named.sort();
        project.named.dedup();
        project.contexts.sort();
        project.contexts.dedup();
    }
}

/// A path relative to the stack's folder; as it is where it is the host's own or leads out.
fn inside(path: &str) -> String {
    match paths::resolve("", path) {
        Resolved::Inside(path) => path,
        Resolved::Outside => format!("/{path}"),
        Resolved::OnHost => path.to_owned(),
    }
}

fn text(node: Option<&Node>) -> Option<String> {
    node.and_then(Node::text).filter(|text| !text.is_empty()).map(str::to_owned)
}
