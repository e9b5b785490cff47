//! Stories on real hosts of the lab. Run them all with `scripts/test`, one with
//! `cargo test --test hosts -- NAME`. Where the lab cannot be had they are
//! skipped: counted as ignored, with the reason on stderr.

#![expect(clippy::expect_used, reason = "a story ends where something is not as it must be")]

mod change;
mod firewall;
mod first_boot;
mod lab;
mod lived_in;
mod networks;
mod prefect;
mod resilience;
mod secrets;
mod trouble;
mod up;
mod vm;

use std::panic::{catch_unwind, resume_unwind};
use std::time::Instant;

use lab::times;
use libtest_mimic::{Arguments, Failed, Trial};

/// A story: its name and what it does.
pub type Story = (&'static str, fn() -> Result<(), Failed>);

/// Says how long a story took: all of them together have to stay short.
fn timed(name: &str, story: fn() -> Result<(), Failed>) -> Result<(), Failed> {
    let began = Instant::now();
    times::begin();
    let told = catch_unwind(story);
    let took = times::end(name, began.elapsed());
    eprintln!("{name}: {} s", took.as_secs());
    told.unwrap_or_else(|panic| resume_unwind(panic))
}

/// What the short run leaves out, by how the names begin, and why. `scripts/test --full` tells all,
/// and whoever names a story is told it.
const LONG: [(&str, &str); 14] = [
    ("vm::", "a machine without hardware virtualisation takes a quarter of an hour"),
    ("prefect::recovery_of_each", "prefect::from_nothing kills one of each kind"),
    ("prefect::backup_at_each_moment", "prefect::backup brings the same backups back, uninterrupted"),
    ("prefect::secrets_each", "prefect::from_nothing rotates one of each kind"),
    (
        "prefect::rolling_each",
        "prefect::rolling replaces replicas by those of the next version, and by broken ones",
    ),
    (
        "prefect::postgres::elsewhere",
        "prefect::postgres::on_the_host has another place for the same database",
    ),
    ("prefect::worker", "prefect::from_nothing has workers, and prefect::minimal a smaller stack"),
    ("networks::a_bridge_over_the_laptop", "networks::a_network_over_the_laptop is undone by the same code"),
    ("up::debian13_sudo", "up::ubuntu2604_sudo asks for the password as well"),
    ("up::ubuntu2404", "up::debian13 has the same packages, and up::ubuntu2204 the other names"),
    ("up::ubuntu2604", "up::ubuntu2604_sudo is the same with a password"),
    ("resilience::the_laptop_dies_twice", "another random moment of resilience::the_laptop_dies_once"),
    ("resilience::the_laptop_dies_thrice", "another random moment of resilience::the_laptop_dies_once"),
    (
        "resilience::the_connection_is_cut_twice",
        "another random moment of resilience::the_connection_is_cut_once",
    ),
];

/// Why each story that is left out is left out.
struct LeftOut {
    lab: Option<String>,
    prefect: Option<String>,
    machine: Option<String>,
    all_are_told: bool,
}

impl LeftOut {
    fn why(&self, name: &str) -> Option<&str> {
        let long = || {
            // A name that goes on is another story's.
            let is = |start: &&(&str, &str)| {
                name == start.0 || start.0.ends_with("::") && name.starts_with(start.0)
            };
            LONG.iter().find(is).filter(|_| !self.all_are_told).map(|(_, why)| *why)
        };
        let of_prefect = name.starts_with("prefect::") || name == "vm::prefect";
        let missing = self.lab.as_deref().or_else(|| self.prefect.as_deref().filter(|_| of_prefect));
        missing.or_else(long).or_else(|| self.machine.as_deref().filter(|_| name.starts_with("vm::")))
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let all_are_told = arguments.filter.is_some() || std::env::var_os("PROVISION_ALL_STORIES").is_some();
    let left_out = LeftOut {
        lab: lab::missing(),
        prefect: std::env::var("PROVISION_NO_PREFECT").ok(),
        machine: if all_are_told { vm::missing() } else { None },
        all_are_told,
    };
    // The longest first: at the end of all nothing is left to run beside it.
    let stories = [
        &[vm::A_LIFE],
        prefect::stories().as_slice(),
        &[vm::PREFECT],
        up::STORIES,
        change::STORIES,
        secrets::STORIES,
        &lived_in::stories(),
        networks::STORIES,
        &firewall::stories(),
        first_boot::STORIES,
        &resilience::stories(),
        &trouble::stories(),
    ]
    .concat();
    for name in LONG.map(|(name, _)| name) {
        assert!(stories.iter().any(|(story, _)| story.starts_with(name)), "no story is named {name}");
    }
    let mut trials = vec![Trial::test("times::are_judged", || {
        times::is_sound();
        Ok(())
    })];
    for (name, story) in stories {
        let why = left_out.why(name);
        if let Some(why) = why.filter(|_| left_out.lab.is_none()) {
            eprintln!("SKIPPED: {name}: {why}");
        }
        trials.push(Trial::test(name, move || timed(name, story)).with_ignored_flag(why.is_some()));
    }
    if let Some(reason) = &left_out.lab {
        eprintln!("\nSKIPPED: all stories on real hosts: {reason}\n");
    }
    let told = libtest_mimic::run(&arguments, trials);
    vm::destroy();
    times::tell();
    told.exit();
}
