"""Show a template: its tags, sizes and layers.

With `tag` or `version` (which must agree where both are given) that one version is what `tag`, `version`, `size` and
`layers` tell; otherwise the newest. In an OCI registry (`oci://HOST/PREFIX`) versions are its tags and have no numbers,
and the newest is the one that `latest` is an alias of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.inputs import arg, build
from anka_ci.plan import Plan
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = True
EXAMPLE: Mapping[str, str] = {"template": "sonoma"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id.")
    tag: str | None = arg("Tag to show; the latest when left out.", default=None)
    version: int | None = arg("Version number to show, from 0.", default=None)
    config: bool = arg("Also give the VM configuration.", default=False)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    name: str = arg("The template's name.")
    arch: str = arg("The template's architecture, arm64 or amd64; empty when the registry does not know it.")
    tag: str = arg("The version's tag.")
    version: int | None = arg("The version's number, from 0; none in an OCI registry.")
    size: int | None = arg("Bytes of the version, inherited layers included.")
    description: str = arg("The version's description.")
    layers: tuple[str, ...] = arg("File names of the version's layers, newest first.")
    versions: tuple[dict[str, Any], ...] = arg("All versions: number, tag, size in bytes, description.")
    config: dict[str, Any] | None = arg("The VM configuration, when asked for.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    template = anka.registry.template(inputs.template)
    version = template.pick(inputs.tag, inputs.version)
    expects: dict[str, object] = {
        "id": template.id,
        "name": template.name,
        "arch": template.arch,
        "tag": version.tag,
        "version": version.numbered,
        "size": version.size,
        "description": version.description,
        "layers": list(version.images),
        "versions": [
            {"number": each.numbered, "tag": each.tag, "size": each.size, "description": each.description}
            for each in template.versions or ()
        ],
    }
    if inputs.config:
        expects["config"] = anka.registry.config(template, version)
    return Plan(step="show", expects=expects)


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, plan.expects)
