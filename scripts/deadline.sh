#!/usr/bin/env bash
# Becomes a test program, which is ended when it takes too long: cargo starts every one of them with this in `scripts/test.sh`.
# A test that hangs then shows where its threads and those of the processes that it started stand, and fails, instead of
# keeping everybody waiting.
set -uo pipefail
limit="${TEST_DEADLINE:-1200}"
# When everything is to be over, as seconds since 1970.
if [[ -n "${TEST_END:-}" ]]; then
    left=$((TEST_END - $(date +%s)))
    limit=$((left < 1 ? 1 : left < limit ? left : limit))
fi
program=$$

descendants() {
    local child
    echo "$1"
    for child in $(ps -o pid= --ppid "$1"); do descendants "$child"; done
}

show() {
    local process=$1 thread
    echo "-- $process: $(tr '\0' ' ' <"/proc/$process/cmdline")"
    for thread in "/proc/$process/task/"*; do echo "${thread##*/} $(<"$thread/comm"): $(<"$thread/wchan")"; done
    # Where tracing is not allowed, that is all.
    if command -v gdb >/dev/null; then
        timeout 60 gdb --batch -p "$process" -ex 'thread apply all backtrace 16' 2>/dev/null | grep -E '^(Thread|#)'
    fi
}

watch() {
    timeout "$limit" tail --pid="$program" --follow /dev/null
    [[ $? -eq 124 ]] || return
    echo "== ${1##*/} still runs after $limit seconds. Its threads, and those of what it started:"
    local all process
    all=$(descendants "$program")
    for process in $all; do show "$process"; done
    # shellcheck disable=SC2086
    kill -KILL $all
}

# Not as a child, since a program may wait for all of its own.
(watch "$@" </dev/null >&2 &)
exec "$@"
