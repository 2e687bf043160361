#!/usr/bin/env bash
# Builds the image with buildah, the same to the byte each time, as an OCI layout; beside it, for each architecture, a
# bill of materials (CycloneDX) and a provenance (SLSA). Prints a line for each: architecture, digest.
# usage: bash deploy/image/build.sh OUTPUT [ARCHITECTURE...]        (amd64, arm64; default both)
#   BUILD_IMAGE          what to build in; without a registry: what local-base.sh made
#   SOURCE_DATE_EPOCH    the time that all files bear; default the last commit's
#   NODE_EXTRA_CA_CERTS  who else vouches for the npm registry
#   BUILDAH_ISOLATION    e.g. chroot, where containers cannot be nested
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
output=$1
shift
[ $# -gt 0 ] || set -- amd64 arm64
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)
build_image=${BUILD_IMAGE:-docker.io/library/node:26-bookworm-slim}
commit=$(git rev-parse HEAD 2>/dev/null || true)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
# What was changed and not committed is nobody's commit.
[ -z "$(git status --porcelain 2>/dev/null)" ] || commit=

machine=$(buildah info --format "{{.host.arch}}")
mkdir -p "$output"
rm -rf "$output/oci"
secrets=()
[ ! -f "${NODE_EXTRA_CA_CERTS:-}" ] || secrets+=(--secret "id=ca,src=$NODE_EXTRA_CA_CERTS")
[ ! -f "$HOME/.npmrc" ] || secrets+=(--secret "id=npmrc,src=$HOME/.npmrc")

for architecture in "$@"; do
  tag=localhost/cardea:$version-$architecture
  # Nothing kept: a layer of an earlier build would bring the times of that build.
  buildah build --quiet --layers --no-cache "${secrets[@]}" \
    --timestamp "$epoch" --platform "linux/$architecture" \
    --build-arg BUILD_IMAGE="$build_image" --build-arg BUILDPLATFORM="linux/$machine" \
    --build-arg TARGETARCH="$architecture" \
    --label org.opencontainers.image.version="$version" --label org.opencontainers.image.revision="${commit:-unknown}" \
    --tag "$tag" . >&2
  buildah push --quiet --digestfile "$output/digest" "$tag" "oci:$output/oci:$version-$architecture" >&2
  digest=$(cat "$output/digest")
  rm "$output/digest"
  node_modules/.bin/node deploy/image/describe.ts "$output" "$architecture" "$digest" "$epoch" "$build_image" \
    "$(buildah --version)" "$commit"
  echo "$architecture $digest"
done
