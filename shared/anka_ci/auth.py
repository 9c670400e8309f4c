"""Signing in to a controller or registry.

Only explicit credentials are used: ``~/.netrc`` is never read. The root token goes as HTTP Basic with the user
``root``, as Anka documents it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.settings import Context


def headers(context: Context) -> dict[str, str]:
    """The headers that sign a request in; empty when the context has no credentials."""
    return {} if context.token is None else {"Authorization": basic("root", context.token)}


def basic(user: str, password: Secret) -> str:
    """The value of a Basic ``Authorization`` header."""
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
