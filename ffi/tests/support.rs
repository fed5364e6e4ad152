//! Where things are, and compiling programs. Those are run by [`crate::running`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub(crate) use crate::running::{output, run};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folder in which cargo put the libraries that it built with this program.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The shared library.
pub(crate) fn shared_library() -> PathBuf {
    let library = built().join("libmirrordna_ffi.so");
    assert!(library.is_file(), "{} was not built", library.display());
    library
}

/// The static library, if it was built.
pub(crate) fn static_library() -> Option<PathBuf> {
    let names = std::fs::read_dir(built()).unwrap().map(|entry| entry.unwrap().path());
    names
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("libmirrordna_ffi") && name.ends_with(".a")
        })
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
}

/// A folder with the shared library under the names under which programs are linked and started.
pub(crate) fn library_dir() -> &'static Path {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("mdna-lib-").tempdir().unwrap();
        for name in ["libmirrordna.so".to_owned(), format!("libmirrordna.so.{}", env!("MDNA_ABI"))] {
            std::os::unix::fs::symlink(shared_library(), dir.path().join(name)).unwrap();
        }
        dir
    });
    dir.path()
}

/// What all warnings of a careful project are.
pub(crate) const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];

/// Compiles and links a program against the shared library.
pub(crate) fn build(compiler: &str, standard: &str, source: &Path, program: &Path) {
    let mut command = Command::new(compiler);
    command.arg(format!("-std={standard}")).args(STRICT).args(["-g", "-O1", "-pthread"]);
    command.arg("-I").arg(root().join("include")).arg(source).arg("-o").arg(program);
    command.arg("-L").arg(library_dir()).arg("-lmirrordna");
    run(&mut command);
}

/// A command that finds the shared library.
pub(crate) fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env("LD_LIBRARY_PATH", library_dir());
    command
}

/// Whether a program is there. Tests of what is not installed say so and pass.
pub(crate) fn installed(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("{name} is not installed: not tested");
    }
    found
}

/// All Rust sources below a folder.
pub(crate) fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
