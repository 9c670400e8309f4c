"""A template version as an OCI manifest: what the embedded registry stores and its clients push and pull.

Immutable facts are in here (name, id, true tag, description, arch, the VM configuration as the config blob, and each
layer's file name and role); version numbers and times are the server's. Only a manifest with our ``artifactType``, in
the repository of its own id, is a template. Anka's own transfer protocol is private; this is ours, not Anka's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from anka_ci.wire import values

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.anka-ci.template.v1+json"
CONFIG_TYPE = "application/vnd.anka-ci.vm-config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
TITLE = "org.opencontainers.image.title"

Role = Literal["disk", "state", "nvram"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One file of a version: its name (``<hex>.ank``, or ``nvram``), role, digest (``sha256:…``) and size in bytes."""

    file: str
    digest: str
    size: int
    role: Role = "disk"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A version to be stored. ``layers`` run from the base to the newest; ``config_*`` describe the config blob."""

    id: str
    name: str
    tag: str
    config_digest: str
    config_size: int
    layers: tuple[Layer, ...]
    description: str = ""
    arch: str = ""

    @property
    def repository(self) -> str:
        return repository(self.id)

    def of_role(self, role: Role) -> tuple[Layer, ...]:
        """The layers of one role, newest first, as Anka lists them."""
        return tuple(layer for layer in reversed(self.layers) if layer.role == role)

    @classmethod
    def read(cls, content: bytes) -> Manifest | None:
        """Parse a manifest; None when it is not one of ours. ``ValueError`` when it claims to be and is broken."""
        try:
            found = json.loads(content)
        except RecursionError:
            raise ValueError("the manifest is nested too deep") from None
        if not isinstance(found, Mapping) or found.get("artifactType") != ARTIFACT_TYPE:
            return None
        try:
            notes, config = found["annotations"], found["config"]
            layers = tuple(_read_layer(item) for item in found["layers"])
            manifest = cls(
                id=notes["anka-ci.id"],
                name=values.check_name(notes["anka-ci.name"]),
                tag=values.check_tag(notes["anka-ci.tag"]),
                description=notes.get("anka-ci.description", ""),
                arch=notes.get("anka-ci.arch", ""),
                config_digest=_digest(config["digest"]),
                config_size=_size(config["size"]),
                layers=layers,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the template manifest lacks {error}") from None
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}", manifest.id):
            raise ValueError(f"{manifest.id!r} is no template id")
        if len({layer.file for layer in layers}) != len(layers):
            raise ValueError("the template manifest names a file twice")
        return manifest

    def emit(self) -> bytes:
        """Canonical JSON: the same version has the same bytes, and so the same digest."""
        notes = {"anka-ci.id": self.id, "anka-ci.name": self.name, "anka-ci.tag": self.tag}
        if self.description:
            notes["anka-ci.description"] = self.description
        if self.arch:
            notes["anka-ci.arch"] = self.arch
        found: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": self.config_digest, "size": self.config_size},
            "layers": [_emit_layer(layer) for layer in self.layers],
            "annotations": notes,
        }
        return json.dumps(found, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def repository(template_id: str) -> str:
    """A template's repository: its id in lower case; names are not unique, and the OCI grammar has no capitals."""
    return template_id.lower()


def oci_tag(tag: str) -> str:
    """A tag as the OCI grammar allows it: itself where it fits, otherwise ``_x.`` and 32 hex digits of its SHA-256."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag) and not tag.startswith("_x."):
        return tag
    return "_x." + hashlib.sha256(tag.encode()).hexdigest()[:32]


def _read_layer(item: Mapping[str, Any]) -> Layer:
    notes = item["annotations"]
    role, file = notes.get("anka-ci.role", "disk"), notes[TITLE]
    if role not in ("disk", "state", "nvram"):
        raise ValueError(f"{role!r} is no role of a layer")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", file):
        raise ValueError(f"{file!r} is no file name of a layer")
    return Layer(file=file, digest=_digest(item["digest"]), size=_size(item["size"]), role=role)


def _emit_layer(layer: Layer) -> dict[str, Any]:
    return {
        "mediaType": LAYER_TYPE if layer.role == "disk" else "application/octet-stream",
        "digest": layer.digest,
        "size": layer.size,
        "annotations": {TITLE: layer.file, "anka-ci.role": layer.role},
    }


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value


def _digest(value: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise ValueError(f"{value!r} is no sha256 digest")
    return value
