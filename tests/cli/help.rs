//! Help and completions.

use crate::support::Bed;

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let lines = commands.lines().take_while(|line| line.starts_with("  "));
    lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_at_every_depth_has_help_with_examples() {
    let bed = Bed::empty();
    let mut paths = vec![Vec::new()];
    let mut seen = 0;
    while let Some(path) = paths.pop() {
        let help = bed.ok(path.iter().map(String::as_str).chain(["--help"]));
        assert!(help.contains("Examples:\n  "), "{path:?}: {help}");
        assert!(help.contains("--vault <DIR>") || path.contains(&"validate".to_owned()), "{path:?}: {help}");
        for name in listed(&help) {
            seen += 1;
            paths.push(path.iter().cloned().chain([name]).collect());
        }
    }
    assert!(seen > 60, "only {seen} commands were found");
}

#[test]
fn help_says_the_exit_codes_and_goes_to_stdout() {
    let bed = Bed::empty();
    for code in ["2  wrong usage", "10  checksum differs", "130  interrupted"] {
        assert!(bed.ok(["--help"]).contains(code));
    }
    assert_eq!(bed.ok(["--version"]), concat!("mirrordna ", env!("CARGO_PKG_VERSION")));
    assert_eq!(bed.ok(["version"]), concat!("mirrordna ", env!("CARGO_PKG_VERSION")));
    assert_eq!(bed.json(["version"])["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn without_a_command_help_goes_to_stderr() {
    let done = Bed::empty().run::<&str>([]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert!(done.stderr.contains("Usage: mirrordna") && done.stderr.contains("Examples:"));
}

#[test]
fn completions_are_there_for_the_shells_and_their_syntax_is_sound() {
    let bed = Bed::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bed.ok(["completions", shell]);
        assert!(script.contains("introspect") && script.contains("lock-timeout"), "{shell}");
        let checker = bed.file("completions", &script);
        // A shell that is not on this machine cannot look.
        if let Ok(status) = std::process::Command::new(shell).arg("-n").arg(&checker).status() {
            assert!(status.success(), "{shell} cannot read its completions");
        }
    }
}
