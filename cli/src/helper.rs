//! The command under the names by which `mount` and `umount` look for it: `/sbin/mount.mirrordna`, so that a vault can stand
//! in `/etc/fstab`, and `/sbin/umount.fuse.mirrordna`, so that `umount` knows of the mount inside the mount.

use std::ffi::{OsStr, OsString};
use std::path::Path;

const MOUNT: &str = "mount.mirrordna";
const UMOUNT: &str = "umount.fuse.mirrordna";

/// Options for `mount` itself or for the kernel that hold for every mount of a vault, or make no difference to it.
const UNDERSTOOD: [&str; 24] = [
    "rw",
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "nofail",
    "_netdev",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "async",
    "silent",
    "diratime",
];
/// Notes in `/etc/fstab` for other programs.
const NOTES: [&str; 3] = ["x-", "X-", "comment="];

/// The arguments of the command: as given, or translated from those of a helper.
pub(crate) fn arguments(given: Vec<OsString>) -> Vec<OsString> {
    let name = given.first().map(Path::new).and_then(Path::file_name).map(OsStr::to_owned);
    let rest = || given.get(1..).unwrap_or_default();
    match name.as_deref().and_then(OsStr::to_str) {
        Some(MOUNT) => mount(rest()),
        Some(UMOUNT) => umount(rest()),
        _ => given,
    }
}

/// `mount.mirrordna VAULT DIR [-snv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]`
fn mount(given: &[OsString]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["mirrordna", "mount", "--quiet"].map(Into::into).into();
    let (mut places, mut sloppy, mut options) = (Vec::new(), false, Vec::new());
    let mut given = given.iter();
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("-n" | "-v") => {}
            Some("-s") => sloppy = true,
            Some("-N" | "-t") => drop(given.next()),
            Some("-o") => {
                let list = given.next().map(|list| list.to_string_lossy().into_owned()).unwrap_or_default();
                options.extend(list.split(',').filter(|option| !option.is_empty()).map(str::to_owned));
            }
            _ if places.len() < 2 && !argument.as_encoded_bytes().starts_with(b"-") => places.push(argument.clone()),
            // Not understood: the command says so.
            _ => arguments.push(argument.clone()),
        }
    }
    for option in options {
        match option.as_str() {
            "ro" => arguments.push("--read-only".into()),
            "allow_other" => arguments.push("--allow-other".into()),
            known if UNDERSTOOD.contains(&known) || NOTES.iter().any(|note| known.starts_with(note)) => {}
            _ if sloppy => {}
            unknown => arguments.push(format!("--{unknown}").into()),
        }
    }
    let mut places = places.into_iter();
    if let Some(vault) = places.next() {
        arguments.extend(["--vault".into(), vault]);
    }
    arguments.extend(places);
    arguments
}

/// `umount.fuse.mirrordna DIR [-nfvr] [-N NAMESPACE] [-t TYPE]`
fn umount(given: &[OsString]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["mirrordna", "umount", "--quiet"].map(Into::into).into();
    let mut given = given.iter();
    while let Some(argument) = given.next() {
        match argument.to_str() {
            Some("-n" | "-f" | "-v" | "-r") => {}
            Some("-N" | "-t") => drop(given.next()),
            _ => arguments.push(argument.clone()),
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(given: &[&str]) -> String {
        let arguments = arguments(given.iter().map(OsString::from).collect());
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn mount_hands_over_vault_directory_and_options() {
        let given =
            ["/sbin/mount.mirrordna", "/vault", "/mnt", "-n", "-o", "rw,ro,noauto,x-systemd.automount,allow_other"];
        assert_eq!(translated(&given), "mirrordna mount --quiet --read-only --allow-other --vault /vault /mnt");
        assert_eq!(
            translated(&["mount.mirrordna", "/vault", "/mnt", "-o", "size=1"]),
            "mirrordna mount --quiet --size=1 --vault /vault /mnt"
        );
        assert_eq!(
            translated(&["mount.mirrordna", "-s", "-o", "size=1", "/vault", "/mnt"]),
            "mirrordna mount --quiet --vault /vault /mnt"
        );
    }

    #[test]
    fn umount_hands_over_the_directory() {
        assert_eq!(
            translated(&["/sbin/umount.fuse.mirrordna", "/mnt", "-t", "fuse.mirrordna"]),
            "mirrordna umount --quiet /mnt"
        );
        assert_eq!(translated(&["umount.fuse.mirrordna", "-l", "/mnt"]), "mirrordna umount --quiet -l /mnt");
    }

    #[test]
    fn the_command_itself_gets_what_was_given() {
        assert_eq!(translated(&["mirrordna", "mount", "-o"]), "mirrordna mount -o");
    }
}
