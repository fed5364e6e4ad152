//! How a server is reached, and how long is waited for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mirrordna::backup::{BackupError, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use reqwest::Url;

use crate::location::Location;

/// Says whether the work was stopped.
pub(crate) type Stopped = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What a request may take, beside the time for what it carries.
    pub request: Duration,
    /// Bytes a second that a request carries at least; slower ones are given up.
    pub rate: u64,
    /// How long something is tried again, from its first failure on.
    pub retries: Duration,
    /// The pause before the second attempt. It doubles from one to the next, up to [`Limits::longest_pause`].
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Limits {
    /// Half a minute, 32 KiB/s, two minutes of further attempts with pauses from 0.2 s to 10 s.
    fn default() -> Self {
        Self {
            request: Duration::from_secs(30),
            rate: 32 << 10,
            retries: Duration::from_secs(120),
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
        }
    }
}

/// The variables that say something here. Other programs know more of them; what those say makes no difference to backups, or one
/// that they do not bear.
const NAMES: [&str; 25] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AWS_S3_EXPRESS",
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_REQUEST_PAYER",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
    "AWS_IMDSV1_FALLBACK",
];

/// How a server is reached.
#[derive(Clone)]
pub struct Settings {
    variables: Vec<(String, String)>,
    limits: Limits,
    stopped: Stopped,
}

