use proptest::prelude::*;

use super::super::samples;
use super::*;
use crate::text::is_harmful;

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
        prop_assert_eq!(outside_of_code(&view).find(MEANT), None, "{}", view);
    }
}

/// What Markdown, HTML or GitHub may obey.
const MEANT: &[char] =
    &['@', '#', '[', ']', '<', '>', '`', '\\', '&', '|', '*', '_', '~', '$', '!', '{', '}'];

/// What is left of a plan without our own markup and what stands in code: the values that are read.
fn outside_of_code(view: &str) -> String {
    let mut rest = String::new();
    let mut fence: Option<String> = None;
    for line in view.lines() {
        let trimmed = line.trim_start();
        if let Some(open) = &fence {
            if trimmed == open {
                fence = None;
            }
            continue;
        }
        let ticks: String = trimmed.chars().take_while(|c| *c == '`').collect();
        if ticks.len() > 2 && trimmed == format!("{ticks}diff") {
            fence = Some(ticks);
            continue;
        }
        let line = match trimmed.strip_prefix("- <details><summary>") {
            Some(summary) => {
                let summary = summary.strip_suffix("</summary>").expect("a summary has an end");
                without_html_code(summary)
            }
            None => without_spans(trimmed),
        };
        let ours = ["</details>", "> [!WARNING]", "> - ", "### ", "## ", "**", "<sub>", "</sub>"];
        rest += &ours.iter().fold(line, |line, markup| line.replacen(markup, "", 2));
        rest.push('\n');
    }
    assert!(fence.is_none(), "a fence is open at the end");
    rest
}

fn without_html_code(text: &str) -> String {
    let parts = text.split("<code>").enumerate();
    let outside =
        parts.map(|(at, part)| if at == 0 { part } else { part.split_once("</code>").expect("an end").1 });
    outside.collect::<String>().replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
}

/// As CommonMark reads it: a run of backticks is closed by the next of the same length.
fn without_spans(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('`') {
        out += &rest[..at];
        let run = rest[at..].chars().take_while(|c| *c == '`').count();
        let after = &rest[at + run..];
        let mut from = 0;
        let close = loop {
            let Some(next) = after[from..].find('`') else { break None };
            let length = after[from + next..].chars().take_while(|c| *c == '`').count();
            if length == run {
                break Some(from + next + length);
            }
            from += next + length;
        };
        let Some(end) = close else { return out + &rest[at..] };
        rest = &after[end..];
    }
    out + rest
}

#[test]
fn an_empty_value_opens_nothing() {
    let view = render(&samples::hostile_plan(""), true);
    assert_eq!(outside_of_code(&view).find(MEANT), None, "{view}");
}

#[test]
fn nothing_is_a_link_or_a_mention() {
    for (text, expected) in [
        ("ask @ann now", "ask `@ann` now"),
        ("see #12 or GH-12, gh-3, ABC-7", "see `#12` or `GH-12`, `gh-3`, `ABC-7`"),
        ("at 0123abc or a/b@c1 or !4", "at `0123abc` or `a/b@c1` or `!4`"),
        ("set `a_b`, `x @y z` or c", "set `a_b`, `x @y z` or c"),
        ("`a`@b`c`", "`a` `@b` `c`"),
        ("one ` alone", "one `` ` `` alone"),
        ("- a", "`-` a"),
        ("12. a 12.", "`12`. a 12."),
        ("=== x", "`===` x"),
        ("a <!-- b | c", "a `<!--` b `|` c"),
        ("  x   y ", "x y"),
        ("50% of %v1", "50% of `%v1`"),
        ("\u{ff20}ann :tada:", "\u{ff20}ann `:tada`:"),
        ("pull ghcr.io/a/b:1 from https://x.example", "pull ghcr.io/a/b:1 from `https://x.example`"),
        ("www.x.example", "`www.x.example`"),
        ("a`@b", "`` a`@b ``"),
        ("web-1 *x*", "web-1 `*x*`"),
    ] {
        assert_eq!(prose(text), expected);
    }
}

#[test]
fn a_plan_fits_a_comment() {
    let plan = |files: usize, lines: usize| {
        let mut plan = samples::bare();
        let change = plan.steps.iter_mut().flat_map(|step| &mut step.changes).next().expect("a change");
        let text = "a line of a file\n".repeat(lines);
        change.files =
            (0..files).map(|number| samples::file(&format!("/srv/x/{number}"), None, Some(&text))).collect();
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
