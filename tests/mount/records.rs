//! Records are written as files: what a program sees, and what becomes of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mirrordna::record::Kind;
use mirrordna::storage::{Durability, NOW};
use mirrordna::vault::Tier;

use crate::sample;
use crate::support::Mount;
use crate::texts::memory_text;
use crate::waiting::until;

pub(crate) const ID: &str = "mem_written_by_hand";

pub(crate) fn path_of(id: &str, tier: Tier) -> String {
    format!("memories/{}/{id}.json", tier.name())
}

/// Closes a file and says what closing it said.
pub(crate) fn close(file: File) -> io::Result<()> {
    let descriptor = file.into_raw_fd();
    // SAFETY: the descriptor was owned by `file`, which has given it up, and is closed once.
    if unsafe { libc::close(descriptor) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Writes a whole file and says what closing it said.
pub(crate) fn write(mount: &Mount, path: &str, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(mount.path(path))?;
    file.write_all(text)?;
    close(file)
}

pub(crate) fn content(mount: &Mount, id: &str) -> Option<String> {
    let found = mount.vault.find(Kind::Memory, id).unwrap()?;
    Some(found.value.str_at("content").unwrap().to_owned())
}

pub(crate) fn versions(mount: &Mount, id: &str) -> usize {
    mount.vault.history(Kind::Memory, id, NOW, 1_000).unwrap().len()
}

/// A record is created, changed and deleted by writing, overwriting and removing its file, and all of it shows at once.
#[test]
fn records_are_created_changed_and_deleted_as_files() {
    let mount = Mount::new(sample::fill);
    let path = path_of(ID, Tier::LongTerm);
    for round in 0..20 {
        let text = format!("round {round} {}", "ü".repeat(round * 100));
        write(&mount, &path, memory_text(ID, &text).as_bytes()).unwrap();
        assert_eq!(content(&mount, ID).as_deref(), Some(text.as_str()));
        let shown = mount.read(&path);
        assert!(shown.contains(&text) && shown.contains("\"tier\": \"long_term\""), "{shown}");
        let found = fs::metadata(mount.path(&path)).unwrap();
        assert_eq!((found.len(), found.mode() & 0o777), (shown.len() as u64, 0o600));
        let time = mount.vault.get(Kind::Memory, ID).unwrap().time.as_micros();
        assert_eq!(found.mtime() * 1_000_000 + found.mtime_nsec() / 1_000, time);
        assert_eq!(mount.sh("cd memories/long_term && sha256sum -c --quiet SHA256SUMS && ls | wc -l"), "4\n");
        // Over the version that is there, then anew.
        write(&mount, &path, memory_text(ID, "short").as_bytes()).unwrap();
        assert!(mount.read(&path).contains("short"));
        assert_eq!(fs::metadata(mount.path(&path)).unwrap().len(), mount.read(&path).len() as u64);
        fs::remove_file(mount.path(&path)).unwrap();
        assert_eq!(content(&mount, ID), None);
        assert!(!mount.path(&path).exists());
        assert_eq!(mount.sh("cd memories/long_term && sha256sum -c --quiet SHA256SUMS && ls | wc -l"), "3\n");
    }
    assert_eq!(versions(&mount, ID), 60, "the history stays");
    assert!(!mount.path(".vault/last-error").exists());
    for (collection, name) in [("sessions", "sess_made_by_hand_01"), ("entries", "entry_0123456789abcdef")] {
        let old = mount.sh(&format!("cat $(ls {collection}/*.json | head -1)"));
        let new = old.replace(sample::USER, "mdna_usr_fedcba9876543210").replace("\"a/b\"", "\"c/d\"");
        let id = if collection == "entries" {
            name.to_owned()
        } else {
            let id = sample::value(&old).str_at("session_id").unwrap().to_owned();
            write(&mount, &format!("{collection}/{name}.json"), new.replace(&id, name).as_bytes()).unwrap();
            name.to_owned()
        };
        if collection == "entries" {
            write(&mount, &format!("{collection}/{id}.json"), new.as_bytes()).unwrap();
        }
        assert!(mount.sh(&format!("cat {collection}/{id}.json")).len() > 100);
    }
    assert_eq!(mount.vault.get(Kind::Entry, "entry_0123456789abcdef").unwrap().value.str_at("path"), Some("c/d"));
    assert!(mount.vault.find(Kind::Session, "sess_made_by_hand_01").unwrap().is_some());
}

/// `open` with `O_EXCL`, `O_TRUNC` and `O_APPEND`, reading and writing at any place, `ftruncate` and `lseek` do on a text that is being
/// written what they do on a file; others see the version that there is until it is closed or synced.
#[test]
fn a_text_is_written_as_a_file_is() {
    let mount = Mount::new(|_| {});
    let (path, text) = (path_of(ID, Tier::Episodic), memory_text(ID, "written in pieces"));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(mount.path(&path)).unwrap();
    let twice = OpenOptions::new().write(true).create_new(true).open(mount.path(&path)).unwrap_err();
    assert_eq!(twice.raw_os_error(), Some(libc::EEXIST));
    assert_eq!(fs::metadata(mount.path(&path)).unwrap().len(), 0);
    assert_eq!(mount.sh("ls memories/episodic"), format!("{ID}.json\n"));
    for (n, piece) in text.as_bytes().chunks(7).enumerate().rev() {
        file.write_all_at(piece, n as u64 * 7).unwrap();
    }
    file.write_all_at(b"garbage", text.len() as u64).unwrap();
    assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), text.len() as u64 + 7);
    file.set_len(text.len() as u64).unwrap();
    assert_eq!(fs::metadata(mount.path(&path)).unwrap().len(), text.len() as u64);
    let mut again = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut again).unwrap();
    assert_eq!(again, text);
    assert_eq!(content(&mount, ID), None);
    file.sync_all().unwrap();
    assert_eq!(content(&mount, ID).as_deref(), Some("written in pieces"));
    // The same description goes on, and others see what is committed.
    let committed = mount.read(&path);
    file.set_len(0).unwrap();
    assert_eq!(mount.read(&path), committed);
    assert_eq!(file.metadata().unwrap().len(), 0, "whoever writes it");
    assert_eq!(mount.sh(&format!("stat -c %s {path}")).trim(), committed.len().to_string(), "everybody else");
    file.write_all_at(memory_text(ID, "the second").as_bytes(), 0).unwrap();
    let mut reader = File::open(mount.path(&path)).unwrap();
    close(file).unwrap();
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert!(read.contains("the second"));
    // Without the last brace it is no record; appending it makes it one again.
    let whole = mount.read(&path);
    let mut file = OpenOptions::new().read(true).append(true).open(mount.path(&path)).unwrap();
    file.set_len(whole.len() as u64 - 2).unwrap();
    let unfinished = file.sync_all().unwrap_err();
    assert_eq!(unfinished.raw_os_error(), Some(libc::EINVAL));
    file.write_all(b"\n  ").unwrap();
    file.write_all(b"}").unwrap();
    close(file).unwrap();
    assert_eq!(mount.read(&path), whole);
    assert_eq!(versions(&mount, ID), 2, "the text says what the record says");
    // Cutting a record that nobody has open is a change of its own.
    // SAFETY: a path with a zero at the end, and nothing else is touched.
    let cut = |len| unsafe {
        let path = std::ffi::CString::new(mount.path(&path).into_os_string().into_encoded_bytes()).unwrap();
        libc::truncate(path.as_ptr(), len)
    };
    assert_eq!((cut(10), io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EINVAL)));
    assert_eq!(mount.read(&path), whole);
}

