#!/usr/bin/env bash
# Runs the POSIX conformance tests (pjdfstest) and the file system exerciser (fsx) on artifacts/ of a new, mounted vault, over
# two connections and over one.
# Arguments: how many operations fsx does (1000000), the seed of the first of its runs (1). It does them in runs of 50,000,
# each with the next seed: fsx 0.3.2 unmaps a page too little after most mapped operations, and with tens of thousands of such
# remains the kernel needs milliseconds for each truncation, and in the end maps no more. FS_TESTS_DIR says where the
# vault is made (a temporary directory), FS_TESTS_TOOLS where the two programs are installed. Root, since pjdfstest
# changes users.
set -euo pipefail
cd "$(dirname "$0")/.."
operations="${1:-1000000}"
seed="${2:-1}"
[[ $(id -u) -eq 0 ]] || { echo "pjdfstest changes users: run this as root" >&2; exit 1; }
scripts/setup.sh tests
. scripts/env.sh
[[ -x "$CARGO_TARGET_DIR/release/mirrordna" ]] || cargo build --release --quiet
mirrordna="$CARGO_TARGET_DIR/release/mirrordna"

dir=$(mktemp -d "${FS_TESTS_DIR:-${TMPDIR:-/tmp}}/fs-tests.XXXXXX")
cleanup() {
    "$mirrordna" --quiet umount "$dir/mnt" 2>/dev/null || umount -l "$dir/mnt" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
chmod 755 "$dir"
mkdir "$dir/mnt"

for way in two one; do
    vault="$dir/vault-$way"
    option=()
    [[ $way = two ]] || option=(--one-connection)
    echo "==== over $way connection(s)"
    "$mirrordna" --quiet --vault "$vault" init >/dev/null
    "$mirrordna" --quiet --vault "$vault" --log-file "$dir/log" mount --allow-other "${option[@]}" "$dir/mnt"
    files="$dir/mnt/artifacts"
    chmod 755 "$files"
    mkdir -m 777 "$files/posix"

    echo "== pjdfstest"
    "$FS_TESTS_TOOLS/bin/pjdfstest" -c tests/mount/pjdfstest.toml -p "$files/posix" >"$dir/pjdfstest.log" || failed=1
    grep -E 'FAILED|skipped *$|^Summary' "$dir/pjdfstest.log" || true

    echo "== fsx, $operations operations from seed $seed"
    for ((done = 0, run = seed; done < operations; done += 50000, run++)); do
        count=$((operations - done < 50000 ? operations - done : 50000))
        # It tells of success each time: only what differs is worth reading.
        "$FS_TESTS_TOOLS/bin/fsx" -q -f tests/mount/fsx.toml -S "$run" -N "$count" -P "$dir" "$files/fsx" \
            >"$dir/fsx.log" 2>&1 || { cat "$dir/fsx.log"; echo "fsx failed from seed $run"; failed=1; break; }
    done
    [[ $done -lt $operations ]] || echo "$operations operations without a difference"
    # The source of the mount names the process that serves it.
    server=$(findmnt --noheadings --output SOURCE --target "$files" | sed 's/^mirrordna:\([0-9]*\).*/\1/')
    awk '/VmHWM/ {printf "the process of the mount had at most %d MB\n", $2 / 1024}' "/proc/$server/status"

    echo "== unmount, verify"
    "$mirrordna" --quiet umount "$dir/mnt"
    "$mirrordna" --vault "$vault" verify || failed=1
done
if grep ERROR "$dir/log"; then failed=1; fi
exit "${failed:-0}"
