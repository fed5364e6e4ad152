//! What the library says is for programs, too: no message tells anybody to run the command.

use crate::support::{root, sources};

/// Whether a line of a source names the command, or an option of it, in a text.
fn names_the_command(line: &str) -> bool {
    let code = line.trim_start();
    let option = || code.split(" --").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    !code.starts_with("//") && (code.contains("`mirrordna ") || option())
}

#[test]
fn no_message_tells_to_run_the_command() {
    let mut files = Vec::new();
    for dir in ["src", "s3/src", "mount/src", "ffi/src"] {
        sources(&root().join(dir), &mut files);
    }
    assert!(files.len() > 100);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let found: Vec<_> = text.lines().filter(|line| names_the_command(line)).collect();
        assert!(found.is_empty(), "{} says {found:#?}", file.display());
    }
}

#[test]
fn commands_in_messages_are_found() {
    assert!(names_the_command("    #[error(\"it is damaged; run `mirrordna verify`\")]"));
    assert!(names_the_command("         If that is meant, say --accept-older\""));
    assert!(names_the_command("            \"events are appended with `mirrordna timeline append`\""));
    assert!(!names_the_command("    /// As `mirrordna mount --foreground` does."));
}
