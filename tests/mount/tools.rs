//! The tools of the shell.

use mirrordna::vault::NewSnapshot;

use crate::sample;
use crate::support::{Mount, has};

/// A vault with everything and two snapshots, `snap_a` of it all and `snap_b`, between which things changed.
pub(crate) fn everything() -> Mount {
    Mount::new(|vault| {
        sample::fill(vault);
        let named = |id: &str, full| NewSnapshot { id: Some(id.into()), full, ..NewSnapshot::default() };
        vault.snapshots().create(named("snap_a", true)).unwrap();
        let session = sample::session(vault);
        sample::memory(vault, &session, mirrordna::vault::Tier::LongTerm, "neu und größer".into());
        vault.snapshots().create(named("snap_b", false)).unwrap();
    })
}

/// Every directory that has regular files has a `SHA256SUMS` with all of them, and `sha256sum -c` passes there.
#[test]
fn sha256sum_passes_in_every_directory() {
    let mount = everything();
    let checked = mount.sh(
        r#"
        find . -name SHA256SUMS -printf '%h\n' | sort | while read -r dir; do
            (cd "$dir" && sha256sum -c --strict --quiet SHA256SUMS &&
             diff <(sed 's/^[0-9a-f]*  //' SHA256SUMS | sort) <(find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | sort))
            echo "$dir"
        done"#,
    );
    assert_eq!(checked.lines().count(), 41, "{checked}");
    let without = mount.sh(
        "find . -type f ! -name SHA256SUMS -printf '%h\n' | sort -u | while read -r dir; do test -f \"$dir/SHA256SUMS\" || echo \"$dir\"; done",
    );
    assert_eq!(without, "");
}

/// `ls`, `ls -f`, `ls -l` and `find` show all files, with the sizes that they have.
#[test]
fn ls_and_find_agree_with_the_content() {
    let mount = everything();
    let script = r#"
        find . -type f | sort >/tmp/found.$$
        find . -type d | while read -r dir; do
            for name in $(ls -f "$dir"); do
                if [ -f "$dir/$name" ]; then echo "$dir/$name"; fi
            done
        done | sort | diff /tmp/found.$$ - >&2
        while read -r file; do
            said=$(stat -c %s "$file"); has=$(wc -c <"$file"); listed=$(ls -l "$file" | awk '{print $5}')
            [ "$said $listed" = "$has $has" ] || echo "$file: $said, $listed, $has" >&2
        done </tmp/found.$$
        wc -l </tmp/found.$$; rm /tmp/found.$$"#;
    // `.vault` is the vault of the moment; nothing here changes it.
    assert!(mount.sh(script).trim().parse::<u32>().unwrap() > 100);
    assert_eq!(mount.sh("ls -A"), mount.sh("find . -mindepth 1 -maxdepth 1 -printf '%f\n' | sort"));
    assert_eq!(mount.sh("stat -c '%a %U' . README.txt").trim(), "500 root\n400 root");
}

/// Record files are pretty-printed UTF-8 JSON with real characters and a final newline: `jq` reads them, and `rg` and `grep`
/// find text in any language.
#[test]
fn jq_and_rg_read_the_records() {
    let mount = everything();
    assert_eq!(mount.sh("jq -r '.content | strings' memories/*/*.json | sort").lines().count(), 6);
    assert_eq!(mount.sh("jq -r .event_type timeline/2019-03-01.jsonl"), "custom\n");
    assert_eq!(mount.sh("jq -r .snapshot_id snapshots/latest/../snap_b.json"), "snap_b\n");
    assert_eq!(mount.sh("find . -name '*.json' -print0 | xargs -0 jq -e . >/dev/null; echo all"), "all\n");
    assert_eq!(
        mount.sh("find . -name '*.json' ! -path '*/snapshots/*' -print0 | xargs -0 tail -qc1 | tr -d '\\n'"),
        ""
    );
    assert_eq!(mount.sh("grep -rl 東京 memories | wc -l"), "1\n");
    if has("rg") {
        assert_eq!(mount.sh("rg -l 東京 memories | wc -l"), "1\n");
        assert_eq!(mount.sh("rg -il 'МОСКВА' memories | wc -l"), "1\n");
        assert_eq!(mount.sh("rg -l 'Süßwasserfisch' memories snapshots | wc -l"), "3\n");
        // A single file is mapped.
        assert_eq!(mount.sh("rg -c 日記 timeline/2019-02-28.jsonl"), "2\n");
        assert_eq!(mount.sh("rg -c 'Äsche' $(grep -l 'Äsche' memories/short_term/*.json)"), "1\n");
    }
}

/// `cp -a`, `tar` and `rsync` copy the tree, and the copy is equal to it.
#[test]
fn copies_are_equal() {
    let mount = everything();
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().display();
    let check = "--exclude=.vault --no-dereference";
    mount.sh(&format!("cp -a . {to}/cp && diff -r {check} . {to}/cp"));
    assert_eq!(mount.sh(&format!("stat -c '%Y %a' memories/short_term/*.json | diff - <(cd {to}/cp; stat -c '%Y %a' memories/short_term/*.json)")), "");
    mount.sh(&format!("mkdir {to}/tar && tar -cf - . | tar -xf - -C {to}/tar && diff -r {check} . {to}/tar"));
    assert_eq!(mount.sh("readlink snapshots/latest"), "snap_b\n");
    if has("rsync") {
        mount.sh(&format!("rsync -aHX --exclude=.vault . {to}/rsync && diff -r {check} . {to}/rsync"));
        let missing = mount.sh(&format!("rsync -anHX --exclude=.vault --itemize-changes . {to}/rsync/"));
        assert_eq!(missing, "", "a copy is up to date");
        assert!(mount.sh(&format!("rsync -anv . {to}/none/")).lines().count() > 100);
    }
    // Extracted and copied directories have the modes of the mount.
    succeeds_after_chmod(copy.path());
}

fn succeeds_after_chmod(dir: &std::path::Path) {
    let output = crate::support::sh(dir, "chmod -R u+w .");
    crate::support::succeeded("chmod", &output);
}

/// What `mount.md` shows that a user does works: verify, read, search, copy a snapshot and compare it with the present.
#[test]
fn what_a_user_does_works() {
    let mount = everything();
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().display();
    mount.sh("sha256sum -c --quiet SHA256SUMS");
    assert!(mount.sh("jq -r .content memories/long_term/*.json").contains("🦀"));
    assert!(mount.sh("grep -ri 'METRIC' memories/").contains("metric units"));
    mount.sh(&format!("cp -a snapshots/snap_a {to}/old-state"));
    let differing = mount.sh("diff -rq snapshots/snap_a/memories memories || true");
    assert!(differing.contains("Only in memories/long_term") && differing.lines().count() == 2, "{differing}");
    assert_eq!(mount.sh("diff -r snapshots/snap_a/identities identities"), "");
    assert_eq!(mount.sh("diff -r snapshots/snap_b/memories memories"), "");
    succeeds_after_chmod(copy.path());
}
