//! A plan as Markdown, for a reviewer's pull request.

use super::text::{counted, harmless};
use super::words::{file_facts, is_grave, remedy, risk, shown, standing, total};
use crate::plan::{Change, FileChange, FileDiff, Plan, PlannedStep};
use crate::plan::{Finding, Level};

/// The plan as Markdown: risks on top, a list for each step, file contents folded away.
/// Ends with a newline.
pub fn render_plan_markdown(plan: &Plan) -> String {
    let mut text = format!("## {}\n\nPlaybook {}\n", prose(&total(plan)), code(&plan.playbook));
    let grave: Vec<_> =
        plan.changes().flat_map(|change| &change.risks).filter(|each| is_grave(each)).collect();
    if !grave.is_empty() {
        text.push_str("\n> [!WARNING]\n");
        for each in grave {
            text.push_str(&format!("> - {}\n", prose(&risk(each))));
        }
    }
    for step in plan.steps.iter().filter(|step| !step.changes.is_empty()) {
        text.push_str(&format!("\n### {}\n\n", prose(step.step)));
        for each in &step.changes {
            change(&mut text, each);
        }
        remarks(&mut text, step, "");
    }
    let unchanged: Vec<_> = plan.steps.iter().filter(|step| step.changes.is_empty()).collect();
    if !unchanged.is_empty() {
        text.push_str(&format!("\n### Nothing to change in {}\n\n", counted(unchanged.len(), "step")));
        for step in unchanged {
            let mark = mark(standing(step));
            let colon = if step.state.is_empty() { "" } else { ": " };
            text.push_str(&format!("- {mark} **{}**{colon}{}\n", prose(step.step), prose(&step.state)));
            remarks(&mut text, step, "  ");
        }
    }
    text.push_str(&format!("\n<sub>Plan {}</sub>\n", code(&plan.fingerprint)));
    text
}

fn mark(level: Level) -> &'static str {
    match level {
        Level::Fine => "✓",
        Level::Soft => "⚠️",
        Level::Forceable | Level::Hard => "❌",
    }
}

fn change(text: &mut String, change: &Change) {
    text.push_str(&format!("- **{}**", prose(&change.title)));
    if !change.reason.is_empty() {
        text.push_str(&format!(" ({})", prose(&change.reason)));
    }
    text.push('\n');
    for each in &change.risks {
        let mark = if is_grave(each) { "⚠️ " } else { "" };
        text.push_str(&format!("  - {mark}{}\n", prose(&risk(each))));
    }
    for each in &change.files {
        file(text, each);
    }
}

fn file(text: &mut String, file: &FileChange) {
    let diff = shown(file);
    let facts = file_facts(file, &diff);
    let (lines, sign) = match &diff {
        FileDiff::New(lines) => (lines, "+"),
        FileDiff::Text(lines) => (lines, ""),
        FileDiff::Removed | FileDiff::Opaque(_) => {
            text.push_str(&format!("  - {}: {}\n", code(&file.path), prose(&facts)));
            return;
        }
    };
    // Markdown is not read inside an HTML block: HTML alone is to be escaped here.
    let (path, facts) = (html(&harmless(&file.path)), html(&harmless(&facts)));
    text.push_str(&format!("  - <details><summary><code>{path}</code>: {facts}</summary>\n\n"));
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    text.push_str(&format!("    {fence}diff\n"));
    for line in lines {
        let line = format!("{sign}{}", harmless(line));
        text.push_str(&format!("    {}\n", line));
    }
    text.push_str(&format!("    {fence}\n\n    </details>\n"));
}

fn remarks(text: &mut String, step: &PlannedStep, indent: &str) {
    for finding in step.findings.iter().filter(|finding| finding.level > Level::Fine) {
        text.push_str(&format!("{indent}- {}\n", finding_line(finding)));
    }
    for warning in step.warnings.iter().chain(&step.withheld) {
        text.push_str(&format!("{indent}- ⚠️ {}\n", prose(warning)));
    }
}

fn finding_line(finding: &Finding) -> String {
    let remedy = remedy(finding);
    let arrow = if remedy.is_empty() { "" } else { " → " };
    format!(
        "{} {}: {}{arrow}{}",
        mark(finding.level),
        prose(&finding.topic),
        prose(&finding.text),
        prose(&remedy)
    )
}

/// Text that Markdown takes for text.
fn prose(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in harmless(text).chars() {
        if matches!(
            character,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '!' | '$'
        ) {
            safe.push('\\');
        }
        safe.push(character);
    }
    safe
}

/// Text inside an HTML element.
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text as code within a line, whatever backticks it has.
fn code(text: &str) -> String {
    let text = harmless(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.contains('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::super::text::is_harmful;
    use super::*;

    #[test]
    fn a_bare_host() {
        insta::assert_snapshot!(render_plan_markdown(&samples::bare()));
    }

    #[test]
    fn a_converged_host() {
        insta::assert_snapshot!(render_plan_markdown(&samples::converged()));
    }

    proptest! {
        #[test]
        fn hostile_values_stay_in_their_place(text in samples::hostile()) {
            let view = render_plan_markdown(&samples::hostile_plan(&text));
            let usual = render_plan_markdown(&samples::hostile_plan("usual"));
            prop_assert!(!view.replace('\n', "").contains(is_harmful));
            if !text.is_empty() {
                prop_assert_eq!(view.lines().count(), usual.lines().count());
            }
        }
    }

    #[test]
    fn markup_in_values_is_text() {
        let mut plan = samples::hostile_plan("<b> `x` [a](b)");
        plan.steps.truncate(3);
        plan.steps[2].changes.truncate(1);
        plan.steps[2].changes[0].files.truncate(1);
        insta::assert_snapshot!(render_plan_markdown(&plan));
    }
}
