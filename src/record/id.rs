//! Ids: making them, and telling which texts can be one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::MAX_ID_BYTES;
use super::checksum::Checksum;
use super::error::RecordError;
use super::kind::Kind;
use super::time::Timestamp;

/// The longest text that errors repeat, in characters.
const READABLE_CHARS: usize = 80;

/// Where the random bytes of ids and keys come from; tests give their own.
pub trait IdSource: Send + Sync {
    /// Fills `bytes` with bytes that nobody can guess.
    ///
    /// # Errors
    /// [`NoRandomness`]; what `bytes` holds then must not be used. An id or key made from weak bytes would be worse than
    /// none, so there is no fallback.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The operating system gave no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes for an id or a key ({reason}); nothing was made, try again")]
pub struct NoRandomness {
    /// What the system said.
    pub reason: String,
}

/// Random bytes of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl IdSource for SystemIds {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|error| NoRandomness { reason: error.to_string() })
    }
}

/// A source for tests: the same seed gives the same bytes in the same order, and anyone can guess them.
#[derive(Debug)]
pub struct SeededIds {
    seed: u64,
    next_block: AtomicU64,
}

impl SeededIds {
    /// A source that begins at the start of the sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, next_block: AtomicU64::new(0) }
    }
}

/// SHA-256 of seed and a counter, a new block for each call and each 32 bytes.
impl IdSource for SeededIds {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for chunk in bytes.chunks_mut(32) {
            let block = self.next_block.fetch_add(1, Ordering::Relaxed);
            let digest = Checksum::of_parts(&[&self.seed.to_be_bytes(), &block.to_be_bytes()]);
            for (byte, random) in chunk.iter_mut().zip(digest.0) {
                *byte = random;
            }
        }
        Ok(())
    }
}

/// What an identity stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityType {
    /// A person.
    User,
    /// An AI agent.
    Agent,
    /// A piece of software that is neither.
    System,
}

impl IdentityType {
    /// All types, in the order of the schema.
    pub const ALL: [Self; 3] = [Self::User, Self::Agent, Self::System];

    /// The type as it stands in `identity_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// How the ids of this type begin.
    #[must_use]
    pub const fn id_prefix(self) -> &'static str {
        match self {
            Self::User => "mdna_usr_",
            Self::Agent => "mdna_agt_",
            Self::System => "mdna_sys_",
        }
    }
}

impl fmt::Display for IdentityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A new identity id: the prefix of its type and 16 hex digits.
///
/// # Errors
/// Those of `ids`.
pub fn identity(ids: &dyn IdSource, identity_type: IdentityType) -> Result<String, NoRandomness> {
    Ok(format!("{}{}", identity_type.id_prefix(), hex16(ids)?))
}

/// A new session id: `sess_`, the time to the second, and 8 hex digits.
///
/// # Errors
/// Those of `ids`.
pub fn session(ids: &dyn IdSource, time: Timestamp) -> Result<String, NoRandomness> {
    timed("sess", ids, time)
}

/// A new memory id: `mem_`, the time to the second, and 8 hex digits.
///
/// # Errors
/// Those of `ids`.
pub fn memory(ids: &dyn IdSource, time: Timestamp) -> Result<String, NoRandomness> {
    timed("mem", ids, time)
}

/// A new snapshot id: `snap_`, the time to the second, and 8 hex digits.
///
/// # Errors
/// Those of `ids`.
pub fn snapshot(ids: &dyn IdSource, time: Timestamp) -> Result<String, NoRandomness> {
    timed("snap", ids, time)
}

/// A new master citation id: `mc_` and 16 hex digits.
///
/// # Errors
/// Those of `ids`.
pub fn citation(ids: &dyn IdSource) -> Result<String, NoRandomness> {
    Ok(format!("mc_{}", hex16(ids)?))
}

/// A new vault entry id: `entry_` and 16 hex digits.
///
/// # Errors
/// Those of `ids`.
pub fn entry(ids: &dyn IdSource) -> Result<String, NoRandomness> {
    Ok(format!("entry_{}", hex16(ids)?))
}

/// A new glyphtrail entry id: `glyph_` and 16 hex digits.
///
/// # Errors
/// Those of `ids`.
pub fn glyph(ids: &dyn IdSource) -> Result<String, NoRandomness> {
    Ok(format!("glyph_{}", hex16(ids)?))
}

/// The id of an event at `time`: `evt_`, the time to the second, and the counter in at least four digits. For an event
/// that the log projects, the counter is its sequence.
#[must_use]
pub fn event(time: Timestamp, counter: u64) -> String {
    format!("evt_{}_{counter:04}", time.format("%Y%m%d%H%M%S"))
}

/// The id of a reflection of the agent `agent_id` at `time`: `refl_`, the agent, the time to the second, and the counter
/// in at least four digits. A long agent id can make it longer than an id may be, which [`check`] tells.
#[must_use]
pub fn reflection(agent_id: &str, time: Timestamp, counter: u64) -> String {
    format!("refl_{}_{}_{counter:04}", agent_part(agent_id), time.compact())
}

