//! HTTP: the client, and what a server says when it refuses.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use mirrordna::backup::{BackupError, Result};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::Url;
use reqwest::redirect::Policy;

use crate::settings::is_loopback;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// An idle connection is closed before a server is likely to do so, since a request on one that is just closed is lost.
const IDLE: Duration = Duration::from_secs(15);
/// The longest text of a server that is handed on, in characters.
const LONGEST: usize = 300;

/// Hands out one client for all requests.
#[derive(Debug)]
pub(crate) struct Connector(HttpClient);

impl Connector {
    /// A client for this server; none is Amazon's.
    pub(crate) fn new(endpoint: Option<&Url>) -> Result<Self> {
        // Somebody else's choice in this process is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mirrordna/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            // A signature holds for one address.
            .redirect(Policy::none());
        if endpoint.is_some_and(is_loopback) {
            // No proxy of the network reaches a server of this machine.
            builder = builder.no_proxy();
        }
        let failed = |error: reqwest::Error| BackupError::Argument {
            what: "the client for S3".to_owned(),
            reason: deepest(&error),
        };
        Ok(Self(HttpClient::new(builder.build().map_err(failed)?)))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Refusing(self.0.clone())))
    }
}

/// A client for which an answer that is no success is an error with all that the server said.
#[derive(Debug)]
struct Refusing(HttpClient);

#[async_trait]
impl HttpService for Refusing {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let answer = self.0.execute(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let region = answer.headers().get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
        let region = region.map(str::to_owned);
        // A refusal counts, also when its text is lost on the way.
        let body = answer.into_body().bytes().await.unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        Err(HttpError::new(HttpErrorKind::Unknown, Refusal::new(status, region, &body)))
    }
}

/// That a server answered, and did not do what it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The code of S3, like `NoSuchKey`; empty when there was none.
    pub(crate) code: String,
    message: String,
    /// Where the bucket lies, if the server says so.
    pub(crate) region: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, region: Option<String>, body: &str) -> Self {
        let code = element(body, "Code").unwrap_or_default();
        let region = region.or_else(|| element(body, "Region"));
        Self { status, code, message: element(body, "Message").unwrap_or_default(), region }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ", {}", self.message) }
    }
}

impl std::error::Error for Refusal {}

/// The text of the first element with this name, without anything that a terminal would not show as text.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.replace("&quot;", "\"").replace("&#34;", "\"").replace("&#39;", "'").replace("&apos;", "'");
    Some(text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()).filter(|text: &String| !text.is_empty())
}

/// What lies below all the errors that only say that there was one.
pub(crate) fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut below = error;
    while let Some(source) = below.source() {
        below = source;
    }
    below.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_what_the_server_said() {
        let body = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>it is &quot;gone&quot;\u{1b}[31m</Message>\
                    <BucketName>b</BucketName></Error>";
        let refusal = Refusal::new(404, None, body);
        assert_eq!(refusal.code, "NoSuchBucket");
        assert_eq!(refusal.to_string(), "404 NoSuchBucket, it is \"gone\"[31m");
        assert_eq!(Refusal::new(502, None, "<html>Bad gateway").to_string(), "502");
        assert_eq!(Refusal::new(400, None, "<Region>eu-1</Region>").region.as_deref(), Some("eu-1"));
    }
}
