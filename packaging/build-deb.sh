#!/usr/bin/env bash
# build-deb.sh arm64|armhf|amd64|all [OUT]: packs mbushat_VERSION_ARCH.deb into OUT (target/deb).
#
# It needs root, as compiler and packer (cargo-deb) run in a Debian 13 root made with debootstrap. A
# first build takes its time, on a Pi an hour or more and 2 GB of memory with swap; one that was stopped
# goes on where it was. Environment:
#   MBUSHAT_CACHE  where root, cargo's downloads and target folder are kept (~/.cache/mbushat-packaging)
#   MIRROR         a Debian mirror
set -euo pipefail
# shellcheck source=program.sh
. "$(dirname "$(readlink -f "$0")")/program.sh"
CARGO_DEB=3.6.4 # the newest that rustc 1.85 builds: later ones say so, but use a newer syntax

# cargo-deb reads [package.metadata.deb] of Cargo.toml; --no-build: it only packs.
pack_deb() {
  if [ ! -x "$CACHE/cargo/deb-$CARGO_DEB/bin/cargo-deb" ]; then
    say "building cargo-deb $CARGO_DEB, once"
    # without optimizing, which takes longer than it saves; it packs with xz of the root
    in_build cargo install --locked --debug --no-default-features --root "/cargo/deb-$CARGO_DEB" --version "=$CARGO_DEB" cargo-deb
  fi
  mkdir -p "$SRC/target"; cp "$ABOUT/copyright" "$SRC/target/copyright"
  in_build "/cargo/deb-$CARGO_DEB/bin/cargo-deb" --no-build --no-strip --target "$TARGET" --deb-version "$(version)" --output /out/
}

case ${1-} in
  all) archs=(amd64 arm64 armhf) ;;
  arm64 | armhf | amd64) archs=("$1") ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
need git:git python3:python3
OUT=$(realpath -m "${2:-$SRC/target/deb}")
for arch in "${archs[@]}"; do program "$arch"; pack_deb; done
give_back "$OUT"
