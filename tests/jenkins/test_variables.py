"""The rendered variables: what they declare, and that the hand-written ones keep to what a Jenkins sandbox allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anka_ci import __version__, adapter, inputs
from anka_ci.auth import gather
from anka_ci.settings import PREFIX, REGISTRY_PREFIX
from anka_ci_jenkins import faces

ROOT = Path(__file__).parent.parent.parent
VARS = ROOT / "jenkins" / "vars"
STEPS = {step.groovy(): step for step in adapter.facts()}
RENDERED = faces.faces()
ARGUMENT = re.compile(r"^ {8}(\w+): \['([\w -]+)', '(\w+)'\],$", re.MULTILINE)
OTHERS = {
    "certificateFileCredentialsId": ("ANKA_CI_CERTIFICATE_FILE", "file"),
    "certificateCredentialsId": ("ANKA_CI_CERTIFICATE ANKA_CI_PASSPHRASE", "certificate"),
    "keyFileCredentialsId": ("ANKA_CI_KEY_FILE", "file"),
    "apiKeyFileCredentialsId": ("ANKA_CI_API_KEY_FILE", "file"),
    "apiKeyPairCredentialsId": ("ANKA_CI_API_KEY_ID ANKA_CI_API_KEY", "pair"),
    "clientPairCredentialsId": ("ANKA_CI_CLIENT_ID ANKA_CI_CLIENT_SECRET", "pair"),
    "registryUserCredentialsId": ("ANKA_CI_REGISTRY_USER", "user"),
    "caFileCredentialsId": ("ANKA_CI_CA", "file"),
}


def declared(name: str) -> dict[str, tuple[str, str]]:
    """A variable's arguments by name: the input's key, and the kind."""
    return {found[1]: (found[2], found[3]) for found in ARGUMENT.finditer(RENDERED[f"jenkins/vars/{name}.groovy"])}


def test_the_variables_are_those_of_the_steps_and_each_has_its_help() -> None:
    assert {f"{name}.{ending}" for name in [*STEPS, "ankaPipeline", "ankaVersion"] for ending in ("groovy", "txt")} == {
        path.removeprefix("jenkins/vars/") for path in RENDERED
    }
    written = {"jenkins/vars/ankaCi.groovy", "jenkins/vars/ankaCi.txt"}
    assert {*RENDERED} | written == {f"jenkins/vars/{file.name}" for file in VARS.iterdir()}


def test_the_variables_of_this_checkout_are_as_the_steps_say() -> None:
    assert RENDERED == {path: (ROOT / path).read_text(encoding="utf-8") for path in RENDERED}


@pytest.mark.parametrize("name", STEPS)
def test_a_variable_is_one_call_with_every_input_of_its_step(name: str) -> None:
    step, text = STEPS[name], RENDERED[f"jenkins/vars/{name}.groovy"]
    assert text.startswith(f"// Made from {step.module} by `anka-ci render`; do not edit.\n// {step.summary}\n")
    assert f"def call(Object args = [:]) {{\n    return ankaCi.step('{step.name}', [\n" in text
    wanted = {
        inputs.camel(field.key): (field.key, "text" if field.type is str else "value")
        for field in (*step.inputs, *inputs.fields(inputs.SharedInputs))
        if not field.secret and field.key != "summary"
    }
    secret = {
        f"{inputs.camel(field.key)}CredentialsId": (adapter.secret_variable(field), "secret")
        for field in (*step.inputs, *inputs.fields(inputs.SharedInputs))
        if field.secret
    }
    assert ("ANKA_CI_TOKEN", "secret") == secret["tokenCredentialsId"]
    wanted["inputsFile"] = ("inputs-file", "text")
    assert wanted | secret | OTHERS == declared(name)
    assert "    ], args)\n}\n" == text[-15:]
    assert len(text.splitlines()) == len(declared(name)) + 7


@pytest.mark.parametrize("name", STEPS)
def test_the_help_tells_every_argument_and_output(name: str) -> None:
    step, text = STEPS[name], RENDERED[f"jenkins/vars/{name}.txt"]
    own = (*step.inputs, *step.outputs)
    words = [step.words, *(field.help for field in own)]
    wanted = [step.summary, *(faces.spelled(each, (*own, *adapter.SHARED)) for each in words)]
    wanted += [f"\n  {argument}: " for argument in declared(name)]
    wanted += [f"\n  {inputs.camel(field.key)}: " for field in step.outputs]
    wanted += [f"def outputs = {name}(", f"Runs {step.runs.value}."]
    assert [] == [each for each in wanted if each not in text]
    assert f"Made from {step.module} by `anka-ci render`; do not edit." == text.splitlines()[0]


@pytest.mark.parametrize("name", STEPS)
def test_the_help_spells_arguments_and_other_variables_as_a_jenkinsfile_does(name: str) -> None:
    step = STEPS[name]
    text = RENDERED[f"jenkins/vars/{name}.txt"].replace(step.summary, "")  # which every face has as it is
    keys = {field.key for field in (*step.inputs, *step.outputs)} | {each.name for each in STEPS.values()}
    spans = re.findall(r"`([a-z]+(?:-[a-z]+)+)(?:: [^`]*)?`", text)
    assert [] == [key for key in spans if key in keys]
    assert [] == re.findall(r"`\w+: (?!true|false|')[^`]*`", text)


def test_a_text_of_the_reference_is_spelled_for_groovy() -> None:
    own = STEPS["ankaPush"].inputs
    said = "With `if-exists: replace`, `if-exists` or `tag: v1`; `again: true`; `save-image` and `sh -eu`, `a: b`."
    wanted = (
        "With `ifExists: 'replace'`, `ifExists` or `tag: 'v1'`; `again: true`; `ankaSaveImage` and `sh -eu`, `a: b`."
    )
    assert wanted == faces.spelled(said, (*own, *STEPS["ankaPull"].inputs))


def test_names_that_matter_are_what_jenkinsfiles_use() -> None:
    assert "on-interrupt" == declared("ankaDistribute")["onInterrupt"][0]
    assert ("all", "value") == declared("ankaDistribute")["all"]
    assert ("nodes", "text") == declared("ankaDistribute")["nodes"]
    assert ("param-file", "text") == declared("ankaPipeline")["paramFile"]
    assert {"confirm", "summary", "command"}.isdisjoint(declared("ankaPipeline"))


def test_the_groovy_with_logic_calls_nothing_that_a_sandbox_or_another_agent_would_refuse() -> None:
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", (VARS / "ankaCi.groovy").read_text(), flags=re.DOTALL)
    assert ["com.cloudbees.groovy.cps.NonCPS"] == re.findall(r"^import (.*)$", text, re.MULTILINE)
    assert ["StringBuilder"] == re.findall(r"\bnew (\w+)", text)
    assert {"UUID", "String", "Integer", "Math", "Locale"} == set(re.findall(r"\b([A-Z]\w+)\.[a-zA-Z]", text))
    assert [] == re.findall(r"\b(?:catch|try|private|static|readJSON|evaluate|metaClass|execute|eachWithIndex)\b", text)


def test_what_is_not_transformed_calls_no_pipeline_step() -> None:
    text = (VARS / "ankaCi.groovy").read_text()
    bodies = re.findall(r"@NonCPS\n.*?\n}\n", text, re.DOTALL)
    assert len(bodies) == text.count("@NonCPS") > 5
    steps = re.compile(r"(?<![.\w])(?:sh|echo|error|withEnv|withCredentials|string|pwd|dir|readFile|isUnix)[ (]")
    assert [] == [body for body in bodies if steps.search(body)]


def test_the_version_of_the_library_is_that_of_the_command() -> None:
    assert f"String call() {{\n    return '{__version__}'\n}}\n" in RENDERED["jenkins/vars/ankaVersion.groovy"]


def test_every_variable_that_a_credential_fills_is_one_that_is_read() -> None:
    known = {f"{prefix}{key.replace('-', '_').upper()}" for prefix in (PREFIX, REGISTRY_PREFIX) for key in gather.KEYS}
    for variables, _ in OTHERS.values():
        assert set() == {each for each in variables.split() if each.removesuffix("_FILE") not in known}
