//! Writing through the tree: what becomes of a text, and what is refused.

use std::ffi::OsStr;
use std::sync::Arc;

use mirrordna::record::Kind;
use mirrordna::storage::{
    Action, Change, Commit, Durability, Expect, FileRows, LogState, NOW, Origin, RocksStorage, Storage,
};
use mirrordna::tree::{Directory, Effects, Item, Node, Offset, OpenFile, Refusal, Tree, Written};
use mirrordna::vault::{NewSnapshot, Past, Tier};
use mirrordna::{Vault, VaultOptions};
use tempfile::TempDir;

use crate::failing::Failing;
use crate::sample;
use crate::support::{bytes, names, node, read, vault};
use crate::texts::memory_text;

pub(crate) const ID: &str = "mem_written_by_hand";

pub(crate) fn tier(tier: Tier) -> Node {
    Node::directory(Directory::Tier(tier))
}

pub(crate) fn file(id: &str) -> String {
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

pub(crate) fn put(tree: &Tree, parent: &Node, name: &str, text: &str) {
    write(tree, parent, name, text.as_bytes()).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
}

pub(crate) fn rename(tree: &Tree, from: (&Node, &str), to: (&Node, &str)) -> Written<Effects> {
    tree.rename((from.0, OsStr::new(from.1)), (to.0, OsStr::new(to.1)), true)
}

pub(crate) fn unlink(tree: &Tree, parent: &Node, name: &str) -> Written<Effects> {
    tree.unlink(parent, OsStr::new(name))
}

pub(crate) fn content(tree: &Tree, id: &str) -> Option<String> {
    let found = tree.vault().find(Kind::Memory, id).unwrap()?;
    Some(found.value.str_at("content").unwrap().to_owned())
}

pub(crate) fn last_error(tree: &Tree) -> String {
    String::from_utf8(read(tree, ".vault/last-error")).unwrap()
}

pub(crate) fn versions(tree: &Tree, id: &str) -> Vec<Past> {
    tree.vault().history(Kind::Memory, id, NOW, 100).unwrap()
}

pub(crate) fn writable() -> (TempDir, Tree) {
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
    assert_eq!(tree.sync(&open).unwrap().changed, std::slice::from_ref(&node));
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

/// The texts that are being written share 128 MiB of memory. Beyond that whoever writes more is refused, changes nothing, and
/// finds the reason in `.vault/last-error`; what was written before is as it was, and closing a file makes room.
#[test]
fn texts_share_a_limited_memory() {
    let (_dir, tree) = writable();
    let long = tier(Tier::LongTerm);
    let name = |number: usize| file(&format!("mem_{number:012}"));
    let mut open: Vec<OpenFile> = (0..3).map(|number| create(&tree, &long, &name(number)).unwrap()).collect();
    for half in &open[..2] {
        tree.set_len(half, 64 << 20).unwrap();
    }
    assert_eq!(tree.bytes_being_written(), 128 << 20);
    let refused = tree.write(&open[2], Offset::At(0), b"{").unwrap_err();
    assert!(matches!(refused, Refusal::NoRoom { .. }) && refused.to_string().contains(&name(2)), "{refused}");
    assert!(last_error(&tree).contains("134217728 bytes in all"), "{}", last_error(&tree));
    assert!(matches!(tree.set_len(&open[2], 1), Err(Refusal::NoRoom { .. })));
    assert_eq!(open[2].attributes().unwrap().size, 0);
    // What is written over takes no more room.
    tree.write(&open[0], Offset::At(100), b"x").unwrap();
    let _ = tree.close(open.remove(0));
    // Who was refused and goes away leaves the reason behind.
    let more = create(&tree, &long, &name(3)).unwrap();
    tree.set_len(&more, 64 << 20).unwrap();
    let refused = create(&tree, &long, &name(4)).unwrap();
    assert!(matches!(tree.write(&refused, Offset::At(0), b"{"), Err(Refusal::NoRoom { .. })));
    let _ = tree.flush(&refused);
    let _ = tree.close(refused);
    assert!(last_error(&tree).contains(&name(4)) && last_error(&tree).contains("in all"), "{}", last_error(&tree));
    let _ = tree.close(more);
    let text = memory_text("mem_000000000002", "there is room now");
    tree.write(&open[1], Offset::At(0), text.as_bytes()).unwrap();
    tree.sync(&open[1]).unwrap();
    for rest in open {
        let _ = tree.close(rest);
    }
    assert_eq!(tree.bytes_being_written(), 0);
    assert_eq!(content(&tree, "mem_000000000002").as_deref(), Some("there is room now"));
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
    // The renaming made it durable.
    assert_eq!(tree.vault().state(), LogState { durable: state.sequence, ..state });
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
    for made in [
        "README.txt",
        "SHA256SUMS",
        "identities/SHA256SUMS",
        "timeline/2019-02-28.jsonl",
        ".vault/root",
        "snapshots/snap_a.json",
        "snapshots/latest",
    ] {
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

/// Whoever writes a record that is deleted elsewhere meanwhile writes into nothing, also when another one has its id then or
/// it goes just while the text is stored; nobody sees its name any more.
#[test]
fn a_record_deleted_elsewhere_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Failing::create(&dir.path().join("vault"));
    let vault = Vault::over(Arc::clone(&storage) as Arc<dyn Storage>, &VaultOptions::default());
    let tree = Tree::writable(vault, None).unwrap();
    let (long, name, record) = (tier(Tier::LongTerm), file(ID), Node::record(Kind::Memory, ID));
    let rewritten = |truncate| {
        put(&tree, &long, &name, &memory_text(ID, "before"));
        let open = tree.open_file(&record, truncate).unwrap();
        tree.set_len(&open, 0).unwrap();
        tree.write(&open, Offset::At(0), memory_text(ID, "after").as_bytes()).unwrap();
        open
    };
    let is_gone = || {
        assert_eq!(names(&tree, &long), [""; 0]);
        assert_eq!(node(&tree, &format!("memories/long_term/{name}")), None);
        assert!(tree.attributes(&record).is_err() && tree.open(&record).is_err());
        assert_eq!(content(&tree, ID), None);
    };

    // Deleted before the text is whole, or after.
    for text in ["{", "[]", &memory_text(ID, "after")] {
        let open = rewritten(true);
        tree.set_len(&open, 0).unwrap();
        tree.write(&open, Offset::At(0), text.as_bytes()).unwrap();
        tree.vault().delete(Kind::Memory, ID).unwrap();
        is_gone();
        tree.flush(&open).unwrap();
        tree.sync(&open).unwrap();
        assert_eq!(open.read(0, 100).unwrap(), text.as_bytes().get(..text.len().min(100)).unwrap());
        let _ = tree.close(open);
        is_gone();
    }
    // Two writers, one of which has made the record.
    let first = create(&tree, &long, &name).unwrap();
    let second = create(&tree, &long, &name).unwrap();
    for open in [&first, &second] {
        tree.write(open, Offset::At(0), memory_text(ID, "new").as_bytes()).unwrap();
    }
    tree.flush(&first).unwrap();
    tree.vault().delete(Kind::Memory, ID).unwrap();
    let _ = tree.close(second);
    let _ = tree.close(first);
    is_gone();
    // It goes between looking and storing.
    let open = rewritten(false);
    let delete = |storage: &RocksStorage| {
        let (action, expect) = (Action::Delete, Expect::Present);
        let changes = vec![Change { kind: Kind::Memory, id: ID.to_owned(), action, expect, event: None }];
        let (seen, files, actor) = (Vec::new(), FileRows::default(), String::new());
        let (origin, durability) = (Origin::Direct, Durability::Buffered);
        storage.commit(Commit { seen, changes, files, actor, origin, token: None, durability }).unwrap();
    };
    storage.before_commit(delete);
    tree.flush(&open).unwrap();
    let _ = tree.close(open);
    is_gone();
    // Another record has its id.
    let open = rewritten(false);
    tree.vault().delete(Kind::Memory, ID).unwrap();
    put(&tree, &tier(Tier::Episodic), &name, &memory_text(ID, "another"));
    assert_eq!(names(&tree, &long), [""; 0]);
    tree.flush(&open).unwrap();
    // What is written there does not keep the other one from being set aside.
    rename(&tree, (&tier(Tier::Episodic), &name), (&tier(Tier::Episodic), "backup~")).unwrap();
    rename(&tree, (&tier(Tier::Episodic), "backup~"), (&tier(Tier::Episodic), &name)).unwrap();
    let _ = tree.close(open);
    assert_eq!(content(&tree, ID).as_deref(), Some("another"));
}

/// A memory that is promoted elsewhere while it is written keeps the tier that it has then, and has one name.
#[test]
fn a_memory_promoted_elsewhere_keeps_its_tier() {
    let (_dir, tree) = writable();
    let (long, short, name) = (tier(Tier::LongTerm), tier(Tier::ShortTerm), file(ID));
    put(&tree, &short, &name, &memory_text(ID, "before"));
    let open = tree.open_file(&Node::record(Kind::Memory, ID), true).unwrap();
    tree.write(&open, Offset::At(0), memory_text(ID, "after").as_bytes()).unwrap();
    tree.vault().memories().promote(ID, Tier::LongTerm).unwrap();
    let seen = || (names(&tree, &short), names(&tree, &long), node(&tree, &format!("memories/short_term/{name}")));
    let expected = || (Vec::<String>::new(), vec!["SHA256SUMS".to_owned(), name.clone()], None);
    assert_eq!(seen(), expected());
    tree.sync(&open).unwrap();
    assert_eq!((seen(), content(&tree, ID).as_deref()), (expected(), Some("after")));
    // Through the tree it goes where it is moved.
    rename(&tree, (&long, &name), (&short, &name)).unwrap();
    tree.set_len(&open, 0).unwrap();
    tree.write(&open, Offset::At(0), memory_text(ID, "again").as_bytes()).unwrap();
    let _ = tree.close(open);
    assert_eq!(names(&tree, &short), ["SHA256SUMS", &name]);
    assert_eq!((names(&tree, &long).len(), content(&tree, ID).as_deref()), (0, Some("again")));
    // A name that is made anew after the promotion gives the tier, as that of any file.
    rename(&tree, (&short, &name), (&short, "backup~")).unwrap();
    tree.vault().memories().promote(ID, Tier::LongTerm).unwrap();
    put(&tree, &short, &name, &memory_text(ID, "anew"));
    assert_eq!(names(&tree, &short), ["SHA256SUMS", &name, "backup~"]);
}
