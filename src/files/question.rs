//! What is asked of the process that owns the vault, what it answers, and the bytes of both (see the codec of the socket).

use std::borrow::Cow;

use crate::artifacts::{Attributes, Caller, Cursor, FsError, Ino, Nanos, RenameFlags, Seek, SetAttributes, SetTime};
use crate::storage::StorageError;
use crate::storage::wire::{Reader, Wire, decode, encode, fields, messages, variants};

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct How {
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) mode: u32,
}

/// A file that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) ino: Ino,
    /// The artifacts in whose memory it was opened. In others its number may be that of another file, when it was made and not
    /// committed before its owner died.
    pub(super) instance: u64,
    /// When it was made, by which it is known there.
    pub(super) born: Nanos,
}

messages! {
    /// What is asked.
    Question {
        /// `Opened`. The file stays until it is closed, or the asker is gone.
        1: Open { path: Vec<u8>, how: How, caller: Caller },
        /// `Done`
        2: Close { file: Handle },
        /// `Bytes`: fewer only at the end of the file.
        3: Read { file: Handle, offset: u64, len: u32 },
        /// `Count`. Without an offset, at the end of the file; then the count is where the file ends now.
        4: Write { file: Handle, offset: Option<u64>, bytes: Vec<u8> },
        /// `Attributes`
        5: Stat { path: Vec<u8>, follow: bool },
        /// `Attributes`
        6: StatOpen { file: Handle },
        /// `Attributes`
        7: Set { path: Vec<u8>, set: SetAttributes },
        /// `Attributes`
        8: SetOpen { file: Handle, set: SetAttributes },
        /// `Entries`, behind one that came with this cursor and had this name; the first ones behind 0 and no name.
        9: List { ino: Ino, after: Cursor, name: Vec<u8> },
        /// `Done`. A symbolic link when there is a target, else a directory.
        10: Make { path: Vec<u8>, target: Option<Vec<u8>>, caller: Caller },
        /// `Done`
        11: Remove { path: Vec<u8>, directory: bool },
        /// `Done`
        12: Rename { from: Vec<u8>, to: Vec<u8>, flags: RenameFlags },
        /// `Done`
        13: Link { from: Vec<u8>, to: Vec<u8> },
        /// `Bytes`
        14: ReadLink { path: Vec<u8> },
        /// `Done`. Without a file, all of them.
        15: Sync { file: Option<Handle>, data_only: bool },
        /// `Count`: the offset.
        16: Seek { file: Handle, offset: u64, what: Seek },
    }
}

messages! {
    /// What is answered.
    Answer {
        1: Failed { error: FsError },
        2: Done,
        3: Opened { instance: u64, attributes: Attributes },
        4: Attributes { attributes: Attributes },
        5: Bytes { bytes: Vec<u8> },
        6: Count { count: u64 },
        /// `more`: there may be more than these.
        7: Entries { entries: Vec<(Vec<u8>, Cursor, Attributes)>, more: bool },
    }
}

/// The bytes of an answer.
pub(super) fn write(answer: Result<Answer, FsError>) -> Vec<u8> {
    encode(&answer.unwrap_or_else(|error| Answer::Failed { error }))
}

/// An answer from its bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Answer, FsError> {
    match decode(bytes) {
        Some(Answer::Failed { error }) => Err(error),
        Some(answer) => Ok(answer),
        None => Err(unreadable("an answer of the owner of the vault").into()),
    }
}

/// What came from another process is nothing that this one knows.
pub(super) fn unreadable(what: &str) -> StorageError {
    StorageError::Corrupt { what: what.to_owned(), detail: "it is of an unknown form".to_owned() }
}

fields! {
    How { create, exclusive, truncate, mode }
    Handle { ino, instance, born }
    Caller { uid, gid, umask }
    RenameFlags { no_replace, exchange }
    Attributes { ino, file_type, mode, uid, gid, rdev, nlink, size, blocks, atime, mtime, ctime, btime }
    SetAttributes { mode, uid, gid, size, atime, mtime, ctime, kill_set_id }
}

variants! {
    Seek { 1: Data, 2: Hole }
    SetTime { 1: Now, 2: At(time) }
    FsError {
        1: NotFound,
        2: Exists,
        3: NotDirectory,
        4: IsDirectory,
        5: NotEmpty,
        6: Busy,
        7: NameTooLong,
        8: TooManyLinks,
        9: Invalid(why),
        10: NotPermitted(why),
        11: TooBig,
        12: BeyondEnd,
        13: NoAttribute,
        14: AttributeTooLarge,
        15: NoSpace,
        16: Unsupported(why),
        17: ReadOnly,
        18: Stale { ino },
        19: Corrupt { ino, from, to, source },
        20: Storage(error),
    }
}

