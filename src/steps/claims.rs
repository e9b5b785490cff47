//! Claims: what each stack asks of the host that it shares with others.
//!
//! Each stack's claim is a file of its own on the host. What holds there is the union of all of
//! them and of what the host's own file asks; a step plans for the union, and takes back only
//! what no claim asks for any more.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Allow, Refusal};
use crate::digest::sha256;
use crate::facts::{Facts, File};
use crate::plan::{Action, Change, FileChange, PlannedStep};

/// Where the claims are, each in `STACK.json`.
const FOLDER: &str = "/var/lib/provision/claims/";
/// What a person asks for all stacks of a host, as `[steps.NAME]` tables.
const HOST_FILE: &str = "/etc/provision/host.toml";
const STEP: &str = "claims";
/// Steps that plan for more than one stack.
pub(super) const SHARED: [&str; 3] = ["docker", "user", "firewall"];

/// What a stack asks of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Claim {
    /// What is let in.
    #[serde(skip_serializing_if = "is_default")]
    pub firewall: LetsIn,
    /// Members of the group docker.
    #[serde(skip_serializing_if = "is_default")]
    pub user: Members,
    /// Settings of the daemon.
    #[serde(skip_serializing_if = "is_default")]
    pub docker: Daemon,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `allow` of `[steps.firewall]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LetsIn {
    /// None: this stack does not ask for a firewall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Allow>>,
}

/// `[steps.user]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Members {
    /// Those that the settings name.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub members: BTreeSet<String>,
    /// Those that have set the stack up: another login that does so does not take their place.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub logins: BTreeSet<String>,
    /// Those of both that provision has added. Only these are removed from the group again.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<String>,
}

impl Members {
    /// All that are asked for.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.members.iter().chain(&self.logins)
    }
}

/// Settings of daemon.json.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Daemon {
    /// What is asked for.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub daemon: Map<String, Value>,
    /// What stood in their places before provision came, where anything did.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub before: Map<String, Value>,
}

