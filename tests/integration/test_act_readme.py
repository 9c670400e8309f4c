"""The workflows that the READMEs show, copied, pasted and run."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from integration import acting
from integration.conftest import serve

READMES = ("README.md", "actions/README.md", "shared/README.md")
FRAME = "name: Example\non: workflow_dispatch\npermissions:\n  contents: read\n"
"""What a reader has around an example that begins with its jobs."""
JOB = "jobs:\n  example:\n    name: Example\n    runs-on: [self-hosted, macOS, anka]\n    steps:\n"
SECRETS = {"ANKA_TOKEN": "", "CHAT_TOKEN": "hush hush"}
"""The secrets of the reader's repository; the controller here wants no token."""


@dataclass(frozen=True)
class Example:
    """A workflow in a README, and the line where it stands."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def workflow(self) -> str:
        """It as a whole workflow: what a README leaves out is put around it."""
        if re.search(r"^on:", self.text, re.MULTILINE):
            return self.text
        return FRAME + (self.text if self.text.startswith("jobs:") else JOB + textwrap.indent(self.text, "      "))


def examples():
    found = []
    for name in READMES:
        file = acting.ROOT / name
        text = file.read_text() if file.exists() else ""
        for match in re.finditer(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            if "uses: OWNER/anka-ci" in match.group(1):
                line = text[: match.start()].count("\n") + 2
                found.append(Example(name, line, textwrap.dedent(match.group(1))))
    return found


EXAMPLES = examples()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("served"), *acting.SERVED) as served:
        yield served


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_works_as_it_stands(example, machine, served):
    text = example.workflow.replace("http://anka.internal:8090", served.controller_url)
    env = acting.connected(served) | {"PATH": f"{Path(served.anka).parent}:{acting.PATH}"}
    secrets = [word for name, value in SECRETS.items() for word in ("--secret", f"{name}={value}")]
    ran = machine.run(text, *secrets, env=env)
    assert {"success"} == {job.result for job in ran.jobs.values()}, ran.shown()
    assert "hush hush" not in "\n".join(step.log for job in ran.jobs.values() for step in job.steps.values())


def test_the_outputs_that_an_example_shows_are_there(machine, served):
    example = next(each for each in EXAMPLES if "fromJSON" in each.text)
    env = acting.connected(served) | {"PATH": f"{Path(served.anka).parent}:{acting.PATH}"}
    ran = machine.run(example.workflow, env=env)
    assert "v2" in "\n".join(step.log for step in ran.job.steps.values()).splitlines(), ran.shown()


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_actionlint_finds_nothing_in_an_example(example, tmp_path):
    program = Path(sys.executable).with_name("actionlint")
    if not program.exists():
        pytest.skip("actionlint is not installed: .ci/venv lint")
    (tmp_path / "example.yml").write_text(example.workflow)
    words = [str(program), "-config-file", str(acting.ROOT / ".github" / "actionlint.yaml"), "-shellcheck="]
    done = subprocess.run([*words, "example.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stdout + done.stderr)
    assert yaml.safe_load(example.workflow)["jobs"]
