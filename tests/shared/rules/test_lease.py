"""Leases: what is written is read again, and what another system wrote is left alone."""

import pytest

from anka_ci.rules import lease

NOW = 1_764_000_000.4  # 2025-11-24T16:00:00.4Z


def test_what_is_made_is_read_again():
    held = lease.make("build-42.x_Y", 7200, NOW)
    assert "anka-ci/build-42.x_Y/20251124T180001Z" == held.external_id
    assert held == lease.read(held.external_id)


def test_it_is_overdue_from_its_expiry_on():
    held = lease.Lease(owner="me", expiry=100)
    assert [False, True, True] == [held.overdue(now) for now in (99.9, 100, 101)]


@pytest.mark.parametrize(
    "text", ["", "anka-ci", "anka-ci-2/me/20251124T180001Z", "job-7", "Anka-CI/me/20251124T180001Z"]
)
def test_a_foreign_external_id_is_nobodys_lease(text):
    assert (None, False) == (lease.read(text), lease.ours(text))


@pytest.mark.parametrize(
    "text",
    [
        "anka-ci/",
        "anka-ci/me",
        "anka-ci/me/",
        "anka-ci/me/soon",
        "anka-ci//20251124T180001Z",
        "anka-ci/a/b/20251124T180001Z",
        "anka-ci/me/20251124T180001",
        "anka-ci/me/20251324T180001Z",
        "anka-ci/me/20251124T186001Z",
        "anka-ci/me/20251124T180001Z\n",
        "anka-ci/me/２０２５1124T180001Z",
        "anka-ci/m e/20251124T180001Z",
    ],
)
def test_a_malformed_lease_is_an_error(text):
    assert lease.ours(text)
    with pytest.raises(ValueError, match="anka-ci/"):
        lease.read(text)


@pytest.mark.parametrize("owner", ["", "a/b", "a b", "ü", "a\n", "x" * 101])
def test_an_owner_that_has_no_place_in_it(owner):
    with pytest.raises(ValueError, match="the owner"):
        lease.make(owner, 60, NOW)


@pytest.mark.parametrize("seconds", [0, 0.5, float("nan"), 400 * 86400, float("inf")])
def test_a_length_that_is_none(seconds):
    with pytest.raises(ValueError, match="the lease has to last"):
        lease.make("me", seconds, NOW)
