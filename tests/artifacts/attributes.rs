//! Modes, owners, times and extended attributes, as on other Linux file systems, and how they are committed.

use mirrordna::artifacts::{Caller, NewNode, ROOT, RenameFlags, SetAttributes, SetTime, WriteOptions, XattrMode};

use crate::support::{Fixture, code};

#[test]
fn times_follow_what_is_done() {
    let fixture = Fixture::new();
    let (ino, dir) = (fixture.file("f"), fixture.dir("d"));
    let stat = |ino| fixture.files.attributes(ino).unwrap();
    // All times of both are put into the past before each operation, so that what it sets is seen.
    let past = SetAttributes {
        atime: Some(SetTime::At(1)),
        mtime: Some(SetTime::At(2)),
        ctime: Some(3),
        ..SetAttributes::default()
    };
    let age = || {
        for ino in [ino, dir, ROOT] {
            fixture.files.set_attributes(ino, &past).unwrap();
        }
    };
    let new = |ino| {
        let stat = stat(ino);
        (stat.atime > 1, stat.mtime > 2, stat.ctime > 3)
    };
    age();
    assert_eq!(new(ino), (false, false, false));
    fixture.write(ino, 0, b"x");
    assert_eq!((new(ino), new(ROOT)), ((false, true, true), (false, false, false)));
    age();
    fixture.files.write(ino, 0, b"y", WriteOptions { keep_times: true, kill_set_id: false }).unwrap();
    assert_eq!(new(ino), (false, false, false));
    fixture.files.set_attributes(ino, &SetAttributes { size: Some(1), ..SetAttributes::default() }).unwrap();
    assert_eq!(new(ino), (false, true, true));
    age();
    fixture.files.set_attributes(ino, &SetAttributes { mode: Some(0o600), ..SetAttributes::default() }).unwrap();
    assert_eq!(new(ino), (false, false, true));
    age();
    fixture.files.link(ino, dir, b"l").unwrap();
    assert_eq!((new(ino), new(dir)), ((false, false, true), (false, true, true)));
    age();
    fixture.files.rename(dir, b"l", ROOT, b"m", RenameFlags::default()).unwrap();
    assert_eq!((new(ino), new(dir), new(ROOT)), ((false, false, true), (false, true, true), (false, true, true)));
    age();
    fixture.files.unlink(ROOT, b"m").unwrap();
    assert_eq!((new(ino), new(ROOT)), ((false, false, true), (false, true, true)));
    age();
    fixture.files.set_xattr(ino, b"user.a", b"", XattrMode::Any).unwrap();
    assert_eq!(new(ino), (false, false, true));
    age();
    fixture.read(ino, 0, 1);
    assert_eq!(new(ino), (false, false, false));
    let far = SetAttributes { atime: Some(SetTime::At(i128::from(i64::MAX) * 4)), ..SetAttributes::default() };
    fixture.files.set_attributes(ino, &far).unwrap();
    let far = fixture.reopen().files.attributes(ino).unwrap();
    assert_eq!((far.atime, far.mtime), (i128::from(i64::MAX) * 4, 2));
}

#[test]
fn set_id_bits_go_with_new_owners_and_strange_writes_and_groups_are_inherited() {
    let fixture = Fixture::new();
    let ino = fixture.file("f");
    let mode = |set: SetAttributes| fixture.files.set_attributes(ino, &set).unwrap().mode;
    let bits = |mode| SetAttributes { mode: Some(mode), ..SetAttributes::default() };
    assert_eq!(mode(bits(0o6777)), 0o6777);
    assert_eq!(mode(SetAttributes { uid: Some(7), ..SetAttributes::default() }), 0o777);
    // Without the right to execute for the group, the bit means something else.
    assert_eq!(mode(bits(0o6767)), 0o6767);
    assert_eq!(mode(SetAttributes { gid: Some(7), ..SetAttributes::default() }), 0o2767);
    assert_eq!(mode(SetAttributes { uid: Some(8), ..bits(0o4755) }), 0o4755);
    fixture.files.set_xattr(ino, b"security.capability", b"all", XattrMode::Any).unwrap();
    fixture.files.write(ino, 0, b"x", WriteOptions { kill_set_id: true, keep_times: false }).unwrap();
    assert_eq!(fixture.files.attributes(ino).unwrap().mode, 0o755);
    assert_eq!(code(fixture.files.xattr(ino, b"security.capability")), "ENODATA");

    let dir = fixture.dir("d");
    let set = SetAttributes { mode: Some(0o2775), gid: Some(77), ..SetAttributes::default() };
    assert_eq!(fixture.files.set_attributes(dir, &set).unwrap().mode, 0o2775);
    let file = fixture.make(dir, "file", &NewNode::file(0o666)).unwrap();
    let inner = fixture.make(dir, "inner", &NewNode::directory(0o777)).unwrap();
    assert_eq!((file.gid, file.mode, inner.gid, inner.mode), (77, 0o644, 77, 0o2755));
    assert_eq!(fixture.files.set_attributes(dir, &SetAttributes { gid: Some(5), ..set }).unwrap().gid, 5);
    let other = Caller { uid: 5, gid: 6, umask: 0 };
    let file = fixture.files.create(ROOT, b"other", &NewNode::file(0o666), &other).unwrap();
    assert_eq!((file.uid, file.gid, file.mode), (5, 6, 0o666));
}