impl Settings {
    /// As the variables `AWS_*` of this process say.
    #[must_use]
    pub fn from_env() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::from_variables(std::env::vars_os().filter_map(text))
    }

    /// As these variables of an environment say. Those that are empty say nothing, and those for other programs, be they called
    /// `AWS_*` or not, are no mistake.
    #[must_use]
    pub fn from_variables<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        let variables =
            variables.filter(|(name, value): &(String, String)| name.starts_with("AWS_") && !value.is_empty());
        Self { variables: variables.collect(), limits: Limits::default(), stopped: Arc::new(|| false) }
    }

    /// Sets what a variable says; an empty one says nothing. What is set here is meant for buckets, so that a name that says nothing
    /// of them is a mistake.
    ///
    /// # Errors
    /// [`BackupError::Argument`] for such a name, with all that there are.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if !NAMES.contains(&name) {
            let reason = format!("it says nothing of how a bucket is reached; these do: {}", NAMES.join(", "));
            return Err(BackupError::Argument { what: format!("{name:?}"), reason });
        }
        self.variables.retain(|(other, _)| other != name);
        let more = Self::from_variables([(name, value)]);
        self.variables.extend(more.variables);
        Ok(())
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives up what is under way, within a moment, when `stopped` says that the work was stopped. It is asked often.
    #[must_use]
    pub fn stopped_when(mut self, stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stopped = Arc::new(stopped);
        self
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn stopped(&self) -> Stopped {
        Arc::clone(&self.stopped)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes"))
    }

    /// The server, when it is not Amazon's.
    ///
    /// # Errors
    /// [`BackupError::Argument`] when it cannot be read, or when what is sent could be read on its way.
    pub(crate) fn endpoint(&self) -> Result<Option<Url>> {
        let named =
            ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].into_iter().find_map(|name| Some((name, self.get(name)?)));
        let Some((name, text)) = named else { return Ok(None) };
        let refused =
            |reason: &str| BackupError::Argument { what: format!("{name} ({text})"), reason: reason.to_owned() };
        let url = Url::parse(text).ok().filter(Url::has_host);
        let url = url.ok_or_else(|| refused("this is no URL; say something like https://s3.example.com"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) || self.is_true("AWS_ALLOW_HTTP") => {}
            "http" => {
                let reason = "over http everybody on the way sees which files are read and written, and when; use https://, \
                              or set AWS_ALLOW_HTTP=true if that is meant";
                return Err(refused(reason));
            }
            _ => return Err(refused("only https:// and http:// are spoken here")),
        }
        Ok(Some(url))
    }

    /// What the variables say, for a bucket.
    ///
    /// # Errors
    /// [`BackupError::Argument`] when there are no credentials.
    pub(crate) fn builder(&self, location: &Location) -> Result<AmazonS3Builder> {
        self.credentials(location)?;
        let mut builder = AmazonS3Builder::new();
        for (name, value) in &self.variables {
            // What is not known here is for other programs.
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        Ok(builder.with_bucket_name(&location.bucket))
    }

    /// There are credentials, or it is said where they come from.
    fn credentials(&self, location: &Location) -> Result<()> {
        let refused = |reason: &str| BackupError::Argument { what: location.to_string(), reason: reason.to_owned() };
        let has = |name| self.get(name).is_some();
        match (has("AWS_ACCESS_KEY_ID"), has("AWS_SECRET_ACCESS_KEY")) {
            (true, true) => return Ok(()),
            (true, false) => return Err(refused("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not")),
            (false, true) => return Err(refused("AWS_SECRET_ACCESS_KEY is set, and AWS_ACCESS_KEY_ID is not")),
            (false, false) => {}
        }
        let elsewhere = (has("AWS_WEB_IDENTITY_TOKEN_FILE") && has("AWS_ROLE_ARN"))
            || has("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            || (has("AWS_CONTAINER_CREDENTIALS_FULL_URI") && has("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
            || has("AWS_METADATA_ENDPOINT");
        if elsewhere {
            return Ok(());
        }
        Err(refused("there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"))
    }
}

/// What is sent to it does not leave this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, more: &[(&str, &str)]) -> Result<Option<Url>> {
        Settings::from_variables([("AWS_ENDPOINT_URL", url)].into_iter().chain(more.iter().copied())).endpoint()
    }

    #[test]
    fn plain_http_goes_no_farther_than_this_machine() {
        for url in ["http://127.0.0.1:8333", "http://localhost:1", "http://[::1]:1", "https://s3.example.com"] {
            assert!(endpoint(url, &[]).unwrap().is_some(), "{url}");
        }
        for url in ["http://s3.example.com", "http://10.0.0.1:9000", "http://localhost.example.com"] {
            let error = endpoint(url, &[]).unwrap_err().to_string();
            assert!(error.contains("AWS_ALLOW_HTTP=true") && error.contains(url), "{error}");
            assert!(endpoint(url, &[("AWS_ALLOW_HTTP", "true")]).unwrap().is_some());
        }
        for url in ["ftp://s3.example.com", "s3.example.com", "https://"] {
            assert!(endpoint(url, &[]).is_err(), "{url}");
        }
        let both = endpoint("http://127.0.0.1:1", &[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2")]);
        assert_eq!(both.unwrap().unwrap().port(), Some(2));
        assert_eq!(endpoint("", &[]).unwrap(), None);
    }

    #[test]
    fn a_name_that_is_set_must_be_known() {
        let mut settings = Settings::from_variables([("AWS_REGION", "here")]);
        for name in ["AWS_REGOIN", "AWS_PROFILE", "aws_region", "REGION", "HOME", "AWS_", "", "AWS_REGION "] {
            let error = settings.set(name, "x").unwrap_err();
            assert!(matches!(error, BackupError::Argument { .. }), "{error:?}");
            let said = error.to_string();
            assert!(
                said.starts_with(&format!("{name:?}: ")) && NAMES.iter().all(|known| said.contains(known)),
                "{said}"
            );
        }
        assert_eq!(settings.variables, [("AWS_REGION".to_owned(), "here".to_owned())]);
        for name in NAMES {
            settings.set(name, "x").unwrap();
            assert_eq!(settings.get(name), Some("x"));
            settings.set(name, "").unwrap();
            assert_eq!(settings.get(name), None);
            // What makes requests knows it, too.
            assert!(name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().is_ok(), "{name}");
        }
    }

    #[test]
    fn an_environment_may_hold_what_other_programs_need() {
        let (id, secret) = (("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"));
        let others = [("AWS_PROFILE", "mine"), ("AWS_PAGER", ""), ("AWS_REGOIN", "x"), ("HOME", "/root")];
        let settings = Settings::from_variables([id, secret].into_iter().chain(others));
        assert!(settings.builder(&Location::parse("s3://bbb/p").unwrap().unwrap()).is_ok());
    }

    #[test]
    fn missing_credentials_are_named() {
        let location = Location::parse("s3://bbb/p").unwrap().unwrap();
        let said = |variables: &[(&str, &str)]| {
            let built = Settings::from_variables(variables.iter().copied()).builder(&location);
            built.map(drop).map_err(|error| error.to_string())
        };
        let (id, secret) = (("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"));
        assert_eq!(said(&[id, secret]), Ok(()));
        for (variables, lacks) in [
            (&[][..], "no credentials"),
            (&[id], "AWS_SECRET_ACCESS_KEY is not"),
            (&[secret], "AWS_ACCESS_KEY_ID is not"),
        ] {
            let error = said(variables).unwrap_err();
            assert!(error.starts_with("s3://bbb/p: ") && error.contains(lacks), "{error}");
        }
        assert_eq!(said(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "f"), ("AWS_ROLE_ARN", "r")]), Ok(()));
    }
}
