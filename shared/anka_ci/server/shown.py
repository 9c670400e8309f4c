"""Templates as the REST calls show them: a view of the rows that the registry keeps. Nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from anka_ci.wire.manifest import Manifest
from anka_ci.wire.template import Template, Version


class Row(Protocol):
    """A row of the database."""

    def __getitem__(self, key: str) -> Any:
        """A column by its name."""


def shown(row: Row, versions: Sequence[Row]) -> Template:
    """A template from its row and those of its versions, oldest first."""
    found: list[Version] = []
    sizes: dict[str, int] = {}
    for each in versions:
        manifest = Manifest.read(each["manifest"])
        assert manifest is not None
        sizes |= {layer.file: layer.size for layer in manifest.layers}
        nvram = manifest.of_role("nvram")
        found.append(
            Version(
                number=each["number"],
                tag=each["tag"],
                images=tuple(layer.file for layer in manifest.of_role("disk")),
                state_files=tuple(layer.file for layer in manifest.of_role("state")),
                config_file=f"{row['id']}.yaml",
                nvram=nvram[0].file if nvram else "",
                description=manifest.description,
                size=sum(layer.size for layer in manifest.layers),
                last_pull=int(each["pulled"] or 0),
                last_push=int(each["created"]),
                creation_date=int(each["created"]),
            )
        )
    return Template(
        id=row["id"],
        name=row["name"],
        versions=tuple(found),
        size=sum(sizes.values()),
        arch=row["arch"],
        last_pull=max((version.last_pull or 0 for version in found), default=0),
        last_push=max((version.last_push or 0 for version in found), default=0),
    )
