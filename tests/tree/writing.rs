//! Writing through the tree: what becomes of a text, and what is refused.

use std::ffi::OsStr;

use mirrordna::record::{Kind, Value};
use mirrordna::storage::NOW;
use mirrordna::tree::{Directory, Effects, Item, Node, Offset, OpenFile, Refusal, Tree, Written};
use mirrordna::vault::{MemoryUpdate, NewSnapshot, Past, Tier};
use tempfile::TempDir;

use crate::sample::{self, memory_text};
use crate::support::{bytes, names, node, read, vault};

pub(crate) const ID: &str = "mem_written_by_hand";

pub(crate) fn tier(tier: Tier) -> Node {
    Node::directory(Directory::Tier(tier))
}

fn file(id: &str) -> String {
    format!("{id}.json")
}

pub(crate) fn create(tree: &Tree, parent: &Node, name: &str) -> Written<OpenFile> {
    tree.create(parent, OsStr::new(name), false, true).map(|(_, open)| open)
}

/// Writes a whole file as `cp` does.
pub(crate) fn write(tree: &Tree, parent: &Node, name: &str, text: &[u8]) -> Written<Effects> {
    let open = create(tree, parent, name)?;
    tree.write(&open, Offset::At(0), text)?;
    let flushed = tree.flush(&open);
    let _ = tree.close(open);
    flushed
}

fn put(tree: &Tree, parent: &Node, name: &str, text: &str) {
    write(tree, parent, name, text.as_bytes()).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
}

fn rename(tree: &Tree, from: (&Node, &str), to: (&Node, &str)) -> Written<Effects> {
    tree.rename((from.0, OsStr::new(from.1)), (to.0, OsStr::new(to.1)), true)
}

fn unlink(tree: &Tree, parent: &Node, name: &str) -> Written<Effects> {
    tree.unlink(parent, OsStr::new(name))
}

fn content(tree: &Tree, id: &str) -> Option<String> {
    let found = tree.vault().find(Kind::Memory, id).unwrap()?;
    Some(found.value.str_at("content").unwrap().to_owned())
}

fn last_error(tree: &Tree) -> String {
    String::from_utf8(read(tree, ".vault/last-error")).unwrap()
}

fn versions(tree: &Tree, id: &str) -> Vec<Past> {
    tree.vault().history(Kind::Memory, id, NOW, 100).unwrap()
}

fn writable() -> (TempDir, Tree) {
    let (dir, vault) = vault();
    let tree = Tree::writable(vault, Some(&dir.path().join("vault"))).unwrap();
    (dir, tree)
}

/// A text becomes a record when it is closed, in the tier that the directory gives; until then whoever writes it sees it, and
/// the vault does not.
#[test]
fn a_text_is_committed_when_it_is_closed() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    let (made, open) = tree.create(&long, OsStr::new(&name), true, false).unwrap();
    assert_eq!(names(&tree, &long), [name.as_str()]);
    assert_eq!(tree.attributes(&made).unwrap().size, 0);
    let text = memory_text(ID, "größer");
    let (start, rest) = text.as_bytes().split_at(30);
    tree.write(&open, Offset::At(0), start).unwrap();
    // A descriptor that was inherited is closed.
    assert_eq!(tree.flush(&open).unwrap(), Effects::default());
    assert!(tree.vault().find(Kind::Memory, ID).unwrap().is_none());
    tree.write(&open, Offset::End, rest).unwrap();
    assert_eq!(open.read(10, 30).unwrap(), text.as_bytes().get(10..40).unwrap());
    assert_eq!(bytes(&tree, &made), text.as_bytes());
    tree.flush(&open).unwrap();
    let record = tree.vault().get(Kind::Memory, ID).unwrap();
    assert_eq!(record.value.str_at("tier"), Some("long_term"));
    assert_eq!(tree.close(open), Effects::default());
    assert_eq!(versions(&tree, ID).len(), 1);
    assert_eq!(names(&tree, &long), ["SHA256SUMS", &name]);
    assert!(String::from_utf8(bytes(&tree, &made)).unwrap().contains("größer"));
}

/// Whoever reads while a record is written sees the version that there is, until the new one is committed.
#[test]
fn others_see_the_version_that_there_is() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    put(&tree, &long, &name, &memory_text(ID, "before"));
    let node = node(&tree, &format!("memories/long_term/{name}")).unwrap();
    let before = bytes(&tree, &node);
    let open = tree.open_file(&node, true).unwrap();
    assert!(tree.is_being_written(&node));
    tree.write(&open, Offset::At(0), b"{").unwrap();
    assert_eq!((bytes(&tree, &node), tree.attributes(&node).unwrap().size), (before.clone(), before.len() as u64));
    assert_eq!(open.attributes().unwrap().size, 1);
    tree.set_len(&open, 0).unwrap();
    tree.write(&open, Offset::End, memory_text(ID, "after").as_bytes()).unwrap();
    assert_eq!(tree.sync(&open).unwrap().changed, [node.clone()]);
    assert!(String::from_utf8(bytes(&tree, &node)).unwrap().contains("after"));
    let _ = tree.close(open);
    assert!(!tree.is_being_written(&node));
    assert_eq!(versions(&tree, ID).len(), 2);
}

