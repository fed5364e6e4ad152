#!/usr/bin/env bash
# Makes include/mirrordna.h anew from the sources in ffi/src.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh
MDNA_UPDATE=1 cargo test --release --quiet --test c -- header::the_header_is_up_to_date
