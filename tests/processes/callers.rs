//! Who calls: other users, hostile bytes, long paths, sockets that nobody listens on, and the same process twice.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use mirrordna::record::Checksum;
use mirrordna::storage::{Ownership, StorageError};
use mirrordna::{Vault, verify};

use crate::child::Child;
use crate::support::{Bed, contents, frame, greeting, options, refusal, write};

/// Two handles of one process are as good as two processes.
#[test]
fn a_process_may_open_a_vault_twice() {
    let bed = Bed::new();
    let (one, other) = (bed.open(), bed.open());
    write(one.storage(), "mem_000000000001", "a").unwrap();
    write(other.storage(), "mem_000000000001", "b").unwrap();
    for vault in [&one, &other] {
        assert_eq!(contents(vault.storage(), "mem_000000000001"), ["b", "a"]);
        assert_eq!(vault.state(), one.state());
        assert_eq!(vault.storage().root(1).unwrap(), one.storage().root(1).unwrap());
    }
    drop(one);
    write(other.storage(), "mem_000000000001", "c").unwrap();
    assert_eq!(contents(other.storage(), "mem_000000000001").len(), 3);
}

/// Long listings come page by page, and large records whole.
#[test]
fn large_results_come_as_they_are() {
    let bed = Bed::new();
    let (owner, client) = (bed.open(), bed.open());
    let large = "x".repeat(3 << 20);
    for n in 0..6 {
        write(client.storage(), "mem_0000000large", &format!("{n}{large}")).unwrap();
    }
    for n in 0..9_000 {
        write(owner.storage(), &format!("mem_{n:012}"), "a").unwrap();
    }
    let (here, there) = (owner.storage(), client.storage());
    assert_eq!(here.log(1, usize::MAX).unwrap(), there.log(1, usize::MAX).unwrap());
    assert_eq!(here.log(3, 4_097).unwrap(), there.log(3, 4_097).unwrap());
    let kind = mirrordna::record::Kind::Memory;
    assert_eq!(
        here.heads(kind, Some("mem_000000000007"), 5_000).unwrap(),
        there.heads(kind, Some("mem_000000000007"), 5_000).unwrap()
    );
    assert_eq!(
        here.history(kind, "mem_0000000large", 6, 9).unwrap(),
        there.history(kind, "mem_0000000large", 6, 9).unwrap()
    );
    let all = mirrordna::storage::Selection::all(kind);
    assert_eq!(here.select(&all, None, usize::MAX).unwrap(), there.select(&all, None, usize::MAX).unwrap());
    let clean = verify::verify(&bed.vault(), &options(), &mut |_, _| {}).unwrap();
    assert_eq!(clean, verify::verify_storage(here, &mut |_, _| {}).unwrap());
    assert_eq!(clean.versions, 9_006);
}

#[test]
fn a_repair_must_be_alone() {
    let bed = Bed::new();
    let _held = bed.open();
    let impatient = mirrordna::VaultOptions { lock_timeout: std::time::Duration::ZERO, ..options() };
    let refused = verify::repair(&bed.vault(), &impatient, &mut |_, _| {});
    assert!(matches!(refused, Err(mirrordna::Error::Storage(StorageError::Locked { .. }))), "{refused:?}");
}

