#!/usr/bin/env bash
# Lays out what the image holds of npm's packages, after a build: DIRECTORY/node, and DIRECTORY/cardea with the program.
# usage: bash deploy/image/runtime.sh ARCHITECTURE DIRECTORY        (amd64 or arm64, as containers call them)
set -euo pipefail
export LC_ALL=C
case "$1" in
  amd64) cpu=x64 ;;
  arm64) cpu=arm64 ;;
  *) echo "runtime.sh: no runtime is pinned for $1" >&2; exit 1 ;;
esac
made=$2
mkdir -p "$made/cardea"
cp -R package.json bin dist "$made/cardea/"

# Without the development tools, for the image's machine: npm leaves out what is not for it, and brings its Node. No
# scripts of packages: they would look at the machine that builds, and koffi's would give up.
cp package.json package-lock.json .npmrc "$made/"
(cd "$made" && npm ci --ignore-scripts --omit=dev --os=linux --cpu="$cpu" --libc=glibc)
mv "$made/node_modules/node-linux-$cpu/bin/node" "$made/node"

prune=$PWD/deploy/image/prune-packages.sh
cd "$made"
(cd node_modules && rm -rf node-linux-* node-bin-* node-darwin-* .bin .package-lock.json)
bash "$prune" node_modules
mv node_modules cardea/
rm package.json package-lock.json .npmrc
# Whatever mask the files of the checkout had.
chmod -R u=rwX,go=rX cardea node