/// Closing an inherited descriptor in the middle of a text keeps the text; a file that is closed for good without a whole text
/// changes nothing, and the reason is in `.vault/last-error`.
#[test]
fn an_unfinished_text_goes_on_until_it_is_closed_for_good() {
    let mount = Mount::new(|_| {});
    let path = path_of(ID, Tier::LongTerm);
    mount.sh(&format!(
        r#"{{ echo '{{'; sh -c 'echo "\"memory_id\": \"{ID}\","'; /bin/echo '"content": "from many processes",'
            printf '%s' '"source": {{"session_id": "sess_0123456789ab", "timestamp": "2025-03-01T08:00:00Z",'
            (echo '"agent_id": "{}", "user_id": "{}"}}') ; echo '}}'; }} > {path}"#,
        sample::AGENT,
        sample::USER
    ));
    assert_eq!(content(&mount, ID).as_deref(), Some("from many processes"));
    let (before, state) = (mount.read(&path), mount.vault.state());
    for script in [format!(": > {path}"), format!("printf '{{' > {path}"), format!("truncate -s 5 {path}")] {
        mount.sh(&script);
        until("the reason", || mount.path(".vault/last-error").exists());
        assert!(mount.read(".vault/last-error").contains(&format!("{path}: its text of")), "{script}");
        assert_eq!((mount.read(&path), mount.vault.state()), (before.clone(), state), "{script}");
    }
    let other = path_of("mem_only_touched_01", Tier::LongTerm);
    mount.sh(&format!("touch {other}"));
    until("the end", || !mount.path(&other).exists());
    until("the reason", || mount.read(".vault/last-error").contains("closed without a text"));
    assert_eq!(mount.sh("ls memories/long_term"), format!("SHA256SUMS\n{ID}.json\n"));
    assert_eq!(mount.vault.state(), state);
}

