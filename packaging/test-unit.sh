#!/usr/bin/env bash
# test-unit.sh [UNIT]: the unit has no mistake that systemd knows of, and its exposure, as
# `systemd-analyze security` rates it, is below 2.0 (of 10, less is better). Prints the figure.
set -euo pipefail
unit=${1:-$(dirname "$0")/mbushat.service}
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT

# `verify` needs the programs to exist, which they need not here
sed "s,/usr/bin/mbushat,/bin/true," "$unit" >"$tmp/mbushat.service"
systemd-analyze verify --man=no "$tmp/mbushat.service" 2>"$tmp/mistakes" || true
if grep -F mbushat.service "$tmp/mistakes"; then exit 1; fi

exposure=$(systemd-analyze security --offline=true --no-pager "$unit" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
echo "exposure ${exposure:?systemd-analyze did not say}"
awk "BEGIN { exit !($exposure < 2.0) }" || { echo "that is not below 2.0" >&2; exit 1; }
