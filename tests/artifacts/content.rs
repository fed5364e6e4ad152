//! What files hold, against a model of a file as a list of bytes.

#![expect(clippy::cast_possible_truncation, reason = "sizes of these tests are small")]

use mirrordna::artifacts::{Allocate, Ino, MAX_FILE_BYTES, Seek, SetAttributes, WriteOptions};
use proptest::prelude::*;

use crate::support::{Fixture, SLOT, code};

/// As large as files of the model get: some slots, and one that is not whole.
const END: u64 = 5 * SLOT + 1_000;

#[derive(Clone, Debug)]
enum Step {
    Write(u8, u64, u64),
    Truncate(u8, u64),
    Punch(u8, u64, u64),
    Zero(u8, u64, u64, bool),
    Copy(u8, u64, u8, u64, u64),
    Read(u8, u64, u64),
    Commit,
    Sync(u8),
    Reopen,
}

fn place() -> impl Strategy<Value = u64> {
    // Many of them meet: ends of slots, pages, and any.
    prop_oneof![(0..=5_u64).prop_map(|slot| slot * SLOT), (0..=160_u64).prop_map(|page| page * 4_096), 0..END]
}

fn len() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1), Just(4_096), Just(SLOT), 1..9_000_u64, 1..3 * SLOT]
}

