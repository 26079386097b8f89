#!/usr/bin/env bash
# test-roots.sh DEB|TARBALL [SUITE]...: installs, upgrades, runs, removes and purges the package in a
# fresh root of each Debian release (trixie and bookworm), or installs, runs and removes what is in the
# tarball. "Runs" is the promise of the README: its lines are added to the configuration, with a bus
# that is a simulator, then the unit's ExecStart is started as the unit's user, and readings arrive at
# a mosquitto. Packages of another architecture run by qemu-user-static. Needs root, debootstrap and
# the network.
set -euo pipefail
# the overlays below end with this process
[ -n "${MBUSHAT_UNSHARED-}" ] || MBUSHAT_UNSHARED=1 exec unshare --mount "$0" "$@"
# shellcheck source=debian-root.sh
. "$(dirname "$(readlink -f "$0")")/debian-root.sh"
# shellcheck source=image.sh
. "$(dirname "$(readlink -f "$0")")/image.sh"
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
need mosquitto_sub:mosquitto-clients python3:python3
PACKAGE=$(realpath "$1"); shift
[ $# -gt 0 ] || set -- trixie bookworm
CONFIG=/etc/mbushat.toml STATE=/var/lib/mbushat
case $PACKAGE in
  *.deb) ARCH=$(dpkg-deb -f "$PACKAGE" Architecture) PREFIX=/usr UNIT=/usr/lib/systemd/system/mbushat.service DOC=/usr/share/doc/mbushat ;;
  *.tar.gz) ARCH=${PACKAGE##*-} ARCH=${ARCH%.tar.gz} PREFIX=/usr/local UNIT=/etc/systemd/system/mbushat.service DOC=/opt ;;
  *) die "$PACKAGE is neither a .deb nor a .tar.gz" ;;
esac

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
  local base=$CACHE/root-$suite-$ARCH
  runs_foreign "$ARCH"
  make_root "$suite" "$base" "$ARCH"
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
  dpkg-deb -R "$PACKAGE" "$WORK/older"
  sed -i 's/^Version: .*/Version: 0.0.1~older/' "$WORK/older/DEBIAN/control"
  echo '# a line that the newer package has not' >>"$WORK/older$CONFIG"
  (cd "$WORK/older" && find . -path ./DEBIAN -prune -o -type f ! -path ".$CONFIG" -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
  dpkg-deb --root-owner-group -b "$WORK/older" "$WORK/share/older.deb" >/dev/null
  rm -rf "$WORK/older"
}

installs() {
  check "apt installs it with what it needs" in_it apt-get install -y -q --no-install-recommends /share/mbushat.deb
  check "the unit starts at boot" sh_in_it 'systemctl is-enabled mbushat | grep -qx enabled'
  check "the udev rules are well-formed" sh_in_it '! command -v udevadm || udevadm verify /usr/lib/udev/rules.d/60-mbushat.rules || udevadm --version | grep -q ^252'
  check "the shipped configuration is valid and sets nothing" sh_in_it "mbushat check | grep -qF 'No [[bus]] is written'"
}

unpacks() {
  check "it unpacks into one folder" sh_in_it "tar -C /opt --strip-components=1 -xf /share/mbushat.tar.gz && test -x /opt/mbushat"
  check "the program starts where it lies" sh_in_it "/opt/mbushat decode --format jsonl $TELEGRAM | grep -q 0.05"
  check "install.sh installs it" sh_in_it "apt-get install -y -q --no-install-recommends procps systemd >/dev/null && /opt/packaging/install.sh && /opt/packaging/install.sh"
}

# what both ways leave behind
is_installed() {
  check "the configuration is root:mbushat 0640" sh_in_it "stat -c %U:%G:%a $CONFIG | grep -qx root:mbushat:640"
  check "the user is in dialout and gpio" sh_in_it 'id -nG mbushat | grep -w dialout | grep -qw gpio'
  check "systemd finds no mistake in the unit" sh_in_it '! systemd-analyze verify --man=no mbushat.service 2>&1 | grep -F mbushat.service'
  check "its user may read the configuration" as_user $PREFIX/bin/mbushat check
  check "another user may not read it" sh_in_it "! setpriv --reuid=nobody --clear-groups cat $CONFIG"
  check "man pages and bash's completions are there" sh_in_it "cd $PREFIX/share; ls man/man8/mbushat.8.gz man/man5/mbushat.toml.5.gz bash-completion/completions/mbushat"
  check "completions of zsh and fish too" sh_in_it "ls $PREFIX/share/zsh/*/_mbushat $PREFIX/share/fish/vendor_completions.d/mbushat.fish"
  check "every file that the README links to is there" sh_in_it "cd $DOC; grep -o '](\([^)#]*\))' README.md | tr -d ']()' | grep -v '^http' >/tmp/links; test -s /tmp/links; while read -r link; do test -e \"\$link\" || { echo \"\$link\"; exit 1; }; done </tmp/links"
}

as_user() { in_it setpriv --reuid=mbushat --regid=mbushat --init-groups "$@"; }

edits_survive() {
  check "an older package is installed" in_it apt-get install -y -q --no-install-recommends /share/older.deb
  check "an upgrade brings the new configuration where it was not edited" sh_in_it "apt-get install -y -q /share/mbushat.deb && ! grep -q 'newer package has not' $CONFIG && stat -c %U:%G:%a $CONFIG | grep -qx root:mbushat:640"
  check "back to the older one, to edit its configuration" sh_in_it "apt-get install -y -q --allow-downgrades /share/older.deb && printf '[mqtt]\nurl = \"mqtt://edited.example\"\n' >>$CONFIG"
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
  background simulate.log in_it $PREFIX/bin/mbushat simulate /share/bus.toml --tcp "127.0.0.1:$bus"
  check "the broker is up" listens "$broker"
  check "the simulated bus is up" listens "$bus"
  # the README's lines, and a bus
  sh_in_it "printf '[mqtt]\nurl = \"mqtt://127.0.0.1:$broker\"\n[[meter]]\nname = \"cold_water\"\naddress = 48\n[[bus]]\nname = \"b\"\nport = \"tcp://127.0.0.1:$bus\"\n' >>$CONFIG"
  check "the edited configuration is valid" as_user $PREFIX/bin/mbushat check
  sh_in_it "install -d -o mbushat -g mbushat -m 750 $STATE" # StateDirectory= of the unit
  background sub.log in_it mosquitto_sub -h 127.0.0.1 -p "$broker" -t mbushat/cold_water/reading -C 1 -W 30
  local sub=${started[-1]}
  # shellcheck disable=SC2046 # the words of ExecStart
  background agent.log as_user $(sed -n 's/^ExecStart=//p' "$WORK/root$UNIT")
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

removes() {
  check "install.sh removes it again, but for configuration and state" sh_in_it "/opt/packaging/install.sh remove && test ! -e $PREFIX/bin/mbushat -a ! -e $UNIT -a -e $CONFIG -a -d $STATE"
}

for suite in "$@"; do
  fresh_root
  if [ "$PREFIX" = /usr/local ]; then
    cp "$PACKAGE" "$WORK/share/mbushat.tar.gz"
    unpacks; is_installed; runs; removes
  else
    cp "$PACKAGE" "$WORK/share/mbushat.deb"; older_package
    installs; is_installed; runs; goes
    fresh_root
    refuses_armv6; edits_survive
  fi
done
echo PASS
