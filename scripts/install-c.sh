#!/usr/bin/env bash
# Installs what C and C++ programs need below PREFIX (default: /usr/local): headers, the shared and the static library, mirrordna.pc
# and mirrordna-static.pc for pkg-config and a configuration for CMake. LIBDIR says where the libraries go (lib; below PREFIX unless it
# begins with a slash), and DESTDIR is put before all of it, as packagers like it. With MDNA_SHARED and MDNA_STATIC libraries are taken
# that were built before; without, they are built.
set -euo pipefail
umask 022
prefix=$(realpath --canonicalize-missing "${1:-/usr/local}")
shared=${MDNA_SHARED:+$(realpath "$MDNA_SHARED")}
static=${MDNA_STATIC:+$(realpath "$MDNA_STATIC")}
cd "$(dirname "$0")/.."
if [[ -z "$shared" ]]; then
    . scripts/env.sh
    cargo build --release
    shared=$CARGO_TARGET_DIR/release/libmirrordna_ffi.so
    static=$CARGO_TARGET_DIR/release/libmirrordna_ffi.a
fi

exported=$(nm -D --defined-only "$shared" | awk '{print $3}' | LC_ALL=C sort)
if [[ "$exported" != "$(LC_ALL=C sort ffi/symbols.txt)" ]]; then
    echo "$shared is not the library of this header: build it again" >&2
    exit 1
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
abi=$(sed -n 's/^const ABI: &str = "\(.*\)";/\1/p' ffi/build.rs)
libdir=${LIBDIR:-lib}
[[ "$libdir" = /* ]] || libdir=$prefix/$libdir
include=${DESTDIR:-}$prefix/include
lib=${DESTDIR:-}$libdir
install -d "$include" "$lib/pkgconfig" "$lib/cmake/mirrordna"
install -m 644 include/mirrordna.h include/mirrordna.hpp "$include"

# What is of no use to programs is left out: debug information of the library is 50 MB. What is there is replaced at once, so that
# programs that have it loaded go on.
install -m 755 "$shared" "$lib/.libmirrordna.new"
strip --strip-unneeded "$lib/.libmirrordna.new"
mv -f "$lib/.libmirrordna.new" "$lib/libmirrordna.so.$version"
ln -sfn "libmirrordna.so.$version" "$lib/libmirrordna.so.$abi"
ln -sfn "libmirrordna.so.$abi" "$lib/libmirrordna.so"
# One that is left of an older version would not fit the header.
rm -f "$lib/libmirrordna.a" "$lib/pkgconfig/mirrordna-static.pc"
files=(mirrordna.pc mirrordna-config.cmake mirrordna-config-version.cmake)
if [[ -n "$static" ]]; then
    install -m 644 "$static" "$lib/libmirrordna.a"
    strip --strip-debug "$lib/libmirrordna.a"
    files+=(mirrordna-static.pc)
fi

for file in "${files[@]}"; do
    case $file in
        *.pc) folder=pkgconfig ;;
        *) folder=cmake/mirrordna ;;
    esac
    sed "s|@PREFIX@|$prefix|g; s|@LIBDIR@|$libdir|g; s|@VERSION@|$version|g; s|@ABI@|$abi|g" "ffi/install/$file.in" \
        >"$lib/$folder/$file"
done
# Programs find it when they start.
if [[ -z "${DESTDIR:-}" && $(id -u) -eq 0 ]] && ldconfig -v -N -X 2>/dev/null | grep "^$libdir:" >/dev/null; then
    ldconfig
fi
echo "installed libmirrordna $version below ${DESTDIR:-}$prefix"
