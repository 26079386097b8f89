#!/usr/bin/env bash
# build-deb.sh arm64|armhf|amd64|all [OUT]: builds the program with Debian 13's own compiler (rustc
# 1.85, the rust-version of Cargo.toml) and packs mbushat_VERSION_ARCH.deb into OUT (target/deb).
#
# The build runs in a Debian 13 root made with debootstrap, so it needs root; packing runs outside,
# with cargo-deb, which is installed beside the root where it is missing. Environment:
#   MBUSHAT_CACHE  where root, cargo's downloads and target folder are kept (~/.cache/mbushat-packaging)
#   BUILD_ROOT     a Debian 13 root that already has the compilers, instead of an own one
#   MIRROR         a Debian mirror
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd); SRC=$(dirname "$HERE")
# shellcheck source=debian-root.sh
. "$HERE/debian-root.sh"

case ${1-} in
  all) for arch in amd64 arm64 armhf; do "$0" "$arch" "${@:2}"; done; exit ;;
  arm64) TARGET=aarch64-unknown-linux-gnu; GNU=aarch64-linux-gnu; QEMU=qemu-aarch64 ;;
  armhf) TARGET=armv7-unknown-linux-gnueabihf; GNU=arm-linux-gnueabihf; QEMU=qemu-arm ;;
  amd64) TARGET=x86_64-unknown-linux-gnu; GNU=x86_64-linux-gnu; QEMU= ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
ARCH=$1 OUT=$(realpath -m "${2:-$SRC/target/deb}")
ROOT=${BUILD_ROOT:-$CACHE/build-root}
TARGET_DIR=$CACHE/target RELEASE=$CACHE/target/$TARGET/release
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$SRC" log -1 --format=%ct)}

# The compilers of all three architectures at once: Multi-Arch: same packages must be of one
# version, so only trixie itself is used, whose indices move together.
prepare_root() {
  [ -z "${BUILD_ROOT-}" ] || return 0
  make_root trixie "$ROOT"
  [ -e "$ROOT/.compilers" ] && return
  say "installing the compilers in $ROOT"
  in_root "$ROOT" -- sh -euc '
    dpkg --add-architecture arm64; dpkg --add-architecture armhf; apt-get update -q
    apt-get install -y -q --no-install-recommends rustc cargo gcc libc6-dev pkg-config qemu-user \
      libstd-rust-dev libstd-rust-dev:arm64 libstd-rust-dev:armhf \
      gcc-aarch64-linux-gnu libc6-dev:arm64 gcc-arm-linux-gnueabihf libc6-dev:armhf' >"$ROOT.log" 2>&1 || die "that failed: see $ROOT.log"
  touch "$ROOT/.compilers"
}

# in_build COMMAND...: in the root, in the sources, with cargo set up for $TARGET
in_build() {
  local upper lower
  upper=$(echo "$TARGET" | tr a-z- A-Z_); lower=$(echo "$TARGET" | tr - _)
  mkdir -p "$CACHE/cargo" "$TARGET_DIR"
  # a proxy that this machine trusts is trusted in the root too
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$CACHE/cargo/ca.crt"
  in_root "$ROOT" "$SRC:/src" "$CACHE/cargo:/cargo" "$TARGET_DIR:/target" -- \
    env --chdir=/src CARGO_HOME=/cargo CARGO_HTTP_CAINFO=/cargo/ca.crt CARGO_TARGET_DIR=/target CARGO_TERM_COLOR=never \
    SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "CARGO_TARGET_${upper}_LINKER=$GNU-gcc" "CC_$lower=$GNU-gcc" "AR_$lower=$GNU-ar" "$@"
}

# Rust's library starts programs by pidfd_spawnp where the C library has it (2.39), else without. It
# refers to it weakly, but the linker asks for the new version all the same, and Debian 12 (2.36)
# would refuse the program: so it is linked as if the C library had neither function.
build() {
  say "building for $ARCH with $(in_build rustc --version)"
  in_build cargo rustc --locked --release --no-default-features --target "$TARGET" --bin mbushat -- \
    -C link-arg=-Wl,--defsym=pidfd_spawnp=0 -C link-arg=-Wl,--defsym=pidfd_getpid=0
}

# One package for Debian 12 and 13 must not need a newer C library than Debian 12 has.
check_glibc() {
  local newest
  newest=$(in_build "$GNU-objdump" -T "/target/$TARGET/release/mbushat" | grep -o 'GLIBC_2[.0-9]*' | sort -Vu | tail -n 1)
  say "$ARCH needs $newest; Debian 12 has 2.36"
  [ "$(printf '%s\n' GLIBC_2.36 "$newest" | sort -V | tail -n 1)" = GLIBC_2.36 ] || die "too new a C library: Debian 12 could not run it"
}

# mbushat ARGS...: the built program, under qemu where it is not for this machine
mbushat() {
  local run=()
  [ "$ARCH" = "$(dpkg --print-architecture)" ] || run=("$QEMU")
  in_build "${run[@]}" "/target/$TARGET/release/mbushat" "$@"
}

# The program must start before it is packed: it decodes the telegram of a flow meter.
try() {
  local telegram=683D3D680830721573133093060104700000000C06000000000C14050000000C22578303000C2E010000000C3B000000000A5901000A5D01000A610100426C8F21DD16
  mbushat decode --format jsonl "$telegram" | grep -q 0.05 || die "the program for $ARCH does not decode a telegram"
  say "the program for $ARCH starts and decodes a telegram"
}

# What only the program itself knows: its man pages and completions, and whose crates are in it.
generate() {
  local into=$RELEASE/package
  rm -rf "$into"; mkdir -p "$into" "$SRC/target"
  mbushat completions bash >"$into/mbushat"
  mbushat completions zsh >"$into/_mbushat"
  mbushat completions fish >"$into/mbushat.fish"
  mbushat man | gzip -9n >"$into/mbushat.8.gz"
  mbushat man config | gzip -9n >"$into/mbushat.toml.5.gz"
  in_build cargo metadata --format-version 1 --locked --no-default-features --filter-platform "$TARGET" |
    "$HERE/deb/copyright.py" "$HERE/deb/copyright" "/cargo=$CACHE/cargo" >"$SRC/target/copyright"
  "$HERE/deb/changelog.sh" "$SRC/CHANGELOG.md" "$SOURCE_DATE_EPOCH" | gzip -9n >"$into/changelog.gz"
}

# cargo-deb reads [package.metadata.deb] of Cargo.toml; --no-build: it only packs.
pack() {
  if ! command -v cargo-deb >/dev/null; then
    PATH=$CACHE/cargo-deb/bin:$PATH
    command -v cargo-deb >/dev/null || cargo install --locked --root "$CACHE/cargo-deb" cargo-deb
  fi
  mkdir -p "$OUT"
  CARGO_TARGET_DIR=$TARGET_DIR cargo-deb --manifest-path "$SRC/Cargo.toml" --no-build --no-strip --target "$TARGET" --output "$OUT/"
}

need python3 python3
prepare_root
build
check_glibc
try
generate
pack
