//! The `mirrordna` command as its users run it: arguments, streams, exit codes, messages.

mod backup;
mod errors;
mod groups;
mod help;
mod hostile;
mod logs;
mod mount;
#[path = "../support/s3_proxy.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
#[expect(dead_code, reason = "not every helper is used here")]
mod proxy;
mod s3;
mod secrets;
#[path = "../support/s3_server.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
mod server;
mod streams;
mod support;
mod transfer;
