#!/usr/bin/env bash
# What scripts/fuzz.sh has cargo call instead of rustc, for the packages of this repository alone: their libraries get counters for
# libFuzzer, and stop at what must never be.
set -euo pipefail
flags=()
[[ "$*" =~ --crate-name\ ([a-z_0-9]+) ]] || exec "$@"
case ${BASH_REMATCH[1]} in
    mirrordna | mirrordna_mount | mirrordna_ffi)
        flags=(-Cpasses=sancov-module -Cdebug-assertions=on)
        for option in level=4 trace-compares inline-8bit-counters pc-table; do
            flags+=("-Cllvm-args=-sanitizer-coverage-$option")
        done
        ;;
esac
exec "$@" "${flags[@]}"
