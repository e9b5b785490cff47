//! Compose itself: what `docker-compose config` makes of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::ours::{Known, Service};

/// A Compose.
#[derive(Clone)]
pub struct Oracle {
    program: PathBuf,
    /// Its version.
    pub version: String,
}

impl Oracle {
    /// Those that `scripts/lab/compose` unpacks, the older first; why there are none.
    pub fn all() -> Result<Vec<Self>, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab/compose");
        let output = Command::new(script).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| Self::new(Path::new(line))).collect()
    }

    fn new(program: &Path) -> Result<Self, String> {
        let output = Command::new(program).args(["version", "--short"]).output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { program: program.to_path_buf(), version })
    }

    /// What it knows of the project in a folder, or what it says against it.
    pub fn read(&self, folder: &Path) -> Result<Known, String> {
        let output = Command::new(&self.program)
            .args(["config", "--format", "json"])
            .current_dir(folder)
            .env_clear()
            .env("HOME", "/root")
            .env("PATH", "/usr/bin:/bin")
            .env("PWD", folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let json: Json = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        Ok(known(&json))
    }
}

fn text(value: &Json) -> Option<String> {
    match value {
        // What is printed can be read again: a dollar sign stands for itself.
        Json::String(text) => Some(text.replace("$$", "$")),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn known(json: &Json) -> Known {
    let services = json["services"].as_object().into_iter().flatten();
    Known {
        name: text(&json["name"]).unwrap_or_default(),
        services: services.map(|(name, service)| (name.clone(), of(service))).collect(),
    }
}

fn of(json: &Json) -> Service {
    let list = |value: &Json| -> Vec<Json> { value.as_array().cloned().unwrap_or_default() };
    let ports = list(&json["ports"]).iter().map(port).collect::<BTreeSet<_>>();
    let depends_on = json["depends_on"].as_object().into_iter().flatten().map(|(name, value)| {
        let condition = text(&value["condition"]).unwrap_or_default();
        // What is left out is what is usual.
        (name.clone(), (condition, value["required"].as_bool().unwrap_or(true)))
    });
    let check = &json["healthcheck"];
    let test = list(&check["test"]);
    let is_off =
        check["disable"].as_bool() == Some(true) || test.first().and_then(Json::as_str) == Some("NONE");
    let scale = json["scale"].as_u64().or_else(|| json["deploy"]["replicas"].as_u64()).unwrap_or(1);
    Service {
        image: text(&json["image"]).filter(|image| !image.is_empty()),
        build: json["build"].is_object(),
        ports,
        scale,
        network_mode: text(&json["network_mode"]).filter(|mode| !mode.is_empty()),
        healthcheck: !test.is_empty() && !is_off,
        platform: text(&json["platform"]).filter(|platform| !platform.is_empty()),
        restart: text(&json["restart"]).filter(|restart| !restart.is_empty()),
        depends_on: depends_on.collect::<BTreeMap<_, _>>(),
        profiles: list(&json["profiles"]).iter().filter_map(text).collect(),
        container_name: text(&json["container_name"]).filter(|name| !name.is_empty()),
    }
}

fn port(json: &Json) -> (String, String, String, String) {
    let of = |key: &str| text(&json[key]).unwrap_or_default();
    // Blank, and nought, leave the choice to Docker.
    let published = Some(of("published")).filter(|port| port != "0").unwrap_or_default();
    let protocol = Some(of("protocol")).filter(|name| !name.is_empty()).unwrap_or_else(|| "tcp".into());
    (of("host_ip"), published, of("target"), protocol)
}
