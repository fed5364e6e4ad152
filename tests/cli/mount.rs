//! Mounting and unmounting from the command line.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Bed, Done};

/// A vault with a memory, and an empty directory to mount on; nothing where there is no FUSE.
struct Mountable {
    bed: Bed,
    memory: String,
}

impl Mountable {
    fn new() -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            eprintln!("NOT TESTED: /dev/fuse is missing");
            return None;
        }
        let bed = Bed::new();
        let session = bed.session();
        let memory = bed.memory(&session, "a memory");
        std::fs::create_dir(bed.path("mnt")).unwrap();
        Some(Self { bed, memory })
    }

    fn shows_the_memory(&self) -> bool {
        self.bed.path(&format!("mnt/memories/short_term/{}.json", self.memory)).exists()
    }

    fn in_foreground(&self) -> Child {
        self.in_foreground_saying(Stdio::piped())
    }

    fn in_foreground_saying(&self, stderr: Stdio) -> Child {
        let mut command = self.bed.command(["mount", "mnt", "--read-only", "--foreground"]);
        let child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        Self::wait_until(|| self.shows_the_memory());
        child
    }

    fn wait_until(holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not come");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Mountable {
    /// A test that failed must not leave a mount behind, or its directory could not be removed.
    fn drop(&mut self) {
        let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(self.bed.path("mnt")).stderr(Stdio::null()).status();
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn records_are_written_as_files_unless_the_mount_is_for_reading() {
    let Some(vault) = Mountable::new() else { return };
    let bed = &vault.bed;
    let file = bed.path(&format!("mnt/memories/short_term/{}.json", vault.memory));
    bed.ok(["mount", "mnt"]);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("a memory", "another memory")).unwrap();
    std::fs::rename(&file, bed.path(&format!("mnt/memories/long_term/{}.json", vault.memory))).unwrap();
    bed.ok(["umount", "mnt"]);
    assert!(bed.ok(["memory", "get", &vault.memory]).contains("another memory"));
    bed.ok(["mount", "mnt", "--read-only"]);
    let moved = bed.path(&format!("mnt/memories/long_term/{}.json", vault.memory));
    assert_eq!(std::fs::write(&moved, "{}").unwrap_err().raw_os_error(), Some(rustix::io::Errno::ROFS.raw_os_error()));
    bed.ok(["umount", "mnt"]);
}

#[test]
fn a_mount_is_ready_when_the_command_returns_and_gone_when_it_is_unmounted() {
    let Some(vault) = Mountable::new() else { return };
    let bed = &vault.bed;
    let mounted = bed.run(["mount", "mnt", "--read-only"]);
    assert_eq!((mounted.code, mounted.stdout.as_str(), mounted.stderr.as_str()), (0, "", "mounted on mnt\n"));
    assert!(vault.shows_the_memory());
    let sums = Command::new("sha256sum").args(["-c", "--quiet", "SHA256SUMS"]).current_dir(bed.path("mnt")).status();
    assert!(sums.unwrap().success());
    // Commands work beside the mount, which shows at once what they did.
    let session = bed.session();
    let added = bed.memory(&session, "another memory");
    assert!(bed.path(&format!("mnt/memories/short_term/{added}.json")).exists());
    bed.ok(["--lock-timeout", "0", "verify"]);
    // A second mount would have to own the vault, too.
    let said = ["is held by process", "(mirrordna mount)", "keeps it", "mirrordna umount"];
    bed.fails(["--lock-timeout", "0.1", "mount", "mnt", "--read-only"], 13, &said);
    let other = Bed::new();
    other.fails(
        ["mount", bed.path("mnt").to_str().unwrap(), "--read-only"],
        17,
        &["already mounted", "mirrordna umount"],
    );
    bed.ok(["umount", "mnt"]);
    assert!(!vault.shows_the_memory());
    bed.ok(["--lock-timeout", "0", "verify"]);
    bed.fails(["umount", "mnt"], 17, &["no vault is mounted"]);
}

/// A user who is not root has `artifacts/`, without `--allow-other`: files, git, links, modes, the next mount.
#[test]
fn a_user_who_is_not_root_has_artifacts() {
    if !Path::new("/dev/fuse").exists() {
        return eprintln!("NOT TESTED: /dev/fuse is missing");
    }
    let bed = Bed::empty();
    // Where the command is built, others may not look.
    std::fs::copy(env!("CARGO_BIN_EXE_mirrordna"), bed.path("mirrordna")).unwrap();
    let script = r#"
        set -euo pipefail; export HOME=$PWD; vault() { ./mirrordna --quiet --vault vault "$@"; }
        trap 'cd "$HOME"; fusermount3 -u -z mnt 2>/dev/null || true' EXIT
        vault init >/dev/null; mkdir mnt; vault mount mnt; ls -d mnt/artifacts; cd mnt/artifacts
        test "$(stat -c '%u %a' .)" = "$(id -u) 700"
        mkdir dir; echo text >dir/file; ln dir/file hard; ln -s dir link; cat link/file; chmod 750 dir; stat -c '%a %h' dir hard
        printf '#!/bin/sh\necho runs\n' >run; chmod +x run; ./run
        if which git >/dev/null; then
            export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b
            git init -q -b main one; cd one; cp ../run .; git add .; git commit -qm one; cd ..; git clone -q one two; git -C two fsck 2>&1
        fi
        cd ../..; vault snapshot create >/dev/null; echo later >mnt/artifacts/hard; cat mnt/snapshots/latest/artifacts/hard
        fusermount3 -u mnt; test ! -e mnt/artifacts
        vault mount --read-only mnt; cat mnt/artifacts/dir/file; (echo x >mnt/artifacts/dir/file || true) 2>&1 | grep -o 'Read-only.*'
        vault umount mnt; test ! -e mnt/artifacts; vault verify >/dev/null"#;
    let mut command = if rustix::process::geteuid().is_root() {
        let nobody = Some(65_534);
        std::os::unix::fs::chown(bed.path("."), nobody, nobody).unwrap();
        // Where the device is root's alone, everybody's lies over it, for the processes of this test.
        let device = r#"[[ $(stat -c %a /dev/fuse) = 666 ]] || { mknod -m 666 fuse c 10 229; mount --bind fuse /dev/fuse; }
            exec setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "$0""#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", device, script]);
        command
    } else {
        let mut command = Command::new("bash");
        command.args(["-c", script]);
        command
    };
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.current_dir(bed.path(".")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let expected = "mnt/artifacts\ntext\n750 2\n644 2\nruns\ntext\nlater\nRead-only file system\n";
    assert_eq!((out.as_ref(), err.as_ref()), (expected, ""), "{}", output.status);
    assert!(output.status.success());
}

