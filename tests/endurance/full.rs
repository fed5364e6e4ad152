//! The disk is full below a mounted vault.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::disk::SmallDisk;
use crate::place::{LONG, Place, memory};
use crate::random::pattern;
use crate::system::close;
use crate::texts::memory_text;

/// A vault on a small disk. What is declared first is gone last.
struct Small {
    place: Place,
    disk: SmallDisk,
}

impl Small {
    fn new(megabytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = SmallDisk::mount(&dir.path().join("disk"), &format!("{megabytes}m")).unwrap();
        let place = Place::for_vault(disk.0.join("vault"), dir);
        place.ok(&["init"]);
        Self { place, disk }
    }

    fn artifact(&self, name: &str) -> PathBuf {
        self.place.point.join("artifacts").join(name)
    }

    fn write_memory(&self, number: u32, text: &str) -> io::Result<()> {
        let id = format!("mem_{number:012}");
        let mut file = File::create(self.place.point.join(format!("memories/episodic/{id}.json")))?;
        file.write_all(memory_text(&id, text).as_bytes())?;
        file.sync_all()?;
        close(file)
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    close(file)
}

fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOSPC)
}

/// Who fills the disk through the mount is told `ENOSPC`; what was synced before is there, files can be removed and records
/// be written all the same, and the vault is sound. When the disk has grown and old content was pruned, there is room again.
#[test]
fn who_fills_the_disk_is_told() {
    let small = Small::new(160);
    let place = &small.place;
    let served = place.mount();
    let bytes = |number: u64| pattern(number, 0, 1_500_000);
    let mut kept = 0;
    let refused = loop {
        match write_file(&small.artifact(&kept.to_string()), &bytes(kept)) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 200, "160 MB never end");
    };
    assert!(is_full(&refused), "{refused}");
    assert!(kept > 20, "only {kept} files had room");
    // Small ones, too, one after the other.
    let refused = (0..)
        .find_map(|number| write_file(&small.artifact(&format!("small {number}")), &pattern(number, 0, 3_000)).err());
    assert!(is_full(&refused.unwrap()));
    for number in 0..kept {
        assert!(fs::read(small.artifact(&number.to_string())).unwrap() == bytes(number), "{number}");
    }
    // Records have room that files do not get.
    for number in 0..20 {
        small.write_memory(number, "there is room").unwrap();
    }
    fs::remove_file(small.artifact("0")).unwrap();
    for number in 1..kept / 2 {
        fs::remove_file(small.artifact(&number.to_string())).unwrap();
    }
    served.unmount();
    place.assert_clean();
    let served = place.mount();
    for number in kept / 2..kept {
        assert!(fs::read(small.artifact(&number.to_string())).unwrap() == bytes(number), "{number}");
    }
    // The command works on the vault that is mounted. What it moves together needs room before it gives some.
    small.disk.resize("240m");
    place.ok(&["prune", "--keep", "1"]);
    small.disk.resize("160m");
    write_file(&small.artifact("again"), &bytes(0)).unwrap();
    served.unmount();
    place.assert_clean();
    println!("{kept} files of 1.5 MB, then full; {}", memory());
}

/// Somebody else fills the disk: records and files are refused with `ENOSPC`, what is there can be read, and as soon as there
/// is room again, writing goes on in the same mount, and nothing that was acknowledged is lost.
#[test]
fn a_disk_that_others_fill_is_survived() {
    let small = Small::new(128);
    let place = &small.place;
    let served = place.mount();
    write_file(&small.artifact("kept"), &pattern(1, 0, 300_000)).unwrap();
    let mut acknowledged = Vec::new();
    let (mut refused_files, mut refused_records) = (0, 0);
    for round in 0..3 {
        small.disk.fill(0).unwrap();
        // What the engine has set aside for its log comes first.
        for number in round * 10_000..round * 10_000 + 5_000 {
            match small.write_memory(number, &"x".repeat(50_000)) {
                Ok(()) => acknowledged.push(number),
                Err(error) => {
                    assert!(is_full(&error), "{error}");
                    refused_records += 1;
                    break;
                }
            }
        }
        match write_file(&small.artifact(&format!("refused {round}")), &pattern(2, 0, 100_000)) {
            Ok(()) => {}
            Err(error) => {
                assert!(is_full(&error), "{error}");
                refused_files += 1;
            }
        }
        assert!(fs::read(small.artifact("kept")).unwrap() == pattern(1, 0, 300_000));
        small.disk.relieve();
        let begun = Instant::now();
        // The engine looks for room again by and by.
        loop {
            let written = small.write_memory(round * 10_000 + 9_999, "again");
            let file = write_file(&small.artifact(&format!("again {round}")), &pattern(3, 0, 100_000));
            match written.and(file) {
                Ok(()) => break,
                Err(error) => assert!(is_full(&error) && begun.elapsed() < LONG, "{error} with room again"),
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        acknowledged.push(round * 10_000 + 9_999);
    }
    assert!(
        refused_files == 3 && refused_records == 3,
        "{refused_files} files, {refused_records} records were refused"
    );
    served.unmount();
    place.assert_clean();
    let served = place.mount();
    for number in &acknowledged {
        let path = place.point.join(format!("memories/episodic/mem_{number:012}.json"));
        assert!(fs::read_to_string(&path).is_ok_and(|text| text.contains("content")), "{number}");
    }
    for round in 0..3 {
        assert!(fs::read(small.artifact(&format!("again {round}"))).unwrap() == pattern(3, 0, 100_000));
    }
    served.unmount();
    place.assert_clean();
    println!("{} records acknowledged around three full disks; {}", acknowledged.len(), memory());
}
