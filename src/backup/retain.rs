//! Deleting backups: those that are named, or those that a policy does not keep.

use std::collections::{BTreeMap, HashSet};

use crate::record::Timestamp;

use super::destination::Folder;
use super::error::{BackupError, Result};
use super::keys::Name;
use super::manifest::{Manifest, Note};
use super::repository::Repository;
use super::seal::Kind;
use super::select::{Backup, choose};

/// Which backups to keep: of each vault those that any of these keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of the last so many hours that have one.
    pub hourly: u32,
    /// The newest of each of the last so many days that have one.
    pub daily: u32,
    /// The newest of each of the last so many weeks, from Monday on, that have one.
    pub weekly: u32,
    /// The newest of each of the last so many months that have one.
    pub monthly: u32,
    /// The newest of each of the last so many years that have one.
    pub yearly: u32,
}

impl Retention {
    /// Nothing would be kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether each of these times, newest first, is kept.
    fn keep(&self, times: &[Timestamp]) -> Vec<bool> {
        const DAY: i64 = 86_400_000_000;
        let mut keep: Vec<bool> = (0..times.len()).map(|n| n < self.last as usize).collect();
        let days = |time: Timestamp| time.as_micros().div_euclid(DAY);
        // 1970-01-01 was a Thursday.
        let week = |time: Timestamp| (days(time) + 3).div_euclid(7).to_string();
        let part = |time: Timestamp, len: usize| time.day().chars().take(len).collect::<String>();
        let hour = |time: Timestamp| time.as_micros().div_euclid(3_600_000_000).to_string();
        self.newest_of_each(self.hourly, times, &mut keep, hour);
        self.newest_of_each(self.daily, times, &mut keep, Timestamp::day);
        self.newest_of_each(self.weekly, times, &mut keep, week);
        self.newest_of_each(self.monthly, times, &mut keep, |time| part(time, 7));
        self.newest_of_each(self.yearly, times, &mut keep, |time| part(time, 4));
        keep
    }

    #[expect(clippy::unused_self, reason = "it is about this policy")]
    fn newest_of_each(&self, count: u32, times: &[Timestamp], keep: &mut [bool], of: impl Fn(Timestamp) -> String) {
        let mut seen = HashSet::new();
        for (time, keep) in times.iter().zip(keep) {
            if seen.len() < count as usize && seen.insert(of(*time)) {
                *keep = true;
            }
        }
    }
}

impl Repository {
    /// Deletes backups by name, beginning of a name, label, or `latest`. What only they need stays until a prune.
    ///
    /// # Errors
    /// [`BackupError::NotFound`], [`BackupError::Ambiguous`], and those of reading and writing.
    pub fn delete(&self, wanted: &[String], dry_run: bool) -> Result<Vec<Backup>> {
        let manifests = self.manifests()?;
        let mut names = HashSet::new();
        for wanted in wanted {
            let damaged = || manifests.faults.iter().find(|fault| fault.subject == Folder::Backups.shown(wanted));
            match choose(&manifests.items, wanted)?.and_then(|at| manifests.items.get(at)) {
                Some((name, _)) => drop(names.insert(*name)),
                // A manifest that cannot be read can be deleted by its whole name.
                None => match Name::parse(wanted).filter(|_| damaged().is_some()) {
                    Some(name) => drop(names.insert(name)),
                    None => return Err(BackupError::NotFound { what: format!("backup {wanted}") }),
                },
            }
        }
        self.remove(&manifests.items, &names, dry_run)
    }

