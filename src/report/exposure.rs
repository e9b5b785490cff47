//! What is reached from here, as a table.

use super::Verbosity;
use super::paint::Paint;
use crate::exposure::{Answer, Exposure, PortState, Row, Verdict};
use crate::text::{columns, fit, harmless};

/// No more than this of who answers, and of what declares it.
const LONG: usize = 30;

/// The first column that tells of a family.
const FAMILIES: usize = 3;

/// A family's name, how far it was tried, and its column.
type Family = (&'static str, PortState, fn(&Row) -> Option<Answer>);

/// What is reached from here, as a table. Empty when there is nothing to list.
pub fn render_exposure(exposure: &Exposure, colour: bool, verbosity: Verbosity) -> String {
    lines(exposure, Paint(colour), verbosity)
        .into_iter()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// The lines of the table.
pub(super) fn lines(exposure: &Exposure, paint: Paint, verbosity: Verbosity) -> Vec<String> {
    let quiet = verbosity == Verbosity::Quiet;
    let listed = |row: &&Row| {
        let hidden = row.loopback && row.declared.is_empty() && verbosity != Verbosity::Verbose;
        row.verdict.is_finding() || !(quiet || hidden)
    };
    let rows = together(exposure.rows.iter().filter(listed));
    let mut lines = table(&rows, exposure, paint);
    if !quiet {
        lines.extend(remarks(exposure).iter().map(|text| paint.dim(text)));
    }
    lines
}

/// Rows that differ in their port alone and follow one another are one.
fn together<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Row> {
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        if let Some(last) = merged.last_mut() {
            let mut same = row.clone();
            same.ports = last.ports;
            if same == *last && last.ports.last.checked_add(1) == Some(row.ports.first) {
                last.ports.last = row.ports.last;
                continue;
            }
        }
        merged.push(row.clone());
    }
    merged
}

fn table(rows: &[Row], exposure: &Exposure, paint: Paint) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let families: Vec<Family> = [
        ("IPv4", exposure.ipv4.state, (|row| row.ipv4) as fn(&Row) -> Option<Answer>),
        ("IPv6", exposure.ipv6.state, |row| row.ipv6),
    ]
    .into_iter()
    .filter(|(_, state, _)| *state != PortState::NoAddress)
    .collect();
    let mut head = vec!["port".to_owned(), "who answers".into(), "declared".into()];
    head.extend(families.iter().map(|(name, ..)| (*name).to_owned()));
    let body: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![row.port(), owners(row), declared(row)];
            let families = families.iter().enumerate();
            cells.extend(families.map(|(index, (_, state, cell))| {
                match (row.protocol.as_str(), cell(row)) {
                    ("tcp", None) if *state != PortState::Answers => "not tried".into(),
                    ("tcp", cell) => answer(cell).into(),
                    (protocol, _) if index == 0 => format!("not tried ({})", protocol.to_uppercase()),
                    _ => String::new(),
                }
            }));
            cells.iter().map(|cell| fit(&harmless(cell), LONG).into_owned()).collect()
        })
        .collect();
    // What is said of UDP stands alone and may be wider than its column.
    let counts = |row: &Row, column: usize| column < FAMILIES || row.protocol == "tcp";
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let counted = rows.iter().zip(&body).filter(|(row, _)| counts(row, column));
            let cells = counted.map(|(_, cells)| cells).chain([&head]);
            cells.filter_map(|cells| cells.get(column)).map(|cell| columns(cell)).max().unwrap_or(0)
        })
        .collect();
    let padded = |cells: &[String]| {
        let cells = cells.iter().zip(&widths);
        cells
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(columns(cell)))))
            .collect::<Vec<_>>()
            .join("  ")
    };
    let mut lines = vec![paint.dim(format!("  {}", padded(&head)).trim_end())];
    for (row, cells) in rows.iter().zip(&body) {
        lines.push(painted(row, padded(cells).trim_end(), paint));
    }
    lines
}

