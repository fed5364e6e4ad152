#!/usr/bin/env python3
"""Proves what backups of large vaults take: memory, processors, and what is written after little changed.

    scripts/backup_large.py [--gib N] [--records N] [--dir DIR]

The vault has N GiB of artifacts (5, a quarter of it text, one file of 1 GiB among them) and N records (200,000). Prints a line for each
step and what is wrong with it, and fails when something is: more than 300 MB of memory, more than 4 MiB written for 1 MiB changed,
more than 100 KB when nothing changed, 10 KB or more for a new passphrase, a restored vault that is another one. How busy the processors
were is printed, and decides nothing. Needs FUSE, and the command: the one on PATH, or MIRRORDNA.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_backup import COMMAND, MIB, SECRET, artifact, record, run

MEMORY = 300
PAGE = 256
failed = []


def files(place):
    """What lies there: each file with what tells whether it is the same one."""
    found = {}
    for path in place.rglob("*"):
        status = path.lstat()
        if path.is_file():
            found[path] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def step(name, work, place, at_most=None):
    """Does it, and prints what it took and how large the files are that it wrote in a place."""
    before = files(place)
    wall, processor, peak = work()
    written = sum(now[2] for path, now in files(place).items() if before.get(path) != now)
    wrong = []
    if peak >= MEMORY:
        wrong.append(f"more than {MEMORY} MiB")
    if at_most is not None and written > at_most:
        wrong.append(f"more than {at_most} bytes written")
    failed.extend(f"{name}: {what}" for what in wrong)
    print(f"{name:24}{wall:8.1f} s{processor / wall:7.2f} processors{peak:8.0f} MiB{written:16,} bytes written  {'; '.join(wrong)}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=int, default=5)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--dir", type=Path, default=None, help="where the data lies meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="backup-large.") as base:
        base = Path(base)
        vault, repository, mount, store = base / "vault", base / "repository", base / "mount", base / "store"
        mount.mkdir()
        store.mkdir()
        environment = {"MIRRORDNA_PASSPHRASE": SECRET, "MIRRORDNA_REPOSITORY": str(repository), "MIRRORDNA_VAULT": str(vault)}

        def call(*arguments, **more):
            return run([COMMAND, "-q", *arguments], {**environment, **more})

        def root(of):
            told = subprocess.run([COMMAND, "--json", "--vault", str(of), "stats"], capture_output=True, check=True)
            return json.loads(told.stdout)["root"]

        call("init")
        with (store / "memories.json").open("w") as file:
            for n in range(options.records):
                file.write(f'{"," if n else "{"}"mem_{n:012}_bench":{json.dumps(record(n, 0))}')
            file.write("}")
        call("import", str(store))
        call("mount", str(mount))
        try:
            artifact(mount / "artifacts" / "large", 1_024, 1)
            for n in range((options.gib - 1) * 4):
                artifact(mount / "artifacts" / f"file{n}", PAGE, n)
        finally:
            call("umount", str(mount))
        another = base / "another"
        another.write_text("another horse")
        call("backup", "init")
        step("first backup", lambda: call("backup", "create"), repository)
        step("nothing changed", lambda: call("backup", "create"), repository, at_most=100_000)
        call("mount", str(mount))
        try:
            with (mount / "artifacts" / "large").open("r+b") as file:
                file.seek(500 * MIB)
                file.write(os.urandom(MIB))
        finally:
            call("umount", str(mount))
        step("1 MiB of 1 GiB changed", lambda: call("backup", "create"), repository, at_most=4 * MIB)
        step("new passphrase", lambda: call("backup", "key", "passwd", "--new-passphrase-file", str(another)),
             repository, at_most=9_999)
        environment["MIRRORDNA_PASSPHRASE"] = another.read_text()
        step("verify", lambda: call("backup", "verify"), repository)
        step("restore", lambda: call("backup", "restore", "latest", "--to", str(base / "restored")), base / "restored")
        if root(vault) != root(base / "restored"):
            failed.append("restore: the vault has another root")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
