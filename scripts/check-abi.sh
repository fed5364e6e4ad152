#!/usr/bin/env bash
# Compares two releases as they are installed: check-abi.sh OLD NEW, each a prefix that scripts/install-c.sh was given. Needs abidiff
# (Debian: abigail-tools) and gcc. Prints what is different and fails when programs that were compiled with the old one may not work
# with the new one: when a function is gone, or a parameter, a member of a structure, or a number has changed. New functions and new
# numbers are no change. A structure that has grown is one, though the library may tell old programs by the version in it.
#
# The libraries say which functions there are, and nothing of types: they have no debug information. So the types are compared in two
# libraries that are made here of the installed headers. They hold a pointer for each function, and each enumeration and number.
set -euo pipefail
usage="check-abi.sh OLD NEW: the prefixes below which two releases are installed"
old=${1:?$usage} new=${2:?$usage}
for program in abidiff gcc nm; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install abigail-tools gcc binutils" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The shared library below a prefix, wherever LIBDIR was.
library() {
    local found
    found=$(find -L "$1" -name libmirrordna.so -type f -print -quit 2>/dev/null || true)
    [[ -n "$found" && -f "$1/include/mirrordna.h" ]] || { echo "$1: no mirrordna is installed there" >&2; exit 1; }
    echo "$found"
}

# Makes a library with the types of an installed header.
types() {
    local prefix=$1 library=$2 out=$3 header=$1/include/mirrordna.h
    {
        echo '#include <mirrordna.h>'
        nm --dynamic --defined-only --format=posix "$library" | sed -n 's/^\(mdna_[a-z0-9_]*\) .*/__typeof__(\&\1) abi_\1;/p'
        sed -n 's/^enum \(mdna_[a-z0-9_]*\).*/enum \1 abi_\1;/p' "$header"
        # Those of versions are there to change.
        sed -n '/_VERSION/d; s/^#define \(MDNA_[A-Z0-9_]*\) -\{0,1\}[0-9]*$/enum abi_\1 { value_of_\1 = \1 } abi_\1;/p' "$header"
    } >"$out.c"
    gcc -std=gnu11 -g -w -shared -fPIC -I "$prefix/include" -o "$out" "$out.c"
}

old_library=$(library "$old")
new_library=$(library "$new")
types "$old" "$old_library" "$work/old.so"
types "$new" "$new_library" "$work/new.so"

failed=0
abidiff --no-added-syms "$old_library" "$new_library" || failed=1
abidiff --no-added-syms "$work/old.so" "$work/new.so" || failed=1
exit "$failed"
