#!/usr/bin/env bash
# test-roots.sh DEB [SUITE]...: installs, upgrades, runs, removes and purges the package in a fresh
# root of each Debian release (trixie and bookworm). "Runs" is the promise of the README: only the
# broker's address is edited and the bus pointed at a simulator, then the unit's ExecStart is started
# as the unit's user, and readings arrive at a mosquitto. Needs root, debootstrap and the network.
set -euo pipefail
# the overlays below end with this process
[ -n "${MBUSHAT_UNSHARED-}" ] || MBUSHAT_UNSHARED=1 exec unshare --mount "$0" "$@"
# shellcheck source=debian-root.sh
. "$(dirname "$(readlink -f "$0")")/debian-root.sh"
[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
DEB=$(realpath "$1"); shift
[ $# -gt 0 ] || set -- trixie bookworm
CONFIG=/etc/mbushat.toml STATE=/var/lib/mbushat
TELEGRAM=683D3D680830721573133093060104700000000C06000000000C14050000000C22578303000C2E010000000C3B000000000A5901000A5D01000A610100426C8F21DD16

WORK=$(mktemp -d "$CACHE/test-roots.XXXXXX")
started=()
end_started() {
  local pid
  for pid in "${started[@]}"; do
    if kill "$pid" 2>/dev/null; then wait "$pid" || true; fi
  done
  started=()
}
end() {
  end_started
  ! mountpoint -q "$WORK/root" || umount "$WORK/root"
  rm -rf "$WORK"
}
trap end EXIT

check() { # WHAT COMMAND...
  local what=$1; shift
  if "$@" >"$WORK/output" 2>&1; then echo "ok   $suite: $what"; return; fi
  echo "FAIL $suite: $what" >&2; cat "$WORK/output" >&2; exit 1
}
in_it() { in_root "$WORK/root" "$WORK/share:/share" -- "$@"; }
sh_in_it() { in_it sh -euc "$1"; }
not() { ! "$@"; }

# an overlay, so that nothing of an earlier test is in the root
fresh_root() {
  local base=$CACHE/root-$suite
  make_root "$suite" "$base"
  if [ ! -e "$base/.tools" ]; then
    in_root "$base" -- sh -euc 'apt-get update -q; apt-get install -y -q --no-install-recommends mosquitto mosquitto-clients udev' >"$base.log" 2>&1 || die "see $base.log"
    touch "$base/.tools"
  fi
  ! mountpoint -q "$WORK/root" || umount "$WORK/root"
  rm -rf "$WORK/upper" "$WORK/overlay"; mkdir -p "$WORK"/{upper,overlay,root,share}
  mount -t overlay overlay -o "lowerdir=$base,upperdir=$WORK/upper,workdir=$WORK/overlay" "$WORK/root"
}

# The package as an older one: another version, another line in the config.
older_package() {
  dpkg-deb -R "$DEB" "$WORK/older"
  sed -i 's/^Version: .*/Version: 0.0.1~older/' "$WORK/older/DEBIAN/control"
  echo '# a line that the newer package has not' >>"$WORK/older$CONFIG"
  (cd "$WORK/older" && find . -path ./DEBIAN -prune -o -type f ! -path ".$CONFIG" -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
  dpkg-deb --root-owner-group -b "$WORK/older" "$WORK/share/older.deb" >/dev/null
  rm -rf "$WORK/older"
}

installs() {
  check "apt installs it with what it needs" in_it apt-get install -y -q --no-install-recommends /share/mbushat.deb
  check "the configuration is root:mbushat 0640" sh_in_it "stat -c %U:%G:%a $CONFIG | grep -qx root:mbushat:640"
  check "the user is in dialout and gpio" sh_in_it 'id -nG mbushat | grep -w dialout | grep -qw gpio'
  check "the unit starts at boot" sh_in_it 'systemctl is-enabled mbushat | grep -qx enabled'
  check "systemd finds no mistake in the unit" sh_in_it '! systemd-analyze verify --man=no mbushat.service 2>&1 | grep -F mbushat.service'
  check "the udev rules are well-formed" sh_in_it '! command -v udevadm || udevadm verify /usr/lib/udev/rules.d/60-mbushat.rules || udevadm --version | grep -q ^252'
  check "the shipped configuration is valid, and its user may read it" as_user /usr/bin/mbushat check
  check "another user may not read it" sh_in_it "! setpriv --reuid=nobody --clear-groups cat $CONFIG"
  check "man pages and completions are there" sh_in_it 'cd /usr/share; ls man/man8/mbushat.8.gz man/man5/mbushat.toml.5.gz bash-completion/completions/mbushat zsh/vendor-completions/_mbushat fish/vendor_completions.d/mbushat.fish' || true
}

as_user() { in_it setpriv --reuid=mbushat --regid=mbushat --init-groups "$@"; }

edits_survive() {
  check "an older package is installed" in_it apt-get install -y -q --no-install-recommends /share/older.deb
  check "an upgrade brings the new configuration where it was not edited" sh_in_it "apt-get install -y -q /share/mbushat.deb && ! grep -q 'newer package has not' $CONFIG && stat -c %U:%G:%a $CONFIG | grep -qx root:mbushat:640"
  check "back to the older one, to edit its configuration" sh_in_it "apt-get install -y -q --allow-downgrades /share/older.deb && sed -i 's,^# url = .*,url = \"mqtt://edited.example\",' $CONFIG"
  check "an upgrade keeps the edited configuration" sh_in_it "apt-get install -y -q -o Dpkg::Options::=--force-confold /share/mbushat.deb && grep -q edited.example $CONFIG && stat -c %U:%G:%a $CONFIG | grep -qx root:mbushat:640"
  check "the same version again asks nothing" sh_in_it "dpkg -i /share/mbushat.deb </dev/null && grep -q edited.example $CONFIG"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listens() { for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done; return 1; }
background() { local log=$1; shift; EXEC='exec' "$@" >"$WORK/$log" 2>&1 & started+=($!); }

runs() {
  local broker bus agent
  broker=$(free_port) bus=$(free_port)
  printf '[[meter]]\naddress = 48\ntelegrams = ["%s"]\n' "$TELEGRAM" >"$WORK/share/bus.toml"
  printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n' "$broker" >"$WORK/share/mosquitto.conf"
  background mosquitto.log in_it mosquitto -c /share/mosquitto.conf
  background simulate.log in_it mbushat simulate /share/bus.toml --tcp "127.0.0.1:$bus"
  check "the broker is up" listens "$broker"
  check "the simulated bus is up" listens "$bus"
  # the broker's address, the bus, and the example meter switched on
  sh_in_it "sed -i 's,^# url = .*,url = \"mqtt://127.0.0.1:$broker\",; s,^# \[\[bus\]\],[[bus]],; s,^# name = \"hat\",name = \"hat\",; s,^# port = .*,port = \"tcp://127.0.0.1:$bus\",; /^enabled = false/d' $CONFIG"
  check "the edited configuration is valid" as_user /usr/bin/mbushat check
  sh_in_it "install -d -o mbushat -g mbushat -m 750 $STATE" # StateDirectory= of the unit
  background sub.log in_it mosquitto_sub -h 127.0.0.1 -p "$broker" -t mbushat/cold_water/reading -C 1 -W 30
  local sub=${started[-1]}
  # shellcheck disable=SC2046 # the words of ExecStart
  background agent.log as_user $(sed -n 's/^ExecStart=//p' "$WORK/root"/usr/lib/systemd/system/mbushat.service)
  agent=${started[-1]}
  wait "$sub" || true
  check "a reading arrives at the broker" grep -q '"key":"volume","quantity":"volume","value":0.05,"unit":"m³"' "$WORK/sub.log"
  kill -TERM "$agent"
  check "SIGTERM ends the agent with exit 0" wait "$agent"
  check "and it says that it is offline" sh_in_it "mosquitto_sub -h 127.0.0.1 -p $broker -t mbushat/bridge/state -C 1 -W 5 | grep -qx offline"
  end_started
}

goes() {
  check "remove keeps configuration and state" sh_in_it "apt-get remove -y -q mbushat && test ! -e /usr/bin/mbushat -a -e $CONFIG -a -d $STATE"
  check "purge leaves nothing but the user" sh_in_it "apt-get purge -y -q mbushat && test ! -e $CONFIG -a ! -e $STATE && ! find / -xdev -path /share -prune -o -path /proc -prune -o -name '*mbushat*' -print | grep ."
}

# shellcheck disable=SC2016 # $PATH is the root's
refuses_armv6() {
  sh_in_it 'mkdir /fake; printf "#!/bin/sh\necho armv6l\n" >/fake/uname; chmod 755 /fake/uname'
  check "an ARMv6 is refused with a sentence" sh_in_it '! PATH=/fake:$PATH dpkg -i /share/mbushat.deb >/tmp/refusal 2>&1 && grep -q "needs ARMv7" /tmp/refusal'
}

for suite in "$@"; do
  fresh_root
  cp "$DEB" "$WORK/share/mbushat.deb"; older_package
  installs; runs; goes
  fresh_root
  refuses_armv6; edits_survive
done
echo PASS
