#!/usr/bin/env bash
# Publishes a package with curl and fetches it back. Needs curl, tar and gzip; REGISTRY and TOKEN in the environment.
set -euo pipefail
: "${REGISTRY:?the address of the registry, such as http://127.0.0.1:8080}" "${TOKEN:?a token with the scope publish}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The token goes through a pipe: on the command line, other users of the machine would see it.
with_token() {
    curl -fsS -H @<(printf 'Authorization: Bearer %s\n' "$TOKEN") "$@"
}

# The same input gives the same bytes, so running this again publishes nothing new.
echo 'inline int answer() { return 42; }' >hello.hpp
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - hello.hpp | gzip -n >hello.tar.gz
digest=$(sha256sum hello.tar.gz | cut -c1-64)
package=$REGISTRY/v1/packages/examples/hello

echo "1. one PUT; the digest lets the registry check what arrives"
announced=$(printf '%b' "$(sed 's/../\\x&/g' <<<"$digest")" | base64)
with_token -T hello.tar.gz -H "Content-Digest: sha-256=:$announced:" "$package/versions/1.0.0?create=true"
echo

echo "2. metadata and artifact in parts"
cat >metadata.json <<'JSON'
{"version": "1.1.0", "description": "Answers the question", "license": "MIT", "keywords": ["example"],
 "dependencies": [{"name": "examples/question", "req": "^1", "optional": true}]}
JSON
with_token -F 'metadata=<metadata.json;type=application/json' -F artifact=@hello.tar.gz "$package/versions"
echo

echo "3. what there is, for resolvers: one line per version (the package is public, so no token is needed)"
curl -fsS "$REGISTRY/v1/index/examples/hello"

echo "4. the best version for a requirement"
curl -fsS -G --data-urlencode 'req=^1' "$package/resolve"
echo

echo "5. the same bytes"
curl -fsS -o fetched.tar.gz "$package/versions/1.0.0/artifact"
cmp hello.tar.gz fetched.tar.gz
echo "byte-identical"
