//! What a process writes down of itself when it takes a vault, for others to read.

use std::ffi::OsString;
use std::path::Path;

use crate::record::Timestamp;

/// This process: its id, what it is doing, and since when it has the vault.
pub(super) fn this_process(since: Timestamp) -> String {
    format!("process {} ({}), since {since}", std::process::id(), command(std::env::args_os()))
}

/// What a process is doing, from its arguments: its program, and the words behind it that say which operation. Nothing else
/// of them, since the text of a memory may be among them.
fn command(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut arguments = arguments.into_iter();
    let path = arguments.next().unwrap_or_default();
    let program = Path::new(&path).file_name().unwrap_or_default().to_string_lossy();
    let program: String = program.chars().filter(|c| !c.is_control()).take(64).collect();
    let is_word = |argument: &String| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        (1..=24).contains(&argument.len()) && !argument.starts_with('-') && argument.bytes().all(is_plain)
    };
    let words = arguments.filter_map(|argument| argument.into_string().ok()).filter(is_word).take(2);
    [program].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn of_a_command_line_only_the_words_of_the_operation_are_told() {
        let told = |arguments: &[&str]| command(arguments.iter().map(OsString::from));
        for (arguments, wanted) in [
            (&["/usr/bin/mirrordna", "stats"][..], "mirrordna stats"),
            (&["mirrordna", "memory", "add", "secret", "--tier", "episodic"], "mirrordna memory add"),
            (&["mirrordna", "-q", "--json", "memory", "add", "-", "secret"], "mirrordna memory add"),
            (&["mirrordna", "mount", "--read-only", "/mnt/Ada"], "mirrordna mount"),
            (&["./agent", "My secret", "é", "pass word", "PASS", "a1", "", "-x"], "agent"),
            (&["agent\n", &"a".repeat(25)], "agent"),
            (&[], ""),
        ] {
            assert_eq!(told(arguments), wanted, "{arguments:?}");
        }
        assert_eq!(command([OsString::from_vec(b"a\xff".to_vec()), OsString::from_vec(b"\xff".to_vec())]), "a\u{fffd}");
    }
}
