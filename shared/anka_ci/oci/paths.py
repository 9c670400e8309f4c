"""What the calls of the data plane are named, below a registry's URL.

Source: https://github.com/opencontainers/distribution-spec. Asks nothing.
"""

from __future__ import annotations

from urllib.parse import quote


class Paths:
    """The paths under ``prefix``, the path of the registry's URL."""

    def __init__(self, prefix: str = "") -> None:
        self._root = f"{prefix}/v2"
        self.root = f"{self._root}/"

    def manifest(self, repository: str, reference: str) -> str:
        return f"{self._root}/{quote(repository)}/manifests/{quote(reference, safe=':')}"

    def tags(self, repository: str, most: int) -> str:
        return f"{self._root}/{quote(repository)}/tags/list?n={most}"

    def catalog(self, most: int) -> str:
        return f"{self._root}/_catalog?n={most}"

    def blob(self, repository: str, digest: str) -> str:
        return f"{self._root}/{quote(repository)}/blobs/{quote(digest, safe=':')}"

    def uploads(self, repository: str) -> str:
        return f"{self._root}/{quote(repository)}/blobs/uploads/"


def with_digest(location: str, digest: str) -> str:
    """Where an upload at ``location`` is ended as the blob ``digest``."""
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest)}"
