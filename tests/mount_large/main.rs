//! A mounted vault with 100,000 memories, in a process of its own, whose memory is measured. It prints how long each tool
//! takes: `cargo test --release -p mirrordna-mount --test mount_large -- --nocapture`.

#[path = "../support/sample.rs"]
#[expect(unreachable_pub, reason = "shared with other tests")]
mod sample;
#[path = "../mount/support.rs"]
mod support;

use std::time::Instant;

use mirrordna::record::Kind;
use mirrordna::vault::{MemoryUpdate, NewSnapshot, Tier};

use crate::support::{Mount, has};

const MEMORIES: usize = 100_000;

/// With 100,000 memories: `sha256sum -c` passes in every directory that has a `SHA256SUMS`; `ls -f` of the tier shows all;
/// `find`, `ls -l`, `jq`, `rg` with non-ASCII text, `cp -a`, `tar`, `rsync -n` work; sizes and checksums agree with content; a
/// record changed in the mounting process shows its new content at once; snapshots' directories show the old content.
#[test]
fn a_hundred_thousand_memories() {
    let began = Instant::now();
    let mount = Mount::new(|vault| {
        sample::fill(vault);
        sample::import(vault, Kind::Memory, &sample::memories(Tier::LongTerm, MEMORIES), false);
        vault.snapshots().create(NewSnapshot { id: Some("snap_then".into()), ..NewSnapshot::default() }).unwrap();
    });
    println!("{:>8.2} s  import of {MEMORIES} and mount", began.elapsed().as_secs_f64());
    // What the import left in this process is not the mount's.
    // SAFETY: it only gives free memory back to the system.
    unsafe { libc::malloc_trim(0) };
    println!("{:>8} MB resident", resident() >> 20);
    let timed = |what: &str, script: &str| {
        let began = Instant::now();
        let out = mount.sh(script);
        println!("{:>8.2} s  {what}", began.elapsed().as_secs_f64());
        out
    };
    let tier = "memories/long_term";
    // Two of the samples lie there as well, and SHA256SUMS, `.` and `..`.
    let files = MEMORIES + 2;
    assert_eq!(timed("ls -f, cold", &format!("ls -f {tier} | wc -l")), format!("{}\n", files + 3));
    assert_eq!(timed("ls -f, warm", &format!("ls -f {tier} | wc -l")), format!("{}\n", files + 3));
    assert_eq!(timed("stat SHA256SUMS", &format!("stat -c %F {tier}/SHA256SUMS")), "regular file\n");
    assert_eq!(timed("stat SHA256SUMS again", &format!("stat -c %F {tier}/SHA256SUMS")), "regular file\n");
    mount.sh("echo 2 >/proc/sys/vm/drop_caches");
    let listed = timed("ls -l, cold", &format!("ls -l {tier}"));
    assert_eq!(listed.lines().count(), files + 2);
    let warm = timed("ls -l, warm", &format!("ls -l {tier}"));
    assert_eq!(warm, listed);
    assert_eq!(timed("find -type f", &format!("find {tier} -type f | wc -l")), format!("{}\n", files + 1));
    assert_eq!(timed("find -size +100k", &format!("find {tier} -size +100k -printf '%f\n'")), "SHA256SUMS\n");
    timed("sha256sum -c, cold", &format!("cd {tier} && sha256sum -c --strict --quiet SHA256SUMS"));
    timed("sha256sum -c, warm", &format!("cd {tier} && sha256sum -c --strict --quiet SHA256SUMS"));
    timed(
        "sha256sum -c in every other directory of the present",
        "find . -path ./snapshots/snap_then -prune -o -name SHA256SUMS ! -path '*long_term*' -execdir sha256sum -c --strict --quiet {} ';'",
    );
    if has("rg") {
        assert_eq!(
            timed("rg of non-ASCII text", &format!("rg -l 記憶の宮殿 {tier} | wc -l")),
            format!("{}\n", MEMORIES / 5)
        );
    }
    assert_eq!(
        timed("jq -r .content", &format!("find {tier} -name '*.json' -print0 | xargs -0 jq -r .content | wc -l")),
        format!("{files}\n")
    );
    assert_eq!(timed("tar", &format!("tar -cf - {tier} | tar -tf - | wc -l")), format!("{}\n", files + 2));
    if has("rsync") {
        let copied =
            timed("rsync -n", &format!("rsync -an --stats {tier}/ /nothing/there/ | grep 'regular files transferred'"));
        assert!(copied.replace(',', "").contains(&format!("{}", files + 1)), "{copied}");
    }
    let sizes = timed(
        "stat and read agree",
        &format!(
            "cd {tier} && find . -name '*7_long_term.json' -printf '%s %p\\n' | sort >/tmp/said.$$ && find . -name '*7_long_term.json' -print0 | xargs -0 wc -c | grep -v total | awk '{{print $1, $2}}' | sort | diff /tmp/said.$$ - && wc -l </tmp/said.$$; rm /tmp/said.$$"
        ),
    );
    assert!(sizes.trim().parse::<usize>().unwrap() > MEMORIES / 20);

    let changed = sample::memories(Tier::LongTerm, 1).pop().unwrap().0;
    let path = format!("{tier}/{changed}.json");
    let before = mount.read(&path);
    let began = Instant::now();
    let update = MemoryUpdate { content: Some("новое".into()), metadata: None };
    mount.vault.memories().update(&changed, &update).unwrap();
    assert!(mount.read(&path).contains("новое"));
    println!("{:>8.4} s  a change, and reading it", began.elapsed().as_secs_f64());
    let old = format!("snapshots/snap_then/{path}");
    assert_eq!(mount.read(&old), before);
    assert_eq!(
        timed("find in the snapshot", "find snapshots/snap_then/memories/long_term -type f | wc -l"),
        format!("{}\n", files + 1)
    );
    timed("stat the snapshot's file", "stat -c %s snapshots/snap_then.json");
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().display();
    timed("cp -a of the snapshot's memories", &format!("cp -a snapshots/snap_then/memories {to}/old"));
    timed("sha256sum -c of the copy", &format!("cd {to}/old/long_term && sha256sum -c --strict --quiet SHA256SUMS"));
    let differing = timed("diff -rq with the present", &format!("diff -rq {to}/old memories || true"));
    assert_eq!(differing.lines().count(), 2, "{differing}");
    mount.sh(&format!("chmod -R u+w {to}"));
    println!("{:>8} MB resident", resident() >> 20);
    let began = Instant::now();
    drop(mount);
    println!("{:>8.2} s  unmount", began.elapsed().as_secs_f64());
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
