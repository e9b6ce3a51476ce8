#!/usr/bin/env bash
# Publishes nlohmann-json's headers (Debian's nlohmann-json3-dev) as a private package, then configures, builds and runs
# a project that fetches them. Needs cmake, a C++ compiler, make, curl; REGISTRY and TOKEN in the environment.
set -euo pipefail
: "${REGISTRY:?the address of the registry, such as http://127.0.0.1:8080}" "${TOKEN:?a token with the scope publish}"

source=$(cd "$(dirname "$0")" && pwd)
headers=/usr/include/nlohmann
[ -d "$headers" ] || { echo "$headers is not there: apt-get install nlohmann-json3-dev" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Its version, as its own headers tell it.
part() { grep -rhoE "define NLOHMANN_JSON_VERSION_$1 [0-9]+" "$headers" | head -n 1 | grep -oE '[0-9]+$'; }
version=$(part MAJOR).$(part MINOR).$(part PATCH)
archive=nlohmann-json-$version.tar.gz

# One top folder, as FetchContent expects; the same headers give the same bytes.
mkdir -p "json/include"
cp -r "$headers" json/include/
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX -cf - json | gzip -n >"$archive"
digest=$(sha256sum "$archive" | cut -c1-64)

# A netrc file that nobody else can read: CMake and curl send its password as Basic.
host=${REGISTRY#*://} && host=${host%%[:/]*}
(umask 077 && printf 'machine %s login token password %s\n' "$host" "$TOKEN" >netrc)

url=$REGISTRY/v1/packages/examples/nlohmann-json/versions/$version
echo "publishing $archive ($digest) as a private package"
curl -fsS --netrc-file netrc -T "$archive" "$url?create=true&visibility=private"
echo

status=$(curl -sS -o /dev/null -w '%{http_code}' "$url/artifact")
[ "$status" = 404 ] || { echo "without a token the answer is $status, not 404" >&2; exit 1; }
echo "without a token it is not there: $status"

cmake -S "$source" -B build -DCMAKE_BUILD_TYPE=Debug -DREGISTRY="$REGISTRY" -DNETRC="$work/netrc" \
    -DJSON_VERSION="$version" -DJSON_SHA256="$digest"
cmake --build build
told=$(build/consumer)
echo "$told"
[ "$told" = "examples/nlohmann-json $version" ]
