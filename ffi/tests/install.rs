//! What `scripts/install-c.sh` installs is all that a program needs: with pkg-config, with `CMake`, and statically.

use std::path::Path;
use std::process::Command;

use crate::support::{STRICT, installed, root, run, shared_library, static_library};

/// The installed tree.
fn install(prefix: &Path) {
    let mut script = Command::new("bash");
    script.arg(root().join("scripts/install-c.sh")).arg(prefix);
    // What was built with this test, and not once more.
    script.env("MDNA_SHARED", shared_library());
    if let Some(library) = static_library() {
        script.env("MDNA_STATIC", library);
    }
    run(&mut script);
}

fn flags(prefix: &Path, arguments: &[&str]) -> Vec<String> {
    let mut config = Command::new("pkg-config");
    config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(arguments).arg("mirrordna");
    run(&mut config).split_whitespace().map(str::to_owned).collect()
}

fn use_it(binary: &Path, prefix: &Path) {
    let mut command = Command::new(binary);
    command.env("LD_LIBRARY_PATH", prefix.join("lib")).arg(binary.with_extension("vault"));
    let said = run(command.args(["I like tea", "tea"]));
    assert!(said.contains("recalled: I like tea"), "{said}");
}

#[test]
fn examples_build_against_the_installed_tree() {
    let place = tempfile::Builder::new().prefix("mdna-install-").tempdir().unwrap();
    let prefix = place.path().join("prefix");
    install(&prefix);
    let agent = root().join("examples/c/agent.c");
    for file in ["include/mirrordna.h", "include/mirrordna.hpp", "lib/libmirrordna.so", "lib/pkgconfig/mirrordna.pc"] {
        assert!(prefix.join(file).exists(), "{file}");
    }
    assert_eq!(
        run(Command::new("pkg-config")
            .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
            .args(["--modversion", "mirrordna"]))
        .trim(),
        env!("CARGO_PKG_VERSION")
    );

    let shared = place.path().join("shared");
    let mut compiler = Command::new("gcc");
    compiler.arg("-std=c11").args(STRICT).args(flags(&prefix, &["--cflags"])).arg(&agent).arg("-o").arg(&shared);
    run(compiler.args(flags(&prefix, &["--libs"])));
    use_it(&shared, &prefix);

    if prefix.join("lib/libmirrordna.a").exists() {
        let fixed = place.path().join("static");
        let mut compiler = Command::new("gcc");
        compiler.arg("-std=c11").args(STRICT).args(flags(&prefix, &["--cflags"])).arg(&agent).arg("-o").arg(&fixed);
        compiler.arg(prefix.join("lib/libmirrordna.a"));
        let needed = flags(&prefix, &["--libs", "--static"]);
        run(compiler.args(needed.iter().filter(|flag| *flag != "-lmirrordna")));
        // Nothing of it is looked for when the program starts.
        use_it(&fixed, place.path());
    }

    if installed("cmake") {
        cmake(&prefix, place.path());
    }
}

fn cmake(prefix: &Path, place: &Path) {
    let project = place.join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::copy(root().join("examples/c/agent.c"), project.join("agent.c")).unwrap();
    let text = "cmake_minimum_required(VERSION 3.16)\nproject(agent C)\nfind_package(mirrordna 0.1 CONFIG REQUIRED)\n\
                add_executable(agent agent.c)\ntarget_link_libraries(agent PRIVATE mirrordna::mirrordna)\n";
    std::fs::write(project.join("CMakeLists.txt"), text).unwrap();
    let build = place.join("cmake");
    run(Command::new("cmake")
        .arg("-S")
        .arg(&project)
        .arg("-B")
        .arg(&build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
    run(Command::new("cmake").arg("--build").arg(&build));
    use_it(&build.join("agent"), prefix);
}
