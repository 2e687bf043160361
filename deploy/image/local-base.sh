#!/usr/bin/env bash
# Makes an image to build in, where no registry can be reached: Debian 12 with apt, and npm with the project's own Node.
# It stands for BUILD_IMAGE of the Dockerfile; nothing of it gets into what is built.
# usage: bash deploy/image/local-base.sh NAME        (root; needs buildah, mmdebstrap and npm)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
name=$1
npm_version=11.19.1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# libatomic1 and libstdc++6 are what Node asks for.
mmdebstrap --quiet --variant=apt --include=ca-certificates,libatomic1,libstdc++6 bookworm "$scratch/root.tar"

# As npm lays out a global installation below /usr/local.
mkdir -p "$scratch/usr/local/bin" "$scratch/usr/local/lib"
node=$(npm ls --depth=0 --parseable 2>/dev/null | grep -E '/node-linux-[a-z0-9]+$' | head -1)
[ -n "$node" ] || { echo "local-base.sh: run npm ci first: the project's own Node is not there" >&2; exit 1; }
cp "$node/bin/node" "$scratch/usr/local/bin/node"
npm install --silent --no-save --prefix "$scratch/usr/local/lib" "npm@$npm_version"
for program in npm npx; do
  ln -s "../lib/node_modules/npm/bin/$program-cli.js" "$scratch/usr/local/bin/$program"
done

container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null; rm -rf "$scratch"' EXIT
buildah add --quiet "$container" "$scratch/root.tar" / >/dev/null
buildah add --quiet "$container" "$scratch/usr" /usr >/dev/null
buildah commit --quiet "$container" "$name" >/dev/null
