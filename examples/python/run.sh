#!/usr/bin/env bash
# Publishes a file with client.py, fetches it back and sees a refusal. Needs python3 (3.10 or newer); REGISTRY and TOKEN.
set -euo pipefail
: "${REGISTRY:?the address of the registry, such as http://127.0.0.1:8080}" "${TOKEN:?a token with the scope publish}"

client=$(cd "$(dirname "$0")" && pwd)/client.py
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Two MiB that are the same each time.
head -c 2097152 /dev/zero | tr '\0' 'x' >data.bin
python3 "$client" publish examples/from-python 1.2.3 data.bin
python3 "$client" fetch examples/from-python '^1.2' fetched.bin
cmp data.bin fetched.bin

# The same version never changes.
echo other >data.bin
if refusal=$(python3 "$client" publish examples/from-python 1.2.3 data.bin 2>&1); then
    echo "a published version changed" >&2
    exit 1
fi
echo "refused, as it should be: $refusal"
grep -q '^409 version_exists: ' <<<"$refusal"
