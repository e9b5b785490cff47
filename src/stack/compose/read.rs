//! Services out of the merged tree.

use super::backups::backups;
use super::dotenv::Environment;
use super::paths::{self, PathUse};
use super::recipe::recipe;
use super::yaml::{Entry, Node, Place};
use super::{ComposeError, Condition, Dependency, EnvFile, Service, invalid, ports};
use crate::stack::images::Reference;

/// What the merged tree says.
pub(super) struct Read {
    pub services: Vec<Placed>,
    pub uses: Vec<PathUse>,
    pub complete: bool,
    /// Services may come from files that are not read.
    pub included: bool,
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
}

/// What holds secrets.
pub(super) const ENV_FILE: &str = "env_file";
pub(super) const SECRET_FILE: &str = "secret file";

pub(super) fn project(
    root: &Node,
    env: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Read, ComposeError> {
    let include = root.get("include");
    if let Some(node) = include {
        warnings.push(format!(
            "{}: services from `include` are not checked ahead: their images and ports are not \
             known before the run",
            node.place
        ));
    }
    let included = include.is_some();
    let uses = paths::files_taken_in(root);
    let mut read = Read { services: Vec::new(), uses, complete: !included, included };
    match root.get("services") {
        Some(services) if services.is_map() => {
            for entry in services.entries() {
                let placed = service(entry, root, env, &mut read, warnings)?;
                read.services.push(placed);
            }
        }
        Some(other) => {
            let what = format!("`services` is {}, not a mapping", other.kind());
            return Err(invalid(&other.place, what, "write `name:` and below it `image: …`"));
        }
        None => {}
    }
    if read.services.is_empty() && !included {
        let what = "there are no services".to_owned();
        return Err(invalid(&root.place, what, "declare at least one under `services:`"));
    }
    let used = in_use(root, &read, "secrets");
    let secrets = root.get("secrets").map(Node::entries).unwrap_or_default();
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    for (entry, placed) in services.iter().zip(&mut read.services) {
        let names: Vec<_> = names(&entry.value, "secrets").collect();
        let wanted = secrets.iter().filter(|secret| names.contains(&secret.key.as_str()));
        let files = wanted.filter_map(|secret| secret.value.get("file").and_then(Node::text));
        placed.service.reads.extend(files.filter(|path| path.starts_with('/')).map(str::to_owned));
        placed.service.given = given(&entry.value, root);
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
    let files = ["env_file", "label_file"].into_iter().flat_map(|key| files(service.get(key)));
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
    enabled.flat_map(|(entry, _)| names(&entry.value, kind)).collect()
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
    files(service.get("env_file")).into_iter().filter_map(file).collect()
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
    root: &Node,
    env: &Environment,
    read: &mut Read,
    warnings: &mut Vec<String>,
) -> Result<Placed, ComposeError> {
    let name = entry.key.as_str();
    let node = &entry.value;
    let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(known) {
        let what = format!("{name:?} is not a name for a service");
        return Err(invalid(&entry.place, what, "use letters, digits, `.`, `_` and `-`"));
    }
    if !node.is_map() && !node.is_null() {
        let what = format!("service {name:?} is {}, not a mapping", node.kind());
        return Err(invalid(&entry.place, what, "write `image: …` below it"));
    }
    for key in ["ports", "depends_on"] {
        if let Some(blank) = node.entries().iter().find(|e| e.key == key && e.value.is_null()) {
            let what = format!("`{key}` of service {name:?} has nothing below it");
            return Err(invalid(&blank.place, what, "fill it or remove it"));
        }
    }
    let elsewhere = partly_elsewhere(name, node, warnings);
    read.complete &= !elsewhere;
    let build = node.get("build").is_some();
    let image = image(name, node)?;
    let provided = elsewhere || node.get("provider").is_some();
    if node.get("image").is_none() && !build && !provided {
        let what = format!("service {name:?} has neither `image` nor `build`");
        return Err(invalid(&entry.place, what, "name its image"));
    }
    let (ports, port_places) = published(name, node, warnings)?;
    let (depends_on, places) = dependencies(name, node)?;
    let profiles = texts(node.get("profiles"));
    let enabled = profiles.is_empty() || active(&profiles, env);
    for file in files(node.get("env_file")) {
        let required = file.get("required").and_then(Node::text) != Some("false") && enabled;
        let path = file.get("path").unwrap_or(file);
        file_use(path, ENV_FILE, required, &mut read.uses);
    }
    for file in files(node.get("label_file")) {
        file_use(file, "label_file", enabled, &mut read.uses);
    }
    read.uses.extend(paths::builds(node, enabled));
    let (mounts, mounted): (Vec<_>, Vec<_>) = paths::mounts(node, root).into_iter().unzip();
    let (healthcheck, healthcheck_off) = healthcheck(node);
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let service = Service {
        backups: backups(image.as_deref(), node),
        name: name.to_owned(),
        image,
        build,
        recipe: recipe(node),
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
        scale: scale(name, node)?,
        start_first: start_first(name, node)?,
        container_name: text("container_name").filter(|name| !name.is_empty()),
        container_name_place: node
            .get("container_name")
            .map(|name| name.place.to_string())
            .unwrap_or_default(),
        uid: text("user").and_then(|user| user.split(':').next()?.parse().ok()),
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
    })
}

fn partly_elsewhere(name: &str, node: &Node, warnings: &mut Vec<String>) -> bool {
    let Some(extends) = node.get("extends") else { return false };
    warnings.push(format!(
        "{}: service {name} extends one from another file, which is not checked ahead: its \
         image and ports may differ from what is shown",
        extends.place
    ));
    true
}

fn image(name: &str, node: &Node) -> Result<Option<String>, ComposeError> {
    let Some(found) = node.get("image") else { return Ok(None) };
    let Some(text) = found.text() else {
        let what = format!("the image of service {name:?} is {}", found.kind());
        return Err(invalid(&found.place, what, "write `image: name:tag`"));
    };
    match Reference::parse(text) {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(_) if text.is_empty() => {
            let what = format!("the image of service {name:?} is blank");
            Err(invalid(&found.place, what, "name it, or set the variable that it comes from in .env"))
        }
        Err(error) => {
            let what = format!("the image of service {name:?}: {error}");
            Err(invalid(&found.place, what, "write `image: name:tag`"))
        }
    }
}

fn published(
    name: &str,
    node: &Node,
    warnings: &mut Vec<String>,
) -> Result<(Vec<ports::Port>, Vec<Place>), ComposeError> {
    let Some(list) = node.get("ports") else { return Ok((Vec::new(), Vec::new())) };
    if list.is_map() || list.text().is_some() {
        let what = format!("`ports` of service {name:?} is {}, not a list", list.kind());
        return Err(invalid(&list.place, what, "put `- ` in front of each port"));
    }
    let (mut found, mut places) = (Vec::new(), Vec::new());
    for item in list.items() {
        warnings.extend(ports::sexagesimal(item));
        let port = ports::port(item)?;
        // What stands there twice counts once.
        if !found.contains(&port) {
            found.push(port);
            places.push(item.place.clone());
        }
    }
    Ok((found, places))
}

fn dependencies(name: &str, node: &Node) -> Result<(Vec<Dependency>, Vec<Place>), ComposeError> {
    let Some(depends_on) = node.get("depends_on") else { return Ok((Vec::new(), Vec::new())) };
    let (mut found, mut places) = (Vec::new(), Vec::new());
    for item in depends_on.items() {
        let Some(service) = item.text() else {
            let what = format!("`depends_on` of service {name:?} lists {}", item.kind());
            return Err(invalid(&item.place, what, "list names of services"));
        };
        if found.iter().any(|d: &Dependency| d.service == service) {
            let what = format!("`depends_on` of service {name:?} lists {service:?} twice");
            return Err(invalid(&item.place, what, "remove one of them"));
        }
        let (condition, required) = (Condition::Started, true);
        found.push(Dependency { service: service.to_owned(), condition, required });
        places.push(item.place.clone());
    }
    for entry in depends_on.entries() {
        let condition = match entry.value.get("condition") {
            Some(node) => condition(node)?,
            None => {
                let what = format!("service {name:?} does not say what it waits for in {:?}", entry.key);
                return Err(invalid(&entry.place, what, "write `condition: service_started`"));
            }
        };
        let required = entry.value.get("required").and_then(Node::text) != Some("false");
        found.push(Dependency { service: entry.key.clone(), condition, required });
        places.push(entry.place.clone());
    }
    if let Some(text) = depends_on.text() {
        let what = format!("`depends_on` of service {name:?} is a single value");
        return Err(invalid(&depends_on.place, what, format!("write `depends_on: [{text}]`")));
    }
    Ok((found, places))
}

fn condition(node: &Node) -> Result<Condition, ComposeError> {
    match node.text() {
        Some("service_started") => Ok(Condition::Started),
        Some("service_healthy") => Ok(Condition::Healthy),
        Some("service_completed_successfully") => Ok(Condition::CompletedSuccessfully),
        other => {
            let what = format!("condition {:?} is not known", other.unwrap_or(node.kind()));
            let remedy = "use service_started, service_healthy or service_completed_successfully";
            Err(invalid(&node.place, what, remedy))
        }
    }
}

/// Whether there is a health check, and whether one is switched off.
fn healthcheck(node: &Node) -> (bool, bool) {
    let Some(healthcheck) = node.get("healthcheck") else { return (false, false) };
    let test = healthcheck.get("test");
    let none = test.is_some_and(|t| t.items().first().and_then(Node::text) == Some("NONE"));
    let off = none || healthcheck.get("disable").and_then(Node::text) == Some("true");
    (test.is_some() && !off, off)
}

fn scale(name: &str, node: &Node) -> Result<u32, ComposeError> {
    let replicas = node.get("deploy").and_then(|d| d.get("replicas"));
    let scale = node.get("scale");
    if let (Some(scale), Some(replicas)) = (scale, replicas)
        && scale.text() != replicas.text()
    {
        let what = format!("service {name:?} has a `scale` and other `replicas`");
        return Err(invalid(&scale.place, what, "keep one of them"));
    }
    let Some(count) = scale.or(replicas) else { return Ok(1) };
    count.text().and_then(|t| t.parse().ok()).ok_or_else(|| {
        let shown = count.text().unwrap_or(count.kind());
        let what = format!("service {name:?} cannot have {shown:?} containers");
        invalid(&count.place, what, "write a whole number")
    })
}

fn start_first(name: &str, node: &Node) -> Result<bool, ComposeError> {
    let config = node.get("deploy").and_then(|deploy| deploy.get("update_config"));
    let Some(order) = config.and_then(|config| config.get("order")) else { return Ok(false) };
    match order.text() {
        Some("start-first") => Ok(true),
        Some("stop-first") => Ok(false),
        other => {
            let what = format!(
                "service {name:?} cannot be updated in the order {:?}",
                other.unwrap_or(order.kind())
            );
            Err(invalid(&order.place, what, "write `start-first` or `stop-first`"))
        }
    }
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

/// One value or a list of them.
fn files(node: Option<&Node>) -> Vec<&Node> {
    match node {
        Some(node) if !node.items().is_empty() => node.items().iter().collect(),
        Some(node) if node.text().is_some() => vec![node],
        _ => Vec::new(),
    }
}

fn file_use(node: &Node, role: &'static str, required: bool, uses: &mut Vec<PathUse>) {
    let Some(text) = node.text().filter(|text| !text.is_empty()) else { return };
    uses.push(PathUse { path: text.to_owned(), role, required, place: node.place.clone() });
}
