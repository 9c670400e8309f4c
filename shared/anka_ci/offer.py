"""What a server does not offer, because of its release, its licence or our permissions: an error that says so.

Asks a server for its status only once a call has failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError
from anka_ci.wire.server_status import ServerStatus

if TYPE_CHECKING:
    from anka_ci.transport import Transport


@contextlib.contextmanager
def offered(
    rest: Transport, what: str, *, since: str = "", hint: str = "", status: str = "/api/v1/status"
) -> Iterator[None]:
    """A call to do ``what`` ("restart instances"). ``since`` is the release that brought it, where that is documented.

    ``RefusedError`` when the server lacks the call (a plain 404), ``NotAuthorisedError`` when it is not permitted, each
    with the server's version and licence. Every other error passes.
    """
    who = rest.what.replace("the ", "this ", 1)
    try:
        yield
    except NotFoundError as error:
        if error.noun != "call":
            raise
        told = f"Anka Build Cloud offers it since {since}" if since else "older releases lack the call"
        raise RefusedError(f"{who} cannot {what}{_described(rest, status)}", hint=hint or told) from error
    except NotAuthorisedError as error:
        if "not permitted" not in error.message:
            raise
        told = "ask for the permission, or use another sign-in; some calls need another licence"
        text = f"{who} does not let us {what}{_described(rest, status)}: {error.message}"
        raise NotAuthorisedError(text, hint=told, **error.facts) from error


def _described(rest: Transport, path: str) -> str:
    try:
        status = ServerStatus.read(rest.get(path) or {})
    except (AnkaCiError, AttributeError):
        return ""
    told = [status.version, f"licence {status.license}" if status.license else ""]
    return f" ({', '.join(each for each in told if each)})" if any(told) else ""
