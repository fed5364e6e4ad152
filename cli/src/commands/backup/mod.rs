//! The group `backup`: incremental, encrypted backups of the vault, and vaults of backups again.

mod keys;
mod open;
mod report;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{ArgGroup, Args, Subcommand};
use mirrordna::backup::{
    BackupError, Cost, CreateOptions, Part, Phase, Progress, PruneOptions, Repository, Retention, VerifyOptions,
};
use mirrordna::interchange::{self, ImportOptions};
use mirrordna::record::{Value, object};

use crate::context::Context;
use crate::error::{Failure, Result};
use crate::globals::Format;
use crate::interrupt::Then;
use crate::progress::Unit;
use crate::time;

use open::Place;

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna backup init --repo /mnt/disk/backups
  mirrordna backup create --repo /mnt/disk/backups
  mirrordna backup list --repo /mnt/disk/backups
  mirrordna backup restore latest --repo /mnt/disk/backups --to restored
  MIRRORDNA_REPOSITORY=/mnt/disk/backups mirrordna backup verify --passphrase-file ~/.mirrordna/passphrase";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a repository in a folder, or a place in a bucket, that is new or empty
    ///
    /// A server other than Amazon's is named by AWS_ENDPOINT_URL, credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    ///
    /// Whoever loses the passphrase loses the backups: nobody can read them without it. Write it down where it survives this
    /// machine.
    #[command(after_help = "\
Examples:
  mirrordna backup init --repo /mnt/disk/backups
  mirrordna backup init --repo s3://bucket/backups --passphrase-command 'pass show backups'
  mirrordna backup init --repo /mnt/disk/open --plain")]
    Init {
        #[command(flatten)]
        place: Place,
        /// What the first key slot is called
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
    },
    /// Back the vault up as it is now, while others use it
    ///
    /// Only what the repository does not have is stored. Killed at any moment, the next one makes use of what was stored.
    #[command(after_help = "\
Examples:
  mirrordna backup create --repo /mnt/disk/backups
  mirrordna backup create --repo /mnt/disk/backups --name before-upgrade
  mirrordna --jsonl backup create --repo /mnt/disk/backups | jq -r .name")]
    Create(Create),
    /// List the backups, oldest first
    #[command(after_help = "\
Examples:
  mirrordna backup list --repo /mnt/disk/backups
  mirrordna --jsonl backup list --repo /mnt/disk/backups | jq -r .created")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Prove that the repository is what was written, and say which backups are whole
    ///
    /// Reads everything, or a sample of the packs that is chosen anew each time. When the vault is there, it also says
    /// whether the repository was put back to an older state.
    #[command(after_help = "\
Examples:
  mirrordna backup verify --repo /mnt/disk/backups
  mirrordna backup verify --repo /mnt/disk/backups --sample 5
  mirrordna backup verify --repo /mnt/disk/backups --repair")]
    Verify {
        #[command(flatten)]
        place: Place,
        /// Read so many of a hundred packs
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100), conflicts_with = "repair")]
        sample: Option<u8>,
        /// Save what is whole of a damaged repository, and remove what cannot be read
        #[arg(long)]
        repair: bool,
    },
    /// Make a vault of a backup again, or write a part of it as plain files
    ///
    /// A vault comes back with the same log and the same Merkle root. Everything is checked as it is read, and the directory
    /// gets its name when all of it is good.
    #[command(after_help = "\
Examples:
  mirrordna backup restore --repo /mnt/disk/backups --to restored
  mirrordna backup restore before-upgrade --repo /mnt/disk/backups --to restored
  mirrordna backup restore latest --repo /mnt/disk/backups --to files --only memories
  mirrordna backup restore latest --repo /mnt/disk/backups --to files --only artifacts/reports/2026.pdf")]
    Restore {
        /// Name, beginning of a name, label, or `latest`
        #[arg(default_value = "latest")]
        backup: String,
        #[command(flatten)]
        place: Place,
        /// A directory that is new or empty
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Only this, as plain files: a collection, the id of a record, or artifacts/PATH
        #[arg(long, value_name = "WHAT")]
        only: Option<String>,
    },
    /// Delete backups; what only they need stays until a prune
    #[command(after_help = "\
