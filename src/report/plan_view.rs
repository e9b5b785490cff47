//! A plan as a person reads it before saying yes.

use super::Verbosity;
use super::findings::{WIDTH, mark, table};
use super::paint::{Paint, Word};
use super::words::{file_facts, file_sign, is_grave, risk, shown, sign, standing, total};
use crate::plan::{Change, FileChange, FileDiff, Plan, PlannedStep};
use crate::text::{columns, counted, cut, harmless, wrap};

/// A new file of at most this many lines is shown in full.
const SMALL_FILE: usize = 12;
/// At most this many files of a change are listed.
pub(super) const MANY_FILES: usize = 40;
/// At most this many lines of a diff are shown.
const LONG_DIFF: usize = 40;

/// What `provision plan` prints, and what `up` shows before it asks: a group for each step, files
/// with their diffs, risks marked, and a count at the end. Ends with a newline.
///
/// Quiet leaves out the steps without changes and the contents of files; verbose shows contents in
/// full, how to undo each change, and all findings.
pub fn render_plan(plan: &Plan, colour: bool, verbosity: Verbosity) -> String {
    let name_width = plan.steps.iter().map(|step| columns(step.step)).max().unwrap_or(0);
    let mut view = View { paint: Paint(colour), verbosity, name_width, text: String::new() };
    view.header(plan);
    let mut open = true;
    for step in &plan.steps {
        if step.changes.is_empty() {
            let quiet = verbosity == Verbosity::Quiet && standing(step) == crate::plan::Level::Fine;
            if !quiet {
                view.gap(std::mem::take(&mut open));
                view.unchanged(step);
            }
        } else {
            view.gap(true);
            view.changed(step);
            open = true;
        }
    }
    view.gap(true);
    view.item(0, "", &total(plan), if plan.is_empty() { Paint::green } else { Paint::bold });
    view.text
}

struct View {
    paint: Paint,
    verbosity: Verbosity,
    name_width: usize,
    text: String,
}

