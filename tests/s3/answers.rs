//! What is said when a server cannot be used: what happened, where, and what to do.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use mirrordna::backup::{BackupError, Destination, Folder, Result};
use mirrordna_s3::{Location, S3, Settings};

use crate::server::{OWNER, READER, server, variables};
use crate::support::{direct, limits, location};

fn with(endpoint: &str, credentials: (&str, &str), location: Location) -> S3 {
    let settings = Settings::from_variables(variables(endpoint, credentials)).with_limits(limits());
    S3::new(location, &settings).unwrap()
}

#[track_caller]
fn fails<T: std::fmt::Debug>(done: Result<T>, expected: ErrorKind, location: &str, says: &[&str]) {
    let error = done.unwrap_err();
    let BackupError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), expected, "{error}");
    let text = error.to_string();
    assert!(text.starts_with(location), "{text}");
    for part in says {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn there_is_no_such_bucket() {
    let nowhere = Location { bucket: "nowhere".to_owned(), prefix: "p".to_owned() };
    let s3 = with(&server().endpoint, OWNER, nowhere);
    let says = ["no such bucket"];
    fails(s3.list(Folder::Backups), ErrorKind::NotFound, "s3://nowhere/p", &says);
    fails(s3.read(Folder::Root, "REPOSITORY"), ErrorKind::NotFound, "s3://nowhere/p/REPOSITORY", &says);
    fails(s3.write(Folder::Packs, "a", b"x"), ErrorKind::NotFound, "s3://nowhere/p", &says);
    fails(s3.write(Folder::Keys, "a", b"x"), ErrorKind::NotFound, "s3://nowhere/p", &says);
}

#[test]
fn the_credentials_are_not_right() {
    let unknown = with(&server().endpoint, ("nobody", "x"), location("denied"));
    fails(unknown.list(Folder::Root), ErrorKind::PermissionDenied, "s3://tests/denied", &["AWS_ACCESS_KEY_ID"]);
    let wrong = with(&server().endpoint, (OWNER.0, "wrong"), location("denied"));
    fails(wrong.list(Folder::Root), ErrorKind::PermissionDenied, "s3://tests/denied", &["AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn a_reader_reads_and_does_not_write() {
    direct("read-only").write(Folder::Packs, "a", b"content").unwrap();
    let reader = with(&server().endpoint, READER, location("read-only"));
    assert_eq!(reader.read(Folder::Packs, "a").unwrap(), b"content");
    assert_eq!(reader.list(Folder::Packs).unwrap().len(), 1);
    let written = reader.write(Folder::Packs, "b", b"x");
    fails(written, ErrorKind::PermissionDenied, "s3://tests/read-only/packs/b", &["s3:PutObject", "403"]);
    let removed = reader.remove(Folder::Packs, "a");
    fails(removed, ErrorKind::PermissionDenied, "s3://tests/read-only/packs/a", &["s3:DeleteObject"]);
    assert_eq!(direct("read-only").read(Folder::Packs, "a").unwrap(), b"content");
}

/// An endpoint where nobody listens is not waited for as long as one that failed in between.
#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut limits = limits();
    limits.retries = Duration::from_secs(3_600);
    let settings = Settings::from_variables(variables(&endpoint, OWNER)).with_limits(limits);
    let s3 = S3::new(location("p"), &settings).unwrap();
    fails(
        s3.list(Folder::Root),
        ErrorKind::NotConnected,
        "s3://tests/p",
        &["cannot be reached", "refused", "3 attempts"],
    );
}

/// Credentials and files do not go to whoever has a certificate that nobody vouches for.
#[test]
fn a_certificate_is_not_trusted() {
    let s3 = with(&server().encrypted, OWNER, location("p"));
    fails(s3.list(Folder::Root), ErrorKind::NotConnected, "s3://tests/p", &["certificate", "3 attempts"]);
}

/// A server that is none of S3 is not taken for an empty bucket.
#[test]
fn something_else_listens() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    let s3 = with(&endpoint, OWNER, location("p"));
    fails(s3.list(Folder::Root), ErrorKind::InvalidData, "s3://tests/p", &["cannot be used"]);
    assert!(s3.write(Folder::Packs, "a", b"x").is_err());
}
