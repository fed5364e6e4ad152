//! Frames: a length, a CRC-32C, and that many bytes.
//!
//! Whatever comes in, a reader allocates no more than has really arrived, and says what is wrong instead of panicking.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::super::codec::Reader;
use super::codec::Wire;

/// Bytes before the payload: its length and its CRC-32C.
pub(super) const HEADER: usize = 8;
/// The longest payload: the largest commit with its index terms fits.
pub(super) const MAX_FRAME: usize = 192 << 20;
/// Bytes read at once.
const CHUNK: usize = 32 << 10;

/// Why nothing more comes from the other side.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The other side is gone.
    #[error("the connection ended")]
    Closed,
    /// What came is not what this protocol says.
    #[error("what came through the socket cannot be read: {0}")]
    Garbled(&'static str),
    /// The other side is there and says nothing.
    #[error("the other process does not answer")]
    Silent,
}

/// A message as a frame.
pub(super) fn frame(message: &impl Wire) -> Vec<u8> {
    let mut out = vec![0; HEADER];
    message.put(&mut out);
    let payload = out.get(HEADER..).unwrap_or_default();
    // What is too long is refused before it comes here, or else by the reader.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let crc = crc32c::crc32c(payload).to_le_bytes();
    for (place, byte) in out.iter_mut().zip(length.into_iter().chain(crc)) {
        *place = byte;
    }
    out
}

/// A message from the payload of a frame, which must hold nothing else.
pub(super) fn message<M: Wire>(payload: &[u8]) -> Result<M, WireError> {
    decode(payload).ok_or(WireError::Garbled("a message of an unknown form"))
}

/// A value as bytes, for what is carried inside of a message.
pub(crate) fn encode(value: &impl Wire) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}

/// A value of which these are all the bytes.
pub(crate) fn decode<T: Wire>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader(bytes);
    T::take(&mut reader).filter(|_| reader.end().is_some())
}

/// One side of a connection.
pub(super) struct Channel {
    stream: UnixStream,
    chunk: Box<[u8]>,
    /// What has arrived and was not taken yet, from `begin` on.
    arrived: Vec<u8>,
    begin: usize,
}

impl Channel {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, chunk: vec![0; CHUNK].into(), arrived: Vec::new(), begin: 0 }
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// How long one attempt to read or to write may take.
    pub(super) fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> Result<(), WireError> {
        let set = self.stream.set_read_timeout(read).and_then(|()| self.stream.set_write_timeout(write));
        set.map_err(|_| WireError::Closed)
    }

    /// Sends a frame that [`frame`] made.
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), WireError> {
        send(&self.stream, frame)
    }

    /// The next message. `idle` is called whenever nothing came for the time-out, and may end the waiting.
    pub(super) fn receive<M: Wire>(&mut self, idle: &mut dyn FnMut() -> Result<(), WireError>) -> Result<M, WireError> {
        loop {
            let arrived = self.arrived.get(self.begin..).unwrap_or_default();
            if let Some(payload) = payload(arrived)? {
                let taken = HEADER + payload.len();
                let message = message(payload);
                self.begin += taken;
                if self.begin >= self.arrived.len() {
                    // A buffer that was needed once is not kept.
                    if self.arrived.capacity() > 4 * CHUNK {
                        self.arrived = Vec::new();
                    }
                    self.arrived.clear();
                    self.begin = 0;
                }
                return message;
            }
            if self.begin > 0 {
                self.arrived.drain(..self.begin);
                self.begin = 0;
            }
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Err(WireError::Closed),
                Ok(count) => self.arrived.extend_from_slice(self.chunk.get(..count).unwrap_or_default()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => idle()?,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(WireError::Closed),
                },
            }
        }
    }

    /// Ends the connection for both sides.
    pub(super) fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Sends a frame.
pub(super) fn send(stream: &UnixStream, mut frame: &[u8]) -> Result<(), WireError> {
    while !frame.is_empty() {
        // A program in C has SIGPIPE not ignored: the other side being gone would end this one as well.
        match rustix::net::send(stream, frame, SendFlags::NOSIGNAL) {
            Ok(sent) if sent > 0 => frame = frame.get(sent..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(WireError::Silent),
            Ok(_) | Err(_) => return Err(WireError::Closed),
        }
    }
    Ok(())
}

/// For who waits without end.
#[expect(clippy::unnecessary_wraps, reason = "others end the waiting")]
pub(super) fn patient() -> Result<(), WireError> {
    Ok(())
}

/// For who waits for one time-out.
pub(super) fn impatient() -> Result<(), WireError> {
    Err(WireError::Silent)
}

/// The payload of the frame that `bytes` begin with, if all of it is there.
fn payload(bytes: &[u8]) -> Result<Option<&[u8]>, WireError> {
    let mut reader = Reader(bytes);
    let (Some(length), Some(crc)) = (reader.u32(), reader.u32()) else { return Ok(None) };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(WireError::Garbled("a frame that is too long"));
    }
    let Some(payload) = reader.take(length) else { return Ok(None) };
    if crc32c::crc32c(payload) != crc {
        return Err(WireError::Garbled("a frame with a wrong checksum"));
    }
    Ok(Some(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().unwrap();
        (Channel::new(one), Channel::new(other))
    }

    fn next(channel: &mut Channel) -> Result<String, WireError> {
        channel.receive(&mut patient)
    }

    #[test]
    fn frames_come_as_they_were_sent_however_they_are_cut() {
        let (sender, mut receiver) = pair();
        let texts = ["", "a", &"x".repeat(200_000), "é"].map(str::to_owned);
        let bytes: Vec<u8> = texts.iter().flat_map(frame).collect();
        let writing = std::thread::spawn(move || {
            for piece in bytes.chunks(7_919) {
                sender.send(piece).unwrap();
            }
        });
        for text in texts {
            assert_eq!(next(&mut receiver).unwrap(), text);
        }
        writing.join().unwrap();
        assert!(matches!(next(&mut receiver), Err(WireError::Closed)));
    }

    #[test]
    fn what_is_no_frame_is_told_and_takes_no_memory() {
        let sound = frame(&"text".to_owned());
        let mut long = sound.clone();
        long[3] = 0xff;
        let mut flipped = sound.clone();
        flipped[HEADER + 5] ^= 1;
        let mut claims_more = sound.clone();
        claims_more[2] = 0x10;
        for (bytes, expected) in [(long, "too long"), (flipped, "wrong checksum"), (claims_more, "ended")] {
            let (sender, mut receiver) = pair();
            sender.send(&bytes).unwrap();
            drop(sender);
            let error = next(&mut receiver).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(receiver.arrived.capacity() < 4 * CHUNK);
        }
        assert!(message::<String>(&[3, 0, 0, 0, b'a', b'b', b'c', 0]).is_err(), "with a byte too many");
        assert!(message::<String>(&[3, 0, 0, 0, b'a', 0xff, b'c']).is_err(), "not UTF-8");
    }

    #[test]
    fn waiting_ends_when_the_one_who_waits_says_so() {
        let (_sender, mut receiver) = pair();
        receiver.set_timeouts(Some(Duration::from_millis(1)), None).unwrap();
        let mut times = 0;
        let waited = receiver.receive::<String>(&mut || {
            times += 1;
            if times < 3 { Ok(()) } else { Err(WireError::Silent) }
        });
        assert!(matches!(waited, Err(WireError::Silent)) && times == 3);
    }
}
