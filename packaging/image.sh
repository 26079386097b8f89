# shellcheck shell=bash
# Sourced: container images made with buildah, without an engine and without a registry. Base images
# are Debian 13 by debootstrap, slimmed as debian:trixie-slim is; images of another architecture are
# made by qemu-user-static, whose programs the kernel starts by itself (binfmt_misc).

BUILDAH=(buildah --root "$CACHE/containers" --runroot "$CACHE/containers-run" --storage-driver overlay)
buildah_() { "${BUILDAH[@]}" "$@"; }

# platform ARCH: Debian's name for it -> Docker's
platform() {
  case $1 in
    amd64 | arm64) echo "linux/$1" ;;
    armhf) echo linux/arm/v7 ;;
    *) die "there is no image for $1" ;;
  esac
}

# base_image ARCH: says the name of the base image, which it makes again each month, for the updates
base_image() {
  local image root container arch variant
  image=localhost/mbushat-base:$1-$(date +%Y%m)
  if ! buildah_ inspect --type image "$image" >/dev/null 2>&1; then
    runs_foreign "$1"
    root=$CACHE/image-root-$1
    make_root trixie "$root" "$1"
    slim "$root"
    IFS=/ read -r _ arch variant <<<"$(platform "$1")"
    container=$(buildah_ from scratch)
    cp -a "$root/." "$(buildah_ mount "$container")"
    buildah_ config --os linux --arch "$arch" ${variant:+--variant "$variant"} --cmd bash "$container"
    buildah_ commit --quiet --rm "$container" "$image" >/dev/null
    rm -rf "$root"
  fi
  echo "$image"
}

# What only a machine with a person before it needs.
slim() {
  rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/* "$1"/usr/share/{doc,man,info,locale,lintian}/* "$1/.made"
  cat >"$1/etc/dpkg/dpkg.cfg.d/slim" <<'DPKG'
path-exclude /usr/share/doc/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
DPKG
  cat >"$1/etc/apt/apt.conf.d/slim" <<'APT'
APT::Keep-Downloaded-Packages "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
APT
}

# runs_foreign ARCH: the kernel must start its programs through qemu, also within a container (flag F)
runs_foreign() {
  local qemu
  [ "$1" != "$(dpkg --print-architecture)" ] || return 0
  case $1 in arm64) qemu='qemu-aarch64' ;; armhf) qemu='qemu-arm' ;; *) qemu='qemu-x86_64' ;; esac
  need "$qemu-static:qemu-user-static"
  [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  [ -e "/proc/sys/fs/binfmt_misc/$qemu" ] || /usr/lib/systemd/systemd-binfmt "/usr/lib/binfmt.d/$qemu.conf" || true
  grep -qs '^flags:.*F' "/proc/sys/fs/binfmt_misc/$qemu" || die "the kernel does not start $1 programs by itself (see update-binfmts --display $qemu)"
}

# make_image ARCH DOCKERFILE CONTEXT NAME ARCHIVE [buildah argument]...: builds it on the base image
# and leaves it as an OCI archive, and in buildah's store as localhost/NAME:ARCH
make_image() {
  local arch=$1 dockerfile=$2 context=$3 name=$4 archive=$5 base tag
  tag=$(version | tr '~' -)
  base=$(base_image "$arch")
  say "building the image $(basename "$archive")"
  buildah_ build --quiet --isolation chroot --pull-never --platform "$(platform "$arch")" --timestamp "$SOURCE_DATE_EPOCH" \
    --build-arg "BASE=$base" --label "org.opencontainers.image.version=$tag" \
    --label "org.opencontainers.image.licenses=MIT OR Apache-2.0" "${@:6}" \
    --file "$dockerfile" --tag "localhost/$name:$arch" "$context" >/dev/null
  pack_image "localhost/$name:$arch" "$name" "$tag" "$archive"
}

# pack_image IMAGE NAME TAG ARCHIVE: an OCI archive that `docker load` takes too, which looks for a
# manifest.json as `docker save` writes it
pack_image() {
  local work manifest
  work=$(mktemp -d)
  buildah_ push --quiet "$1" "oci:$work:$2:$3"
  manifest=$(jq -r '.manifests[0].digest | sub(":"; "/")' "$work/index.json")
  jq --arg name "$2" --arg tag "$3" 'def blob: "blobs/" + (.digest | sub(":"; "/"));
    [{Config: (.config | blob), RepoTags: [$tag, "latest" | "\($name):\(.)"], Layers: [.layers[] | blob]}]' \
    "$work/blobs/$manifest" >"$work/manifest.json"
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf "$4" blobs index.json manifest.json oci-layout
  rm -rf "$work"
}
