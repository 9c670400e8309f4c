"""The command line as words: options before or after positionals, in every spelling that Anka has had.

Knows no command; a table of options goes in, values and positionals come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anka_ci.errors import UsageError, suggestion

Options = Mapping[str, tuple[str, bool]]
"""Each spelling (``--tag``, ``-t``) with the name of its value, and whether a value follows it."""


def options(*declared: str) -> dict[str, tuple[str, bool]]:
    """Declare options: ``"-t --tag="`` takes a value and is named ``tag``, ``"-f --force"`` is a flag named ``force``.

    The name is the first long spelling, dashes as underscores.
    """
    found: dict[str, tuple[str, bool]] = {}
    for each in declared:
        spellings = each.removesuffix("=").split()
        long = next((word for word in spellings if word.startswith("--")), spellings[0])
        name = long.lstrip("-").replace("-", "_")
        found |= {spelling: (name, each.endswith("=")) for spelling in spellings}
    return found


CONNECTION = options(
    "-r --remote=",
    "-a --registry-path=",
    "-c -i --cert --pem=",
    "-k --key=",
    "--cacert --root-cert=",
    "--insecure",
    "--api-key-id=",
    "--api-key=",
    "-o --oci-version=",
    "-p --prefix=",
    "-u --user=",
)
"""What stands between ``registry`` and its sub-command, in all generations; also taken behind it, where the
sub-command has no option of that spelling (Anka's pages write ``add NAME URL -o v2 -u …``)."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Parsed words: ``values`` by option name (a flag is ``""``; given again, the last one counts, and ``all`` has
    each), and the positionals in their order."""

    values: Mapping[str, str] = field(default_factory=dict)
    all: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rest: tuple[str, ...] = ()

    def flag(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> str | None:
        return self.values.get(name)


def parse(words: Sequence[str], known: Options, *, stop_after: int | None = None) -> Words:
    """Parse ``words``; with ``stop_after`` everything behind that many positionals is one too, whatever it looks like.

    ``UsageError`` for an unknown option, a value that is missing, and an option that is given but empty.
    """
    values: dict[str, str] = {}
    every: dict[str, tuple[str, ...]] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if (flags := _flags(word, known)) is not None:
            left = [*flags, *left]
            word = left.pop(0)
        if word == "--" and stop_after is None:
            rest += left
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            if stop_after is not None and len(rest) >= stop_after:
                rest += left[1:] if left[:1] == ["--"] else left
                break
            continue
        spelling, equals, value = spelled(word, known)
        if spelling not in known:
            raise UsageError(f"no such option: {spelling}", hint=suggestion(spelling, known))
        name, takes = known[spelling]
        if takes and not equals:
            if not left:
                raise UsageError(f"{spelling} option requires an argument")
            value = left.pop(0)
        elif equals and not takes:
            raise UsageError(f"{spelling} option does not take a value")
        if takes and not value:
            raise UsageError(f"{spelling} is empty", hint="leave it out, or give it a value")
        values[name] = value
        every[name] = (*every.get(name, ()), value)
    return Words(values=values, all=every, rest=tuple(rest))


def _flags(word: str, known: Options) -> list[str] | None:
    """Short flags in one word, apart: scripts write ``-fa``. None for anything else."""
    if not word.startswith("-") or word.startswith("--") or len(word) < 3 or word in known:
        return None
    found = ["-" + letter for letter in word[1:]]
    return found if all(each in known and not known[each][1] for each in found) else None


def spelled(word: str, known: Options) -> tuple[str, str, str]:
    """An option apart: spelling, ``=`` when its value is in the same word, and that (``--tag=x``, ``-o2``)."""
    if word.startswith("--"):
        return word.partition("=")
    if word not in known and known.get(word[:2], ("", False))[1]:
        return word[:2], "=", word[2:]
    return word, "", ""


def exactly(words: Words, least: int, most: int, usage: str) -> tuple[str, ...]:
    """The positionals, when there are enough and not too many of them, and none is empty."""
    if not least <= len(words.rest) <= most:
        raise UsageError(f"usage: {usage}")
    if "" in words.rest:
        raise UsageError("an argument is empty", hint=f"usage: {usage}")
    return words.rest
