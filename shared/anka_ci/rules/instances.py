"""Instances: which one is meant, where one can start, starting one for sure and once, and waiting for its two ends.

An instance that is not anka-ci's is never ended from here unless a caller names it by its id.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from anka_ci.errors import (
    AnkaCiError,
    FellShortError,
    InterruptError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.result import Progress, Said
from anka_ci.rules import selection, watch
from anka_ci.wire.instance import PULLING, SSH, TERMINATED, Instance, ScriptResult
from anka_ci.wire.node import DRAINING, Node

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.start import Start
    from anka_ci.wire.template import Template, Version

ENDING = 600.0
"""Seconds that instances get to end. Anka takes about a minute for one that had no node; it documents no limit."""
QUIET = 600.0
"""Seconds without a change after which a start is given up at the soonest: a node may have to pull the tag first."""
APPEARING = 15.0
"""Seconds for which the controller may not show yet what it has just started."""
PARTING = 3.0
"""Seconds for ending an instance after an interruption; the process has five until it has to be gone."""
MARK = "anka-ci-start"
"""The key in ``metadata`` that tells one start from any other, so that a lost answer does not start a second one."""
LINES = 20
"""Lines of a script's output that an error shows."""


def title(instance: Instance) -> str:
    """What people are told of it: its name, if it has one, and its id."""
    return f"{instance.name} ({instance.id})" if instance.name else instance.id


def pick(found: Sequence[Instance], sought: str) -> Instance:
    """An instance by exact id, then by exact name; ``UsageError`` for two, ``NotFoundError`` for none.

    One that is ended keeps its name for a while, which then does not count.
    """
    there = [each for each in found if each.state != TERMINATED]
    matches = [each for each in found if each.id == sought] or [each for each in there if each.name == sought]
    if len(matches) > 1:
        ids = ", ".join(each.id for each in matches)
        raise UsageError(f"{len(matches)} instances are named {sought!r}", hint=f"give one id: {ids}")
    if not matches:
        raise NotFoundError(
            "instance", sought, where="the controller", known=[each.name for each in there if each.name]
        )
    return matches[0]


def cannot_start(node: Node, template: Template) -> str:
    """Why a node will not start an instance of a template; empty when it may. A full node only lets it wait."""
    if template.arch and node.arch and template.arch != node.arch:
        return f"the node is {node.arch}, the template is {template.arch}"
    if node.state.lower() == DRAINING.lower():
        return "the node is drained: it starts nothing until `undrain`"
    return selection.out_of_reach(node)


def check_startable(nodes: Sequence[Node], template: Template, version: Version) -> None:
    """``RefusedError`` when none of these nodes can start a template, with each one's reason."""
    unable = {node.name: why for node in nodes if (why := cannot_start(node, template))}
    if len(unable) == len(nodes):
        listed = "; ".join(f"{node}: {why}" for node, why in list(unable.items())[:20])
        what = f"{template.name}:{version.tag}"
        raise RefusedError(f"no node that may can start {what}: {listed}", hint="choose others, or put them right")


def check_size(vcpu: int | None, memory: int | None) -> None:
    """``ValueError`` for an instance without a core or without memory (bytes); None is the template's own."""
    if (vcpu is not None and vcpu < 1) or (memory is not None and memory < 1):
        raise ValueError("vcpu and memory have to be more than nothing")


def script(text: str | None, file: str | None) -> str:
    """A script that is given as text or as the path of a file; empty when neither is."""
    if file is None:
        return text or ""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the script {file} cannot be read: {error}", hint="name a file of text in UTF-8") from None


def mark() -> dict[str, str]:
    """Metadata that no other start has."""
    return {MARK: uuid4().hex}


def started_as(anka: Anka, wanted: Start) -> list[Instance]:
    """The instances that came of a start: those with its lease and its mark, where marks are told."""
    mine, sought = wanted.external_id, wanted.metadata.get(MARK)
    same = [each for each in anka.controller.instances.all() if each.external_id == mine]
    return [each for each in same if each.metadata.get(MARK, sought) == sought]


