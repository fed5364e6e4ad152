//! The record of an artifact's inode: everything about a file but its content and the names of what it holds.
//!
//! An inode is a record like any other, under its number as id, so that history, snapshots, pruning and the Merkle tree
//! know artifacts without knowing what a file is. It names all its names, which directories are derived from, and the root
//! over its content.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::checksum::Checksum;
use super::value::{Map, Number, Value};

/// The number of the root directory.
pub const ROOT_INO: u64 = 1;
/// The longest name in a directory, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FileType {
    /// An ordinary file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A socket.
    Socket = 5,
    /// A character device.
    CharDevice = 6,
    /// A block device.
    BlockDevice = 7,
}

impl FileType {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Regular, Self::Directory, Self::Symlink, Self::Fifo, Self::Socket, Self::CharDevice, Self::BlockDevice];

    /// The type with this number in directory entries.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u8 == number)
    }

    /// Its name in inodes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::CharDevice => "char_device",
            Self::BlockDevice => "block_device",
        }
    }

    /// The type of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// The fields of the record.
const FIELDS: [&str; 18] = [
    "ino",
    "type",
    "mode",
    "uid",
    "gid",
    "rdev",
    "size",
    "allocated",
    "entries",
    "subdirectories",
    "atime",
    "mtime",
    "ctime",
    "btime",
    "names",
    "xattrs",
    "target",
    "root",
];

/// An inode. Times are nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub ino: u64,
    /// What it is.
    pub file_type: FileType,
    /// Permissions and the set-id and sticky bits.
    pub mode: u32,
    /// The user that owns it.
    pub uid: u32,
    /// The group that owns it.
    pub gid: u32,
    /// The number of the device that it stands for.
    pub rdev: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of its content that are no holes.
    pub allocated: u64,
    /// How many names a directory holds; 0 for other files.
    pub entries: u64,
    /// How many of these are directories.
    pub subdirectories: u64,
    /// When it was last read.
    pub atime: i128,
    /// When its content last changed.
    pub mtime: i128,
    /// When anything about it last changed.
    pub ctime: i128,
    /// When it was made.
    pub btime: i128,
    /// Each of its names, with the number of the directory that has it.
    pub names: Vec<(u64, Vec<u8>)>,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where a symbolic link leads.
    pub target: Option<Vec<u8>>,
    /// The root over its content, see `storage::file_root`.
    pub root: Checksum,
}

impl Inode {
    /// One that says nothing but its number, what it is and when it was made: it is empty, and has no name.
    #[must_use]
    pub fn new(ino: u64, file_type: FileType, now: i128) -> Self {
        Self {
            ino,
            file_type,
            mode: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            size: 0,
            allocated: 0,
            entries: 0,
            subdirectories: 0,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            names: Vec::new(),
            xattrs: BTreeMap::new(),
            target: None,
            root: Checksum::of(&[]),
        }
    }

    /// It has no name any more and is there only because somebody has it open.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.names.is_empty() && self.ino != ROOT_INO
    }

    /// The inode as the record that is stored.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut record = Map::new();
        let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
        put("ino", self.ino.into());
        put("type", self.file_type.name().into());
        put("mode", u64::from(self.mode).into());
        put("uid", u64::from(self.uid).into());
        put("gid", u64::from(self.gid).into());
        put("rdev", u64::from(self.rdev).into());
        put("size", self.size.into());
        put("allocated", self.allocated.into());
        put("entries", self.entries.into());
        put("subdirectories", self.subdirectories.into());
        put("atime", integer(self.atime));
        put("mtime", integer(self.mtime));
        put("ctime", integer(self.ctime));
        put("btime", integer(self.btime));
        let name = |(parent, name): &(u64, Vec<u8>)| Value::Array(vec![(*parent).into(), bytes_value(name)]);
        put("names", self.names.iter().map(name).collect());
        let xattr = |(name, value): (&Vec<u8>, &Vec<u8>)| Value::Array(vec![bytes_value(name), bytes_value(value)]);
        put("xattrs", self.xattrs.iter().map(xattr).collect());
        if let Some(target) = &self.target {
            put("target", bytes_value(target));
        }
        put("root", self.root.to_string().into());
        Value::Object(record)
    }

    /// Reads an inode from its record.
    ///
    /// # Errors
    /// What is wrong with the record, in words.
    pub fn from_value(record: &Value) -> Result<Self, String> {
        let Value::Object(members) = record else { return Err("it is not an object".to_owned()) };
        if let Some(unknown) = members.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(format!("unknown field {unknown:?}"));
        }
        let field = |key: &str| members.get(key).ok_or_else(|| format!("{key} is missing"));
        let unsigned = |key: &str| {
            let number = as_integer(field(key)?).and_then(|number| u64::try_from(number).ok());
            number.ok_or_else(|| format!("{key} must be an integer of 64 bits that is not negative"))
        };
        let short =
            |key: &str| u32::try_from(unsigned(key)?).map_err(|_| format!("{key} must be an integer of 32 bits"));
        let time = |key: &str| as_integer(field(key)?).ok_or_else(|| format!("{key} must be an integer"));
        let pairs = |key: &str| {
            let list = field(key)?.as_array().ok_or_else(|| format!("{key} must be a list"))?;
            let pair = |item: &Value| match item.as_array() {
                Some([first, second]) => Ok((first.clone(), second.clone())),
                _ => Err(format!("{key} must hold pairs")),
            };
            list.iter().map(pair).collect::<Result<Vec<_>, _>>()
        };
        let file_type = field("type")?.as_str().and_then(FileType::from_name);
        let listed = pairs("names")?;
        // Most have one, and there are many inodes.
        let mut names = Vec::with_capacity(listed.len());
        for (parent, name) in listed {
            let parent = as_integer(&parent).and_then(|parent| u64::try_from(parent).ok());
            let name = value_bytes(&name).filter(|name| is_name(name));
            names.push(parent.zip(name).ok_or("names must hold pairs of a directory's number and a name")?);
        }
        let mut xattrs = BTreeMap::new();
        for (name, value) in pairs("xattrs")? {
            let pair = value_bytes(&name).zip(value_bytes(&value));
            let (name, value) = pair.ok_or("xattrs must hold pairs of texts, or of bytes in base64")?;
            xattrs.insert(name, value);
        }
        let target = members.get("target").map(|target| value_bytes(target).ok_or("target must be a text or base64"));
        Ok(Self {
            ino: unsigned("ino")?,
            file_type: file_type.ok_or("type must be that of a file")?,
            mode: short("mode")?,
            uid: short("uid")?,
            gid: short("gid")?,
            rdev: short("rdev")?,
            size: unsigned("size")?,
            allocated: unsigned("allocated")?,
            entries: unsigned("entries")?,
            subdirectories: unsigned("subdirectories")?,
            atime: time("atime")?,
            mtime: time("mtime")?,
            ctime: time("ctime")?,
            btime: time("btime")?,
            names,
            xattrs,
            target: target.transpose()?,
            root: field("root")?.as_str().and_then(Checksum::parse).ok_or("root must be a SHA-256 in hex")?,
        })
    }
}

