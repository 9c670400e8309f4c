"""Plans: what a step is going to do, as frozen data with a digest.

A plan decides nothing and does nothing; ``plan()`` of a step makes it, ``run()`` of the step carries it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anka_ci.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing that will be done. ``text`` says it to people, ``with_`` holds all that ``run`` needs.

    That is JSON values, and ``Secret`` for what must be in no digest and no document: ``emit`` shows it as ``***``.
    ``writes`` is False for what changes nothing anywhere, such as a wait or a check.
    """

    verb: str
    text: str
    with_: Mapping[str, object] = field(default_factory=dict)
    writes: bool = True

    def emit(self) -> dict[str, object]:
        return {"verb": self.verb, "text": self.text, "with": _shown(self.with_), "writes": self.writes}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(each) for each in value]
    return str(value) if isinstance(value, Secret) else value


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One thing that will be gone: a version, a template, a replaced tag, what a VM holds that was not pushed.

    ``little``: a template's newest version, or the unpushed changes of one VM; ``confirm: yes`` is enough for one such.
    """

    text: str
    little: bool = False

    def emit(self) -> dict[str, object]:
        return {"text": self.text, "little": self.little}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a step will do.

    ``actions`` is empty when there is nothing to do; ``expects`` are the outputs as far as they are known (dashed
    keys, JSON values); ``bytes`` is what will be moved, None when that cannot be known; ``notes`` are for people.
    """

    step: str
    actions: tuple[Action, ...] = ()
    loses: tuple[Loss, ...] = ()
    bytes: int | None = 0
    expects: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Twelve hex digits over actions and losses: the same plan has the same digest on every machine."""
        content = [self.step, [action.emit() for action in self.actions], [loss.emit() for loss in self.loses]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def writes(self) -> bool:
        """Whether anything will be changed at all."""
        return any(action.writes for action in self.actions)

    @property
    def loses_little(self) -> bool:
        """Nothing, or one thing that is little: what ``confirm: yes`` is enough for."""
        return not self.loses or (len(self.loses) == 1 and self.loses[0].little)

    def emit(self) -> dict[str, object]:
        return {
            "step": self.step,
            "digest": self.digest,
            "actions": [action.emit() for action in self.actions],
            "loses": [loss.emit() for loss in self.loses],
            "bytes": self.bytes,
            "expects": dict(self.expects),
            "notes": list(self.notes),
        }
