//! A repository in a bucket.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use mirrordna::backup::{BackupError, Destination, Folder, Result};
use object_store::aws::{AmazonS3, S3ConditionalPut};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig};

use crate::connector::{Connector, deepest};
use crate::location::Location;
use crate::problem::{OtherLength, Problem};
use crate::requests::{Requests, Worth};
use crate::settings::Settings;

/// Uploads under way at once. Each holds its content once more in memory, at most a pack.
const UPLOADS: usize = 4;
/// No file of a repository is longer; whoever says so would fill the memory.
const LONGEST: u64 = 1 << 30;

/// A bucket, or what has a prefix in one.
pub struct S3 {
    store: Arc<AmazonS3>,
    location: Location,
    requests: Requests,
    uploads: Uploads,
    /// A [`Conditions`].
    conditions: AtomicU8,
}

/// What a server makes of `If-None-Match: *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Conditions {
    /// Nothing said so yet.
    Unknown = 0,
    /// It keeps an object that is there.
    Kept = 1,
    /// It refuses the condition, or writes over what is there.
    Ignored = 2,
}

type Done<T> = std::result::Result<T, Problem>;

impl S3 {
    /// The bucket at a location. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// [`BackupError::Argument`] when the settings cannot be used: no credentials, an endpoint that is none.
    pub fn new(location: Location, settings: &Settings) -> Result<Self> {
        let endpoint = settings.endpoint()?;
        let refused =
            |error: object_store::Error| BackupError::Argument { what: location.to_string(), reason: deepest(&error) };
        // Attempts are made again here, where each is signed anew and whoever waits can be told to stop.
        let once = RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() };
        let store = settings
            .builder(&location)?
            .with_http_connector(Connector::new(endpoint.as_ref())?)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_disable_bulk_delete(true)
            .with_unsigned_payload(false)
            .with_retry(once)
            .build()
            .map_err(refused)?;
        Ok(Self {
            store: Arc::new(store),
            requests: Requests::new(settings.limits(), settings.stopped())?,
            location,
            uploads: Uploads::default(),
            conditions: AtomicU8::new(Conditions::Unknown as u8),
        })
    }

    /// The path of a file, and how it is called in messages.
    fn place(&self, folder: Folder, name: &str) -> Result<(Path, String)> {
        let shown = folder.shown(name);
        let path = Path::parse(self.location.key(&shown));
        let refused =
            |error: object_store::path::Error| BackupError::Argument { what: shown.clone(), reason: error.to_string() };
        Ok((path.map_err(refused)?, shown))
    }

    /// What a failure means for the file that is called so.
    fn failed(&self, problem: Problem, shown: &str) -> BackupError {
        let location = if shown.is_empty() { self.location.to_string() } else { format!("{}/{shown}", self.location) };
        let other =
            |text: &str| BackupError::Io { location: location.clone(), source: io::Error::other(text.to_owned()) };
        match problem {
            Problem::Missing => BackupError::Missing { what: shown.to_owned() },
            Problem::Short => {
                BackupError::Corrupt { what: shown.to_owned(), detail: "it is shorter than it was".to_owned() }
            }
            Problem::Stopped => BackupError::Interrupted { done: "nothing is there that is half written" },
            Problem::Exists => other("there is another file with this name"),
            Problem::Unsupported => other("the server cannot do what it was asked for"),
            Problem::Transient { kind, text, .. } | Problem::Final { kind, text } => {
                BackupError::Io { location, source: io::Error::new(kind, text) }
            }
        }
    }

    /// Reads a file, or the part of it that was asked for.
    fn get(&self, path: &Path, part: Option<&Range<u64>>) -> Done<Vec<u8>> {
        self.requests.attempt(Worth::Work, |attempt| {
            let (store, path) = (Arc::clone(&self.store), path.clone());
            let options = GetOptions { range: part.cloned().map(GetRange::Bounded), ..GetOptions::default() };
            let answer = attempt.wait(0, async move { store.get_opts(&path, options).await })?;
            let expected = answer.range.end.saturating_sub(answer.range.start);
            if part.is_some_and(|part| *part != answer.range) {
                return Err(Problem::Short);
            }
            if expected > LONGEST {
                let text = format!("it has {expected} bytes, more than any file of a repository");
                return Err(Problem::Final { kind: io::ErrorKind::InvalidData, text });
            }
            let bytes = attempt.wait(expected, answer.bytes())?;
            let found = bytes.len() as u64;
            if found == expected { Ok(bytes.into()) } else { Err(OtherLength { expected, found }.into()) }
        })
    }

    /// Writes an object, whole or not at all. It may have been written by an attempt whose answer was lost.
    fn put(&self, path: &Path, payload: &PutPayload, mode: &PutMode) -> Done<()> {
        let bytes = payload.content_length() as u64;
        let _upload = self.uploads.begin();
        self.requests.attempt(Worth::Work, |attempt| {
            let (store, path, payload) = (Arc::clone(&self.store), path.clone(), payload.clone());
            let options = mode.clone().into();
            attempt.wait(bytes, async move { store.put_opts(&path, payload, options).await.map(drop) })
        })
    }

    fn conditions(&self) -> Conditions {
        match self.conditions.load(Ordering::Relaxed) {
            1 => Conditions::Kept,
            2 => Conditions::Ignored,
            _ => Conditions::Unknown,
        }
    }

    /// Writes an object where none may be, if the server keeps to that.
    fn create(&self, folder: Folder, path: &Path, content: &[u8]) -> Done<()> {
        let payload = PutPayload::from(content.to_vec());
        if self.conditions() == Conditions::Ignored {
            return self.create_unconditionally(folder, path, &payload, content);
        }
        match self.put(path, &payload, &PutMode::Create) {
            Err(Problem::Unsupported) => {
                self.conditions.store(Conditions::Ignored as u8, Ordering::Relaxed);
                self.create_unconditionally(folder, path, &payload, content)
            }
            // It may be what an attempt before wrote.
            Err(Problem::Exists) => {
                self.conditions.store(Conditions::Kept as u8, Ordering::Relaxed);
                if self.get(path, None)? == content { Ok(()) } else { Err(Problem::Exists) }
            }
            Ok(()) if folder == Folder::Keys && self.conditions() == Conditions::Unknown => {
                // The same content again does no harm, and shows whether this server keeps what is there. A slot is what a
                // new repository writes first, so that is known when it matters.
                let kept = match self.put(path, &payload, &PutMode::Create) {
                    Err(Problem::Exists) => Conditions::Kept,
                    Ok(()) => Conditions::Ignored,
                    Err(problem) => return Err(problem),
                };
                self.conditions.store(kept as u8, Ordering::Relaxed);
                Ok(())
            }
            done => done,
        }
    }

    /// The same on a server that writes over what is there. The names of all files but one are random, or stand for their
    /// content; two who make a repository at the same moment see each other's key slots, which they wrote before.
    fn create_unconditionally(&self, folder: Folder, path: &Path, payload: &PutPayload, content: &[u8]) -> Done<()> {
        if folder == Folder::Root {
            match self.get(path, None) {
                Err(Problem::Missing) => {}
                Ok(found) if found == content => return Ok(()),
                Ok(_) => return Err(Problem::Exists),
                Err(problem) => return Err(problem),
            }
            if self.names(Folder::Keys)?.len() > 1 {
                return Err(Problem::Exists);
            }
        }
        self.put(path, payload, &PutMode::Overwrite)
    }

    fn names(&self, folder: Folder) -> Done<Vec<(String, u64)>> {
        let prefix = match (folder, self.location.prefix.as_str()) {
            (Folder::Root, "") => String::new(),
            (Folder::Root, prefix) => format!("{prefix}/"),
            (folder, _) => self.location.key(&format!("{}/", folder.name())),
        };
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.requests.attempt(Worth::Work, |attempt| {
                let (store, prefix) = (Arc::clone(&self.store), prefix.clone());
                let page_token = token.clone();
                let options =
                    PaginatedListOptions { delimiter: Some("/".into()), page_token, ..PaginatedListOptions::default() };
                attempt.wait(0, async move {
                    let prefix = Some(prefix.as_str()).filter(|prefix| !prefix.is_empty());
                    store.list_paginated(prefix, options).await
                })
            });
            let page = page.map_err(|problem| match problem {
                // Only the bucket can be missing.
                Problem::Missing => {
                    Problem::Final { kind: io::ErrorKind::NotFound, text: "there is no such bucket".to_owned() }
                }
                problem => problem,
            })?;
            for object in page.result.objects {
                let name = object.location.as_ref().strip_prefix(prefix.as_str());
                names.extend(name.filter(|name| !name.contains('/')).map(|name| (name.to_owned(), object.size)));
            }
            match page.page_token {
                None => break,
                Some(next) if token.as_ref() == Some(&next) => {
                    let text = "the server lists the same page again and again".to_owned();
                    return Err(Problem::Final { kind: io::ErrorKind::InvalidData, text });
                }
                next => token = next,
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

impl Destination for S3 {
    fn location(&self) -> String {
        self.location.to_string()
    }

    fn list(&self, folder: Folder) -> Result<Vec<(String, u64)>> {
        self.names(folder).map_err(|problem| self.failed(problem, folder.name()))
    }

    fn read(&self, folder: Folder, name: &str) -> Result<Vec<u8>> {
        let (path, shown) = self.place(folder, name)?;
        self.get(&path, None).map_err(|problem| self.failed(problem, &shown))
    }

    fn read_part(&self, folder: Folder, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        let (path, shown) = self.place(folder, name)?;
        if len == 0 {
            return Ok(Vec::new());
        }
        let part = offset..offset.saturating_add(len as u64);
        self.get(&path, Some(&part)).map_err(|problem| self.failed(problem, &shown))
    }

    fn write(&self, folder: Folder, name: &str, content: &[u8]) -> Result<()> {
        let (path, shown) = self.place(folder, name)?;
        let written = match folder {
            // Their names stand for their content, and they are large or many.
            Folder::Packs | Folder::Index => self.put(&path, &content.to_vec().into(), &PutMode::Overwrite),
            _ => self.create(folder, &path, content),
        };
        written.map_err(|problem| match problem {
            Problem::Exists if folder == Folder::Root => {
                let what = "a backup repository, or key slots of one that was never finished or is being made just now";
                BackupError::Occupied { location: self.location(), what }
            }
            Problem::Missing => {
                let source = io::Error::new(
                    io::ErrorKind::NotFound,
                    "there is no such bucket; make it, or see whether its name is right",
                );
                BackupError::Io { location: self.location(), source }
            }
            problem => self.failed(problem, &shown),
        })
    }

    fn remove(&self, folder: Folder, name: &str) -> Result<()> {
        let (path, shown) = self.place(folder, name)?;
        // Locks are removed also by who was stopped.
        let removed = self.requests.attempt(Worth::Order, |attempt| {
            let (store, path) = (Arc::clone(&self.store), path.clone());
            attempt.wait(0, async move { store.delete(&path).await })
        });
        match removed {
            Ok(()) | Err(Problem::Missing) => Ok(()),
            Err(problem) => Err(self.failed(problem, &shown)),
        }
    }
}

/// Counts uploads, and lets those wait that are too many.
#[derive(Default)]
struct Uploads {
    under_way: Mutex<usize>,
    ended: Condvar,
}

/// An upload that is under way until it is dropped.
struct Upload<'u>(&'u Uploads);

impl Uploads {
    fn begin(&self) -> Upload<'_> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let mut under_way =
            self.ended.wait_while(under_way, |under_way| *under_way >= UPLOADS).unwrap_or_else(PoisonError::into_inner);
        *under_way += 1;
        Upload(self)
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        *self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_one();
    }
}
