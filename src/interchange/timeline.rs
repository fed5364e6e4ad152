//! Timeline files.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use crate::record::json::{self, Charset, Layout};
use crate::record::{Kind, Value};
use crate::vault::{EventQuery, Result, Vault};

use super::files::{JsonFile, folder_of, io_error, malformed, open_json, replace, stream_error};
use super::import::ImportOptions;
use super::intake::Intake;
use super::progress::{Meter, Progress};
use super::report::{ImportReport, RefusalReason};

/// Imports the events of a timeline file. Those whose id is there are skipped when they are equal; those of an unknown
/// type, or wrong in another way, are refused and reported as by [`super::import_store`].
///
/// # Errors
/// As [`super::import_store`]; also when `event_count` is not the number of events, which is how a file that was cut
/// shows. After an error no event was imported.
pub fn import_timeline(
    vault: &Vault,
    path: &Path,
    options: &ImportOptions,
    progress: &mut dyn Progress,
) -> Result<ImportReport> {
    let bytes = std::fs::metadata(path).map_err(|error| io_error(path, error))?.len();
    vault.import(|events| {
        let meter = Meter::new(progress, bytes, "no event was imported");
        let mut intake = Intake::new(events, options.lenient, meter);
        intake.enter_file(path.display().to_string());
        import(&mut intake, path)?;
        intake.meter.finish(bytes)?;
        intake.finish()
    })
}

/// Writes the events that fit a query into a timeline file, oldest first, appended ones and those that the log tells. An
/// older file of this name is replaced once the new one is complete. Returns how many events it holds.
///
/// # Errors
/// As [`crate::vault::Timeline::query`], [`crate::vault::Error::Io`] when the file cannot be written, and
/// [`crate::vault::Error::Interrupted`] when `progress` stops it; then there is no new file.
pub fn export_timeline(vault: &Vault, query: &EventQuery, path: &Path, progress: &mut dyn Progress) -> Result<u64> {
    let mut count = 0;
    let meter = &mut Meter::new(progress, 0, "no file was written");
    replace(path, |out| {
        count = write(vault, query, out, path, meter)?;
        Ok(())
    })?;
    Ok(count)
}

/// Offers the events of a timeline file, in the order of the file.
pub(super) fn import(intake: &mut Intake<'_, '_>, path: &Path) -> Result<()> {
    let failed = |error| stream_error(path, error);
    let mut reader = open_json(path)?;
    let (mut found, mut said) = (None, Value::Null);
    reader.enter_object().map_err(failed)?;
    while let Some(key) = reader.next_key().map_err(failed)? {
        if key == "events" {
            found = Some(offer_events(intake, &mut reader, path)?);
            continue;
        }
        let value = reader.value().map_err(failed)?.map_err(|error| malformed(path, &error.to_string()))?;
        if key == "event_count" {
            said = value;
        }
    }
    reader.end().map_err(failed)?;
    let Some(found) = found else { return Err(malformed(path, "a timeline file has a list of \"events\"")) };
    if said.is_null() || said == found.into() {
        return Ok(());
    }
    let reason = format!("\"event_count\" is not {found}, the number of its events: it may have been cut");
    Err(malformed(path, &reason))
}

/// Offers the elements of the list of events, each under its own id. Returns how many there are.
fn offer_events(intake: &mut Intake<'_, '_>, reader: &mut JsonFile, path: &Path) -> Result<u64> {
    let failed = |error| stream_error(path, error);
    let mut count = 0;
    reader.enter_array().map_err(failed)?;
    while reader.next_element().map_err(failed)? {
        let event = reader.value().map_err(failed)?;
        count += 1;
        let place = format!("event {count}");
        match event {
            Ok(event) => match event.str_at(Kind::Event.id_field()).map(str::to_owned) {
                Some(id) => intake.offer(Kind::Event, &id, Ok(event))?,
                None => intake.refuse(Kind::Event, &place, RefusalReason::WithoutId),
            },
            Err(error) => intake.refuse(Kind::Event, &place, error.into()),
        }
        intake.meter.at(reader.offset())?;
    }
    Ok(count)
}

/// Whether a JSON file begins as timeline files do.
pub(super) fn looks_like_one(path: &Path) -> Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let mut reader = open_json(path)?;
    let mut first = || {
        reader.enter_object()?;
        reader.next_key()
    };
    Ok(matches!(first(), Ok(Some(key)) if ["timeline_id", "event_count", "events"].contains(&key.as_str())))
}

/// Writes a timeline file and returns the number of its events. `path` names it in errors.
pub(super) fn write(
    vault: &Vault,
    query: &EventQuery,
    out: &mut BufWriter<&File>,
    path: &Path,
    meter: &mut Meter<'_>,
) -> Result<u64> {
    let failed = |error| io_error(path, error);
    // The number stands before the events and is known after them, so these wait in a file without a name.
    let mut events = tempfile::tempfile_in(folder_of(path)).map_err(failed)?;
    let mut count = 0_u64;
    let mut body = BufWriter::new(&events);
    for event in vault.timeline().query(query)? {
        let event = event?;
        let separator: &[u8] = if count == 0 { b"\n    " } else { b",\n    " };
        body.write_all(separator).and_then(|()| write_indented(&mut body, &event, b"    ")).map_err(failed)?;
        count += 1;
        meter.at(0)?;
    }
    body.flush().map_err(failed)?;
    drop(body);
    let mut write = || -> io::Result<()> {
        out.write_all(b"{\n  \"timeline_id\": ")?;
        json::write_string(out, vault.id(), Charset::Ascii)?;
        write!(out, ",\n  \"event_count\": {count},\n  \"events\": [")?;
        events.rewind()?;
        io::copy(&mut events, out)?;
        let end: &[u8] = if count == 0 { b"]\n}" } else { b"\n  ]\n}" };
        out.write_all(end)
    };
    write().map_err(failed)?;
    Ok(count)
}

/// Writes a value as the reference does, its lines but the first behind `indent`.
pub(super) fn write_indented(out: &mut impl Write, value: &Value, indent: &[u8]) -> io::Result<()> {
    // JSON text has no line breaks inside strings.
    for (n, line) in json::to_vec(value, Layout::Pretty, Charset::Ascii).split(|byte| *byte == b'\n').enumerate() {
        if n > 0 {
            out.write_all(b"\n")?;
            out.write_all(indent)?;
        }
        out.write_all(line)?;
    }
    Ok(())
}