/// A line of the table, with its mark and, where something is to be mended, what.
fn painted(row: &Row, text: &str, paint: Paint) -> String {
    let what = reason(row);
    let behind = if what.is_empty() { String::new() } else { format!("  {what}") };
    match row.verdict {
        Verdict::Undeclared => format!("{} {}", paint.red("✗"), paint.red(&format!("{text}{behind}"))),
        Verdict::Blocked | Verdict::NothingListens => {
            format!("{} {text}{}", paint.yellow("!"), paint.yellow(&behind))
        }
        Verdict::AsDeclared => format!("{} {text}", paint.green("✓")),
        Verdict::Closed | Verdict::NotTried => format!("{} {text}", paint.dim("·")),
    }
}

fn reason(row: &Row) -> &'static str {
    match row.verdict {
        Verdict::Undeclared if row.declared.is_empty() => "not declared",
        Verdict::Undeclared => "not declared for us",
        Verdict::Blocked => "blocked",
        Verdict::NothingListens if row.loopback => "listens on loopback only",
        Verdict::NothingListens => "nothing listens",
        _ => "",
    }
}

fn owners(row: &Row) -> String {
    let text = match row.owners.as_slice() {
        [] if row.verdict == Verdict::Undeclared => "not known".into(),
        [] => "-".to_owned(),
        owners => owners.join(", "),
    };
    if row.loopback { format!("{text}, loopback only") } else { text }
}

fn declared(row: &Row) -> String {
    match (row.declared.as_slice(), row.from.as_slice()) {
        ([], _) => "no".into(),
        (by, []) => by.join(", "),
        (by, from) => format!("{} from {}", by.join(", "), from.join(", ")),
    }
}

fn answer(answer: Option<Answer>) -> &'static str {
    match answer {
        Some(Answer::Reachable) => "reachable",
        Some(Answer::Refused) => "refused",
        Some(Answer::NoAnswer) => "no answer",
        None => "-",
    }
}

/// What the table does not say.
fn remarks(exposure: &Exposure) -> Vec<String> {
    let mut remarks = Vec::new();
    match exposure.others {
        0 => {}
        1 => remarks.push("and 1 well-known port, not reachable".to_owned()),
        count => remarks.push(format!("and {count} well-known ports, none reachable")),
    }
    for (family, tried) in [("IPv4", &exposure.ipv4), ("IPv6", &exposure.ipv6)] {
        let at = tried.address.map_or_else(String::new, |address| format!(" ({address})"));
        let why = match tried.state {
            PortState::Answers => continue,
            PortState::NoAnswer => format!("nothing answers there{at}"),
            PortState::Intercepted => format!("a proxy on the way answers on every port{at}"),
            PortState::NoRoute => format!("no route{at}"),
            PortState::NoAddress => "the host has no address for it that leads there from here".into(),
        };
        remarks.push(format!("{family} could not be tried from here: {why}"));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::*;
    use crate::text::is_harmful;

    #[test]
    fn a_table_of_ports() {
        let exposure = samples::exposure();
        insta::assert_snapshot!(render_exposure(&exposure, false, Verbosity::Normal));
        insta::assert_snapshot!("all_of_it", render_exposure(&exposure, false, Verbosity::Verbose));
        insta::assert_snapshot!("only_findings", render_exposure(&exposure, false, Verbosity::Quiet));
    }

    #[test]
    fn says_which_family_could_not_be_tried() {
        let mut exposure = samples::exposure();
        exposure.ipv6.state = PortState::NoAddress;
        exposure.rows.truncate(1);
        insta::assert_snapshot!(render_exposure(&exposure, false, Verbosity::Normal));
        let of = |state| {
            exposure.ipv6.state = state;
            render_exposure(&exposure, false, Verbosity::Normal).lines().last().unwrap_or_default().to_owned()
        };
        let said =
            [PortState::Answers, PortState::NoAnswer, PortState::Intercepted, PortState::NoRoute].map(of);
        insta::assert_snapshot!("families", said.join("\n"));
    }

    proptest! {
        #[test]
        fn hostile_names_stay_on_their_line(text in samples::hostile()) {
            let mut exposure = samples::exposure();
            for row in &mut exposure.rows {
                row.owners = vec![text.clone()];
                row.declared = vec![text.clone()];
                row.protocol.clone_from(&text);
            }
            let count = exposure.rows.len();
            let table = render_exposure(&exposure, false, Verbosity::Verbose);
            prop_assert!(table.lines().count() <= count + 3);
            prop_assert!(!table.replace('\n', "").contains(is_harmful));
        }
    }
}
