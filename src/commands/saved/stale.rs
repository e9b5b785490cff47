//! What is different in a plan that was saved earlier.

use std::collections::BTreeMap;

use crate::plan::{Change, Plan};
use crate::report::risk;
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
    if !lines.is_empty() {
        return lines;
    }
    let (before, after) = (&saved.action.arguments, &now.action.arguments);
    let mut names: Vec<_> = before.keys().chain(after.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name));
    let one_line = |value: Option<&String>| value.filter(|value| !value.trim_end().contains('\n')).cloned();
    names
        .into_iter()
        .map(|name| match (one_line(before.get(name)), one_line(after.get(name))) {
            (Some(was), Some(is)) => {
                format!("{}: {name} was \"{}\", is \"{}\"", now.title, short(was.trim()), short(is.trim()))
            }
            _ => format!("{}: {name} is different", now.title),
        })
        .collect()
}

fn files(saved: &Change, now: &Change, tell: &mut impl FnMut(String)) {
    let earlier: BTreeMap<_, _> = saved.files.iter().map(|file| (file.path.as_str(), file)).collect();
    for file in &now.files {
        let path = &file.path;
        match earlier.get(path.as_str()) {
            None => tell(format!("{path} is touched now")),
            Some(before) if before.exists && !file.exists => tell(format!("{path} is not there any more")),
            Some(before) if !before.exists && file.exists => tell(format!("{path} is there now")),
            Some(before) if before.sha256 != file.sha256 => tell(format!("{path} gets another content")),
            Some(before) if (before.mode, &before.owner) != (file.mode, &file.owner) => tell(format!(
                "{path} was to be {:04o} {}, is to be {:04o} {}",
                before.mode, before.owner, file.mode, file.owner
            )),
            Some(_) => {}
        }
    }
    for file in saved.files.iter().filter(|file| !now.files.iter().any(|other| other.path == file.path)) {
        tell(format!("{} is not touched any more", file.path));
    }
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
        assert_eq!(lines, ["add Docker's package source: version is different"]);
        assert_eq!(
            changed(&|_| {}),
            ["the changes are the same: another version of provision saved the plan"]
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
