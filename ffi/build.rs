//! Makes the C header of the sources, and says how the shared library is linked.
//!
//! The header goes into the build folder and, outside CI, into `include/`, where a test compares the two: what is
//! committed there is what programs include.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Part of the name under which programs look for the shared library: it changes when the interface is broken.
const ABI: &str = "0";
/// The source files in the order in which the header has them.
const SOURCES: [&str; 31] = [
    "status",
    "error",
    "version",
    "string",
    "cursor",
    "progress",
    "log",
    "vault",
    "record",
    "identity",
    "session",
    "memory",
    "dna",
    "reflection",
    "timeline",
    "chain",
    "batch",
    "snapshot",
    "view",
    "watch",
    "verify",
    "interchange",
    "id",
    "document",
    "config",
    "s3",
    "repository",
    "keyring",
    "files",
    "view_files",
    "mount",
];

fn main() {
    println!("cargo::rustc-env=MDNA_ABI={ABI}");
    println!("cargo::rustc-env=MDNA_TARGET={}", variable("TARGET"));
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmirrordna.so.{ABI}");
    // Its threads stay for as long as the process, and so does what is registered for the end of it.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Other crates have functions for C as well, which are nobody's business here.
    println!("cargo::rustc-cdylib-link-arg=-Wl,--exclude-libs,ALL");
    for path in ["build.rs", "cbindgen.toml", "preamble.h", "initial.h", "install", "src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=CI");

    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    for name in ["mirrordna-config.cmake", "mirrordna-config-version.cmake"] {
        configuration(&package, name);
    }
    let header = match generate(&package) {
        Ok(header) => header,
        // The compiler says better than cbindgen what is wrong with the sources.
        Err(error) => return println!("cargo::warning=the C header is not made: {error}"),
    };
    if let Some(line) = undocumented(&header) {
        println!("cargo::error=no comment in ffi/src says what this is: {line}");
        return;
    }
    // cbindgen would ask for an attribute of every function in the sources.
    let header = header.replace("\nmdna_status mdna_", "\nMDNA_MUST_USE\nmdna_status mdna_");
    let made = Path::new(&variable("OUT_DIR")).join("mirrordna.h");
    write_if_new(&made, &header);
    println!("cargo::rustc-env=MDNA_HEADER={}", made.display());
    let committed = package.join("../include/mirrordna.h");
    if env::var_os("CI").is_none() && committed.is_file() {
        write_if_new(&committed, &header);
    }
}

/// A variable that cargo sets for every build script.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Makes a file for `CMake`, for `cargo cinstall`; `scripts/install-c.sh` makes its own. Where it is going to lie is not known here.
fn configuration(package: &Path, name: &str) {
    let path = package.join("install").join(format!("{name}.in"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = text.replace("@ABI@", ABI).replace("@VERSION@", &variable("CARGO_PKG_VERSION"));
    write_if_new(&Path::new(&variable("OUT_DIR")).join(name), &text.replace("@PREFIX@", "${_mirrordna_prefix}"));
}

fn write_if_new(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn generate(package: &Path) -> Result<String, cbindgen::Error> {
    let read = |name: &str| {
        let path = package.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let config = package.join("cbindgen.toml");
    let mut config = cbindgen::Config::from_file(&config).unwrap_or_else(|error| panic!("{error}"));
    config.after_includes = Some(read("preamble.h") + &macros() + "\n" + &read("initial.h"));
    let builder = SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, source| {
        builder.with_src(package.join("src").join(format!("{source}.rs")))
    });
    let mut bytes = Vec::new();
    builder.generate()?.write(&mut bytes);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn macros() -> String {
    let mut text = String::from("\n/* The version of this header; mdna_version() is that of the library. */\n");
    let version = variable("CARGO_PKG_VERSION");
    let _ = writeln!(text, "#define MDNA_VERSION \"{version}\"");
    for name in ["MAJOR", "MINOR", "PATCH"] {
        let number = variable(&format!("CARGO_PKG_VERSION_{name}"));
        let _ = writeln!(text, "#define MDNA_VERSION_{name} {number}");
    }
    let _ = writeln!(text, "/* The number of the interface; mdna_abi_version() is that of the library. */");
    let _ = writeln!(text, "#define MDNA_ABI_VERSION {ABI}");
    text
}

/// The first function, type, constant, or member of a type with no comment before it.
fn undocumented(header: &str) -> Option<&str> {
    // What comes before the first comment of cbindgen's is written by hand.
    let generated = header.split_once("\n/**").map_or("", |(_, rest)| rest);
    let mut before = "";
    generated.lines().find(|line| {
        let declares = if let Some(member) = line.strip_prefix("    ") {
            member.starts_with(|c: char| c.is_ascii_alphabetic())
        } else {
            let function = line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains('(');
            // Each enumeration is followed by the two ways in which C and C++ call its type.
            let named = ["enum ", "#define MDNA_", "typedef struct"];
            function || named.iter().any(|start| line.starts_with(start))
        };
        let found = declares && !before.ends_with("*/");
        before = line;
        found
    })
}
