//! What a project names of the stack's folder: it is sent whatever git ignores, and a build gets what
//! its `.dockerignore` leaves of its context.

use std::collections::HashSet;
use std::path::Path;

use super::dotenv::Environment;
use super::paths::{self, Resolved};
use super::source::{Variables, substitute};
use super::yaml::{self, Node};
use super::{Mount, Project};

/// So many files that others take in are looked at.
const MOST_TAKEN_IN: usize = 200;

/// A folder that an image is built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Context {
    /// The folder within the stack's folder; blank for that folder itself.
    pub folder: String,
    /// The Dockerfile within the stack's folder, where it is a file there.
    pub dockerfile: Option<String>,
}

/// What one Compose file names, as it is written there.
#[derive(Default)]
pub(super) struct Named {
    paths: Vec<String>,
    contexts: Vec<(String, Option<String>)>,
    /// Other Compose files, with the folder from which their paths count where one is set.
    files: Vec<(String, Option<String>)>,
}

impl Named {
    /// Reads a merged file. Services that are off count as well: they can be switched on.
    pub(super) fn of(root: &Node) -> Self {
        let mut named = Self::default();
        let under = |key: &str| root.get(key).map(Node::entries).unwrap_or_default().iter();
        for entry in under("secrets").chain(under("configs")) {
            named.paths.extend(text(entry.value.get("file")));
        }
        for entry in under("services") {
            let service = &entry.value;
            for key in ["env_file", "label_file"] {
                named
                    .paths
                    .extend(each(service.get(key)).filter_map(|file| text(file.get("path").or(Some(file)))));
            }
            named.paths.extend(paths::mounts(service, root).into_iter().map(|(mount, _)| mount.source));
            named.build(service);
            if let Some(file) = text(service.get("extends").and_then(|extends| extends.get("file"))) {
                named.files.push((file, None));
            }
        }
        for item in root.get("include").map(Node::items).unwrap_or_default() {
            let base = text(item.get("project_directory"));
            named.paths.extend(each(item.get("env_file")).filter_map(|file| text(Some(file))));
            named.paths.extend(base.iter().map(|base| format!("{base}/.env")));
            let mut files = each(item.get("path").or(Some(item))).filter_map(|path| text(Some(path)));
            let Some(first) = files.next() else { continue };
            // Several files are merged, and their paths count from the first.
            let folder = first.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned();
            named.paths.extend(base.is_none().then(|| format!("{folder}/.env")));
            named.files.push((first, base.clone()));
            let base = base.unwrap_or(folder);
            named.files.extend(files.map(|file| (file, Some(base.clone()))));
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

    /// Adds what it names to a project, and what the files name that it takes in. What of them cannot
    /// be read is Compose's to refuse.
    pub(super) fn add_to(self, project: &mut Project, folder: &Path, base: &str, env: &Environment) {
        let mut seen = HashSet::new();
        let mut open = vec![(self, base.to_owned())];
        while let Some((named, base)) = open.pop() {
            let inside = |path: &str| inside(&base, path);
            project.named.extend(named.paths.iter().map(|path| inside(path)));
            for (context, dockerfile) in &named.contexts {
                project.contexts.push(Context {
                    folder: inside(context),
                    dockerfile: dockerfile.as_ref().map(|path| inside(path)),
                });
            }
            for (file, own_base) in named.files {
                let file = inside(&file);
                project.named.push(file.clone());
                let base = match own_base {
                    Some(base) => inside(&base),
                    None => file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned(),
                };
                if seen.len() < MOST_TAKEN_IN && seen.insert((file.clone(), base.clone())) {
                    open.extend(
                        read(folder, &file, &base, env, &mut project.other_mounts).map(|named| (named, base)),
                    );
                }
            }
        }
        project.named.sort();
        project.named.dedup();
        project.contexts.sort();
        project.contexts.dedup();
    }
}

/// What another file names; its mounts are noted.
fn read(folder: &Path, file: &str, base: &str, env: &Environment, mounts: &mut Vec<Mount>) -> Option<Named> {
    let text = std::fs::read_to_string(folder.join(file)).ok()?;
    let mut all = Named::default();
    for mut document in yaml::documents(&text, file).unwrap_or_default() {
        if substitute(&mut document, &mut Variables::new(env)).is_err() {
            continue;
        }
        for service in document.get("services").map(Node::entries).unwrap_or_default() {
            for (mut mount, _) in paths::mounts(&service.value, &document) {
                mount.source = inside(base, &mount.source);
                mounts.push(mount);
            }
        }
        let named = Named::of(&document);
        all.paths.extend(named.paths);
        all.contexts.extend(named.contexts);
        all.files.extend(named.files);
    }
    Some(all)
}

/// A path relative to the stack's folder; as it is where it is the host's own or leads out.
fn inside(base: &str, path: &str) -> String {
    match paths::resolve(base, path) {
        Resolved::Inside(path) => path,
        Resolved::Outside => format!("/{path}"),
        Resolved::OnHost => path.to_owned(),
    }
}

fn text(node: Option<&Node>) -> Option<String> {
    node.and_then(Node::text).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// One value or a list of them.
fn each(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    let items = node.map(Node::items).unwrap_or_default();
    let one = node.filter(|node| items.is_empty() && node.text().is_some());
    items.iter().chain(one)
}
