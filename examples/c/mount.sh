#!/usr/bin/env bash
# The vault as a directory: what a C program stored is read with the tools of the shell. Arguments: the program `agent`
# of agent.c, an empty directory to work in, and the command `mirrordna`.
set -euo pipefail
agent=$1 dir=$2 mirrordna=$3

"$agent" "$dir/vault" "I like tea" tea
mkdir "$dir/mnt"
"$mirrordna" --vault "$dir/vault" mount "$dir/mnt"
trap '"$mirrordna" umount "$dir/mnt" || umount -l "$dir/mnt"' EXIT

jq -r .content "$dir"/mnt/memories/short_term/*.json
(cd "$dir/mnt/memories/short_term" && sha256sum --check --quiet SHA256SUMS)

# The program and the mount are on one vault at the same time.
"$agent" "$dir/vault" "The mountains are blue" mountains
grep -l mountains "$dir"/mnt/memories/short_term/*.json | wc -l
find "$dir/mnt/snapshots" -mindepth 1 -maxdepth 1 -type d -name "snap_*" | wc -l
