#!/usr/bin/env bash
# Makes include/mirrordna.h anew from the sources in ffi/src. Every build outside CI does; this does nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh
env -u CI cargo check --release --quiet