/// A text that is refused, or not finished when the last descriptor is closed, changes nothing, and the reason is left.
#[test]
fn what_is_refused_or_unfinished_changes_nothing() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    for there in [false, true] {
        if there {
            put(&tree, &long, &name, &memory_text(ID, "there"));
        }
        let (state, listed) = (tree.vault().state(), names(&tree, &long));
        for (text, reason) in [
            (r#"{"memory_id": 1}"#.to_owned(), "memory_id"),
            (memory_text("mem_another_one_here", "x"), "mem_another_one_here"),
            (memory_text(ID, ""), "content"),
            ("[1, 2]".to_owned(), "must be a JSON object"),
            (memory_text(ID, "x") + "x", "something follows"),
            ("{]".to_owned(), "unexpected"),
        ] {
            let open = create(&tree, &long, &name).unwrap();
            tree.write(&open, Offset::At(0), text.as_bytes()).unwrap();
            assert!(tree.flush(&open).is_err(), "{text}");
            assert!(last_error(&tree).contains(reason), "{text}: {}", last_error(&tree));
            assert!(last_error(&tree).contains(&name), "{}", last_error(&tree));
            assert_eq!(names(&tree, &long), listed, "refused and still open: {text}");
            let _ = tree.close(open);
            assert_eq!((tree.vault().state(), names(&tree, &long)), (state, listed.clone()), "{text}");
        }
        for text in ["", "{", r#"{"memory_id": "mem_"#, "{\"content\": \"\u{e4}"] {
            let cut = if text.ends_with('\u{e4}') { text.len() - 1 } else { text.len() };
            let open = create(&tree, &long, &name).unwrap();
            tree.write(&open, Offset::At(0), text.as_bytes().get(..cut).unwrap()).unwrap();
            tree.flush(&open).unwrap();
            let effects = tree.close(open);
            assert!(there || effects.later.len() == 2, "the name is gone: {effects:?}");
            assert_eq!((tree.vault().state(), names(&tree, &long)), (state, listed.clone()), "{text}");
            assert!(last_error(&tree).contains(&name), "{}", last_error(&tree));
        }
    }
}

/// A text that was refused can be made good by whoever still has it open.
#[test]
fn a_refused_text_can_be_made_good() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    let open = create(&tree, &long, &name).unwrap();
    tree.write(&open, Offset::At(0), b"[]").unwrap();
    assert!(matches!(tree.sync(&open), Err(Refusal::Vault { .. })));
    tree.set_len(&open, 0).unwrap();
    tree.write(&open, Offset::At(0), memory_text(ID, "good").as_bytes()).unwrap();
    tree.sync(&open).unwrap();
    let _ = tree.close(open);
    assert_eq!(content(&tree, ID).as_deref(), Some("good"));
}

/// A text that says what the record says already makes no version.
#[test]
fn an_equal_text_makes_no_version() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    put(&tree, &long, &name, &memory_text(ID, "same"));
    let state = tree.vault().state();
    put(&tree, &long, &name, &memory_text(ID, "same").replace(", ", " ,\n"));
    put(&tree, &long, "x.tmp", &memory_text(ID, "same"));
    rename(&tree, (&long, "x.tmp"), (&long, &name)).unwrap();
    assert_eq!(tree.vault().state(), state);
    assert_eq!(names(&tree, &long), ["SHA256SUMS", &name]);
}

/// Two programs that write the same record never mix their texts: the last one to close wins.
#[test]
fn each_writer_has_a_text_of_its_own() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    let one = create(&tree, &long, &name).unwrap();
    let two = create(&tree, &long, &name).unwrap();
    for (open, text) in [(&one, "one"), (&two, "two")] {
        tree.write(open, Offset::At(0), memory_text(ID, text).as_bytes()).unwrap();
    }
    tree.flush(&two).unwrap();
    assert_eq!(content(&tree, ID).as_deref(), Some("two"));
    tree.flush(&one).unwrap();
    assert_eq!(content(&tree, ID).as_deref(), Some("one"));
    let _ = (tree.close(one), tree.close(two));
}

/// An id that is taken elsewhere is refused when the file is made, and when somebody takes it meanwhile, when it is closed.
#[test]
fn a_taken_id_is_refused() {
    let (_dir, tree) = writable();
    let (long, short, name) = (tier(Tier::LongTerm), tier(Tier::ShortTerm), file(ID));
    let open = create(&tree, &long, &name).unwrap();
    assert!(matches!(create(&tree, &short, &name), Err(Refusal::Exists { .. })), "it is being written elsewhere");
    tree.write(&open, Offset::At(0), memory_text(ID, "mine").as_bytes()).unwrap();
    let mut theirs = sample::value(&memory_text(ID, "theirs"));
    theirs.as_object_mut().unwrap().insert("tier".into(), "episodic".into());
    tree.vault().put(Kind::Memory, theirs).unwrap();
    let refused = tree.flush(&open).unwrap_err();
    assert!(matches!(refused, Refusal::Vault { .. }) && refused.to_string().contains(ID), "{refused}");
    let _ = tree.close(open);
    assert_eq!(content(&tree, ID).as_deref(), Some("theirs"));
    assert!(matches!(create(&tree, &long, &name), Err(Refusal::Exists { .. })));
    let exclusive = tree.create(&tier(Tier::Episodic), OsStr::new(&name), true, false);
    assert!(matches!(exclusive, Err(Refusal::Exists { .. })));
}

