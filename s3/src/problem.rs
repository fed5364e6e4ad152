//! Which failure is which: what may go well the next time, what will not, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

use crate::connector::{Refusal, deepest};

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The object is not there.
    Missing,
    /// There is an object already, and it was not to be overwritten.
    Exists,
    /// The object ends before the part that was asked for.
    Short,
    /// The server does not know the condition that was set.
    Unsupported,
    /// The work was stopped.
    Stopped,
    /// It may go well the next time.
    Transient {
        /// What kind of error.
        kind: io::ErrorKind,
        /// What happened.
        text: String,
        /// No connection was made.
        unreached: bool,
    },
    /// It will not.
    Final {
        /// What kind of error.
        kind: io::ErrorKind,
        /// What happened, and what to do.
        text: String,
    },
}

/// An answer whose content is shorter or longer than it was said to be.
#[derive(Debug)]
pub(crate) struct OtherLength {
    pub(crate) expected: u64,
    pub(crate) found: u64,
}

impl From<OtherLength> for Problem {
    fn from(length: OtherLength) -> Self {
        let text = format!("the answer had {} bytes instead of {}", length.found, length.expected);
        Self::transient(io::ErrorKind::UnexpectedEof, text)
    }
}

impl Problem {
    pub(crate) fn transient(kind: io::ErrorKind, text: impl Into<String>) -> Self {
        Self::Transient { kind, text: text.into(), unreached: false }
    }

    fn last(kind: io::ErrorKind, text: impl fmt::Display) -> Self {
        Self::Final { kind, text: text.to_string() }
    }

    /// Which one an error is.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(refusal) = find::<Refusal>(error) {
            return Self::of_refusal(refusal);
        }
        let Some(http) = find::<HttpError>(error) else {
            let text = format!("the answer of the server cannot be used ({})", deepest(error));
            return Self::last(io::ErrorKind::InvalidData, text);
        };
        let (kind, said) = (http.kind(), deepest(http));
        match kind {
            HttpErrorKind::Connect => Self::Transient {
                kind: io::ErrorKind::NotConnected,
                text: format!(
                    "the server cannot be reached ({said}); see whether the endpoint is right and the network is up"
                ),
                unreached: true,
            },
            HttpErrorKind::Timeout => {
                Self::transient(io::ErrorKind::TimedOut, format!("the server did not answer ({said})"))
            }
            _ => Self::transient(io::ErrorKind::ConnectionReset, format!("the connection broke ({said})")),
        }
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        let denied = |advice: &str| Self::last(io::ErrorKind::PermissionDenied, format!("{advice} ({refusal})"));
        match (refusal.status, refusal.code.as_str()) {
            (404, "NoSuchBucket") => Self::last(
                io::ErrorKind::NotFound,
                format!(
                    "there is no such bucket ({refusal}); make it, or see whether its name and the endpoint are right"
                ),
            ),
            (404, _) => Self::Missing,
            (304 | 412, _) => Self::Exists,
            (416, _) => Self::Short,
            (501, _) => Self::Unsupported,
            (_, "InvalidAccessKeyId") => denied("the server does not know this AWS_ACCESS_KEY_ID"),
            (_, "SignatureDoesNotMatch") => denied("AWS_SECRET_ACCESS_KEY is not the one of this AWS_ACCESS_KEY_ID"),
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
                denied("AWS_SESSION_TOKEN does not hold any more; get new credentials")
            }
            (_, "RequestTimeTooSkewed") => denied("the clock of this machine differs from the server's; set it"),
            (400, "AuthorizationHeaderMalformed") | (301 | 302 | 307 | 308, _) => Self::last(
                io::ErrorKind::InvalidInput,
                match &refusal.region {
                    Some(region) => format!("the bucket lies in another region; set AWS_REGION={region} ({refusal})"),
                    None => format!(
                        "the bucket lies elsewhere; see whether AWS_REGION and the endpoint are right ({refusal})"
                    ),
                },
            ),
            (401 | 403, _) => denied(
                "access denied; allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it",
            ),
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => {
                Self::last(io::ErrorKind::StorageFull, format!("the server has no room left ({refusal})"))
            }
            // What was carried changed or was cut on the way, or somebody else was quicker by a moment.
            (
                400,
                "RequestTimeout"
                | "BadDigest"
                | "InvalidDigest"
                | "XAmzContentSHA256Mismatch"
                | "XAmzContentChecksumMismatch"
                | "IncompleteBody",
            )
            | (409, "ConditionalRequestConflict" | "OperationAborted")
            | (408 | 425 | 429 | 500.., _) => {
                Self::transient(io::ErrorKind::Other, format!("the server could not do it ({refusal})"))
            }
            _ => Self::last(io::ErrorKind::Other, format!("the server refuses it ({refusal})")),
        }
    }
}

