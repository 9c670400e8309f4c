"""Pieces of Jenkinsfiles, run in the Groovy that Jenkins has inside (2.4), with the command and a server.

``jenkins.groovy`` beside this file is the other half. Needs ``groovy`` (Debian's package of that name) and a Java that
it can run on (8 to 17). With Maven, everything runs transformed and guarded by the libraries that Jenkins does that
with (``cps/pom.xml``); without it, as plain Groovy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import conftest
from anka_ci.server.app import Server

ROOT = Path(__file__).parent.parent.parent
ALLOWED = re.compile(
    r"""ArrayList\.(add|contains|equals|get|isEmpty|leftShift|size)
    | (?:Linked)?HashMap\.(containsKey|get|keySet|plus|put|remove)
    | String\.(charAt|indexOf|length|plus|replace|replaceAll|split|substring|toLowerCase|trim)
    | StringBuilder\.append | GStringImpl\.plus | Integer\.(minus|multiply|next|plus)
    | \w+\.(compareTo|toString|getClass|getSimpleName) | Map\.isInstance | String\[\]\.equals
    | static\ (Integer\.toString|Math\.min|String\.join|UUID\.randomUUID) | property\ Locale\.ROOT
    | new\ (StringBuilder|GStringImpl)
    | static\ (Checker|ScriptBytecodeAdapter)\.\w+ | new\ PipelineScript  # what the transformation itself brings
    | new\ Date | Date\.\w+ | String\.multiply | ArrayList\.join  # of the cases
    """,
    re.VERBOSE,
)
"""The calls of the variables; each is one that the sandbox of Jenkins allows to anybody (its "generic whitelist")."""
JAVA_OPTS = "-Dfile.encoding=UTF-8 -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # quick to start
Answer = dict[str, Any]
Case = dict[str, Any]


def java_home() -> str:
    """A Java that Groovy can run on; skips, saying why, where there is none."""
    home = os.environ.get("JAVA_HOME") or ""
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        pytest.skip("no Java for groovy: install one (8 to 17), or set JAVA_HOME")
    return home or str(Path(java).resolve().parent.parent)


@pytest.fixture(scope="session")
def jars(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The libraries by which Jenkins transforms and guards Groovy; none where Maven cannot bring them."""
    maven, folder = shutil.which("mvn"), tmp_path_factory.mktemp("jars")
    if maven:
        words = [maven, "-q", "-B", "-f", str(Path(__file__).with_name("cps") / "pom.xml")]
        words += ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    return sorted(folder.glob("*.jar"))


@pytest.fixture
def groovy(server: Server, jars: list[Path], tmp_path: Path) -> Callable[..., dict[str, Answer]]:
    """Run cases, each a piece of a Jenkinsfile; the answers by the cases' names."""
    command = shutil.which("groovy")
    if command is None:
        pytest.skip("groovy is missing: apt-get install groovy (2.4, the one that Jenkins has inside)")
    cps = ["-cp", os.pathsep.join(map(str, jars))] if jars else []
    home, workspace = java_home(), tmp_path / "job" / "workspace"
    workspace.mkdir(parents=True)

    def run(*cases: Case, **values: object) -> dict[str, Answer]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        request = {
            "variables": str(ROOT / "jenkins" / "vars"),
            "resources": str(ROOT / "jenkins" / "resources"),
            "workspace": str(workspace),
            "cps": bool(cps),
            "environment": conftest.plain_env(tmp_path)
            | {
                "PATH": path,
                "LC_ALL": "C",
                "ANKA_CI_CONTROLLER_URL": server.controller_url,
                "ANKA_CI_REGISTRY_URL": server.registry_url,
                "ANKA_CI_ANKA": server.anka,
            },
            "credentials": {
                "anka-token": {"kind": "string", "text": "a secret token"},
                "anka-root-token": {"kind": "string", "text": "a secret token"},
                "anka-file": {"kind": "file", "text": "/secret/file.pem"},
                "anka-user": {"kind": "usernamePassword", "user": "somebody", "password": "a secret password"},
                "anka-store": {"kind": "certificate", "store": "/secret/store.p12", "password": "a secret password"},
            },
            "values": values,
            "cases": cases,
        }
        (tmp_path / "request.json").write_text(json.dumps(request))
        done = subprocess.run(
            [command, *cps, str(Path(__file__).with_name("jenkins.groovy")), "request.json", "answers.json"],
            cwd=tmp_path,
            env={
                **os.environ,
                "JAVA_HOME": home,
                "JAVA_OPTS": JAVA_OPTS,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        answers = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
        if not answers["version"].startswith("2.4."):
            pytest.skip(f"Jenkins has Groovy 2.4 inside, and this is {answers['version']}: it would prove nothing")
        assert sorted(file.stem for file in (ROOT / "jenkins" / "vars").glob("*.groovy")) == answers["variables"]
        assert not [*(workspace.parent / "workspace@tmp").glob("anka-ci-*")] or any(
            "abort_at" in case for case in cases
        )
        strange = {look for look in answers.get("looked", ()) if not ALLOWED.fullmatch(look)}
        assert set() == strange, strange
        return {answer["name"]: answer for answer in answers["answers"]}

    return run


def case(name: str, text: str, **more: object) -> Case:
    return {"name": name, "text": text, **more}