#[test]
fn what_keeps_a_vault_from_being_mounted_is_said_by_the_command_itself() {
    let Some(vault) = Mountable::new() else { return };
    let bed = &vault.bed;
    bed.fails(["mount", "missing", "--read-only"], 17, &["missing does not exist"]);
    bed.file("file", "");
    bed.fails(["mount", "file", "--read-only"], 17, &["is not a directory"]);
    bed.fails(["mount", "vault", "--read-only"], 17, &["is not empty"]);
    bed.fails(["--vault", "mnt", "mount", "mnt", "--read-only"], 13, &["is not a vault"]);
    bed.fails(["mount", "missing", "--read-only", "--foreground"], 17, &["missing does not exist"]);
}

#[test]
fn signals_unmount_cleanly() {
    let Some(vault) = Mountable::new() else { return };
    for stop in [Signal::INT, Signal::TERM] {
        let child = vault.in_foreground();
        signal(&child, stop);
        let done = Done::from(child.wait_with_output().unwrap());
        assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
        assert!(!vault.shows_the_memory());
        vault.bed.ok(["--lock-timeout", "0", "verify"]);
    }
}

#[test]
fn a_mount_in_use_stays_until_it_is_let_go() {
    let Some(vault) = Mountable::new() else { return };
    let said = vault.bed.path("said");
    let child = vault.in_foreground_saying(std::fs::File::create(&said).unwrap().into());
    let used = std::fs::File::open(vault.bed.path("mnt/README.txt")).unwrap();
    vault.bed.fails(["umount", "mnt"], 17, &["is in use by", &std::process::id().to_string()]);
    signal(&child, Signal::INT);
    Mountable::wait_until(|| std::fs::read_to_string(&said).unwrap().contains("is in use by"));
    assert!(vault.shows_the_memory());
    drop(used);
    signal(&child, Signal::INT);
    let done = Done::from(child.wait_with_output().unwrap());
    assert_eq!(done.code, 0, "{}", std::fs::read_to_string(&said).unwrap());
}

