//! Stories on real hosts of the lab. Run them all with `scripts/test`, one with
//! `cargo test --test hosts -- NAME`. Where the lab cannot be had they are
//! skipped: counted as ignored, with the reason on stderr.

#![expect(clippy::expect_used, reason = "a story ends where something is not as it must be")]

mod change;
mod firewall;
mod lab;
mod prefect;
mod resilience;
mod secrets;
mod trouble;
mod up;
mod vm;

use libtest_mimic::{Arguments, Failed, Trial};

/// A story: its name and what it does.
pub type Story = (&'static str, fn() -> Result<(), Failed>);

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
            || no_images.is_some() && name.starts_with("prefect::")
            || no_machine.is_some() && name.starts_with("vm::")
    };
    // The longest first.
    let stories = [
        vm::STORIES,
        &prefect::stories(),
        up::STORIES,
        change::STORIES,
        secrets::STORIES,
        &firewall::stories(),
        &resilience::stories(),
        &trouble::stories(),
    ]
    .concat();
    let trials = stories
        .into_iter()
        .map(|(name, story)| Trial::test(name, story).with_ignored_flag(is_missing(name)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
