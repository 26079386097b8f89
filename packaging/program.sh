# shellcheck shell=bash disable=SC2034
# Sourced by the scripts that pack: builds the program for one architecture with Debian 13's own
# compiler (rustc 1.85, the rust-version of Cargo.toml) in a root of this machine's architecture, and
# tries it there. Everything is kept in $CACHE, so that a build that was stopped goes on.
#
#   amd64 arm64 armhf  dynamic, for a C library of 2.34 or later
#   armv6              static, for Raspberry Pi 1, Zero and Zero W: Debian's armel is ARMv5 with soft
#                      floats, the only one of Debian's that runs there, and Raspberry Pi OS has no
#                      loader for it. Since 2.34 the C library resolves names by `files` and `dns`
#                      within a static program; mDNS (`.local`) it cannot.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); SRC=$(dirname "$HERE")
# shellcheck source=debian-root.sh
. "$HERE/debian-root.sh"
MACHINE=$(dpkg --print-architecture)
ROOT=$CACHE/build-$MACHINE TARGET_DIR=$CACHE/target

git_() { git -c safe.directory="$SRC" -C "$SRC" "$@"; } # root asks in a user's clone
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git_ log -1 --format=%ct)}; export SOURCE_DATE_EPOCH

# version: of Cargo.toml where this commit is tagged so, else one that sorts before that release
version() {
  local cargo commit
  cargo=$(sed -n '0,/^version = "\(.*\)"/s//\1/p' "$SRC/Cargo.toml")
  commit=$(git_ log -1 --format=%cd.%h --date=format:%Y%m%d)
  if git_ tag --points-at HEAD | grep -qxF "v$cargo"; then echo "$cargo"; else echo "$cargo~git$commit"; fi
}

# program ARCH: leaves the program in $PROGRAM, and what it says of itself in $ABOUT
program() {
  set_target "$1"
  PROGRAM=$TARGET_DIR/$TARGET/release/mbushat ABOUT=$TARGET_DIR/$TARGET/release/package
  prepare_root
  build
  [ -n "$STATIC" ] || check_glibc
  try
  describe
}

set_target() {
  ARCH=$1 STATIC=
  case $1 in
    amd64) TARGET=x86_64-unknown-linux-gnu GNU=x86_64-linux-gnu QEMU=qemu-x86_64 ;;
    arm64) TARGET=aarch64-unknown-linux-gnu GNU=aarch64-linux-gnu QEMU=qemu-aarch64 ;;
    armhf) TARGET=armv7-unknown-linux-gnueabihf GNU=arm-linux-gnueabihf QEMU=qemu-arm ;;
    armv6) TARGET=armv5te-unknown-linux-gnueabi GNU=arm-linux-gnueabi QEMU='qemu-arm -cpu arm1176' STATIC=1 ;;
    *) die "what is $1? I know amd64, arm64, armhf and armv6" ;;
  esac
  [ "$ARCH" != "$MACHINE" ] || QEMU=
}

# A root of our own architecture, so that the compiler runs at full speed and a Pi needs no qemu for
# its own package. Only trixie itself is used: Multi-Arch: same packages must be of one version, and
# its indices move together.
prepare_root() {
  make_root trixie "$ROOT"
  toolchain "$MACHINE" 'apt-get update -q; apt-get install -y -q --no-install-recommends rustc cargo gcc libc6-dev xz-utils'
  case $ARCH in
    "$MACHINE") ;;
    # armel itself is not installed: the cross compiler brings its C library, and of Rust's only the files are needed
    armv6) toolchain armv6 'dpkg --add-architecture armel; apt-get update -q
      apt-get install -y -q --no-install-recommends qemu-user gcc-arm-linux-gnueabi libc6-dev-armel-cross
      cd /tmp; apt-get download -q libstd-rust-dev:armel; dpkg-deb -x libstd-rust-dev_*_armel.deb /; rm libstd-rust-dev_*' ;;
    *) toolchain "$ARCH" "dpkg --add-architecture $ARCH; apt-get update -q
      apt-get install -y -q --no-install-recommends qemu-user libstd-rust-dev:$ARCH libc6-dev:$ARCH gcc-${GNU//_/-}" ;;
  esac
}

# toolchain NAME SCRIPT: runs it in the build root, once
toolchain() {
  [ -e "$ROOT/.toolchain-$1" ] && return
  say "installing the compiler for $1 in $ROOT"
  in_root "$ROOT" -- sh -euc "$2" >"$ROOT.log" 2>&1 || die "that failed: see $ROOT.log"
  touch "$ROOT/.toolchain-$1"
}

