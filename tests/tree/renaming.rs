//! Renaming and deleting: scratch files, records that move, records that are set aside.

use std::ffi::OsStr;

use mirrordna::record::{Kind, Value};
use mirrordna::tree::{Directory, Node, Offset, Refusal, Tree};
use mirrordna::vault::{MemoryUpdate, Past, Tier};

use crate::sample;
use crate::support::{names, node, read};
use crate::texts::memory_text;
use crate::writing::{ID, content, create, file, last_error, put, rename, tier, unlink, versions, writable, write};

/// Moving a memory to another tier promotes it; another name is refused, since a record is called by its id.
#[test]
fn moving_to_another_tier_promotes() {
    let (_dir, tree) = writable();
    let (long, short, name) = (tier(Tier::LongTerm), tier(Tier::ShortTerm), file(ID));
    put(&tree, &short, &name, &memory_text(ID, "moving"));
    let effects = rename(&tree, (&short, &name), (&long, &name)).unwrap();
    assert_eq!(effects.changed, [Node::record(Kind::Memory, ID)]);
    assert_eq!(tree.vault().get(Kind::Memory, ID).unwrap().value.str_at("tier"), Some("long_term"));
    assert_eq!((names(&tree, &short).len(), names(&tree, &long).len()), (0, 2));
    let state = tree.vault().state();
    let other = file("mem_another_one_here");
    assert!(matches!(rename(&tree, (&long, &name), (&long, &other)), Err(Refusal::Misfit { .. })));
    let entries = Node::directory(Directory::Collection(Kind::Entry));
    assert!(matches!(rename(&tree, (&long, &name), (&entries, &name)), Err(Refusal::Misfit { .. })));
    assert!(matches!(rename(&tree, (&long, &other), (&long, &name)), Err(Refusal::Missing { .. })));
    assert_eq!(tree.vault().state(), state);
    // The directory decides, whatever the text says.
    let mut text = sample::value(&memory_text(ID, "again"));
    text.as_object_mut().unwrap().insert("tier".into(), "episodic".into());
    put(&tree, &long, &name, &String::from_utf8(mirrordna::storage::record_file(&text)).unwrap());
    assert_eq!(tree.vault().get(Kind::Memory, ID).unwrap().value.str_at("tier"), Some("long_term"));
}

