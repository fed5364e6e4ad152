#!/usr/bin/env bash
# Proves that a mounted vault endures, in full: what the test suite runs for seconds (tests/endurance), and fio.
# Arguments: how often the process of the mount is killed (200), how often the power is cut (50), how many minutes several
# processes, many threads and fio work each (10), the seed (1). ENDURANCE_DIR says where the vaults are made (a temporary
# directory). Root, since the kernel is made to forget, and small file systems are mounted.
set -euo pipefail
cd "$(dirname "$0")/.."
kills="${1:-200}" cuts="${2:-50}" minutes="${3:-10}" seed="${4:-1}"
[[ $(id -u) -eq 0 ]] || { echo "the kernel is made to forget what it knows: run this as root" >&2; exit 1; }
scripts/setup.sh endurance
. scripts/env.sh
cargo build --release --quiet
mirrordna="$CARGO_TARGET_DIR/release/mirrordna"

dir=$(mktemp -d "${ENDURANCE_DIR:-${TMPDIR:-/tmp}}/endurance.XXXXXX")
cleanup() {
    "$mirrordna" --quiet umount "$dir/mnt" 2>/dev/null || true
    # What a test left that was stopped in the middle.
    findmnt --noheadings --list --output TARGET | grep "^$dir/" | tac | while read -r left; do umount -l "$left"; done || true
    rm -rf "$dir"
}
trap cleanup EXIT

echo "== $kills kills, $cuts power cuts, $minutes minutes of processes and of threads, seed $seed"
seconds=$((minutes * 60))
TMPDIR="$dir" \
    MIRRORDNA_ENDURANCE_KILLS="$kills" \
    MIRRORDNA_ENDURANCE_CUTS="$cuts" \
    MIRRORDNA_ENDURANCE_SECONDS="$seconds" \
    MIRRORDNA_ENDURANCE_SEED="$seed" \
    MIRRORDNA_ENDURANCE_FILES="${ENDURANCE_FILES:-100000}" \
    MIRRORDNA_ENDURANCE_TAKE_OVER_MS="${ENDURANCE_TAKE_OVER_MS:-1000}" \
    cargo test --release --test endurance -- --nocapture --test-threads=1 || failed=1

echo "== fio, $minutes minutes, each block verified"
mkdir "$dir/mnt"
"$mirrordna" --quiet --vault "$dir/vault" init >/dev/null
"$mirrordna" --quiet --vault "$dir/vault" --log-file "$dir/log" mount "$dir/mnt"
files="$dir/mnt/artifacts"
# The source of the mount names the process that serves it.
server=$(findmnt --noheadings --output SOURCE --target "$files" | sed 's/^mirrordna:\([0-9]*\).*/\1/')
# Its state files would be left in the checkout (verify_state_save). A third of the time each: many small files in any order, one large file mapped, large blocks in order with syncs.
job() {
    # What was overwritten is history until it is pruned, and these are tens of gigabytes: more than many disks have.
    while sleep 20; do "$mirrordna" --quiet --vault "$dir/vault" prune --keep 1 >/dev/null || touch "$dir/unpruned"; done &
    local pruner=$!
    timeout --kill-after=10 $((seconds / 3 + 300)) fio --minimal --output="$dir/fio.out" --directory="$files" \
        --randseed="$seed" --time_based --runtime=$((seconds / 3)) --verify=crc32c --verify_fatal=1 --do_verify=1 \
        --group_reporting --verify_state_save=0 "$@" && awk -F';' -v name="$1" '{printf "%s: %d MB written, %d MB read back\n", name, $47 / 1024, $6 / 1024}' "$dir/fio.out" ||
        { echo "fio failed: $*"; cat "$dir/fio.out"; failed=1; }
    kill "$pruner"
    wait "$pruner" 2>/dev/null || true
    [[ ! -e "$dir/unpruned" ]] || { echo "a prune beside fio failed"; failed=1; }
    rm -rf "${files:?}"/*
    "$mirrordna" --quiet --vault "$dir/vault" prune --keep 1 >/dev/null || failed=1
}
job --name=small --ioengine=psync --rw=randwrite --bs=4k --size=4m --numjobs=16 --verify_backlog=256
job --name=mapped --ioengine=mmap --rw=randwrite --bs=4k --size=64m --numjobs=2 --verify_backlog=1024
job --name=large --ioengine=psync --rw=randrw --bs=64k-1m --size=128m --numjobs=4 --fsync=16 --verify_backlog=64
awk '/VmHWM/ {printf "the process of the mount had at most %d MB\n", $2 / 1000}' "/proc/$server/status"
awk '/VmHWM/ && $2 >= 400000 {exit 1}' "/proc/$server/status" || { echo "that is too much"; failed=1; }

echo "== unmount, verify"
"$mirrordna" --quiet umount "$dir/mnt"
"$mirrordna" --vault "$dir/vault" verify || failed=1
if grep ERROR "$dir/log"; then failed=1; fi
exit "${failed:-0}"
