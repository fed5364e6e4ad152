//! The `mirrordna` command as its users run it: arguments, streams, exit codes, messages.

mod backup;
mod errors;
mod groups;
mod help;
mod hostile;
mod logs;
mod mount;
mod secrets;
mod streams;
mod support;
mod transfer;
