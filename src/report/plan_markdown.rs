//! A plan as Markdown, for a reviewer's pull request.

use super::plan_view::MANY_FILES;
use super::words::{file_facts, is_grave, remedy, risk, shown, standing, total};
use crate::plan::{Change, FileChange, FileDiff, Plan, PlannedStep};
use crate::plan::{Finding, Level};
use crate::text::{counted, harmless};

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
    let (path, facts) = (html(&harmless(&file.path)), html_prose(&facts));
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
    for warning in step.remarks() {
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

/// Text that Markdown takes for text. Whatever could mean something to it, or to GitHub (`@ann`, `#12`,
/// an address, a commit), becomes code.
fn prose(text: &str) -> String {
    words(text, str::to_owned, code)
}

/// The same inside an HTML block, where Markdown is not read.
fn html_prose(text: &str) -> String {
    words(text, html, |word| format!("<code>{}</code>", html(word)))
}

fn words(text: &str, plain: impl Fn(&str) -> String, code: impl Fn(&str) -> String) -> String {
    let text = harmless(text);
    let ticks = text.matches('`').count();
    // What stands between two backticks is code already; where one is left over, all are characters.
    let marked = ticks > 0 && ticks.is_multiple_of(2) && !text.contains("``");
    let parts: Vec<&str> = if marked { text.split('`').collect() } else { vec![&text] };
    let mut shown = String::new();
    for (at, part) in parts.into_iter().enumerate() {
        let is_code = at % 2 == 1;
        let next = if is_code { code(part) } else { loose(part, at == 0, &plain, &code) };
        // Two spans side by side would be one.
        if shown.ends_with('`') && next.starts_with('`') {
            shown.push(' ');
        }
        shown.push_str(&next);
    }
    shown.trim().to_owned()
}

/// Words that are not marked as code, with what is left of the space around them.
fn loose(
    text: &str,
    begins: bool,
    plain: &impl Fn(&str) -> String,
    code: &impl Fn(&str) -> String,
) -> String {
    let shown = |(at, word): (usize, &str)| {
        if is_plain(word) && !(begins && at == 0 && begins_a_block(word)) {
            return plain(word);
        }
        // The punctuation of the sentence is no part of the value.
        let (open, rest) = word.strip_prefix('(').map_or(("", word), |rest| ("(", rest));
        let inner = rest.trim_end_matches([',', ';', ':', '.']);
        match rest.strip_prefix(inner).filter(|_| !inner.is_empty()) {
            Some(close) => format!("{open}{}{close}", code(inner)),
            None => code(word),
        }
    };
    let words = text.split(' ').filter(|word| !word.is_empty()).enumerate().map(shown);
    let words = words.collect::<Vec<_>>().join(" ");
    let space = |is: bool| if is { " " } else { "" };
    match words.is_empty() {
        true => space(!text.is_empty()).to_owned(),
        false => format!("{}{words}{}", space(text.starts_with(' ')), space(text.ends_with(' '))),
    }
}

/// Whether neither Markdown nor GitHub sees anything but text in it.
fn is_plain(word: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || ".,;:()'\"/+=%?-".contains(c);
    word.chars().all(known)
        && !word.contains("://")
        && !word.to_ascii_lowercase().contains("www.")
        // GitLab's milestones, and emoji.
        && !word.starts_with('%')
        && word.matches(':').count() < 2
        && !word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_commit)
        && !is_ticket(word)
}

/// GitHub makes a link of a commit's hash, or of its beginning.
fn is_commit(part: &str) -> bool {
    (7..=64).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `GH-12`, `ABC-123`: a repository may make links of those.
fn is_ticket(word: &str) -> bool {
    word.match_indices('-').any(|(at, _)| {
        let before = word.get(..at).unwrap_or_default();
        let letters = before.chars().rev().take_while(char::is_ascii_alphabetic).collect::<Vec<_>>();
        let named = letters.len() > 1 && letters.iter().all(char::is_ascii_uppercase);
        let is_gh = letters.len() == 2 && letters.iter().rev().collect::<String>().eq_ignore_ascii_case("gh");
        (named || is_gh)
            && word.get(at + 1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Whether a line that begins with it would be an item of a list, a heading or a rule.
fn begins_a_block(word: &str) -> bool {
    let number = word.trim_end_matches(['.', ')']);
    let is_number = number.len() < word.len() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number || word.chars().all(|c| "-+=".contains(c))
}

/// Text inside an HTML element.
fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text as code within a line, whatever backticks it has.
fn code(text: &str) -> String {
    let text = harmless(text);
    // Two backticks with nothing between them would begin a span that goes on.
    if text.is_empty() {
        return "` `".to_owned();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.contains('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
