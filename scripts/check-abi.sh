#!/usr/bin/env bash
# Compares the shared libraries of two releases: check-abi.sh OLD.so NEW.so. Needs abidiff (Debian: abigail-tools). Fails when
# programs that were linked with the old one would not work with the new one: when a function is gone. Types are compared only as
# far as both libraries have debug information about them, and an ordinary build has line numbers alone: structures and constants
# are held to their promise by ffi/tests/c/layout.c.
set -euo pipefail
old=${1:?the shared library of the last release} new=${2:?the shared library of this release}
command -v abidiff >/dev/null || { echo "abidiff is missing: apt-get install abigail-tools" >&2; exit 1; }
cd "$(dirname "$0")/.."
# Only what the header declares is the interface.
abidiff --no-added-syms --headers-dir1 include --headers-dir2 include "$old" "$new"
