//! The commands, one file a group: arguments in, calls of the library, results out.

pub(crate) mod backup;
pub(crate) mod checksum;
pub(crate) mod config;
pub(crate) mod dna;
pub(crate) mod identity;
mod list;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod other;
pub(crate) mod record;
pub(crate) mod reflection;
pub(crate) mod session;
pub(crate) mod snapshot;
pub(crate) mod timeline;
pub(crate) mod transfer;
pub(crate) mod vault;

use crate::args::Command;
use crate::context::Context;
use crate::error::Result;

/// Does what was asked for.
pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Vault(command) => vault::run(command, context),
        Command::Transfer(command) => transfer::run(command, context),
        Command::Identity(command) => identity::run(command, context),
        Command::Record(command) => record::run(command, context),
        Command::Session(command) => session::run(command, context),
        Command::Memory(command) => memory::run(command, context),
        Command::Dna(command) => dna::run(command, context),
        Command::Reflection(command) => reflection::run(command, context),
        Command::Timeline(command) => timeline::run(command, context),
        Command::Snapshot(command) => snapshot::run(command, context),
        Command::Checksum(command) => checksum::run(command, context),
        Command::Config(command) => config::run(command, context),
        Command::Backup(command) => backup::run(command, context),
        Command::Mount(command) => mount::run(command, context),
        Command::Other(command) => other::run(command, context),
    }
}
