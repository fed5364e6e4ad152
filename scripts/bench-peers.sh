#!/usr/bin/env bash
# Prints the side-by-side table: the vault, raw RocksDB, SQLite and AgentFS doing the same work in one run.
# Arguments: records, records for SQLite and AgentFS, durable writes (1000000 200000 2000). BENCH_DIR says where.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
. scripts/env.sh
# The peers' dependencies would have RocksDB compiled again: they get a target folder of their own.
peers_target="${CARGO_TARGET_DIR}-peers"
CARGO_TARGET_DIR="$peers_target" cargo build --release --quiet --package mirrordna-peers
export PEERS="$peers_target/release/mirrordna-peers"
exec cargo bench --quiet --package mirrordna --bench side_by_side -- "$@"
