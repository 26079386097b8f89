#!/usr/bin/env bash
# build-tarball.sh amd64|arm64|armhf|armv6 [OUT]: mbushat-VERSION-linux-ARCH.tar.gz in OUT
# (target/assets): the program and all that belongs to it, for systems without Debian's packages.
# amd64, arm64 and armhf run with glibc 2.34 or newer; armv6 is static and runs on any ARM with Linux.
# Needs root, and understands the environment that build-deb.sh does.
set -euo pipefail
# shellcheck source=program.sh
. "$(dirname "$(readlink -f "$0")")/program.sh"

# The folders are those of the sources, so that README's links and paths hold.
pack_tarball() {
  local name work folder
  name=mbushat-$(version | tr '~' -)-linux-$ARCH
  work=$(mktemp -d); folder=$work/$name
  mkdir -p "$folder"/{packaging,config,docs,man,completions}
  cp "$PROGRAM" "$ABOUT/copyright" "$SRC"/{README.md,CONTRIBUTING.md,CHANGELOG.md,LICENSE-MIT,LICENSE-APACHE} "$folder"
  cp "$HERE/install.sh" "$HERE"/mbushat.{service,sysusers,udev.rules} "$folder/packaging"
  cp "$SRC"/config/{mbushat.toml,node-red-flow.json,prometheus.yml,grafana.json,simulated-bus.toml} "$folder/config"
  cp -r "$SRC/config/acl" "$folder/config"
  cp -r "$SRC"/docs/{book.toml,src} "$folder/docs"
  cp "$ABOUT"/mbushat{.8,.toml.5}.gz "$folder/man"
  cp "$ABOUT"/{mbushat,_mbushat,mbushat.fish} "$folder/completions"
  install_text >"$folder/INSTALL"
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -9n >"$OUT/$name.tar.gz"
  rm -rf "$work"
}

install_text() {
  local runs='It needs glibc 2.34 or newer: Debian 12, Ubuntu 22.04, Raspberry Pi OS of 2023 (Bookworm), or later
ones. On Debian and Raspberry Pi OS the .deb package is the better choice.'
  [ -z "$STATIC" ] || runs='It is linked statically and runs on every ARM processor with Linux: made for Raspberry Pi 1, Zero and
Zero W. On a Pi 2 or later take armhf or arm64. A static program cannot look up names that end in
.local (mDNS): write url = "mqtt://192.168.1.10" with the address of your broker, or add a line with
address and name to /etc/hosts.'
  cat <<TEXT
mbushat $(version) for Linux on $ARCH

$runs

Try it:               ./mbushat demo
Install it:           sudo packaging/install.sh
Write your meters:    sudo nano /etc/mbushat.toml
See what is wrong:    sudo mbushat doctor
Start it for good:    sudo systemctl enable --now mbushat
What it says:         journalctl -u mbushat
Remove it:            sudo packaging/install.sh remove

It is installed under /usr/local, with a user of its own (mbushat), a systemd unit and udev rules.
Without systemd copy mbushat to where you like and start "mbushat run" by your own means; it needs no
root, only the groups that may open the serial port and, for the Hat, /dev/gpiochip0.
docs/src/start.md, the first page of the manual, tells the rest; man/ has the manual pages, completions/ those of bash, zsh and fish.
TEXT
}

[ $# -ge 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
need git:git python3:python3
OUT=$(realpath -m "${2:-$SRC/target/assets}")
program "$1"
pack_tarball
give_back "$OUT"
