//! Programs that people use, at work inside `artifacts/`.

use std::path::Path;

use mirrordna_mount::MountOptions;

use crate::support::{Mount, has};

fn files() -> Mount {
    Mount::with(MountOptions::default(), |_| {})
}

/// Mounts over two connections and over one.
fn mounts() -> [Mount; 2] {
    [false, true].map(|one_connection| Mount::with(MountOptions { one_connection, ..MountOptions::default() }, |_| {}))
}

/// `git clone` of a repository with history, `git gc`, `git fsck`, and work in the clone.
#[test]
fn git_clones_packs_and_checks() {
    if !has("git") {
        return;
    }
    let script = r#"
        export HOME=$PWD GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b
        git init -q -b main origin; cd origin
        for n in $(seq 40); do
            mkdir -p dir$((n % 7)); seq "$n" $((n * 37)) >"dir$((n % 7))/file$n"; echo "$n" >>all; git add -A
            git commit -qm "commit $n"; [ $((n % 10)) -ne 0 ] || git tag "v$n"
        done
        git checkout -q -b side v20; echo side >side; git add side; git commit -qm side; git checkout -q main
        git merge -q -m merge side
        cd ..; git clone -q origin clone; cd clone
        test "$(git rev-list --count HEAD)" = 42; git status --porcelain; git gc -q --aggressive; git fsck --strict 2>&1
        git log --oneline | wc -l; echo more >>all; git commit -qam more; git push -q origin HEAD:refs/heads/pushed
        git -C ../origin rev-parse -q --verify pushed >/dev/null; git stash list; git -C ../origin fsck 2>&1"#;
    for files in mounts() {
        assert_eq!(files.sh(&format!("cd artifacts; {script}")), "42\n");
    }
}

/// `cargo build` of a small crate, which runs from there.
#[test]
fn cargo_builds_and_the_program_runs() {
    if !has("cargo") {
        return;
    }
    let script = r#"
        export CARGO_TARGET_DIR=$PWD/target
        cargo new -q --vcs none small; cd small
        echo 'fn main() { println!("{}", (1..=10).product::<u64>()); }' >src/main.rs
        cargo build -q --offline; cargo build -q --offline; ../target/debug/small
        sed -i s/10/5/ src/main.rs; cargo run -q --offline"#;
    assert_eq!(files().sh(&format!("cd artifacts; {script}")), "3628800\n120\n");
}

/// A database of `SQLite` in WAL mode with two processes that write and one that reads.
#[test]
fn sqlite_keeps_its_integrity_with_two_writers() {
    if !has("python3") {
        return;
    }
    let script = r#"
cat >write.py <<'PY'
import sqlite3, sys
db = sqlite3.connect("db", timeout=100, isolation_level=None)
db.execute("PRAGMA synchronous=FULL")
for step in range(100):
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t(who, step, body) VALUES(?, ?, ?)", (sys.argv[1], step, "x" * (step * 37 % 5000)))
    db.execute("UPDATE count SET n = n + 1")
    db.execute("COMMIT")
    seen = db.execute("SELECT n FROM count").fetchone()[0]
    assert seen >= step + 1, seen
PY
python3 - <<'PY'
import sqlite3
db = sqlite3.connect("db")
assert db.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal"
db.execute("CREATE TABLE t(who, step, body)"); db.execute("CREATE TABLE count(n)"); db.execute("INSERT INTO count VALUES(0)")
db.commit()
PY
python3 write.py a & one=$!
python3 write.py b & two=$!
wait $one; wait $two
python3 - <<'PY'
import sqlite3
db = sqlite3.connect("db")
print(db.execute("PRAGMA integrity_check").fetchone()[0], db.execute("SELECT n FROM count").fetchone()[0],
      db.execute("SELECT count(*), count(DISTINCT who || step) FROM t").fetchone())
PY"#;
    for files in mounts() {
        assert_eq!(files.sh(&format!("cd artifacts\n{script}")), "ok 200 (200, 200)\n");
    }
}