/// `mv` between tiers promotes, at once and with the checksums of both; links, directories and devices are refused, modes,
/// owners and times accepted and not kept.
#[test]
fn moving_promotes_and_other_changes_are_accepted_or_refused() {
    let mount = Mount::new(sample::fill);
    let path = path_of(ID, Tier::ShortTerm);
    write(&mount, &path, memory_text(ID, "it moves").as_bytes()).unwrap();
    for _ in 0..20 {
        for (from, to) in [("short_term", "long_term"), ("long_term", "episodic"), ("episodic", "short_term")] {
            mount.sh(&format!(
                r#"cat memories/{from}/{ID}.json >/dev/null; mv memories/{from}/{ID}.json memories/{to}/
                test "$(jq -r .tier memories/{to}/{ID}.json)" = {to}
                test "$(stat -c %s memories/{to}/{ID}.json)" = "$(wc -c < memories/{to}/{ID}.json)"
                test ! -e memories/{from}/{ID}.json
                (cd memories/{from} && sha256sum -c --quiet SHA256SUMS); (cd memories/{to} && sha256sum -c --quiet SHA256SUMS)
                ls memories/{to} | grep -q {ID}; ! ls memories/{from} | grep -q {ID}"#
            ));
        }
    }
    assert_eq!(versions(&mount, ID), 61);
    let state = mount.vault.state();
    mount.sh(&format!("chmod 644 {path}; chown 1:1 {path}; touch -d 2001-01-01 {path}; chmod 755 memories/short_term"));
    assert_eq!(mount.sh(&format!("stat -c '%a %u' {path} memories/short_term")), "600 0\n700 0\n");
    assert_eq!(mount.vault.state(), state);
    let refused = |what: &str, errno: i32, result: io::Result<()>| {
        assert_eq!(result.expect_err(what).raw_os_error(), Some(errno), "{what}");
        assert_eq!(mount.vault.state(), state, "{what}");
    };
    let at = |name: &str| mount.path(name);
    refused("mkdir", libc::EPERM, fs::create_dir(at("memories/new")));
    refused("mkdir", libc::EPERM, fs::create_dir(at("new")));
    refused("rmdir", libc::EPERM, fs::remove_dir(at("memories/long_term")));
    refused("rename a directory", libc::EPERM, fs::rename(at("memories/long_term"), at("memories/other")));
    refused("link", libc::EPERM, fs::hard_link(at(&path), at("memories/long_term/x")));
    refused("symlink", libc::EPERM, std::os::unix::fs::symlink("x", at("memories/long_term/x")));
    refused("rename", libc::EINVAL, fs::rename(at(&path), at("memories/long_term/mem_another_one_01.json")));
    refused("rename", libc::EINVAL, fs::rename(at(&path), at(&format!("entries/{ID}.json"))));
    refused("rename", libc::EPERM, fs::rename(at(&path), at("README.txt")));
    refused("remove", libc::EPERM, fs::remove_file(at("memories/long_term/SHA256SUMS")));
    refused("write", libc::EPERM, OpenOptions::new().write(true).open(at("README.txt")).map(drop));
    refused(
        "chmod",
        libc::EPERM,
        fs::set_permissions(at("README.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o600)),
    );
    let xattr = rustix::fs::setxattr(at(&path), "user.x", b"y", rustix::fs::XattrFlags::empty());
    refused("setxattr", libc::EOPNOTSUPP, xattr.map_err(Into::into));
    let exchange = rustix::fs::renameat_with(
        rustix::fs::CWD,
        at(&path),
        rustix::fs::CWD,
        at(&path_of("x", Tier::LongTerm)),
        rustix::fs::RenameFlags::EXCHANGE,
    );
    assert!(exchange.is_err());
}

/// Whatever was closed before the vault was unmounted is in it, also when it is unmounted in the middle of writing.
#[test]
fn unmounting_while_writing_loses_nothing() {
    let mut mount = Mount::new(|_| {});
    let mounted = mount.mounted.take().unwrap();
    let done = AtomicUsize::new(0);
    let name = |n: usize| format!("mem_number_{n:08}");
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0.. {
                let path = mount.path(&path_of(&name(n), Tier::LongTerm));
                let written = File::create(path).and_then(|mut file| {
                    file.write_all(memory_text(&name(n), "here").as_bytes())?;
                    close(file)
                });
                if written.is_err() {
                    break;
                }
                done.store(n + 1, Ordering::SeqCst);
                // While it has a file open, the vault cannot be unmounted.
                thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        while done.load(Ordering::SeqCst) < 50 && !writer.is_finished() {
            thread::yield_now();
        }
        while mounted.unmount().is_err() {}
    });
    let done = done.into_inner();
    assert!(done >= 50);
    for n in 0..done {
        assert_eq!(content(&mount, &name(n)).as_deref(), Some("here"), "{n} of {done}");
    }
    let state = mount.vault.state();
    assert_eq!(state.durable, state.sequence, "unmounting makes it durable");
}

/// Closing a file commits it, and syncing it makes it durable, as on every file system.
#[test]
fn closing_commits_and_syncing_makes_durable() {
    let mount = Mount::new(|_| {});
    let vault = mount.vault.with_durability(Durability::Sync);
    let path = path_of(ID, Tier::LongTerm);
    write(&mount, &path, memory_text(ID, "closed").as_bytes()).unwrap();
    let state = vault.state();
    assert!(state.durable < state.sequence);
    File::open(mount.path(&path)).unwrap().sync_all().unwrap();
    let state = vault.state();
    assert_eq!(state.durable, state.sequence);
    let mut file =
        OpenOptions::new().write(true).truncate(true).custom_flags(libc::O_CLOEXEC).open(mount.path(&path)).unwrap();
    file.write_all(memory_text(ID, "synced").as_bytes()).unwrap();
    file.sync_data().unwrap();
    let state = vault.state();
    assert_eq!(state.durable, state.sequence);
    assert_eq!(content(&mount, ID).as_deref(), Some("synced"));
    write(&mount, &path, memory_text(ID, "again").as_bytes()).unwrap();
    File::open(mount.path("memories/long_term")).unwrap().sync_all().unwrap();
    assert_eq!(vault.state().durable, vault.state().sequence);
}

/// Whoever has a record open for reading when it is deleted, here or elsewhere, can read it to its end, though nothing of it
/// was read before; for all others it is gone.
#[test]
fn a_deleted_record_stays_readable_for_whoever_has_it_open() {
    for elsewhere in [false, true] {
        let mount = Mount::new(sample::fill);
        let path = mount.path(&format!("identities/{}.json", sample::USER));
        let mut file = File::open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        if elsewhere {
            mount.vault.delete(Kind::Identity, sample::USER).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        assert!(!path.exists() && File::open(&path).is_err());
        let (mut text, found) = (String::new(), file.metadata().unwrap());
        file.read_to_string(&mut text).unwrap();
        assert_eq!((found.len(), found.nlink(), text.len() as u64), (len, 0, len));
        assert!(text.contains(sample::USER));
        assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), len);
    }
    let mount = Mount::new(sample::fill);
    let id = sample::USER;
    let script = format!("cd identities; exec 5<{id}.json; rm {id}.json; cat <&5 | jq -r .identity_id; ls | wc -l");
    assert_eq!(mount.sh(&script), format!("{id}\n2\n"));
}
