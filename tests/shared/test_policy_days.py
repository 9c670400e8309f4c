"""Bad days of a fleet, a few of them: the outcome equals the policy. Hundreds are in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetday import lived, wrong


@pytest.mark.parametrize("seed", [2, 5, 51, 74, 101, 130])
def test_the_outcome_equals_the_policy(seed: int, seeded: Path, tmp_path: Path) -> None:
    assert [] == wrong(lived(seed, 100, seeded, tmp_path))
