//! `scripts/check-abi.sh` accepts a release that programs go on with, and refuses one that breaks them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{installed, output, read, root, run, shared_library};

/// What is installed of a release, as far as the script looks at it: the header, and a library of which it is seen which functions
/// it has.
struct Release {
    header: String,
    functions: Vec<String>,
}

impl Release {
    fn present() -> Self {
        let functions = read("ffi/symbols.txt").lines().map(str::to_owned).collect();
        Self { header: read("include/mirrordna.h"), functions }
    }

    /// With something else in the header, where it is there once.
    fn with(mut self, text: &str, other: &str) -> Self {
        assert_eq!(self.header.matches(text).count(), 1, "{text}");
        self.header = self.header.replace(text, other);
        self
    }

    fn install(&self, prefix: PathBuf) -> PathBuf {
        let (include, lib) = (prefix.join("include"), prefix.join("lib"));
        std::fs::create_dir_all(&include).unwrap();
        std::fs::create_dir_all(&lib).unwrap();
        std::fs::write(include.join("mirrordna.h"), &self.header).unwrap();
        let source = prefix.join("library.c");
        let functions = self.functions.iter().map(|name| format!("void {name}(void) {{}}\n"));
        std::fs::write(&source, functions.collect::<String>()).unwrap();
        let mut compiler = Command::new("gcc");
        compiler.args(["-shared", "-fPIC", "-Wl,-soname,libmirrordna.so.0", "-o"]);
        run(compiler.arg(lib.join("libmirrordna.so")).arg(source));
        prefix
    }
}

/// How the script ends, and what it prints.
fn compare(old: &Path, new: &Path) -> (bool, String) {
    let output = output(Command::new("bash").arg(root().join("scripts/check-abi.sh")).arg(old).arg(new));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[test]
fn what_breaks_programs_is_refused() {
    if !installed("abidiff") {
        return;
    }
    let place = tempfile::Builder::new().prefix("mdna-abi-").tempdir().unwrap();
    let old = Release::present().install(place.path().join("old"));
    let mut gone = Release::present().with("mdna_status mdna_vault_flush(struct mdna_vault *vault);", ";");
    gone.functions.retain(|name| name != "mdna_vault_flush");
    let changes = [
        ("mdna_vault_flush", gone),
        // Each of these has the functions that there were.
        ("lock_timeout_ms", Release::present().with("uint32_t lock_timeout_ms;", "uint64_t lock_timeout_ms;")),
        ("MDNA_NOT_FOUND", Release::present().with("    MDNA_NOT_FOUND = ", "    MDNA_NOT_FOUND = 1000 + ")),
        (
            "MDNA_DURABILITY_BUFFERED",
            Release::present().with("MDNA_DURABILITY_BUFFERED = 1", "MDNA_DURABILITY_BUFFERED = 2"),
        ),
        ("MDNA_OPEN_WRITE", Release::present().with("#define MDNA_OPEN_WRITE 2", "#define MDNA_OPEN_WRITE 64")),
        (
            "abi_mdna_vault_flush",
            Release::present()
                .with("mdna_vault_flush(struct mdna_vault *vault);", "mdna_vault_flush(const char *vault);"),
        ),
        (
            "mdna_watch_fn",
            Release::present().with("(*mdna_watch_fn)(void *user_data,", "(*mdna_watch_fn)(int user_data,"),
        ),
    ];
    for (number, (what, release)) in changes.into_iter().enumerate() {
        let new = release.install(place.path().join(format!("new-{number}")));
        let (accepted, said) = compare(&old, &new);
        assert!(!accepted && said.contains(what), "{what}: {said}");
    }
}

#[test]
fn what_programs_go_on_with_is_accepted() {
    if !installed("abidiff") {
        return;
    }
    let place = tempfile::Builder::new().prefix("mdna-abi-").tempdir().unwrap();
    let old = Release::present().install(place.path().join("old"));
    let mut more =
        Release::present().with("    MDNA_NOT_FOUND = ", "    MDNA_BRAND_NEW = 100000,\n    MDNA_NOT_FOUND = ").with(
            "mdna_status mdna_vault_flush(",
            "mdna_status mdna_brand_new(const char *text);\nmdna_status mdna_vault_flush(",
        );
    more.functions.push("mdna_brand_new".to_owned());
    let new = more.install(place.path().join("new"));
    for (old, new) in [(&old, &old), (&old, &new)] {
        let (accepted, said) = compare(old, new);
        assert!(accepted, "{said}");
    }
    // The other way it is a function less.
    let (accepted, said) = compare(&new, &old);
    assert!(!accepted && said.contains("mdna_brand_new"), "{said}");

    // The library itself, with all that is in it.
    let real = place.path().join("real");
    std::fs::create_dir_all(real.join("include")).unwrap();
    std::fs::write(real.join("include/mirrordna.h"), read("include/mirrordna.h")).unwrap();
    std::os::unix::fs::symlink(shared_library(), real.join("libmirrordna.so")).unwrap();
    let (accepted, said) = compare(&real, &real);
    assert!(accepted, "{said}");
    let (accepted, said) = compare(&real, place.path().join("nowhere").as_path());
    assert!(!accepted && said.contains("no mirrordna is installed"), "{said}");
}
