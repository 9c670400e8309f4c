"""A build: one run of a job on its CI system, started from here and followed to its end.

The CI system itself is behind ``Builder``, which only starts, looks and cancels. Nothing here prints, and nothing waits
but ``rules.watch``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from anka_ci.anka import Anka
from anka_ci.errors import AnkaCiError, FellShortError, InterruptError
from anka_ci.result import Result, Said, StepResult
from anka_ci.rules.watch import Seen, poll

STEP = "dispatch"
"""The step's name in the result document."""
LAST, HURRY = 3.0, 0.4
"""Seconds for asking for the end of a build after an interruption; the whole command has five, and when a look at a
silent server was broken off, most of them are gone."""


class EndedBadlyError(FellShortError):
    """The build itself came to an end that is not what was asked for."""

    fault = "yours"


class BrokenOffError(InterruptError):
    """An interruption while a server was asked, which may not have answered."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One run. ``state`` is the CI system's own word; ``outcome`` is empty until it has ended.

    ``went`` is what the end means: it did what was asked, it failed, or it was cancelled. ``reason`` says what failed
    in it, where the CI system tells.
    """

    id: str
    url: str
    state: str = ""
    outcome: str = ""
    reason: str = ""
    went: Literal["", "well", "wrong", "cancelled"] = ""


class Builder(Protocol):
    """What an adapter implements, for one job."""

    job: str
    """The job's name, for people."""

    def start(self, inputs: Mapping[str, str]) -> Build:
        """Start it; the build, once it is known which it is."""

    def look(self, build: Build) -> Build:
        """The build as it is now."""

    def cancel(self, build: Build, seconds: float) -> bool:
        """Ask for its end, within ``seconds`` and although the work was cancelled; False when it had ended already."""


def dispatch(
    builder: Builder, anka: Anka, inputs: Mapping[str, str], *, wait: bool = True, keep: bool = False
) -> Result:
    """Start a build and wait for its end, as a result with the code of that end: 0, or 7 for any other than well.

    An interruption and the end of the time cancel the build, unless it is to ``keep`` running. Raises what ``start``
    raises; everything that goes wrong once there is a build is in the result, which names the build.
    """
    started = anka.clock.monotonic()
    build = builder.start(inputs)
    anka.tell(Said(text=f"{builder.job} is started: {build.url}"))
    try:
        if wait:
            build = _follow(builder, build, anka)
        if not build.went:  # an end that is known stands, also when an interruption comes with it
            anka.cancelled.check(f"wait for {build.url}")
        return _result(builder, build, anka.clock.monotonic() - started)
    except AnkaCiError as error:
        error.facts["url"] = build.url
        if isinstance(error, (InterruptError, FellShortError)) and not build.went:
            error.hint = _cancel(builder, build, HURRY if isinstance(error, BrokenOffError) else LAST, keep)
        else:
            error.hint = error.hint or f"the build may go on: {build.url}"
        return _result(builder, build, anka.clock.monotonic() - started, error)


def _follow(builder: Builder, build: Build, anka: Anka) -> Build:
    told = [build.state]

    def look() -> Seen[Build]:
        try:
            found = builder.look(build)
        except InterruptError as error:
            raise BrokenOffError(error.message) from error
        if found.state not in told:
            told.append(found.state)
            anka.tell(Said(text=f"{builder.job}: {found.state}"))
        return Seen(value=found, ended=bool(found.outcome), mark=found.state)

    return poll(look, anka, what=f"wait for {build.url}", first=2.0, slowest=15.0)


def _cancel(builder: Builder, build: Build, seconds: float, keep: bool) -> str:
    """Cancel what was started; what is to be said of it."""
    if keep:
        return f"it goes on: {build.url}"
    try:
        ended = not builder.cancel(build, seconds)
    except AnkaCiError as error:
        return f"and it could not be cancelled ({error.message}); it may go on: {build.url}"
    return "it had ended already" if ended else f"it was cancelled: {build.url}"


def _result(builder: Builder, build: Build, seconds: float, error: AnkaCiError | None = None) -> Result:
    if error is None and build.went in ("wrong", "cancelled"):
        words = f"{builder.job} ended with {build.outcome}" + (f": {build.reason}" if build.reason else "")
        error = EndedBadlyError(words, hint=f"see {build.url}", url=build.url)
    outputs = {key: value for key, value in dataclasses.asdict(build).items() if value and key != "went"}
    status: Literal["done", "failed", "interrupted"] = "done"
    if error is not None:
        status = "interrupted" if isinstance(error, InterruptError) else "failed"
    told = error.emit() if error else None
    step = StepResult(id=builder.job, step=STEP, status=status, outputs=outputs, error=told, seconds=seconds)
    return Result(name=STEP, status=status, code=error.code if error else 0, steps=[step], error=told)
