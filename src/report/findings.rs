//! What the machine step found, as a table.

use super::paint::Paint;
use super::words::remedy;
use crate::plan::{Finding, Level};
use crate::text::{columns, fit, harmless, wrap};

/// No line is longer than this.
pub(super) const WIDTH: usize = 110;
/// A topic is cut behind this many columns.
const LONG_TOPIC: usize = 24;

/// The mark of a level, painted: `✓`, `!`, `✗`.
pub(super) fn mark(level: Level, paint: Paint) -> String {
    match level {
        Level::Fine => paint.green("✓"),
        Level::Soft => paint.yellow("!"),
        Level::Forceable | Level::Hard => paint.red("✗"),
    }
}

/// Findings as a table: mark, topic, text, and what to do below it. Those that are fine are listed
/// only with `all`. Empty when there is nothing to list.
pub fn render_findings(findings: &[Finding], colour: bool, all: bool) -> String {
    table(findings, Paint(colour), all, WIDTH)
}

/// The table, within a number of columns.
pub(super) fn table(findings: &[Finding], paint: Paint, all: bool, width: usize) -> String {
    let listed: Vec<_> = findings.iter().filter(|finding| all || finding.level > Level::Fine).collect();
    let topic = |finding: &Finding| fit(&harmless(&finding.topic), LONG_TOPIC).into_owned();
    let topic_width = listed.iter().map(|finding| columns(&topic(finding))).max().unwrap_or(0);
    let indent = " ".repeat(topic_width + 5);
    let body = width - indent.len();
    let mut table = String::new();
    for finding in listed {
        let topic = topic(finding);
        let gap = " ".repeat(topic_width - columns(&topic) + 3);
        let mut lines = wrap(&harmless(&finding.text), body).into_iter();
        let first = lines.next().unwrap_or_default();
        table.push_str(&format!("{} {}{gap}{first}\n", mark(finding.level, paint), paint.bold(&topic)));
        for line in lines {
            table.push_str(&format!("{indent}{line}\n"));
        }
        let remedy = remedy(finding);
        if !remedy.is_empty() {
            for (number, line) in wrap(&harmless(&remedy), body - 2).into_iter().enumerate() {
                let arrow = if number == 0 { paint.cyan("→") } else { " ".into() };
                table.push_str(&format!("{indent}{arrow} {line}\n"));
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_table_of_findings() {
        insta::assert_snapshot!(render_findings(&samples::findings(), false, true));
        insta::assert_snapshot!("only_what_matters", render_findings(&samples::findings(), false, false));
        assert_eq!(render_findings(&[], true, true), "");
    }
}