def begin(anka: Anka, wanted: Start, *, keep: bool) -> str:
    """Start one instance; its id. When the answer is lost it is looked for, and never started a second time.

    ``wanted`` has a lease as ``external_id``, and ``mark()`` as metadata. ``UnreachableError`` when it cannot be found.
    When the looking is cut short it is ended, if it is there, unless ``keep``.
    """
    try:
        return anka.controller.instances.start(wanted)[0]
    except UnreachableError as error:
        lost = error
    anka.tell(Said(text=f"{lost.message}; looking whether it was started all the same", level="warning"))
    began = anka.clock.monotonic()

    def look() -> watch.Seen[list[Instance]]:
        same = started_as(anka, wanted)
        return watch.Seen(value=same, ended=bool(same) or anka.clock.monotonic() - began >= APPEARING)

    try:
        found = watch.poll(look, anka, what="looking for the instance", unreachable=APPEARING)
    except AnkaCiError as error:
        hint = f"it may have been started: look for {wanted.external_id}, which `sweep` ends when its lease is over"
        with contextlib.suppress(AnkaCiError):  # a last look, although everything else is over
            for each in started_as(anka.afterwards(PARTING), wanted):
                hint = f"it was started as {each.id}" + ("" if keep else f"; {end_now(anka, each.id)}")
        raise type(error)(f"{lost.message}; {error.message}", hint=hint, **error.facts) from error
    if not found:
        raise UnreachableError(f"{lost.message}; and nothing was started", hint="try again", **lost.facts)
    return found[0].id


def await_started(anka: Anka, instance_id: str, *, stall: float) -> Instance:
    """Wait until an instance can be used. ``FellShortError`` when it cannot any more, with its message and its
    script's output, and when nothing moved for ``stall`` seconds."""
    last: list[Instance] = []
    began = anka.clock.monotonic()

    def look() -> watch.Seen[Instance | None]:
        try:
            now = anka.controller.instances.get(instance_id)
        except NotFoundError as error:
            if last or anka.clock.monotonic() - began >= APPEARING:
                return watch.Seen(value=None, ended=False, failed=f"{error.message}: somebody ended it")
            return watch.Seen(value=None, ended=False)
        tell(anka, last[-1] if last else None, now)
        last[:] = [now]
        moved = (now.state, now.progress, now.node_id, now.message)
        return watch.Seen(value=now, ended=now.started, mark=moved, failed=failure(now) if now.ended else "")

    try:
        found = watch.poll(look, anka, what=f"starting {instance_id}", stall=stall)
    except AnkaCiError as error:
        error.facts["instance-id"] = instance_id
        if last and not last[0].ended:
            error.message += f"; {standing(last[0])}"
        if last and last[0].startup_script:
            error.hint = output(last[0].startup_script)
        raise
    assert found is not None
    return found


def tell(anka: Anka, before: Instance | None, now: Instance) -> None:
    """Tell how an instance has moved."""
    if before is None or before.state != now.state:
        where = f" on {now.node_id}" if now.node_id else ""
        anka.tell(Said(text=f"{title(now)} is {now.state}{where}" + (f": {now.message}" if now.message else "")))
    if now.state == PULLING and (before is None or before.progress != now.progress):
        anka.tell(Progress(subject=now.tag, done=now.progress, total=1.0, node=now.node_id))


def standing(instance: Instance) -> str:
    """Where an instance stands that has not come up yet."""
    if not instance.node_id:
        return f"it is {instance.state}: no node had a place for it yet"
    return f"it is {instance.state} on {instance.node_id}" + (f" ({instance.message})" if instance.message else "")


def failure(instance: Instance) -> str:
    """Why an instance will not come up."""
    return f"it is {instance.state}" + (f": {instance.message}" if instance.message else "")