#[test]
fn a_mount_of_a_killed_process_is_cleared_away() {
    let Some(vault) = Mountable::new() else { return };
    let mut child = vault.in_foreground();
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    vault.bed.ok(["mount", "mnt", "--read-only"]);
    assert!(vault.shows_the_memory());
    vault.bed.ok(["umount", "mnt"]);
}

#[test]
fn the_process_in_the_background_logs_into_the_file_and_holds_nothing_of_its_caller() {
    let Some(vault) = Mountable::new() else { return };
    let bed = &vault.bed;
    let mut command = bed.command(["-v", "--log-file", "log", "mount", "mnt", "--read-only"]);
    // Were stdout or stderr held by the process in the background, this would not return before it is unmounted.
    let done = Done::from(command.env("MIRRORDNA_PRIVATE_KEY", "secret").output().unwrap());
    assert_eq!(done.code, 0, "{done:?}");
    let log = std::fs::read_to_string(bed.path("log")).unwrap();
    assert!(log.contains("mirrordna::mount") && log.contains("mounted"), "{log}");
    let held = std::fs::read_to_string(bed.vault().join("LOCK")).unwrap();
    let pid = held.split_once("process ").unwrap().1.split(' ').next().unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(!environment.windows(6).any(|window| window == b"secret"));
    bed.ok(["umount", "mnt"]);
}

/// The command under the names by which `mount` and `umount` look for helpers, with the arguments that they give them.
#[test]
fn mount_and_umount_find_their_helpers_in_the_command() {
    let Some(vault) = Mountable::new() else { return };
    let bed = &vault.bed;
    let helper = |name: &str, arguments: &[&str]| {
        let path = bed.path(name);
        if !path.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mirrordna"), &path).unwrap();
        }
        let home = bed.path("");
        let mut command = Command::new(path);
        Done::from(command.args(arguments).env("HOME", home).current_dir(bed.path("")).output().unwrap())
    };
    let at = bed.path("mnt").display().to_string();
    let store = bed.vault().display().to_string();
    for (options, read_only) in [("rw,noauto,x-systemd.automount", false), ("ro,nofail", true)] {
        let done = helper("mount.mirrordna", &[&store, &at, "-n", "-o", options]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        assert!(vault.shows_the_memory());
        assert_eq!(std::fs::write(bed.path("mnt/artifacts/file"), "text").is_err(), read_only);
        let done = helper("umount.fuse.mirrordna", &[&at, "-t", "fuse.mirrordna"]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        assert!(!vault.shows_the_memory());
    }
    let done = helper("mount.mirrordna", &[&store, &at, "-o", "size=1"]);
    assert!(done.code == 2 && done.stderr.contains("--size"), "{done:?}");
    assert!(!vault.shows_the_memory());
}

/// What was written to `artifacts/` is in the vault when `umount` returns, and in the next mount.
#[test]
fn files_are_in_the_vault_when_umount_returns() {
    let Some(vault) = Mountable::new() else { return };
    let bed = &vault.bed;
    for text in ["one", "two"] {
        bed.ok(["mount", "mnt"]);
        let file = bed.path("mnt/artifacts/file");
        if text == "two" {
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        }
        std::fs::write(&file, text).unwrap();
        bed.ok(["umount", "mnt"]);
        bed.ok(["--lock-timeout", "0", "verify"]);
    }
    bed.ok(["mount", "mnt", "--read-only"]);
    assert_eq!(std::fs::read_to_string(bed.path("mnt/artifacts/file")).unwrap(), "two");
    bed.ok(["umount", "mnt"]);
}