/// What may not change is refused: the past, what the vault makes, an identity's key, names that are no ids.
#[test]
fn what_may_not_change_is_refused() {
    let (_dir, vault) = vault();
    sample::fill(&vault);
    vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() }).unwrap();
    let tree = Tree::writable(vault, None).unwrap();
    let state = tree.vault().state();
    let identities = Node::directory(Directory::Collection(Kind::Identity));
    let path = format!("identities/{}.json", sample::AGENT);
    for directory in ["snapshots/snap_a", "snapshots/snap_a/identities", "snapshots/snap_a/memories/long_term"] {
        let parent = node(&tree, directory).unwrap();
        assert!(matches!(create(&tree, &parent, "x"), Err(Refusal::Past { .. })), "{directory}");
        assert!(matches!(tree.make_other(&parent, OsStr::new("x")), Err(Refusal::Past { .. })), "{directory}");
        assert!(matches!(tree.set_attributes(&parent), Err(Refusal::Past { .. })), "{directory}");
    }
    let old = node(&tree, &format!("snapshots/snap_a/{path}")).unwrap();
    assert!(matches!(tree.open_file(&old, false), Err(Refusal::Past { .. })));
    let past = node(&tree, "snapshots/snap_a/identities").unwrap();
    assert!(matches!(unlink(&tree, &past, &file(sample::AGENT)), Err(Refusal::Past { .. })));
    for made in ["README.txt", "SHA256SUMS", "identities/SHA256SUMS", "timeline/2019-02-28.jsonl", ".vault/root",
        "snapshots/snap_a.json", "snapshots/latest"] {
        let node = node(&tree, made).unwrap();
        assert!(matches!(tree.open_file(&node, true), Err(Refusal::NotPermitted { .. })), "{made}");
        assert!(matches!(tree.set_attributes(&node), Err(Refusal::NotPermitted { .. })), "{made}");
        assert!(matches!(tree.truncate(&node, 0), Err(Refusal::NotPermitted { .. })), "{made}");
    }
    for parent in ["", "timeline", "snapshots", ".vault"] {
        let parent = node(&tree, parent).unwrap();
        assert!(matches!(create(&tree, &parent, "new"), Err(Refusal::NotPermitted { .. })), "{parent}");
        assert!(matches!(tree.make_other(&parent, OsStr::new("new")), Err(Refusal::NotPermitted { .. })), "{parent}");
    }
    assert!(matches!(tree.make_other(&identities, OsStr::new("new")), Err(Refusal::NotPermitted { .. })));
    assert!(matches!(tree.remove_directory(&Node::ROOT, OsStr::new("sessions")), Err(Refusal::NotPermitted { .. })));
    assert!(matches!(create(&tree, &identities, "notes.json"), Err(Refusal::Misfit { .. })));
    let memories = Node::directory(Directory::Collection(Kind::Memory));
    assert!(matches!(create(&tree, &memories, &file(ID)), Err(Refusal::NotPermitted { .. })));
    let text = String::from_utf8(read(&tree, &path)).unwrap().replace("AAAA=", "AAAE=");
    let refused = write(&tree, &identities, &file(sample::AGENT), text.as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("public key may not change"), "{refused}");
    assert_eq!(tree.vault().state(), state);
    let reading = Tree::new(tree.vault().clone());
    assert!(matches!(create(&reading, &identities, "x"), Err(Refusal::ReadOnly { .. })));
    assert!(matches!(unlink(&reading, &identities, &file(sample::AGENT)), Err(Refusal::ReadOnly { .. })));
}

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

/// A record that is cut is none any more, unless what is cut off does not matter.
#[test]
fn a_cut_record_is_refused() {
    let (_dir, tree) = writable();
    let (long, name) = (tier(Tier::LongTerm), file(ID));
    put(&tree, &long, &name, &memory_text(ID, "whole"));
    let (state, node) = (tree.vault().state(), Node::record(Kind::Memory, ID));
    let len = tree.attributes(&node).unwrap().size;
    for bad in [0, len / 2, len - 2, len + 1] {
        assert!(tree.truncate(&node, bad).is_err(), "{bad}");
    }
    assert!(matches!(tree.truncate(&node, u64::MAX), Err(Refusal::TooLarge { .. })));
    tree.truncate(&node, len - 1).unwrap();
    tree.truncate(&node, len).unwrap();
    assert_eq!(tree.vault().state(), state);
    assert!(matches!(node.item, Item::Record { .. }));
}