/// Scratch files are files on disk beside the records: no part of the log or of `SHA256SUMS`, there in the next tree, and
/// renaming one to a record's name commits it.
#[test]
fn scratch_files_lie_beside_the_records() {
    let (dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    let state = tree.vault().state();
    put(&tree, &long, ".x.swp", "swap");
    put(&tree, &long, "x.tmp", &memory_text(ID, "from scratch"));
    put(&tree, &long, "bad.tmp", "no record");
    assert_eq!(names(&tree, &long), [".x.swp", "x.tmp", "bad.tmp"]);
    assert_eq!(read(&tree, "memories/long_term/.x.swp"), b"swap");
    assert_eq!(tree.vault().state(), state);
    let bad = rename(&tree, (&long, "bad.tmp"), (&long, &name)).unwrap_err();
    assert!(bad.to_string().contains("not valid JSON"), "{bad}");
    assert!(last_error(&tree).contains(&name));
    let no_id = rename(&tree, (&long, "x.tmp"), (&long, "notes.json"));
    assert!(matches!(no_id, Err(Refusal::Misfit { .. })));
    rename(&tree, (&long, "bad.tmp"), (&tier(Tier::Episodic), "bad2.tmp")).unwrap();
    rename(&tree, (&long, "x.tmp"), (&long, &name)).unwrap();
    assert_eq!(content(&tree, ID).as_deref(), Some("from scratch"));
    assert_eq!(names(&tree, &long), ["SHA256SUMS", &name, ".x.swp"]);
    let swap = node(&tree, "memories/long_term/.x.swp").unwrap();
    let open = tree.open_file(&swap, false).unwrap();
    unlink(&tree, &long, ".x.swp").unwrap();
    tree.write(&open, Offset::End, b" goes on").unwrap();
    assert_eq!(open.read(0, 100).unwrap(), b"swap goes on");
    assert_eq!(tree.attributes(&swap).unwrap().size, 12);
    drop(open);
    assert!(tree.attributes(&swap).is_err());
    let vault = tree.vault().clone();
    // Another one at the same time has scratch files of its own.
    let beside = Tree::writable(vault.clone(), Some(&dir.path().join("vault"))).unwrap();
    assert!(names(&beside, &tier(Tier::Episodic)).is_empty());
    drop(tree);
    let again = Tree::writable(vault, Some(&dir.path().join("vault"))).unwrap();
    assert_eq!(names(&again, &tier(Tier::Episodic)), ["bad2.tmp"]);
    assert_eq!(read(&again, "memories/episodic/bad2.tmp"), b"no record");
}

/// A record that is renamed to a scratch name is set aside: the vault keeps it, and its name is free. Writing it anew makes
/// a version of it.
#[test]
fn a_backup_by_renaming_keeps_the_record() {
    let (dir, tree) = writable();
    let (long, name, backup) = (tier(Tier::LongTerm), file(ID), format!("{ID}.json~"));
    put(&tree, &long, &name, &memory_text(ID, "before"));
    let set_aside = |tree: &Tree| drop(rename(tree, (&long, &name), (&long, &backup)).unwrap());
    set_aside(&tree);
    assert_eq!(content(&tree, ID).as_deref(), Some("before"));
    assert_eq!(names(&tree, &long), [backup.as_str()]);
    assert!(matches!(unlink(&tree, &long, &name), Err(Refusal::Missing { .. })));
    let (_, open) = tree.create(&long, OsStr::new(&name), true, false).unwrap();
    tree.write(&open, Offset::At(0), memory_text(ID, "after").as_bytes()).unwrap();
    tree.flush(&open).unwrap();
    let _ = tree.close(open);
    unlink(&tree, &long, &backup).unwrap();
    assert_eq!(content(&tree, ID).as_deref(), Some("after"));
    assert_eq!(names(&tree, &long), ["SHA256SUMS", &name]);
    assert!(versions(&tree, ID).iter().all(|past| matches!(past, Past::Version(_))));
    assert_eq!(versions(&tree, ID).len(), 2);
    // A bad text, then the backup comes back: nothing happened.
    set_aside(&tree);
    assert!(write(&tree, &long, &name, b"[]").is_err());
    assert_eq!(names(&tree, &long), [backup.as_str()]);
    rename(&tree, (&long, &backup), (&long, &name)).unwrap();
    assert_eq!((names(&tree, &long).len(), versions(&tree, ID).len()), (2, 2));
    // Another backup takes its place: the record has its name again.
    put(&tree, &long, "other", "x");
    set_aside(&tree);
    let effects = rename(&tree, (&long, "other"), (&long, &backup)).unwrap();
    assert_eq!(effects.later.len(), 2);
    assert_eq!(names(&tree, &long), ["SHA256SUMS", &name, &backup]);
    // The editor dies, and so does the tree: the record has its name again.
    unlink(&tree, &long, &backup).unwrap();
    set_aside(&tree);
    let vault = tree.vault().clone();
    drop(tree);
    let tree = Tree::writable(vault, Some(&dir.path().join("vault"))).unwrap();
    assert_eq!(names(&tree, &long), ["SHA256SUMS", &name, &backup]);
    unlink(&tree, &long, &backup).unwrap();
    assert_eq!(content(&tree, ID).as_deref(), Some("after"));
}

/// Who deletes the file that a record was renamed to deletes the record, unless somebody else changed it since.
#[test]
fn deleting_the_backup_deletes_the_record() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    for changed in [false, true] {
        put(&tree, &long, &name, &memory_text(ID, "there"));
        rename(&tree, (&long, &name), (&tier(Tier::ShortTerm), "away")).unwrap();
        if changed {
            let update = MemoryUpdate { content: Some(Value::from("theirs")), metadata: None };
            tree.vault().memories().update(ID, &update).unwrap();
        }
        let effects = unlink(&tree, &tier(Tier::ShortTerm), "away").unwrap();
        assert_eq!(effects.later.len(), 2);
        assert_eq!(content(&tree, ID).as_deref(), changed.then_some("theirs"));
        assert_eq!(names(&tree, &long).contains(&name), changed);
    }
}

/// Deleting a record, or renaming another file onto it, leaves those who write it with nothing to commit.
#[test]
fn a_deleted_name_is_not_written_again() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    put(&tree, &long, &name, &memory_text(ID, "there"));
    for replaced in [true, false] {
        let open = create(&tree, &long, &name).unwrap();
        tree.write(&open, Offset::At(0), memory_text(ID, "late").as_bytes()).unwrap();
        let moved = rename(&tree, (&long, &name), (&long, "away"));
        assert!(matches!(moved, Err(Refusal::Busy { .. })));
        if replaced {
            put(&tree, &long, "new", &memory_text(ID, "replaced"));
            rename(&tree, (&long, "new"), (&long, &name)).unwrap();
        } else {
            unlink(&tree, &long, &name).unwrap();
        }
        let state = tree.vault().state();
        tree.flush(&open).unwrap();
        let _ = tree.close(open);
        assert_eq!(tree.vault().state(), state);
        assert_eq!(content(&tree, ID).as_deref(), replaced.then_some("replaced"));
    }
    let open = create(&tree, &long, &name).unwrap();
    assert!(matches!(rename(&tree, (&long, &name), (&long, "away")), Err(Refusal::Busy { .. })));
    unlink(&tree, &long, &name).unwrap();
    tree.write(&open, Offset::At(0), memory_text(ID, "late").as_bytes()).unwrap();
    tree.flush(&open).unwrap();
    let _ = tree.close(open);
    assert_eq!(content(&tree, ID), None);
}
