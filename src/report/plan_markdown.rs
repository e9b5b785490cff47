//! A plan as Markdown, for a reviewer's pull request.

use super::plan_view::MANY_FILES;
use super::text::{counted, harmless};
use super::words::{file_facts, is_grave, remedy, risk, shown, standing, total};
use crate::plan::{Change, FileChange, FileDiff, Plan, PlannedStep};
use crate::plan::{Finding, Level};

/// What GitHub takes for a comment, in characters:
/// <https://docs.github.com/en/rest/issues/comments> answers "is too long (maximum is 65536 characters)".
const LIMIT: usize = 65_535;

/// The plan as Markdown: risks on top, a list for each step, file contents folded away, as far as it
/// fits a comment on GitHub. Ends with a newline.
pub fn render_plan_markdown(plan: &Plan) -> String {
    let whole = render(plan, true);
    if whole.chars().count() <= LIMIT {
        return whole;
    }
    let without = render(plan, false);
    let note = "\n_The contents of files are left out: the plan is too long for a comment._\n";
    if without.chars().count() + note.len() <= LIMIT {
        return without + note;
    }
    let note =
        "\n_The rest is left out: the plan is too long for a comment. `provision plan` prints all of it._\n";
    let mut room = LIMIT - note.len();
    let fits = |line: &&str| {
        let length = line.chars().count();
        let has_room = length <= room;
        room = room.saturating_sub(length);
        has_room
    };
    without.split_inclusive('\n').take_while(fits).collect::<String>() + note
}

fn render(plan: &Plan, contents: bool) -> String {
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
            change(&mut text, each, contents);
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

fn change(text: &mut String, change: &Change, contents: bool) {
    text.push_str(&format!("- **{}**", prose(&change.title)));
    if !change.reason.is_empty() {
        text.push_str(&format!(" ({})", prose(&change.reason)));
    }
    text.push('\n');
    for each in &change.risks {
        let mark = if is_grave(each) { "⚠️ " } else { "" };
        text.push_str(&format!("  - {mark}{}\n", prose(&risk(each))));
    }
    for each in change.files.iter().take(MANY_FILES) {
        file(text, each, contents);
    }
    if let Some(more) = change.files.len().checked_sub(MANY_FILES).filter(|more| *more > 0) {
        text.push_str(&format!("  - … and {}\n", counted(more, "more file")));
    }
}

fn file(text: &mut String, file: &FileChange, contents: bool) {
    let diff = shown(file);
    let facts = file_facts(file, &diff);
    let (lines, sign) = match &diff {
        FileDiff::New(lines) if contents => (lines, "+"),
        FileDiff::Text(lines) if contents => (lines, ""),
        _ => {
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

/// Text that Markdown takes for text. What GitHub makes a link or a mention of (`@ann`, `#12`,
/// addresses) becomes code.
fn prose(text: &str) -> String {
    let text = harmless(text);
    let words = text.split(' ').map(|word| if is_linked(word) { code(word) } else { escaped(word) });
    words.collect::<Vec<_>>().join(" ")
}

fn is_linked(word: &str) -> bool {
    let is_issue = || {
        word.match_indices(['#', '-']).any(|(at, _)| {
            word.get(at + 1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                && (word.get(at..at + 1) == Some("#") || word.to_ascii_uppercase().contains("GH-"))
        })
    };
    word.contains('@') || word.contains("://") || word.to_ascii_lowercase().contains("www.") || is_issue()
}

fn escaped(word: &str) -> String {
    let mut safe = String::with_capacity(word.len());
    for character in word.chars() {
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
            let view = render(&samples::hostile_plan(&text), true);
            let usual = render(&samples::hostile_plan("usual"), true);
            prop_assert!(!view.replace('\n', "").contains(is_harmful));
            if !text.is_empty() {
                prop_assert_eq!(view.lines().count(), usual.lines().count());
            }
        }
    }

    #[test]
    fn nothing_is_a_link_or_a_mention() {
        for (text, expected) in [
            ("ask @ann now", "ask `@ann` now"),
            ("see #12 or GH-12", "see `#12` or `GH-12`"),
            ("pull ghcr.io/a/b:1 from https://x.example", "pull ghcr.io/a/b:1 from `https://x.example`"),
            ("www.x.example", "`www.x.example`"),
            ("a`@b", "``a`@b``"),
            ("web-1 *x*", "web-1 \\*x\\*"),
        ] {
            assert_eq!(prose(text).replace("`` ", "``").replace(" ``", "``"), expected);
        }
    }

    #[test]
    fn a_plan_fits_a_comment() {
        let plan = |files: usize, lines: usize| {
            let mut plan = samples::bare();
            let change = plan.steps.iter_mut().flat_map(|step| &mut step.changes).next().expect("a change");
            let text = "a line of a file\n".repeat(lines);
            change.files = (0..files)
                .map(|number| samples::file(&format!("/srv/x/{number}"), None, Some(&text)))
                .collect();
            let more = vec![change.clone(); 40];
            plan.steps[0].changes.extend(more);
            plan
        };
        for (files, lines, note) in
            [(1, 1, ""), (1, 3000, "contents of files are left out"), (60, 1, "The rest is left out")]
        {
            let text = render_plan_markdown(&plan(files, lines));
            assert!(text.chars().count() <= LIMIT, "{files} {lines}: {}", text.len());
            assert!(text.contains(note), "{files} {lines}");
            assert!(text.ends_with('\n'));
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
