//! Very many and very large records that are written and not finished.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use crate::place::{Place, memory};
use crate::texts::memory_text;

/// Half-written records share a limited memory: whoever writes beyond it is told `ENOSPC` and finds the reason in
/// `.vault/last-error`; the others go on, and the process of the mount does not take more than it may.
#[test]
fn half_written_records_share_a_limited_memory() {
    let place = Place::with_vault();
    let served = place.mount();
    let first = place.tables();
    let path = |number: usize| place.point.join(format!("memories/episodic/mem_{number:012}.json"));
    let (mut open, mut refused) = (Vec::new(), 0);
    for number in 0..40 {
        let file = File::create(path(number)).unwrap();
        let mut text = memory_text(&format!("mem_{number:012}"), &"x".repeat(10 << 20)).into_bytes();
        text.truncate(10 << 20);
        match file.write_all_at(&text, 0) {
            Ok(()) => open.push((number, file)),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::ENOSPC), "{error}");
                refused += 1;
            }
        }
    }
    assert!(open.len() >= 10 && refused >= 20, "{} were taken, {refused} refused", open.len());
    let reason = std::fs::read_to_string(place.point.join(".vault/last-error")).unwrap();
    assert!(reason.contains("mem_000000000039.json") && reason.contains("bytes in all"), "{reason}");
    // One becomes a record all the same, and the others nothing.
    let (number, mut one) = open.remove(0);
    one.set_len(0).unwrap();
    one.write_all_at(memory_text(&format!("mem_{number:012}"), "whole").as_bytes(), 0).unwrap();
    one.flush().unwrap();
    drop((one, open));
    assert!(std::fs::read_to_string(path(number)).unwrap().contains("whole"));
    place.assert_nothing_leaked(&first);
    assert_eq!(std::fs::read_dir(path(0).parent().unwrap()).unwrap().count(), 2, "the record and SHA256SUMS");
    served.unmount();
    println!("{}", memory());
    place.assert_clean();
}
