//! Mounting and unmounting.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mirrordna::files::OpenFile;
use mirrordna::{Vault, VaultOptions};
use mirrordna_mount::{MountError, MountOptions, mount, umount};

use crate::sample;
use crate::support::{Mount, clear, vault};

fn is_mounted(point: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.contains(&format!(" {} ", point.display().to_string().replace(' ', "\\040")))
}

/// When `mount` returns, the vault can be used there; when `unmount` returns, it is gone and the vault is closed.
#[test]
fn mount_and_unmount() {
    let (dir, vault) = vault();
    sample::fill(&vault);
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    for _ in 0..10 {
        let mounted = mount(vault.clone(), &point, &MountOptions::default()).unwrap();
        assert!(point.join("README.txt").is_file() && is_mounted(&point));
        mounted.unmount().unwrap();
        mounted.unmount().unwrap();
        assert!(!point.join("README.txt").exists() && !is_mounted(&point));
    }
    let path = dir.path().join("vault");
    let mounted = mount(vault, &point, &MountOptions::default()).unwrap();
    mounted.unmount().unwrap();
    drop(mounted);
    let options = VaultOptions { lock_timeout: Duration::ZERO, ..VaultOptions::default() };
    Vault::open(&path, &options).unwrap();
}

/// Dropping a mount unmounts it, even when somebody uses it.
#[test]
fn dropping_unmounts() {
    let mut mount = Mount::new(sample::fill);
    let open = File::open(mount.path("README.txt")).unwrap();
    drop(mount.mounted.take());
    assert!(!is_mounted(&mount.point));
    drop(open);
}

/// `umount` unmounts from outside, and `umount -R`, `fusermount3 -uz`, and `fusermount3 -u` of `artifacts/` and then of the
/// mount do; plain `fusermount3 -u` says that it is busy and changes nothing. Whoever waits for the mount goes on.
#[test]
fn waiting_ends_with_the_mount() {
    let (dir, vault) = vault();
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    let run = |program: &str, option: &str, point: &Path| {
        assert!(Command::new(program).arg(option).arg(point).status().unwrap().success());
    };
    let ways: [&dyn Fn(&Path); 4] = [
        &|point| umount(point).unwrap(),
        &|point| run("umount", "-R", point),
        &|point| run("fusermount3", "-uz", point),
        &|point| {
            run("fusermount3", "-u", &point.join("artifacts"));
            run("fusermount3", "-u", point);
        },
    ];
    for way in ways {
        let mounted = mount(vault.clone(), &point, &MountOptions::default()).unwrap();
        assert_eq!(mounted.mountpoint(), point.canonicalize().unwrap());
        let refused = Command::new("fusermount3").arg("-u").arg(&point).output().unwrap();
        assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("busy"), "{refused:?}");
        fs::write(point.join("artifacts/file"), "text").unwrap();
        let waiting = thread::spawn(move || mounted.wait());
        way(&point);
        waiting.join().unwrap().unwrap();
        assert!(!is_mounted(&point));
    }
    assert!(matches!(umount(&point), Err(MountError::NotMounted { .. })));
    assert!(matches!(umount(Path::new("/proc")), Err(MountError::NotMounted { .. })));
    assert!(umount(Path::new("/nothing/there")).is_err());
}

/// Any number may wait for the end of a mount, and several bring it about at once: all return when it is over.
#[test]
fn all_who_wait_for_a_mount_go_on() {
    let mut mount = Mount::new(sample::fill);
    let mounted = mount.mounted.take().unwrap();
    fs::write(mount.path("artifacts/file"), "text").unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| mounted.wait())).collect();
        let busy = File::open(mount.path("artifacts/file")).unwrap();
        assert!(matches!(mounted.unmount(), Err(MountError::Busy { .. })));
        drop(busy);
        let unmounting: Vec<_> = (0..4).map(|_| scope.spawn(|| mounted.unmount())).collect();
        for unmounting in unmounting {
            unmounting.join().unwrap().unwrap();
        }
        assert!(!is_mounted(&mount.point));
        assert_eq!(mount.vault.files().read("file").unwrap(), b"text");
        for waiting in waiting {
            waiting.join().unwrap().unwrap();
        }
    });
    mounted.wait().unwrap();
    mounted.unmount().unwrap();
}

/// The end of a mount takes no file away that somebody else has open, in this process or through another mount.
#[test]
fn files_without_names_outlive_a_mount() {
    let (dir, vault) = vault();
    let [here, there] = ["here", "there"].map(|name| dir.path().join(name));
    let mount_on = |point: &Path| {
        fs::create_dir(point).unwrap();
        mount(vault.clone(), point, &MountOptions::default()).unwrap()
    };
    let (first, second) = (mount_on(&here), mount_on(&there));
    fs::write(here.join("artifacts/file"), "text").unwrap();
    let inside = vault.files().open("file", &OpenFile::new().read(true)).unwrap();
    let mut through = File::open(there.join("artifacts/file")).unwrap();
    fs::remove_file(here.join("artifacts/file")).unwrap();
    first.unmount().unwrap();
    let mut text = [0; 4];
    assert_eq!(inside.read_at(&mut text, 0).unwrap(), 4);
    assert_eq!(io::read_to_string(&mut through).unwrap(), "text");
    assert_eq!(&text, b"text");
    drop((inside, through));
    second.unmount().unwrap();
}

