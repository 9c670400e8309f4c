"""The shared library in the Groovy that Jenkins has inside: every variable, with the command and a server."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anka_ci import __version__, adapter, inputs
from anka_ci.anka import Anka
from anka_ci.server.app import Server
from integration.grooves import Case, case

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
        known = {"job-status": "SUCCESS"} if "job-status" in (field.key for field in step.inputs) else {}
        assert {**known, **step.example} == json.loads(ran["environment"]["ANKA_CI_INPUTS"])
        if "thrown" in answers[step.name]:
            assert re.match(rf"anka-ci {step.name} \([a-z-]+\): ", answers[step.name]["message"])
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
        nasty=NASTY,
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
    "ankaShow(template: 'sonoma', apiKeyPairCredentialsId: 7)": "the id of a username with password credential",
    "ankaShow(template: 'sonoma', keyFile: 'x')": "as keyFileCredentialsId",
    "ankaShow('sonoma')": "anka-ci show: arguments have names, as in ankaShow(template: 'sonoma'); this one ",
    "ankaPipeline('anka-ci.yml')": "anka-ci run: arguments have names, as in",
    "ankaPipeline(command: 'destroy')": "command is run, plan or check, not destroy",
    "ankaPipeline(set: [tag: 13.10])": "set has an item that wants text, not the number 13.10",
    "ankaPipeline(set: [nodes: ['a', 'b']])": "set has an item that is a list or a map, and wants text",
    "ankaDistribute(template: 'sonoma', nodes: [['node-1']])": "nodes has an item that is a list or a map",
    "ankaPipeline(confirm: 'yes')": "unknown argument 'confirm'",
}
FAILED = {
    "ankaShow(template: 'sonomma')": ("anka-ci show (not-found): no template 'sonomma' in ", "did you mean 'sonoma'?"),
    "ankaShow(template: '')": ("anka-ci show (usage): show: template: is given but empty",),
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


SIGN_INS = {
    "tokenCredentialsId: 'anka-token'": {"ANKA_CI_TOKEN": "a secret token"},
    "keyFileCredentialsId: 'anka-file'": {"ANKA_CI_KEY_FILE": "/secret/file.pem"},
    "caFileCredentialsId: 'anka-file'": {"ANKA_CI_CA": "/secret/file.pem"},
    "apiKeyPairCredentialsId: 'anka-user'": {
        "ANKA_CI_API_KEY_ID": "somebody",
        "ANKA_CI_API_KEY": "a secret password",
    },
    "registryUserCredentialsId: 'anka-user'": {"ANKA_CI_REGISTRY_USER": "somebody:a secret password"},
    "certificateCredentialsId: 'anka-store'": {
        "ANKA_CI_CERTIFICATE": "/secret/store.p12",
        "ANKA_CI_PASSPHRASE": "a secret password",
    },
    "clientPairCredentialsId: 'anka-user', certificateFileCredentialsId: 'anka-file'": {
        "ANKA_CI_CLIENT_ID": "somebody",
        "ANKA_CI_CLIENT_SECRET": "a secret password",
        "ANKA_CI_CERTIFICATE_FILE": "/secret/file.pem",
    },
}


def test_every_kind_of_credential_fills_its_variables_and_no_other(groovy, venv: Callable[[str], str]) -> None:
    """The command only has to be started: what it does with the variables is told by its own tests."""
    place = {"ANKA_CI_VENV": venv("exit 3")}
    answers = groovy(
        *(case(words, f"ankaShow(template: 'sonoma', {words})", environment=place) for words in SIGN_INS),
        case("wrong", "ankaShow(template: 'sonoma', certificateCredentialsId: 'anka-user')", environment=place),
    )
    base = {"ANKA_CI_CONTROLLER_URL", "ANKA_CI_REGISTRY_URL", "ANKA_CI_ANKA", "ANKA_CI_VENV", "ANKA_CI_INSTALLER"}
    base |= {f"ANKA_CI_{each}" for each in ("STEP", "VERSION", "INPUTS", "INPUTS_FILE", "OUTPUTS")}
    for words, wanted in SIGN_INS.items():
        (ran,) = answers[words]["ran"]
        assert wanted == {key: value for key, value in ran["environment"].items() if key not in base}
        assert {"template": "sonoma"} == json.loads(ran["environment"]["ANKA_CI_INPUTS"])
    assert ("CredentialNotFoundException", []) == (answers["wrong"]["thrown"], answers["wrong"]["ran"])


@pytest.fixture
def venv(tmp_path: Path) -> Callable[[str], str]:
    """A virtual environment with an ``anka-ci`` of the library's version that does what a shell text says."""

    def make(text: str, version: str = __version__) -> str:
        place = tmp_path / f"venv-{len([*tmp_path.glob('venv-*')])}" / "bin"
        place.mkdir(parents=True)
        script = f'#!/bin/sh\nif [ "$1" = --version ]; then echo "anka-ci {version}"; exit; fi\n{text}\n'
        (place / "anka-ci").write_text(script)
        (place / "anka-ci").chmod(0o755)
        return str(place.parent)

    return make


