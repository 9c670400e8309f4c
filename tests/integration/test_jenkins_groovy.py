"""The shared library in the Groovy that Jenkins has inside (2.4): every variable, with the command and a server.

``jenkins.groovy`` beside this file is the other half. Needs ``groovy`` (Debian's package of that name) and a Java that
it can run on (8 to 17). With Maven, everything runs transformed and guarded by the libraries that Jenkins does that
with (``cps/pom.xml``); without it, as plain Groovy.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import conftest
from anka_ci import adapter, inputs
from anka_ci.anka import Anka
from anka_ci.server.app import Server

ROOT = Path(__file__).parent.parent.parent
NASTY = [
    "plain",
    'it\'s "so"',
    "$HOME ${HOME} $$ $(id) `id` ${",
    "\\ \\n \\u0041 \\\\",
    "two\nlines\r\nand\ta tab",
    "ünï 🍎 \u2028 \u0085",
    "; & | < > * ? # % = {} [] ! ~",
    "  spaces  ",
    "-x --json",
    "</script><![CDATA[&amp;",
    "\"\"\"triple'''",
    "\x01\x7f",
    "x" * 40_000,
]
ALLOWED = re.compile(
    r"""ArrayList\.(add|contains|equals|get|isEmpty|leftShift|size)
    | LinkedHashMap\.(containsKey|get|keySet|plus|put|remove)
    | String\.(charAt|indexOf|length|plus|replace|replaceAll|split|substring|toLowerCase|trim)
    | StringBuilder\.append | GStringImpl\.plus | Integer\.(minus|multiply|next|plus)
    | \w+\.(compareTo|toString|getClass|getSimpleName) | Map\.isInstance | String\[\]\.equals
    | static\ (Integer\.toString|Math\.min|String\.join|UUID\.randomUUID) | property\ Locale\.ROOT
    | new\ (StringBuilder|GStringImpl)
    | static\ (Checker|ScriptBytecodeAdapter)\.\w+ | new\ PipelineScript  # what the transformation itself brings
    | new\ Date | Date\.\w+ | String\.multiply  # of the cases below
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
            "credentials": {"anka-token": "a secret token"},
            "values": {"nasty": NASTY, **values},
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
        assert set() == {look for look in answers.get("looked", ()) if not ALLOWED.fullmatch(look)}
        return {answer["name"]: answer for answer in answers["answers"]}

    return run


def case(name: str, text: str, **more: object) -> Case:
    return {"name": name, "text": text, **more}


def test_every_variable_hands_its_example_to_the_command(groovy) -> None:
    steps = adapter.facts()
    cases = []
    for step in steps:
        words = ", ".join(f"{inputs.camel(key)}: {json.dumps(value)}" for key, value in step.example.items())
        # Where an example needs another step before it, what it says is enough: it came from the step itself.
        cases.append(case(step.name, f"{step.groovy()}({words})"))
    answers = groovy(*cases)
    for step in steps:
        (ran,) = answers[step.name]["ran"]
        assert f"anka-ci {step.name}" == ran["label"]
        assert step.name == ran["environment"]["ANKA_CI_STEP"]
        assert dict(step.example) == json.loads(ran["environment"]["ANKA_CI_INPUTS"])
        if "thrown" in answers[step.name]:
            assert f"anka-ci {step.name}: " in answers[step.name]["message"]
            assert "this is a fault of anka-ci" not in answers[step.name]["log"]
            assert "unknown input" not in answers[step.name]["message"]
        else:
            declared = {inputs.camel(field.key) for field in step.outputs}
            assert set(answers[step.name]["returned"]) <= declared
    assert {"list", "show", "nodes", "groups"} <= {name for name, answer in answers.items() if "returned" in answer}


