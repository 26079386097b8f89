#!/usr/bin/env bash
# publish.sh IMAGES [REMOTE] [OUT]: puts what release.sh made in OUT (target/assets) where users get it
# by name. The images go to IMAGES/mbushat and IMAGES/mbushat-addon, each for all its architectures
# (as ghcr.io/owner; `buildah login` first). The add-on repository, made with MBUSHAT_IMAGES=IMAGES,
# becomes the branch homeassistant-addon of the git remote REMOTE (origin): in Home Assistant users add
# the project's URL with #homeassistant-addon behind it.
set -euo pipefail
SRC=$(dirname "$(dirname "$(readlink -f "$0")")")
[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
IMAGES=$1 REMOTE=${2:-origin} OUT=$(realpath "${3:-$SRC/target/assets}")
BRANCH=homeassistant-addon
tarball=$(echo "$OUT"/mbushat-*-homeassistant-addon.tar.gz)
[ -e "$tarball" ] || { echo "publish.sh: not exactly one release is in $OUT" >&2; exit 1; }
TAG=${tarball##*/mbushat-} TAG=${TAG%-homeassistant-addon.tar.gz}
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# push NAME ARCHIVE...: one image of that name, which is each archive's on its architecture
push() {
  local name=$1 list archive; shift
  list=localhost/publish-$name:$TAG
  buildah manifest rm "$list" >/dev/null 2>&1 || true
  buildah manifest create "$list" >/dev/null
  for archive in "$@"; do buildah manifest add "$list" "oci-archive:$archive" >/dev/null; done
  buildah manifest push --all "$list" "docker://$IMAGES/$name:$TAG"
  case $TAG in *-git*) ;; *) buildah manifest push --all "$list" "docker://$IMAGES/$name:latest" ;; esac
  buildah manifest rm "$list" >/dev/null
}

tar -C "$work" --strip-components=1 -xf "$tarball"
grep -qxF "image: $IMAGES/mbushat-addon" "$work/mbushat/config.yaml" ||
  { echo "publish.sh: make the release with MBUSHAT_IMAGES=$IMAGES" >&2; exit 1; }
push mbushat "$OUT"/mbushat-"$TAG"-image-*.tar
push mbushat-addon "$OUT"/mbushat-"$TAG"-addon-image-*.tar

# a commit of its own in this repository, whose remote and rights are used
export GIT_INDEX_FILE=$work/.index
git -C "$SRC" --work-tree="$work" add --force --all . ':!.index*'
commit=$(git -C "$SRC" -c user.name=mbushat -c user.email=developers@mbushat.example commit-tree -m "mbushat $TAG" "$(git -C "$SRC" write-tree)")
git -C "$SRC" push --force "$REMOTE" "$commit:refs/heads/$BRANCH"
