//! Records are written as files: what a program sees, and what becomes of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use mirrordna::record::{Kind, Value};
use mirrordna::storage::{Durability, NOW};
use mirrordna::vault::{MemoryUpdate, NewSnapshot, Past, Tier};

use crate::sample::{self, memory_text};
use crate::support::{Mount, unheard};

const ID: &str = "mem_written_by_hand";

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
fn write(mount: &Mount, path: &str, text: &[u8]) -> io::Result<()> {
    let mut file = File::create(mount.path(path))?;
    file.write_all(text)?;
    close(file)
}

fn content(mount: &Mount, id: &str) -> Option<String> {
    let found = mount.vault.find(Kind::Memory, id).unwrap()?;
    Some(found.value.str_at("content").unwrap().to_owned())
}

fn versions(mount: &Mount, id: &str) -> usize {
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

/// `open` with O_EXCL, O_TRUNC, O_APPEND, reading and writing at any place, `ftruncate` and `lseek` do on a text that is being
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
        sample::AGENT, sample::USER
    ));
    assert_eq!(content(&mount, ID).as_deref(), Some("from many processes"));
    let (before, state) = (mount.read(&path), mount.vault.state());
    for script in [format!(": > {path}"), format!("printf '{{' > {path}"), format!("truncate -s 5 {path}")] {
        mount.sh(&script);
        mount.settled(|| mount.path(".vault/last-error").exists());
        assert!(mount.read(".vault/last-error").contains(&format!("{path}: its text of")), "{script}");
        assert_eq!((mount.read(&path), mount.vault.state()), (before.clone(), state), "{script}");
    }
    let other = path_of("mem_only_touched_01", Tier::LongTerm);
    mount.sh(&format!("touch {other}"));
    mount.settled(|| !mount.path(&other).exists());
    assert!(mount.read(".vault/last-error").contains("closed without a text"));
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
    refused("chmod", libc::EPERM, fs::set_permissions(at("README.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o600)));
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

/// Random numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// A bad text for a memory of this id, and what is wrong with it.
fn bad_text(numbers: &mut Numbers, id: &str, n: usize) -> (Vec<u8>, &'static str) {
    let good = sample::value(&memory_text(id, "good"));
    let with = |field: &str, value: Option<Value>| {
        let mut bad = good.clone();
        let (parent, name) = field.split_once('.').map_or((None, field), |(parent, name)| (Some(parent), name));
        let mut map = bad.as_object_mut().unwrap();
        if let Some(parent) = parent {
            map = map.get_mut(parent).and_then(Value::as_object_mut).unwrap();
        }
        match value {
            Some(value) => drop(map.insert(name.to_owned(), value)),
            None => drop(map.remove(name)),
        }
        mirrordna::storage::record_file(&bad)
    };
    let wrong = || [Value::Null, 7_i64.into(), true.into(), "".into(), Value::Array(Vec::new())];
    let fields =
        ["memory_id", "source", "source.session_id", "source.timestamp", "source.agent_id", "source.user_id"];
    match n % 12 {
        0 | 1 => (with(fields[numbers.below(6)], None), "a field is missing"),
        2 | 3 => (with(fields[numbers.below(6)], Some(wrong()[numbers.below(5)].clone())), "a field is of another type"),
        4 => (with("content", Some(wrong()[numbers.below(4)].clone())), "empty or no content"),
        5 => (with(&format!("unknown{}", numbers.below(99)), Some("x".into())), "an unknown field"),
        6 => (with("metadata", Some(sample::value(r#"{"relevance_score": 7}"#))), "a number out of range"),
        7 => (with("memory_id", Some(format!("mem_of_another_{:06}", numbers.below(999_999)).into())), "another id"),
        8 => {
            let mut text = memory_text(id, "good").into_bytes();
            // Inside of the text, where it is in no string.
            text.insert(1, b"]x,:\xff\x01"[numbers.below(6)]);
            (text, "no JSON")
        }
        9 => ((memory_text(id, "good") + ["x", "{}", "]", "1"][numbers.below(4)]).into_bytes(), "something behind it"),
        10 => {
            let text = ["[]", "7", "\"text\"", "null", "true", "NaN", "[[[1]]]"][numbers.below(7)];
            (text.as_bytes().to_vec(), "no object")
        }
        _ => (with("source.timestamp", Some("yesterday".into())), "no time"),
    }
}

/// Bad records, 1,500 of them: each is refused with the right number, by closing, syncing or renaming, nothing changes, and
/// the reason can be read.
#[test]
fn bad_records_are_refused() {
    let mount = Mount::new(|vault| {
        sample::fill(vault);
        let there = sample::value(&memory_text("mem_that_is_there_01", "there"));
        let mut there = there.as_object().unwrap().clone();
        there.insert("tier".into(), "long_term".into());
        vault.put(Kind::Memory, there.into()).unwrap();
    });
    mount.vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() }).unwrap();
    let state = mount.vault.state();
    let listing = mount.sh("ls -R memories");
    let there = mount.read(&path_of("mem_that_is_there_01", Tier::LongTerm));
    let mut numbers = Numbers(7);
    let mut reasons = std::collections::BTreeSet::new();
    for n in 0..1_500 {
        let id = if n % 3 == 0 { "mem_that_is_there_01" } else { "mem_that_is_not_there" };
        let (text, what) = bad_text(&mut numbers, id, n);
        let path = path_of(id, Tier::LongTerm);
        let what = format!("{n}: {what}: {}", String::from_utf8_lossy(&text));
        let refused = match n % 5 {
            0 | 1 => write(&mount, &path, &text),
            2 => {
                let mut file = File::create(mount.path(&path)).unwrap();
                file.write_all(&text).unwrap();
                let synced = file.sync_data();
                assert!(close(file).is_err(), "{what}");
                synced
            }
            _ => {
                let scratch = mount.path("memories/long_term/.scratch");
                fs::write(&scratch, &text).unwrap();
                let renamed = fs::rename(&scratch, mount.path(&path));
                fs::remove_file(&scratch).unwrap();
                renamed
            }
        };
        let error = refused.expect_err(&what);
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{what}: {error}");
        let reason = mount.read(".vault/last-error");
        assert!(reason.contains(&format!(" {path}: ")), "{what}: {reason}");
        reasons.insert(reason.split_once(": ").unwrap().1.to_owned());
        if n % 3 == 0 {
            assert_eq!(mount.read(&path), there, "{what}");
        } else {
            assert!(!mount.path(&path).exists(), "{what}");
        }
        assert_eq!(mount.vault.state(), state, "{what}");
    }
    assert!(reasons.len() > 50, "the reasons are different ones: {reasons:#?}");
    let identity = format!("identities/{}.json", sample::AGENT);
    let session = mount.sh("ls sessions/*.json | head -1");
    let session = session.trim();
    let mut parent = sample::value(&mount.read(session));
    parent.as_object_mut().unwrap().insert("parent_session_id".into(), "sess_that_is_missing".into());
    let parent = String::from_utf8(mirrordna::storage::record_file(&parent)).unwrap();
    let cases = [
        (identity.as_str(), mount.read(&identity).replace("AAAA=", "AAAE="), libc::EPERM, "public key may not change"),
        (session, parent, libc::EINVAL, "sess_that_is_missing"),
        ("citations/mc_0123456789abcdef.json", mount.read("citations/mc_0123456789abcdef.json").replace("1.0.0", "1.0.1"),
            libc::EINVAL, "checksum"),
        ("memories/short_term/mem_that_is_there_01.json", there.clone(), libc::EEXIST, "the id is taken"),
        ("memories/long_term/notes.json", there.clone(), libc::EINVAL, "cannot be the id of a memory"),
        ("memories/mem_that_is_there_01.json", there.clone(), libc::EPERM, "short_term, long_term or episodic"),
        ("snapshots/snap_a/memories/long_term/mem_that_is_there_01.json", there.clone(), libc::EROFS, "a snapshot does not"),
        ("memories/long_term/SHA256SUMS", there.clone(), libc::EPERM, "the vault makes it"),
        ("timeline/2025-01-01.jsonl", there.clone(), libc::EPERM, "mirrordna timeline append"),
        ("new", there, libc::EPERM, "directories of their collections"),
    ];
    for (path, text, errno, reason) in cases {
        let error = write(&mount, path, text.as_bytes()).expect_err(path);
        assert_eq!(error.raw_os_error(), Some(errno), "{path}: {error}");
        let said = mount.read(".vault/last-error");
        assert!(said.contains(reason) && said.contains(path.rsplit('/').next().unwrap()), "{path}: {said}");
        assert_eq!(mount.vault.state(), state, "{path}");
    }
    assert_eq!(mount.sh("ls -R memories"), listing);
}

/// Programs that write the same record at once never mix their texts, and whoever reads it meanwhile finds one.
#[test]
fn parallel_writers_never_mix() {
    let mount = Mount::new(|_| {});
    let path = path_of(ID, Tier::ShortTerm);
    write(&mount, &path, memory_text(ID, "0").as_bytes()).unwrap();
    let (stop, read) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (1..=6)
            .map(|writer| {
                let (mount, path) = (&mount, &path);
                scope.spawn(move || {
                    for round in 0..30 {
                        let word = format!("{writer}");
                        let text = memory_text(ID, &word.repeat(1 + (round * 997 + writer * 313) % 20_000));
                        let mut file = File::create(mount.path(path)).unwrap();
                        for piece in text.as_bytes().chunks(4_096) {
                            file.write_all(piece).unwrap();
                        }
                        close(file).unwrap();
                        let own = path_of(&format!("mem_of_one_writer_{writer}"), Tier::ShortTerm);
                        write(mount, &own, memory_text(&format!("mem_of_one_writer_{writer}"), &word).as_bytes()).unwrap();
                        if round % 3 == 2 {
                            fs::remove_file(mount.path(&own)).unwrap();
                        }
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // What it reads may be of several versions, or short, as of every file that is written in place while it
                    // is read. That there is no file would be an error.
                    fs::read(mount.path(&path)).unwrap();
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let history = mount.vault.history(Kind::Memory, ID, NOW, 1_000).unwrap();
    assert_eq!(history.len(), 181);
    for past in history {
        let Past::Version(version) = past else { panic!("{past:?}") };
        let content = version.value.str_at("content").unwrap().as_bytes();
        assert!(content.iter().all(|byte| Some(byte) == content.first()), "{version:?}");
    }
    assert_eq!(mount.sh("ls memories/short_term"), format!("SHA256SUMS\n{ID}.json\n"));
    println!("{} reads beside six writers", read.into_inner());
}

/// Requests that hold a directory and calls from elsewhere that wait for the kernel do not wait for each other: creating,
/// renaming, moving and removing files beside changes, and restores, of the vault.
#[test]
fn requests_and_calls_from_elsewhere_do_not_wait_for_each_other() {
    let mount = Mount::new(|vault| {
        sample::import(vault, Kind::Memory, &sample::memories(Tier::ShortTerm, 50), false);
    });
    mount.vault.snapshots().create(NewSnapshot { id: Some("snap_a".into()), ..NewSnapshot::default() }).unwrap();
    let heard = unheard();
    thread::scope(|scope| {
        for worker in 0..8 {
            let mount = &mount;
            scope.spawn(move || {
                let id = format!("mem_of_a_request_{worker}");
                let (short, long) = (path_of(&id, Tier::ShortTerm), path_of(&id, Tier::LongTerm));
                for round in 0..60 {
                    let text = memory_text(&id, &format!("{round}"));
                    // A restore may take it away at any moment, so each may find nothing.
                    let _ = write(mount, &short, text.as_bytes());
                    let _ = fs::rename(mount.path(&short), mount.path(&long));
                    let scratch = mount.path(&format!("memories/short_term/.new{worker}"));
                    fs::write(&scratch, &text).unwrap();
                    if fs::rename(&scratch, mount.path(&long)).is_err() {
                        fs::remove_file(&scratch).unwrap();
                    }
                    let _ = fs::read(mount.path(&long));
                    let _ = fs::remove_file(mount.path(&long));
                }
            });
        }
        for _ in 0..2 {
            let mount = &mount;
            scope.spawn(move || {
                let session = "sess_0123456789ab";
                for round in 0..100 {
                    let id = sample::memory(&mount.vault, session, Tier::ShortTerm, "from elsewhere".into()).id;
                    let update = MemoryUpdate { content: Some("changed".into()), metadata: None };
                    let _ = mount.vault.memories().update(&id, &update);
                    let _ = mount.vault.memories().promote(&id, Tier::LongTerm);
                    if let Ok(text) = fs::read_to_string(mount.path(&path_of(&id, Tier::LongTerm))) {
                        assert!(text.contains("changed"), "{text}");
                    }
                    let _ = mount.vault.delete(Kind::Memory, &id);
                    assert!(!mount.path(&path_of(&id, Tier::LongTerm)).exists());
                    if round % 25 == 24 {
                        mount.vault.snapshots().restore("snap_a").unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(unheard(), heard, "nobody lost patience with the kernel");
    mount.sh("find . -name SHA256SUMS -execdir sha256sum -c --quiet {} ';'");
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
    let mut file = OpenOptions::new().write(true).truncate(true).custom_flags(libc::O_CLOEXEC).open(mount.path(&path)).unwrap();
    file.write_all(memory_text(ID, "synced").as_bytes()).unwrap();
    file.sync_data().unwrap();
    let state = vault.state();
    assert_eq!(state.durable, state.sequence);
    assert_eq!(content(&mount, ID).as_deref(), Some("synced"));
    write(&mount, &path, memory_text(ID, "again").as_bytes()).unwrap();
    File::open(mount.path("memories/long_term")).unwrap().sync_all().unwrap();
    assert_eq!(vault.state().durable, vault.state().sequence);
}