Examples:
  mirrordna backup delete 3f2a9c0d11223344 --repo /mnt/disk/backups
  mirrordna backup delete before-upgrade --repo /mnt/disk/backups --dry-run")]
    Delete {
        /// Name, beginning of a name, label, or `latest`
        #[arg(required = true)]
        backups: Vec<String>,
        #[command(flatten)]
        place: Place,
        /// Say what would be deleted, and delete nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete backups that a policy does not keep, and remove what no backup needs
    ///
    /// What nobody needs is marked first and removed by a later prune, a day after, so that nothing is taken from a backup that
    /// is being made.
    #[command(after_help = "\
Examples:
  mirrordna backup prune --repo /mnt/disk/backups --keep-last 6 --keep-daily 7 --keep-weekly 5 --keep-monthly 12
  mirrordna backup prune --repo /mnt/disk/backups --dry-run")]
    Prune(Prune),
    /// Key slots: who can open the repository
    #[command(subcommand, after_help = keys::EXAMPLES)]
    Key(keys::Command),
    /// Write one backup into one sealed file, with a passphrase of its own
    #[command(after_help = "\
Examples:
  mirrordna backup export ada.mdna --repo /mnt/disk/backups --new-passphrase-file handover
  mirrordna backup export ada.mdna before-upgrade --repo /mnt/disk/backups --new-passphrase-file handover")]
    Export {
        /// A file that is not there yet
        file: PathBuf,
        /// Name, beginning of a name, label, or `latest`
        #[arg(default_value = "latest")]
        backup: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        new: open::NewSecret,
    },
    /// Take the backups of a sealed file into the repository, or a backup of the MirrorDNA reference into the vault
    ///
    /// With --reference the file is a backup of the Python reference (tar.gz, encrypted or not), whose records are imported
    /// into the vault; the passphrase is the one that it was made with.
    #[command(after_help = "\
Examples:
  mirrordna backup import ada.mdna --repo /mnt/disk/backups --file-passphrase-file handover
  mirrordna backup import backup_20250301.tar.gz.enc --reference --passphrase-file secret")]
    Import {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        place: Place,
        /// A file whose first line is the passphrase of the sealed file
        #[arg(long, value_name = "FILE")]
        file_passphrase_file: Option<PathBuf>,
        /// It is a backup of the MirrorDNA reference
        #[arg(long)]
        reference: bool,
        /// With --reference: take records that break their schema, too, marked so that verify shows them
        #[arg(long, requires = "reference")]
        lenient: bool,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    #[command(flatten)]
    place: Place,
    /// What the backup is called
    #[arg(long, value_name = "TEXT", default_value = "")]
    name: String,
    /// Say what would be stored, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on although the repository is older than the vault knows
    #[arg(long)]
    accept_older: bool,
}

#[derive(Args)]
#[command(group = ArgGroup::new("policy").args(["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"]).multiple(true))]
pub(crate) struct Prune {
    #[command(flatten)]
    place: Place,
    /// Keep the newest N
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_last: u32,
    /// Keep the newest of each of N hours
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_hourly: u32,
    /// Keep the newest of each of N days
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_daily: u32,
    /// Keep the newest of each of N weeks
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_weekly: u32,
    /// Keep the newest of each of N months
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_monthly: u32,
    /// Keep the newest of each of N years
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_yearly: u32,
    /// How long what is marked stays before it is removed
    #[arg(long, value_name = "DURATION", value_parser = time::duration, default_value = "1d")]
    grace: std::time::Duration,
    /// Say what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    fn policy(&self) -> Retention {
        Retention {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
        }
    }
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Init { place, label } => init(&place, &label, context),
        Command::Create(create) => self::create(&create, context),
        Command::List { place } => report::list(&place.open(context)?, context),
        Command::Verify { place, sample, repair } => verify(&place, sample, repair, context),
        Command::Restore { backup, place, to, only } => restore(&place, &backup, &to, only.as_deref(), context),
        Command::Delete { backups, place, dry_run } => {
            let deleted = place.open(context)?.delete(&backups, dry_run)?;
            report::deleted(&deleted, dry_run, context)
        }
        Command::Prune(prune) => self::prune(&prune, context),
        Command::Key(command) => keys::run(command, context),
        Command::Export { file, backup, place, new } => {
            let (repository, secret) = (place.open(context)?, new.read(context)?);
            let copied =
                follow(context, |progress| repository.export(&backup, &file, (&secret, Cost::default()), progress))?;
            report::exported(&copied, &file, context)
        }
        Command::Import { file, place, file_passphrase_file, reference, lenient } => {
            if reference {
                return import_reference(&file, &place, lenient, context);
            }
            let secret = open::of_file(file_passphrase_file.as_deref(), context)?;
            let repository = place.open(context)?;
            let copied = follow(context, |progress| repository.import(&file, &secret, progress))?;
            report::imported(&copied, context)
        }
    }
}

