//! What a bug in provision itself says, and how it ends.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use console::Term;

use super::exit::Exit;
use crate::report::print_aside;
use crate::text::harmless;

/// Where to report it; blank where the package names no place.
const WHERE: &str = env!("CARGO_PKG_REPOSITORY");

/// From now on a panic in any thread says what to report, and ends the program as `Exit::Bug` does.
pub fn ends_the_program() {
    std::panic::set_hook(Box::new(|panic| {
        let term = Term::stderr();
        if term.is_term() {
            let _ = term.show_cursor();
        }
        let backtrace = Backtrace::capture();
        let trace = match backtrace.status() {
            BacktraceStatus::Captured => format!("{backtrace}\n"),
            _ => String::new(),
        };
        print_aside(&(trace + &report(panic)));
        std::process::exit(Exit::Bug as i32);
    }));
}

fn report(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let what = payload.downcast_ref::<&str>().copied();
    let what = what.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
    let place = place.unwrap_or_default();
    let to = if WHERE.is_empty() { String::new() } else { format!(" at {WHERE}/issues") };
    format!(
        "error: this is a bug in provision {}: {}{place}\n\
         help: please report it{to}, with these lines, the command and what it printed before\n\
         help: a run that has begun continues on the host: `provision status HOST` shows it\n",
        env!("CARGO_PKG_VERSION"),
        harmless(what.unwrap_or("it ended unexpectedly"))
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// In a process of its own, which the hook ends.
    #[test]
    fn a_panic_is_a_bug() {
        const INSIDE: &str = "PROVISION_TEST_OF_A_BUG";
        if let Ok(how) = std::env::var(INSIDE) {
            super::ends_the_program();
            let index: usize = how.parse().unwrap_or(7);
            match how.as_str() {
                "thread" => std::thread::spawn(|| panic!("in\x1b[2J a thread")).join().unwrap_or_default(),
                _ => assert_eq!(std::hint::black_box([1, 2])[index], 0),
            }
            return;
        }
        for (how, said) in
            [("9", "index out of bounds: the len is 2 but the index is 9"), ("thread", "in\\x1b[2J a thread")]
        {
            let output = Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", "commands::bug::tests::a_panic_is_a_bug", "--nocapture"])
                .env(INSIDE, how)
                .env_remove("RUST_BACKTRACE")
                .output()
                .expect("this test");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            let first = format!(
                "error: this is a bug in provision {}: {said} (src/commands/bug.rs:",
                env!("CARGO_PKG_VERSION")
            );
            assert!(stderr.contains(&first), "{stderr}");
            assert!(stderr.contains("help: please report it"), "{stderr}");
        }
    }
}
