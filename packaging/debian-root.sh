# shellcheck shell=bash disable=SC2034,SC2016
# Sourced by the scripts beside it: Debian root file systems made with debootstrap, kept in
# $CACHE, and commands run inside them. Needs root. MIRROR chooses another Debian mirror than
# debootstrap's own.

CACHE=${MBUSHAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mbushat-packaging}
# `sudo` keeps no /usr/sbin for some users, and that is where debootstrap is.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# The telegram of a flow meter (0.05 m³), which each program must decode before it is packed.
TELEGRAM=683D3D680830721573133093060104700000000C06000000000C14050000000C22578303000C2E010000000C3B000000000A5901000A5D01000A610100426C8F21DD16

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }

# need COMMAND:PACKAGE...: which packages are to be installed, all at once and before any work
need() {
  local tool missing=()
  [ "$(id -u)" = 0 ] || die "root file systems are made and entered by root: run me with sudo"
  for tool in debootstrap:debootstrap unshare:util-linux "$@"; do
    command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
  done
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
  [ ${#missing[@]} -eq 0 ] || die "tools are missing; first run: apt-get install ${missing[*]}"
}

# give_back FOLDER...: what root made under sudo belongs to the user who asked for it
give_back() { [ -z "${SUDO_UID-}" ] || chown -R "$SUDO_UID:${SUDO_GID-}" "$@"; }

# make_root SUITE FOLDER [ARCH]: a minimal Debian, of this machine's architecture unless said, once.
# One of another architecture needs qemu-user-static, whose programs the kernel starts by itself.
make_root() {
  [ -e "$2/.made" ] && return
  say "making a Debian $1 root in $2"
  rm -rf "$2"; mkdir -p "$2"
  debootstrap --variant=minbase --include=ca-certificates ${3:+--arch="$3"} "$1" "$2" ${MIRROR:+"$MIRROR"} >"$2.log" 2>&1 || die "debootstrap failed: see $2.log"
  printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d" # packages start no services in here
  chmod 755 "$2/usr/sbin/policy-rc.d"
  touch "$2/.made"
}

# in_root FOLDER [HOST:GUEST]... -- COMMAND...: runs it there with those folders bind-mounted and
# nothing of our environment; the mounts end with it. EXEC=exec: in place of this shell, for a
# background job that is to be killed by its id.
in_root() {
  local root=$1 binds=(); shift
  while [ "$1" != -- ]; do binds+=("$1"); shift; done; shift
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  ${EXEC-} unshare --mount bash -euc '
    root=$1 count=$2; shift 2
    for bind in "${@:1:count}" /proc:/proc /dev:/dev; do
      mkdir -p "$root${bind#*:}"; mount --rbind "${bind%%:*}" "$root${bind#*:}"
    done
    shift "$count"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
  ' in_root "$root" "${#binds[@]}" "${binds[@]}" "$@"
}
