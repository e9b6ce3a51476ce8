#!/usr/bin/env python3
"""A client of a vix-registry on the standard library alone.

    client.py publish PACKAGE VERSION FILE    publishes a file, making the package if there is none
    client.py fetch PACKAGE REQUIREMENT FILE  finds the best version, downloads it and checks its digest

REGISTRY holds the registry's address, TOKEN the token (fetching public packages needs none).
"""

import base64
import hashlib
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

CHUNK_BYTES = 1 << 20


class Refused(Exception):
    """The registry refused: `reason` is for programs, the text for people."""

    def __init__(self, status, reason, message):
        super().__init__(f"{status} {reason}: {message}")
        self.reason = reason


class Registry:
    """One registry, asked with one token or none."""

    def __init__(self, address, token=None):
        self.address = address.rstrip("/") + "/"
        self.token = token

    def publish(self, package, version, path):
        """Publishes a file; doing it again with the same bytes changes nothing. Gives the version."""
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
            file.seek(0)
            query = urllib.parse.urlencode({"create": "true", "filename": os.path.basename(path)})
            return self._json(
                f"v1/packages/{package}/versions/{version}?{query}",
                method="PUT",
                data=file,
                headers={
                    "Content-Length": str(os.fstat(file.fileno()).st_size),
                    "Content-Type": "application/octet-stream",
                    "Repr-Digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
                },
            )

    def resolve(self, package, requirement):
        """Gives the best version for a requirement such as `^1.2`."""
        query = urllib.parse.urlencode({"req": requirement}, quote_via=urllib.parse.quote)
        return self._json(f"v1/packages/{package}/resolve?{query}")

    def fetch(self, version, path):
        """Downloads a version's bytes. The file appears only when they are the right ones."""
        partial = path + ".partial"
        digest = hashlib.sha256()
        with self._open(version["url"]) as response, open(partial, "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != version["sha256"]:
            os.remove(partial)
            raise ValueError(f"{version['url']}: the bytes are not those that were published")
        os.replace(partial, path)

    def _json(self, path, **request):
        with self._open(path, **request) as response:
            return json.load(response)["data"]

    def _open(self, path, headers=None, **request):
        # `url` of a version is a reference to resolve against the registry's address.
        url = urllib.parse.urljoin(self.address, path)
        asked = urllib.request.Request(url, headers=headers or {}, **request)
        if self.token:
            asked.add_header("Authorization", f"Bearer {self.token}")
        try:
            return urllib.request.urlopen(asked)
        except urllib.error.HTTPError as refusal:
            raise _refused(refusal) from None


def _refused(refusal):
    try:
        error = json.load(refusal)["error"]
        return Refused(refusal.code, error["reason"], error["message"])
    except (ValueError, KeyError, TypeError):
        return Refused(refusal.code, "unknown", refusal.reason)


def main(arguments):
    registry = Registry(os.environ["REGISTRY"], os.environ.get("TOKEN"))
    match arguments:
        case ["publish", package, version, path]:
            made = registry.publish(package, version, path)
            print("published" if made["created"] else "there already:", made["package"], made["version"], made["sha256"])
        case ["fetch", package, requirement, path]:
            version = registry.resolve(package, requirement)
            registry.fetch(version, path)
            print("fetched", version["package"], version["version"], version["sha256"])
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refused as refusal:
        sys.exit(str(refusal))
