#!/usr/bin/env bash
# release.sh [OUT]: everything that a release offers, in OUT (target/assets), with SHA256SUMS:
#   .deb packages for amd64, arm64 and armhf; tarballs for those and for armv6 (Pi 1, Zero, Zero W);
#   container images (OCI archives) for amd64, arm64 and arm/v7; the Home Assistant add-on repository
#   and its images. See the scripts it calls for what each needs and which environment it takes.
# What was made of the same commit is not made again, so that a run that was stopped goes on.
set -euo pipefail
# shellcheck source=program.sh
. "$(dirname "$(readlink -f "$0")")/program.sh"
[ "${1-}" != --help ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit; }
need git:git python3:python3 buildah:buildah jq:jq qemu-arm-static:qemu-user-static
[ "$MACHINE" = amd64 ] || [ "$MACHINE" = arm64 ] || die "armv6 needs Debian's cross compiler for armel, which only amd64 and arm64 have"
OUT=$(realpath -m "${1:-$SRC/target/assets}")
COMMIT=$(git_ rev-parse HEAD) VERSION=$(version) TAG=$(version | tr '~' -)
# an uncommitted change makes nothing of what is there valid
[ -z "$(git_ status --porcelain)" ] || COMMIT="$COMMIT and changes of $(date +%s)"

# part FILE SCRIPT ARGS...: FILE is made by it, once for each commit
part() {
  local file=$1 stamp=$OUT/.made/$1; shift
  MADE+=("$file")
  if [ -e "$OUT/$file" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$COMMIT" ]; then say "$file is there"; return; fi
  rm -f "$stamp"
  "$HERE/$1" "${@:2}" "$OUT"
  echo "$COMMIT" >"$stamp"
}

grep -q "^## ${VERSION%%~*}" "$SRC/CHANGELOG.md" || die "CHANGELOG.md has no entry for ${VERSION%%~*}"
say "making version $VERSION"
mkdir -p "$OUT/.made"
MADE=()
for arch in amd64 arm64 armhf; do
  part "mbushat_${VERSION}_$arch.deb" build-deb.sh "$arch"
  part "mbushat-$TAG-linux-$arch.tar.gz" build-tarball.sh "$arch"
  part "mbushat-$TAG-image-$arch.tar" build-image.sh "$arch"
done
part "mbushat-$TAG-linux-armv6.tar.gz" build-tarball.sh armv6
part "mbushat-$TAG-homeassistant-addon.tar.gz" build-addon.sh
MADE+=("mbushat-$TAG-addon-image-"{amd64,arm64}.tar)
(cd "$OUT" && sha256sum "${MADE[@]}" >SHA256SUMS)
give_back "$OUT"
(cd "$OUT" && ls -l "${MADE[@]}" SHA256SUMS)
