"""The golden table: what the stand-in prints, byte for byte, row by row.

``golden/*.yml`` hold scenes. Each begins with an empty library and a registry that holds the sample (``sonoma`` with
the tags ``base`` and ``v1``); its rows run one after the other, a minute apart, on a clock that stands still meanwhile:

    - scene: 2.2 What the scene shows, by the section of Anka's command-line reference
      given: [create vm]                # commands that only have to succeed
      rows:
      - anka: -j show vm uuid           # the words behind `anka`, split as a shell does
        on: [2, 3.9]                    # the releases that are played, one after the other; 3 when left out
        env: {ANKA_DEBUG: --debug}      # variables beside ANKA_HOME and ANKA_REGISTRY
        process: yes                    # in a process of its own: `run` for people becomes the guest's command
        input: text                     # its stdin (in such a process)
        code: 3                         # the exit code, 0 when left out
        out: ...                        # stdout to the last byte, empty when left out
        err: ...                        # stderr likewise

Only what no two runs share is replaced, in words and in what is printed: ``REGISTRY`` is the registry's URL, ``HOME``
the library's folder, ``SCRATCH`` another folder, ids and MAC addresses are numbered in the order in which they are seen
(``00000000-0000-4000-8000-000000000001``, ``02:00:00:00:00:01``).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci import document
from anka_ci.standin.__main__ import main

if TYPE_CHECKING:
    import pytest

    from anka_ci.clock import Cancelled
    from anka_ci.document import Node

FOLDER = Path(__file__).parent / "golden"
START = 1_704_067_200.0
"""2024-01-01T00:00:00Z, when every scene begins."""
SAMPLE = "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e"
IDS = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")
MACS = re.compile(r"\b02(?::[0-9a-f]{2}){5}\b")
ROW_KEYS = {"anka", "on", "env", "process", "input", "code", "out", "err"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call, and what has to come of it."""

    place: str
    words: str
    personas: tuple[str, ...] = ("3",)
    env: Mapping[str, str] = field(default_factory=dict)
    process: bool = False
    input: str = ""
    code: int = 0
    out: str = ""
    err: str = ""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Rows that share a library and a registry."""

    file: str
    title: str
    given: tuple[str, ...]
    rows: tuple[Row, ...]


def scenes(name: str = "*.yml") -> Iterator[Scene]:
    """Every scene of the table, in order."""
    for file in sorted(FOLDER.glob(name)):
        for node in document.read(file).items("the table"):
            found = node.only({"scene", "given", "rows"}, "a scene")
            yield Scene(
                file=file.stem,
                title=found["scene"].text("the scene"),
                given=tuple(each.text("given") for each in (found["given"].items("given") if "given" in found else ())),
                rows=tuple(_row(each) for each in found["rows"].items("rows")),
            )


def _row(node: Node) -> Row:
    found = node.only(ROW_KEYS, "a row")
    plain = {key: each.plain() for key, each in found.items()}
    on = plain.get("on", "3")
    return Row(
        place=str(node.place),
        words=str(plain["anka"] or ""),
        personas=tuple(map(str, on)) if isinstance(on, list) else (str(on),),
        env={
            key: each.value if isinstance(each.value, str) else "" for key, each in found["env"].mapping("env").items()
        }
        if "env" in found
        else {},
        process=plain.get("process") == "yes",
        input=str(plain.get("input") or ""),
        code=int(str(plain.get("code") or 0)),
        out=str(plain.get("out") or ""),
        err=str(plain.get("err") or ""),
    )


class Minutes:
    """A clock on which a minute passes before every command; to wait takes no time of day."""

    def __init__(self) -> None:
        self._now, self._waited = START, 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now + self._waited

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        self._waited += seconds

    def pass_one(self) -> None:
        self._now += 60


class Stage:
    """Where the rows of one scene run."""

    def __init__(
        self,
        folder: Path,
        registry: str,
        env: Mapping[str, str],
        capsys: pytest.CaptureFixture[str],
        clock: Minutes,
    ) -> None:
        self._home, self._scratch = folder / "host", folder / "scratch"
        self._scratch.mkdir()
        self._registry, self._capsys, self._clock = registry, capsys, clock
        self._env = {**env, "ANKA_HOME": str(self._home), "ANKA_REGISTRY": registry, "ANKA_STANDIN_GUESTS": "1"}
        self._ids: dict[str, str] = {}
        self._macs: dict[str, str] = {}

    def prepare(self, words: str) -> None:
        """Run a command that only has to succeed; as JSON, because ``run`` for people becomes the guest's command."""
        code, out, err = self.call(Row(place="given", words=f"-j {words}"), "3")
        assert 0 == code, (words, out, err)

    def call(self, row: Row, persona: str) -> tuple[int, str, str]:
        """Run a row's command as a release: its exit code, stdout and stderr, what differs each time replaced."""
        self._clock.pass_one()
        words = [self._real(word) for word in shlex.split(row.words)]
        env = {**self._env, "ANKA_STANDIN_GENERATION": persona, **{k: self._real(v) for k, v in row.env.items()}}
        if row.process:
            done = subprocess.run(
                [sys.executable, "-Im", "anka_ci.standin", *words],
                env=env,
                input=row.input,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            return done.returncode, self._told(done.stdout), self._told(done.stderr)
        self._capsys.readouterr()
        before = Path.cwd()
        os.chdir(self._scratch)
        try:
            code = main(words, env, clock=self._clock)
        finally:
            os.chdir(before)
        said = self._capsys.readouterr()
        return code, self._told(said.out), self._told(said.err)

    def _real(self, word: str) -> str:
        for real, shown in {**self._ids, **self._macs}.items():
            word = word.replace(shown, real)
        places = {"REGISTRY": self._registry, "HOME": str(self._home), "SCRATCH": str(self._scratch)}
        return re.sub("REGISTRY|HOME|SCRATCH", lambda found: places[found[0]], word)

    def _told(self, text: str) -> str:
        for real, shown in ((self._registry, "REGISTRY"), (str(self._home), "HOME"), (str(self._scratch), "SCRATCH")):
            text = text.replace(real, shown)
        text = IDS.sub(lambda found: self._numbered(self._ids, found[0], "00000000-0000-4000-8000-{:012d}"), text)
        return MACS.sub(lambda found: self._numbered(self._macs, found[0], "02:00:00:00:00:{:02d}"), text)

    @staticmethod
    def _numbered(known: dict[str, str], real: str, form: str) -> str:
        if real == SAMPLE or real in known.values():
            return real
        return known.setdefault(real, form.format(len(known) + 1))


def shown(code: int, out: str, err: str) -> str:
    """What came of a row, as the table would hold it: to be read, judged and copied."""
    lines = [f"code: {code}"] if code else []
    for key, text in (("out", out), ("err", err)):
        if not text:
            continue
        body = text.split("\n")
        if text.endswith("\n") and not text.endswith("\n\n") and not text.startswith(" "):
            lines += [f"{key}: |", *("  " + line if line else "" for line in body[:-1])]
        elif len(body) == 1 and "'" not in text:
            lines.append(f"{key}: '{text}'")
        elif len(body) == 1:
            lines += [f"{key}: |-", "  " + text]
        else:
            lines.append(f"{key}: {json.dumps(text, ensure_ascii=False)}")
    return "\n".join(lines)