/// The host's own file. Only what stacks share can stand there.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HostFile {
    steps: HostSteps,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HostSteps {
    firewall: LetsIn,
    user: HostMembers,
    docker: HostDaemon,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HostMembers {
    members: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HostDaemon {
    daemon: Map<String, Value>,
}

/// All claims on a host, seen from one stack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claims {
    /// The stack; empty where nothing is recorded.
    stack: String,
    /// What it asked for last time.
    pub recorded: Claim,
    /// What other stacks ask for, by their names.
    pub others: BTreeMap<String, Claim>,
    /// What the host's own file asks for.
    pub host: Claim,
    /// What the stack asks for now: each step adds its part.
    pub asked: Claim,
}

impl Claims {
    /// The claims that the probe found, seen from this stack.
    pub fn read(facts: &Facts, stack: &str) -> Result<Self, Refusal> {
        let mut claims = Self { stack: stack.to_owned(), ..Self::default() };
        for (path, file) in facts.files.range(FOLDER.to_owned()..) {
            let Some(name) = path.strip_prefix(FOLDER) else { break };
            let (Some(name), Some(file)) = (name.strip_suffix(".json"), file) else { continue };
            let claim = serde_json::from_slice(content(path, file)?).map_err(|error| {
                let hint = format!(
                    "a newer provision may have written it: use that one; or, on the host, look at it and take \
                     it away (the next `up` of {name} writes it again)"
                );
                Refusal::new(STEP, format!("{path} on the host cannot be read: {error}"), hint)
            })?;
            match name == stack {
                true => claims.recorded = claim,
                false => drop(claims.others.insert(name.to_owned(), claim)),
            }
        }
        if let Some(file) = facts.files.get(HOST_FILE).and_then(Option::as_ref) {
            claims.host = host(content(HOST_FILE, file)?)?;
        }
        Ok(claims)
    }

    /// The stack that asks.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// Whom else the host has to please, each with the name that a person knows.
    pub fn else_asked(&self) -> impl Iterator<Item = (&str, &Claim)> {
        let others = self.others.iter().map(|(name, claim)| (name.as_str(), claim));
        others.chain([(HOST_FILE, &self.host)])
    }

    /// The step that records what the stack asks for, once all of it is done. None where there is
    /// nothing to say.
    pub(super) fn plan(&self, facts: &Facts) -> Option<PlannedStep> {
        if self.stack.is_empty() {
            return None;
        }
        let mut step = super::planned(STEP);
        step.changes.extend(self.record(facts));
        let beside = self.beside();
        let is_alone = beside.is_empty();
        if !is_alone {
            step.state = format!("claims of other stacks: {}", some(beside, MOST_STACKS, ", "));
        }
        (!step.changes.is_empty() || !is_alone).then_some(step)
    }

    /// What others ask for, in words: whoever lets in or sets something first, then who names logins alone.
    fn beside(&self) -> Vec<String> {
        let mut others: Vec<_> = self.else_asked().collect();
        others.sort_by_key(|(_, claim)| {
            let lets_in = claim.firewall.allow.as_ref().is_some_and(|allow| !allow.is_empty());
            (!lets_in, claim.docker.daemon.is_empty())
        });
        others.into_iter().filter_map(|(name, claim)| said(name, claim)).collect()
    }

    fn record(&self, facts: &Facts) -> Option<Change> {
        let path = format!("{FOLDER}{}.json", self.stack);
        let exists = facts.files.get(&path).is_some_and(Option::is_some);
        let wanted = !is_default(&self.asked);
        if self.asked == self.recorded && exists == wanted {
            return None;
        }
        let content = wanted.then(|| text(&self.asked).into_bytes());
        let file = FileChange {
            mode: 0o600,
            owner: "root:root".into(),
            sha256: content.as_deref().map(sha256),
            before: facts.content(&path).map(<[u8]>::to_vec),
            content,
            sensitive: false,
            exists,
            recorded: None,
            path,
        };
        let (title, reason) = match (wanted, exists) {
            (false, _) => ("remove the claim of {}", "it no longer asks for anything on this host"),
            (true, true) => ("record the claim of {}", "it has changed"),
            (true, false) => ("record the claim of {}", "other stacks on this host must respect it"),
        };
        Some(Change {
            id: "claims/record".into(),
            title: title.replace("{}", &self.stack),
            reason: reason.into(),
            risks: Vec::new(),
            files: vec![file],
            undo: None,
            action: Action::new(STEP, "record").within(60),
        })
    }
}

/// At most so many stacks are named in a plan, and so many things of each.
const MOST_STACKS: usize = 5;
const MOST: usize = 4;

/// The first of them, and how many more there are.
fn some(mut items: Vec<String>, most: usize, between: &str) -> String {
    // One more takes no more space than saying so.
    let more = if items.len() > most + 1 { items.len() - most } else { 0 };
    if more > 0 {
        items.truncate(most);
    }
    let text = items.join(between);
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// A claim in a few words.
fn said(name: &str, claim: &Claim) -> Option<String> {
    let mut words = Vec::new();
    if let Some(allow) = &claim.firewall.allow {
        let ports: Vec<_> = allow.iter().map(|each| each.port.to_string()).collect();
        words.push(match ports.is_empty() {
            true => "a firewall".to_owned(),
            false => format!("{} open", some(ports, MOST, ", ")),
        });
    }
    let members: Vec<_> = claim.user.all().cloned().collect();
    if !members.is_empty() {
        words.push(format!("{} in the group docker", some(members, MOST, ", ")));
    }
    let settings: Vec<_> = claim.docker.daemon.keys().cloned().collect();
    if !settings.is_empty() {
        words.push(format!("{} in daemon.json", some(settings, MOST, ", ")));
    }
    (!words.is_empty()).then(|| format!("{name} ({})", words.join("; ")))
}

fn content<'a>(path: &str, file: &'a File) -> Result<&'a [u8], Refusal> {
    file.content.as_deref().ok_or_else(|| {
        let what = format!("{path} on the host is no plain file, or too large to be read");
        Refusal::new(STEP, what, "look at it on the host and remove it")
    })
}

fn host(text: &[u8]) -> Result<Claim, Refusal> {
    let unreadable = |error: String| Refusal {
        details: error.lines().map(str::to_owned).collect(),
        ..Refusal::new(STEP, format!("{HOST_FILE} on the host cannot be read"), "fix it there")
    };
    let text = std::str::from_utf8(text).map_err(|error| unreadable(error.to_string()))?;
    let HostSteps { firewall, user, docker } =
        toml::from_str::<HostFile>(text).map_err(|error| unreadable(error.to_string()))?.steps;
    Ok(Claim {
        firewall,
        user: Members { members: user.members, ..Members::default() },
        docker: Daemon { daemon: docker.daemon, ..Daemon::default() },
    })
}

/// A line for each step, for whoever looks at it there.
fn text(claim: &Claim) -> String {
    let Ok(Value::Object(steps)) = serde_json::to_value(claim) else { return String::new() };
    let lines: Vec<_> =
        steps.iter().map(|(step, asked)| format!("{}: {asked}", Value::from(step.as_str()))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}
