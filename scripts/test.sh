#!/usr/bin/env bash
# Passes the tests: formatting, lints, and every test of the library, the mount and the command. From nothing it takes
# about 20 minutes on two cores to compile RocksDB, once; the tests themselves take some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh tests
. scripts/env.sh

# The tests compare with Python and PyYAML, whichever python3 comes first.
python3 -c 'import yaml' 2>/dev/null || python3 -m pip install --quiet --disable-pip-version-check pyyaml

echo "== formatting"
cargo fmt --all --check
echo "== lints"
cargo clippy --release --all-targets -- -D warnings
echo "== tests"
cargo test --release --no-fail-fast --config "target.'cfg(unix)'.runner = '$PWD/scripts/deadline.sh'"
