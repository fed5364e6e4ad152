//! The documents in the folder `citations/` of a store.

use std::path::Path;

use crate::record::Kind;
use crate::record::document::Format;
use crate::vault::Result;

use super::MAX_MEMBER_BYTES;
use super::files::read_document;
use super::intake::Intake;
use super::report::RefusalReason;

/// Offers the citation in a file, JSON or YAML, under the id that stands in it. Equal documents are one record.
pub(super) fn import(intake: &mut Intake<'_, '_>, path: &Path, name: &str) -> Result<()> {
    let kind = Kind::Citation;
    let document = match read_document(path)? {
        Ok(text) => Format::of_path(path).unwrap_or(Format::Json).read(&text).map_err(RefusalReason::from),
        Err(bytes) => Err(RefusalReason::TooLarge { bytes, limit: MAX_MEMBER_BYTES }),
    };
    let reason = match document {
        Ok(document) => match document.str_at(kind.id_field()).map(str::to_owned) {
            Some(id) => return intake.offer(kind, &id, Ok(document)),
            None => RefusalReason::WithoutId,
        },
        Err(reason) => reason,
    };
    intake.refuse(kind, name, reason);
    Ok(())
}
