#!/usr/bin/env bash
# changelog.sh CHANGELOG.md SECONDS: the project's changelog in Debian's form. The newest version
# gets the date SECONDS (since 1970), as its own line has none before the release.
set -euo pipefail
date=$(date -u -R -d "@$2")
awk -v date="$date" -v who="The mbushat developers <developers@mbushat.example>" '
  function close_entry() { if (version != "") printf "\n -- %s  %s\n\n", who, date }
  /^## / { close_entry(); version = $2; printf "mbushat (%s) unstable; urgency=medium\n\n", version }
  version != "" && /^- / {
    line = "  *"
    for (i = 2; i <= NF; i++) {
      if (length(line " " $i) > 78) { print line; line = "   " }
      line = line " " $i
    }
    print line
  }
  END { close_entry() }' "$1"
