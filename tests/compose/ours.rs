//! What `provision` knows of a project, in the form in which it is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use provision::stack::compose::{Condition, Port, Project};

/// What is known of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    /// The services that run.
    pub services: BTreeMap<String, Service>,
}

/// What is known of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub image: Option<String>,
    pub build: bool,
    /// Address, port of the host, port of the container, protocol.
    pub ports: BTreeSet<(String, String, String, String)>,
    pub scale: u64,
    pub network_mode: Option<String>,
    pub healthcheck: bool,
    pub platform: Option<String>,
    pub restart: Option<String>,
    pub depends_on: BTreeMap<String, (String, bool)>,
    pub profiles: BTreeSet<String>,
    pub container_name: Option<String>,
}

/// Reads a folder.
pub fn read(folder: &Path) -> Result<Known, String> {
    let mut project = Project::load(folder, None).map_err(|error| error.to_string())?;
    // Compose was run in the folder itself, not on a host.
    project.localise(&folder.display().to_string());
    let services = project.enabled().map(|service| {
        let depends_on = service.depends_on.iter().map(|dependency| {
            let condition = match dependency.condition {
                Condition::Started => "service_started",
                Condition::Healthy => "service_healthy",
                Condition::CompletedSuccessfully => "service_completed_successfully",
            };
            (dependency.service.clone(), (condition.to_owned(), dependency.required))
        });
        let plain = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let known = Service {
            image: plain(&service.image),
            build: service.build,
            ports: service.ports.iter().flat_map(ports).collect(),
            scale: u64::from(service.scale),
            network_mode: plain(&service.network_mode),
            healthcheck: service.healthcheck,
            platform: plain(&service.platform),
            restart: plain(&service.restart),
            depends_on: depends_on.collect(),
            profiles: service.profiles.iter().cloned().collect(),
            container_name: service.container_name.clone(),
        };
        (service.name.clone(), known)
    });
    Ok(Known { name: project.name.clone(), services: services.collect() })
}

/// One for each port, as Compose lists them.
fn ports(port: &Port) -> Vec<(String, String, String, String)> {
    let address = port.host_ip.map(|address| address.to_string()).unwrap_or_default();
    let line = |published: String, target: u16| {
        (address.clone(), published, target.to_string(), port.protocol.to_string())
    };
    (port.target.first..=port.target.last)
        .map(|target| match port.published {
            None => line(String::new(), target),
            Some(published) if published.count() == port.target.count() => {
                line((published.first + (target - port.target.first)).to_string(), target)
            }
            Some(published) => line(published.to_string(), target),
        })
        .collect()
}

/// Where two differ.
pub fn difference(ours: &Known, theirs: &Known) -> String {
    let mut out = String::new();
    if ours.name != theirs.name {
        let _ = write!(out, "name {:?}, there {:?}; ", ours.name, theirs.name);
    }
    let names: BTreeSet<_> = ours.services.keys().chain(theirs.services.keys()).collect();
    for name in names {
        match (ours.services.get(name), theirs.services.get(name)) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                let _ = write!(out, "{name}:\n  here  {ours:?}\n  there {theirs:?}\n");
            }
            (Some(_), None) => {
                let _ = write!(out, "{name} runs here alone; ");
            }
            (None, Some(_)) => {
                let _ = write!(out, "{name} runs there alone; ");
            }
            _ => {}
        }
    }
    out
}