/// The id of version `version` of the DNA of the agent `agent_id`: `dna_`, the agent, and the version with `_` for `.`. A
/// long agent id can make it longer than an id may be, which [`check`] tells.
#[must_use]
pub fn agent_dna(agent_id: &str, version: &str) -> String {
    format!("dna_{}_{}", agent_part(agent_id), version.replace('.', "_"))
}

fn agent_part(agent_id: &str) -> &str {
    agent_id.strip_prefix(IdentityType::Agent.id_prefix()).unwrap_or(agent_id)
}

fn timed(prefix: &str, ids: &dyn IdSource, time: Timestamp) -> Result<String, NoRandomness> {
    Ok(format!("{prefix}_{}_{}", time.compact(), hex8(ids)?))
}

fn hex8(ids: &dyn IdSource) -> Result<String, NoRandomness> {
    let mut bytes = [0; 4];
    ids.fill(&mut bytes)?;
    Ok(format!("{:08x}", u32::from_be_bytes(bytes)))
}

fn hex16(ids: &dyn IdSource) -> Result<String, NoRandomness> {
    let mut bytes = [0; 8];
    ids.fill(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// Checks that `id` has the form that the schema of `kind` demands and at most 255 bytes.
///
/// This is the pattern of the schema written out, so that an id can be refused before there is a record.
///
/// # Errors
/// [`RecordError::Id`] with the form that it should have.
pub fn check(kind: Kind, id: &str) -> Result<(), RecordError> {
    const AT_LEAST_12: usize = 12;
    const AT_LEAST_16: usize = 16;
    let (formed, form) = match kind {
        Kind::Identity => (
            IdentityType::ALL.iter().any(|known| is_prefixed(id, known.id_prefix(), AT_LEAST_12)),
            "it must be mdna_usr_, mdna_agt_ or mdna_sys_ and at least 12 of a-z, 0-9 and _",
        ),
        Kind::Session => (is_prefixed(id, "sess_", AT_LEAST_12), "it must be sess_ and at least 12 of a-z, 0-9 and _"),
        Kind::Memory => (is_prefixed(id, "mem_", AT_LEAST_12), "it must be mem_ and at least 12 of a-z, 0-9 and _"),
        Kind::AgentDna => (is_prefixed(id, "dna_", 1), "it must be dna_ and at least one of a-z, 0-9 and _"),
        Kind::Event => (is_prefixed(id, "evt_", AT_LEAST_16), "it must be evt_ and at least 16 of a-z, 0-9 and _"),
        Kind::Snapshot => (
            is_prefixed(id, "snap_", 1) && id.len() <= "snap_".len() + 200,
            "it must be snap_ and 1 to 200 of a-z, 0-9 and _",
        ),
        Kind::Reflection => (
            is_reflection(id),
            "it must be refl_, the agent in a-z, 0-9 and _, and _YYYYmmdd_HHMMSS_ with at least four digits after it",
        ),
        Kind::Citation => (is_prefixed(id, "mc_", AT_LEAST_16), "it must be mc_ and at least 16 of a-z, 0-9 and _"),
        Kind::Entry => (is_prefixed(id, "entry_", AT_LEAST_16), "it must be entry_ and at least 16 of a-z, 0-9 and _"),
        Kind::AgentLink => {
            (is_prefixed(id, "mdna_agt_", AT_LEAST_12), "it must be mdna_agt_ and at least 12 of a-z, 0-9 and _")
        }
        Kind::Glyph => (is_prefixed(id, "glyph_", AT_LEAST_16), "it must be glyph_ and at least 16 of a-z, 0-9 and _"),
        Kind::Artifact => (super::inode::parse_ino(id).is_some(), "it must be the number of an inode"),
    };
    if id.len() > MAX_ID_BYTES {
        return Err(refused(kind, id, "it has more than 255 bytes"));
    }
    if formed { Ok(()) } else { Err(refused(kind, id, form)) }
}

/// Checks that a record can be kept under `id` at all, which is what a lenient import asks of a record that breaks its
/// schema: the id must be able to name a file. It has 1 to 255 bytes, no `/` and no control characters, and is not `.` or
/// `..`.
///
/// # Errors
/// [`RecordError::Id`] with what stands in the way.
pub fn check_storable(kind: Kind, id: &str) -> Result<(), RecordError> {
    let reason = match id {
        "" => "it is empty",
        "." | ".." => "it names a directory",
        _ if id.len() > MAX_ID_BYTES => "it has more than 255 bytes",
        _ if id.contains('/') => "it contains a slash",
        _ if id.contains(char::is_control) => "it contains a control character",
        _ => return Ok(()),
    };
    Err(refused(kind, id, reason))
}

fn is_prefixed(id: &str, prefix: &str, least: usize) -> bool {
    id.strip_prefix(prefix).is_some_and(|tail| tail.len() >= least && tail.bytes().all(is_id_byte))
}

fn is_id_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')
}

fn is_reflection(id: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(tail) = id.strip_prefix("refl_") else { return false };
    // The agent may contain `_` itself, so the parts are counted from the end.
    let mut parts = tail.rsplitn(4, '_');
    parts.next().is_some_and(|counter| counter.len() >= 4 && digits(counter))
        && parts.next().is_some_and(|time| time.len() == 6 && digits(time))
        && parts.next().is_some_and(|date| date.len() == 8 && digits(date))
        && parts.next().is_some_and(|agent| !agent.is_empty() && agent.bytes().all(is_id_byte))
}

fn refused(kind: Kind, id: &str, reason: &'static str) -> RecordError {
    RecordError::Id { kind, id: readable(id), reason }
}

/// `text` cut to a length that an error can repeat.
pub(crate) fn readable(text: &str) -> String {
    match text.char_indices().nth(READABLE_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> Timestamp {
        Timestamp::parse("2025-03-01T08:09:10.5Z").unwrap()
    }

    #[test]
    fn generated_ids_have_the_form_of_their_kind() {
        let ids = SeededIds::new(1);
        let agent = identity(&ids, IdentityType::Agent).unwrap();
        let made = [
            (Kind::Identity, identity(&ids, IdentityType::User).unwrap()),
            (Kind::Identity, identity(&ids, IdentityType::System).unwrap()),
            (Kind::AgentLink, agent.clone()),
            (Kind::Session, session(&ids, time()).unwrap()),
            (Kind::Memory, memory(&ids, time()).unwrap()),
            (Kind::Snapshot, snapshot(&ids, time()).unwrap()),
            (Kind::Citation, citation(&ids).unwrap()),
            (Kind::Entry, entry(&ids).unwrap()),
            (Kind::Glyph, glyph(&ids).unwrap()),
            (Kind::Event, event(time(), 7)),
            (Kind::Event, event(time(), u64::MAX)),
            (Kind::Reflection, reflection(&agent, time(), 12)),
            (Kind::AgentDna, agent_dna(&agent, "1.2.3")),
        ];
        for (kind, id) in &made {
            assert_eq!(check(*kind, id), Ok(()));
            assert_eq!(check_storable(*kind, id), Ok(()));
        }
    }

    #[test]
    fn counted_ids_are_spelled_out() {
        assert_eq!(event(time(), 7), "evt_20250301080910_0007");
        assert_eq!(event(time(), 10_000), "evt_20250301080910_10000");
        assert_eq!(reflection("mdna_agt_0123456789abcdef", time(), 1), "refl_0123456789abcdef_20250301_080910_0001");
        assert_eq!(agent_dna("mdna_agt_390c8c7d7247342c", "1.2.3"), "dna_390c8c7d7247342c_1_2_3");
    }

    #[test]
    fn seeded_ids_repeat_and_never_give_the_same_twice() {
        let draw = |seed| {
            let ids = SeededIds::new(seed);
            [citation(&ids).unwrap(), citation(&ids).unwrap()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let [first, second] = draw(1);
        assert_ne!(first, second);
        let mut long = [0; 70];
        SeededIds::new(1).fill(&mut long).unwrap();
        assert_ne!(long[..32], long[32..64]);
        assert!(long[64..].iter().any(|byte| *byte != 0));
    }

    #[test]
    fn system_ids_differ() {
        assert_ne!(citation(&SystemIds).unwrap(), citation(&SystemIds).unwrap());
    }

    #[test]
    fn a_source_that_fails_makes_no_id() {
        struct Broken;
        impl IdSource for Broken {
            fn fill(&self, _: &mut [u8]) -> Result<(), NoRandomness> {
                Err(NoRandomness { reason: "none left".to_owned() })
            }
        }
        let error = memory(&Broken, time()).unwrap_err();
        assert!(error.to_string().contains("none left"));
    }

    #[test]
    fn ids_are_at_most_255_bytes_and_long_ones_are_cut_in_errors() {
        let longest = format!("mem_{}", "a".repeat(251));
        assert_eq!(check(Kind::Memory, &longest), Ok(()));
        let message = check(Kind::Memory, &format!("{longest}a")).unwrap_err().to_string();
        assert!(message.contains("more than 255 bytes") && message.len() < 250, "{message}");
        assert!(check(Kind::Snapshot, &format!("snap_{}", "a".repeat(200))).is_ok());
        assert!(check(Kind::Snapshot, &format!("snap_{}", "a".repeat(201))).is_err());
        assert!(check_storable(Kind::Memory, &"é".repeat(128)).is_err());
    }

    #[test]
    fn storable_ids_can_name_a_file() {
        for id in ["a", "mc_My-Agent 1", "...", "é", "日本", "-", "a\\b"] {
            assert_eq!(check_storable(Kind::Citation, id), Ok(()), "{id:?}");
        }
        for id in ["", ".", "..", "a/b", "/", "a\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert!(check_storable(Kind::Citation, id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn identity_types_lead_back_from_their_names() {
        for known in IdentityType::ALL {
            assert_eq!(IdentityType::from_name(&known.to_string()), Some(known));
        }
        assert_eq!(IdentityType::from_name("robot"), None);
    }
}
