//! Parse, dispatch, exit code; nothing else.

use std::process::ExitCode;

use provision::cli::Cli;

fn main() -> ExitCode {
    provision::commands::run(Cli::read()).into()
}
