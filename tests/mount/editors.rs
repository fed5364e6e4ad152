//! Editors and tools that write files: each in its own way, with temporary files, backups and renaming.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use mirrordna::record::Kind;
use mirrordna::storage::NOW;
use mirrordna::vault::{Past, Tier};
use mirrordna_mount::MountOptions;

use crate::life::Serving;
use crate::records::path_of;
use crate::sample;
use crate::support::{Mount, clear, has, sh, succeeded, vault};
use crate::texts::memory_text;

const ID: &str = "mem_that_is_edited";

/// A mount with a memory that says `before`.
fn edited() -> (Mount, String) {
    let mount = Mount::new(|vault| {
        let mut memory = sample::value(&memory_text(ID, "before"));
        memory.as_object_mut().unwrap().insert("tier".into(), "long_term".into());
        vault.put(Kind::Memory, memory).unwrap();
    });
    (mount, path_of(ID, Tier::LongTerm))
}

fn content(mount: &Mount) -> String {
    mount.vault.get(Kind::Memory, ID).unwrap().value.str_at("content").unwrap().to_owned()
}

/// The record was only ever changed, this often, never deleted and made again.
fn changed(mount: &Mount, times: usize, what: &str) {
    let history = mount.vault.history(Kind::Memory, ID, NOW, 100).unwrap();
    assert!(history.iter().all(|past| matches!(past, Past::Version(_))), "{what}: {history:?}");
    assert_eq!(history.len(), times + 1, "{what}");
}

/// A terminal that is gone with the test.
struct Terminal(String);

impl Terminal {
    fn new(dir: &Path, name: &str, command: &str) -> Self {
        let terminal = Self(format!("mirrordna-{}-{name}", std::process::id()));
        let script = format!("cd '{}' && exec {command}", dir.display());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", &script]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.args(["-L", &self.0]).args(arguments).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        tmux.output().unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        assert!(self.tmux(&arguments).status.success(), "{keys:?}");
    }

