"""Leases: every instance that anka-ci starts says by itself whose it is and until when it may run.

A lease is the instance's ``external_id``, ``anka-ci/<owner>/<expiry>``; there is no local file. Nothing here reads a
clock or ends anything, and what another system wrote as ``external_id`` is nobody's lease.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass

PREFIX = "anka-ci/"
LONGEST = 366 * 86400.0
"""Seconds that a lease may last at most."""
_OWNER = r"[A-Za-z0-9._-]{1,100}"
_EXPIRY = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """``expiry`` in whole Unix seconds."""

    owner: str
    expiry: int

    @property
    def until(self) -> str:
        """The expiry as it is written, such as ``20260131T120000Z``."""
        return dt.datetime.fromtimestamp(self.expiry, dt.timezone.utc).strftime(_EXPIRY)

    @property
    def external_id(self) -> str:
        return f"{PREFIX}{self.owner}/{self.until}"

    def overdue(self, now: float) -> bool:
        """Whether it is over at ``now`` (Unix seconds)."""
        return now >= self.expiry


def check_owner(owner: str) -> None:
    """``ValueError`` for an owner that has no place in an ``external_id``."""
    if not re.fullmatch(_OWNER, owner):
        raise ValueError(f"the owner {owner[:200]!r} may hold letters, digits and . _ - only, and 100 of them at most")


def check_length(seconds: float) -> None:
    """``ValueError`` for a lease that ends at once, or practically never."""
    if not 1 <= seconds <= LONGEST:
        raise ValueError("the lease has to last from one second to 366 days")


def make(owner: str, seconds: float, now: float) -> Lease:
    """A lease from ``now`` (Unix seconds) for ``seconds``, to the next whole second."""
    check_owner(owner)
    check_length(seconds)
    return Lease(owner=owner, expiry=math.ceil(now + seconds))


def ours(external_id: str) -> bool:
    """Whether an ``external_id`` says that anka-ci started the instance, even if the rest cannot be read."""
    return external_id.startswith(PREFIX)


def read(external_id: str) -> Lease | None:
    """The lease in an ``external_id``; None for a foreign one, ``ValueError`` for one of ours that is malformed."""
    if not ours(external_id):
        return None
    match = re.fullmatch(rf"{PREFIX}({_OWNER})/([0-9]{{8}}T[0-9]{{6}}Z)", external_id)
    if not match:
        raise ValueError(f"{external_id[:200]!r} is not {PREFIX}<owner>/<YYYYMMDDTHHMMSSZ>")
    try:
        moment = dt.datetime.strptime(match.group(2), _EXPIRY).replace(tzinfo=dt.timezone.utc)
    except ValueError:
        raise ValueError(f"{external_id[:200]!r} names no moment that exists") from None
    return Lease(owner=match.group(1), expiry=int(moment.timestamp()))
