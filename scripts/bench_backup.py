#!/usr/bin/env python3
"""What backups cost beside restic and borg: one run, one machine, the same content.

    scripts/bench_backup.py [--records N] [--mib M] [--rounds R] [--dir DIR]

The vault has N records (200,000) and M MiB of artifacts (2,048, of which a quarter compresses). The peers get the same content as
files: once one file a record, once one file of JSON lines, and the artifacts; and the artifacts alone. Prints Markdown tables, of which
each line is the median of R rounds (1): wall time, content a second, processor time, how many processors that was, peak memory, what
was written, and what a peer took in proportion. Before a verification and a restore the repository is put out of the page cache. With
--records 2000 --mib 64 it takes a minute, and says only that it works. Needs restic and borg (Debian: restic borgbackup), FUSE, and
the command: the one on PATH, or MIRRORDNA.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = os.environ.get("MIRRORDNA", "mirrordna")
WORDS = [f"word{n}" for n in range(4_000)]
SECRET = "correct horse battery staple"
MIB = 1 << 20


def record(n, version):
    chance = random.Random(n * 1_000 + version)
    return {
        "memory_id": f"mem_{n:012}_bench", "tier": "long_term", "content": " ".join(chance.choices(WORDS, k=60)),
        "source": {"session_id": "sess_import000001", "timestamp": "2025-03-01T08:00:00Z",
                   "agent_id": "mdna_agt_0123456789abcdef", "user_id": "mdna_usr_0123456789abcdef"},
        "metadata": {"tags": [f"t{n % 10}"]},
    }


def artifact(path, mib, seed):
    """1 MiB at a time; every fourth file is text."""
    chance = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(mib):
            if seed % 4 == 0:
                file.write("".join(f"{word} " for word in chance.choices(WORDS, k=150_000))[:1 << 20].encode())
            else:
                file.write(chance.randbytes(1 << 20))


# Until it runs another program, a new process has the memory of the one that made it, which counts for its peak. So a small one, of
# 10 MB, starts what is measured.
STARTER = """
import os, sys, time
tell = int(sys.argv[1])
# What goes on in the background does not keep it open.
os.set_inheritable(tell, False)
begun = time.monotonic()
child = os.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
told = (time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))
os.write(tell, " ".join(map(str, told)).encode())
"""


def run(arguments, environment=None, directory=None):
    """Wall time, processor time and peak memory of a command that must succeed."""
    told, tell = os.pipe()
    with tempfile.TemporaryFile() as said, os.fdopen(told) as told:
        starter = [sys.executable, "-I", "-S", "-c", STARTER, str(tell), *map(str, arguments)]
        subprocess.run(starter, env={**os.environ, **(environment or {})}, cwd=directory, stdout=said, stderr=said, pass_fds=[tell],
                       check=True)
        os.close(tell)
        wall, processor, peak, code = map(float, told.read().split())
        if code != 0:
            said.seek(0)
            sys.exit(f"{arguments}: {code:.0f}\n{said.read().decode(errors='replace')}")
    return wall, processor, peak


def forget(path):
    """Has the system keep nothing of these files in memory: what is verified or restored comes from the disk, for each tool."""
    for file in path.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def size(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


class Ours:
    name = "mirrordna"

    def __init__(self, place, content):
        self.repository, self.vault = place / "repository", content
        self.environment = {"MIRRORDNA_PASSPHRASE": SECRET, "MIRRORDNA_REPOSITORY": str(self.repository),
                            "MIRRORDNA_VAULT": str(self.vault)}

    def call(self, *arguments):
        return run([COMMAND, "-q", "backup", *arguments], self.environment)

    def init(self):
        self.call("init")

    def create(self):
        return self.call("create")

    def verify(self):
        return self.call("verify")

    def restore(self, to):
        return self.call("restore", "latest", "--to", str(to))


class Restic:
    name = "restic"

    def __init__(self, place, content):
        self.repository, self.content = place / "repository", content
        self.environment = {"RESTIC_PASSWORD": SECRET, "RESTIC_REPOSITORY": str(self.repository),
                            "RESTIC_CACHE_DIR": str(place / "cache")}

    def call(self, *arguments):
        return run(["restic", "-q", *arguments], self.environment, self.content)

    def init(self):
        self.call("init", "--repository-version", "2")

    def create(self):
        return self.call("backup", ".")

    def verify(self):
        return self.call("check", "--read-data")

    def restore(self, to):
        return self.call("restore", "latest", "--target", str(to))


class Borg:
    name = "borg"

    def __init__(self, place, content):
        self.repository, self.content, self.number = place / "repository", content, 0
        self.environment = {"BORG_PASSPHRASE": SECRET, "BORG_REPO": str(self.repository), "BORG_BASE_DIR": str(place / "base"),
                            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def call(self, *arguments, directory=None):
        return run(["borg", *arguments], self.environment, directory or self.content)

    def init(self):
        self.call("init", "--encryption=repokey-blake2")

    def create(self):
        self.number += 1
        return self.call("create", "--compression", "zstd,3", f"::{self.number}", ".")

    def verify(self):
        return self.call("check", "--verify-data")

    def restore(self, to):
        to.mkdir()
        return self.call("extract", f"::{self.number}", directory=to)


def measure(tool, content, change, undo, base, rounds):
    """Each step's medians, and the size of the repository."""
    steps = {step: [] for step in ("first", "unchanged", "1 % changed", "verify", "restore")}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=base) as place:
            place = Path(place)
            peer = tool(place, content)
            peer.init()

            def written(work):
                before = size(peer.repository)
                return (*work(), (size(peer.repository) - before) / MIB)

            steps["first"].append(written(peer.create))
            steps["unchanged"].append(written(peer.create))
            change()
            steps["1 % changed"].append(written(peer.create))
            forget(peer.repository)
            steps["verify"].append(written(peer.verify))
            forget(peer.repository)
            steps["restore"].append(written(lambda: peer.restore(place / "restored")))
            undo()
    return {step: [statistics.median(column) for column in zip(*rows)] for step, rows in steps.items()}


