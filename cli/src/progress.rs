//! Progress of long work: a bar with rate and time left, on stderr.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const SPINNER: &str = "{msg:10} {spinner} {elapsed}";
const BYTES: &str = "{msg:10} [{bar:30}] {percent:>3}%  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";
const STEPS: &str = "{msg:10} [{bar:30}] {percent:>3}%  {human_pos} of {human_len}  {rate}/s  {eta} left";
/// How often it is drawn, in times a second.
const HERTZ: u8 = 10;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of files.
    Bytes,
    /// Records, log entries, or whatever the work consists of.
    Steps,
}

/// A progress bar; one that nobody sees costs nothing. Clones are the same bar; with the last of them it is wiped, so that
/// only results and notes stay on the screen.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    unit: Unit,
}

impl Progress {
    /// A bar of work whose size is not known yet.
    pub(crate) fn new(what: &'static str, unit: Unit, seen: bool) -> Self {
        let target = if seen { ProgressDrawTarget::stderr_with_hz(HERTZ) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_message(what);
        bar.set_style(style(SPINNER));
        if seen {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, unit }
    }

    /// So much is done of so much.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            if self.bar.length().is_none() {
                self.bar.set_style(style(match self.unit {
                    Unit::Bytes => BYTES,
                    Unit::Steps => STEPS,
                }));
            }
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    /// From now on something else is done.
    pub(crate) fn rename(&self, what: &'static str) {
        self.bar.set_message(what);
    }
}

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative")]
        let rate = state.per_sec() as u64;
        // Writing to the line that is being drawn cannot fail.
        let _ = write!(out, "{}", HumanCount(rate));
    };
    // A template that cannot be read is a mistake of ours, and the plain bar does as well.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", rate).progress_chars("=> ")
}
