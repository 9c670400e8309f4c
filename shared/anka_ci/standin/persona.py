"""Which release of Anka the stand-in plays: shapes and words differ from one to the next.

Decides nothing else; every spelling of every release is taken whoever is played.
"""

from __future__ import annotations

from dataclasses import dataclass

from anka_ci.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Persona:
    """One release: ``name`` as ``ANKA_STANDIN_GENERATION`` calls it, and what ``version`` says.

    ``generation`` is 2 or 3; ``oci``: from 3.9 on Anka speaks to OCI registries, and ``registry --list`` is documented.
    """

    name: str
    version: str
    build: str
    generation: int = 3
    oci: bool = False


PERSONAS = {
    each.name: each
    for each in (
        Persona(name="2", version="2.5.7", build="148", generation=2),
        Persona(name="3", version="3.8.5", build="211"),
        Persona(name="3.9", version="3.9.1", build="0", oci=True),  # its build is not documented
    )
}
DEFAULT = PERSONAS["3"]


def persona(name: str) -> Persona:
    """The release of that name, the default for an empty one; ``UsageError`` for another."""
    if name and name not in PERSONAS:
        raise UsageError(f"ANKA_STANDIN_GENERATION is {name!r}", hint="it may be " + ", ".join(PERSONAS))
    return PERSONAS.get(name, DEFAULT)
