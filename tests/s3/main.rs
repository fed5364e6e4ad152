//! Backup repositories in a bucket of a real S3 server, over a network that works and over one that fails.

#[path = "../support/s3_proxy.rs"]
#[allow(dead_code, reason = "not every fault is used here")]
#[expect(unreachable_pub, reason = "shared with other tests")]
mod proxy;
#[path = "../support/sample.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
#[expect(dead_code, reason = "not every helper is used here")]
mod sample;
#[path = "../support/s3_server.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
#[expect(dead_code, reason = "not every helper is used here")]
mod server;

mod answers;
mod failures;
mod init;
mod round_trip;
mod stopped;
mod support;
