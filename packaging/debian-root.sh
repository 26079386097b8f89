# shellcheck shell=bash disable=SC2034,SC2016
# Sourced by the scripts beside it: Debian root file systems made with debootstrap, kept in
# $CACHE, and commands run inside them. Needs root. MIRROR chooses another Debian mirror than
# debootstrap's own.

CACHE=${MBUSHAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mbushat-packaging}

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }
die() { say "$*"; exit 1; }

# need COMMAND PACKAGE: says which package has it, instead of "command not found"
need() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"; }

# make_root SUITE FOLDER: a minimal Debian of this machine's architecture, once
make_root() {
  [ "$(id -u)" = 0 ] || die "a root file system is made and entered by root: run me with sudo"
  need debootstrap debootstrap; need unshare util-linux
  [ -e "$2/.made" ] && return
  say "making a Debian $1 root in $2"
  rm -rf "$2"; mkdir -p "$2"
  debootstrap --variant=minbase --include=ca-certificates "$1" "$2" ${MIRROR:+"$MIRROR"} >"$2.log" 2>&1 || die "debootstrap failed: see $2.log"
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
