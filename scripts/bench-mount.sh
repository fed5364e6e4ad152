#!/usr/bin/env bash
# Prints how fast the mount is: plain file work on the native file system, in `bindfs` and `gocryptfs` over it, and in a
# mounted vault, all in one run, round robin. Each row says the ratio to native, and of ours to the better of the two peers.
#
# usage: scripts/bench-mount.sh [--files N] [--size BYTES] [--big MB] [--rounds R] [--record] [--quick]
#   --record  record files in a tier of memories, written and read in the vault, against plain files elsewhere
#   --quick   without the source tree, git and fio
# BENCH_DIR says on which disk (default: the temporary directory), BENCH_TREE which folder of sources is untarred and
# committed (default: what cargo has unpacked, up to 100 MB).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh bench
. scripts/env.sh
[[ $(id -u) -eq 0 ]] || echo "not root: caches cannot be dropped, so what is called cold is warm" >&2
cargo build --release --quiet ${CARGO_OFFLINE:+--offline}
mirrordna="$CARGO_TARGET_DIR/release/mirrordna"

dir=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/bench-mount.XXXXXX")
cleanup() {
    cd /
    "$mirrordna" --quiet umount "$dir/vault-mnt" 2>/dev/null || umount -l "$dir/vault-mnt" 2>/dev/null || true
    for peer in bindfs gocryptfs; do fusermount3 -u -q "$dir/$peer" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
mkdir "$dir"/{native,under,bindfs,cipher,gocryptfs,vault-mnt}
bindfs "$dir/under" "$dir/bindfs"
gocryptfs -q -init -extpass "echo bench" "$dir/cipher" >/dev/null
gocryptfs -q -extpass "echo bench" "$dir/cipher" "$dir/gocryptfs" >/dev/null
export MIRRORDNA_VAULT="$dir/vault"
"$mirrordna" --quiet init >/dev/null
agent=$("$mirrordna" --quiet identity create --type agent --name Bench --key-out "$dir/agent.key")
user=$("$mirrordna" --quiet identity create --type user --name Bench --key-out "$dir/user.key")
session=$("$mirrordna" --quiet session start --agent "$agent" --user "$user")
memory=$("$mirrordna" --quiet memory add 'Prefers metric units, and espresso after lunch' --tier long_term --session "$session")
"$mirrordna" --quiet mount "$dir/vault-mnt"
tier="$dir/vault-mnt/memories/long_term"
cp "$tier/$memory.json" "$dir/template.json"

echo "$(nproc) cores, $(uname -r), $(findmnt --noheadings --output FSTYPE --target "$dir"), mirrordna $("$mirrordna" --version | cut -d' ' -f2)," \
    "bindfs $(bindfs --version 2>&1 | awk '{print $NF}'), $(gocryptfs -version | awk '{print $1, $2}' | tr -d ';')"
python3 scripts/bench_mount.py "$@" --template "$dir/template.json" --tier "$tier" \
    native="$dir/native" bindfs="$dir/bindfs" gocryptfs="$dir/gocryptfs" vault="$dir/vault-mnt/artifacts"
# The source of the mount names the process that serves it.
server=$(findmnt --noheadings --output SOURCE "$dir/vault-mnt/artifacts" | sed 's/^mirrordna:\([0-9]*\).*/\1/')
awk '/VmHWM/ {printf "the process of the mount had at most %d MB\n", $2 / 1024}' "/proc/$server/status"