#[test]
fn extended_attributes_have_limits() {
    let mut fixture = Fixture::new();
    let ino = fixture.file("f");
    let set = |fixture: &Fixture, name: &[u8], value: &[u8], mode| fixture.files.set_xattr(ino, name, value, mode);
    set(&fixture, b"user.b", b"\0\xff", XattrMode::Create).unwrap();
    set(&fixture, b"trusted.a", b"", XattrMode::Any).unwrap();
    assert_eq!(code(set(&fixture, b"user.b", b"", XattrMode::Create)), "EEXIST");
    assert_eq!(code(set(&fixture, b"user.c", b"", XattrMode::Replace)), "ENODATA");
    assert_eq!(code(set(&fixture, b"user.c", &vec![0; 65_537], XattrMode::Any)), "E2BIG");
    assert_eq!(code(set(&fixture, b"user.", b"", XattrMode::Any)), "EOPNOTSUPP");
    assert_eq!(code(set(&fixture, b"system.posix_acl_access", b"", XattrMode::Any)), "EOPNOTSUPP");
    assert_eq!(code(set(&fixture, &[b'u'; 256], b"", XattrMode::Any)), "ENAMETOOLONG");
    for _ in 0..2 {
        assert_eq!(fixture.files.xattrs(ino).unwrap(), [b"trusted.a".to_vec(), b"user.b".to_vec()]);
        assert_eq!(fixture.files.xattr(ino, b"user.b").unwrap(), b"\0\xff");
        fixture = fixture.reopen();
    }
    fixture.files.remove_xattr(ino, b"user.b").unwrap();
    assert_eq!(code(fixture.files.remove_xattr(ino, b"user.b")), "ENODATA");
    assert_eq!(code(fixture.files.xattr(ino, b"user.b")), "ENODATA");
    for n in 0..15 {
        set(&fixture, format!("user.{n}").as_bytes(), &vec![n; 65_536], XattrMode::Any).unwrap();
    }
    assert_eq!(code(set(&fixture, b"user.more", &vec![0; 65_536], XattrMode::Any)), "ENOSPC");
    assert_eq!(fixture.reopen().files.xattr(ino, b"user.14").unwrap(), vec![14; 65_536]);
}

#[test]
fn whatever_happens_between_commits_is_one_version() {
    let fixture = Fixture::new();
    let dir = fixture.dir("d");
    fixture.commit();
    let before = fixture.vault.state().sequence;
    let ino = fixture.make(dir, "f", &NewNode::file(0o644)).unwrap().ino;
    fixture.write(ino, 0, b"small");
    let times = SetAttributes { mtime: Some(SetTime::At(5)), ..SetAttributes::default() };
    fixture.files.set_attributes(ino, &times).unwrap();
    fixture.files.rename(dir, b"f", dir, b"g", RenameFlags::default()).unwrap();
    // What comes and goes leaves nothing.
    let gone = fixture.make(dir, "gone", &NewNode::file(0o644)).unwrap().ino;
    fixture.write(gone, 0, &vec![1; 300_000]);
    fixture.files.forget(gone, 1);
    fixture.files.unlink(dir, b"gone").unwrap();
    fixture.files.sync(ino, false).unwrap();
    let log = fixture.vault.log(before + 1, 100).unwrap();
    let mut ids: Vec<_> = log.iter().map(|entry| entry.id.clone()).collect();
    ids.sort();
    assert_eq!(ids, [dir.to_string(), ino.to_string()]);
    assert_eq!(fixture.vault.state().durable, before + 2);
    // Nothing waits any more.
    fixture.files.sync(ino, false).unwrap();
    fixture.files.sync(dir, true).unwrap();
    fixture.commit();
    assert_eq!(fixture.vault.state().sequence, before + 2);
    // Times alone are not what fdatasync is about.
    fixture.files.set_attributes(ino, &times).unwrap();
    fixture.files.sync(ino, true).unwrap();
    assert_eq!(fixture.vault.state().sequence, before + 2);
    fixture.files.sync(ino, false).unwrap();
    assert_eq!(fixture.vault.state().sequence, before + 3);
}
