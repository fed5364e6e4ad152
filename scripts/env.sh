# Sourced by the other scripts: one target folder outside the checkout, so that RocksDB is compiled once.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/mirrordna-target}"
