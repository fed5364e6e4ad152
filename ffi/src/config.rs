//! Configuration documents: master citations, vault configurations, and configurations with a checksum beside them.

use std::ffi::c_char;

use mirrordna::record::config::{self, Template};
use mirrordna::record::document::{ConfigChecksum, HashAlgorithm};
use mirrordna::record::id::SystemIds;
use mirrordna::record::time::{Clock, SystemClock};
use mirrordna::record::{RecordError, json};

use crate::error::Failure;
use crate::guard::call;
use crate::input::{bytes, text};
use crate::output::{out, written};
use crate::snapshot::format;
use crate::status::mdna_status;
use crate::string::mdna_string;

/// Reads a master citation of `len` bytes at `text`, JSON or YAML as `format`, a `mdna_format`, says, and verifies
/// that it keeps its schema and has the checksum that it says. Free the JSON object with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON`, `MDNA_YAML`, `MDNA_NOT_AN_OBJECT`, `MDNA_SCHEMA` and `MDNA_CHECKSUM_MISMATCH`, and with
/// `MDNA_INVALID_ARGUMENT` for another format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_citation_read(
    text: *const c_char,
    len: usize,
    format: u32,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(text.cast(), len, "text"), out(out_json, "out_json")) };
    call(|| {
        let (given, out) = (given?, out?);
        out.json(&config::read_citation(given, self::format(format)?)?.into());
        Ok(())
    })
}

/// A master citation to begin with: with a new id, a new vault id and the checksum that it must have. With `full` it
/// shows what may be there, too. A program that changes it gives it its checksum again with `mdna_document_seal()`.
/// Free the JSON object with `mdna_string_free()`.
///
/// Fails with `MDNA_NO_RANDOMNESS`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_citation_template(full: bool, out_json: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of outputs.
    let out = unsafe { out(out_json, "out_json") };
    call(|| {
        let out = out?;
        let document = config::citation_template(template(full), &SystemIds, SystemClock.now());
        out.json(&document.map_err(mirrordna::Error::from)?.into());
        Ok(())
    })
}

/// Reads a vault configuration of `len` bytes at `text`, JSON or YAML as `format`, a `mdna_format`, says: an object
/// with the texts `vault_id`, `name`, `path` and `created_at`. Free the JSON object with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON`, `MDNA_YAML`, with `MDNA_DOCUMENT`, whose message names what is missing, and with
/// `MDNA_INVALID_ARGUMENT` for another format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_config_read(
    text: *const c_char,
    len: usize,
    format: u32,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, out) = unsafe { (bytes(text.cast(), len, "text"), out(out_json, "out_json")) };
    call(|| {
        let (given, out) = (given?, out?);
        out.json(&config::read_vault(given, self::format(format)?)?.into());
        Ok(())
    })
}

/// A vault configuration to begin with, for a vault at `path` (UTF-8), with a new vault id. With `full` it shows what
/// may be there, too. No vault is made. Free the JSON object with `mdna_string_free()`.
///
/// Fails with `MDNA_NO_RANDOMNESS`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_vault_config_template(
    path: *const c_char,
    full: bool,
    out_json: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (path, out) = unsafe { (text(path, "path"), out(out_json, "out_json")) };
    call(|| {
        let (path, out) = (path?, out?);
        let document = config::vault_template(template(full), &SystemIds, SystemClock.now(), path);
        out.json(&document.map_err(mirrordna::Error::from)?.into());
        Ok(())
    })
}

fn template(full: bool) -> Template {
    if full { Template::Full } else { Template::Minimal }
}

/// What stands in the file `NAME.checksum.json` beside a configuration `NAME.json` of `len` bytes of JSON at `json`.
/// `algorithm` is `"sha256"` or `"sha512"`, `version` is that of the configuration. It covers the value and not the
/// bytes: spaces and the order of keys may change. Free the text, a JSON object with `algorithm`, `hash`, `version` and
/// `created_at`, with `mdna_string_free()`.
///
/// Fails with `MDNA_JSON`, and with `MDNA_INVALID_ARGUMENT` for another algorithm.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_config_seal(
    json: *const c_char,
    len: usize,
    algorithm: *const c_char,
    version: *const c_char,
    out_text: *mut mdna_string,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts and outputs.
    let (given, algorithm, version, out) = unsafe {
        (
            bytes(json.cast(), len, "json"),
            text(algorithm, "algorithm"),
            text(version, "version"),
            out(out_text, "out_text"),
        )
    };
    call(|| {
        let (given, name, version, out) = (given?, algorithm?, version?, out?);
        let algorithm = HashAlgorithm::from_name(name)
            .ok_or_else(|| Failure::argument("algorithm", format!("{name:?} is none of sha256, sha512")))?;
        let config = self::json::parse(given).map_err(RecordError::from)?;
        let checksum = ConfigChecksum::of(&config, algorithm, version, SystemClock.now());
        out.bytes(written(|text| checksum.render(text))?);
        Ok(())
    })
}

/// Verifies a configuration of `len` bytes of JSON at `json` by the text of its file `NAME.checksum.json`. `name` names
/// it in messages.
///
/// Fails with `MDNA_CHECKSUM_MISMATCH`, with `MDNA_UNVERIFIED` when the file has no hash, with `MDNA_DOCUMENT` when the
/// file is not what it should be, and with `MDNA_JSON`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_config_verify(
    name: *const c_char,
    json: *const c_char,
    len: usize,
    checksum_json: *const c_char,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts.
    let (name, given, checksum) =
        unsafe { (text(name, "name"), bytes(json.cast(), len, "json"), text(checksum_json, "checksum_json")) };
    call(|| {
        let (name, given, checksum) = (name?, given?, checksum?);
        let checksum = ConfigChecksum::parse(name, checksum.as_bytes())?;
        Ok(checksum.verify(name, &self::json::parse(given).map_err(RecordError::from)?)?)
    })
}
