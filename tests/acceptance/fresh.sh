#!/usr/bin/env bash
# fresh.sh: what a stranger meets. In a Debian 13 with nothing but Debian's rustc, cargo, gcc and git,
# a user without any rights clones this repository (its last commit) and runs README's two commands
# and `cargo install --path .`. Prints the time and the disk that each takes; exits 1 at the first that
# fails. Needs root, debootstrap and the network; keeps the Debian, and only that, in $MBUSHAT_CACHE
# (~/.cache/mbushat-packaging).
set -euo pipefail
SRC=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=../../packaging/debian-root.sh
. "$SRC/packaging/debian-root.sh"
ROOT=$CACHE/fresh-root
DEMO_WITHIN=3600 # seconds from the start of its build, on a slow and busy machine

# An old root would not show what Debian's newest compiler makes of the project.
prepare_root() {
  [ -z "$(find "$ROOT/.packages" -mtime +7 2>/dev/null)" ] || rm -rf "$ROOT"
  make_root trixie "$ROOT"
  if [ ! -e "$ROOT/.packages" ]; then
    in_root "$ROOT" -- sh -euc '
      apt-get update -q; apt-get install -y -q --no-install-recommends rustc cargo gcc libc6-dev git
      id stranger || useradd --uid 1000 stranger' >"$ROOT.log" 2>&1 || die "that failed: see $ROOT.log"
    touch "$ROOT/.packages"
  fi
  local other
  for other in ps kill mosquitto pkg-config cmake python3; do
    [ ! -e "$ROOT/usr/bin/$other" ] || die "the root has $other, which a fresh Debian has not"
  done
}

# A home and a /tmp of this run alone; the trusted certificates of this machine, in case of a proxy.
prepare_home() {
  touch "$WORK/log"
  mkdir -p "$WORK/home"; mkdir -m 1777 "$WORK/tmp"
  git clone -q --bare --no-hardlinks "$SRC" "$WORK/home/mbushat.git"
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$WORK/home/ca.crt"
  chown -R 1000:1000 "$WORK/home"
}

# stranger COMMAND...: in the clone, as the user
stranger() {
  local clone=/home/stranger/mbushat
  [ -d "$WORK/home/mbushat" ] || clone=/home/stranger
  in_root "$ROOT" "$WORK/home:/home/stranger" "$WORK/tmp:/tmp" -- setpriv --reuid=1000 --regid=1000 --clear-groups \
    env --chdir="$clone" HOME=/home/stranger CARGO_HTTP_CAINFO=/home/stranger/ca.crt CARGO_TERM_COLOR=never "$@"
}

# The first reading of each meter must come; then Ctrl-C.
demo() {
  local meter end=$((SECONDS + DEMO_WITHIN))
  EXEC='exec' stranger cargo run --release -- demo >"$WORK/log" 2>&1 & DEMO=$!
  for meter in heat_meter cold_water warm_water electricity; do
    until grep -q "Z  $meter  *[a-z]" "$WORK/log"; do
      kill -0 "$DEMO" 2>/dev/null && [ $SECONDS -lt $end ] || return 1
      sleep 1
    done
  done
  kill -INT "$DEMO"
  wait "$DEMO" || return 1
  DEMO=''
}

# cargo looks for the newest versions that Cargo.toml allows: it does not read the lock here.
install() {
  stranger cargo install --path . >"$WORK/log" 2>&1 && stranger /home/stranger/.cargo/bin/mbushat --version
}

tests() { stranger cargo test >"$WORK/log" 2>&1; }

# step WHAT FUNCTION: runs it and says what it took
step() {
  local what=$1 before=$SECONDS
  "$2" || { tail -n 60 "$WORK/log" >&2; die "FAILED: $what"; }
  printf '%-32s %5d s; %5d MiB in the home folder\n' "$what" $((SECONDS - before)) "$(du -sm "$WORK/home" | cut -f1)"
}

clone() { stranger git clone -q mbushat.git mbushat; }

end() {
  [ -z "$DEMO" ] || kill "$DEMO" 2>/dev/null || true
  rm -rf "$WORK"
}

for command in 'cargo run --release -- demo' 'cargo test'; do
  grep -qx "$command" "$SRC/README.md" || die "README.md does not say \`$command\`"
done
need git:git
DEMO='' before=$SECONDS
prepare_root
WORK=$(mktemp -d "$CACHE/fresh.XXXXXX")
trap end EXIT
chmod 755 "$WORK"
prepare_home
printf 'Debian 13 with %s: %d s, %d MiB\n' "$(in_root "$ROOT" -- rustc --version)" $((SECONDS - before)) "$(du -sm "$ROOT" | cut -f1)"
step 'git clone' clone
step 'cargo run --release -- demo' demo
step 'cargo install --path .' install
step 'cargo test' tests
grep -E '^(SKIPPED|test result)' "$WORK/log"
echo PASS
