#!/usr/bin/env bash
# Writes packages.lock: of each package of packages.txt what the archive has now, for both architectures.
# usage: bash lock-packages.sh        (needs Debian 12 with apt; asks for package lists of both architectures)
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Lists of its own: the machine's stay as they are.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state"/lists/partial "$state"/cache/archives/partial
touch "$state/status"
apt() {
  "$@" -o Dir::State="$state" -o Dir::State::Lists="$state/lists" -o Dir::State::status="$state/status" \
    -o Dir::Cache="$state/cache" -o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin \
    -o Acquire::Languages=none -o APT::Architecture=amd64 -o APT::Architectures=amd64,arm64 \
    -o APT::Sandbox::User=root 2>/dev/null
}
apt apt-get -qq update

{
  echo "# Written by lock-packages.sh: image's architecture, package, its own, version, SHA-256 of its file."
  for architecture in amd64 arm64; do
    sed -e '/^#/d' -e '/^$/d' "$here/packages.txt" | while read -r name _; do
      # What is for all architectures goes by its bare name.
      for qualified in "$name:$architecture" "$name"; do
        apt apt-cache show --no-all-versions "$qualified" || true
      done |
        awk -v a="$architecture" -v n="$name" '
          $1 == "Architecture:" { of = $2 }
          $1 == "Version:" { version = $2 }
          $1 == "SHA256:" && (of == a || of == "all") { found = a " " n " " of " " version " " $2 }
          END { if (found == "") exit 1; print found }' ||
        { echo "lock-packages.sh: the archive has no $name for $architecture" >&2; exit 1; }
    done
  done
} >"$here/packages.lock.new"
mv "$here/packages.lock.new" "$here/packages.lock"