/// A tree with links, sparse files, extended attributes, odd names and times.
pub(crate) const TREE: &str = r#"
    mkdir -p tree/sub/$'line\nbreak' "tree/ blank " tree/empty; cd tree
    echo one >sub/one; ln sub/one hard; ln -s sub/one soft; ln -s /nowhere dangling; mkfifo pipe
    truncate -s 100M sparse; printf middle | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
    head -c 3000000 /dev/urandom >random; : >nothing; echo x >$'tab\tand\\backslash'; echo x >-dash; echo x >$'\xff\xfe'
    printf 'long %.0s' $(seq 50) >"$(printf 'n%.0s' $(seq 255))"
    setfattr -n user.color -v blue sub/one; setfattr -n user.binary -v 0x0001ff random; setfattr -n user.on.dir -v d sub
    chmod 1777 empty; chmod 4755 random; chmod 000 nothing; chown 1:2 nothing
    # rsync leaves a time that differs by less than a second.
    find . -exec touch -h -d '2020-02-02 02:02:02.222222222 UTC' {} +
    touch -h -d '2001-02-03 04:05:06.789 UTC' soft; touch -d '1960-01-01 00:00:00.5 UTC' sub/one; touch -d 2040-01-01 sub
    cd ..; "#;

/// Everything that can be said of a tree.
pub(crate) const SAY: &str = r#"say() { (cd "$1"; find . -printf '%P %y %m %U %G %n %s %T@ %l\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; getfattr -R -P -d -m - . 2>/dev/null | LC_ALL=C sort); }
    # Directories count their entries in different ways.
    same() { diff <(say "$1" | sed -E 's/^(.* d [0-7]+ [0-9]+ [0-9]+ [0-9]+) [0-9]+ /\1 /') \
        <(say "$2" | sed -E 's/^(.* d [0-7]+ [0-9]+ [0-9]+ [0-9]+) [0-9]+ /\1 /'); }
    "#;

/// `rsync -aHAX` there and back: the same, and nothing left to be copied.
#[test]
fn rsync_there_and_back_is_equal() {
    if !has("rsync") || !has("setfattr") {
        return;
    }
    let away = tempfile::tempdir().unwrap();
    let out = away.path().display();
    let script = format!(
        r#"{SAY} files=$PWD/artifacts; cd {out}; {TREE}
        rsync -aHX --sparse tree/ "$files/copy/"; same tree "$files/copy"
        rsync -aHAX "$files/copy/" back/ ; same tree back
        rsync -aHAXn --itemize-changes back/ "$files/copy/"; rsync -aHAXnc --itemize-changes "$files/copy/" back/
        test "$(stat -c %b "$files/copy/sparse")" -lt 2000"#
    );
    for files in mounts() {
        assert_eq!(files.sh(&script), "");
        empty(away.path());
    }
}

/// `tar` of a tree out of `artifacts/` and into it: the same.
#[test]
fn tar_out_and_in_is_equal() {
    if !has("setfattr") {
        return;
    }
    let away = tempfile::tempdir().unwrap();
    let out = away.path().display();
    let script = format!(
        r#"{SAY} cd artifacts; {TREE}
        tar --xattrs --xattrs-include='*' --sparse --format=posix -cf {out}/archive.tar -C tree .
        test "$(stat -c %s {out}/archive.tar)" -lt 20000000
        mkdir inside {out}/outside
        tar --xattrs --xattrs-include='*' --same-owner -p -xf {out}/archive.tar -C inside --warning=no-timestamp; same tree inside
        tar --xattrs --xattrs-include='*' --same-owner -p -xf {out}/archive.tar -C {out}/outside --warning=no-timestamp; same tree {out}/outside
        test "$(stat -c %b inside/sparse)" -lt 2000"#
    );
    for files in mounts() {
        assert_eq!(files.sh(&script), "");
        empty(away.path());
    }
}

fn empty(dir: &Path) {
    std::fs::remove_dir_all(dir).unwrap();
    std::fs::create_dir(dir).unwrap();
}

/// Programs that map files, lock them and append to them from several processes.
#[test]
fn locks_and_appends_are_atomic() {
    let script = r#"
        echo 0 >number
        add() { for _ in $(seq 25); do flock number sh -c 'n=$(cat number); echo $((n + 1)) >number'; echo "$1" >>log; done; }
        for who in a b c d; do add $who & done; wait
        cat number; sort log | uniq -c | awk '{print $1 $2}' | tr '\n' ' '"#;
    for files in mounts() {
        assert_eq!(files.sh(&format!("cd artifacts; {script}")), "100\n25a 25b 25c 25d ");
    }
}
