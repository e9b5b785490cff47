//! What the views of a plan have in common: the words for its parts.

use crate::plan::{Change, FileChange, FileDiff, Plan, PlannedStep, Recorded, Risk, diff};
use crate::plan::{Finding, Level};
use crate::text::{bytes, counted};

/// What a person should know before saying yes, as a fragment.
pub fn risk(risk: &Risk) -> String {
    match risk {
        Risk::RestartsDocker { live_restore: true } => "restarts Docker; containers keep running".into(),
        Risk::RestartsDocker { live_restore: false } => {
            "restarts Docker; containers stop until it is back".into()
        }
        Risk::InterruptsService { services } if services.is_empty() => {
            "may interrupt running services".into()
        }
        Risk::InterruptsService { services } => format!("may interrupt {}", services.join(", ")),
        Risk::Builds { service, from } if from.is_empty() => format!("builds the image of {service}"),
        Risk::Builds { service, from } => format!("builds the image of {service} from {}", from.join(", ")),
        Risk::OpensPort { port, service } => format!("publishes {port} ({service}) on all addresses"),
        Risk::LetsIn { port, from, behind } => {
            let who = if from.is_empty() { "anyone".to_owned() } else { from.join(", ") };
            match behind.as_slice() {
                [] => format!("{who} can reach {port}, where nothing is listening yet"),
                behind => format!("{who} can reach {port}: {}", behind.join(", ")),
            }
        }
        Risk::ShutsOut { port, behind } if behind.is_empty() => format!("shuts {port} for others"),
        Risk::ShutsOut { port, behind } => format!("shuts {port} ({behind}) for others"),
        Risk::Downloads { bytes: Some(count) } => format!("downloads {}", bytes(*count)),
        Risk::Downloads { bytes: None } => "downloads packages".into(),
        Risk::GivesRoot { user } => format!("makes {user} effectively root"),
        Risk::Removes { what } => format!("removes {}", what.join(", ")),
        Risk::ReplacesDatabase { name, by } => {
            format!("replaces what is in {name} by what is in {by}; what came later is gone")
        }
        Risk::ReplacesEdited { path } => {
            format!("replaces {path}, which was edited on the host; the previous version is kept")
        }
        Risk::ReplacesForeign { path } => {
            format!("replaces {path}, which is not from provision; the previous version is kept")
        }
        Risk::RemovesEdited { path } => {
            format!("removes {path}, which was edited on the host; a copy is kept")
        }
        Risk::ResetsPermissions { path, from, to } => {
            format!("resets the permissions of {path}, which were changed on the host, from {from} to {to}")
        }
        Risk::OverwritesData { path } => {
            format!("overwrites {path}, which containers may have written to; the previous version is kept")
        }
    }
}

/// Whether a risk asks for a second look; a download does not.
pub(super) fn is_grave(risk: &Risk) -> bool {
    !matches!(
        risk,
        Risk::Downloads { .. }
            | Risk::Builds { .. }
            | Risk::RestartsDocker { live_restore: true }
            | Risk::LetsIn { .. }
    ) || matches!(risk, Risk::LetsIn { from, .. } if from.is_empty())
}

/// `-` where a change only takes files away, `~` where it touches what is there, `+` where it adds.
pub(super) fn sign(change: &Change) -> char {
    let touches = |risk: &Risk| {
        matches!(
            risk,
            Risk::RestartsDocker { .. }
                | Risk::InterruptsService { .. }
                | Risk::ReplacesEdited { .. }
                | Risk::ReplacesForeign { .. }
                | Risk::RemovesEdited { .. }
                | Risk::ResetsPermissions { .. }
                | Risk::OverwritesData { .. }
                | Risk::ReplacesDatabase { .. }
                | Risk::Removes { .. }
        )
    };
    let mut signs = change.files.iter().map(|file| file_sign(file, &shown(file)));
    let first = signs.next();
    let same = signs.all(|sign| Some(sign) == first);
    match first {
        Some(sign) if same => sign,
        Some(_) => '~',
        // Permissions of folders alone.
        None if change.action.name == "bundle" || change.risks.iter().any(touches) => '~',
        None => '+',
    }
}

/// What to show of a file. A plan that was saved and loaded again has what was shown then.
pub(super) fn shown(file: &FileChange) -> FileDiff {
    if let Some(recorded) = &file.recorded {
        return recorded.diff.clone();
    }
    if file.content.is_none() && file.sha256.is_some() {
        return FileDiff::Opaque(if file.sensitive { "content hidden" } else { "content not in this plan" });
    }
    diff(file)
}

/// The sign of one file.
pub(super) fn file_sign(file: &FileChange, diff: &FileDiff) -> char {
    match diff {
        FileDiff::Removed => '-',
        FileDiff::New(_) => '+',
        FileDiff::Text(_) | FileDiff::Opaque(_) => {
            if file.exists {
                '~'
            } else {
                '+'
            }
        }
    }
}

/// What is said of a file behind its path: `new, 0644 root:root, 6 lines`.
pub(super) fn file_facts(file: &FileChange, diff: &FileDiff) -> String {
    let rights = format!("{:04o} {}", file.mode, file.owner);
    match diff {
        FileDiff::Removed => "removed".into(),
        FileDiff::New(lines) => format!("new, {rights}, {}", counted(lines.len(), "line")),
        FileDiff::Text(_) => rights,
        FileDiff::Opaque(reason) => {
            let new = if file.exists { "" } else { "new, " };
            let size = size(file).map(|size| format!(", {}", bytes(size))).unwrap_or_default();
            format!("{new}{rights}, {reason}{size}")
        }
    }
}

/// How long a file's new content is; how long a secret is, is no one else's business.
fn size(file: &FileChange) -> Option<u64> {
    let content = file.content.as_ref().filter(|_| !file.sensitive);
    content.map(|content| content.len() as u64).or_else(|| file.recorded.as_ref()?.size)
}

/// What a saved plan has of a file change.
pub fn recorded(file: &FileChange) -> Recorded {
    Recorded { diff: shown(file), size: size(file) }
}

/// How a step without changes stands.
pub(super) fn standing(step: &PlannedStep) -> Level {
    let worst = step.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fine);
    if step.remarks().next().is_none() { worst } else { worst.max(Level::Soft) }
}

/// The last line of a plan: `7 changes on web1, 112 MB to download`.
pub(super) fn total(plan: &Plan) -> String {
    let changes = plan.changes().count();
    if changes == 0 {
        return format!("nothing to change on {}", plan.host);
    }
    let mut known = 0_u64;
    let mut unknown = false;
    for risk in plan.changes().flat_map(|change| &change.risks) {
        match risk {
            Risk::Downloads { bytes: Some(count) } => known = known.saturating_add(*count),
            Risk::Downloads { bytes: None } => unknown = true,
            _ => {}
        }
    }
    let download = match (known, unknown) {
        (0, _) => String::new(),
        (_, false) => format!(", {} to download", bytes(known)),
        (_, true) => format!(", at least {} to download", bytes(known)),
    };
    format!("{} on {}{download}", counted(changes, "change"), plan.host)
}

/// What to do about a finding; `--force` goes past some.
pub(super) fn remedy(finding: &Finding) -> String {
    match (finding.level, finding.remedy.is_empty()) {
        (Level::Forceable, false) => format!("{}, or continue with --force", finding.remedy),
        (Level::Forceable, true) => "fix this, or continue with --force".into(),
        _ => finding.remedy.clone(),
    }
}