def test_an_error_becomes_a_result_by_its_class(groovy, venv: Callable[[str], str]) -> None:
    def ends(code: int, name: str) -> Case:
        lines = f"fact code={code}\nfact status=failed\nfact class={name}\nfact message=what it says\ntext tag=v1"
        text = f"cat >\"$ANKA_CI_OUTPUTS\" <<'END'\n{lines}\nEND\nexit {code}"
        return case(str(code), "ankaShow(template: 'sonoma')", environment={"ANKA_CI_VENV": venv(text)})

    answers = groovy(ends(3, "refused"), ends(7, "fell-short"), ends(9, "drift"), ends(130, "interrupted"))
    assert ("anka-ci show (refused): what it says", None) == (answers["3"]["message"], answers["3"]["result"])
    assert ("anka-ci show (fell-short): what it says", None) == (answers["7"]["message"], answers["7"]["result"])
    assert ({"tag": "v1"}, "UNSTABLE") == (answers["9"]["returned"], answers["9"]["result"])
    assert "WARNING: anka-ci show (drift): what it says" in answers["9"]["log"]
    assert ("AbortException", "ABORTED") == (answers["130"]["thrown"], answers["130"]["result"])


def test_an_image_is_saved_only_while_the_build_is_well(groovy) -> None:
    words = "ankaSaveImage(instance: 'none', tag: 'v9')"
    answers = groovy(
        case("well", words),
        case("failed", words, result="FAILURE"),
        case("said", "ankaSaveImage(instance: 'none', tag: 'v9', jobStatus: 'success')", result="FAILURE"),
    )
    assert "SUCCESS" == json.loads(answers["well"]["ran"][0]["environment"]["ANKA_CI_INPUTS"])["job-status"]
    assert "(not-found)" in answers["well"]["message"]
    assert {"outcome": "skipped", "tag": "v9"} == answers["failed"].get("returned"), answers["failed"]
    assert "the job's status is FAILURE: nothing is saved" in answers["failed"]["log"]
    assert "(not-found)" in answers["said"]["message"]


def test_an_agent_that_cannot_is_told_so(groovy, venv: Callable[[str], str]) -> None:
    show = "ankaShow(template: 'sonoma')"
    answers = groovy(
        case("none", show, environment={"PATH": os.defpath, "ANKA_CI_PYTHON": "no-python"}),
        case("broken", show, environment={"ANKA_CI_VENV": venv("exit 3")}),
        case("older", show, environment={"ANKA_CI_VENV": venv("", "0.0.9")}),
        case("windows", show, unix=False),
    )
    assert "anka-ci show: ended with exit code 127; the log above tells why" == answers["none"]["message"]
    assert "ANKA_CI_PYTHON names no Python 3.10" in answers["none"]["log"]
    assert "exit code 3; the log above tells why" in answers["broken"]["message"]
    assert "exit code 2; the log above tells why" in answers["older"]["message"]
    assert f"is anka-ci 0.0.9, and the library is of version {__version__}" in answers["older"]["log"]
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


def test_the_examples_of_the_readme_work_as_they_are(groovy, server: Server, tmp_path: Path) -> None:
    """The scripted one runs; of the declarative one, which the plugin Declarative reads, the steps run."""
    text = (ROOT / "jenkins" / "README.md").read_text()
    scripted, declarative = re.findall(r"```groovy\n(.*?)```", text, re.DOTALL)
    url = "http://anka.internal:8090"
    assert (1, 1) == (scripted.count(url), declarative.count(url))
    steps = re.findall(r"steps \{ (ankaPipeline .*?) \}$", declarative, re.MULTILINE)
    workspace = tmp_path / "job" / "workspace"
    (workspace / "anka-ci.yml").write_text(
        "version: 1\nparameters: {tag: base}\nsteps:\n"
        "- {use: show, with: {template: sonoma, tag: '${{ params.tag }}'}}\n"
    )
    answers = groovy(
        case("scripted", scripted.replace(url, server.controller_url)),
        case("declarative", declarative, only_parse=True),
        *(case(each, each) for each in steps),
        params={"TAG": "v1"},
    )
    assert "done on node-1, node-2" == answers["scripted"]["log"].splitlines()[-1], answers["scripted"]
    assert "message" not in answers["declarative"]
    assert 2 == len(steps)
    check, run = (answers[each] for each in steps)
    assert ({}, "v1") == (check.get("returned"), run["returned"]["show"]["tag"]), (check, run)
