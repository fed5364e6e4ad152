//! Progress of long work: a bar with rate and time left, on stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BAR: &str = "{msg:10} {wide_bar} {percent:>3}% {human_pos}/{human_len} {per_sec} {eta} left";
const SPINNER: &str = "{msg:10} {spinner} {elapsed}";
/// How often it is drawn, in times a second.
const RATE: u8 = 10;

/// A progress bar; one that nobody sees costs nothing.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of work whose size is not known yet.
    pub(crate) fn new(what: &'static str, seen: bool) -> Self {
        let target = if seen { ProgressDrawTarget::stderr_with_hz(RATE) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_message(what);
        bar.set_style(style(SPINNER));
        if seen {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self(bar)
    }

    /// So much is done of so much.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        if self.0.length() != Some(total) {
            if self.0.length().is_none() {
                self.0.set_style(style(BAR));
            }
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    /// The line is wiped, so that only results and notes stay on the screen.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that cannot be read is a mistake of ours, and the plain bar does as well.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
