//! The one form of everything in a repository that is not a key slot: sealed objects.

use std::cell::RefCell;
use std::io::Cursor;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use zstd::bulk::Compressor;

use crate::record::id::{IdSource, SystemIds};

use super::error::Result;
use super::keys::{Keys, Name, RepositoryId};

/// The largest content of a sealed object: 64 MiB.
pub(super) const MAX_CONTENT: usize = 64 << 20;

const NONCE: usize = 24;
const TAG: usize = 16;
/// Codec and two lengths.
const HEAD: usize = 9;
/// Bytes before what is stored.
const BEFORE: usize = NONCE + HEAD;
/// Bytes that sealing adds to what is stored.
pub(super) const OVERHEAD: usize = BEFORE + TAG;
const CODEC_RAW: u8 = 0;
const CODEC_ZSTD: u8 = 1;
const LEVEL: i32 = 3;
/// No file is smaller.
const LEAST_FILE: usize = 1024;
const CONTEXT: &[u8] = b"mirrordna backup 1";

/// What a sealed object is. It is part of what is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Data = 1,
    List = 2,
    PackHeader = 3,
    Padding = 4,
    Index = 5,
    Manifest = 6,
    Note = 7,
    Mark = 8,
    Lock = 9,
}

impl Kind {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        let all = [
            Self::Data,
            Self::List,
            Self::PackHeader,
            Self::Padding,
            Self::Index,
            Self::Manifest,
            Self::Note,
            Self::Mark,
            Self::Lock,
        ];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The length that a file of `len` bytes is padded to (Padmé): what is left of it tells the length only roughly.
pub(super) fn step(len: usize) -> usize {
    let len = len.max(LEAST_FILE);
    let exponent = len.ilog2();
    let step = 1_usize << (exponent - (exponent.ilog2() + 1));
    len.next_multiple_of(step)
}

thread_local! {
    /// What compresses: making it anew for each blob costs more than many blobs do.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::default();
}

/// Compresses, with [`BEFORE`] bytes of room before what comes of it. None when the buffer is too small for that.
fn compress(content: &[u8], mut into: Vec<u8>) -> (Vec<u8>, Option<usize>) {
    into.resize(BEFORE, 0);
    let mut into = Cursor::new(into);
    into.set_position(BEFORE as u64);
    let len = COMPRESSOR.with_borrow_mut(|compressor| {
        if compressor.is_none() {
            *compressor = Compressor::new(LEVEL).ok();
        }
        compressor.as_mut()?.compress_to_buffer(content, &mut into).ok()
    });
    (into.into_inner(), len)
}

/// Seals and opens with the key of one repository.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    repository: RepositoryId,
}

impl Sealer {
    pub(super) fn new(keys: &Keys, repository: RepositoryId) -> Self {
        Self { cipher: XChaCha20Poly1305::new((&*keys.seal).into()), repository }
    }

    fn context(&self, kind: Kind, name: &Name) -> Vec<u8> {
        [CONTEXT, &[kind as u8], &self.repository.0, &name.0].concat()
    }

    /// Seals a blob, as small as it gets.
    pub(super) fn blob(&self, kind: Kind, name: &Name, content: &[u8]) -> Result<Vec<u8>> {
        self.seal(kind, name, content, |len| len)
    }

    /// Seals the content of a file, padded.
    pub(super) fn file(&self, kind: Kind, content: &[u8]) -> Result<Vec<u8>> {
        self.seal(kind, &Name::NONE, content, step)
    }

    /// As [`Sealer::file`], without compression: its length depends on that of the content alone.
    pub(super) fn raw_file(&self, kind: Kind, content: &[u8]) -> Result<Vec<u8>> {
        self.close_raw(kind, &Name::NONE, content, Vec::new(), step)
    }

    /// Seals nothing, so that it takes `len` bytes in all, at least [`OVERHEAD`].
    pub(super) fn padding(&self, len: usize) -> Result<Vec<u8>> {
        self.seal(Kind::Padding, &Name::NONE, &[], |_| len)
    }

    fn seal(&self, kind: Kind, name: &Name, content: &[u8], padded: impl Fn(usize) -> usize) -> Result<Vec<u8>> {
        // What does not become smaller is stored as it is.
        let room = Vec::with_capacity(OVERHEAD + content.len());
        let (object, packed) = compress(content, room);
        match packed.filter(|packed| *packed < content.len()) {
            Some(_) => self.close(kind, name, (CODEC_ZSTD, content.len()), object, padded),
            None => self.close_raw(kind, name, content, object, padded),
        }
    }

    fn close_raw(
        &self,
        kind: Kind,
        name: &Name,
        content: &[u8],
        mut object: Vec<u8>,
        padded: impl Fn(usize) -> usize,
    ) -> Result<Vec<u8>> {
        object.clear();
        object.resize(BEFORE, 0);
        object.extend_from_slice(content);
        self.close(kind, name, (CODEC_RAW, content.len()), object, padded)
    }

