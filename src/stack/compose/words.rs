//! Values of a service that are one of a few words, or have a form of their own, where Compose takes
//! any text at first and stops at it later: some of them only when it makes the container.

use super::yaml::Node;
use super::{ComposeError, invalid};

/// Restart policies that Compose and the Engine take.
const RESTART: [&str; 7] = ["", "no", "none", "any", "always", "on-failure", "unless-stopped"];

/// Checks a service that runs.
pub(super) fn check(name: &str, node: &Node) -> Result<(), ComposeError> {
    restart(name, node)?;
    devices(name, node)?;
    environment(name, node)?;
    watches(name, node)?;
    ssh(name, node)
}

/// The Engine refuses any other when the container is made.
fn restart(name: &str, node: &Node) -> Result<(), ComposeError> {
    let Some(restart) = node.get("restart") else { return Ok(()) };
    let text = restart.text().unwrap_or_default();
    let (policy, count) = text.split_once(':').map_or((text, None), |(policy, count)| (policy, Some(count)));
    if RESTART.contains(&policy) && (count.is_none() || policy == "on-failure") {
        return Ok(());
    }
    let what = format!("{text:?} is no restart policy, and service {name:?} would not start");
    Err(invalid(
        &restart.place,
        what,
        "write `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:3`",
    ))
}

fn devices(name: &str, node: &Node) -> Result<(), ComposeError> {
    for device in node.get("devices").map(Node::items).unwrap_or_default() {
        if device.text().is_some_and(|text| text.split(':').count() > 3) {
            let what = format!("a device of service {name:?} has too many colons");
            return Err(invalid(&device.place, what, "write SOURCE:TARGET:PERMISSIONS"));
        }
        let has_target = device.get("target").and_then(Node::text).is_some_and(|target| !target.is_empty());
        if device.is_map() && !has_target {
            let what = format!("a device of service {name:?} has no `target`");
            return Err(invalid(&device.place, what, "say where the container sees it"));
        }
    }
    Ok(())
}

fn environment(name: &str, node: &Node) -> Result<(), ComposeError> {
    for file in node.get("env_file").map(Node::items).unwrap_or_default() {
        let format = file.get("format").filter(|format| !matches!(format.text(), Some("" | "raw")));
        if let Some(format) = format {
            let text = format.text().unwrap_or_default();
            let what = format!(
                "an `env_file` of service {name:?} has the format {text:?}, and Compose knows `raw` alone"
            );
            return Err(invalid(&format.place, what, "write `raw`, or remove it"));
        }
    }
    Ok(())
}

fn watches(name: &str, node: &Node) -> Result<(), ComposeError> {
    let watches = node.get("develop").and_then(|develop| develop.get("watch"));
    for watch in watches.map(Node::items).unwrap_or_default() {
        let action = watch.get("action").and_then(Node::text).unwrap_or_default();
        let has_target = watch.get("target").and_then(Node::text).is_some_and(|target| !target.is_empty());
        if !has_target && !matches!(action, "rebuild" | "restart") {
            let what = format!("a watch of service {name:?} has the action `{action}` and no `target`");
            return Err(invalid(&watch.place, what, "say where the container has those files"));
        }
    }
    Ok(())
}

/// `default`, or a name and the key's path.
fn ssh(name: &str, node: &Node) -> Result<(), ComposeError> {
    let ssh = node.get("build").and_then(|build| build.get("ssh"));
    for key in ssh.map(Node::items).unwrap_or_default() {
        let text = key.text().unwrap_or_default();
        if text != "default" && !text.contains('=') {
            let what = format!("the `ssh` of the build of service {name:?} has no key's path: {text:?}");
            return Err(invalid(&key.place, what, "write `default` or NAME=PATH"));
        }
    }
    Ok(())
}
