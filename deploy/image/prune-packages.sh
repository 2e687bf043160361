#!/usr/bin/env bash
# Takes out of a node_modules directory what nothing looks at when it runs: types, sources in C++, pages. Licences stay.
# usage: bash deploy/image/prune-packages.sh NODE_MODULES
set -euo pipefail
cd "$1"
rm -rf @types undici-types koffi/lib koffi/vendor koffi/doc koffi/cnoke.cjs
# koffi's scripts stand among its C++.
[ ! -d koffi/src ] || find koffi/src -type f ! -name '*.js' ! -name '*.cjs' ! -name package.json -delete
rm -rf @koromix/*/musl_*
find . -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' -o -iname 'readme*' -o -iname 'changelog*' \) -delete
find . -type d -empty -delete
