#!/usr/bin/env bash
# Fuzzes the library through its C interface, with libFuzzer:
#
#   fuzz.sh [TARGET [SECONDS]]   runs a fuzzer of ffi/fuzz, or all one after the other, for so long each (60)
#   fuzz.sh merge [TARGET]       puts what was found into ffi/fuzz/corpus, as far as it reaches code that nothing there reaches
#
# The library is built with counters for libFuzzer in the packages of this repository, into a target folder of its own; what they
# depend on is as ever, and taken from the ordinary target folder when it is there. Inputs that fail are in $FUZZ_DIR/failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh
ordinary=$CARGO_TARGET_DIR
export CARGO_TARGET_DIR="${FUZZ_DIR:=$HOME/.cache/mirrordna-fuzz}/target"
all=(backups documents filters records)

merge=
if [[ "${1:-}" == merge ]]; then
    merge=yes
    shift
fi
targets=("${all[@]}")
[[ -z "${1:-}" ]] || targets=("$1")
seconds=${2:-60}
for target in "${targets[@]}"; do
    [[ -f "ffi/fuzz/$target.c" ]] || { echo "there is no fuzzer $target; there are: ${all[*]}" >&2; exit 2; }
done

# RocksDB takes 20 minutes to compile. What cargo made of it is used, with the times by which cargo knows that it is fresh.
if [[ ! -d "$CARGO_TARGET_DIR" && -d "$ordinary/release/deps" ]]; then
    echo "copying dependencies from $ordinary" >&2
    mkdir -p "$CARGO_TARGET_DIR/release/deps"
    cp -a "$ordinary/release/build" "$ordinary/release/.fingerprint" "$CARGO_TARGET_DIR/release"
    find "$ordinary/release/deps" -maxdepth 1 \( -name '*.rlib' -o -name '*.rmeta' -o -name '*.d' -o -name '*.so' \) \
        -exec cp -a --target-directory "$CARGO_TARGET_DIR/release/deps" {} +
fi
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/fuzz-rustc.sh cargo build --release --lib
lib=$FUZZ_DIR/lib
mkdir -p "$lib"
for name in libmirrordna.so libmirrordna.so.0; do
    ln -sf "$CARGO_TARGET_DIR/release/libmirrordna_ffi.so" "$lib/$name"
done

# The words of the schemas, as libFuzzer reads them.
grep -oh '"[a-z_]*"' src/record/schemas/*.json | sort -u | sed 's/"\(.*\)"/"\\"\1\\""/' >"$FUZZ_DIR/words"

# Vaults in memory, so that nobody waits for a disk. libFuzzer ends in ways that leave them behind.
shm=/dev/shm
[[ -w $shm ]] || shm=/tmp
TMPDIR=$(mktemp -d "$shm/mdna-fuzz.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
for target in "${targets[@]}"; do
    found=$FUZZ_DIR/corpus/$target corpus=ffi/fuzz/corpus/$target fuzzer=$FUZZ_DIR/$target
    mkdir -p "$found" "$corpus" "$FUZZ_DIR/failed"
    clang -std=c11 -g -O1 -fsanitize=fuzzer,address -fno-omit-frame-pointer -Iinclude "ffi/fuzz/$target.c" -o "$fuzzer" \
        -L"$lib" -lmirrordna -Wl,-rpath,"$lib"
    if [[ -n "$merge" ]]; then
        # As few files as reach all of it, however often.
        "$fuzzer" -set_cover_merge=1 -use_counters=0 -timeout=30 "$corpus" "$found"
        continue
    fi
    echo "== $target, $seconds s" >&2
    end=$((SECONDS + seconds))
    while left=$((end - SECONDS)) && ((left > 0)); do
        "$fuzzer" -max_total_time="$left" -timeout=30 -rss_limit_mb=4096 -dict="$FUZZ_DIR/words" -print_final_stats=1 \
            -artifact_prefix="$FUZZ_DIR/failed/$target-" "$found" "$corpus" && break
        # LeakSanitizer can miss a thread that is alive, and then takes what that one holds for lost (as in google/sanitizers#757).
        # What leaks does so every time.
        leak=$(find "$FUZZ_DIR/failed" -name "$target-leak-*" -print -quit)
        [[ -n "$leak" ]] && "$fuzzer" -runs=1000 "$leak" || exit 1
        echo "$leak does not leak when it is run 1,000 times" >&2
        rm "$leak"
    done
done