def table(title, mib, results):
    """A line for each step and tool. The last two columns say how much slower a peer is, and how much more memory it takes."""
    columns = ["step", "tool", "wall s", "MiB/s", "CPU s", "processors", "peak MiB", "written MiB", "slower", "more memory"]
    print(f"\n{title}: {mib:,.0f} MiB\n\n| {' | '.join(columns)} |\n| --- | --- |{' ---: |' * (len(columns) - 2)}")
    ours = results[Ours.name]
    for step in ours:
        for tool, steps in results.items():
            wall, processor, peak, written = steps[step]
            ratios = "| | |" if tool == Ours.name else f"| {wall / ours[step][0]:.2f} | {peak / ours[step][2]:.2f} |"
            print(f"| {step} | {tool} | {wall:.2f} | {mib / wall:.0f} | {processor:.2f} | {processor / wall:.2f} | {peak:.0f} "
                  f"| {written:.2f} {ratios}", flush=True)


def build(base, records, mib):
    """The vault, and the same as files."""
    store, single, lines, artifacts = base / "store", base / "single", base / "lines", base / "artifacts"
    for folder in (store, single / "records", lines, artifacts):
        folder.mkdir(parents=True)
    with (store / "memories.json").open("w") as whole, (lines / "memories.jsonl").open("w") as jsonl:
        whole.write("{")
        for n in range(records):
            text = json.dumps(record(n, 0))
            whole.write(("," if n else "") + f'"mem_{n:012}_bench":{text}')
            jsonl.write(text + "\n")
            (single / "records" / f"{n}.json").write_text(text)
        whole.write("}")
    for n in range(max(1, mib // 64)):
        artifact(artifacts / f"artifact{n}", min(mib, 64), n)
    for folder in (single, lines):
        os.makedirs(folder / "artifacts")
        for file in artifacts.iterdir():
            os.link(file, folder / "artifacts" / file.name)
    vaults = {}
    for name, has_records in (("whole", True), ("files", False)):
        vault, mount = base / f"vault_{name}", base / "mount"
        mount.mkdir(exist_ok=True)
        environment = {"MIRRORDNA_VAULT": str(vault)}
        run([COMMAND, "-q", "init"], environment)
        if has_records:
            run([COMMAND, "-q", "import", str(store)], environment)
        run([COMMAND, "-q", "mount", str(mount)], environment)
        try:
            for file in artifacts.iterdir():
                shutil.copyfile(file, mount / "artifacts" / file.name)
        finally:
            run([COMMAND, "-q", "umount", str(mount)], environment)
        vaults[name] = vault
    return vaults, single, lines, artifacts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--mib", type=int, default=2_048)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dir", type=Path, default=None, help="where the data lies meanwhile")
    options = parser.parse_args()
    changed = range(0, options.records, 100)
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-backup.") as base:
        base = Path(base)
        vaults, single, lines, artifacts = build(base, options.records, options.mib)
        vault, pristine = vaults["whole"], base / "pristine"
        shutil.copytree(vault, pristine, ignore=shutil.ignore_patterns("SOCKET"))

        def change_vault():
            part = base / "changed.jsonl"
            with part.open("w") as file:
                file.writelines(json.dumps(record(n, 1)) + "\n" for n in changed)
            for line in part.read_text().splitlines():
                (base / "record.json").write_text(line)
                run([COMMAND, "-q", "record", "put", "memories", str(base / "record.json")], {"MIRRORDNA_VAULT": str(vault)})

        def undo_vault():
            shutil.rmtree(vault)
            shutil.copytree(pristine, vault)

        def change_single(version=1):
            for n in changed:
                (single / "records" / f"{n}.json").write_text(json.dumps(record(n, version)))

        def change_lines(version=1):
            with (lines / "memories.jsonl").open("w") as file:
                file.writelines(json.dumps(record(n, version if n % 100 == 0 else 0)) + "\n" for n in range(options.records))

        def nothing():
            pass

        ours = measure(Ours, vault, change_vault, undo_vault, base, options.rounds)
        table("Records and artifacts; the peers have one file a record", size(lines) / MIB, {
            "mirrordna": ours,
            "restic": measure(Restic, single, change_single, lambda: change_single(0), base, options.rounds),
            "borg": measure(Borg, single, change_single, lambda: change_single(0), base, options.rounds),
        })
        table("Records and artifacts; the peers have one file of JSON lines", size(lines) / MIB, {
            "mirrordna": ours,
            "restic": measure(Restic, lines, change_lines, lambda: change_lines(0), base, options.rounds),
            "borg": measure(Borg, lines, change_lines, lambda: change_lines(0), base, options.rounds),
        })
        table("Artifacts alone; nothing changes", size(artifacts) / MIB, {
            "mirrordna": measure(Ours, vaults["files"], nothing, nothing, base, options.rounds),
            "restic": measure(Restic, artifacts, nothing, nothing, base, options.rounds),
            "borg": measure(Borg, artifacts, nothing, nothing, base, options.rounds),
        })


if __name__ == "__main__":
    main()