impl View {
    fn line(&mut self, indent: &str, text: &str) {
        self.text.push_str(indent);
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// An empty line, where one is wanted and something stands above it.
    fn gap(&mut self, wanted: bool) {
        if wanted && !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// A text behind its mark, broken into lines that stand below each other.
    fn item(&mut self, indent: usize, mark: &str, text: &str, brush: Brush) {
        let mark_width = columns(mark);
        let hanging = if mark_width == 0 { indent } else { indent + mark_width + 1 };
        for (number, line) in wrap(&harmless(text), WIDTH.saturating_sub(hanging)).iter().enumerate() {
            let styled = brush(self.paint, line);
            if number == 0 && mark_width > 0 {
                self.line(&" ".repeat(indent), &format!("{mark} {styled}"));
            } else {
                self.line(&" ".repeat(hanging), &styled);
            }
        }
    }

    fn header(&mut self, plan: &Plan) {
        let host = harmless(&plan.host);
        let mut about = format!(" · playbook {}", harmless(&plan.playbook));
        if self.verbosity == Verbosity::Verbose {
            about.push_str(&format!(" · {}", harmless(&plan.fingerprint)));
        }
        if columns(&host) + columns(&about) <= WIDTH {
            let text = self.paint.bold(&host) + &self.paint.dim(&about);
            self.line("", &text);
        } else {
            self.item(0, "", &format!("{host}{about}"), bare);
        }
    }

    /// One quiet line: `✓ docker   Engine 28.3.2, Compose 2.38.2`.
    fn unchanged(&mut self, step: &PlannedStep) {
        let name = harmless(step.step);
        let gap = " ".repeat(self.name_width.saturating_sub(columns(&name)) + 3);
        let head = format!("{} {name}{gap}", mark(standing(step), self.paint));
        let hanging = columns(&head);
        let state = harmless(&step.state);
        for (number, line) in wrap(&state, WIDTH.saturating_sub(hanging).max(40)).iter().enumerate() {
            let styled = self.paint.dim(line);
            if number == 0 {
                let text = format!("{head}{styled}");
                self.line("", text.trim_end());
            } else {
                self.line(&" ".repeat(hanging), &styled);
            }
        }
        self.remarks(step);
    }

    fn changed(&mut self, step: &PlannedStep) {
        let name = self.paint.bold(&harmless(step.step));
        self.line("", &name);
        for change in &step.changes {
            self.change(change);
        }
        self.remarks(step);
    }

    /// What a person should know of a step besides its changes.
    fn remarks(&mut self, step: &PlannedStep) {
        let all = self.verbosity == Verbosity::Verbose;
        for line in table(&step.findings, self.paint, all, WIDTH - 2).lines() {
            self.line("  ", line);
        }
        let warning = self.paint.word(Word::Warning);
        for text in step.remarks() {
            self.item(2, &warning, text, bare);
        }
    }

    fn change(&mut self, change: &Change) {
        let sign = self.sign(sign(change));
        self.item(2, &sign, &change.title, bare);
        if self.verbosity != Verbosity::Quiet && !change.reason.is_empty() {
            self.item(4, "", &change.reason, Paint::dim);
        }
        for each in &change.risks {
            if is_grave(each) {
                let mark = self.paint.yellow("!");
                self.item(4, &mark, &risk(each), Paint::yellow);
            } else {
                self.item(4, "!", &risk(each), bare);
            }
        }
        let most = if self.verbosity == Verbosity::Verbose { usize::MAX } else { MANY_FILES };
        for file in change.files.iter().take(most) {
            self.file(file);
        }
        if let Some(more) = change.files.len().checked_sub(most).filter(|more| *more > 0) {
            self.item(
                4,
                "",
                &format!("… and {} (all of them with -v)", counted(more, "more file")),
                Paint::dim,
            );
        }
        if let (Verbosity::Verbose, Some(undo)) = (self.verbosity, &change.undo) {
            let label = self.paint.dim("undo:");
            self.item(4, &label, undo, Paint::dim);
        }
    }

    fn sign(&self, sign: char) -> String {
        match sign {
            '+' => self.paint.green("+"),
            '-' => self.paint.red("-"),
            _ => self.paint.yellow("~"),
        }
    }

    fn file(&mut self, file: &FileChange) {
        let diff = shown(file);
        let path = harmless(&file.path);
        let facts = file_facts(file, &diff);
        let facts = harmless(&facts);
        let sign = self.sign(file_sign(file, &diff));
        if columns(&path) + columns(&facts) + 8 <= WIDTH {
            let facts = self.paint.dim(&facts);
            self.line("    ", &format!("{sign} {path}  {facts}"));
        } else {
            for (number, piece) in cut(&path, WIDTH - 6).iter().enumerate() {
                let head = if number == 0 { sign.as_str() } else { " " };
                self.line("    ", &format!("{head} {piece}"));
            }
            self.item(6, "", &facts, Paint::dim);
        }
        let verbose = self.verbosity == Verbosity::Verbose;
        match &diff {
            FileDiff::New(lines) if verbose || (lines.len() <= SMALL_FILE && self.shows_contents()) => {
                self.content(lines, usize::MAX, |_| bare);
            }
            FileDiff::Text(lines) if self.shows_contents() => {
                self.content(lines, if verbose { usize::MAX } else { LONG_DIFF }, by_sign);
            }
            _ => {}
        }
    }

    fn shows_contents(&self) -> bool {
        self.verbosity != Verbosity::Quiet
    }

    /// Lines of a file behind a gutter. What goes on from the line above has another gutter, so
    /// that no content can pass for a line of its own.
    fn content(&mut self, lines: &[String], most: usize, brush: fn(&str) -> Brush) {
        let (gutter, again) = (self.paint.dim("│"), self.paint.dim("┆"));
        for line in lines.iter().take(most) {
            let line = harmless(line);
            let brush = brush(&line);
            for (number, piece) in cut(&line, WIDTH - 8).iter().enumerate() {
                let gutter = if number == 0 { &gutter } else { &again };
                if piece.trim().is_empty() {
                    self.line("      ", gutter);
                } else {
                    let painted = brush(self.paint, piece);
                    self.line("      ", &format!("{gutter} {painted}"));
                }
            }
        }
        if lines.len() > most {
            let rest = format!("{}, -v shows them", counted(lines.len() - most, "more line"));
            let rest = self.paint.dim(&rest);
            self.line("      ", &format!("{again} {rest}"));
        }
    }
}

/// How a line is painted.
type Brush = fn(Paint, &str) -> String;

fn bare(_: Paint, line: &str) -> String {
    line.to_owned()
}

/// A line of a diff is painted by its sign.
fn by_sign(line: &str) -> Brush {
    match line.chars().next() {
        Some('+') => Paint::green,
        Some('-') => Paint::red,
        Some('@') => Paint::cyan,
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::*;
    use crate::text::is_harmful;

    #[test]
    fn a_bare_host() {
        insta::assert_snapshot!(render_plan(&samples::bare(), false, Verbosity::Normal));
        insta::assert_snapshot!("quiet", render_plan(&samples::bare(), false, Verbosity::Quiet));
    }

    #[test]
    fn a_converged_host() {
        insta::assert_snapshot!(render_plan(&samples::converged(), false, Verbosity::Normal));
    }

    #[test]
    fn a_removal() {
        insta::assert_snapshot!(render_plan(&samples::removal(), false, Verbosity::Verbose));
    }

    #[test]
    fn long_files_are_cut_unless_verbose() {
        let long =
            |word: &str| (1..=30).map(|n| format!("{word} {n} {}\n", "x".repeat(n * 5))).collect::<String>();
        let mut plan = samples::removal();
        plan.steps[0].changes[1].files =
            vec![samples::file("/etc/long", Some(&long("old")), Some(&long("new")))];
        insta::assert_snapshot!(render_plan(&plan, false, Verbosity::Normal));
        assert!(render_plan(&plan, false, Verbosity::Verbose).contains("+new 30"));
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
            let painted = render_plan(&samples::bare(), true, verbosity);
            assert!(painted.contains('\u{1b}'));
            assert_eq!(console::strip_ansi_codes(&painted), render_plan(&samples::bare(), false, verbosity));
        }
    }

    proptest! {
        #[test]
        fn hostile_values_stay_in_their_place(text in samples::hostile()) {
            let plan = samples::hostile_plan(&text);
            let view = render_plan(&plan, false, Verbosity::Verbose);
            for line in view.lines() {
                prop_assert!(!line.contains(is_harmful), "{line:?}");
                prop_assert!(columns(line) <= WIDTH, "{line:?}");
            }
            if !text.is_empty() && columns(&harmless(&text)) < 16 {
                let usual = render_plan(&samples::hostile_plan("usual"), false, Verbosity::Verbose);
                prop_assert_eq!(view.lines().count(), usual.lines().count());
            }
        }
    }
}
