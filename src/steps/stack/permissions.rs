//! Owners and permissions of a stack's files, and who cannot read them or write in its folders.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Stack;
use super::files::is_above;
use crate::stack::bundle::{Bundle, BundleError, Patterns, ROOT};
use crate::stack::compose::{Here, Service};
use crate::steps::Model;

/// The owner and the permissions of some files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// Which files, as a pattern: `tls.key`, `secrets/`, `*.conf`.
    pub path: String,
    /// The owner in numbers, `UID` or `UID:GID`; root unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The permissions in octal, such as `"0640"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// `UID:GID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(String);

impl TryFrom<String> for Owner {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no owner; write numbers, such as \"1000:1000\" (names differ between host and container)"
            )
        };
        let (user, group) = text.split_once(':').unwrap_or((&text, &text));
        let number =
            |text: &str| text.parse::<u32>().ok().filter(|number| *number != u32::MAX).ok_or_else(wrong);
        Ok(Self(format!("{}:{}", number(user)?, number(group)?)))
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.0
    }
}

impl JsonSchema for Owner {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Owner".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(:[0-9]+)?$" })
    }
}

/// Permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| is_octal && *bits <= 0o777);
        bits.map(Self)
            .ok_or_else(|| format!("`{text}` is no mode; write three octal digits, such as \"0640\""))
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        format!("{:04o}", mode.0)
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^0?[0-7]{3}$" })
    }
}

impl Permission {
    /// Gives the files and folders of a bundle the owners and permissions that settings name.
    pub fn apply(all: &[Self], bundle: &mut Bundle) -> Result<(), BundleError> {
        for permission in all {
            let pattern = Patterns::of_option("permissions", std::slice::from_ref(&permission.path))?;
            let owner = permission.owner.as_ref().map(|Owner(owner)| match owner.as_str() {
                "0:0" => ROOT.to_owned(),
                owner => owner.to_owned(),
            });
            for file in bundle.files.iter_mut().filter(|file| pattern.matches(&file.path, false)) {
                if let Some(owner) = &owner {
                    file.owner.clone_from(owner);
                }
                if let Some(Mode(mode)) = permission.mode {
                    file.mode = mode;
                }
            }
            for folder in bundle.folders.iter_mut().filter(|folder| pattern.matches(&folder.path, true)) {
                if let Some(owner) = &owner {
                    folder.owner.clone_from(owner);
                }
                if let Some(Mode(mode)) = permission.mode {
                    // Whoever may read what is in a folder may enter it.
                    folder.mode = mode | ((mode & 0o444) >> 2);
                }
            }
        }
        Ok(())
    }
}

impl Stack {
    /// Files that a service mounts and that its `user:` cannot read.
    pub(super) fn unreadable(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for service in self.services() {
            let Some(uid) = service.uid.filter(|uid| *uid != 0) else { continue };
            let mut closed = BTreeSet::new();
            let is_mounted = |path: &str| {
                service.given.iter().any(|given| given == path)
                    || service.mounts.iter().any(|mount| mount.is_inside() && mount.covers(path))
            };
            for file in self.input.bundle.kept().filter(|file| is_mounted(&file.path)) {
                let owns = file.owner.split(':').next().is_some_and(|owner| owner == uid.to_string());
                let readable = if owns { file.mode & 0o400 } else { file.mode & 0o044 };
                if let Some(folder) = self.closed(service, uid, &file.path).filter(|_| readable != 0) {
                    closed.insert(folder);
                } else if readable == 0 {
                    remarks.push(format!(
                        "{} runs as {uid} and cannot read {} ({:04o} {}); set `permissions = [{{ path = \"{}\", \
                         owner = \"{uid}\" }}]` in [steps.stack]",
                        service.name, file.path, file.mode, file.owner, file.path
                    ));
                }
            }
            remarks.extend(closed.into_iter().map(|folder| {
                format!(
                    "{} runs as {uid} and cannot enter {}/ ({:04o} {}); set `permissions = [{{ path = \"{}/\", \
                     owner = \"{uid}\" }}]` in [steps.stack], or open it here: chmod 755 {}",
                    service.name, folder.0, folder.1, folder.2, folder.0, folder.0
                )
            }));
        }
        remarks
    }

    /// Folders that a service mounts to write in, and that its `user:` cannot write in.
    pub(super) fn unwritable(&self, model: &Model) -> Vec<String> {
        let mut remarks = BTreeSet::new();
        for service in self.services() {
            let Some(uid) = service.uid.filter(|uid| *uid != 0) else { continue };
            for mount in service.mounts.iter().filter(|mount| mount.is_inside() && mount.writable) {
                let path = &mount.source;
                let sent = self.input.bundle.folders.iter().find(|folder| folder.path == *path);
                let on_host = model.file(&self.on_host(mount));
                let (mode, owner) = match (on_host, sent) {
                    (Some(there), _) if there.kind == "directory" => (there.mode, there.ids.as_str()),
                    (None, Some(folder)) => (folder.mode, folder.owner.as_str()),
                    (None, None) if mount.here == Here::Nothing && mount.created => (0o755, ROOT),
                    _ => continue,
                };
                let owns = owner.split(':').next().is_some_and(|owner| owner == uid.to_string());
                if mode & if owns { 0o200 } else { 0o022 } != 0 {
                    continue;
                }
                let remedy = match (on_host, sent) {
                    (Some(_), _) => format!("on the host: sudo chown {uid} {}", self.on_host(mount)),
                    (None, Some(_)) => format!(
                        "set `permissions = [{{ path = \"{path}/\", owner = \"{uid}\" }}]` in [steps.stack]"
                    ),
                    (None, None) => format!(
                        "make the folder here (mkdir -p {path}) and set `permissions = [{{ path = \"{path}/\", \
                         owner = \"{uid}\" }}]` in [steps.stack]"
                    ),
                };
                remarks.insert(format!(
                    "{} runs as {uid} and cannot write in {path}/ ({mode:04o} {owner}); {remedy}",
                    service.name
                ));
            }
        }
        remarks.into_iter().collect()
    }

    /// The folder, at or below what a service mounts, that keeps its user from a file.
    fn closed(&self, service: &Service, uid: u32, path: &str) -> Option<(String, u32, String)> {
        let folders = self.input.bundle.folders.iter().filter(|folder| is_above(&folder.path, path));
        let mounted = folders.filter(|folder| {
            service.mounts.iter().any(|mount| mount.is_inside() && mount.covers(&folder.path))
        });
        let mut shut = mounted.filter(|folder| {
            let owns = folder.owner.split(':').next().is_some_and(|owner| owner == uid.to_string());
            folder.mode & if owns { 0o100 } else { 0o011 } == 0
        });
        let folder = shut.next()?;
        Some((folder.path.clone(), folder.mode, folder.owner.clone()))
    }
}
