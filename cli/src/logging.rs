//! Notes and errors on stderr, and setting up logs.

use std::io::Write as _;

use mirrordna::observe::{self, LogOptions};

use crate::advice::Told;
use crate::error::{Failure, Result};
use crate::exit;
use crate::globals::Globals;
use crate::output::plain;

/// Where notes and errors for the user go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Lines of text on stderr.
    Text,
    /// Lines of text on stderr, and events in the log file.
    TextAndLog,
    /// Events alone, since whoever reads stderr expects nothing but JSON there.
    Log,
}

/// Sets up logs as the global options say.
pub(crate) fn init(globals: &Globals, color: bool) -> Result<Channel> {
    let channel = match (&globals.log_file, globals.structured_logs) {
        (Some(_), _) => Channel::TextAndLog,
        (None, true) => Channel::Log,
        (None, false) => Channel::Text,
    };
    let by_default = match globals.verbose {
        // A refused change is an error message already, and a fault stands in the report of `verify`. A log that is kept
        // tells every change.
        0 if channel == Channel::Text => "warn,mirrordna::audit=off,mirrordna::verify=off",
        0 => "warn,mirrordna::audit=info,mirrordna::cli=info",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let level = globals.log_level.clone().unwrap_or_else(|| by_default.to_owned());
    let (file, structured) = (globals.log_file.clone(), globals.structured_logs);
    observe::init(&LogOptions { level, file, structured, color: color && globals.log_file.is_none() })?;
    Ok(channel)
}

impl Channel {
    /// Says why the command fails.
    pub(crate) fn error(self, failure: &Failure, color: bool) {
        if self != Self::Text {
            let code = exit::code(failure).number();
            tracing::error!(target: "mirrordna::cli", code, "{}", Told(failure));
        }
        if self != Self::Log {
            print_error(failure, color);
        }
    }

    /// Says something that is no result.
    pub(crate) fn note(self, text: &str) {
        if self != Self::Text {
            tracing::info!(target: "mirrordna::cli", "{text}");
        }
        if self != Self::Log {
            // Notes are a courtesy: one that cannot be printed changes nothing.
            let _ = writeln!(std::io::stderr(), "{}", plain(text));
        }
    }
}

/// Says why the command fails before there are logs.
pub(crate) fn plain_error(failure: &Failure) {
    print_error(failure, false);
}

fn print_error(failure: &Failure, color: bool) {
    let (red, reset) = if color { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    // There is nobody left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "{red}error:{reset} {}", plain(&Told(failure).to_string()));
}
