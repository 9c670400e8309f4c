"""Templates and their versions, as the registry lists and shows them.

Source: ``GET /registry/v2/vm`` and ``GET /registry/vm?id=`` of the registry API; only ``id``, ``name`` and each
version's ``number`` and ``tag`` are certain to be there (the 2019 release sent no sizes, arch or times).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from anka_ci.errors import NotFoundError, UsageError
from anka_ci.wire import schema, values


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version. ``size`` in bytes, inherited layers included; times in Unix seconds; images newest first.

    In an OCI registry it is a tag, and ``number`` is ``NO_NUMBER``.
    """

    NO_NUMBER: ClassVar[int] = -1

    number: int
    tag: str
    images: tuple[str, ...] = ()
    state_files: tuple[str, ...] = ()
    config_file: str = ""
    nvram: str = ""
    description: str = ""
    size: int | None = None
    arch: str = ""
    last_pull: int | None = None
    last_push: int | None = None
    creation_date: int | None = None

    @property
    def numbered(self) -> int | None:
        """Its number; None where there are none."""
        return None if self.number == self.NO_NUMBER else self.number

    @property
    def label(self) -> str:
        """`` (version 3)``, to be put behind its tag; empty where there are no numbers."""
        return "" if self.numbered is None else f" (version {self.number})"

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Version:
        number = values.integer(obj, "number", "version")
        if number is None or not isinstance(obj.get("tag"), str):
            raise ValueError("a version without number or tag")
        return cls(
            number=number,
            tag=obj["tag"],
            images=values.names(obj, "images"),
            state_files=values.names(obj, "state_files"),
            config_file=values.text(obj, "config_file"),
            nvram=values.text(obj, "nvram"),
            description=values.text(obj, "description"),
            size=values.integer(obj, "size"),
            arch=values.text(obj, "arch"),
            last_pull=values.integer(obj, "last_pull") or None,
            last_push=values.integer(obj, "last_push") or None,
            creation_date=values.integer(obj, "creation_date") or None,
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "Version",
        {
            "number": schema.COUNT,
            "tag": schema.TEXT,
            "config_file": schema.TEXT,
            "nvram": schema.TEXT,
            "images": schema.several(schema.TEXT),
            "state_files": schema.several(schema.TEXT),
            "description": schema.TEXT,
            "state_file": schema.TEXT,
            "size": schema.COUNT,
            "arch": schema.one_of("", "amd64", "arm64"),
            "last_pull": schema.COUNT,
            "last_push": schema.COUNT,
            "creation_date": schema.COUNT,
        },
        optional=("size",),
    )

    def emit(self) -> dict[str, Any]:
        """The object as it is shown; a size that is not known is left out, as in 2019, and never 0."""
        return {
            **({} if self.numbered is None else {"number": self.number}),
            "tag": self.tag,
            "config_file": self.config_file,
            "nvram": self.nvram,
            "images": list(self.images),
            "state_files": list(self.state_files),
            "description": self.description,
            "state_file": self.state_files[0] if self.state_files else "",
            **({} if self.size is None else {"size": self.size}),
            "arch": self.arch,
            "last_pull": self.last_pull or 0,
            "last_push": self.last_push or 0,
            "creation_date": self.creation_date or 0,
        }


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template. ``versions`` ascend by number and are None in a list row; ``size`` counts each shared layer once.

    ``stacked`` is false in an OCI registry, where they are tags without numbers: ``latest`` is then the one that the
    alias of that name means, and empty without it.
    """

    id: str
    name: str
    versions: tuple[Version, ...] | None = None
    size: int | None = None
    arch: str = ""
    last_pull: int | None = None
    last_push: int | None = None
    stacked: bool = True
    latest: str = ""

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Template:
        """A template from a v2 object, or from a v1 list's one-key map of id to name."""
        if "id" not in obj and len(obj) == 1:
            ((template_id, name),) = obj.items()
            return cls(id=str(template_id), name=str(name))
        if not isinstance(obj.get("id"), str):
            raise ValueError("a template without id")
        found = obj.get("versions")
        versions = None
        if isinstance(found, list):
            versions = tuple(sorted((Version.read(item) for item in found), key=lambda version: version.number))
        return cls(
            id=obj["id"],
            name=values.text(obj, "name"),
            versions=versions,
            size=values.integer(obj, "size"),
            arch=values.text(obj, "arch"),
            last_pull=values.integer(obj, "last_pull") or None,
            last_push=values.integer(obj, "last_push") or None,
        )

    ROW: ClassVar[schema.Schema] = schema.noun(
        "TemplateRow",
        {
            "id": schema.id_of("template"),
            "name": schema.TEXT,
            "size": schema.COUNT,
            "arch": schema.TEXT,
            "last_pull": schema.COUNT,
            "last_push": schema.COUNT,
        },
        optional=("size",),
    )
    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "Template", {**ROW["properties"], "versions": schema.several(Version.SCHEMA)}, optional=("size",)
    )

    def emit(self) -> dict[str, Any]:
        """The v2 object: with ``versions`` when shown, without when listed; a size that is not known is left out."""
        found: dict[str, Any] = {"id": self.id, "name": self.name}
        if self.versions is not None:
            found["versions"] = [version.emit() for version in self.versions]
        if self.size is not None:
            found["size"] = self.size
        found["arch"] = self.arch
        found |= {"last_pull": self.last_pull or 0, "last_push": self.last_push or 0}
        return found

    @property
    def newest(self) -> Version:
        """The version with the highest number: what "latest" means where no tag of that name exists."""
        if not self.stacked and not self.latest:
            tags = ", ".join(version.tag for version in self.versions or ())
            where = f"template {self.name}"
            raise NotFoundError("tag", "latest", where=where, hint=f"name one of its tags: {tags}")
        if not self.versions:
            raise NotFoundError("version", "latest", where=f"template {self.name}", hint="nothing was pushed to it yet")
        return self.versions[-1]

    def pick(self, tag: str | None = None, number: int | None = None) -> Version:
        """The version with that tag, that number, both (they must agree), or the newest when neither is given."""
        versions = self.versions or ()
        if number is not None and not self.stacked:
            hint = "give the tag"
            raise UsageError(f"{self.name} is in an OCI registry, where versions have no numbers", hint=hint)
        found = None
        if tag is not None:
            found = next((version for version in reversed(versions) if version.tag == tag), None)
            if found is None and tag == "latest":
                found = self.newest
            if found is None:
                raise NotFoundError("tag", tag, where=f"template {self.name}", known=[v.tag for v in versions])
        if number is not None:
            by_number = next((version for version in versions if version.number == number), None)
            if by_number is None:
                known = [str(version.number) for version in versions]
                raise NotFoundError("version", str(number), where=f"template {self.name}", known=known)
            if found is not None and found != by_number:
                raise UsageError(
                    f"tag {tag!r} of {self.name} is version {found.number}, not {number}",
                    hint="give only one of tag and version, or two that agree",
                )
            found = by_number
        return found or self.newest

    def newer_than(self, version: Version) -> tuple[Version, ...]:
        """The versions that go when ``version`` is reverted, beside itself."""
        return tuple(other for other in self.versions or () if other.number > version.number)

    def row(self) -> Template:
        """The same template as a list shows it."""
        return replace(self, versions=None)