fn step() -> impl Strategy<Value = Step> {
    let file = || 0..2_u8;
    prop_oneof![
        12 => (file(), place(), len()).prop_map(|(file, at, len)| Step::Write(file, at, len)),
        3 => (file(), place()).prop_map(|(file, size)| Step::Truncate(file, size)),
        3 => (file(), place(), len()).prop_map(|(file, at, len)| Step::Punch(file, at, len)),
        2 => (file(), place(), len(), any::<bool>()).prop_map(|(file, at, len, keep)| Step::Zero(file, at, len, keep)),
        4 => (file(), place(), file(), place(), len()).prop_map(|(a, at, b, to, len)| Step::Copy(a, at, b, to, len)),
        4 => (file(), place(), len()).prop_map(|(file, at, len)| Step::Read(file, at, len)),
        3 => Just(Step::Commit),
        1 => file().prop_map(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

/// A file as it should be: its bytes, and which of them are certainly data.
#[derive(Default)]
struct Model(Vec<u8>);

impl Model {
    fn write(&mut self, at: u64, bytes: &[u8]) {
        let (at, end) = (at as usize, at as usize + bytes.len());
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        self.0[at..end].copy_from_slice(bytes);
    }

    fn zero(&mut self, at: u64, len: u64) {
        let end = (at + len).min(self.0.len() as u64);
        if at < end {
            self.0[at as usize..end as usize].fill(0);
        }
    }
}

/// Bytes that are different everywhere and each time.
fn bytes(seed: usize, len: u64) -> Vec<u8> {
    (0..len).map(|n| (n as usize).wrapping_mul(31).wrapping_add(seed * 7 + 1) as u8 | 1).collect()
}

fn check(fixture: &Fixture, ino: Ino, model: &Model) -> Result<(), TestCaseError> {
    let attributes = fixture.files.attributes(ino).unwrap();
    prop_assert_eq!(attributes.size, model.0.len() as u64);
    prop_assert!(fixture.all(ino) == model.0, "content differs");
    // What the file system calls a hole is zeros, and the blocks are those of what it calls data.
    let (mut at, mut data) = (0, 0);
    while let Ok(begin) = fixture.files.seek(ino, at, Seek::Data) {
        prop_assert!(model.0[at as usize..begin as usize].iter().all(|byte| *byte == 0));
        let end = fixture.files.seek(ino, begin, Seek::Hole).unwrap();
        prop_assert!(end > begin);
        data += end - begin;
        at = end;
    }
    prop_assert!(model.0[at as usize..].iter().all(|byte| *byte == 0));
    prop_assert_eq!(attributes.blocks, data.div_ceil(4_096) * 8);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_file_is_what_was_written_into_it(steps in proptest::collection::vec(step(), 1..60)) {
        let mut fixture = Fixture::new();
        let files = [fixture.file("a"), fixture.file("b")];
        let mut models = [Model::default(), Model::default()];
        for (seed, step) in steps.into_iter().enumerate() {
            match step {
                Step::Write(file, at, len) => {
                    let bytes = bytes(seed, len);
                    fixture.write(files[file as usize], at, &bytes);
                    models[file as usize].write(at, &bytes);
                }
                Step::Truncate(file, size) => {
                    let set = SetAttributes { size: Some(size), ..SetAttributes::default() };
                    fixture.files.set_attributes(files[file as usize], &set).unwrap();
                    models[file as usize].0.resize(size as usize, 0);
                }
                Step::Punch(file, at, len) => {
                    fixture.files.allocate(files[file as usize], Allocate::PunchHole, at, len).unwrap();
                    models[file as usize].zero(at, len);
                }
                Step::Zero(file, at, len, keep_size) => {
                    fixture.files.allocate(files[file as usize], Allocate::ZeroRange { keep_size }, at, len).unwrap();
                    let model = &mut models[file as usize];
                    model.zero(at, len);
                    if !keep_size && model.0.len() < (at + len) as usize {
                        model.0.resize((at + len) as usize, 0);
                    }
                }
                Step::Copy(from, at, to, to_at, len) => {
                    let source = &models[from as usize].0;
                    let copied: Vec<u8> = source.iter().skip(at as usize).take(len as usize).copied().collect();
                    let overlap = from == to && at < to_at + copied.len() as u64 && to_at < at + copied.len() as u64;
                    let answer = fixture.files.copy_range(files[from as usize], at, files[to as usize], to_at, len);
                    if overlap && !copied.is_empty() {
                        prop_assert_eq!(code(answer), "EINVAL");
                    } else {
                        prop_assert_eq!(answer.unwrap(), copied.len() as u64);
                        if !copied.is_empty() {
                            models[to as usize].write(to_at, &copied);
                        }
                    }
                }
                Step::Read(file, at, len) => {
                    let model = &models[file as usize].0;
                    let expected: Vec<u8> = model.iter().skip(at as usize).take(len as usize).copied().collect();
                    prop_assert!(fixture.read(files[file as usize], at, len as usize) == expected);
                }
                Step::Commit => fixture.commit(),
                Step::Sync(file) => fixture.files.sync(files[file as usize], seed % 2 == 0).unwrap(),
                Step::Reopen => fixture = fixture.reopen(),
            }
        }
        for (ino, model) in files.iter().zip(&models) {
            check(&fixture, *ino, model)?;
        }
        fixture = fixture.reopen();
        for (ino, model) in files.iter().zip(&models) {
            check(&fixture, *ino, model)?;
        }
        fixture.verify();
    }
}

#[test]
fn holes_cost_nothing_and_are_found() {
    let fixture = Fixture::new();
    let ino = fixture.file("sparse");
    fixture.write(ino, 5 << 40, b"far");
    fixture.write(ino, 10, b"near");
    for round in 0..2 {
        let seek = |at, seek| fixture.files.seek(ino, at, seek);
        assert_eq!(seek(0, Seek::Data).unwrap(), 10);
        assert_eq!(seek(0, Seek::Hole).unwrap(), 0);
        assert_eq!(seek(11, Seek::Hole).unwrap(), 14);
        assert_eq!(seek(14, Seek::Data).unwrap(), 5 << 40);
        assert_eq!(seek(5 << 40, Seek::Hole).unwrap(), (5 << 40) + 3);
        assert_eq!(code(seek((5 << 40) + 3, Seek::Data)), "ENXIO");
        assert_eq!(code(seek((5 << 40) + 3, Seek::Hole)), "ENXIO");
        assert_eq!(fixture.read(ino, 8, 8), b"\0\0near\0\0");
        assert_eq!(fixture.files.attributes(ino).unwrap().blocks, 8);
        if round == 0 {
            fixture.commit();
        }
    }
    let set = SetAttributes { size: Some(12), ..SetAttributes::default() };
    assert_eq!(fixture.files.set_attributes(ino, &set).unwrap().size, 12);
    let set = SetAttributes { size: Some(20), ..SetAttributes::default() };
    fixture.files.set_attributes(ino, &set).unwrap();
    assert_eq!(fixture.all(ino), b"\0\0\0\0\0\0\0\0\0\0ne\0\0\0\0\0\0\0\0");
    assert_eq!(code(fixture.files.seek(ino, 12, Seek::Data)), "ENXIO");
}

#[test]
fn sizes_have_an_end() {
    let fixture = Fixture::new();
    let ino = fixture.file("large");
    let write = |at| fixture.files.write(ino, at, b"x", WriteOptions::default());
    assert_eq!(write(MAX_FILE_BYTES - 1).unwrap(), 1);
    assert_eq!(code(write(MAX_FILE_BYTES)), "EFBIG");
    assert_eq!(code(write(u64::MAX)), "EFBIG");
    let size =
        |size| fixture.files.set_attributes(ino, &SetAttributes { size: Some(size), ..SetAttributes::default() });
    assert_eq!(code(size(MAX_FILE_BYTES + 1)), "EFBIG");
    assert_eq!(code(fixture.files.allocate(ino, Allocate::Extend, MAX_FILE_BYTES, 1)), "EFBIG");
    assert_eq!(code(fixture.files.allocate(ino, Allocate::Extend, 0, 0)), "EINVAL");
    // There is no room for so much.
    assert_eq!(code(fixture.files.allocate(ino, Allocate::KeepSize, 0, MAX_FILE_BYTES)), "ENOSPC");
    assert_eq!(fixture.read(ino, MAX_FILE_BYTES - 3, 10), b"\0\0x");
    assert_eq!(size(0).unwrap().blocks, 0);
    let dir = fixture.dir("dir");
    assert_eq!(code(fixture.files.write(dir, 0, b"x", WriteOptions::default())), "EISDIR");
    assert_eq!(code(fixture.files.read(dir, 0, &mut [0])), "EISDIR");
}

#[test]
fn allocating_extends_or_keeps_the_size() {
    let fixture = Fixture::new();
    let ino = fixture.file("f");
    fixture.write(ino, 0, &[1; 100]);
    let size = || fixture.files.attributes(ino).unwrap().size;
    fixture.files.allocate(ino, Allocate::KeepSize, 0, 1_000).unwrap();
    assert_eq!(size(), 100);
    fixture.files.allocate(ino, Allocate::Extend, 50, 1_000).unwrap();
    assert_eq!(size(), 1_050);
    fixture.files.allocate(ino, Allocate::PunchHole, 10, 5_000).unwrap();
    assert_eq!(size(), 1_050);
    fixture.files.allocate(ino, Allocate::ZeroRange { keep_size: true }, 0, 5_000).unwrap();
    assert_eq!(size(), 1_050);
    fixture.files.allocate(ino, Allocate::ZeroRange { keep_size: false }, 0, 5_000).unwrap();
    assert_eq!(fixture.all(ino), [0; 5_000]);
}

#[test]
fn a_file_of_many_random_writes_stays_within_its_memory_and_is_right() {
    let fixture = Fixture::new();
    let ino = fixture.file("random");
    let pages = 2_000_u64;
    let order = |round: u64| (0..pages).map(move |n| (n * 1_237 + round * 31) % pages);
    for round in 0..3 {
        for page in order(round) {
            fixture.write(ino, page * 4_096, &bytes((round * 7 + page) as usize, 4_096));
        }
        fixture.commit();
    }
    for page in 0..pages {
        assert!(fixture.read(ino, page * 4_096, 4_096) == bytes((14 + page) as usize, 4_096), "page {page}");
    }
    fixture.verify();
}

/// More files are worked on than stay in memory with the places of their content, again and again.
#[test]
fn files_whose_places_were_forgotten_are_as_they_were() {
    const FILES: u64 = 9_000;
    let fixture = Fixture::new();
    let inos: Vec<Ino> = (0..FILES).map(|n| fixture.file(&format!("file {n}"))).collect();
    let written = |round: u64, n: u64| bytes((round * FILES + n) as usize, 10 + n % 90);
    for round in 0..3 {
        for (n, ino) in (0..).zip(&inos) {
            if round > 0 {
                assert_eq!(fixture.all(*ino), written(round - 1, n), "file {n}");
            }
            fixture.write(*ino, 0, &written(round, n));
        }
        fixture.commit();
    }
    let fixture = fixture.reopen();
    for (n, ino) in (0..).zip(&inos) {
        assert_eq!(fixture.all(*ino), written(2, n), "file {n}");
    }
    fixture.verify();
}
