"""What a policy comes to: what goes and what it frees, what newer tags pin and the remedy, and why a tag stays.

As rows for outputs and as a plan's actions and losses, whose texts hold nothing that changes by itself. Only decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from anka_ci.errors import NotFoundError, UsageError
from anka_ci.inputs import show_size
from anka_ci.plan import Action, Loss
from anka_ci.rules import selection
from anka_ci.rules.layers import Layers, Range
from anka_ci.rules.retention import Case, Judged, Retention
from anka_ci.rules.sight import FEW
from anka_ci.rules.usage import Usage, titles
from anka_ci.wire.template import Template, Version


class Report:
    """Of a policy over the templates of a registry. ``unseen``: nodes and instances need not be seen."""

    def __init__(self, templates: Sequence[Template], retention: Retention, usage: Usage, *, unseen: bool) -> None:
        self._retention, self._usage, self._unseen = retention, usage, unseen
        self._layers = Layers(templates)
        self._namesakes = Counter(template.name for template in templates)
        self.going = [case for case in retention.cases if case.going]
        self._gone = self._layers.uses(version for case in self.going for version in _versions(case, case.going))
        self.frees = self._layers.freed(self._gone)
        """What all that goes frees in all."""

    def removals(self) -> list[dict[str, Any]]:
        """A row for each template of which something goes; bytes that two share are those of the last."""
        before: Counter[int] = Counter()
        rows = []
        for case in self.going:
            uses = self._layers.uses(_versions(case, case.going))
            row = {
                "template": case.template.name,
                "goes": "template" if case.whole else "tags",
                "tags": [each.version.tag for each in case.going],
                "by": _together(each.by for each in case.going),
                **_bytes(self._layers.freed(uses, before)),
                "id": case.template.id,
            }
            before.update(uses)
            rows.append(row)
        return rows

    def pinned(self) -> list[dict[str, Any]]:
        """A row for each template with tags that a rule lets go and a newer one pins, with the remedy and its bytes."""
        return [self._remedy(case) for case in self._retention.cases if case.pinned]

    def _remedy(self, case: Case) -> dict[str, Any]:
        oldest = case.pinned[0].version
        later = [each for each in case.tags if each.version.number >= oldest.number and each.verdict != "delete"]
        movers = [each.version for each in later if each.verdict == "keep"]
        keys = [(case.template.id, version.number) for version in movers]
        channels = titles(self._usage.channels, keys)
        frees = self._layers.freed(self._layers.uses(_versions(case, later)), self._gone)
        sizes = [version.size for version in movers]
        stores = None if None in sizes else sum(size or 0 for size in sizes)
        moved = selection.listed([version.tag for version in movers], FEW)
        steps = [f"push {moved} flattened as {'a new template' if len(movers) == 1 else 'new templates'}"]
        steps[0] += "" if stores is None else f" (at most {show_size(stores)})"
        steps += [f"move {selection.listed(channels, FEW)} there"] if channels else []
        name = self._title(case.template)
        end = f"delete {name}" if oldest.number == 0 else f"revert {name}:{oldest.tag}"
        row = {
            "template": case.template.name,
            "tags": [each.version.tag for each in case.pinned],
            "by": _together(each.by for each in case.pinned),
            "pinned-by": moved,
            "because": _together(each.by for each in later if each.verdict == "keep"),
            "remedy": f"{', '.join(steps)}, then {end}: frees {frees}",
            **({} if stores is None else {"stores": stores}),
        }
        return row | _bytes(frees) | {"id": case.template.id}

    def actions(self) -> tuple[Action, ...]:
        """One for each template of which something goes, in the registry's order."""
        return tuple(self._action(case) for case in self.going)

    def _action(self, case: Case) -> Action:
        template, going = case.template, [each.version for each in case.going]
        name, tags = self._title(template), [each.tag for each in going]
        if case.whole:
            text = f"delete {name} with {selection.listed(tags)}"
        else:
            text = f"revert {name}:{tags[0]}" + (f" with {selection.listed(tags[1:])}" if tags[1:] else "")
        with_ = {
            "id": template.id,
            "name": name,
            "whole": case.whole,
            "all": [each.version.tag for each in case.tags],
            "tags": tags,
            "number": going[0].number,
            "pulled": pulled(going),
            "unseen": self._unseen,
        }
        return Action(verb="delete" if case.whole else "revert", text=text, with_=with_)

    def losses(self) -> tuple[Loss, ...]:
        """What goes, one by one; only a digest confirms it."""
        found = []
        for case in self.going:
            name = self._title(case.template)
            if case.whole:
                size = case.template.size
                told = "" if size is None else f", {show_size(size)}"
                found.append(f"the template {case.template.name} ({case.template.id}){told}")
            for each in case.going:
                size = each.version.size
                told = "" if size is None else f", {show_size(size)} in all"
                found.append(f"{name}:{each.version.tag} (version {each.version.number}{told}), by the {each.by}")
        return tuple(Loss(text=text) for text in found)

    def notes(self) -> tuple[str, ...]:
        """What people should know of the judgement."""
        found = list(self._usage.notes)
        if self._retention.unknown and not self._retention.pulls_told:
            found.append("the registry tells of no pull of any template; registries do since 1.43")
        for name, count in self._retention.unknown.items():
            found.append(f"the delete rule {name!r} could not judge {count} tags, which the registry tells no time of")
        for rule in self._retention.unmatched:
            found.append(f"the {rule.title} matches no tag of the registry")
        empty = [self._title(each.template) for each in self._retention.cases if not each.tags]
        if empty:
            found.append(f"left alone, because they have no tag to judge: {selection.listed(empty)}")
        return tuple(found)

    def explained(self, sought: str) -> tuple[str, list[dict[str, str]]]:
        """The verdict on ``TEMPLATE:TAG``, and what each rule says of it."""
        case, judged = self._find(sought)
        rows = [
            {"rule": each.rule, "says": each.says, "why": each.why}
            for each in self._retention.answers(case.template, judged.version)
        ]
        title = f"{self._title(case.template)}:{judged.version.tag}"
        if judged.verdict == "keep":
            return f"{title} stays: {judged.by}", rows
        if judged.pin is not None:
            reason = next(each.by for each in case.tags if each.version == judged.pin)
            return f"{title} stays, although the {judged.by} lets it go: {judged.pin.tag} is newer ({reason})", rows
        return f"{title} goes: {judged.by}", rows

    def _find(self, sought: str) -> tuple[Case, Judged]:
        """The tag that ``TEMPLATE:TAG`` means; both may hold a colon."""
        words = sought.split(":")
        pairs = [(":".join(words[:at]), ":".join(words[at:])) for at in range(1, len(words))]
        near = [
            (case, tag)
            for name, tag in pairs
            for case in self._retention.cases
            if name in (case.template.name, case.template.id)
        ]
        found = [(case, each) for case, tag in near for each in case.tags if each.version.tag == tag]
        if len(found) > 1:
            ids = ", ".join(case.template.id for case, _ in found)
            raise UsageError(f"{len(found)} tags are {sought!r}", hint=f"give the template's id: {ids}")
        if not found and near:
            known = [each.version.tag for case, _ in near for each in case.tags]
            raise NotFoundError("tag", near[0][1], where=f"template {near[0][0].template.name}", known=known)
        if not found:
            known = [case.template.name for case in self._retention.cases]
            raise NotFoundError("template", pairs[0][0] if pairs else sought, known=known)
        return found[0]

    def _title(self, template: Template) -> str:
        """A template's name, with its id where another has the same."""
        return template.name if self._namesakes[template.name] < 2 else f"{template.name} ({template.id})"


def pulled(versions: Iterable[Version]) -> int | None:
    """When one of them was last pulled; None when none was, as far as the registry tells."""
    return max((each.last_pull or 0 for each in versions), default=0) or None


def _versions(case: Case, judged: Iterable[Judged]) -> list[tuple[Template, Version]]:
    return [(case.template, each.version) for each in judged]


def _bytes(range_: Range) -> dict[str, int]:
    told = {"frees-least": range_.least}
    return told if range_.most is None else told | {"frees-most": range_.most}


def _together(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
