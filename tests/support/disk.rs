//! A small file system, mounted for one test.
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk, gone when it is dropped.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// None when this user may not mount anything, which is told.
    pub(crate) fn mount(at: &Path, size: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: a small disk can only be mounted by root");
            return None;
        }
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "mirrordna-test"]).arg(at);
        assert!(mount.status().unwrap().success());
        Some(Self(at.to_owned()))
    }

    /// Makes it larger or smaller.
    pub(crate) fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }

    /// Takes all room that there is, but for so much.
    pub(crate) fn fill(&self, leave: u64) -> io::Result<()> {
        let mut filler = File::options().append(true).create(true).open(self.0.join("filler"))?;
        loop {
            let space = rustix::fs::statvfs(&self.0)?;
            let free = space.f_bavail * space.f_bsize;
            if free <= leave {
                return Ok(());
            }
            let len = usize::try_from((free - leave).min(1 << 20)).unwrap();
            match filler.write_all(&vec![1; len]) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                other => other?,
            }
        }
    }

    /// Gives that room back.
    pub(crate) fn relieve(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
