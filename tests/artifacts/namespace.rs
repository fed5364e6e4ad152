//! Directories and names against a model of them, through commits and reopening.

use std::collections::BTreeMap;

use mirrordna::artifacts::{FileType, Ino, NewNode, ROOT, RenameFlags};
use proptest::prelude::*;

use crate::support::{Fixture, ME, code};

#[derive(Clone, Debug)]
enum Step {
    Create(usize, u8),
    Mkdir(usize, u8),
    Link(usize, u8, usize, u8),
    Unlink(usize, u8),
    Rmdir(usize, u8),
    Rename(usize, u8, usize, u8, bool, bool),
    Commit,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (dir, name) = (|| 0..8_usize, || 0..5_u8);
    prop_oneof![
        5 => (dir(), name()).prop_map(|(dir, name)| Step::Create(dir, name)),
        4 => (dir(), name()).prop_map(|(dir, name)| Step::Mkdir(dir, name)),
        2 => (dir(), name(), dir(), name()).prop_map(|(a, x, b, y)| Step::Link(a, x, b, y)),
        2 => (dir(), name()).prop_map(|(dir, name)| Step::Unlink(dir, name)),
        2 => (dir(), name()).prop_map(|(dir, name)| Step::Rmdir(dir, name)),
        8 => (dir(), name(), dir(), name(), any::<bool>(), any::<bool>())
            .prop_map(|(a, x, b, y, no_replace, exchange)| Step::Rename(a, x, b, y, no_replace, exchange)),
        2 => Just(Step::Commit),
        1 => Just(Step::Reopen),
    ]
}

/// Names of directories, by the directories' inode numbers.
#[derive(Clone, Debug)]
struct Model(BTreeMap<Ino, BTreeMap<u8, Ino>>);

impl Model {
    fn dir(&self, n: usize) -> Ino {
        *self.0.keys().nth(n % self.0.len()).unwrap()
    }

    fn get(&self, dir: Ino, name: u8) -> Option<Ino> {
        self.0[&dir].get(&name).copied()
    }

    fn is_dir(&self, ino: Ino) -> bool {
        self.0.contains_key(&ino)
    }

    fn is_within(&self, ino: Ino, above: Ino) -> bool {
        ino == above || self.0.get(&above).is_some_and(|names| names.values().any(|below| self.is_within(ino, *below)))
    }

    fn links(&self, ino: Ino) -> usize {
        self.0.values().flat_map(BTreeMap::values).filter(|found| **found == ino).count()
    }

    fn rename(&mut self, from: (Ino, u8), to: (Ino, u8), no_replace: bool, exchange: bool) -> &'static str {
        if no_replace && exchange {
            return "EINVAL";
        }
        let Some(moved) = self.get(from.0, from.1) else { return "ENOENT" };
        let replaced = self.get(to.0, to.1);
        if exchange && replaced.is_none() {
            return "ENOENT";
        }
        if no_replace && replaced.is_some() {
            return "EEXIST";
        }
        if from.0 != to.0 && self.is_within(to.0, moved) {
            return "EINVAL";
        }
        if let Some(replaced) = replaced
            && from.0 != to.0
            && self.is_within(from.0, replaced)
        {
            return if exchange { "EINVAL" } else { "ENOTEMPTY" };
        }
        if replaced == Some(moved) {
            return "ok";
        }
        if let (Some(replaced), false) = (replaced, exchange) {
            match (self.is_dir(moved), self.is_dir(replaced)) {
                (true, true) if !self.0[&replaced].is_empty() => return "ENOTEMPTY",
                (true, false) => return "ENOTDIR",
                (false, true) => return "EISDIR",
                _ => {}
            }
            self.0.remove(&replaced);
        }
        self.0.get_mut(&from.0).unwrap().remove(&from.1);
        self.0.get_mut(&to.0).unwrap().insert(to.1, moved);
        if let (Some(replaced), true) = (replaced, exchange) {
            self.0.get_mut(&from.0).unwrap().insert(from.1, replaced);
        }
        "ok"
    }
}

fn name(n: u8) -> Vec<u8> {
    vec![b'n', b'0' + n]
}

fn answer<T: std::fmt::Debug>(result: mirrordna::artifacts::Result<T>) -> &'static str {
    if result.is_ok() { "ok" } else { code(result) }
}

