//! Commands about the program and the machine: `health`, `completions`, `version`.

use clap::Subcommand;
use clap_complete::Shell;
use mirrordna::health::{self, Status};
use mirrordna::record::object;

use crate::args;
use crate::context::Context;
use crate::error::{Failure, Result};

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Check quickly that the vault is well
    ///
    /// That it opens, who may look into it, space, clock, and that the records changed last can be read. What is stored is
    /// proven by `mirrordna verify`.
    #[command(after_help = "\
Examples:
  mirrordna health
  mirrordna --json health | jq -r .status")]
    Health,
    /// Print the completions for a shell
    #[command(after_help = "\
Examples:
  mirrordna completions bash > ~/.local/share/bash-completion/completions/mirrordna
  mirrordna completions zsh > ~/.zfunc/_mirrordna
  mirrordna completions fish > ~/.config/fish/completions/mirrordna.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the version
    #[command(after_help = "\
Examples:
  mirrordna version
  mirrordna --json version | jq -r .version")]
    Version,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Health => health(context),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "mirrordna", &mut script);
            Ok(context.output().with(|out| std::io::Write::write_all(out, &script))?)
        }
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            let value = object([("name", "mirrordna".into()), ("version", version.into())]);
            Ok(context.output().result(&format!("mirrordna {version}"), &value)?)
        }
    }
}

fn health(context: &Context) -> Result<()> {
    let health = health::check(&context.vault_dir()?, &context.vault_options());
    let output = context.output();
    if output.is_text() {
        let mut listing = output.listing(["CHECK", "STATUS", "FOUND"]);
        for check in &health.checks {
            let cells = || vec![check.name.to_owned(), check.status.name().to_owned(), check.detail.clone()];
            listing.add(&health.to_value(), cells)?;
        }
        listing.finish()?;
    } else {
        output.json(&health.to_value())?;
    }
    match (health.status(), health.error) {
        (Status::Ok | Status::Warning, _) => Ok(()),
        (Status::Failed, Some(error)) => Err(error.into()),
        (Status::Failed, None) => Err(Failure::Unwell),
    }
}
