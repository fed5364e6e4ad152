//! Files that are made: one sequence from open to close, and a true size.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use mirrordna::vault::{NewSnapshot, Tier};
use mirrordna_mount::MountOptions;

use crate::sample;
use crate::support::Mount;
use crate::tools::everything;

/// Generated files show one sequence from open to close and a true size, whatever changes meanwhile.
#[test]
fn generated_files_stay_as_they_were_opened() {
    let mount = Mount::new(|vault| {
        sample::fill(vault);
        sample::import(vault, mirrordna::record::Kind::Memory, &sample::memories(Tier::Episodic, 5_000), false);
    });
    let session = sample::session(&mount.vault);
    let today = mount.sh("ls timeline | tail -1");
    let day = format!("timeline/{}", today.trim());
    for path in ["memories/episodic/SHA256SUMS", &day, ".vault/log.jsonl", ".vault/health.json", ".vault/root"] {
        let before = mount.read(path);
        let mut file = File::open(mount.path(path)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), before.len() as u64, "{path}");
        let mut start = vec![0; 30];
        file.read_exact(&mut start).unwrap();
        sample::memory(&mount.vault, &session, Tier::Episodic, "something new".into());
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).unwrap();
        start.extend(rest);
        assert!(start == before.as_bytes(), "{path}");
        assert_eq!(file.metadata().unwrap().len(), before.len() as u64, "{path} as it was opened");
        let mut anew = File::open(mount.path(path)).unwrap();
        let mut after = String::new();
        anew.read_to_string(&mut after).unwrap();
        assert!(after != before, "{path} is another one when it is opened again");
        assert_eq!(anew.metadata().unwrap().len(), after.len() as u64, "{path}");
        let mut byte = [0];
        assert_eq!(anew.read_at(&mut byte, after.len() as u64).unwrap(), 0);
        drop((file, anew));
        assert_eq!(
            std::fs::metadata(mount.path(path)).unwrap().len(),
            after.len() as u64,
            "{path} when nobody has it open"
        );
    }
}

/// A `SHA256SUMS` follows each change, and appears and goes with the first and the last file.
#[test]
fn checksums_follow_each_change() {
    let mount = Mount::new(|_| {});
    assert!(!mount.path("sessions/SHA256SUMS").exists());
    assert_eq!(mount.sh("ls sessions snapshots timeline"), "sessions:\n\nsnapshots:\n\ntimeline:\n");
    let session = sample::session(&mount.vault);
    mount.sh("cd sessions && sha256sum -c --quiet SHA256SUMS");
    assert_eq!(mount.sh("ls sessions").lines().count(), 2);
    mount.vault.sessions().end(&session, None).unwrap();
    mount.sh("cd sessions && sha256sum -c --quiet SHA256SUMS");
    mount.vault.delete(mirrordna::record::Kind::Session, &session).unwrap();
    assert!(!mount.path("sessions/SHA256SUMS").exists());
    assert_eq!(mount.sh("ls sessions"), "");
}

/// The timeline has a file a day, one event a line, oldest first, and shows an event at once.
#[test]
fn the_timeline_shows_an_event_at_once() {
    let mount = everything();
    assert_eq!(mount.sh("ls timeline").lines().count(), 4);
    let before = mount.sh("cat timeline/*.jsonl | wc -l");
    let event = sample::value(&format!(
        r#"{{"id":"evt_20180101000000_0001","timestamp":"2018-01-01T00:00:01Z","event_type":"custom","actor":"{}"}}"#,
        sample::USER
    ));
    assert!(!mount.path("timeline/2018-01-01.jsonl").exists());
    mount.vault.put(mirrordna::record::Kind::Event, event).unwrap();
    assert_eq!(mount.sh("ls timeline | head -2"), "2018-01-01.jsonl\n2019-02-28.jsonl\n");
    assert_eq!(mount.sh("jq -r .timestamp timeline/2018-01-01.jsonl"), "2018-01-01T00:00:01Z\n");
    let after = mount.sh("cat timeline/*.jsonl | wc -l");
    assert_eq!(after.trim().parse::<u32>().unwrap(), before.trim().parse::<u32>().unwrap() + 1);
    assert_eq!(mount.sh("cd timeline && sha256sum -c --quiet SHA256SUMS"), "");
}

/// The files of a snapshot are the same each time, in every mount; `latest` leads to the newest.
#[test]
fn snapshot_files_are_stable() {
    let mut mount = everything();
    let first = mount.sh("sha256sum snapshots/snap_*.*");
    assert_eq!(mount.sh("jq -r .checksum snapshots/snap_a.json | wc -c"), "65\n");
    mount.mounted.take().unwrap().unmount().unwrap();
    let session = sample::session(&mount.vault);
    sample::memory(&mount.vault, &session, Tier::LongTerm, "later".into());
    mount.mounted = Some(mirrordna_mount::mount(mount.vault.clone(), &mount.point, &MountOptions::default()).unwrap());
    assert_eq!(mount.sh("sha256sum snapshots/snap_*.*"), first);
    assert_eq!(mount.sh("readlink snapshots/latest; ls snapshots/latest/ | wc -l"), "snap_b\n13\n");
    mount.vault.snapshots().create(NewSnapshot { id: Some("snap_c".into()), ..NewSnapshot::default() }).unwrap();
    assert_eq!(mount.sh("readlink snapshots/latest"), "snap_c\n");
    assert_eq!(mount.sh("ls snapshots/latest/memories/long_term").lines().count(), 5);
    mount.vault.snapshots().delete("snap_c").unwrap();
    assert_eq!(
        mount.sh("readlink snapshots/latest; ls snapshots"),
        "snap_b\nSHA256SUMS\nlatest\nsnap_a\nsnap_a.json\nsnap_a.yaml\nsnap_b\nsnap_b.json\nsnap_b.yaml\n"
    );
}