/// Bytes on the socket that are none of ours end their connection, and nothing else.
#[test]
fn hostile_bytes_harm_nobody() {
    let bed = Bed::new();
    let owner = Child::open(&bed.vault());
    let vault = bed.open();
    write(vault.storage(), "mem_000000000001", "a").unwrap();
    let socket = bed.vault().join("SOCKET");
    let greeting = |protocol| greeting(&vault, protocol);
    // What follows a greeting, or stands in its place.
    let mut noise = Checksum::of(b"noise").0.to_vec();
    for _ in 0..300 {
        let mut caller = UnixStream::connect(&socket).unwrap();
        noise = Checksum::of(&noise).0.iter().chain(&noise).take(500).copied().collect();
        let (kind, at) = (noise[0] % 5, usize::from(noise[1]));
        let sent = match kind {
            0 => noise.clone(),
            1 => [greeting(3), noise.clone()].concat(),
            2 => [greeting(3), frame(&noise)].concat(),
            // A request that announces more than a lifetime of bytes.
            3 => [greeting(3), vec![0xff; 7]].concat(),
            _ => {
                let mut request = [greeting(3), frame(&[&[1, 0xff, 0xff, 0xff, 0x7f], &noise[..]].concat())].concat();
                let at = at % request.len();
                request[at] ^= noise[2];
                request
            }
        };
        let _ = caller.write_all(&sent);
        let _ = caller.shutdown(Shutdown::Write);
        let mut answered = Vec::new();
        let _ = caller.read_to_end(&mut answered);
        assert!(answered.len() < 10_000);
    }
    // Another version is told which one is spoken here.
    let mut caller = UnixStream::connect(&socket).unwrap();
    caller.write_all(&greeting(9)).unwrap();
    let mut answered = Vec::new();
    caller.read_to_end(&mut answered).unwrap();
    assert_eq!(answered[8..20], *b"MDNASOCK\x03\0\x01\x01");
    assert_eq!(contents(vault.storage(), "mem_000000000001"), ["a"]);
    assert_eq!(bed.owner(), owner.id(), "it lives");
    owner.end();
    drop(vault);
    bed.assert_clean();
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Even where the modes of files would let another user in, the owner does not answer it.
#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT TESTED: only root can be somebody else");
        return;
    }
    let bed = Bed::new();
    let vault = bed.open();
    write(vault.storage(), "mem_000000000001", "a").unwrap();
    let program = bed.path("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [bed.path(""), bed.vault(), program.clone()] {
        open_to_all(&path, 0o777);
    }
    for file in ["VAULT", "HEAD.0", "HEAD.1", "LOCK", "SOCKET"] {
        open_to_all(&bed.vault().join(file), 0o666);
    }
    let said = Child::as_user(&bed.vault(), &program, 65_534);
    assert!(said.contains("refused: ") && said.contains("it runs as another user"), "{said}");
    assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
    // And with the modes that a vault has, nobody else gets as far as that.
    open_to_all(&bed.vault().join("SOCKET"), 0o600);
    let said = Child::as_user(&bed.vault(), &program, 65_534);
    assert!(said.contains("refused: ") && said.contains("it lets nobody else call"), "{said}");
}

/// A path may be longer than the address of a socket.
#[test]
fn long_paths_are_no_matter() {
    let dir = tempfile::tempdir().unwrap();
    let path = (0..4).fold(dir.path().to_owned(), |path, _| path.join("long".repeat(20)));
    fs::create_dir_all(&path).unwrap();
    let vault = Vault::create(&path.join("vault"), &options()).unwrap();
    let mut child = Child::open(&path.join("vault"));
    assert!(child.ask("write mem_000000000001 a").starts_with("wrote"));
    assert_eq!(contents(vault.storage(), "mem_000000000001"), ["a"]);
    drop(vault);
    assert!(child.ask("write mem_000000000001 b").starts_with("wrote"));
    child.end();
    assert!(!path.join("vault/SOCKET").exists());
}

/// A socket that a killed process left is taken for what it is, and one that something else listens on is not believed.
#[test]
fn sockets_that_are_not_ours() {
    let bed = Bed::new();
    let child = Child::open(&bed.vault());
    child.kill();
    assert!(bed.vault().join("SOCKET").exists());
    let vault = bed.open();
    assert_eq!(bed.open().id(), vault.id());
    drop(vault);
    // Held by a process of before there were sockets, as it were.
    let lock = fs::File::options().read(true).write(true).open(bed.vault().join("LOCK")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(refusal(&bed.vault(), Ownership::Any), StorageError::Locked { .. }));
    let listener = std::os::unix::net::UnixListener::bind(bed.vault().join("SOCKET")).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            held.push(stream);
        }
    });
    let StorageError::Locked { holder, .. } = refusal(&bed.vault(), Ownership::Any) else { panic!() };
    assert!(holder.contains("no vault"), "{holder}");
}

/// What a call costs in the process that owns the vault, and in another one: for the reader of the output.
#[test]
fn what_a_call_costs() {
    let bed = Bed::new();
    let count = 2_000_u32;
    let opening = std::time::Instant::now();
    (0..20).for_each(|_| drop(bed.open()));
    println!("opening and closing: {:?}", opening.elapsed() / 20);
    let (owner, client) = (bed.open(), bed.open());
    for (who, vault) in [("the owner", &owner), ("another process", &client)] {
        let begun = std::time::Instant::now();
        for n in 0..count {
            write(vault.storage(), &format!("mem_{n:012}"), "a").unwrap();
        }
        let writing = begun.elapsed() / count;
        let begun = std::time::Instant::now();
        for n in 0..count {
            vault.get(mirrordna::record::Kind::Memory, &format!("mem_{n:012}")).unwrap();
        }
        println!("{who}: a buffered commit {writing:?}, a read {:?}", begun.elapsed() / count);
        assert_eq!(contents(vault.storage(), "mem_000000000000")[0], "a");
    }
}