/// Whether a directory can have an entry of this name.
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

/// The inode number that is an artifact's id.
#[must_use]
pub fn parse_ino(id: &str) -> Option<u64> {
    id.parse().ok().filter(|ino: &u64| *ino > 0 && ino.to_string() == id)
}

/// Bytes as text where they are text, else as `{"base64": …}`.
fn bytes_value(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => Value::Object(Map::from([("base64".to_owned(), BASE64.encode(bytes).into())])),
    }
}

fn value_bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Object(members) if members.len() == 1 => BASE64.decode(members.get("base64")?.as_str()?).ok(),
        _ => None,
    }
}

fn integer(number: i128) -> Value {
    Value::Number(i64::try_from(number).map_or_else(|_| Number::Big(number.to_string().into()), Number::Int))
}

fn as_integer(value: &Value) -> Option<i128> {
    match value {
        Value::Number(Number::Int(number)) => Some((*number).into()),
        Value::Number(Number::Big(digits)) => digits.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{checksum, json};

    fn inode() -> Inode {
        Inode {
            ino: u64::MAX,
            file_type: FileType::Symlink,
            mode: 0o6777,
            uid: 1,
            gid: u32::MAX,
            rdev: 7,
            size: 1 << 63,
            allocated: 4_096,
            entries: 3,
            subdirectories: 2,
            atime: -1,
            mtime: 9_000_000_000_000_000_000_000,
            ctime: 3,
            btime: 4,
            names: vec![(1, b"plain".to_vec()), (u64::MAX, b"od\xff\n".to_vec())],
            xattrs: BTreeMap::from([(b"user.a".to_vec(), b"\0\xfe".to_vec()), (b"user.b".to_vec(), Vec::new())]),
            target: Some(b"../\xc3".to_vec()),
            root: Checksum::of(b"x"),
        }
    }

    #[test]
    fn an_inode_comes_back_as_it_was_through_its_canonical_json() {
        for inode in [inode(), Inode { target: None, names: Vec::new(), xattrs: BTreeMap::new(), ..inode() }] {
            let stored = checksum::canonical(&inode.to_value());
            assert_eq!(Inode::from_value(&json::parse(&stored).unwrap()), Ok(inode));
        }
    }

    #[test]
    fn what_is_no_inode_is_refused_in_words() {
        let with = |key: &str, value: Value| {
            let mut record = inode().to_value();
            record.as_object_mut().unwrap().insert(key.to_owned(), value);
            Inode::from_value(&record).unwrap_err()
        };
        assert_eq!(with("colour", Value::Null), "unknown field \"colour\"");
        assert!(with("size", (-1_i64).into()).contains("size"));
        assert!(with("mode", (1_u64 << 32).into()).contains("32 bits"));
        assert!(with("type", "door".into()).contains("type"));
        assert!(with("root", "00".into()).contains("SHA-256"));
        for name in ["", ".", "..", "a/b", "a\0", &"x".repeat(256)] {
            let names = Value::Array(vec![Value::Array(vec![1_u64.into(), name.into()])]);
            assert!(with("names", names).contains("name"), "{name:?}");
        }
        assert!(Inode::from_value(&Value::Null).is_err());
        let mut record = inode().to_value();
        record.as_object_mut().unwrap().remove("mtime");
        assert_eq!(Inode::from_value(&record), Err("mtime is missing".to_owned()));
    }

    #[test]
    fn ids_of_artifacts_are_plain_numbers() {
        assert_eq!(parse_ino("1"), Some(1));
        assert_eq!(parse_ino("18446744073709551615"), Some(u64::MAX));
        for id in ["", "0", "01", "+1", "-1", "1 ", "18446744073709551616", "x"] {
            assert_eq!(parse_ino(id), None, "{id}");
        }
    }
}