    fn shows(&self, text: &str) {
        self.wait(text, || self.screen().contains(text));
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    fn ends(&self) {
        self.wait("the end", || !self.tmux(&["has-session"]).status.success());
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(60), "waited for {what}:\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// vim in a terminal: each save makes one version, whatever it does with backups, and a bad text leaves the record as it is
/// and vim with the text.
#[test]
fn vim_saves_records() {
    if !has("vim") || !has("tmux") {
        return;
    }
    let (mount, path) = edited();
    let vim = Terminal::new(&mount.point, "vim", &format!("vim -N -u NONE -i NONE --cmd 'set backupskip=' {path}"));
    vim.shows("before");
    assert!(mount.sh("ls -A memories/long_term").contains(&format!(".{ID}.json.swp")));
    vim.keys(&[":%s/before/größer/", "Enter", ":w", "Enter"]);
    vim.shows("written");
    assert_eq!(content(&mount), "größer");
    vim.keys(&[":%s/memory_id/other/", "Enter", ":w", "Enter"]);
    vim.shows("E");
    vim.wait("the reason", || mount.path(".vault/last-error").exists());
    assert_eq!(content(&mount), "größer");
    vim.keys(&["Enter", "u", ":%s/größer/after/", "Enter", ":wq", "Enter"]);
    vim.ends();
    assert_eq!(content(&mount), "after");
    changed(&mount, 2, "vim");
    assert_eq!(mount.sh("ls -A memories/long_term"), format!("SHA256SUMS\n{ID}.json\n"));
}

/// vim with each of its ways to keep a backup.
#[test]
fn vim_keeps_backups() {
    if !has("vim") {
        return;
    }
    for (copy, backup) in [
        ("yes", "backup"),
        ("no", "backup"),
        ("auto", "backup"),
        ("yes", "nobackup"),
        ("no", "nobackup"),
        ("auto", "nobackup"),
        ("auto,breakhardlink", "backup"),
    ] {
        let what = format!("backupcopy={copy} {backup}");
        let (mount, path) = edited();
        for (n, (old, new)) in [("before", "between"), ("between", "after")].into_iter().enumerate() {
            mount.sh(&format!(
                "vim -N -u NONE -i NONE -es -c 'set backupskip= backupcopy={copy} {backup} writebackup' -c '%s/{old}/{new}/' -c 'wq' {path} </dev/null"
            ));
            assert_eq!(content(&mount), new, "{what}");
            changed(&mount, n + 1, &what);
            if backup == "backup" {
                assert!(mount.sh("ls -A memories/long_term").contains(&format!("{ID}.json~")), "{what}");
                assert!(mount.read(&format!("{path}~")).contains(old), "{what}");
            }
        }
        assert!(mount.read(&path).contains("after"), "{what}");
        assert!(!mount.path(".vault/last-error").exists(), "{what}: {}", mount.read(".vault/last-error"));
        mount.sh("cd memories/long_term && sha256sum -c --quiet SHA256SUMS");
        assert_eq!(
            mount.sh("ls -A memories/long_term | wc -l").trim(),
            if backup == "backup" { "3" } else { "2" },
            "{what}"
        );
    }
}

/// nano in a terminal, with a lock file and without, with a backup and without.
#[test]
fn nano_saves_records() {
    if !has("nano") || !has("tmux") {
        return;
    }
    for options in ["", "--backup", "--locking"] {
        let (mount, path) = edited();
        let nano = Terminal::new(&mount.point, "nano", &format!("nano --ignorercfiles {options} {path}"));
        nano.shows("before");
        nano.keys(&["C-\\"]);
        nano.shows("Search");
        nano.keys(&["before", "Enter"]);
        nano.shows("Replace with");
        nano.keys(&["after", "Enter"]);
        nano.shows("Replace this");
        nano.keys(&["a"]);
        nano.shows("after");
        nano.keys(&["C-o"]);
        nano.shows("Write");
        nano.keys(&["Enter"]);
        nano.wait("the save", || content(&mount) == "after");
        nano.keys(&["C-x"]);
        nano.ends();
        changed(&mount, 1, options);
        assert!(!mount.path(".vault/last-error").exists(), "{options}: {}", mount.read(".vault/last-error"));
        let left = mount.sh("ls -A memories/long_term");
        assert_eq!(left.contains(".json~"), options == "--backup", "{left}");
    }
}

/// `sed -i`, with and without a backup, `perl -i`, `ed`-like tools, `tee`, `jq` and `mv`, `sort -o`, `dd`, `cp`, `install` and
/// redirection.
#[test]
fn tools_of_the_shell_change_records() {
    let ways = [
        ("sed", "sed -i s/before/after/ $F"),
        ("sed with a backup", "sed -i.bak s/before/after/ $F"),
        ("jq and mv", r#"jq '.content = "after"' $F > $F.tmp && mv $F.tmp $F"#),
        (
            "jq and mv across directories",
            r#"jq '.content = "after"' $F > memories/episodic/x && mv memories/episodic/x $F"#,
        ),
        ("redirection", r#"new=$(jq -c '.content = "after"' $F); echo "$new" > $F"#),
        ("tee", r#"jq '.content = "after"' $F | cat > /tmp/tee.$$; tee $F < /tmp/tee.$$ >/dev/null; rm /tmp/tee.$$"#),
        ("cp", "sed s/before/after/ $F > /tmp/cp.$$; cp /tmp/cp.$$ $F; rm /tmp/cp.$$"),
        ("cp -p", "sed s/before/after/ $F > /tmp/cpp.$$; cp -p /tmp/cpp.$$ $F; rm /tmp/cpp.$$"),
        ("cp -a", "sed s/before/after/ $F > /tmp/cpa.$$; cp -a /tmp/cpa.$$ $F; rm /tmp/cpa.$$"),
        ("cp --backup", "sed s/before/after/ $F > /tmp/cpb.$$; cp --backup /tmp/cpb.$$ $F; rm /tmp/cpb.$$"),
        ("dd", "sed s/before/after/ $F > /tmp/dd.$$; dd if=/tmp/dd.$$ of=$F bs=13 status=none; rm /tmp/dd.$$"),
        ("perl", "perl -pi -e s/before/after/ $F"),
    ];
    for (what, script) in ways {
        let (mount, path) = edited();
        mount.sh(&format!("F={path}\n{script}"));
        assert_eq!(content(&mount), "after", "{what}");
        changed(&mount, 1, what);
        assert!(mount.read(&path).contains("after"), "{what}");
        mount.sh("cd memories/long_term && sha256sum -c --quiet SHA256SUMS");
        assert!(!mount.path(".vault/last-error").exists(), "{what}: {}", mount.read(".vault/last-error"));
    }
    // These remove the file before they write it anew, and so they do here.
    for (what, tool) in [("install", "install -m 600"), ("mv from elsewhere", "mv"), ("cp", "cp --remove-destination")]
    {
        let (mount, path) = edited();
        mount.sh(&format!("sed s/before/after/ {path} > /tmp/i.$$; {tool} /tmp/i.$$ {path}; rm -f /tmp/i.$$"));
        assert_eq!(content(&mount), "after", "{what}");
        assert_eq!(mount.vault.history(Kind::Memory, ID, NOW, 100).unwrap().len(), 3, "{what}");
    }
    let (mount, path) = edited();
    mount.sh(&format!("rm {path}; test ! -e {path}"));
    assert!(mount.vault.find(Kind::Memory, ID).unwrap().is_none());
}

/// Python: writing in place, writing and renaming, with `tempfile`, with a backup as other editors do it.
#[test]
fn python_and_other_editors_write_records() {
    let ways = [
        ("in place", "open(p, 'w').write(new)"),
        (
            "in place, synced",
            "f = open(p, 'r+'); f.seek(0); f.truncate(); f.write(new); f.flush(); os.fdatasync(f.fileno()); f.close()",
        ),
        ("write and rename", "open(p + '.tmp', 'w').write(new); os.replace(p + '.tmp', p)"),
        (
            "tempfile",
            "f = tempfile.NamedTemporaryFile('w', dir=d, delete=False); f.write(new); f.flush(); os.fsync(f.fileno()); f.close(); os.replace(f.name, p)",
        ),
        ("hidden", "t = os.path.join(d, '.' + os.path.basename(p) + '.x'); open(t, 'w').write(new); os.rename(t, p)"),
        (
            "old and new",
            "open(p + '___new___', 'w').write(new); os.rename(p, p + '___old___'); os.rename(p + '___new___', p); os.unlink(p + '___old___')",
        ),
        (
            "backup first",
            "os.rename(p, p + '.bak'); f = os.open(p, os.O_WRONLY | os.O_CREAT | os.O_EXCL); os.write(f, new.encode()); os.close(f)",
        ),
        ("copy first", "shutil.copy2(p, p + '.bak'); open(p, 'w').write(new); os.unlink(p + '.bak')"),
        (
            "mapped",
            "f = open(p, 'r+b'); f.truncate(len(new.encode())); m = mmap.mmap(f.fileno(), 0); m[:] = new.encode(); m.flush(); m.close(); f.close()",
        ),
    ];
    for (what, script) in ways {
        let (mount, path) = edited();
        mount.sh(&format!(
            "cat > /tmp/way.$$ <<'PY'\nimport os, sys, json, tempfile, shutil, mmap\np = sys.argv[1]; d = os.path.dirname(p)\nnew = open(p).read().replace('before', 'after')\n{script}\nassert json.load(open(p))['content'] == 'after'\nassert os.stat(p).st_size == len(open(p, 'rb').read())\nPY\npython3 /tmp/way.$$ {path}; rm /tmp/way.$$"
        ));
        assert_eq!(content(&mount), "after", "{what}");
        changed(&mount, 1, what);
        assert!(mount.sh("ls -A memories/long_term").lines().count() <= 3, "{what}");
    }
}

/// `rsync` and `cp -r` into a tier bring records there, and do nothing when they are there already.
#[test]
fn rsync_and_cp_bring_records() {
    let mount = Mount::new(sample::fill);
    let from = tempfile::tempdir().unwrap();
    let rsync = has("rsync");
    for n in 0..300 {
        let id = format!("mem_brought_{n:06}");
        fs::write(from.path().join(format!("{id}.json")), memory_text(&id, &format!("number {n}"))).unwrap();
    }
    let dir = from.path().display();
    let count = || mount.vault.state().sequence;
    let before = count();
    if rsync {
        mount.sh(&format!("rsync -a {dir}/ memories/episodic/"));
        assert_eq!(count(), before + 300);
        mount.sh(&format!("rsync -a --checksum --delete-after --exclude=SHA256SUMS memories/episodic/ {dir}/copy/"));
        mount.sh(&format!("rsync -a --checksum --inplace {dir}/copy/ memories/episodic/"));
        assert_eq!(count(), before + 300, "they are there already");
        mount.sh("rm memories/episodic/mem_brought_*.json");
    }
    let before = count();
    mount.sh(&format!("cp {dir}/mem_brought_*.json memories/long_term/"));
    assert_eq!(count(), before + 300);
    mount.sh("cp -a memories/long_term/mem_brought_000001.json /tmp/one.$$ && cp -a /tmp/one.$$ memories/long_term/mem_brought_000001.json && rm /tmp/one.$$");
    assert_eq!(count(), before + 300);
    mount.sh("mv memories/long_term/mem_brought_*.json memories/short_term/ && (cd memories/short_term && sha256sum -c --quiet SHA256SUMS)");
    assert_eq!(
        mount.sh("jq -r .tier memories/short_term/mem_brought_*.json | sort | uniq -c").trim(),
        "300 short_term"
    );
    mount.sh(&format!("cp -r memories/short_term {dir}/saved; rm memories/short_term/*.json; cp {dir}/saved/*.json memories/short_term/"));
    assert_eq!(mount.sh("ls memories/short_term/mem_brought_* | wc -l"), "300\n");
    assert!(!mount.path(".vault/last-error").exists(), "{}", mount.read(".vault/last-error"));
    assert_eq!(mount.sh("ls -A memories/short_term memories/episodic memories/long_term | grep '^\\.' || true"), "");
}

/// After SIGKILL of the mount, and of the editor in the middle of saving, the records are as they were, what was closed is
/// there, and scratch files are where they were.
#[test]
fn a_killed_mount_loses_no_record() {
    let (dir, vault) = vault();
    sample::fill(&vault);
    drop(vault);
    let point = dir.path().join("m");
    fs::create_dir(&point).unwrap();
    let mut serving = Serving::start(dir.path());
    let run = |script: &str| succeeded(script, &sh(&point, script));
    let path = path_of(ID, Tier::LongTerm);
    fs::write(point.join(&path), memory_text(ID, "before")).unwrap();
    // An editor that is in the middle: its backup is made, its new text not whole.
    run(&format!("cat {path} > /dev/null; mv {path} {path}~; echo swap > memories/long_term/.{ID}.json.swp"));
    assert!(!point.join(&path).exists());
    let mut open = fs::File::create(point.join(&path)).unwrap();
    std::io::Write::write_all(&mut open, b"{\"memory_id\": ").unwrap();
    let other = path_of("mem_of_the_last_second", Tier::Episodic);
    fs::write(point.join(&other), memory_text("mem_of_the_last_second", "closed")).unwrap();
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    drop(open);
    clear(&point);
    let vault = mirrordna::Vault::open(&dir.path().join("vault"), &mirrordna::VaultOptions::default()).unwrap();
    let mounted = mirrordna_mount::mount(vault.clone(), &point, &MountOptions::default()).unwrap();
    assert!(fs::read_to_string(point.join(&path)).unwrap().contains("before"));
    assert!(fs::read_to_string(point.join(&other)).unwrap().contains("closed"));
    assert!(fs::read_to_string(point.join(format!("{path}~"))).unwrap().contains("before"));
    assert_eq!(fs::read_to_string(point.join(format!("memories/long_term/.{ID}.json.swp"))).unwrap(), "swap\n");
    run(&format!("rm {path}~ memories/long_term/.{ID}.json.swp; jq -e . {path} >/dev/null"));
    mounted.unmount().unwrap();
    assert!(mirrordna::verify::verify_storage(vault.storage(), &mut |_, _| {}).unwrap().is_clean());
}
