//! What `scripts/install-c.sh` installs is all that a program needs: with pkg-config, with `CMake`, and statically.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Where distributions with several architectures put libraries.
fn libdir() -> String {
    format!("lib/{}-linux-gnu", std::env::consts::ARCH)
}

use crate::support::{STRICT, installed, root, run, shared_library, static_library};

/// The installed tree, with its libraries in a directory of another name than usual.
fn install(prefix: &Path) {
    let mut script = Command::new("bash");
    script.arg(root().join("scripts/install-c.sh")).arg(prefix).env("LIBDIR", libdir()).env_remove("DESTDIR");
    // What was built with this test, and not once more; named as from a shell.
    let shared = shared_library();
    script.current_dir(shared.parent().unwrap()).env("MDNA_SHARED", shared.file_name().unwrap());
    if let Some(library) = static_library() {
        script.env("MDNA_STATIC", library);
    }
    // Others can read it whatever the mask of who installs it.
    let bare = "umask 077; exec \"$@\"";
    let mut masked = Command::new("bash");
    masked.args(["-c", bare, "bash"]).arg(script.get_program()).args(script.get_args());
    masked.current_dir(script.get_current_dir().unwrap());
    for (name, value) in script.get_envs() {
        match value {
            Some(value) => masked.env(name, value),
            None => masked.env_remove(name),
        };
    }
    run(&mut masked);
}

fn flags(prefix: &Path, package: &str, arguments: &[&str]) -> Vec<String> {
    let mut config = Command::new("pkg-config");
    config.env("PKG_CONFIG_PATH", prefix.join(libdir()).join("pkgconfig")).args(arguments).arg(package);
    run(&mut config).split_whitespace().map(str::to_owned).collect()
}

fn use_it(binary: &Path, libraries: &Path) {
    let mut command = Command::new(binary);
    command.env("LD_LIBRARY_PATH", libraries).arg(binary.with_extension("vault"));
    let said = run(command.args(["I like tea", "tea"]));
    assert!(said.contains("recalled: I like tea"), "{said}");
}

#[test]
fn examples_build_against_the_installed_tree() {
    let place = tempfile::Builder::new().prefix("mdna-install-").tempdir().unwrap();
    let prefix = place.path().join("prefix");
    install(&prefix);
    let (agent, lib) = (root().join("examples/c/agent.c"), prefix.join(libdir()));
    for file in ["include/mirrordna.h", "include/mirrordna.hpp"] {
        assert!(prefix.join(file).exists(), "{file}");
    }
    for file in ["libmirrordna.so", "pkgconfig/mirrordna.pc", "cmake/mirrordna/mirrordna-config.cmake"] {
        let mode = std::fs::metadata(lib.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o444, 0o444, "{file}");
    }
    assert_eq!(flags(&prefix, "mirrordna", &["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let compile = |package: &str, to: &Path| {
        let mut compiler = Command::new("gcc");
        compiler.arg("-std=c11").args(STRICT).arg(&agent).arg("-o").arg(to);
        run(compiler.args(flags(&prefix, package, &["--cflags", "--libs"])));
    };

    let shared = place.path().join("shared");
    compile("mirrordna", &shared);
    use_it(&shared, &lib);

    if lib.join("libmirrordna.a").exists() {
        let fixed = place.path().join("static");
        compile("mirrordna-static", &fixed);
        // Nothing of it is looked for when the program starts.
        use_it(&fixed, place.path());
    }

    if installed("cmake") {
        for (number, version) in ["0", "0.1", ""].iter().enumerate() {
            cmake(&prefix, &place.path().join(format!("cmake-{number}")), version);
        }
    }
}

fn cmake(prefix: &Path, place: &Path, version: &str) {
    let project = place.join("project");
    std::fs::create_dir_all(&project).unwrap();
    std::fs::copy(root().join("examples/c/agent.c"), project.join("agent.c")).unwrap();
    let text = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(agent C)\nfind_package(mirrordna {version} CONFIG REQUIRED)\n\
         add_executable(agent agent.c)\ntarget_link_libraries(agent PRIVATE mirrordna::mirrordna)\n\
         if(TARGET mirrordna::static)\nadd_executable(alone agent.c)\ntarget_link_libraries(alone PRIVATE mirrordna::static)\nendif()\n"
    );
    std::fs::write(project.join("CMakeLists.txt"), text).unwrap();
    let build = place.join("cmake");
    run(Command::new("cmake")
        .arg("-S")
        .arg(&project)
        .arg("-B")
        .arg(&build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())));
    run(Command::new("cmake").arg("--build").arg(&build));
    use_it(&build.join("agent"), &prefix.join(libdir()));
    if build.join("alone").exists() {
        use_it(&build.join("alone"), place);
    }
}
