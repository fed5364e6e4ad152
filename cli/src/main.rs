//! The `mirrordna` command: every operation of a vault, for people and for scripts.
//!
//! It translates and never decides: arguments become calls of the library, and what comes back becomes text or JSON on
//! stdout. Everything else (errors, notes, progress, logs) goes to stderr.
#![forbid(unsafe_code)]
#![allow(clippy::doc_markdown, reason = "doc comments of arguments are their help, where backticks would be shown")]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod advice;
mod args;
mod commands;
mod context;
mod describe;
mod error;
mod exit;
mod globals;
mod helper;
mod input;
mod interrupt;
mod listing;
mod logging;
mod output;
mod progress;
mod time;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before there are threads.
    mirrordna_mount::keep_little_memory();
    let (globals, command) = match args::parse(helper::arguments(std::env::args_os().collect())) {
        Ok(parsed) => parsed,
        Err(answer) => return answer.tell(),
    };
    let context = match context::Context::new(globals) {
        Ok(context) => context,
        Err(failure) => {
            logging::plain_error(&failure);
            return exit::code(&failure).into();
        }
    };
    let done = commands::run(command, &context).and_then(|()| Ok(context.output().flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error::Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            // What was printed before the failure comes before its message; if it cannot be printed, the failure counts.
            let _ = context.output().flush();
            context.error(&failure);
            exit::code(&failure).into()
        }
    }
}