fn init(place: &Place, label: &str, context: &Context) -> Result<()> {
    let destination = place.destination(context)?;
    let secret = place.new_secret(context)?;
    let repository = Repository::init(destination, &secret, label, Cost::default())?;
    context.note(&format!("made a backup repository in {}", repository.location()));
    if repository.is_plain() {
        context.note(
            "IT IS PLAIN: whoever can read it can read every backup in it, and whoever can write it can forge one",
        );
    } else {
        context.note("without the passphrase or key file nobody can read it, you neither: keep it where it survives this machine");
    }
    let id = repository.id().to_string();
    let value = object([
        ("repository_id", id.as_str().into()),
        ("location", repository.location().into()),
        ("plain", repository.is_plain().into()),
    ]);
    Ok(context.output().result(&id, &value)?)
}

fn create(create: &Create, context: &Context) -> Result<()> {
    let vault = context.open()?;
    let repository = create.place.open(context)?;
    let options =
        CreateOptions { label: create.name.clone(), dry_run: create.dry_run, accept_older: create.accept_older };
    let created = follow(context, |progress| repository.create(&vault, &options, progress))?;
    report::created(&created, context)
}

fn verify(place: &Place, sample: Option<u8>, repair: bool, context: &Context) -> Result<()> {
    let repository = place.open(context)?;
    if repair {
        let repaired = follow(context, |progress| repository.repair(progress))?;
        report::repaired(&repaired, context);
    }
    let vault = context.vault_dir().ok().filter(|dir| dir.is_dir());
    let options = VerifyOptions { sample, vault: vault.as_deref() };
    let report = follow(context, |progress| repository.verify(&options, progress))?;
    report::verified(&report, context)
}

fn restore(place: &Place, backup: &str, to: &std::path::Path, only: Option<&str>, context: &Context) -> Result<()> {
    let repository = place.open(context)?;
    match only {
        None => {
            let restored = follow(context, |progress| repository.restore(backup, to, progress))?;
            report::restored(&restored, to, context)
        }
        Some(part) => {
            let part = Part::parse(part);
            let extracted = follow(context, |progress| repository.extract(backup, &part, to, progress))?;
            report::extracted(&extracted, to, context)
        }
    }
}

fn prune(prune: &Prune, context: &Context) -> Result<()> {
    let repository = prune.place.open(context)?;
    let policy = prune.policy();
    let deleted = if policy.is_empty() { Vec::new() } else { repository.forget(&policy, prune.dry_run)? };
    let options = PruneOptions { dry_run: prune.dry_run, grace: prune.grace.as_secs() };
    let pruned = follow(context, |progress| repository.prune(&options, progress))?;
    report::pruned(&deleted, &pruned, prune.dry_run, context)
}

fn import_reference(file: &std::path::Path, place: &Place, lenient: bool, context: &Context) -> Result<()> {
    let passphrase = place.passphrase(context)?;
    let vault = context.open()?;
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    let report = super::transfer::follow(context, "importing", Unit::Bytes, |progress| {
        interchange::import_backup(&vault, file, passphrase, &ImportOptions { lenient }, progress)
    })?;
    super::transfer::print_import(&report, context)
}

/// Does long work with a progress bar or, with `--jsonl`, events on stderr; Ctrl-C stops it in order.
fn follow<T>(
    context: &Context,
    work: impl FnOnce(&mut dyn Progress) -> std::result::Result<T, BackupError>,
) -> Result<T> {
    let mut bar = context.progress("backup", Unit::Bytes);
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = {
        let (stopped, bar) = (Arc::clone(&stopped), bar.clone());
        move || {
            stopped.store(true, Ordering::Relaxed);
            bar.rename("stopping");
            Then::Ends
        }
    };
    let mut events = Events { context, seen: None };
    let mut named = None;
    let mut advance = |phase: Phase, done, total| {
        if named.replace(phase) != Some(phase) {
            bar.rename(phase.name());
        }
        bar.set(done, total);
        events.tell(phase, done, total);
        if stopped.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    context.interrupt().during(stop, || work(&mut advance)).map_err(Failure::from)
}

/// Progress for scripts: a JSON object a line on stderr, whenever another hundredth is done.
struct Events<'a> {
    context: &'a Context,
    seen: Option<(Phase, u64)>,
}

impl Events<'_> {
    fn tell(&mut self, phase: Phase, done: u64, total: u64) {
        if self.context.output().format() != Format::Jsonl || self.context.globals().quiet {
            return;
        }
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        if self.seen.replace((phase, percent)) != Some((phase, percent)) {
            let event = object([
                ("event", "progress".into()),
                ("phase", phase.name().into()),
                ("done", done.into()),
                ("total", total.into()),
            ]);
            Context::event(&event);
        }
    }
}

/// A list as JSON.
fn array(items: impl IntoIterator<Item = Value>) -> Value {
    items.into_iter().collect()
}
