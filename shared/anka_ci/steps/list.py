"""List the templates of the registry.

With `template` only those of that name or id. Sizes count a layer that several tags share once. An OCI registry tells
neither sizes nor architectures in a list, and need not list its templates at all; one by its name it always shows.
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
EXAMPLE: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str | None = arg("Name or id of the template to list; all when left out.", default=None)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    count: int = arg("How many templates there are.")
    templates: tuple[dict[str, Any], ...] = arg("The templates: name, arch, size in bytes, id.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    rows = anka.registry.listed(inputs.template)
    listed = [{"name": row.name, "arch": row.arch, "size": row.size, "id": row.id} for row in rows]
    return Plan(step="list", expects={"count": len(listed), "templates": listed})


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, plan.expects)
