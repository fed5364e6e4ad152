//! What the shared library shows to programs: the functions of the header, and nothing else.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::{read, run, shared_library};

#[test]
fn exported_symbols_are_those_of_the_list() {
    let output = run(Command::new("nm").args(["--dynamic", "--defined-only", "--format=posix"]).arg(shared_library()));
    let exported: BTreeSet<_> = output.lines().filter_map(|line| line.split(' ').next()).collect();
    let list = read("ffi/symbols.txt");
    let listed: BTreeSet<_> = list.lines().collect();
    let (more, fewer): (Vec<_>, Vec<_>) =
        (exported.difference(&listed).collect(), listed.difference(&exported).collect());
    assert!(
        more.is_empty() && fewer.is_empty(),
        "exported and not in ffi/symbols.txt: {more:?}; the other way: {fewer:?}"
    );
    let functions = crate::prototypes::all();
    let declared: BTreeSet<_> = functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(listed, declared, "ffi/symbols.txt is not what the header declares");
}

#[test]
fn the_library_has_its_name_and_needs_nothing_unusual() {
    let output = run(Command::new("readelf").args(["--dynamic", "--wide"]).arg(shared_library()));
    let named = |tag: &str| -> Vec<String> {
        let lines = output.lines().filter(|line| line.contains(tag));
        lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
    };
    assert_eq!(named("(SONAME)"), [format!("libmirrordna.so.{}", env!("MDNA_ABI"))]);
    let usual =
        ["libstdc++.so.6", "libgcc_s.so.1", "libm.so.6", "libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];
    for needed in named("(NEEDED)") {
        assert!(usual.contains(&needed.as_str()), "it needs {needed}");
    }
}
