#!/usr/bin/env python3
"""Times plain file work in each folder given as NAME=DIR, round robin, and prints operations or megabytes a second.

Called by bench-mount.sh. The first folder is the native file system, the last one ours, those between are the peers. Figures
are medians over the rounds; caches are dropped before what is called cold, where the kernel lets us.
"""
import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import time

FSYNCS = 200
RANDOM_WRITES = 2000
MB = 1 << 20


def drop_caches():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as knob:
            knob.write("3\n")
    except OSError:
        pass


def seconds(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def run(*command, cwd=None):
    subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def write(path, body, sync=False):
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.write(file, body)
    if sync:
        os.fsync(file)
    os.close(file)


def small_files(options, folder, names, bodies, more, room):
    """Rows of many small files; `names` are made first, `more` with fsync."""
    count, rows = len(names), {}

    def create():
        for name, body in zip(names, bodies):
            write(name, body)

    def read():
        for name in names:
            file = os.open(name, os.O_RDONLY)
            os.read(file, room)
            os.close(file)

    def open_stat_read():
        for name in names:
            with open(name, "rb", buffering=0) as file:
                file.read()

    def create_synced():
        for name, body in zip(more, bodies[count:]):
            write(name, body, sync=True)

    rows["create"] = count / seconds(create)
    drop_caches()
    rows["readdir cold"] = count / seconds(lambda: sum(1 for _ in os.scandir(folder)))
    drop_caches()
    rows["ls -l cold"] = count / seconds(lambda: run("ls", "-l", folder))
    rows["ls -l warm"] = count / seconds(lambda: run("ls", "-l", folder))
    rows["find warm"] = count / seconds(lambda: run("find", folder, "-size", "+1M"))
    drop_caches()
    rows["ls -lR cold"] = count / seconds(lambda: run("ls", "-lR", folder))
    drop_caches()
    rows["read cold"] = count / seconds(read)
    read()
    rows["read warm"] = count / seconds(read)
    open_stat_read()
    rows["open, fstat, read warm"] = count / seconds(open_stat_read)
    rows["create and fsync"] = len(more) / seconds(create_synced)
    return rows, create


def of_files(options, folder):
    work = os.path.join(folder, "bench")
    os.mkdir(work)
    half = options.size // 2
    body = os.urandom(half) + b"x" * (options.size - half)
    names = [f"{work}/f{number:06d}.json" for number in range(options.files)]
    more = [f"{work}/s{number}" for number in range(FSYNCS)]
    rows, _ = small_files(options, work, names, [body] * (options.files + FSYNCS), more, options.size + 1)
    rows["rename"] = options.files / seconds(lambda: [os.rename(name, name + "r") for name in names])
    rows["unlink"] = options.files / seconds(lambda: [os.unlink(name + "r") for name in names])
    rows.update(of_large_file(options, work, body))
    shutil.rmtree(work)
    return rows


def of_large_file(options, work, body):
    path, chunk, rows = f"{work}/big", os.urandom(MB), {}

    def write_all():
        file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
        for _ in range(options.big):
            os.write(file, chunk)
        os.fsync(file)
        os.close(file)

    def read_all():
        with open(path, "rb", buffering=0) as file:
            while file.read(MB):
                pass

    def write_anywhere():
        places = random.Random(7)
        file = os.open(path, os.O_RDWR)
        block = body[:4096].ljust(4096, b"y")
        for _ in range(RANDOM_WRITES):
            os.pwrite(file, block, places.randrange(0, options.big * 256) * 4096)
        os.fsync(file)
        os.close(file)

    rows["write 1 MiB, MB/s"] = options.big / seconds(write_all)
    drop_caches()
    rows["read 1 MiB cold, MB/s"] = options.big / seconds(read_all)
    rows["read 1 MiB warm, MB/s"] = options.big / seconds(read_all)
    rows["write 4 KiB anywhere"] = RANDOM_WRITES / seconds(write_anywhere)
    return rows


def of_records(options, folder):
    with open(options.template) as file:
        template = json.load(file)
    ids = [f"mem_bench_{number:012d}" for number in range(options.files + FSYNCS)]
    bodies = [json.dumps(dict(template, memory_id=id)).encode() for id in ids]
    paths = [f"{folder}/{id}.json" for id in ids]
    names, more = paths[: options.files], paths[options.files :]
    rows, create = small_files(options, folder, names, bodies, more, 4 * len(bodies[0]))
    rows["overwrite"] = options.files / seconds(create)
    rows["unlink"] = len(paths) / seconds(lambda: [os.unlink(path) for path in paths])
    return rows


def of_programs(options, folder):
    """Whole programs: how many times a minute each could be done."""
    work, rows = os.path.join(folder, "programs"), {}
    os.mkdir(work)
    source, clone = f"{work}/source", f"{work}/clone"
    os.mkdir(source)
    per_minute = lambda work: 60 / seconds(work)
    git = lambda *command, cwd=source: run("git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "user.name=B", "-c", "user.email=b@b", *command, cwd=cwd)
    rows["untar, a minute"] = per_minute(lambda: run("tar", "-xf", options.archive, "-C", source))
    drop_caches()
    rows["find cold, a minute"] = per_minute(lambda: run("find", source, "-size", "+10M"))
    git("init", "-q")
    rows["git add, commit, a minute"] = per_minute(lambda: (git("add", "-A"), git("commit", "-qm", "all")))
    # gocryptfs gives the two names of a hard link different inode numbers, which git takes for a damaged copy.
    rows["git clone, a minute"] = per_minute(lambda: git("clone", "-q", "--no-hardlinks", source, clone))
    git("status", cwd=clone)
    rows["git status warm, a minute"] = per_minute(lambda: git("status", cwd=clone))
    drop_caches()
    rows["git status cold, a minute"] = per_minute(lambda: git("status", cwd=clone))
    rows["rm -r, a minute"] = per_minute(lambda: run("rm", "-r", source))
    rows.update(of_fio(options, work))
    shutil.rmtree(work)
    return rows


def of_fio(options, work):
    rows = {}
    for jobs in (1, 8):
        for kind in ("randread", "randwrite", "read", "write"):
            block = "4k" if kind.startswith("rand") else "1M"
            size = max(options.big // jobs, 1)
            command = ["fio", "--name=f", f"--directory={work}", f"--rw={kind}", f"--bs={block}", f"--size={size}M",
                       f"--numjobs={jobs}", "--runtime=5", "--group_reporting", "--output-format=json", "--end_fsync=1"]
            done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["jobs"][0]
            side = done["read" if "read" in kind else "write"]
            unit, value = ("IOPS", side["iops"]) if block == "4k" else ("MB/s", side["bw_bytes"] / MB)
            rows[f"fio {kind} {jobs}, {unit}"] = value
    return rows


def archive(options, where):
    """An archive of sources, made from what lies here."""
    root = os.environ.get("BENCH_TREE")
    if not root:
        registry = os.path.expanduser("~/.cargo/registry/src")
        root = next((entry.path for entry in os.scandir(registry) if entry.is_dir()), None)
    if not root:
        sys.exit("no sources found in ~/.cargo/registry/src: say which folder to take with BENCH_TREE")
    path, size = os.path.join(where, "sources.tar"), 0
    with tarfile.open(path, "w") as tar:
        for name in sorted(os.listdir(root)):
            if size > 100 * MB or (size > 20 * MB and options.quick):
                break
            tar.add(os.path.join(root, name), arcname=name)
            size = tar.offset
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--size", type=int, default=600)
    parser.add_argument("--big", type=int, default=256, help="MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--template", required=True)
    parser.add_argument("--tier", required=True)
    parser.add_argument("folders", nargs="+")
    options = parser.parse_args()
    folders = [folder.split("=", 1) for folder in options.folders]
    if options.record:
        folders[-1][1] = options.tier
    kinds = [of_records] if options.record else [of_files] if options.quick else [of_files, of_programs]
    if of_programs in kinds:
        options.archive = archive(options, os.path.dirname(options.template))
    results = {name: {} for name, _ in folders}
    for number in range(options.rounds):
        for name, folder in folders:
            for kind in kinds:
                print(f"round {number + 1} of {options.rounds}: {name} {kind.__name__}", file=sys.stderr)
                for row, value in kind(options, folder).items():
                    results[name].setdefault(row, []).append(value)
    tell([name for name, _ in folders], results)


def tell(names, results):
    medians = {name: {row: statistics.median(values) for row, values in results[name].items()} for name in names}
    native, ours, peers = names[0], names[-1], names[1:-1]
    heads = "".join(f"{name:>20}" for name in names)
    print(f"{'':28}{heads}{'to better peer':>17}")
    for row, base in medians[native].items():
        figures = "".join(f"{medians[name][row]:>12.0f} ({medians[name][row] / base:>5.2f})" for name in names)
        best = max(medians[name][row] for name in peers)
        print(f"{row:28}{figures}{medians[ours][row] / best:>16.2f}{'' if medians[ours][row] >= 2 * best else ' <2'}")


if __name__ == "__main__":
    main()
