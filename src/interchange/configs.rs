//! Checksummed configurations: an import verifies them and takes nothing of them.

use std::path::Path;

use crate::record::document::{ConfigChecksum, Format, HashAlgorithm};
use crate::record::{RecordError, Value, object};
use crate::vault::{Result, audit};

use super::MAX_MEMBER_BYTES;
use super::files::read_document;

/// What was found out about a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigCheck {
    /// Its name, without `.json`.
    pub name: String,
    /// How its verification ended.
    pub outcome: ConfigOutcome,
}

/// How the verification of a configuration ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigOutcome {
    /// It has the checksum that its checksum file says.
    Verified(HashAlgorithm),
    /// There is no checksum file, so nothing proves it.
    Unverified,
    /// It differs from its checksum, or one of the two files cannot be read.
    Failed(RecordError),
}

impl ConfigCheck {
    /// Nothing speaks against it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !matches!(self.outcome, ConfigOutcome::Failed(_))
    }

    pub(super) fn to_value(&self) -> Value {
        let (outcome, detail) = match &self.outcome {
            ConfigOutcome::Verified(algorithm) => ("verified", algorithm.name().into()),
            ConfigOutcome::Unverified => ("unverified", Value::Null),
            ConfigOutcome::Failed(error) => ("failed", error.to_string().into()),
        };
        object([("name", self.name.as_str().into()), ("outcome", outcome.into()), ("detail", detail)])
    }
}

/// Verifies the configuration in a file, `NAME.json`, against the file beside it, `NAME.checksum.json`.
pub(super) fn check(path: &Path) -> Result<ConfigCheck> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let checksum = ConfigChecksum::path_for(path);
    let outcome = if checksum.exists() {
        verify(&name, path, &checksum)?.map_or_else(ConfigOutcome::Failed, ConfigOutcome::Verified)
    } else {
        ConfigOutcome::Unverified
    };
    if let ConfigOutcome::Failed(error) = &outcome {
        tracing::warn!(target: audit::TARGET, action = "import", config = name, refused = %error);
    }
    Ok(ConfigCheck { name, outcome })
}

fn verify(name: &str, config: &Path, checksum: &Path) -> Result<std::result::Result<HashAlgorithm, RecordError>> {
    let (config, checksum) = (read_bounded(config)?, read_bounded(checksum)?);
    let verify = || {
        let checksum = ConfigChecksum::parse(name, &checksum?)?;
        checksum.verify(name, &Format::Json.read(&config?)?)?;
        Ok(checksum.algorithm)
    };
    Ok(verify())
}

fn read_bounded(path: &Path) -> Result<std::result::Result<Vec<u8>, RecordError>> {
    Ok(read_document(path)?.map_err(|bytes| RecordError::Document {
        what: path.display().to_string(),
        reason: format!("it has {bytes} bytes; documents are read up to {MAX_MEMBER_BYTES}"),
    }))
}
