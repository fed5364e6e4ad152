#!/usr/bin/env bash
# Installs what C and C++ programs need below PREFIX (default: /usr/local): headers, the shared and the static library, mirrordna.pc
# for pkg-config and a configuration for CMake. DESTDIR is put before it, as packagers like it. With MDNA_SHARED and MDNA_STATIC
# libraries are taken that were built before; without, they are built. `cargo cinstall` (cargo-c) does the same but for CMake.
set -euo pipefail
prefix=$(realpath --canonicalize-missing "${1:-/usr/local}")
cd "$(dirname "$0")/.."
if [[ -z "${MDNA_SHARED:-}" ]]; then
    . scripts/env.sh
    cargo build --release
    MDNA_SHARED=$CARGO_TARGET_DIR/release/libmirrordna_ffi.so
    MDNA_STATIC=$CARGO_TARGET_DIR/release/libmirrordna_ffi.a
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
abi=$(sed -n 's/^const ABI: &str = "\(.*\)";/\1/p' ffi/build.rs)
to=${DESTDIR:-}$prefix
install -d "$to/include" "$to/lib/pkgconfig" "$to/lib/cmake/mirrordna"
install -m 644 include/mirrordna.h include/mirrordna.hpp "$to/include"

# What is of no use to programs is left out: debug information of the library is 50 MB.
install -m 755 "$MDNA_SHARED" "$to/lib/libmirrordna.so.$version"
strip --strip-unneeded "$to/lib/libmirrordna.so.$version"
ln -sf "libmirrordna.so.$version" "$to/lib/libmirrordna.so.$abi"
ln -sf "libmirrordna.so.$abi" "$to/lib/libmirrordna.so"
if [[ -n "${MDNA_STATIC:-}" ]]; then
    install -m 644 "$MDNA_STATIC" "$to/lib/libmirrordna.a"
    strip --strip-debug "$to/lib/libmirrordna.a"
fi

for file in mirrordna.pc mirrordna-config.cmake mirrordna-config-version.cmake; do
    case $file in
        *.pc) folder=lib/pkgconfig ;;
        *) folder=lib/cmake/mirrordna ;;
    esac
    sed "s|@PREFIX@|$prefix|g; s|@VERSION@|$version|g; s|@ABI@|$abi|g" "ffi/install/$file.in" >"$to/$folder/$file"
done
echo "installed libmirrordna $version below $to"
