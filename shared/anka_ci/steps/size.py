"""Tell what a pull would download onto this host, and whether it fits.

Layers that are here already, of any tag or template, are not downloaded again. Moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.inputs import arg, build
from anka_ci.plan import Plan
from anka_ci.rules import room
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.HOST
READS = True
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "tag": "v1"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id; the host's architecture narrows a name.")
    tag: str | None = arg("Tag to look at; the latest when left out.", default=None)
    version: int | None = arg("Version number to look at, from 0; must agree with tag.", default=None)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    name: str = arg("The template's name.")
    tag: str = arg("The version's tag.")
    version: int | None = arg("The version's number, from 0; none in an OCI registry.")
    download: int = arg("Bytes that a pull would download.")
    fits: bool = arg("Whether they fit on the free disk, as far as that is told.")
    size: int | None = arg("Bytes of the version, inherited layers included.", default=None)
    cached: int | None = arg("Bytes of it that are here already.", default=None)
    available: int | None = arg("Free bytes of the disk, where the command or the system tells.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    template = anka.registry.template(inputs.template, arch=anka.host.arch())
    version = template.pick(inputs.tag, inputs.version)
    found = room.sized(anka, template, version.tag)
    size = found.size if found.size is not None else version.size
    expects: dict[str, object] = {
        "id": template.id,
        "name": template.name,
        "tag": version.tag,
        "version": version.numbered,
        "download": found.download,
        "fits": found.available is None or found.download <= found.available,
        "size": size,
        "cached": None if size is None else size - found.download,
        "available": found.available,
    }
    return Plan(
        step="size", expects={key: value for key, value in expects.items() if value is not None or key == "version"}
    )


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, plan.expects)