def output(result: ScriptResult) -> str:
    """The end of what a script said, for people; empty when it said nothing."""
    lines = [*result.stdout.splitlines(), *result.stderr.splitlines(), *result.errors]
    shown = "".join(f"\n  | {line}" for line in lines[-LINES:])
    return f"its script said:{shown}" if lines else ""


def address(instance: Instance, node: Node | None) -> tuple[str, int | None]:
    """The host, and its port that leads to the guest's SSH (None when no rule does); clients take the node's address
    where the VM tells none."""
    vm = instance.vm
    host = (vm.host_ip if vm else "") or (node.ip if node else "")
    rules = vm.port_forwarding if vm else ()
    port = next((rule.host_port for rule in rules if rule.guest_port == SSH and rule.protocol == "tcp"), None)
    return host, port


def facts(anka: Anka, instance: Instance) -> dict[str, object]:
    """What a started instance tells, as the outputs of a step; what it does not tell is left out."""
    node = next((each for each in anka.controller.nodes() if each.id == instance.node_id), None)
    host, port = address(instance, node)
    told = {
        "state": instance.state,
        "name": instance.name,
        "node": node.name if node else instance.node_id,
        "host": host,
        "ssh-port": port,
        "ip": instance.vm.ip if instance.vm else "",
        "script-output": instance.startup_script.stdout if instance.startup_script else "",
    }
    return {key: value for key, value in told.items() if value not in (None, "")}


def end_now(anka: Anka, instance_id: str, seconds: float = PARTING) -> str:
    """End an instance although everything else is over; what became of it, as a sentence. It is not waited for."""
    try:
        anka.afterwards(seconds).controller.instances.terminate(instance_id)
    except NotFoundError:
        return "the instance is gone"
    except AnkaCiError as error:
        return f"ending {instance_id} failed ({error.message}): `sweep` ends it when its lease is over"
    return "the instance was ended"


def end(anka: Anka, targets: Mapping[str, str]) -> None:
    """End instances (id to title) and wait until they are gone, or Terminated, which is as good.

    A failure carries in its fact ``instances`` why each is left that is, by id. ``FellShortError`` when one was refused
    or did not end in time.
    """
    refused: dict[str, str] = {}
    asked: list[str] = []
    states: dict[str, str] = {}
    looked = False
    try:
        for instance_id in targets:
            try:
                anka.controller.instances.terminate(instance_id)
            except NotFoundError:
                continue
            except InterruptError:
                raise
            except AnkaCiError as error:
                refused[instance_id] = error.message
            else:
                asked.append(instance_id)

        def look() -> watch.Seen[None]:
            nonlocal looked
            found = anka.controller.instances.all()
            if not found:  # an empty list proves nothing: a controller may answer with nothing at all
                with contextlib.suppress(NotFoundError):
                    found = [anka.controller.instances.get(asked[0])]
            looked = True
            states.clear()
            for each in found:
                if each.id in asked and each.state != TERMINATED:
                    states[each.id] = f"it is {each.state}" + (f": {each.message}" if each.message else "")
            return watch.Seen(value=None, ended=not states, mark=dict(states))

        if asked:
            watch.poll(look, anka, what=f"ending {selection.listed(list(targets.values()))}", stall=ENDING)
    except AnkaCiError as error:
        untold = dict.fromkeys((each for each in targets if each not in asked and each not in refused), "not asked yet")
        error.facts["instances"] = untold | (states if looked else dict.fromkeys(asked, "asked to end")) | refused
        if states:
            error.message += "; " + "; ".join(f"{targets[each]}: {said}" for each, said in states.items())
        raise
    if refused:
        listed = "; ".join(f"{targets[each]}: {said}" for each, said in refused.items())
        raise FellShortError(f"{len(refused)} of {len(targets)} were not ended: {listed}", instances=refused)