# in_build COMMAND...: in the root, in the sources, with cargo set up for $TARGET; $OUT is /out there
in_build() {
  local upper lower
  upper=$(echo "$TARGET" | tr a-z- A-Z_); lower=$(echo "$TARGET" | tr - _)
  mkdir -p "$CACHE/cargo" "$TARGET_DIR" "$OUT"
  # a proxy that this machine trusts is trusted in the root too
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$CACHE/cargo/ca.crt"
  in_root "$ROOT" "$SRC:/src" "$CACHE/cargo:/cargo" "$TARGET_DIR:/target" "$OUT:/out" -- \
    env --chdir=/src CARGO_HOME=/cargo CARGO_HTTP_CAINFO=/cargo/ca.crt CARGO_TARGET_DIR=/target CARGO_TERM_COLOR=never \
    SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "CARGO_TARGET_${upper}_LINKER=$GNU-gcc" "CC_$lower=$GNU-gcc" "AR_$lower=$GNU-ar" \
    ${STATIC:+"CARGO_TARGET_${upper}_RUSTFLAGS=-C target-feature=+crt-static"} "$@"
}

# One program for Debian 12 and 13: the linker asks for the newest version that the C library beside it
# has of each function, and Debian 12 would refuse the program. So it is linked with Debian 12's.
build() {
  local flags=(-L "native=/debian12-$ARCH")
  if [ -n "$STATIC" ]; then flags=(); else old_c_library; fi
  say "building for $ARCH with $(in_build rustc --version)"
  in_build cargo rustc --locked --release --target "$TARGET" --bin mbushat -- "${flags[@]}"
}

# old_c_library: that of Debian 12 in /debian12-$ARCH of the build root, under the names the linker looks
# for. Only the files are needed: nothing of it is installed, and the root stays of one release.
# libc.so is a script for the linker; the part of the C library that is always static is taken from Debian 13.
old_c_library() {
  toolchain "$ARCH-debian12" "
    cd /; rm -rf debian12-$ARCH; mkdir -p debian12-$ARCH/lists/partial
    sed 's/ trixie / bookworm /' etc/apt/sources.list >debian12-$ARCH/sources.list
    apt() {
      apt-get -q -o APT::Architecture=$ARCH -o APT::Architectures=$ARCH -o Dir::Etc::SourceList=/debian12-$ARCH/sources.list -o Dir::Etc::SourceParts=- \\
        -o Dir::State::Lists=/debian12-$ARCH/lists -o Dir::State::Status=/dev/null \"\$@\"
    }
    apt update; cd debian12-$ARCH; apt download libc6
    dpkg-deb -x libc6_*.deb .; rm -r libc6_*.deb lists
    ln -s lib/$GNU/libm.so.6 libm.so
    echo \"GROUP ( \$PWD/lib/$GNU/libc.so.6 /usr/lib/$GNU/libc_nonshared.a AS_NEEDED ( \$(ls \$PWD/lib/$GNU/ld-linux*) ) )\" >libc.so"
}

# What came out must not need a newer C library than Debian 12 has.
check_glibc() {
  local newest
  newest=$(in_build "$GNU-objdump" -T "/target/$TARGET/release/mbushat" | grep -o 'GLIBC_2[.0-9]*' | sort -Vu | tail -n 1)
  say "$ARCH needs $newest; Debian 12 has 2.36"
  [ "$(printf '%s\n' GLIBC_2.36 "$newest" | sort -V | tail -n 1)" = GLIBC_2.36 ] || die "too new a C library: Debian 12 could not run it"
}

# mbushat ARGS...: the built program, under qemu where it is not for this machine
mbushat() {
  # shellcheck disable=SC2086 # the words of QEMU
  in_build $QEMU "/target/$TARGET/release/mbushat" "$@"
}

# The program must start before it is packed.
try() {
  mbushat decode --format jsonl "$TELEGRAM" | grep -q '"value":0.05,"unit":"m³"' || die "the program for $ARCH does not decode a telegram"
  say "the program for $ARCH starts and decodes a telegram${QEMU:+ under $QEMU}"
}

# What only the program itself knows: its man pages and completions, and whose crates are in it.
describe() {
  rm -rf "$ABOUT"; mkdir -p "$ABOUT"
  mbushat completions bash >"$ABOUT/mbushat"
  mbushat completions zsh >"$ABOUT/_mbushat"
  mbushat completions fish >"$ABOUT/mbushat.fish"
  mbushat man | gzip -9n >"$ABOUT/mbushat.8.gz"
  mbushat man config | gzip -9n >"$ABOUT/mbushat.toml.5.gz"
  in_build cargo metadata --format-version 1 --locked --filter-platform "$TARGET" |
    "$HERE/deb/copyright.py" "$HERE/deb/copyright" "/cargo=$CACHE/cargo" >"$ABOUT/copyright"
  "$HERE/deb/changelog.sh" "$SRC/CHANGELOG.md" "$SOURCE_DATE_EPOCH" | gzip -9n >"$ABOUT/changelog.gz"
}
