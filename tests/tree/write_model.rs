//! Random sequences of what programs do to files, against a model that is a few maps.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use mirrordna::record::{Kind, Value};
use mirrordna::tree::{Node, Offset, OpenFile, Refusal, Tree};
use mirrordna::vault::{MemoryUpdate, Tier};
use proptest::prelude::*;

use crate::support::{names, node, read, vault};
use crate::texts::memory_text;
use crate::writing::{tier, write};

const IDS: [&str; 2] = ["mem_aaaaaaaaaaaa", "mem_bbbbbbbbbbbb"];
/// The last two are names of records.
const NAMES: [&str; 4] = ["x.json~", ".tmp", "mem_aaaaaaaaaaaa.json", "mem_bbbbbbbbbbbb.json"];
const TIERS: [Tier; 2] = [Tier::ShortTerm, Tier::LongTerm];
/// How many files are open at once.
const SLOTS: usize = 2;

/// A place: tier and name.
type Place = (usize, usize);

#[derive(Clone, Debug)]
enum Text {
    Record { id: usize, content: u8 },
    Bad,
    Unfinished,
}

impl Text {
    fn bytes(&self) -> String {
        match self {
            Self::Record { id, content } => memory_text(IDS[*id], &format!("content {content}")),
            Self::Bad => r#"{"memory_id": "neither"}"#.to_owned(),
            Self::Unfinished => r#"{"memory_id": "mem_"#.to_owned(),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        at: Place,
        text: Text,
    },
    /// Somebody opens a record, writes over it and keeps it open.
    Open {
        slot: usize,
        at: Place,
        text: Text,
    },
    Close {
        slot: usize,
    },
    Unlink {
        at: Place,
    },
    Rename {
        from: Place,
        to: Place,
        replace: bool,
    },
    /// Somebody else changes, moves or deletes a record.
    Update {
        id: usize,
        content: u8,
    },
    Promote {
        id: usize,
        tier: usize,
    },
    Delete {
        id: usize,
    },
}

fn place() -> impl Strategy<Value = Place> {
    (0..TIERS.len(), 0..NAMES.len())
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        6 => (0..IDS.len(), 0..4_u8).prop_map(|(id, content)| Text::Record { id, content }),
        1 => Just(Text::Bad),
        1 => Just(Text::Unfinished),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0..IDS.len();
    prop_oneof![
        6 => (place(), text()).prop_map(|(at, text)| Step::Write { at, text }),
        4 => (0..SLOTS, place(), text()).prop_map(|(slot, at, text)| Step::Open { slot, at, text }),
        3 => (0..SLOTS).prop_map(|slot| Step::Close { slot }),
        3 => place().prop_map(|at| Step::Unlink { at }),
        6 => (place(), place(), any::<bool>()).prop_map(|(from, to, replace)| Step::Rename { from, to, replace }),
        1 => (id(), 0..4_u8).prop_map(|(id, content)| Step::Update { id, content }),
        1 => (id(), 0..TIERS.len()).prop_map(|(id, tier)| Step::Promote { id, tier }),
        1 => id().prop_map(|id| Step::Delete { id }),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    tier: usize,
    content: u8,
    /// Tells it from one that is made anew under its id.
    birth: usize,
}

/// A file that is open and was written: the record that it is, and what was written, if anything can come of it.
#[derive(Clone, Debug)]
struct Open {
    id: usize,
    birth: usize,
    text: Option<Text>,
}

/// A record that is set aside: the tier where its name was, the scratch file that is its backup, and whether somebody
/// changed the record since.
#[derive(Clone, Debug)]
struct Aside {
    backup: Place,
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Model {
    records: BTreeMap<usize, Stored>,
    aside: BTreeMap<usize, Aside>,
    open: BTreeMap<usize, Open>,
    births: usize,
    scratch: BTreeMap<Place, (String, Option<Text>)>,
}

/// The record whose name a place has.
fn id_of((_, name): Place) -> Option<usize> {
    name.checked_sub(2)
}

impl Model {
    fn sees(&self, at: Place) -> bool {
        match id_of(at) {
            Some(id) => {
                !self.aside.contains_key(&id) && self.records.get(&id).is_some_and(|record| record.tier == at.0)
            }
            None => self.scratch.contains_key(&at),
        }
    }

    /// Whether a record can come to a place.
    fn is_free(&self, at: Place, id: usize) -> bool {
        self.sees(at) || self.aside.contains_key(&id) || !self.records.contains_key(&id)
    }

    /// Stores a text under a record's name; false when it is refused.
    fn store(&mut self, at: Place, id: usize, text: Option<&Text>) -> bool {
        match text {
            Some(Text::Record { id: named, content }) if *named == id && self.is_free(at, id) => {
                self.births += 1;
                let birth = self.records.get(&id).map_or(self.births, |record| record.birth);
                self.records.insert(id, Stored { tier: at.0, content: *content, birth });
                self.aside.remove(&id);
                true
            }
            _ => false,
        }
    }

    /// A scratch file was replaced or taken away by other means than deleting it.
    fn end_backup(&mut self, backup: Place) {
        self.aside.retain(|_, aside| aside.backup != backup);
    }

    /// What the step does, and whether it succeeds.
    fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Write { at, text } => {
                if let Some(id) = id_of(*at) {
                    // An unfinished text is no error for whoever closes it.
                    self.is_free(*at, id) && (self.store(*at, id, Some(text)) || matches!(text, Text::Unfinished))
                } else {
                    self.scratch.insert(*at, (text.bytes(), Some(text.clone())));
                    true
                }
            }
            Step::Open { slot, at, text } => {
                let record = id_of(*at).filter(|_| self.sees(*at)).and_then(|id| Some((id, self.records.get(&id)?)));
                let Some((id, &Stored { birth, .. })) = record.filter(|_| !self.open.contains_key(slot)) else {
                    return false;
                };
                self.open.insert(*slot, Open { id, birth, text: Some(text.clone()) });
                true
            }
            Step::Close { slot } => self.open.remove(slot).is_some_and(|open| self.close(&open)),
            Step::Unlink { at } => {
                let there = self.sees(*at);
                if let (true, Some(id)) = (there, id_of(*at)) {
                    self.records.remove(&id);
                } else if there {
                    let backed: Vec<usize> =
                        self.aside.iter().filter(|(_, aside)| aside.backup == *at).map(|(id, _)| *id).collect();
                    for id in backed {
                        if !self.aside.remove(&id).is_some_and(|aside| aside.changed) {
                            self.records.remove(&id);
                        }
                    }
                    self.scratch.remove(at);
                }
                there
            }
            Step::Rename { from, to, replace } => self.rename(*from, *to, *replace),
            Step::Update { id, content } => {
                let found = self.records.get_mut(id).map(|record| record.content = *content).is_some();
                self.changed(*id, found)
            }
            Step::Promote { id, tier } => {
                let found = self.records.get_mut(id).map(|record| record.tier = *tier).is_some();
                self.changed(*id, found)
            }
            Step::Delete { id } => {
                let found = self.records.remove(id).is_some();
                self.changed(*id, found)
            }
        }
    }

    /// Whether something can still come of an open file.
    fn is_pending(&self, open: &Open) -> bool {
        open.text.is_some() && self.records.get(&open.id).is_some_and(|record| record.birth == open.birth)
    }

    /// A record keeps the tier that it has by now, and one that is gone is not made again.
    fn close(&mut self, open: &Open) -> bool {
        if !self.is_pending(open) {
            return true;
        }
        match (&open.text, self.records.get_mut(&open.id)) {
            (Some(Text::Record { id, content }), Some(record)) if *id == open.id => {
                record.content = *content;
                true
            }
            (text, _) => matches!(text, Some(Text::Unfinished)),
        }
    }

    fn changed(&mut self, id: usize, found: bool) -> bool {
        if let Some(aside) = self.aside.get_mut(&id) {
            aside.changed |= found;
        }
        found
    }

    fn rename(&mut self, from: Place, to: Place, replace: bool) -> bool {
        if !self.sees(from) {
            return false;
        }
        if from == to {
            return true;
        }
        if self.sees(to) && !replace {
            return false;
        }
        match (id_of(from), id_of(to)) {
            (None, None) => {
                self.end_backup(to);
                for aside in self.aside.values_mut().filter(|aside| aside.backup == from) {
                    aside.backup = to;
                }
                let file = self.scratch.remove(&from).unwrap();
                self.scratch.insert(to, file);
                true
            }
            (None, Some(id)) => {
                let text = self.scratch.get(&from).and_then(|(_, text)| text.clone());
                let stored = self.store(to, id, text.as_ref());
                if stored {
                    self.end_backup(from);
                    self.scratch.remove(&from);
                    // What is open is not the file that has the name now.
                    for open in self.open.values_mut().filter(|open| open.id == id) {
                        open.text = None;
                    }
                }
                stored
            }
            (Some(id), Some(other)) => {
                if id == other {
                    self.records.get_mut(&id).unwrap().tier = to.0;
                }
                id == other
            }
            // Text that is not committed yet would get another name.
            (Some(id), None) if self.open.values().any(|open| open.id == id && self.is_pending(open)) => false,
            (Some(id), None) => {
                self.end_backup(to);
                let content = self.records.get(&id).unwrap().content;
                self.scratch.insert(to, (String::new(), Some(Text::Record { id, content })));
                self.aside.insert(id, Aside { backup: to, changed: false });
                true
            }
        }
    }
}

/// Opens a record that can be seen and writes over it.
fn open(tree: &Tree, at: Place, text: &Text) -> Result<OpenFile, Option<Refusal>> {
    let path = format!("memories/{}/{}", TIERS[at.0].name(), NAMES[at.1]);
    let record = id_of(at).and_then(|_| node(tree, &path)).ok_or(None)?;
    let open = tree.open_file(&record, true)?;
    tree.write(&open, Offset::At(0), text.bytes().as_bytes())?;
    Ok(open)
}

fn run(tree: &Tree, files: &mut BTreeMap<usize, OpenFile>, step: &Step) -> Result<(), Option<Refusal>> {
    let parent = |at: &Place| tier(TIERS[at.0]);
    let name = |at: &Place| OsStr::new(NAMES[at.1]);
    let memories = tree.vault().memories();
    match step {
        Step::Write { at, text } => write(tree, &parent(at), NAMES[at.1], text.bytes().as_bytes()).map(drop)?,
        Step::Open { slot, at, text } => {
            if files.contains_key(slot) {
                return Err(None);
            }
            files.insert(*slot, open(tree, *at, text)?);
        }
        Step::Close { slot } => {
            let open = files.remove(slot).ok_or(None)?;
            let flushed = tree.flush(&open);
            let _ = tree.close(open);
            flushed?;
        }
        Step::Unlink { at } => tree.unlink(&parent(at), name(at)).map(drop)?,
        Step::Rename { from, to, replace } => {
            tree.rename((&parent(from), name(from)), (&parent(to), name(to)), *replace).map(drop)?;
        }
        Step::Update { id, content } => {
            let update = MemoryUpdate { content: Some(Value::from(format!("content {content}"))), metadata: None };
            memories.update(IDS[*id], &update).map_err(|_| None)?;
        }
        Step::Promote { id, tier } => drop(memories.promote(IDS[*id], TIERS[*tier]).map_err(|_| None)?),
        Step::Delete { id } => drop(tree.vault().delete(Kind::Memory, IDS[*id]).map_err(|_| None)?),
    }
    Ok(())
}

/// Compares all that can be seen.
fn compare(tree: &Tree, model: &Model, step: &Step) {
    for (n, of) in TIERS.iter().enumerate() {
        let mut seen = names(tree, &tier(*of));
        seen.retain(|name| name != "SHA256SUMS");
        seen.sort();
        let mut expected: Vec<&str> =
            (0..NAMES.len()).filter(|name| model.sees((n, *name))).map(|name| NAMES[name]).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected, "{of:?} after {step:?} with {model:?}");
        for (name, text) in NAMES.iter().enumerate() {
            let path = format!("memories/{}/{text}", of.name());
            assert_eq!(node(tree, &path).is_some(), model.sees((n, name)), "{path} after {step:?}");
            if let Some((bytes, _)) = model.scratch.get(&(n, name)).filter(|(bytes, _)| !bytes.is_empty()) {
                assert_eq!(read(tree, &path), bytes.as_bytes(), "{path} after {step:?}");
            }
        }
    }
    for (id, text) in IDS.iter().enumerate() {
        let found = tree.vault().find(Kind::Memory, text).unwrap();
        let stored = found.map(|record| Stored {
            tier: TIERS.iter().position(|tier| record.value.str_at("tier") == Some(tier.name())).unwrap(),
            content: record.value.str_at("content").unwrap().strip_prefix("content ").unwrap().parse().unwrap(),
            birth: model.records.get(&id).map_or(0, |record| record.birth),
        });
        assert_eq!(stored.as_ref(), model.records.get(&id), "{text} after {step:?}");
        if let (Some(stored), false) = (stored, model.aside.contains_key(&id)) {
            let path = format!("memories/{}/{text}.json", TIERS[stored.tier].name());
            assert!(String::from_utf8(read(tree, &path)).unwrap().contains(&format!("content {}", stored.content)));
        }
    }
    // Nothing else is left open.
    for (id, text) in IDS.iter().enumerate() {
        let open = model.open.values().any(|open| open.id == id);
        assert_eq!(tree.is_being_written(&Node::record(Kind::Memory, text)), open, "{text} after {step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever programs do with files, in whatever order, and whatever others do to the vault meanwhile: what succeeds, what
    /// is seen and what is stored is what the model says.
    #[test]
    fn any_sequence_of_steps_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..60)) {
        let (dir, vault) = vault();
        let tree = Tree::writable(vault, Some(&dir.path().join("vault"))).unwrap();
        let (mut model, mut files) = (Model::default(), BTreeMap::new());
        for step in &steps {
            let before = tree.vault().state();
            let expected = model.step(step);
            let done = run(&tree, &mut files, step);
            assert_eq!(done.is_ok(), expected, "{step:?}: {done:?} with {model:?}");
            if done.is_err() {
                assert_eq!(tree.vault().state(), before, "{step:?}: {done:?}");
            }
            compare(&tree, &model, step);
        }
    }
}
