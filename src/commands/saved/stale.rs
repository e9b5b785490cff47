//! What is different in a plan that was saved earlier.

mod values;

use std::collections::BTreeMap;

use crate::plan::{Change, FileChange, FileDiff, Plan};
use crate::report::{recorded, risk};
use crate::text::harmless;

/// At most this many differences are listed.
const MOST: usize = 20;
/// The longest text that is quoted, in characters.
const LONGEST: usize = 160;

/// What has changed between a saved plan and the one of now, a line each.
pub(super) fn differences(saved: &Plan, now: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if saved.playbook != now.playbook {
        lines.push(format!("the playbook is {} now, and was {}", now.playbook, saved.playbook));
    }
    let earlier: BTreeMap<_, _> = saved.changes().map(|change| (change.id.as_str(), change)).collect();
    let later: BTreeMap<_, _> = now.changes().map(|change| (change.id.as_str(), change)).collect();
    for change in saved.changes().filter(|change| !later.contains_key(change.id.as_str())) {
        lines.push(format!("no longer to do: {}", change.title));
    }
    for change in now.changes() {
        match earlier.get(change.id.as_str()) {
            None => lines.push(format!("new: {}{}", change.title, because(change))),
            Some(before) => lines.extend(compared(before, change)),
        }
    }
    // Some values only repeat, as one number, what other changes say.
    if lines.is_empty() {
        lines.extend(
            now.changes().filter_map(|change| values::derived(earlier.get(change.id.as_str())?, change)),
        );
    }
    if lines.is_empty() {
        lines.push("the changes are the same: another version of provision saved the plan".into());
    }
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    lines.iter().map(|line| harmless(line).into_owned()).collect()
}

fn because(change: &Change) -> String {
    if change.reason.is_empty() { String::new() } else { format!(" ({})", change.reason) }
}

/// How one change differs, by what a person sees of it; by its values where all of that is the same.
fn compared(saved: &Change, now: &Change) -> Vec<String> {
    let mut lines = Vec::new();
    let mut tell = |what: String| lines.push(format!("{}: {what}", now.id));
    if saved.title != now.title {
        tell(format!("was \"{}\", is \"{}\"", short(&saved.title), short(&now.title)));
    }
    if saved.reason != now.reason {
        tell(format!("the reason was \"{}\", is \"{}\"", short(&saved.reason), short(&now.reason)));
    }
    for each in now.risks.iter().filter(|each| !saved.risks.contains(each)) {
        tell(format!("now it {}", short(&risk(each))));
    }
    for each in saved.risks.iter().filter(|each| !now.risks.contains(each)) {
        tell(format!("no longer: {}", short(&risk(each))));
    }
    files(saved, now, &mut tell);
    if lines.is_empty() {
        values::differences(saved, now, &mut |what| lines.push(format!("{}: {what}", now.title)));
    }
    lines
}

fn files(saved: &Change, now: &Change, tell: &mut impl FnMut(String)) {
    let earlier: BTreeMap<_, _> = saved.files.iter().map(|file| (file.path.as_str(), file)).collect();
    for file in &now.files {
        let path = &file.path;
        match earlier.get(path.as_str()) {
            None => tell(format!("{path} is touched now")),
            Some(before) if before.exists && !file.exists => tell(format!("{path} is not there any more")),
            Some(before) if !before.exists && file.exists => tell(format!("{path} is there now")),
            Some(before) if before.sha256 != file.sha256 => {
                tell(format!("{path} gets another content{}", lines_of(before, file)));
            }
            Some(before) if (before.mode, &before.owner) != (file.mode, &file.owner) => tell(format!(
                "{path} was to be {:04o} {}, is to be {:04o} {}",
                before.mode, before.owner, file.mode, file.owner
            )),
            Some(before)
                if before.recorded.as_ref().is_some_and(|before| before.diff != recorded(file).diff) =>
            {
                tell(format!("{path} was changed on the host"));
            }
            Some(_) => {}
        }
    }
    for file in saved.files.iter().filter(|file| !now.files.iter().any(|other| other.path == file.path)) {
        tell(format!("{} is not touched any more", file.path));
    }
}

/// Which lines make the difference: the first that is wanted now, and the first that no longer is.
fn lines_of(saved: &FileChange, now: &FileChange) -> String {
    let Some(saved) = &saved.recorded else { return String::new() };
    let now = recorded(now);
    let (earlier, later) = (wanted(&saved.diff), wanted(&now.diff));
    let new = later.iter().find(|line| !earlier.contains(*line));
    let old = earlier.iter().find(|line| !later.contains(*line));
    match (new, old) {
        (Some(new), Some(old)) => format!(": `{}` instead of `{}`", short(new), short(old)),
        (Some(new), None) => format!(": with `{}`", short(new)),
        (None, Some(old)) => format!(": without `{}`", short(old)),
        (None, None) => String::new(),
    }
}

/// The lines that a file gets.
fn wanted(diff: &FileDiff) -> Vec<&str> {
    let lines: Vec<&str> = match diff {
        FileDiff::New(lines) => lines.iter().map(|line| line.trim()).collect(),
        FileDiff::Text(lines) => {
            lines.iter().filter_map(|line| line.strip_prefix('+')).map(str::trim).collect()
        }
        FileDiff::Removed | FileDiff::Opaque(_) => Vec::new(),
    };
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Risk;
    use crate::report::samples;

    #[test]
    fn each_difference_is_named() {
        let saved = samples::bare();
        let changed = |edit: &dyn Fn(&mut Plan)| {
            let mut now = saved.clone();
            edit(&mut now);
            differences(&saved, &now)
        };
        let docker = saved.steps.iter().position(|step| step.step == "docker").expect("a step");
        let lines = changed(&|plan| {
            let changes = &mut plan.steps[docker].changes;
            changes.remove(1);
            changes[0].reason = "apt knows another one".into();
            changes[0].files[0].sha256 = Some("11".into());
            changes[0].files.pop();
            changes[1].risks = vec![Risk::RestartsDocker { live_restore: true }];
            changes[1].files[0].mode = 0o600;
            let mut more = changes[0].clone();
            more.id = "docker/more".into();
            more.title = "do more\u{1b}[2J".into();
            changes.push(more);
        });
        insta::assert_snapshot!(lines.join("\n"));
        let lines = changed(&|plan| {
            plan.steps[docker].changes[0].action.arguments.insert("version", "28".into());
        });
        assert_eq!(lines, ["add Docker's package source: the version is 28 now, and was not set"]);
        assert_eq!(
            changed(&|_| {}),
            ["the changes are the same: another version of provision saved the plan"]
        );
        // What only repeats others is no line of its own.
        let lines = changed(&|plan| {
            let changes = &mut plan.steps[docker].changes;
            changes[0].reason = "apt knows another one".into();
            changes[2].action.arguments.insert("hash", "ab".repeat(32));
        });
        assert_eq!(
            lines,
            [
                "docker/source: the reason was \"apt does not know download.docker.com\", is \"apt knows another one\""
            ]
        );
        let many = changed(&|plan| {
            let one = plan.steps[docker].changes[0].clone();
            plan.steps[docker]
                .changes
                .extend((0..40).map(|number| Change { id: format!("x/{number}"), ..one.clone() }));
        });
        assert_eq!((many.len(), many[20].as_str()), (21, "… and 20 more"));
    }
}
