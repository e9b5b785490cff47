//! Stories on real hosts of the lab. Run them all with `scripts/test`, one with
//! `cargo test --test hosts -- NAME`. Where the lab cannot be had they are
//! skipped: counted as ignored, with the reason on stderr.

#![expect(clippy::expect_used, reason = "a story ends where something is not as it must be")]

mod change;
mod firewall;
mod first_boot;
mod lab;
mod prefect;
mod resilience;
mod secrets;
mod trouble;
mod up;
mod vm;

use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};

/// A story: its name and what it does.
pub type Story = (&'static str, fn() -> Result<(), Failed>);

/// Says how long a story took: all of them together have to stay short.
fn timed(name: &str, story: fn() -> Result<(), Failed>) -> Result<(), Failed> {
    let began = Instant::now();
    let told = story();
    eprintln!("{name}: {} s", began.elapsed().as_secs());
    told
}

fn main() {
    let arguments = Arguments::from_args();
    let missing = lab::missing();
    if let Some(reason) = &missing {
        eprintln!("\nSKIPPED: all stories on real hosts: {reason}\n");
    }
    let no_images = std::env::var("PROVISION_NO_PREFECT").ok();
    if let Some(reason) = &no_images {
        eprintln!("\nSKIPPED: the stories of Prefect: {reason}\n");
    }
    let no_machine = vm::missing();
    if let Some(reason) = &no_machine {
        eprintln!("\nSKIPPED: the stories on a virtual machine: {reason}\n");
    }
    let is_missing = |name: &str| {
        missing.is_some()
            || no_images.is_some() && (name.starts_with("prefect::") || name == "vm::prefect")
            || no_machine.is_some() && name.starts_with("vm::")
    };
    // The longest first: at the end of all nothing is left to run beside it.
    let stories = [
        &[vm::A_LIFE],
        prefect::stories().as_slice(),
        &[vm::PREFECT],
        up::STORIES,
        change::STORIES,
        secrets::STORIES,
        &firewall::stories(),
        first_boot::STORIES,
        &resilience::stories(),
        &trouble::stories(),
    ]
    .concat();
    let trials = stories
        .into_iter()
        .map(|(name, story)| {
            Trial::test(name, move || timed(name, story)).with_ignored_flag(is_missing(name))
        })
        .collect();
    let told = libtest_mimic::run(&arguments, trials);
    vm::destroy();
    prefect::remove();
    told.exit();
}
