#!/bin/sh
# install.sh [MBUSHAT | remove]: installs the program MBUSHAT (that of this release, or what
# `cargo build --release` made) under /usr/local, with its unit, user, udev rules, manual pages and
# completions, as the Debian package does under /usr; or removes them again. Your configuration
# (/etc/mbushat.toml) and readings (/var/lib/mbushat) stay in either case. Run it as root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sample=$here/../config/mbushat.toml
config=/etc/mbushat.toml share=/usr/local/share
unit=/etc/systemd/system/mbushat.service user=/etc/sysusers.d/mbushat.conf udev=/etc/udev/rules.d/60-mbushat.rules

die() { echo "install.sh: $*" >&2; exit 1; }
# tell PROGRAM ARGS...: only where that program is, and running at all
tell() { if command -v "$1" >/dev/null && [ -d /run/systemd/system ]; then "$@"; fi; }

installed() {
  echo /usr/local/bin/mbushat $unit $user $udev $share/man/man8/mbushat.8.gz $share/man/man5/mbushat.toml.5.gz \
    $share/bash-completion/completions/mbushat $share/zsh/site-functions/_mbushat $share/fish/vendor_completions.d/mbushat.fish
}

# put FILE: standard input, with its folder
put() { mkdir -p "$(dirname "$1")"; cat >"$1"; chmod 644 "$1"; }

install_all() {
  program=$1
  "$program" --version >/dev/null || die "$program does not start on this machine: is it for another processor?"
  [ ! -e /usr/bin/mbushat ] || die "the package mbushat is installed: apt-get remove mbushat first"
  command -v systemd-sysusers >/dev/null || die "this machine has no systemd: copy $program to /usr/local/bin and start 'mbushat run' by other means"
  install -D -m 755 "$program" /usr/local/bin/mbushat
  sed 's,/usr/bin/mbushat,/usr/local/bin/mbushat,' "$here/mbushat.service" | put $unit
  put $user <"$here/mbushat.sysusers"
  put $udev <"$here/mbushat.udev.rules"
  mbushat=/usr/local/bin/mbushat
  $mbushat man | gzip -9n | put $share/man/man8/mbushat.8.gz
  $mbushat man config | gzip -9n | put $share/man/man5/mbushat.toml.5.gz
  $mbushat completions bash | put $share/bash-completion/completions/mbushat
  $mbushat completions zsh | put $share/zsh/site-functions/_mbushat
  $mbushat completions fish | put $share/fish/vendor_completions.d/mbushat.fish
  systemd-sysusers mbushat.conf
  if [ ! -e $config ]; then
    # it may hold a password: for root and the agent only
    install -m 640 -o root -g mbushat "$sample" $config
  fi
  tell udevadm control --reload
  tell udevadm trigger --subsystem-match=gpio --subsystem-match=tty
  tell systemctl daemon-reload
  echo "Installed. Write your meters into $config, then: systemctl enable --now mbushat"
}

remove_all() {
  tell systemctl disable --now mbushat
  # shellcheck disable=SC2046 # the words of the list
  rm -f $(installed)
  tell systemctl daemon-reload
  echo "Removed. Left: $config, /var/lib/mbushat and the user mbushat"
}

[ "$(id -u)" = 0 ] || die "run me with sudo"
case ${1-} in
  remove) remove_all ;;
  '') for program in "$here/../mbushat" "$here/../target/release/mbushat"; do
      [ ! -x "$program" ] || { install_all "$program"; exit; }
    done
    die "there is no program yet: cargo build --release" ;;
  -*) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2 ;;
  *) install_all "$1" ;;
esac