/// A mount in use is not unmounted: the error names the processes that use it, and everything goes on.
#[test]
fn a_mount_in_use_is_busy() {
    let mount = Mount::new(sample::fill);
    let mut user = Command::new("sleep").arg("100").current_dir(mount.path("memories")).spawn().unwrap();
    for result in [mount.mounted.as_ref().unwrap().unmount(), umount(&mount.point)] {
        let error = result.unwrap_err();
        let MountError::Busy { users, .. } = &error else { panic!("{error}") };
        assert_eq!(*users, [format!("{} (sleep)", user.id())]);
        assert!(error.to_string().contains("in use by"), "{error}");
    }
    assert!(mount.path("README.txt").exists());
    user.kill().unwrap();
    user.wait().unwrap();
    mount.mounted.as_ref().unwrap().unmount().unwrap();
    assert!(!is_mounted(&mount.point));
}

/// What cannot be mounted on is refused, with what to do about it.
#[test]
fn what_cannot_be_mounted_on_is_refused() {
    let mounted = Mount::new(sample::fill);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let try_mount = |point: &Path| mount(mounted.vault.clone(), point, &MountOptions::default()).unwrap_err();
    assert!(matches!(try_mount(&dir.path().join("nothing")), MountError::Missing { .. }));
    assert!(matches!(try_mount(&dir.path().join("nothing/there")), MountError::Missing { .. }));
    assert!(matches!(try_mount(&file), MountError::NotADirectory { .. }));
    assert!(matches!(try_mount(&file.join("x")), MountError::NotADirectory { .. }));
    assert!(matches!(try_mount(dir.path()), MountError::NotEmpty { .. }));
    assert!(matches!(try_mount(&mounted.point), MountError::AlreadyMounted { .. }));
}

/// Stands in for a process that has mounted a vault; [`a_stale_mount_is_recovered`] starts and kills it.
#[test]
#[ignore = "it is started by another test"]
fn serve() {
    let Some(dir) = std::env::var_os("MIRRORDNA_TEST_SERVE").map(PathBuf::from) else { return };
    let vault = Vault::open(&dir.join("vault"), &VaultOptions::default()).unwrap();
    let mounted = mount(vault, &dir.join("m"), &MountOptions::default()).unwrap();
    println!("\nmounted");
    mounted.wait().unwrap();
}

/// A process that has mounted the vault in `dir/vault` on `dir/m`. It does not outlive the test, nor does its mount.
pub(crate) struct Serving {
    pub(crate) child: Child,
    point: PathBuf,
}

impl Serving {
    pub(crate) fn start(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "life::serve", "--ignored", "--nocapture"])
            .env("MIRRORDNA_TEST_SERVE", dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mounted = lines.any(|line| line == "mounted");
        // What it has to say later must not stop it.
        thread::spawn(move || lines.count());
        let serving = Self { child, point: dir.join("m") };
        assert!(mounted, "the process did not mount");
        serving
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        clear(&self.point);
    }
}

/// After SIGKILL a stale mount point is detected and recovered: by the next `mount`, and by `umount`.
#[test]
fn a_stale_mount_is_recovered() {
    let (dir, vault) = vault();
    sample::fill(&vault);
    drop(vault);
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    for by_mount in [true, false] {
        let mut serving = Serving::start(dir.path());
        assert!(point.join("README.txt").exists());
        let held_open = File::open(point.join("README.txt")).unwrap();
        serving.child.kill().unwrap();
        serving.child.wait().unwrap();
        // A request that was on its way when the connection ended is told that it was aborted.
        let gone = fs::read_dir(&point).unwrap_err().raw_os_error();
        assert!([Some(libc::ENOTCONN), Some(libc::ECONNABORTED)].contains(&gone), "{gone:?}");
        if by_mount {
            let vault = Vault::open(&dir.path().join("vault"), &VaultOptions::default()).unwrap();
            let mounted = mount(vault, &point, &MountOptions::default()).unwrap();
            assert!(point.join("README.txt").exists());
            drop(held_open);
            mounted.unmount().unwrap();
        } else {
            drop(held_open);
            umount(&point).unwrap();
        }
        assert!(!is_mounted(&point));
        assert!(fs::read_dir(&point).unwrap().next().is_none());
    }
}

/// `umount` unmounts what another process has mounted, and that process ends.
#[test]
fn umount_ends_another_process() {
    let (dir, vault) = vault();
    drop(vault);
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    let mut serving = Serving::start(dir.path());
    umount(&point).unwrap();
    let began = Instant::now();
    assert!(serving.child.wait().unwrap().success());
    assert!(began.elapsed() < Duration::from_secs(10) && !is_mounted(&point));
}

/// Nothing of the vault stays open when a mount has ended.
#[test]
fn a_mount_that_ended_lets_go_of_the_vault() {
    for one_connection in [false, true] {
        let (dir, vault) = vault();
        let point = dir.path().join("m");
        fs::create_dir(&point).unwrap();
        let files = Arc::downgrade(&vault.artifacts().unwrap());
        let mounted = mount(vault, &point, &MountOptions { one_connection, ..MountOptions::default() }).unwrap();
        fs::write(point.join("artifacts/file"), "content").unwrap();
        mounted.unmount().unwrap();
        drop(mounted);
        assert_eq!(files.strong_count(), 0, "{one_connection}");
    }
}
