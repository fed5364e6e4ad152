//! Audit events: one for every change of a vault, and one for every refused one. They say what was done, to what and by
//! whom, and nothing of what a record holds.

use std::fmt::Display;

use crate::record::Kind;
use crate::storage::{Action, Change, Committed, Origin};

/// The target of audit events.
pub(crate) const TARGET: &str = "mirrordna::audit";

/// What there will be to say of a commit, noted before the storage takes its changes over.
pub(super) struct Planned(Vec<(&'static str, Kind, String)>);

impl Planned {
    pub(super) fn of(changes: &[Change]) -> Self {
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return Self(Vec::new());
        }
        let action = |action: &Action| match action {
            Action::Put(_) => "put",
            Action::Delete => "delete",
        };
        Self(changes.iter().map(|change| (action(&change.action), change.kind, change.id.clone())).collect())
    }

    /// The commit was made.
    pub(super) fn done(self, committed: &Committed, origin: Origin, actor: &str) {
        for ((action, kind, id), sequence) in self.0.into_iter().zip(committed.first..) {
            let (collection, origin) = (kind.collection(), origin.name());
            tracing::info!(target: TARGET, action, collection, id, sequence, origin, actor);
        }
    }
}

/// A change of a record was refused.
pub(super) fn record_refused(action: &str, kind: Kind, id: &str, actor: &str, reason: &dyn Display) {
    tracing::warn!(target: TARGET, action, collection = kind.collection(), id, actor, refused = %reason);
}

/// A change of a vault as a whole was refused. `vault` is its id, or its directory while it has none.
pub(crate) fn vault_refused(action: &str, vault: &dyn Display, actor: &str, reason: &dyn Display) {
    tracing::warn!(target: TARGET, action, %vault, actor, refused = %reason);
}
