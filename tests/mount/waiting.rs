//! Waiting for what nobody is told of, and seeing who waits in vain.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Waits until something holds, and fails when it never does.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Counts how often somebody waited for the kernel in vain, which the mount says in its log.
struct Unheard;

static UNHEARD: AtomicUsize = AtomicUsize::new(0);

impl tracing::Subscriber for Unheard {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR && metadata.target() == "mirrordna::mount"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if event.fields().any(|field| field.name() == "waiting") {
            UNHEARD.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// How often somebody waited for the kernel in vain, since this was called first.
pub(crate) fn unheard() -> usize {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Unheard).unwrap());
    UNHEARD.load(Ordering::SeqCst)
}
