#!/usr/bin/env bash
# Puts the system part of the image below a directory: libraries, nft, iptables and ip out of Debian's packages, by
# name, version and digest. Nothing is installed or run: any architecture can be made on any other.
# usage: bash system.sh ARCHITECTURE DIRECTORY        (amd64 or arm64; needs Debian with apt)
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
architecture=$1 root=$2

# The directory is laid out as Debian's is: programs and libraries below usr/.
mkdir -p "$root"/usr/{bin,sbin,lib,lib64,local/bin,share} "$root"/{etc,proc,sys,dev,run,tmp,var/lib/dpkg/status.d}
for name in bin sbin lib lib64; do ln -sfn "usr/$name" "$root/$name"; done
chmod 1777 "$root/tmp"

downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
mapfile -t packages < <(sed -e '/^#/d' -e '/^$/d' "$here/packages.txt")

# apt takes exactly these; that they are those that were looked at is what the digests say.
wanted=()
while read -r image name of version _; do
  [ "$of" = all ] && qualified=$name || qualified=$name:$of
  [ "$image" != "$architecture" ] || wanted+=("$qualified=$version")
done <"$here/packages.lock"
[ "${#wanted[@]}" -eq "${#packages[@]}" ] ||
  { echo "system.sh: packages.lock does not fit packages.txt: run lock-packages.sh" >&2; exit 1; }
(cd "$downloads" && apt-get -qq -o APT::Sandbox::User=root download "${wanted[@]}") ||
  { echo "system.sh: the archive has moved on: run lock-packages.sh, and look at what changed" >&2; exit 1; }

for line in "${packages[@]}"; do
  read -r name _ <<<"$line"
  read -r -a patterns <<<"${line#* }"
  file=$(echo "$downloads/$name"_*.deb)
  read -r digest < <(awk -v a="$architecture" -v n="$name" '$1 == a && $2 == n { print $5 }' "$here/packages.lock")
  echo "$digest  $file" | sha256sum --quiet --check - || exit 1

  whole="$downloads/$name"
  mkdir -p "$whole"/usr/{bin,sbin,lib,lib64}
  for part in bin sbin lib lib64; do ln -s "usr/$part" "$whole/$part"; done
  dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink -C "$whole"

  (
    cd "$whole"
    shopt -s nullglob
    # shellcheck disable=SC2206  # they are patterns
    taken=(${patterns[*]})
    [ "${#taken[@]}" -gt 0 ] || { echo "system.sh: $name has nothing of ${patterns[*]}" >&2; exit 1; }
    # Where packages of one source share a directory, it is a link to the one that has it.
    doc=usr/share/doc/$name
    [ -L "$doc" ] || doc=$doc/copyright
    [[ " ${taken[*]} " == *" $doc "* ]] || taken+=("$doc")
    cp -a --parents "${taken[@]}" "$root/"
  )
  # Scanners of images look here for what a root without dpkg is made of.
  dpkg-deb --field "$file" >"$root/var/lib/dpkg/status.d/$name"
done

cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/:/nonexistent
cardea-proxy:x:1337:1337:sidecar:/:/nonexistent
nonroot:x:65532:65532:control plane:/:/nonexistent
END
cat >"$root/etc/group" <<'END'
root:x:0:
cardea-proxy:x:1337:
nonroot:x:65532:
END
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
ln -sfn ../usr/lib/os-release "$root/etc/os-release"
