//! How much is done: what the environment says, or else little enough for a test suite.

use std::time::Duration;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is no number")),
        Err(_) => otherwise,
    }
}

/// How often the process of the mount is killed.
pub(crate) fn kills() -> u64 {
    number("MIRRORDNA_ENDURANCE_KILLS", 15)
}

/// How often the power is cut.
pub(crate) fn cuts() -> u64 {
    number("MIRRORDNA_ENDURANCE_CUTS", 5)
}

/// How long processes and threads work at once.
pub(crate) fn work() -> Duration {
    Duration::from_secs(number("MIRRORDNA_ENDURANCE_SECONDS", 15))
}

/// What all that is random follows from.
pub(crate) fn seed() -> u64 {
    number("MIRRORDNA_ENDURANCE_SEED", 1)
}

/// Within what time another must take over when the owner is killed. No bound unless one is given, since a test suite
/// shares its machine.
pub(crate) fn take_over() -> Option<Duration> {
    let millis = number("MIRRORDNA_ENDURANCE_TAKE_OVER_MS", 0);
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// How many files a mount has at once.
pub(crate) fn files() -> u64 {
    number("MIRRORDNA_ENDURANCE_FILES", 5_000)
}
