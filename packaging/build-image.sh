#!/usr/bin/env bash
# build-image.sh amd64|arm64|armhf [OUT]: mbushat-VERSION-image-ARCH.tar in OUT (target/assets), a
# container image as an OCI archive, with the program that the packages have. `docker load -i FILE`,
# `podman load -i FILE` and `skopeo copy oci-archive:FILE docker://…` take it.
# Needs root, buildah and qemu-user-static, and understands the environment that build-deb.sh does.
set -euo pipefail
# shellcheck source=program.sh
. "$(dirname "$(readlink -f "$0")")/program.sh"
# shellcheck source=image.sh
. "$HERE/image.sh"
[ $# -ge 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
need git:git python3:python3 buildah:buildah jq:jq
OUT=$(realpath -m "${2:-$SRC/target/assets}")
program "$1"
# in place of the Dockerfile's own stage that compiles
built=$(mktemp -d); trap 'rm -rf "$built"' EXIT
install -D -m 755 -t "$built/out" "$PROGRAM"
make_image "$1" "$HERE/Dockerfile" "$SRC" mbushat "$OUT/mbushat-$(version | tr '~' -)-image-$1.tar" --build-context "build=$built"
give_back "$OUT"
