//! Services out of the merged tree.

use std::collections::HashSet;

use super::backups::backups;
use super::definition::{Declared, Definition, definition};
use super::dotenv::Environment;
use super::paths::{self, Bound, PathUse};
use super::recipe::{Recipe, recipe};
use super::yaml::{Entry, Node, Place};
use super::{ComposeError, Condition, Dependency, EnvFile, Service, invalid, ports};
use crate::stack::images::Reference;

/// What the merged tree says.
pub(super) struct Read {
    pub services: Vec<Placed>,
    pub uses: Vec<PathUse>,
}

/// A service with the places that later complaints need.
pub(super) struct Placed {
    pub service: Service,
    pub place: Place,
    pub ports: Vec<Place>,
    pub depends_on: Vec<Place>,
    pub mounts: Vec<PathUse>,
    pub container_name: Option<Place>,
    pub healthcheck_off: bool,
    pub recipe: Option<Recipe>,
}

pub(super) const LABEL_FILE: &str = "label_file";
/// What holds secrets.
pub(super) const ENV_FILE: &str = "env_file";
pub(super) const SECRET_FILE: &str = "secret file";

pub(super) fn project(root: &Node, env: &Environment) -> Result<Read, ComposeError> {
    let mut read = Read { services: Vec::new(), uses: Vec::new() };
    let bound = Bound::of(root);
    for entry in root.get("services").map(Node::entries).unwrap_or_default() {
        let placed = service(entry, &bound, env, &mut read)?;
        read.services.push(placed);
    }
    if read.services.is_empty() {
        let what = "there are no services".to_owned();
        return Err(invalid(&root.place, what, "declare at least one under `services:`"));
    }
    let used = in_use(root, &read, "secrets");
    let secrets = root.get("secrets").map(Node::entries).unwrap_or_default();
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    let declared = Declared::of(root);
    for (entry, placed) in services.iter().zip(&mut read.services) {
        let names: Vec<_> = names(&entry.value, "secrets").collect();
        let wanted = secrets.iter().filter(|secret| names.contains(&secret.key.as_str()));
        let files = wanted.filter_map(|secret| secret.value.get("file").and_then(Node::text));
        placed.service.reads.extend(files.filter(|path| path.starts_with('/')).map(str::to_owned));
        placed.service.given = given(&entry.value, root);
        placed.service.definition = definition(&entry.value, &declared, env);
    }
    for entry in secrets {
        if let Some(file) = entry.value.get("file") {
            file_use(file, SECRET_FILE, used.contains(&entry.key.as_str()), &mut read.uses);
        }
    }
    let used = in_use(root, &read, "configs");
    for entry in root.get("configs").map(Node::entries).unwrap_or_default() {
        if let Some(file) = entry.value.get("file") {
            file_use(file, "config file", used.contains(&entry.key.as_str()), &mut read.uses);
        }
    }
    Ok(read)
}

/// Files of the folder behind the `secrets` and `configs` of a service.
fn given(service: &Node, root: &Node) -> Vec<String> {
    let of = |kind: &'static str| {
        names(service, kind).filter_map(move |name| root.get(kind)?.get(name)?.get("file")?.text())
    };
    of("secrets")
        .chain(of("configs"))
        .filter_map(|path| match paths::resolve("", path) {
            paths::Resolved::Inside(path) => Some(path),
            paths::Resolved::Outside | paths::Resolved::OnHost => None,
        })
        .collect()
}

/// Files and folders of the folder that a service is made from.
fn made_from(service: &Node) -> Vec<String> {
    let files = ["env_file", "label_file"].into_iter().flat_map(|key| files(service, key));
    let files = files.filter_map(|file| file.get("path").unwrap_or(file).text().map(str::to_owned));
    let built = paths::builds(service, true).into_iter().map(|usage| usage.path);
    files
        .chain(built)
        .filter_map(|path| match paths::resolve("", &path) {
            paths::Resolved::Inside(path) => Some(path),
            paths::Resolved::Outside | paths::Resolved::OnHost => None,
        })
        .collect()
}

/// The `secrets` or `configs` that services which will run ask for.
fn in_use<'a>(root: &'a Node, read: &Read, kind: &str) -> Vec<&'a str> {
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    let enabled = services.iter().zip(&read.services).filter(|(_, s)| s.service.enabled);
    // A build reads secrets as well.
    enabled
        .flat_map(|(entry, _)| [Some(&entry.value), entry.value.get("build")])
        .flatten()
        .flat_map(|node| names(node, kind))
        .collect()
}

/// The `secrets` or `configs` that a service asks for.
fn names<'a>(service: &'a Node, kind: &str) -> impl Iterator<Item = &'a str> {
    let wanted = service.get(kind).map(Node::items).unwrap_or_default();
    wanted.iter().filter_map(|secret| secret.get("source").unwrap_or(secret).text())
}