    /// Seals an object that has what is stored behind [`BEFORE`] bytes.
    fn close(
        &self,
        kind: Kind,
        name: &Name,
        (codec, content): (u8, usize),
        mut object: Vec<u8>,
        padded: impl Fn(usize) -> usize,
    ) -> Result<Vec<u8>> {
        if content > MAX_CONTENT {
            // It could be sealed, and never be opened.
            return Err(super::BackupError::argument("content", format!("{content} bytes are too large to be sealed")));
        }
        let stored = object.len().saturating_sub(BEFORE);
        let len = padded(object.len() + TAG).max(object.len() + TAG);
        object.reserve_exact(len - object.len());
        object.resize(len - TAG, 0);
        let length = |length| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let mut nonce = [0; NONCE];
        SystemIds.fill(&mut nonce)?;
        let head = nonce.into_iter().chain([codec]).chain(length(stored)).chain(length(content));
        object.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        let body = object.get_mut(NONCE..).unwrap_or_default();
        let tag =
            self.cipher.encrypt_inout_detached(&XNonce::from(nonce), &self.context(kind, name), InOutBuf::from(body));
        // It fails for more than 256 GiB alone.
        let tag = tag.map_err(|_| super::BackupError::argument("content", "too large to be sealed"))?;
        object.extend_from_slice(&tag);
        Ok(object)
    }

    /// The content of a sealed object. None when it is not what was sealed as this kind and name.
    pub(super) fn open(&self, kind: Kind, name: &Name, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let tag: [u8; TAG] = *sealed.last_chunk()?;
        sealed.truncate(sealed.len() - TAG);
        let (nonce, body) = sealed.split_first_chunk_mut::<NONCE>()?;
        let nonce = XNonce::from(*nonce);
        let bound = self.context(kind, name);
        self.cipher.decrypt_inout_detached(&nonce, &bound, InOutBuf::from(&mut *body), &tag.into()).ok()?;
        let (codec, rest) = body.split_first()?;
        let (stored, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let stored = usize::try_from(u32::from_le_bytes(*stored)).ok()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok().filter(|len| *len <= MAX_CONTENT)?;
        let (stored, padding) = rest.split_at_checked(stored)?;
        if padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        let content = match *codec {
            CODEC_RAW => {
                let end = BEFORE + stored.len();
                sealed.truncate(end);
                sealed.drain(..BEFORE);
                sealed
            }
            CODEC_ZSTD => zstd::bulk::decompress(stored, len).ok()?,
            _ => return None,
        };
        (content.len() == len).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::keys::MasterKey;

    fn sealer(repository: u8) -> Sealer {
        Sealer::new(&MasterKey::from_bytes([7; 32]).keys(), RepositoryId([repository; 16]))
    }

    #[test]
    fn what_was_sealed_opens_as_what_it_is_and_as_nothing_else() {
        let sealer = sealer(1);
        let (name, other) = (Name([1; 32]), Name([2; 32]));
        let long = vec![0; 100_000];
        for content in [&b""[..], b"short", &long] {
            let object = sealer.blob(Kind::Data, &name, content).unwrap();
            assert!(object.len() <= content.len() + OVERHEAD);
            assert_eq!(sealer.open(Kind::Data, &name, object.clone()).unwrap(), content);
            assert_eq!(sealer.open(Kind::List, &name, object.clone()), None);
            assert_eq!(sealer.open(Kind::Data, &other, object.clone()), None);
            assert_eq!(super::tests::sealer(2).open(Kind::Data, &name, object.clone()), None);
            for bit in 0..object.len().min(200) * 8 {
                let mut flipped = object.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(sealer.open(Kind::Data, &name, flipped), None, "bit {bit}");
            }
            for len in 0..object.len() {
                assert_eq!(sealer.open(Kind::Data, &name, object[..len].to_vec()), None);
            }
        }
    }

    #[test]
    fn files_and_paddings_have_the_length_of_a_step() {
        let sealer = sealer(1);
        for len in [0, 1, 900, 5_000] {
            let content: Vec<u8> = (0..len).map(|n: u32| n.wrapping_mul(n).to_le_bytes()[0]).collect();
            let object = sealer.file(Kind::Index, &content).unwrap();
            assert_eq!(object.len(), step(object.len()));
            assert_eq!(sealer.open(Kind::Index, &Name::NONE, object).unwrap(), content);
        }
        assert!(sealer.file(Kind::Index, &vec![0; MAX_CONTENT + 1]).is_err(), "nobody could open it");
        assert_eq!(sealer.padding(OVERHEAD).unwrap().len(), OVERHEAD);
        assert_eq!(sealer.padding(12_345).unwrap().len(), 12_345);
        assert_eq!([step(1), step(1024), step(1025), step(9_000)], [1024, 1024, 1088, 9_216]);
        for len in (1_024..3_000_000).step_by(777) {
            assert!(step(len) >= len && step(len) - len <= len / 8, "{len}");
        }
    }
}