    /// Deletes the backups that a policy does not keep. Those of each vault are looked at by themselves. When what would be kept is
    /// not whole nothing is deleted: what is older may be.
    ///
    /// # Errors
    /// [`BackupError::Argument`] for a policy that keeps nothing, [`BackupError::Missing`] and [`BackupError::Corrupt`] when
    /// something is not there that the others need, and those of reading and writing.
    pub fn forget(&self, policy: &Retention, dry_run: bool) -> Result<Vec<Backup>> {
        if policy.is_empty() {
            return Err(BackupError::argument("the policy", "it would keep no backup at all"));
        }
        let manifests = self.manifests()?.items;
        let mut vaults: BTreeMap<&str, Vec<&(Name, Manifest)>> = BTreeMap::new();
        for backup in manifests.iter().rev() {
            vaults.entry(&backup.1.vault_id).or_default().push(backup);
        }
        let mut names = HashSet::new();
        for mut backups in vaults.into_values() {
            backups.sort_by_key(|(_, manifest)| std::cmp::Reverse(manifest.created));
            let times: Vec<_> = backups.iter().map(|(_, manifest)| manifest.created).collect();
            let kept = policy.keep(&times);
            names.extend(backups.iter().zip(kept).filter(|(_, keep)| !keep).map(|((name, _), _)| *name));
        }
        if !names.is_empty() {
            let kept = manifests.iter().filter(|(name, _)| !names.contains(name)).map(|(_, manifest)| manifest);
            self.needed(&self.index()?.0, kept)?;
        }
        self.remove(&manifests, &names, dry_run)
    }

    fn remove(&self, all: &[(Name, Manifest)], names: &HashSet<Name>, dry_run: bool) -> Result<Vec<Backup>> {
        let removed =
            all.iter().filter(|(name, _)| names.contains(name)).map(|(name, manifest)| Backup::of(name, manifest));
        let removed: Vec<_> = removed.collect();
        if dry_run || names.is_empty() {
            return Ok(removed);
        }
        // The note comes first: whoever misses a backup finds why.
        self.note(all, names)?;
        for name in names {
            self.destination().remove(Folder::Backups, &name.to_string())?;
            tracing::info!(target: "mirrordna::audit", action = "delete_backup", backup = %name);
        }
        Ok(removed)
    }

    /// Notes, in the place of all notes before, that backups are deleted.
    pub(super) fn note(&self, all: &[(Name, Manifest)], names: &HashSet<Name>) -> Result<()> {
        let notes = self.notes()?.items;
        let generations = all.iter().map(|(_, manifest)| manifest.generation);
        let newest = generations.chain(notes.iter().map(|(_, note)| note.generation)).max().unwrap_or(0);
        let mut deleted: Vec<Name> = names.iter().copied().collect();
        deleted.sort_unstable();
        let mut note = Note { generation: newest + 1, deleted };
        for (_, older) in &notes {
            note.follow(older);
        }
        let parents: HashSet<Name> = all.iter().flat_map(|(_, manifest)| manifest.parents.iter().copied()).collect();
        note.forget(|name| parents.contains(name));
        let written = self.write(Folder::Notes, Kind::Note, &note.encode())?;
        for (name, _) in notes.iter().filter(|(name, _)| *name != written) {
            self.destination().remove(Folder::Notes, &name.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(texts: &[&str]) -> Vec<Timestamp> {
        texts.iter().map(|text| Timestamp::parse(text).unwrap()).collect()
    }

    #[test]
    fn the_newest_of_each_period_stays() {
        let times = times(&[
            "2026-03-03T12:00:00Z",
            "2026-03-03T11:00:00Z",
            "2026-03-02T23:59:59Z",
            "2026-03-01T12:00:00Z",
            "2026-02-23T00:00:00Z",
            "2026-01-31T00:00:00Z",
            "2025-12-31T00:00:00Z",
        ]);
        let keep = |policy: Retention| -> String {
            policy.keep(&times).into_iter().map(|keep| if keep { 'x' } else { '.' }).collect()
        };
        let none = Retention::default();
        assert_eq!(keep(Retention { last: 2, ..none }), "xx.....");
        assert_eq!(keep(Retention { daily: 3, ..none }), "x.xx...");
        // Monday the second begins a week, and so does the 23rd of February.
        assert_eq!(keep(Retention { weekly: 2, ..none }), "x..x...");
        assert_eq!(keep(Retention { monthly: 9, ..none }), "x...xxx");
        assert_eq!(keep(Retention { yearly: 9, ..none }), "x.....x");
        assert_eq!(keep(Retention { hourly: 3, last: 1, ..none }), "xxx....");
        assert_eq!(keep(Retention { last: 99, ..none }), "xxxxxxx");
    }
}