impl Wire for Cow<'static, str> {
    fn put(&self, out: &mut Vec<u8>) {
        self.clone().into_owned().put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        String::take(reader).map(Self::Owned)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ATTRIBUTES: Attributes = Attributes {
        ino: 7,
        file_type: crate::record::FileType::Symlink,
        mode: 0o4755,
        uid: 1,
        gid: 2,
        rdev: 3,
        nlink: 4,
        size: 5,
        blocks: 6,
        atime: -1,
        mtime: i128::MAX,
        ctime: 8,
        btime: 9,
    };

    /// The bytes of every question and of every answer.
    fn samples() -> Vec<Vec<u8>> {
        let caller = Caller { uid: 1, gid: 2, umask: 3 };
        let set = SetAttributes {
            mode: Some(0o640),
            size: Some(9),
            mtime: Some(SetTime::At(-5)),
            atime: Some(SetTime::Now),
            ..SetAttributes::default()
        };
        let path = || b"a/\xff".to_vec();
        let file = Handle { ino: 7, instance: 8, born: -9 };
        let questions = [
            Question::Open { path: path(), how: How { create: true, mode: 0o600, ..How::default() }, caller },
            Question::Close { file },
            Question::Read { file, offset: 1, len: 2 },
            Question::Write { file, offset: None, bytes: vec![1, 2] },
            Question::Stat { path: path(), follow: true },
            Question::StatOpen { file },
            Question::Set { path: path(), set },
            Question::SetOpen { file, set },
            Question::List { ino: 1, after: 16, name: path() },
            Question::Make { path: path(), target: Some(path()), caller },
            Question::Remove { path: path(), directory: true },
            Question::Rename { from: path(), to: path(), flags: RenameFlags { no_replace: true, exchange: false } },
            Question::Link { from: path(), to: path() },
            Question::ReadLink { path: path() },
            Question::Sync { file: Some(file), data_only: true },
            Question::Seek { file, offset: 3, what: Seek::Hole },
        ];
        let corrupt = || StorageError::Corrupt { what: "it".into(), detail: "gone".into() };
        let answers = [
            Answer::Failed { error: FsError::Invalid("why".into()) },
            Answer::Failed { error: FsError::Corrupt { ino: 1, from: 2, to: 3, source: corrupt() } },
            Answer::Failed { error: FsError::Storage(corrupt()) },
            Answer::Done,
            Answer::Opened { instance: 1, attributes: ATTRIBUTES },
            Answer::Attributes { attributes: ATTRIBUTES },
            Answer::Bytes { bytes: vec![3] },
            Answer::Count { count: 4 },
            Answer::Entries { entries: vec![(path(), 17, ATTRIBUTES)], more: true },
        ];
        questions.iter().map(encode).chain(answers.iter().map(encode)).collect()
    }

    #[test]
    fn questions_and_answers_come_back_and_none_comes_in_part() {
        for sample in samples() {
            let question = decode::<Question>(&sample).map(|question| encode(&question));
            let answer = decode::<Answer>(&sample).map(|answer| encode(&answer));
            assert!(question.as_ref() == Some(&sample) || answer.as_ref() == Some(&sample), "{sample:?}");
            let whole = |cut: &[u8]| decode::<Question>(cut).is_some() && question.is_some();
            assert!((0..sample.len()).all(|end| !whole(&sample[..end])), "{sample:?}");
        }
    }

    #[test]
    fn an_error_says_the_same_on_the_other_side() {
        let errors = [
            FsError::NotFound,
            FsError::Invalid("the ranges overlap".into()),
            FsError::NotPermitted("a directory has one name".into()),
            FsError::Unsupported("no".into()),
            FsError::Stale { ino: 4 },
            FsError::NoSpace,
        ];
        for error in errors {
            let said = error.to_string();
            assert_eq!(read(&write(Err(error))).unwrap_err().to_string(), said);
        }
    }

    proptest! {
        /// Whatever arrives is a message or is refused.
        #[test]
        fn hostile_bytes_are_refused(
            nth in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let samples = samples();
            let mut bytes = nth.get(&samples).clone();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if cut {
                bytes.truncate(at);
            }
            if let Some(question) = decode::<Question>(&bytes) {
                prop_assert!(decode::<Question>(&encode(&question)).is_some());
            }
            if let Some(answer) = decode::<Answer>(&bytes) {
                prop_assert!(decode::<Answer>(&encode(&answer)).is_some());
            }
        }
    }
}
