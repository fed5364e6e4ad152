//! Answering for the past, which every process reads by itself.

use crate::artifacts::{Cursor, FileType, FsError, Ino, Past};

use super::desk::{MOST_BYTES, PAGE};
use super::path::{Follow, resolve};
use super::question::{Answer, Question};

type Result<T> = std::result::Result<T, FsError>;

/// Answers a question about artifacts as they were.
pub(super) fn answer(past: &Past, question: Question) -> Result<Answer> {
    match question {
        Question::Open { path, .. } => {
            let attributes = resolve(past, &path, Follow::Always)?.found()?.attributes;
            match attributes.file_type {
                FileType::Regular => Ok(Answer::Opened { instance: 0, attributes }),
                FileType::Directory => Err(FsError::IsDirectory),
                _ => Err(FsError::Invalid("only an ordinary file has content".into())),
            }
        }
        Question::Read { file, offset, len } => {
            let mut bytes = vec![0; len.min(MOST_BYTES) as usize];
            let read = past.read(file.ino, offset, &mut bytes)?;
            bytes.truncate(read);
            Ok(Answer::Bytes { bytes })
        }
        Question::Stat { path, follow } => {
            let follow = if follow { Follow::Always } else { Follow::IfSlash };
            Ok(Answer::Attributes { attributes: resolve(past, &path, follow)?.found()?.attributes })
        }
        Question::StatOpen { file } => Ok(Answer::Attributes { attributes: past.attributes(file.ino)? }),
        Question::List { ino, after, name } => list(past, ino, after, &name),
        Question::ReadLink { path } => {
            let found = resolve(past, &path, Follow::IfSlash)?.found()?;
            Ok(Answer::Bytes { bytes: past.read_link(found.attributes.ino)? })
        }
        Question::Seek { file, offset, what } => Ok(Answer::Count { count: past.seek(file.ino, offset, what)? }),
        // Nothing is held for a file that is open, and all of it is durable.
        Question::Close { .. } | Question::Sync { .. } => Ok(Answer::Done),
        Question::Write { .. }
        | Question::Set { .. }
        | Question::SetOpen { .. }
        | Question::Make { .. }
        | Question::Remove { .. }
        | Question::Rename { .. }
        | Question::Link { .. } => Err(FsError::ReadOnly),
    }
}

/// The past is listed by names: they neither come nor go.
fn list(past: &Past, ino: Ino, after: Cursor, name: &[u8]) -> Result<Answer> {
    let names = past.names(ino, (!name.is_empty()).then_some(name), PAGE)?;
    let more = names.len() == PAGE;
    let entry = |(cursor, (name, found)): (Cursor, (Vec<u8>, crate::storage::Dentry))| {
        Ok((name, cursor, past.attributes(found.ino)?))
    };
    let entries = (after + 1..).zip(names).map(entry).collect::<Result<_>>()?;
    Ok(Answer::Entries { entries, more })
}
