//! What a location names: a bucket, a sealed file, or a folder.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use mirrordna::backup::archive::SealedFile;
use mirrordna::backup::{BackupError, Destination, LocalFolder, Result};

use crate::{Location, S3, Settings};

/// The destination that a location names: `s3://BUCKET/PREFIX` or `s3:BUCKET/PREFIX`, a sealed file that is there, or else a
/// folder, which need not be there yet.
///
/// # Errors
/// [`BackupError::Argument`] for a location that is empty or half of one, for another scheme, and for a bucket when the
/// settings cannot be used; those of [`SealedFile::open`].
pub fn destination(location: impl AsRef<OsStr>, settings: &Settings) -> Result<Arc<dyn Destination>> {
    let path = Path::new(&location);
    let refused = |reason: String| {
        let what = if path.as_os_str().is_empty() { "the location".to_owned() } else { path.display().to_string() };
        BackupError::Argument { what, reason }
    };
    if path.as_os_str().is_empty() {
        return Err(refused("it is empty; give a folder or s3://BUCKET/PREFIX".to_owned()));
    }
    // What is not UTF-8 is a path.
    if let Some(text) = path.to_str() {
        if let Some(location) = Location::parse(text)? {
            return Ok(Arc::new(S3::new(location, settings)?));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(refused(format!("there is no destination {scheme}://; give a folder or s3://BUCKET/PREFIX")));
        }
    }
    if path.is_file() {
        return Ok(Arc::new(SealedFile::open(path)?));
    }
    Ok(Arc::new(LocalFolder::new(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Result<String> {
        let variables = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        destination(text, &Settings::from_variables(variables)).map(|destination| destination.location())
    }

    #[test]
    fn a_location_is_a_bucket_or_a_folder() {
        assert_eq!(location("s3:bucket/a/b/").unwrap(), "s3://bucket/a/b");
        assert_eq!(location("./s3:bucket").unwrap(), "./s3:bucket");
        assert_eq!(location("/backups/of mine").unwrap(), "/backups/of mine");
    }

    #[test]
    fn what_is_no_location_is_refused_and_makes_nothing() {
        for (text, says) in
            [("", "empty"), ("s3://", "no bucket"), ("s3://bucket//x", "prefix"), ("gopher://x/y", "gopher")]
        {
            let error = location(text).unwrap_err();
            assert!(matches!(error, BackupError::Argument { .. }) && error.to_string().contains(says), "{error}");
        }
        let nobody = destination("s3://bucket/a", &Settings::from_variables([("AWS_ENDPOINT_URL", "ftp://x")]));
        assert!(matches!(nobody.err(), Some(BackupError::Argument { .. })));
    }

    #[test]
    fn a_file_is_a_sealed_file_or_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "anything").unwrap();
        let opened = destination(&file, &Settings::from_variables([("", ""); 0]));
        assert!(!matches!(opened.err(), None | Some(BackupError::Argument { .. })));
        assert_eq!(std::fs::read(&file).unwrap(), b"anything");
    }
}
