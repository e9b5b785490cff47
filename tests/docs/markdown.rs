//! The documents, as Markdown: their tables, and what is in backticks.

use std::path::{Path, PathBuf};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// Every document: those at the top, and those in `docs/`.
pub(crate) fn documents() -> Vec<(PathBuf, String)> {
    let folders = [root().to_path_buf(), root().join("docs")];
    let mut paths: Vec<_> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.sort();
    assert!(paths.len() > 5, "the documents are not where they were: {paths:?}");
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).expect("UTF-8"))).collect()
}

/// A block of code: where it begins, what is said behind the fence, and its lines.
pub(crate) struct Block {
    pub place: String,
    pub kind: String,
    pub lines: Vec<String>,
}

pub(crate) fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for (path, text) in documents() {
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(kind), None) => {
                    let place = format!("{}:{}", path.display(), index + 1);
                    open = Some(Block { place, kind: kind.trim().to_owned(), lines: Vec::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push(line.to_owned()),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block of code does not end", path.display());
    }
    blocks
}

/// What is written between backticks outside of blocks, with its place.
pub(crate) fn spans() -> Vec<(String, String)> {
    let mut spans = Vec::new();
    for (path, text) in documents() {
        let mut fenced = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                let place = format!("{}:{}", path.display(), index + 1);
                spans.extend(line.split('`').skip(1).step_by(2).map(|span| (place.clone(), span.to_owned())));
            }
        }
    }
    spans
}

/// The cells of a line of a Markdown table.
pub(crate) fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The rows of all tables whose first column has this heading.
pub(crate) fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let lines: Vec<_> = text.lines().collect();
    lines
        .split(|line| !line.starts_with('|'))
        .filter(|table| table.first().is_some_and(|head| cells(head)[0] == heading))
        .flat_map(|table| rows(&table.join("\n")))
        .collect()
}

/// The text without its backticks.
pub(crate) fn plain(cell: &str) -> String {
    cell.replace('`', "")
}

/// The cells of the rows of a Markdown table, heads and rules left out.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<_> = text.lines().collect();
    let is_rule = |line: &str| line.starts_with("| --");
    lines
        .iter()
        .enumerate()
        .filter(|(index, line)| {
            let is_head = lines.get(index + 1).is_some_and(|below| is_rule(below));
            line.starts_with('|') && !is_rule(line) && !is_head
        })
        .map(|(_, line)| cells(line))
        .collect()
}

/// The lines within the blocks of a text.
pub(crate) fn blocks_of(text: &str) -> Vec<&str> {
    text.split("```").skip(1).step_by(2).flat_map(str::lines).collect()
}