fn check(fixture: &Fixture, model: &Model) -> Result<(), TestCaseError> {
    for (dir, names) in &model.0 {
        let mut found = BTreeMap::new();
        let mut take =
            |entry: &mirrordna::artifacts::ListEntry<'_>| found.insert(entry.name[1] - b'0', entry.ino).is_none();
        fixture.files.list(*dir, 0, &mut take).unwrap();
        prop_assert_eq!(&found, names);
        let subdirectories = names.values().filter(|ino| model.is_dir(**ino)).count();
        prop_assert_eq!(fixture.files.attributes(*dir).unwrap().nlink as usize, 2 + subdirectories);
        for (known, ino) in names {
            let found = fixture.files.lookup(*dir, &name(*known)).unwrap();
            fixture.files.forget(found.ino, 1);
            prop_assert_eq!(found.ino, *ino);
            if model.is_dir(*ino) {
                prop_assert_eq!(fixture.files.parent(*ino).unwrap(), *dir);
            } else {
                prop_assert_eq!(found.nlink as usize, model.links(*ino));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn names_are_as_in_the_model(steps in proptest::collection::vec(step(), 1..80)) {
        let mut fixture = Fixture::new();
        let mut model = Model(BTreeMap::from([(ROOT, BTreeMap::new())]));
        for step in steps {
            let files = &fixture.files;
            match step {
                Step::Create(dir, n) | Step::Mkdir(dir, n) => {
                    let dir = model.dir(dir);
                    let is_dir = matches!(step, Step::Mkdir(..));
                    let new = if is_dir { NewNode::directory(0o755) } else { NewNode::file(0o644) };
                    match (files.create(dir, &name(n), &new, &ME), model.get(dir, n)) {
                        (Ok(made), None) => {
                            files.forget(made.ino, 1);
                            prop_assert_eq!(made.file_type == FileType::Directory, is_dir);
                            model.0.get_mut(&dir).unwrap().insert(n, made.ino);
                            if is_dir {
                                model.0.insert(made.ino, BTreeMap::new());
                            }
                        }
                        (refused, Some(_)) => prop_assert_eq!(answer(refused), "EEXIST"),
                        (refused, None) => prop_assert_eq!(answer(refused), "ok"),
                    }
                }
                Step::Link(from, x, to, y) => {
                    let (from, to) = (model.dir(from), model.dir(to));
                    if let Some(ino) = model.get(from, x) {
                        let expected = match model.get(to, y) {
                            Some(_) => "EEXIST",
                            None if model.is_dir(ino) => "EPERM",
                            None => "ok",
                        };
                        let linked = files.link(ino, to, &name(y));
                        if linked.is_ok() {
                            files.forget(ino, 1);
                            model.0.get_mut(&to).unwrap().insert(y, ino);
                        }
                        prop_assert_eq!(answer(linked), expected);
                    }
                }
                Step::Unlink(dir, n) => {
                    let dir = model.dir(dir);
                    let expected = match model.get(dir, n) {
                        None => "ENOENT",
                        Some(ino) if model.is_dir(ino) => "EISDIR",
                        Some(_) => "ok",
                    };
                    prop_assert_eq!(answer(files.unlink(dir, &name(n))), expected);
                    if expected == "ok" {
                        model.0.get_mut(&dir).unwrap().remove(&n);
                    }
                }
                Step::Rmdir(dir, n) => {
                    let dir = model.dir(dir);
                    let expected = match model.get(dir, n) {
                        None => "ENOENT",
                        Some(ino) if !model.is_dir(ino) => "ENOTDIR",
                        Some(ino) if !model.0[&ino].is_empty() => "ENOTEMPTY",
                        Some(_) => "ok",
                    };
                    prop_assert_eq!(answer(files.rmdir(dir, &name(n))), expected);
                    if expected == "ok" {
                        let gone = model.0.get_mut(&dir).unwrap().remove(&n).unwrap();
                        model.0.remove(&gone);
                    }
                }
                Step::Rename(from, x, to, y, no_replace, exchange) => {
                    let (from, to) = (model.dir(from), model.dir(to));
                    let flags = RenameFlags { no_replace, exchange };
                    let expected = model.rename((from, x), (to, y), no_replace, exchange);
                    prop_assert_eq!(answer(files.rename(from, &name(x), to, &name(y), flags)), expected);
                }
                Step::Commit => fixture.commit(),
                Step::Reopen => {
                    check(&fixture, &model)?;
                    fixture = fixture.reopen();
                }
            }
        }
        check(&fixture, &model)?;
        fixture = fixture.reopen();
        check(&fixture, &model)?;
        fixture.verify();
    }
}
