//! `mirrordna identity`: who an agent, user or system is, and what it signs.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use mirrordna::record::id::IdentityType;
use mirrordna::record::{Kind, Map, Value, object};
use mirrordna::vault::{Filter, NewIdentity};
use mirrordna::{Error, Vault};

use super::list::{self, PageArgs};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::input::{self, SecretFile, json_argument, one_of};

pub(crate) const EXAMPLES: &str = "\
Examples:
  mirrordna identity create --type agent --name Ada --key-out ada.key
  mirrordna identity list
  mirrordna identity sign mdna_agt_0123456789abcdef 'I wrote this' --key ada.key";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an identity with a new key pair
    ///
    /// The vault keeps the public key alone. The private key is handed out once, here, so say where it goes.
    #[command(after_help = "\
Examples:
  mirrordna identity create --type agent --name Ada --key-out ada.key
  mirrordna identity create --type user --metadata '{\"name\":\"Grace\"}' --key-out grace.key
  mirrordna --json identity create --type system --show-private-key")]
    Create(Create),
    /// Show an identity
    #[command(after_help = "Examples:\n  mirrordna identity get mdna_agt_0123456789abcdef")]
    Get {
        /// Id of the identity
        id: String,
    },
    /// List identities
    #[command(after_help = "\
Examples:
  mirrordna identity list
  mirrordna identity list --type agent --newest --limit 10")]
    List {
        /// Of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = one_of(IdentityType::ALL, IdentityType::name))]
        identity_type: Option<IdentityType>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Sign a claim in the name of an identity
    ///
    /// Prints the Ed25519 signature over `ID:CLAIM` in base64.
    #[command(after_help = "\
Examples:
  mirrordna identity sign mdna_agt_0123456789abcdef 'I wrote this' --key ada.key
  MIRRORDNA_PRIVATE_KEY=$(pass ada) mirrordna identity sign mdna_agt_0123456789abcdef 'I wrote this'")]
    Sign {
        /// Id of the identity
        id: String,
        /// What it claims
        claim: String,
        /// File with its private key; without it, the key is taken from MIRRORDNA_PRIVATE_KEY
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Check a signature over a claim
    #[command(after_help = "\
Examples:
  mirrordna identity verify mdna_agt_0123456789abcdef 'I wrote this' \"$signature\"
  mirrordna -q identity verify mdna_agt_0123456789abcdef 'I wrote this' \"$signature\" || echo forged")]
    Verify {
        /// Id of the identity
        id: String,
        /// What it claims
        claim: String,
        /// The signature in base64
        #[arg(allow_hyphen_values = true)]
        signature: String,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("private key").args(["key_out", "show_private_key"]).required(true).multiple(true))]
pub(crate) struct Create {
    /// What the identity stands for
    #[arg(long = "type", value_name = "TYPE", value_parser = one_of(IdentityType::ALL, IdentityType::name))]
    identity_type: IdentityType,
    /// Its name, kept as metadata.name
    #[arg(long)]
    name: Option<String>,
    /// Its metadata, an object
    #[arg(long, value_name = "JSON", value_parser = json_argument)]
    metadata: Option<Value>,
    /// Write the private key to a new file that only you may read
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    /// Print the private key behind the id
    #[arg(long)]
    show_private_key: bool,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Create(arguments) => create(arguments, context),
        Command::Get { id } => Ok(context.output().record(&context.open()?.get(Kind::Identity, &id)?)?),
        Command::List { identity_type, page } => {
            let filter = Filter::default().with_some("identity_type", identity_type.map(IdentityType::name));
            list::list(context, &context.open()?, Kind::Identity, filter, page)
        }
        Command::Sign { id, claim, key } => {
            let key = input::private_key(key.as_deref())?;
            let signature = context.open()?.identities().sign(&id, &claim, &key)?;
            let value =
                object([("identity_id", id.into()), ("claim", claim.into()), ("signature", signature.as_str().into())]);
            Ok(context.output().result(&signature, &value)?)
        }
        Command::Verify { id, claim, signature } => {
            let verified = context.open()?.identities().verify(&id, &claim, &signature)?;
            if !context.output().is_text() {
                context.output().json(&object([("identity_id", id.as_str().into()), ("verified", verified.into())]))?;
            }
            if !verified {
                return Err(Failure::Signature { identity: id });
            }
            context.note(&format!("verified: {id} signed this claim"));
            Ok(())
        }
    }
}

fn create(arguments: Create, context: &Context) -> Result<()> {
    let mut metadata = match arguments.metadata {
        Some(metadata) => list::object_of("--metadata", metadata)?,
        None => Map::new(),
    };
    metadata.extend(arguments.name.map(|name| ("name".to_owned(), name.into())));
    let metadata = (!metadata.is_empty()).then_some(Value::Object(metadata));
    let vault = context.open()?;
    // The file comes first: if it cannot be made, neither is an identity whose key nobody would have.
    let file = arguments.key_out.as_deref().map(SecretFile::create).transpose()?;
    let new = vault.identities().create(arguments.identity_type, metadata)?;
    if let Some((file, path)) = file.zip(arguments.key_out) {
        file.keep(&new.private_key.to_base64()).map_err(|error| take_back(&vault, &new, &Failure::io(&path, error)))?;
        context.note(&format!("the private key is in {}; keep it safe, the vault has no copy", path.display()));
    }
    print(&new, arguments.show_private_key, context).map_err(|error| {
        if arguments.show_private_key { take_back(&vault, &new, &Failure::Output(error)) } else { error.into() }
    })
}

fn print(new: &NewIdentity, with_key: bool, context: &Context) -> std::io::Result<()> {
    let output = context.output();
    if !with_key {
        return output.made(&new.record);
    }
    let key = new.private_key.to_base64();
    if output.is_text() {
        output.line(&new.record.id)?;
        output.line(&key)?;
    } else {
        let mut record = new.record.value.clone();
        if let Some(record) = record.as_object_mut() {
            record.insert("_private_key".to_owned(), key.as_str().into());
        }
        output.json(&record)?;
    }
    // Only what has left this process has been handed out.
    output.flush()
}

/// Deletes an identity whose key could not be handed out, and says so.
fn take_back(vault: &Vault, new: &NewIdentity, why: &Failure) -> Failure {
    let id = &new.record.id;
    let reason = match vault.delete(Kind::Identity, id).map_err(|error: Error| error.to_string()) {
        Ok(_) => format!("the private key could not be handed out ({why}), so identity {id} was deleted again"),
        Err(error) => format!(
            "the private key of identity {id} could not be handed out ({why}) and is lost; deleting the identity failed \
             too ({error})"
        ),
    };
    Failure::Key { reason }
}
