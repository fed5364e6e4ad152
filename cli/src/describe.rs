//! How records and values look to people.

use mirrordna::record::json::{self, Charset, Layout};
use mirrordna::record::{Kind, Timestamp, Value};
use unicode_width::UnicodeWidthChar;

/// Elements of a list that are shown; of an embedding of 1,536 numbers nobody reads more.
const SHOWN: usize = 24;

/// One column of a table of records: its heading and the path of what stands there.
type Column = (&'static str, &'static str);

/// The columns that show a kind of record.
pub(crate) const fn columns(kind: Kind) -> &'static [Column] {
    match kind {
        Kind::Identity => {
            &[("ID", "identity_id"), ("TYPE", "identity_type"), ("CREATED", "created_at"), ("NAME", "metadata.name")]
        }
        Kind::Session => &[
            ("ID", "session_id"),
            ("STARTED", "started_at"),
            ("ENDED", "ended_at"),
            ("AGENT", "agent_id"),
            ("USER", "user_id"),
        ],
        Kind::Memory => &[
            ("ID", "memory_id"),
            ("TIER", "tier"),
            ("TIME", "source.timestamp"),
            ("TAGS", "metadata.tags"),
            ("CONTENT", "content"),
        ],
        Kind::AgentDna => {
            &[("ID", "agent_dna_id"), ("VERSION", "version"), ("AGENT", "agent_id"), ("CAPABILITIES", "capabilities")]
        }
        Kind::Event => {
            &[("TIME", "timestamp"), ("TYPE", "event_type"), ("ACTOR", "actor"), ("ID", "id"), ("PAYLOAD", "payload")]
        }
        Kind::Snapshot => &[
            ("ID", "snapshot_id"),
            ("TIME", "timestamp"),
            ("SEQUENCE", "sequence"),
            ("FULL", "full"),
            ("ROOT", "root"),
        ],
        Kind::Reflection => &[
            ("ID", "reflection_id"),
            ("TYPE", "reflection_type"),
            ("TIME", "timestamp"),
            ("OBSERVATION", "observation"),
        ],
        Kind::Citation => &[
            ("ID", "id"),
            ("VERSION", "version"),
            ("CREATED", "created_at"),
            ("VAULT", "vault_id"),
            ("SUCCESSOR", "successor"),
        ],
        Kind::Entry => &[("ID", "id"), ("TYPE", "type"), ("CREATED", "created_at"), ("PATH", "path")],
        Kind::AgentLink => &[("AGENT", "agent_id"), ("IDENTITY", "mirrordna_identity_id"), ("NAME", "agent_name")],
        Kind::Artifact => &[("INODE", "ino"), ("TYPE", "type"), ("SIZE", "size")],
        Kind::Glyph => &[("ID", "id"), ("TYPE", "glyph_type"), ("TIME", "timestamp"), ("ACTOR", "source.actor_id")],
    }
}

/// The headings of [`columns`].
pub(crate) fn headings(kind: Kind) -> Vec<&'static str> {
    columns(kind).iter().map(|(heading, _)| *heading).collect()
}

/// The cells that show a record in a table.
pub(crate) fn row(kind: Kind, record: &Value) -> Vec<String> {
    let cell = |(_, path): &Column| match record.at(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => time(text),
        Some(value) => text(value),
    };
    columns(kind).iter().map(cell).collect()
}

/// A date-time without the fraction of its second; any other text as it is.
pub(crate) fn time(text: &str) -> String {
    // Few texts look like a time, so few are parsed.
    let may_be = text.len() >= 20 && text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't'));
    match may_be.then(|| Timestamp::parse(text)).flatten() {
        Some(time) => time.format("%Y-%m-%d %H:%M:%SZ"),
        None => text.to_owned(),
    }
}

/// A value as one line of text.
pub(crate) fn text(value: &Value) -> String {
    let scalar = |value: &Value| !matches!(value, Value::Array(_) | Value::Object(_));
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(scalar) => {
            let shown: Vec<String> = items.iter().take(SHOWN).map(text).collect();
            let more = if items.len() > SHOWN { format!(", … ({} in all)", items.len()) } else { String::new() };
            format!("{}{more}", shown.join(", "))
        }
        other => String::from_utf8_lossy(&json::to_vec(other, Layout::Spaced, Charset::Unicode)).into_owned(),
    }
}

/// The paths of an object and what stands there, as filters name them.
pub(crate) fn pairs(value: &Value) -> Vec<(String, String)> {
    fn visit(path: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (key, member) in members {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    visit(&path, member, pairs);
                }
            }
            other => pairs.push((path.to_owned(), text(other))),
        }
    }
    let mut found = Vec::new();
    visit("", value, &mut found);
    found
}

/// How many columns of a terminal a text takes, escaped control characters included.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A text cut to a number of columns, with `…` where it was cut.
pub(crate) fn shortened(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used < room
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

/// A number of bytes in the unit that reads best.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes.saturating_mul(10) / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1024, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).copied().unwrap_or_default())
}

/// `1 record`, `2 records`.
pub(crate) fn count(count: u64, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_cut_by_their_width() {
        assert_eq!(shortened("日本語テキスト", 7), "日本語…");
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "ab…");
        assert_eq!(width("日本"), 4);
    }

    #[test]
    fn sizes_read_well() {
        let sizes = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3.0 TiB")];
        for (size, text) in sizes {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn objects_become_paths() {
        let value = json::parse(br#"{"a":{"b":[1,"x"],"c":{}},"d":[{"e":null}]}"#).unwrap();
        let pairs = pairs(&value);
        let pairs: Vec<_> = pairs.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(pairs, [("a.b", "1, x"), ("a.c", "{}"), ("d", r#"[{"e": null}]"#)]);
    }
}