def test_nasty_texts_arrive_unchanged_and_come_back(groovy, standin, tmp_path: Path) -> None:
    workspace = tmp_path / "job" / "workspace"
    (workspace / "file.yml").write_text(
        "version: 1\nparameters: {value: {default: x}, name: {default: x}}\nsteps:\n"
        '- id: first\n  run: printf %s "$VALUE" > "arrived-$NAME"\n'
        "  env: {VALUE: '${{ params.value }}', NAME: '${{ params.name }}'}\n"
    )
    assert 0 == standin("registry", "pull", "sonoma").returncode
    description = "".join(NASTY[:-1])
    assert 0 == standin("registry", "push", "sonoma", "-t", "v2", "-d", description).returncode
    answers = groovy(
        *(
            case(
                str(number),
                f"ankaPipeline(file: 'file.yml', set: [value: nasty[{number}], name: \"${{{number}}}\"])",
            )
            for number in range(len(NASTY))
        ),
        case("lines", "ankaPipeline(file: \"file${'.yml'}\", set: ['value=a,b', 'name=lines'] as String[])"),
        case("show", "ankaShow(template: 'sonoma', version: 2, config: true)"),
        case("large", "ankaShow(template: 'x' * 100000)"),
    )
    for number, text in enumerate(NASTY):
        assert {"first": {"exitCode": "0"}} == answers[str(number)].get("returned"), answers[str(number)]
        assert text == (workspace / f"arrived-{number}").read_bytes().decode()
    assert "a,b" == (workspace / "arrived-lines").read_text()
    shown = answers["show"]["returned"]
    assert (description, "v2", "2") == (shown["description"], shown["tag"], shown["version"])
    assert 3 == len(shown["layers"])
    assert description == json.loads(shown["versions"][-1])["description"]
    assert "LinkedHashMap" == answers["show"]["kind"]
    assert "" == answers["large"]["ran"][0]["environment"]["ANKA_CI_INPUTS"]
    assert "x" * 100_000 in answers["large"]["message"]
    for answer in answers.values():
        assert "\n+ " not in f"\n{answer['log']}"  # nothing is traced


REFUSED = {
    "ankaShow(templat: 'sonoma')": "unknown argument 'templat'; did you mean 'template'? there is template, tag, ",
    "ankaDistribute('on-interrupt': 'leave')": "did you mean 'onInterrupt'?",
    "ankaShow(nonsense: 'sonoma')": "unknown argument 'nonsense'; there is template, ",
    "ankaShow(template: 'sonoma', token: 'x')": "as tokenCredentialsId",
    "ankaShow(template: 'sonoma', tag: 13.10)": "tag wants text, not the number 13.10; put it in quotes",
    "ankaShow(template: 15)": "template wants text, not the number 15; put it in quotes",
    "ankaDistribute(template: 'sonoma', nodes: ['node-1', 2])": "nodes has an item that wants text, not the number 2",
    "ankaShow(template: 'sonoma', tag: null)": "tag is null; leave it out if you do not mean to choose",
    "ankaShow(template: 'sonoma', tag: new Date(0))": "a list, not a Date",
    "ankaShow(template: 'sonoma', tokenCredentialsId: '')": "has to be the id of a secret text credential",
    "ankaPipeline(command: 'destroy')": "command is run, plan or check, not destroy",
    "ankaPipeline(set: [tag: 13.10])": "set has an item that wants text, not the number 13.10",
    "ankaPipeline(confirm: 'yes')": "unknown argument 'confirm'",
}
FAILED = {
    "ankaShow(template: 'sonomma')": ("no template 'sonomma' in ", "did you mean 'sonoma'?"),
    "ankaShow(template: '')": ("anka-ci show: show: template: is given but empty",),
    "ankaShow(template: 'sonoma', config: 'maybe')": ("config: 'maybe' is neither true nor false",),
    "ankaShow()": ("input 'template' is missing",),
    "ankaPipeline(file: 'none.yml')": ("none.yml",),
}


def test_what_is_wrong_is_said_before_anything_runs_or_by_the_command(groovy) -> None:
    answers = groovy(*(case(text, text) for text in (*REFUSED, *FAILED)))
    for text, said in REFUSED.items():
        assert ("AbortException", []) == (answers[text].get("thrown"), answers[text]["ran"]), answers[text]
        assert said in answers[text]["message"]
    for text, words in FAILED.items():
        assert ("AbortException", 1) == (answers[text].get("thrown"), len(answers[text]["ran"])), answers[text]
        assert [] == [word for word in words if word not in answers[text]["message"]]


def test_a_pipeline_file_is_checked_planned_and_run(groovy, tmp_path: Path) -> None:
    workspace = tmp_path / "job" / "workspace"
    (workspace / "anka-ci.yml").write_text(
        "version: 1\nparameters: {tag: {default: base}}\nsteps:\n"
        "- {use: show, with: {template: sonoma, tag: '${{ params.tag }}'}}\n"
        "- {id: never, use: show, if: '${{ false }}', with: {template: sonoma}}\n"
    )
    (workspace / "wrong.yml").write_text("version: 1\nsteps:\n- use: shwo\n")
    answers = groovy(
        case("check", "ankaPipeline(command: 'check')"),
        case("wrong", "ankaPipeline(command: 'check', file: 'wrong.yml')"),
        case("plan", "ankaPipeline command: 'plan', set: [tag: 'v1']"),
        case("run", "def done = ankaPipeline(); [done.show.tag, done.show.layers.size(), done.never.tag]"),
        case("map", "ankaShow([template: 'sonoma'] + (null ? [tag: null] : [:])).tag"),
    )
    assert {} == answers["check"].get("returned"), answers["check"]
    assert "wrong.yml:3:8: " in answers["wrong"]["message"]
    assert "did you mean 'show'?" in answers["wrong"]["message"]
    planned = answers["plan"]["returned"]
    assert ("v1", {}) == (planned["show"]["tag"], planned["never"])  # what is known before anything is done
    assert ["base", 2, None] == answers["run"].get("returned"), answers["run"]
    assert "v1" == answers["map"].get("returned"), answers["map"]


