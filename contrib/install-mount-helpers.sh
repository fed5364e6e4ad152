#!/usr/bin/env bash
# Lets `mount`, `umount` and /etc/fstab know of vaults: links the command to the two names under which they look for it.
# Argument: where the command is (default: the one that is found). Run it as root.
set -euo pipefail
command="${1:-$(command -v mirrordna)}"
[[ -x "$command" ]] || { echo "mirrordna is not found: say where it is" >&2; exit 1; }
command=$(realpath "$command")
for name in mount.mirrordna umount.fuse.mirrordna; do
    ln -sf "$command" "/sbin/$name"
    echo "/sbin/$name -> $command"
done
