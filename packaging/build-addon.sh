#!/usr/bin/env bash
# build-addon.sh [OUT]: from the packages of amd64 and arm64 in OUT (target/assets) makes there
#   mbushat-VERSION-homeassistant-addon.tar.gz  the add-on repository, ready to be pushed or unpacked
#   mbushat-VERSION-addon-image-ARCH.tar        the images of the add-ons, built from that very tree
# Unpacked into /addons of a Home Assistant the tree is built by the Supervisor, from the packages in
# it. With these set it is for a repository that users add by its URL, and the Supervisor pulls:
#   MBUSHAT_IMAGES  where the images were pushed to, as in ghcr.io/owner: they are mbushat-addon there
#   MBUSHAT_URL     the project's page
# Needs root, buildah and qemu-user-static.
set -euo pipefail
# shellcheck source=program.sh
. "$(dirname "$(readlink -f "$0")")/program.sh"
# shellcheck source=image.sh
. "$HERE/image.sh"
ADDON=$HERE/homeassistant-addon TAG=$(version | tr '~' -)

# addon SLUG SED-SCRIPT: one of the two add-ons, which differ by what they ask of the Supervisor
addon() {
  local folder=$TREE/$1
  cp -r "$ADDON/mbushat" "$folder"
  cp "$SRC/CHANGELOG.md" "$folder"
  sed -i "$2; s/^slug: .*/slug: $1/; s/^version: .*/version: \"$TAG\"/" "$folder/config.yaml"
  [ -z "${MBUSHAT_URL-}" ] || sed -i "/^slug: /a url: $MBUSHAT_URL" "$folder/config.yaml"
  if [ -n "${MBUSHAT_IMAGES-}" ]; then
    sed -i "/^slug: /a image: $MBUSHAT_IMAGES/mbushat-addon" "$folder/config.yaml"
    rm "$folder/Dockerfile"
  else
    cp "$OUT"/mbushat_"$(version)"_{amd64,arm64}.deb "$folder"
  fi
}

tree() {
  mkdir -p "$TREE"
  cp "$ADDON/repository.yaml" "$TREE"
  [ -z "${MBUSHAT_URL-}" ] || echo "url: $MBUSHAT_URL" >>"$TREE/repository.yaml"
  addon mbushat '/# no Hat$/d; s/ # Hat$//'
  addon mbushat_nohat "/# Hat\$/d; s/ # no Hat\$//; s/^name: .*/name: mbushat without the Hat/
    s/through a Raspberry Pi's M-Bus Master Hat/through a USB adapter or a TCP gateway/"
}

[ "${1-}" != --help ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit; }
need git:git buildah:buildah jq:jq
OUT=$(realpath -m "${1:-$SRC/target/assets}")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for arch in amd64 arm64; do
  [ -e "$OUT/mbushat_$(version)_$arch.deb" ] || die "first run: build-deb.sh $arch $OUT"
done
# the images from the tree that has all it needs
TREE=$work/built; (unset MBUSHAT_IMAGES; tree)
for arch in amd64 arm64; do
  make_image "$arch" "$TREE/mbushat/Dockerfile" "$TREE/mbushat" mbushat-addon "$OUT/mbushat-$TAG-addon-image-$arch.tar" \
    --label "io.hass.version=$TAG" --label io.hass.type=addon --label "io.hass.arch=${arch/arm64/aarch64}"
done
TREE=$work/mbushat-homeassistant-addon; tree
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - mbushat-homeassistant-addon |
  gzip -9n >"$OUT/mbushat-$TAG-homeassistant-addon.tar.gz"
give_back "$OUT"
