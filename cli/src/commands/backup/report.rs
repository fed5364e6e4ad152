//! What was done, for people and for programs.

use std::path::Path;

use mirrordna::backup::{Backup, Created, Extracted, Repaired, Repository, RepositoryPruned, Restored, VerifyReport};
use mirrordna::record::Value;

use crate::context::Context;
use crate::describe;
use crate::error::{Failure, Result};

/// The beginning of a name, as people read it.
fn short(name: &str) -> &str {
    name.get(..16).unwrap_or(name)
}

pub(super) fn list(repository: &Repository, context: &Context) -> Result<()> {
    let (backups, faults) = repository.backups()?;
    let mut listing = context.output().listing(["BACKUP", "CREATED", "LABEL", "VAULT", "SEQUENCE", "SIZE"]);
    for backup in &backups {
        listing.add(&backup.to_value(), || row(backup))?;
    }
    listing.finish()?;
    context.output().flush()?;
    if let Some(fault) = faults.first() {
        context.note(&format!("{}: {}", fault.subject, fault.problem));
        return Err(Failure::BackupsDamaged { faults: faults.len() as u64 });
    }
    Ok(())
}

fn row(backup: &Backup) -> Vec<String> {
    let label = if backup.label.is_empty() { "-" } else { &backup.label };
    vec![
        backup.short().to_owned(),
        describe::time(&backup.created.to_string()),
        label.to_owned(),
        backup.vault_id.clone(),
        backup.sequence.to_string(),
        describe::bytes(backup.bytes),
    ]
}

/// What happened, as scripts read it: a report, and what only the command knows.
fn event<const N: usize>(name: &str, mut report: Value, more: [(&str, Value); N]) -> Value {
    if let Some(members) = report.as_object_mut() {
        members.insert("event".to_owned(), name.into());
        members.extend(more.map(|(key, value)| (key.to_owned(), value)));
    }
    report
}

pub(super) fn created(created: &Created, context: &Context) -> Result<()> {
    let stored = &created.stored;
    let value = event("created", created.to_value(), []);
    let text = created.name.as_deref().map_or("", short);
    if created.name.is_some() || !context.output().is_text() {
        context.output().result(text, &value)?;
        context.output().flush()?;
    }
    let did = if created.name.is_some() { "wrote" } else { "would write" };
    context.note(&format!(
        "the vault at sequence {}: {} in all, {} new, {did} {}",
        created.sequence,
        describe::bytes(created.bytes),
        describe::bytes(stored.new_bytes),
        describe::bytes(stored.written)
    ));
    Ok(())
}

pub(super) fn verified(report: &VerifyReport, context: &Context) -> Result<()> {
    let output = context.output();
    if output.is_text() {
        let mut listing = output.listing(["DAMAGED", "PROBLEM"]);
        for fault in &report.faults {
            listing.add(&Value::Null, || vec![fault.subject.clone(), fault.problem.clone()])?;
        }
        if !report.faults.is_empty() {
            listing.finish()?;
        }
        let mut listing = output.listing(["BACKUP", "CREATED", "STATE"]);
        for (backup, problem) in &report.backups {
            let state = problem.clone().map_or_else(|| "whole".to_owned(), |problem| format!("damaged: {problem}"));
            let time = describe::time(&backup.created.to_string());
            listing.add(&Value::Null, || vec![backup.short().to_owned(), time, state])?;
        }
        listing.finish()?;
        let verdict = if report.is_clean() { output.colored(32, "sound") } else { output.colored(31, "damaged") };
        let (read, packs) = (report.read, describe::count(report.packs, "pack", "packs"));
        output.line(&format!("{verdict}: read {read} of {packs}, {}", describe::bytes(report.bytes)))?;
    } else {
        output.json(&report.to_value())?;
    }
    output.flush()?;
    if report.is_clean() {
        return Ok(());
    }
    let broken = report.backups.iter().filter(|(_, problem)| problem.is_some()).count();
    Err(Failure::BackupsDamaged { faults: (report.faults.len() + broken) as u64 })
}

pub(super) fn repaired(repaired: &Repaired, context: &Context) {
    for file in &repaired.removed {
        context.note(&format!("removed {file}, which could not be read"));
    }
    context.note(&format!("saved {} of damaged packs", describe::count(repaired.salvaged, "blob", "blobs")));
}

pub(super) fn restored(restored: &Restored, to: &Path, context: &Context) -> Result<()> {
    let value = event("restored", restored.to_value(), [("dir", to.display().to_string().into())]);
    context.output().result(&to.display().to_string(), &value)?;
    context.output().flush()?;
    let (name, bytes) = (restored.backup.short(), describe::bytes(restored.bytes));
    context.note(&format!("backup {name}, sequence {}, {bytes}; root {}", restored.sequence, restored.root));
    Ok(())
}

pub(super) fn extracted(extracted: &Extracted, to: &Path, context: &Context) -> Result<()> {
    let value = event("extracted", extracted.to_value(), [("dir", to.display().to_string().into())]);
    context.output().result(&to.display().to_string(), &value)?;
    context.output().flush()?;
    context.note(&format!("wrote {}", describe::count(extracted.files, "file", "files")));
    if extracted.left_out > 0 {
        context.note(&format!("left out {} pipes, sockets or devices", extracted.left_out));
    }
    Ok(())
}

pub(super) fn deleted(deleted: &[Backup], dry_run: bool, context: &Context) -> Result<()> {
    let output = context.output();
    if output.is_text() {
        deleted.iter().try_for_each(|backup| output.line(backup.short()))?;
    } else {
        output.json(&super::array(deleted.iter().map(Backup::to_value)))?;
    }
    output.flush()?;
    let did = if dry_run { "would delete" } else { "deleted" };
    context.note(&format!("{did} {}", describe::count(deleted.len() as u64, "backup", "backups")));
    Ok(())
}

pub(super) fn pruned(deleted: &[Backup], pruned: &RepositoryPruned, dry_run: bool, context: &Context) -> Result<()> {
    let value = event(
        "pruned",
        pruned.to_value(),
        [
            ("dry_run", dry_run.into()),
            ("deleted", deleted.iter().map(|backup| Value::from(backup.name.as_str())).collect()),
        ],
    );
    let packs = |count| describe::count(count, "pack", "packs");
    let (removed, marked) = (describe::bytes(pruned.removed_bytes), describe::bytes(pruned.marked_bytes));
    let would = if dry_run { "would have " } else { "" };
    let text = format!(
        "{would}deleted {}, removed {} ({removed}), marked {} ({marked}); {} stay ({})",
        describe::count(deleted.len() as u64, "backup", "backups"),
        packs(pruned.removed),
        packs(pruned.marked),
        packs(pruned.kept),
        describe::bytes(pruned.kept_bytes)
    );
    Ok(context.output().result(&text, &value)?)
}

pub(super) fn exported(backup: &Backup, file: &Path, context: &Context) -> Result<()> {
    context.output().result(&file.display().to_string(), &backup.to_value())?;
    context.output().flush()?;
    context.note(&format!("wrote the backup of {} into one file", describe::time(&backup.created.to_string())));
    Ok(())
}

pub(super) fn imported(backups: &[Backup], context: &Context) -> Result<()> {
    let output = context.output();
    if output.is_text() {
        backups.iter().try_for_each(|backup| output.line(backup.short()))?;
    } else {
        output.json(&super::array(backups.iter().map(Backup::to_value)))?;
    }
    output.flush()?;
    context.note(&format!("took {}", describe::count(backups.len() as u64, "backup", "backups")));
    Ok(())
}
