"""Whether a VM and a version are the same: by the names of their newest layers, and in doubt they are not."""

from __future__ import annotations

from typing import Any

import pytest

from anka_ci.rules.lineage import Content
from anka_ci.wire.template import Version

TOP = {"hard_drives": [{"file": "b.ank"}]}


def version(*images: str, states: tuple[str, ...] = ()) -> Version:
    return Version(number=0, tag="v1", images=images, state_files=states)


@pytest.mark.parametrize(
    ("config", "other", "same"),
    [
        (TOP, version("b.ank", "a.ank"), True),
        (TOP, version("b.ank"), True),  # how long the way down is does not matter: a layer never changes
        (TOP, version("a.ank", "b.ank"), False),
        (TOP, version("c.ank", "b.ank"), False),
        ({**TOP, "state_file": "s.ank"}, version("b.ank", states=("s.ank",)), True),
        ({**TOP, "state_file": "s.ank"}, version("b.ank"), False),
        (TOP, version("b.ank", states=("s.ank",)), False),
        # what is not told is different, also from what is not told
        ({}, version(), False),
        ({"hard_drives": []}, version(), False),
        ({"hard_drives": "b.ank"}, version("b.ank"), False),
        ({"hard_drives": ["b.ank"]}, version("b.ank"), False),
        ({"hard_drives": [{"file": None}]}, version(), False),
        (TOP, version(), False),
        ({}, version("b.ank"), False),
    ],
)
def test_by_layer_names(config: dict[str, Any], other: Version, same: bool) -> None:
    assert same is Content.of_config(config).same(Content.of_version(other))
