//! Mounting: the vault as a directory.

use std::ffi::c_char;

use mirrordna_mount::{MountOptions, Mounted, mount, umount};

use crate::guard::{call, call_on};
use crate::handle::{Boxed, Handle, State, borrow, boxed, free_boxed};
use crate::input::{Versioned, options, path, truth};
use crate::output::out;
use crate::status::mdna_status;
use crate::string::mdna_string;
use crate::vault::mdna_vault;

/// A mounted vault. `mdna_mount_stop()` unmounts it; `mdna_mount_free()` does so even when somebody uses it. It keeps
/// the vault open.
pub struct mdna_mount {
    state: State,
    mounted: Mounted,
}

impl Handle for mdna_mount {
    type Ownership = Boxed;

    fn state(&self) -> &State {
        &self.state
    }
}

/// How a vault is mounted. Fill it with `MDNA_MOUNT_OPTIONS_INIT`, then change what is to be different.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mdna_mount_options {
    /// `MDNA_MOUNT_OPTIONS_VERSION`.
    pub version: u32,
    /// For reading only: 0 or 1.
    pub read_only: u8,
    /// Others than the mounting user may look in: 0 or 1. Root may mount so; others only when `/etc/fuse.conf` says
    /// `user_allow_other`.
    pub allow_other: u8,
    /// `artifacts/` is served over the connection of the records, though it could have one of its own, which is faster:
    /// 0 or 1.
    pub one_connection: u8,
}

/// The version of `mdna_mount_options` in this header.
pub const MDNA_MOUNT_OPTIONS_VERSION: u32 = 1;

impl Versioned for mdna_mount_options {
    const VERSION: u32 = MDNA_MOUNT_OPTIONS_VERSION;
    const NAME: &'static str = "mdna_mount_options";

    fn version(&self) -> u32 {
        self.version
    }
}

/// Mounts a vault on an empty directory. When this returns, it can be used there; threads of the library serve it until
/// it is unmounted. `options` may be NULL. Free the handle with `mdna_mount_free()`.
///
/// Fails with `MDNA_MOUNTPOINT_MISSING`, `MDNA_MOUNTPOINT_NOT_A_DIRECTORY`, `MDNA_MOUNTPOINT_NOT_EMPTY`,
/// `MDNA_ALREADY_MOUNTED`, `MDNA_PERMISSION` and `MDNA_NO_FUSE`, and with `MDNA_INVALID_ARGUMENT` for a truth value
/// that is neither 0 nor 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_mount_start(
    vault: *mut mdna_vault,
    mountpoint: *const c_char,
    options: *const mdna_mount_options,
    out: *mut *mut mdna_mount,
) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles, texts, structures and outputs.
    let (vault, dir, given, out) = unsafe {
        (borrow(vault, "vault"), path(mountpoint, "mountpoint"), self::options(options), self::out(out, "out"))
    };
    call_on(vault, |vault| {
        let (dir, given, out) = (dir?, given?, out?);
        let options = match given {
            None => MountOptions::default(),
            Some(given) => MountOptions {
                allow_other: truth(given.allow_other, "allow_other")?,
                read_only: truth(given.read_only, "read_only")?,
                one_connection: truth(given.one_connection, "one_connection")?,
            },
        };
        let mounted = mount(vault.vault.clone(), dir, &options)?;
        out.write(boxed(mdna_mount { state: State::new(), mounted }));
        Ok(())
    })
}

/// Unmounts a vault. When this returns, it is gone from there, and all that was written is on disk. That it is
/// unmounted already is no failure. The handle is still to be freed.
///
/// Fails with `MDNA_MOUNT_IN_USE` when somebody has files open there; then it is still mounted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_mount_stop(mount: *mut mdna_mount) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    let mount = unsafe { borrow(mount, "mount") };
    call_on(mount, |mount: &mdna_mount| Ok(mount.mounted.unmount()?))
}

/// Waits until somebody unmounts a vault: another thread with `mdna_mount_stop()`, or a person with `mirrordna umount`.
/// When this returns, all that was written is on disk. Any number of threads may wait. A signal that is handled meanwhile
/// does not end it.
///
/// Fails when serving the mount failed, or what was written last could not be stored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_mount_wait(mount: *mut mdna_mount) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles.
    let mount = unsafe { borrow(mount, "mount") };
    call_on(mount, |mount: &mdna_mount| Ok(mount.mounted.wait()?))
}

/// Where a vault is mounted. Free it with `mdna_string_free()`. Bytes of the path that are not UTF-8 are replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_mount_path(mount: *mut mdna_mount, out_path: *mut mdna_string) -> mdna_status {
    // SAFETY: the caller keeps what the header says of handles and outputs.
    let (mount, out) = unsafe { (borrow(mount, "mount"), out(out_path, "out_path")) };
    call_on(mount, |mount: &mdna_mount| {
        out?.text(&mount.mounted.mountpoint().display().to_string());
        Ok(())
    })
}

/// Unmounts a vault, even when somebody uses it, and frees the handle. `mount` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_mount_free(mount: *mut mdna_mount) {
    // SAFETY: the caller keeps what the header says of freeing handles.
    unsafe { free_boxed(mount) };
}

/// Unmounts the vault that is mounted on a directory, by this process or another one.
///
/// Fails with `MDNA_NOT_MOUNTED`, `MDNA_MOUNT_IN_USE` and `MDNA_PERMISSION`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mdna_umount(mountpoint: *const c_char) -> mdna_status {
    // SAFETY: the caller keeps what the header says of texts.
    let dir = unsafe { path(mountpoint, "mountpoint") };
    call(|| Ok(umount(dir?)?))
}