/// The files that a service takes its environment from.
fn env_files(service: &Node) -> Vec<EnvFile> {
    let file = |node: &Node| {
        let path = node.get("path").unwrap_or(node).text()?.to_owned();
        Some(EnvFile { path, raw: node.get("format").and_then(Node::text) == Some("raw") })
    };
    files(service, "env_file").iter().filter_map(file).collect()
}

/// What a service takes its environment from, and what it mounts, of the host's own.
fn reads(service: &Node) -> Vec<String> {
    let environments = env_files(service).into_iter().map(|file| file.path);
    let volumes = service.get("volumes").map(Node::items).unwrap_or_default();
    let mounts = volumes.iter().filter_map(|volume| match volume.get("source") {
        Some(source) => source.text().map(str::to_owned),
        None => volume.text().and_then(|text| text.split(':').next()).map(str::to_owned),
    });
    environments.chain(mounts).filter(|path| path.starts_with('/')).collect()
}

fn service(
    entry: &Entry,
    bound: &Bound<'_>,
    env: &Environment,
    read: &mut Read,
) -> Result<Placed, ComposeError> {
    let name = entry.key.as_str();
    let node = &entry.value;
    let build = node.get("build").is_some();
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let profiles = texts(node.get("profiles"));
    let enabled = profiles.is_empty() || active(&profiles, env);
    let scale = scale(name, node, enabled)?;
    let image = image(name, node, enabled && scale > 0)?;
    let is_without =
        image.as_deref().unwrap_or_default().is_empty() && !build && node.get("provider").is_none();
    if is_without && enabled {
        return Err(match node.get("image") {
            Some(blank) => {
                let what = format!("the image of service {name:?} is blank");
                invalid(&blank.place, what, "name it, or set the variable that it comes from in .env")
            }
            None => {
                let what = format!("service {name:?} has neither `image` nor `build`");
                invalid(&entry.place, what, "name its image")
            }
        });
    }
    let (ports, port_places) = published(node)?;
    let (depends_on, places) = dependencies(name, node)?;
    for file in files(node, "env_file") {
        let required = file.get("required").and_then(Node::truth) != Some(false) && enabled;
        let path = file.get("path").unwrap_or(file);
        file_use(path, ENV_FILE, required, &mut read.uses);
    }
    for file in files(node, "label_file") {
        file_use(file, LABEL_FILE, enabled, &mut read.uses);
    }
    read.uses.extend(paths::builds(node, enabled));
    let (mounts, mounted): (Vec<_>, Vec<_>) = paths::mounts(node, bound).into_iter().unzip();
    let (healthcheck, healthcheck_off) = healthcheck(node);
    let service = Service {
        backups: backups(image.as_deref(), node),
        name: name.to_owned(),
        image,
        build,
        is_made_here: false,
        bases: Vec::new(),
        never_pulled: text("pull_policy").as_deref() == Some("never"),
        asks_again: text("pull_policy").is_some_and(|policy| {
            matches!(policy.as_str(), "always" | "daily" | "weekly") || policy.starts_with("every_")
        }),
        platform: text("platform").filter(|p| !p.is_empty()),
        ports,
        network_mode: text("network_mode"),
        healthcheck,
        depends_on,
        one_shot: false,
        restart: text("restart"),
        profiles,
        enabled,
        scale,
        start_first: start_first(node),
        container_name: text("container_name"),
        container_name_place: node
            .get("container_name")
            .map(|name| name.place.to_string())
            .unwrap_or_default(),
        uid: text("user").and_then(|user| user.split(':').next()?.parse().ok()),
        definition: Definition::default(),
        given: Vec::new(),
        made_from: made_from(node),
        env_files: env_files(node),
        reads: reads(node),
        mounts,
    };
    let place = entry.place.clone();
    Ok(Placed {
        service,
        place,
        ports: port_places,
        depends_on: places,
        mounts: mounted,
        container_name: node.get("container_name").map(|name| name.place.clone()),
        healthcheck_off,
        recipe: recipe(node),
    })
}

/// Only what is to run has to have a name that can be asked for.
fn image(name: &str, node: &Node, is_wanted: bool) -> Result<Option<String>, ComposeError> {
    let Some(found) = node.get("image") else { return Ok(None) };
    let text = found.text().unwrap_or_default();
    match Reference::parse(text) {
        Err(error) if is_wanted && !text.is_empty() => {
            let what = format!("the image of service {name:?}: {error}");
            Err(invalid(&found.place, what, "write `image: name:tag`"))
        }
        _ => Ok(Some(text.to_owned())),
    }
}

fn published(node: &Node) -> Result<(Vec<ports::Port>, Vec<Place>), ComposeError> {
    let (mut found, mut places) = (Vec::new(), Vec::new());
    let mut known = HashSet::new();
    for item in node.get("ports").map(Node::items).unwrap_or_default() {
        let port = ports::port(item)?;
        // What stands there twice counts once.
        if known.insert(port.clone()) {
            found.push(port);
            places.push(item.place.clone());
        }
    }
    Ok((found, places))
}

