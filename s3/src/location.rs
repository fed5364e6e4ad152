//! Which bucket, and where in it.

use std::fmt;

use mirrordna::backup::{BackupError, Result};
use object_store::path::Path;

/// A bucket has a longer name. There are servers that take writes to one with a shorter name, and lose them.
const SHORTEST: usize = 3;

/// A bucket and a prefix of keys in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// What the keys begin with, without a slash at either end; may be empty.
    pub prefix: String,
}

impl Location {
    /// Reads `s3:BUCKET/PREFIX` or `s3://BUCKET/PREFIX`. None when the text names something else.
    ///
    /// # Errors
    /// [`BackupError::Argument`] when it begins like one of these and is none.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let Some(rest) = text.strip_prefix("s3:") else { return Ok(None) };
        let refused = |reason: &str| BackupError::Argument {
            what: text.to_owned(),
            reason: format!("{reason}; say s3://BUCKET/PREFIX"),
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.len() < SHORTEST || !bucket.chars().all(allowed) {
            return Err(refused("this names no bucket, which has letters, digits, dots and dashes, three at least"));
        }
        let prefix = prefix.trim_end_matches('/');
        let path = Path::parse(prefix).ok().filter(|path| path.as_ref() == prefix);
        if path.is_none() {
            return Err(refused("the prefix has an empty part, or one that is . or .. or no name"));
        }
        Ok(Some(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() }))
    }

    /// The key of a file with this name below the prefix.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_a_bucket_and_a_prefix() {
        for (text, bucket, prefix) in [
            ("s3:bbb", "bbb", ""),
            ("s3://bbb/", "bbb", ""),
            ("s3:my.bucket/one", "my.bucket", "one"),
            ("s3://b-1/one/two/", "b-1", "one/two"),
        ] {
            let location = Location::parse(text).unwrap().unwrap();
            assert_eq!((location.bucket.as_str(), location.prefix.as_str()), (bucket, prefix), "{text}");
        }
        let location = Location::parse("s3:bbb/one").unwrap().unwrap();
        assert_eq!(location.to_string(), "s3://bbb/one");
        assert_eq!(location.key("keys/1"), "one/keys/1");
        assert_eq!(Location::parse("s3:bbb").unwrap().unwrap().key("REPOSITORY"), "REPOSITORY");
    }

    #[test]
    fn other_texts_are_folders_and_half_ones_are_refused() {
        for text in ["/mnt/disk", "./s3:b", "s3", "gopher://b"] {
            assert_eq!(Location::parse(text).unwrap(), None);
        }
        for text in [
            "s3:",
            "s3://",
            "s3:///x",
            "s3://bb/x",
            "s3://bbb//x",
            "s3://bbb/x/../y",
            "s3://user@host/x",
            "s3:https://host/b",
        ] {
            assert!(matches!(Location::parse(text), Err(BackupError::Argument { .. })), "{text}");
        }
    }
}
