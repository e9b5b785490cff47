//! What the minutes of the stories are made of: told at the end, held against what was recorded.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a story spends its time with.
#[derive(Clone, Copy)]
pub enum Doing {
    /// Hosts that are made, reboot, stop.
    Hosts,
    /// provision runs.
    Provision,
    /// Commands on hosts.
    Commands,
    /// Something has to come about.
    Waiting,
    /// A layer is made. That is told by itself and is not the story's time.
    Layers,
}

const DOINGS: usize = 5;

/// What provision's runs spend theirs with, by the changes' ids.
const RUNS: [(&str, &[&str]); 4] = [
    ("installing", &["packages/", "docker/", "firewall/install", "postgres/install"]),
    ("pulling", &["stack/images"]),
    ("starting", &["stack/up"]),
    ("proving", &["stack/proof"]),
];

#[derive(Clone, Default)]
struct Spent {
    doing: [Duration; DOINGS],
    runs: [Duration; RUNS.len()],
}

thread_local! {
    static SPENT: RefCell<Spent> = RefCell::default();
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

static ROWS: Mutex<Vec<(String, Duration, Spent)>> = Mutex::new(Vec::new());

/// Does it, and counts the time. What is done within something counts as that.
pub fn doing<T>(what: Doing, work: impl FnOnce() -> T) -> T {
    if BUSY.replace(true) {
        return work();
    }
    let began = Instant::now();
    let done = work();
    SPENT.with_borrow_mut(|spent| spent.doing[what as usize] += began.elapsed());
    BUSY.set(false);
    done
}

/// Counts what the journals of a host's runs tell, from this moment on.
pub fn of_runs(journals: &str, from: SystemTime) {
    let from = from.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let mut started = None;
    for line in journals.lines() {
        let words: Vec<_> = line.splitn(6, ' ').collect();
        let at: Option<u64> = words.first().and_then(|at| at.parse().ok());
        let (Some(at), Some(&"change")) = (at, words.get(1)) else { continue };
        match words[2..] {
            ["start", _, id, ..] if at >= from => started = Some((at, id)),
            [_, _, ..] => {
                let Some((begun, id)) = started.take() else { continue };
                let of = RUNS.iter().position(|(_, ids)| ids.iter().any(|start| id.starts_with(start)));
                if let Some(of) = of {
                    let took = Duration::from_millis(at.saturating_sub(begun));
                    SPENT.with_borrow_mut(|spent| spent.runs[of] += took);
                }
            }
            _ => {}
        }
    }
}

/// A layer that was made.
pub fn of_a_layer(name: &str, took: Duration) {
    row(format!("(the layer {name})"), took, Spent::default());
}

/// A story that begins.
pub fn begin() {
    SPENT.take();
    BUSY.set(false);
}

/// One that has ended; how long it took, without the layers that it made or waited for.
pub fn end(name: &str, took: Duration) -> Duration {
    let spent = SPENT.take();
    let own = took.saturating_sub(spent.doing[Doing::Layers as usize]);
    row(name.to_owned(), own, spent);
    own
}

fn row(name: String, took: Duration, spent: Spent) {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push((name, took, spent));
}

/// Writes the table into target/artefacts, and tells the ten slowest, the total, and what has grown
/// by half against `times.tsv`.
pub fn tell() {
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(_, took, _)| std::cmp::Reverse(*took));
    if rows.is_empty() {
        return;
    }
    let mut table = String::from("story\tseconds\thosts\tprovision\tcommands\twaiting");
    for (name, _) in RUNS {
        let _ = write!(table, "\t{name}");
    }
    for (name, took, spent) in rows.iter() {
        let _ = write!(table, "\n{name}\t{}", took.as_secs());
        for time in spent.doing[..Doing::Layers as usize].iter().chain(&spent.runs) {
            let _ = write!(table, "\t{}", time.as_secs());
        }
    }
    table.push('\n');
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("artefacts").join("times.tsv");
    let _ = std::fs::create_dir_all(file.parent().unwrap_or(&file));
    let _ = std::fs::write(&file, &table);

    eprintln!("\nThe slowest, in seconds; the whole table: {}", file.display());
    for line in table.lines().take(11) {
        let cells: Vec<_> = line.split('\t').collect();
        let (name, figures) = cells.split_first().unwrap_or((&"", &[]));
        let figures: String = figures.iter().fold(String::new(), |line, cell| format!("{line} {cell:>10}"));
        eprintln!("  {name:<45}{figures}");
    }
    let total: Duration = rows.iter().map(|(_, took, _)| *took).sum();
    eprintln!("  {} stories and layers, {} s one after the other", rows.len(), total.as_secs());
    let times: Vec<_> = rows.iter().map(|(name, took, _)| (name.as_str(), took.as_secs_f64())).collect();
    for (name, before, now) in grown(&times, include_str!("../times.tsv")) {
        eprintln!("  GROWN: {name} takes {now:.0} s; {before:.0} s were recorded in tests/hosts/times.tsv");
    }
}

/// What takes half as long again as was recorded. Another machine, or a busy one, is slower at
/// everything: that is taken into account.
fn grown<'a>(times: &[(&'a str, f64)], recorded: &str) -> Vec<(&'a str, f64, f64)> {
    let recorded: BTreeMap<_, f64> = recorded
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(name, seconds)| Some((name, seconds.parse().ok()?)))
        .collect();
    let known = times.iter().filter_map(|&(name, now)| Some((name, *recorded.get(name)?, now)));
    let known: Vec<_> = known.filter(|(_, before, _)| *before > 0.0).collect();
    let mut ratios: Vec<_> = known.iter().map(|(_, before, now)| now / before).collect();
    ratios.sort_by(f64::total_cmp);
    let usual = ratios.get(ratios.len() / 2).copied().unwrap_or(1.0).max(1.0);
    let has_grown = |&(_, before, now): &(&str, f64, f64)| {
        let expected = before * usual;
        now > 1.5 * expected && now > expected + 5.0
    };
    known.into_iter().filter(has_grown).collect()
}

/// Held each time that stories are told.
pub fn is_sound() {
    let recorded = "a\t10\nb\t10\nc\t40\n# nothing\nd\tx\n";
    let names = |times: &[(&'static str, f64)]| -> Vec<_> {
        grown(times, recorded).into_iter().map(|(name, ..)| name).collect()
    };
    assert_eq!(names(&[("a", 11.0), ("b", 10.0), ("c", 70.0), ("new", 900.0)]), ["c"]);
    assert_eq!(names(&[("a", 20.0), ("b", 20.0), ("c", 80.0)]), [""; 0], "the machine is slow");
    assert_eq!(names(&[("a", 14.0), ("b", 14.9), ("c", 41.0)]), [""; 0], "a few seconds are no matter");
}
