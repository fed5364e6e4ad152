//! Key slots of a repository.

use clap::Subcommand;
use mirrordna::backup::Cost;
use mirrordna::record::object;

use crate::context::Context;
use crate::describe;
use crate::error::Result;

use super::open::{NewSecret, Place};

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna backup key list --repo /mnt/disk/backups
  mirrordna backup key add --repo /mnt/disk/backups --new-key-file recovery.key --label recovery";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Let another passphrase or key file open the repository
    #[command(after_help = "\
Examples:
  mirrordna backup key add --repo /mnt/disk/backups --label laptop
  mirrordna backup key add --repo /mnt/disk/backups --new-key-file recovery.key --label recovery")]
    Add {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        new: NewSecret,
        /// What the slot is called
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
    },
    /// Take a key slot away
    ///
    /// It takes a passphrase away, and not a key that somebody copied while he could read the repository.
    #[command(after_help = "\
Examples:
  mirrordna backup key remove 0123456789abcdef --repo /mnt/disk/backups")]
    Remove {
        /// The slot, or the beginning of its name
        slot: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the key slots
    #[command(after_help = "\
Examples:
  mirrordna backup key list --repo /mnt/disk/backups")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Put another passphrase or key file in the place of the one that opens the repository
    #[command(after_help = "\
Examples:
  mirrordna backup key passwd --repo /mnt/disk/backups
  mirrordna backup key passwd --repo /mnt/disk/backups --passphrase-file old --new-passphrase-file new")]
    Passwd {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        new: NewSecret,
    },
}

pub(super) fn run(command: Command, context: &Context) -> Result<()> {
    let (slot, did) = match command {
        Command::Add { place, new, label } => {
            let repository = place.open(context)?;
            (repository.add_key(&new.read(context)?, &label, Cost::default())?, "added")
        }
        Command::Remove { slot, place } => (place.open(context)?.remove_key(&slot)?, "removed"),
        Command::Passwd { place, new } => {
            let repository = place.open(context)?;
            (repository.change_key(&new.read(context)?, Cost::default())?, "is now")
        }
        Command::List { place } => return list(&place, context),
    };
    let value = object([("slot", slot.as_str().into())]);
    context.output().result(&slot, &value)?;
    context.output().flush()?;
    context.note(&format!("key slot {slot} {did}"));
    Ok(())
}

fn list(place: &Place, context: &Context) -> Result<()> {
    let repository = place.open(context)?;
    let (slots, faults) = repository.slots()?;
    let mut listing = context.output().listing(["SLOT", "KIND", "CREATED", "LABEL"]);
    for slot in &slots {
        let value = object([
            ("slot", slot.id.as_str().into()),
            ("kind", slot.kind.name().into()),
            ("label", slot.label.as_str().into()),
            ("created", slot.created.to_string().into()),
            ("memory_kib", u64::from(slot.cost.memory).into()),
            ("passes", u64::from(slot.cost.passes).into()),
            ("lanes", u64::from(slot.cost.lanes).into()),
        ]);
        listing.add(&value, || {
            let label = if slot.label.is_empty() { "-".to_owned() } else { slot.label.clone() };
            let created = describe::time(&slot.created.to_string());
            vec![slot.id.clone(), slot.kind.name().to_owned(), created, label]
        })?;
    }
    listing.finish()?;
    context.output().flush()?;
    for fault in faults {
        context.note(&format!("{}: {}", fault.subject, fault.problem));
    }
    Ok(())
}
