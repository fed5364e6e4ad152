//! One vault, many processes: the socket on which the owner of a vault answers the others.
//!
//! `address` finds the socket and tells who is at its other end, `wire` carries frames, `codec` and `errors` turn values
//! into bytes, `messages` are what is said, `server` and `events` are the owner's side, `client` is the other one.
//! `docs/socket-protocol.md` describes the bytes.

mod address;
mod answers;
mod calls;
mod client;
mod codec;
mod errors;
mod events;
mod messages;
mod server;
mod wire;

use std::time::Duration;

pub(super) use address::exists as socket_exists;
pub(super) use answers::made_before;
pub(super) use client::{CallError, Claimed, Client, Contact, Events, News, ask_for_hand_over};
pub(crate) use codec::{Wire, fields, messages, variants};
pub(super) use server::{Host, Server, this_thread_serves};
pub(crate) use wire::{decode, encode};

/// The version of the protocol. A process refuses to speak any other.
const PROTOCOL: u16 = 3;
/// How long the one side waits for the other where an answer takes no work, at least.
const PATIENCE: Duration = Duration::from_secs(5);