/// The first error of this type among one and what caused it.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, code: &str, region: Option<&str>) -> Problem {
        let body = format!("<Error><Code>{code}</Code></Error>");
        let refusal = Refusal::new(status, region.map(str::to_owned), &body);
        let http = HttpError::new(HttpErrorKind::Unknown, refusal);
        // As it comes out of the crate: several errors around it.
        Problem::of(&object_store::Error::Generic { store: "S3", source: Box::new(http) })
    }

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_not() {
        for (status, code) in [
            (500, "InternalError"),
            (503, "SlowDown"),
            (504, ""),
            (429, ""),
            (408, ""),
            (400, "RequestTimeout"),
            (400, "XAmzContentSHA256Mismatch"),
            (409, "ConditionalRequestConflict"),
        ] {
            assert!(matches!(said(status, code, None), Problem::Transient { unreached: false, .. }), "{status} {code}");
        }
        for (status, code, kind, advice) in [
            (404, "NoSuchBucket", io::ErrorKind::NotFound, "make it"),
            (403, "AccessDenied", io::ErrorKind::PermissionDenied, "s3:PutObject"),
            (403, "InvalidAccessKeyId", io::ErrorKind::PermissionDenied, "AWS_ACCESS_KEY_ID"),
            (403, "SignatureDoesNotMatch", io::ErrorKind::PermissionDenied, "AWS_SECRET_ACCESS_KEY"),
            (400, "ExpiredToken", io::ErrorKind::PermissionDenied, "AWS_SESSION_TOKEN"),
            (403, "RequestTimeTooSkewed", io::ErrorKind::PermissionDenied, "clock"),
            (507, "", io::ErrorKind::StorageFull, "no room"),
            (400, "InvalidRequest", io::ErrorKind::Other, "InvalidRequest"),
        ] {
            let problem = said(status, code, None);
            let Problem::Final { kind: found, text } = problem else { panic!("{status} {code}: {problem:?}") };
            assert_eq!(found, kind);
            assert!(text.contains(advice) && text.contains(&status.to_string()), "{text}");
        }
        let Problem::Final { text, .. } = said(301, "PermanentRedirect", Some("eu-1")) else { panic!("a redirect") };
        assert!(text.contains("AWS_REGION=eu-1"), "{text}");
    }

    #[test]
    fn what_the_caller_asks_about_is_no_failure() {
        assert!(matches!(said(404, "NoSuchKey", None), Problem::Missing));
        assert!(matches!(said(404, "", None), Problem::Missing));
        assert!(matches!(said(412, "PreconditionFailed", None), Problem::Exists));
        assert!(matches!(said(416, "InvalidRange", None), Problem::Short));
        assert!(matches!(said(501, "NotImplemented", None), Problem::Unsupported));
    }

    #[test]
    fn broken_connections_are_tried_again() {
        let broken = |kind| Problem::of(&HttpError::new(kind, io::Error::other("below")));
        assert!(matches!(broken(HttpErrorKind::Connect), Problem::Transient { unreached: true, .. }));
        for kind in [HttpErrorKind::Request, HttpErrorKind::Interrupted, HttpErrorKind::Decode, HttpErrorKind::Timeout]
        {
            let Problem::Transient { text, unreached: false, .. } = broken(kind) else { panic!("{kind:?}") };
            assert!(text.contains("below"), "{text}");
        }
        assert!(matches!(Problem::of(&io::Error::other("no XML")), Problem::Final { .. }));
    }
}
