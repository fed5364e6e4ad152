//! Very many files at once.

use std::fs;
use std::path::PathBuf;

use crate::counts;
use crate::place::{Place, memory};
use crate::random::pattern;

/// Files of a directory.
const TOGETHER: u64 = 1_000;

/// Very many files are made, listed, looked at and read: the process of the mount does not take more memory than it may, and
/// when the kernel has forgotten them, it holds none of them any more.
#[test]
fn very_many_files_do_not_take_all_memory() {
    let count = counts::files();
    let place = Place::with_vault();
    let served = place.mount();
    let first = place.tables();
    let directory = |number: u64| place.point.join(format!("artifacts/{}", number / TOGETHER));
    let path = |number: u64| -> PathBuf { directory(number).join(format!("file {number}")) };
    for number in 0..count {
        if number % TOGETHER == 0 {
            fs::create_dir(directory(number)).unwrap();
        }
        fs::write(path(number), pattern(number, 0, 100 + usize::try_from(number % 1_000).unwrap())).unwrap();
    }
    let mut seen = 0;
    for listed in (0..count).step_by(usize::try_from(TOGETHER).unwrap()).map(directory) {
        for entry in fs::read_dir(listed).unwrap() {
            assert!(entry.unwrap().metadata().unwrap().len() >= 100);
            seen += 1;
        }
    }
    assert_eq!(seen, count);
    let held = place.tables();
    for number in (0..count).step_by(7) {
        let found = fs::read(path(number)).unwrap();
        assert!(found == pattern(number, 0, found.len()) && found.len() >= 100, "{number}");
    }
    place.assert_nothing_leaked(&first);
    let peak = served.peak_kib() / 1_000;
    served.unmount();
    println!("{count} files; the kernel knew {held:?}, then {first:?}; {peak} MB; {}", memory());
    place.assert_clean();
    place.assert_no_errors();
}
