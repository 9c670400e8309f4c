"""Saving an instance as a tag: beginning it for sure and once, waiting for it, and seeing the tag in the registry.

What has begun cannot be cancelled at a controller; after an interruption it goes on, and that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, FellShortError, NotFoundError, RefusedError, UnreachableError
from anka_ci.result import Said
from anka_ci.rules import instances, watch
from anka_ci.wire.image import FAILED, ImageRequest
from anka_ci.wire.instance import STARTED, Instance
from anka_ci.wire.values import check_name

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.start import Save
    from anka_ci.wire.template import Template, Version

CACHE = 60.0
"""Seconds until the registry must show the tag: it caches its list for 30 s (ANKA_VM_LIST_CACHE_TTL)."""


def check_running(instance: Instance) -> None:
    """``RefusedError`` unless the instance runs."""
    if instance.state != STARTED:
        said = f" ({instance.message})" if instance.message else ""
        raise RefusedError(
            f"the instance {instances.title(instance)} is {instance.state}{said}; only a started one is saved",
            hint="wait until it is started, or start another",
        )


def check_absent(template: Template, tag: str) -> None:
    """``RefusedError`` when the template has the tag already."""
    there = next((each for each in template.versions or () if each.tag == tag), None)
    if there is not None:
        raise RefusedError(
            f"the tag exists: {template.name}:{tag} (version {there.number})",
            hint="choose another tag; a saved instance never replaces one",
        )


def check_new(anka: Anka, name: str) -> str:
    """The name, if a new template may have it: ``UsageError`` for one that none can have, ``RefusedError`` for one that
    the registry has."""
    check_name(name)
    same = [each.id for each in anka.registry.stack("save an image").templates() if each.name == name]
    if same:
        hint = f"add a tag to it with template: {same[0]}, or choose another name"
        raise RefusedError(f"the registry has a template named {name}", hint=hint)
    return name


def begin(anka: Anka, wanted: Save) -> str:
    """Begin to save; the request's id. When the answer is lost the request is looked for, and never sent again."""
    before = {each.id for each in anka.controller.instances.images()}
    try:
        return anka.controller.instances.save(wanted)
    except UnreachableError as error:
        lost = error
    anka.tell(Said(text=f"{lost.message}; looking whether it was taken all the same", level="warning"))
    began = anka.clock.monotonic()

    def look() -> watch.Seen[list[str]]:
        new = [each for each in anka.controller.instances.images() if each.id not in before]
        same = [each.id for each in new if each.instance_id == wanted.instance_id and each.tag == wanted.tag]
        late = anka.clock.monotonic() - began >= instances.APPEARING
        return watch.Seen(value=same, ended=bool(same) or late)

    try:
        found = watch.poll(look, anka, what="looking for the request", unreachable=instances.APPEARING)
    except AnkaCiError as error:
        hint = f"the instance may be being saved: look for the tag {wanted.tag} before you save again"
        raise type(error)(f"{lost.message}; {error.message}", hint=hint, **error.facts) from error
    if not found:
        raise UnreachableError(f"{lost.message}; and nothing was begun", hint="try again", **lost.facts)
    return found[0]


def follow(anka: Anka, request_id: str) -> ImageRequest:
    """Wait until a request is done. ``FellShortError`` when it failed, with its script's output; no limit of its own,
    because a push may take hours and tells nothing on its way."""
    last: list[ImageRequest] = []

    def look() -> watch.Seen[ImageRequest]:
        try:
            now = anka.controller.instances.image(request_id)
        except NotFoundError as error:  # the controller may not show yet what it has taken, or answer with nothing
            raise UnreachableError(f"{error.message} just now") from error
        last[:] = [now]
        return watch.Seen(value=now, ended=now.ended, failed=_failure(now))

    try:
        return watch.poll(look, anka, what=f"saving as the request {request_id}")
    except AnkaCiError as error:
        error.facts["request-id"] = request_id
        if not last or not last[0].ended:
            error.message += "; the request goes on at the controller"
        elif last[0].script_result:
            error.hint = instances.output(last[0].script_result)
        raise


def arrived(anka: Anka, tag: str, *, template_id: str = "", new_template: str = "") -> tuple[Template, Version]:
    """The template and the version that the registry shows once it was told as done; ``FellShortError`` if it does
    not."""
    where = template_id or new_template

    def look() -> watch.Seen[tuple[Template, Version] | None]:
        try:
            found = anka.registry.by_id(template_id) if template_id else anka.registry.template(new_template)
        except NotFoundError:
            return watch.Seen(value=None, ended=False)
        version = next((each for each in found.versions or () if each.tag == tag), None)
        return watch.Seen(value=(found, version) if version else None, ended=version is not None)

    try:
        found = watch.poll(look, anka, what=f"looking for {where}:{tag}", stall=CACHE)
    except FellShortError as error:
        raise FellShortError(
            f"the controller says that it is saved, but {anka.registry.url} does not show {where}:{tag}",
            hint="is that the registry of the controller? It may also be caching its list for long",
        ) from error
    assert found is not None
    return found


def _failure(request: ImageRequest) -> str:
    if request.status != FAILED:
        return ""
    return f"it failed: {request.error or 'no reason told'}; the instance runs on, unless its state says otherwise"