def test_booleans_numbers_and_lists_are_what_the_step_takes_and_gives(groovy, anka: Anka) -> None:
    answers = groovy(
        case("shown", "def shown = ankaShow(template: 'sonoma', config: false, version: 0); shown.tag + shown.config"),
        case("spread", "ankaDistribute(template: 'sonoma', tag: 'base', nodes: ['node-1', \"node-${2}\"])"),
        case("started", "ankaDistribute(template: 'sonoma', all: true, wait: false).requestId"),
        case("listed", "ankaNodes(group: 'ios').nodes.size()"),
    )
    assert "basenull" == answers["shown"]["returned"], answers["shown"]
    spread = answers["spread"]["returned"]
    assert (["node-1", "node-2"], [], "base") == (sorted(spread["succeeded"]), spread["failed"], spread["tag"])
    assert answers["started"]["returned"] in [each.id for each in anka.controller.distributions()]
    assert 2 == answers["listed"]["returned"], answers["listed"]


def test_a_secret_has_its_own_variable_and_is_in_no_other(groovy) -> None:
    answers = groovy(
        case("given", "ankaShow(template: 'sonoma', tokenCredentialsId: 'anka-token')"),
        case("missing", "ankaShow(template: 'sonoma', tokenCredentialsId: 'nothing')"),
    )
    assert "v1" == answers["given"]["returned"]["tag"]
    environment = answers["given"]["ran"][0]["environment"]
    assert "a secret token" == environment.pop("ANKA_CI_TOKEN")
    assert {"template": "sonoma"} == json.loads(environment["ANKA_CI_INPUTS"])
    assert "a secret token" not in json.dumps(environment) + answers["given"]["log"]
    assert ("CredentialNotFoundException", []) == (answers["missing"]["thrown"], answers["missing"]["ran"])


def test_an_agent_that_cannot_is_told_so(groovy, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "bin"
    broken.mkdir(parents=True)
    for name, text in (("anka-ci", "#!/bin/sh\nexit 3\n"), ("quiet", "")):
        (broken / name).write_text(text)
        (broken / name).chmod(0o755)
    show = "ankaShow(template: 'sonoma')"
    answers = groovy(
        case("none", show, environment={"PATH": os.defpath}),
        case("broken", show, environment={"ANKA_CI_VENV": str(broken.parent)}),
        case("windows", show, unix=False),
    )
    assert "anka-ci show: ended with exit code 127; the log above tells why" == answers["none"]["message"]
    assert "anka-ci: not found on this agent" in answers["none"]["log"]
    assert "exit code 3; the log above tells why" in answers["broken"]["message"]
    assert ("anka-ci show: runs on macOS and Linux agents only", []) == (
        answers["windows"]["message"],
        answers["windows"]["ran"],
    )


def test_the_library_ran_transformed_and_guarded_as_in_jenkins(jars: list[Path]) -> None:
    if not jars:
        pytest.skip("groovy-cps and groovy-sandbox are missing, so these tests ran in plain Groovy: Maven brings them")
    assert {"groovy-cps", "groovy-sandbox"} <= {jar.name.rsplit("-", 1)[0] for jar in jars}


def test_an_aborted_build_stays_aborted_and_its_distribution_is_cancelled(groovy, server: Server, anka: Anka) -> None:
    with busy(server, "node-1"):
        answers = groovy(
            case("abort", "ankaDistribute(template: 'sonoma', tag: 'v1', nodes: 'node-1')", abort_at="node-1")
        )
    assert ("FlowInterruptedException", "Aborted by somebody") == (
        answers["abort"].get("thrown"),
        answers["abort"].get("message"),
    ), answers["abort"]
    (request,) = anka.controller.distributions()
    assert "cancelled" == request.nodes["node-1"].state


@contextlib.contextmanager
def busy(server: Server, node: str) -> Iterator[None]:
    """Another command holds the node's library, so that what it is to do waits."""
    place = server.data / "nodes" / node / "vm_lib" / ".locks" / "library"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