/// What a service waits for: what it says, and whose network, volumes or processes it shares.
///
/// What a recreated container does to those that wait for it is as in compose-go's `normalize.go` and
/// Compose's `convergence.go`: links and shared namespaces imply `restart: true` where `depends_on` does not
/// name the service.
fn dependencies(name: &str, node: &Node) -> Result<(Vec<Dependency>, Vec<Place>), ComposeError> {
    let (mut found, mut places): (Vec<Dependency>, Vec<Place>) = (Vec::new(), Vec::new());
    let mut add = |dependency: Dependency, place: &Place| {
        let known = found.iter_mut().find(|known| known.service == dependency.service);
        if let Some(known) = known {
            known.shared |= dependency.shared;
            known.namespace |= dependency.namespace;
            return;
        }
        found.push(dependency);
        places.push(place.clone());
    };
    let started = |service: &str| Dependency {
        service: service.to_owned(),
        condition: Condition::Started,
        required: true,
        restart: false,
        shared: false,
        namespace: false,
    };
    if let Some(depends_on) = node.get("depends_on") {
        for item in depends_on.items() {
            add(started(item.text().unwrap_or_default()), &item.place);
        }
        for entry in depends_on.entries() {
            let condition = match entry.value.get("condition").and_then(Node::text) {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::CompletedSuccessfully,
                _ => Condition::Started,
            };
            let truth = |key: &str| entry.value.get(key).and_then(Node::truth);
            let (required, restart) = (truth("required") != Some(false), truth("restart") == Some(true));
            add(Dependency { condition, required, restart, ..started(&entry.key) }, &entry.place);
        }
    }
    for (key, is_link) in [("links", true), ("volumes_from", false)] {
        for item in node.get(key).map(Node::items).unwrap_or_default() {
            let text = item.text().unwrap_or_default();
            if is_link || !text.starts_with("container:") {
                let service = text.split(':').next().unwrap_or_default();
                add(Dependency { restart: is_link, shared: !is_link, ..started(service) }, &item.place);
            }
        }
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let shared =
            node.get(key).and_then(|node| Some((node.text()?.strip_prefix("service:")?, &node.place)));
        if let Some((service, place)) = shared {
            let dependency = Dependency { restart: true, shared: true, namespace: true, ..started(service) };
            add(dependency, place);
        }
    }
    if let Some(at) = found.iter().position(|known| known.service == name) {
        let what = format!("service {name:?} waits for itself");
        return Err(invalid(&places[at], what, "remove that"));
    }
    Ok((found, places))
}

/// Whether there is a health check, and whether one is switched off.
fn healthcheck(node: &Node) -> (bool, bool) {
    let Some(healthcheck) = node.get("healthcheck") else { return (false, false) };
    let test = healthcheck.get("test");
    let none = test.is_some_and(|t| t.items().first().and_then(Node::text) == Some("NONE"));
    let off = none || healthcheck.get("disable").and_then(Node::truth) == Some(true);
    let asks = test.is_some_and(|test| test.text().is_some() || !test.items().is_empty());
    (asks && !off, off)
}

fn scale(name: &str, node: &Node, enabled: bool) -> Result<u32, ComposeError> {
    let replicas = node.get("deploy").and_then(|d| d.get("replicas"));
    let scale = node.get("scale");
    if let (true, Some(scale), Some(replicas)) = (enabled, scale, replicas)
        && scale.whole() != replicas.whole()
    {
        let what = format!("service {name:?} has a `scale` and other `replicas`");
        return Err(invalid(&scale.place, what, "keep one of them"));
    }
    let Some(count) = scale.or(replicas) else { return Ok(1) };
    count.whole().and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
        let shown = count.text().unwrap_or(count.kind());
        let what = format!("service {name:?} cannot have {shown:?} containers");
        invalid(&count.place, what, "write a whole number")
    })
}

fn start_first(node: &Node) -> bool {
    let config = node.get("deploy").and_then(|deploy| deploy.get("update_config"));
    config.and_then(|config| config.get("order")).and_then(Node::text) == Some("start-first")
}

fn active(profiles: &[String], env: &Environment) -> bool {
    let list = env.get("COMPOSE_PROFILES").unwrap_or_default();
    let mut chosen = list.split(',').map(str::trim);
    chosen.any(|c| c == "*" || profiles.iter().any(|p| p == c))
}

fn texts(node: Option<&Node>) -> Vec<String> {
    let items = node.map(Node::items).unwrap_or_default();
    items.iter().filter_map(Node::text).map(str::to_owned).collect()
}

/// What stands below a key: one value, or each of a list.
fn files<'a>(service: &'a Node, key: &str) -> &'a [Node] {
    service.get(key).map(Node::each).unwrap_or_default()
}

fn file_use(node: &Node, role: &'static str, required: bool, uses: &mut Vec<PathUse>) {
    let Some(text) = node.text() else { return };
    uses.push(PathUse { path: text.to_owned(), role, required, place: node.place.clone() });
}
