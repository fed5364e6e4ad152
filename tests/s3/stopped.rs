//! Work that is stopped while a request is under way ends soon, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mirrordna::backup::{BackupError, CreateOptions, Destination, Folder, Repository, Silent};
use mirrordna_s3::{Limits, S3, Settings};

use crate::proxy::Fault;
use crate::server::{OWNER, variables};
use crate::support::{Fixture, direct, init, location, open, passphrase, proxy, sound};

/// A backup is stopped while a pack is on its way to a server that does not answer. Its lock is gone, and nothing else harmed.
#[test]
fn a_backup_is_stopped_while_a_pack_is_on_its_way() {
    let fixture = Fixture::new();
    let destination = direct("stopped");
    init(Arc::clone(&destination));
    let stopped = Arc::new(AtomicBool::new(false));
    let proxy = proxy();
    let stop = Arc::clone(&stopped);
    proxy.rule(move |request| {
        let pack = request.method == "PUT" && request.target.contains("/packs/");
        if pack {
            stop.store(true, Ordering::Relaxed);
        }
        pack.then_some(Fault::Silence)
    });
    // Without being stopped this would take hours.
    let limits = Limits { request: Duration::from_secs(36_000), ..Limits::default() };
    let settings = Settings::from_variables(variables(&proxy.endpoint, OWNER)).with_limits(limits);
    let settings = settings.stopped_when(move || stopped.load(Ordering::Relaxed));
    let slow = Arc::new(S3::new(location("stopped"), &settings).unwrap());
    let repository = Repository::open(slow, &passphrase("right")).unwrap();
    let done = repository.create(&fixture.vault, &CreateOptions::default(), &mut Silent);
    assert!(matches!(done, Err(BackupError::Interrupted { .. })), "{done:?}");
    assert_eq!(destination.list(Folder::Locks).unwrap(), []);
    assert_eq!(destination.list(Folder::Packs).unwrap(), []);
    let repository = open(destination);
    fixture.create(&repository);
    sound(&repository);
    fixture.restores(&repository, "restored");
}
