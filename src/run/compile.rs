//! A plan becomes one archive: scripts, values and files, sent once.

use std::collections::BTreeSet;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use crate::plan::{Change, Plan};

const RUNNER: &str = include_str!("../../scripts/runner.sh");
const STEP: &str = include_str!("../../scripts/step.sh");
const PLACE: &str = include_str!("../../scripts/place.pl");
const WAY_BACK: &str = include_str!("../../scripts/way-back.sh");

/// The archive, gzipped.
pub fn compile(plan: &Plan) -> io::Result<Vec<u8>> {
    let mut archive = Archive(Builder::new(GzEncoder::new(Vec::new(), Compression::fast())));
    archive.add("runner.sh", RUNNER.as_bytes())?;
    archive.add("step.sh", STEP.as_bytes())?;
    archive.add("place.pl", PLACE.as_bytes())?;
    archive.add("way-back.sh", WAY_BACK.as_bytes())?;
    let steps: BTreeSet<_> = plan.changes().map(|change| change.action.step).collect();
    for step in steps {
        if let Some(script) = crate::steps::script(step) {
            archive.add(&format!("steps/{step}.sh"), script.as_bytes())?;
        }
    }
    // Contents are not part of it: what a plan shows, no more.
    archive.add("plan.json", &serde_json::to_vec(plan)?)?;
    // It stays beside the journal.
    archive.add("stack", format!("{}\n", plan.stack).as_bytes())?;
    let mut list = String::new();
    for (index, change) in plan.changes().enumerate() {
        let number = number(index);
        let action = &change.action;
        list.push_str(&format!(
            "{number} {} {} {} {} {}\n",
            action.step,
            action.name,
            action.timeout,
            change.id,
            crate::text::harmless(&change.title)
        ));
        archive.change(&number, change)?;
    }
    archive.add("changes/list", list.as_bytes())?;
    archive.0.into_inner()?.finish()
}

/// A change's number in the journal, counting from 1.
pub fn number(index: usize) -> String {
    format!("{:03}", index + 1)
}

struct Archive<W: Write>(Builder<W>);

impl<W: Write> Archive<W> {
    fn add(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        self.0.append_data(&mut header, path, content)
    }

    fn change(&mut self, number: &str, change: &Change) -> io::Result<()> {
        for (name, value) in change.action.arguments.iter().chain(&change.action.unshown) {
            self.add(&format!("changes/{number}/arg/{name}"), value.as_bytes())?;
        }
        if change.files.is_empty() {
            return Ok(());
        }
        let mut list = String::new();
        for (index, file) in change.files.iter().enumerate() {
            let sum = match (&file.content, &file.sha256) {
                (Some(content), Some(sum)) => {
                    self.add(&format!("changes/{number}/files/{}", index + 1), content)?;
                    sum
                }
                _ => "-",
            };
            list.push_str(&format!("{:o}\t{}\t{sum}\t{}\n", file.mode, file.owner, file.path));
        }
        self.add(&format!("changes/{number}/files/list"), list.as_bytes())
    }
}
