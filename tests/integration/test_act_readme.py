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

from actions.github_double import runners
from actions.github_double.server import TOKEN, Double
from hosted import SCOPE, add_template
from integration import acting
from integration.conftest import serve

READMES = ("README.md", "actions/README.md", "shared/README.md")
FRAME = "name: Example\non: workflow_dispatch\npermissions:\n  contents: read\n"
"""What a reader has around an example that begins with its jobs."""
JOB = "jobs:\n  example:\n    name: Example\n    runs-on: [self-hosted, macOS, anka]\n"
SECRETS = {"ANKA_TOKEN": "", "CHAT_TOKEN": "hush hush"}
"""The secrets of the reader's repository; the controller here wants no token. Beside them are those of GitHub."""


RUNNER_TEMPLATE = "0b0a4d4e-9d0e-43dc-54dc-1f5d1a4c2e77"


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
        if self.text.startswith("jobs:"):
            return FRAME + self.text
        steps = textwrap.indent(self.text, "      ") if self.text.startswith("- ") else None
        return FRAME + JOB + (f"    steps:\n{steps}" if steps else textwrap.indent(self.text, "    "))

    @property
    def event(self) -> str:
        """What starts it."""
        return (
            next(iter(yaml.load(self.workflow, yaml.BaseLoader)["on"])) if "on:\n" in self.text else "workflow_dispatch"
        )


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


@pytest.fixture(scope="module")
def hub(served, machine):
    """A GitHub in small that knows the commit which the reader's workflows run on."""
    with Double() as double:
        repo = double.add(SCOPE, {"README.md": "An app."})
        words = ["git", "-C", str(machine.repository), "rev-parse", "HEAD"]
        head = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        repo.commits[head] = repo.commits[repo.refs["main"]]
        add_template(served.url, "sonoma-runner", RUNNER_TEMPLATE)
        yield double
        runners.of(double).close()


@pytest.fixture
def run(machine, served, hub):
    """Run an example with the addresses and the secrets of this server."""

    def start(example):
        text = example.workflow.replace("http://anka.internal:8090", served.controller_url)
        env = acting.connected(served) | {"ANKA_CI_RUNNER_SCOPE": SCOPE}
        secrets = SECRETS | {"RUNNERS_TOKEN": TOKEN, "GITHUB_TOKEN": TOKEN}
        words = [word for name, value in secrets.items() for word in ("--secret", f"{name}={value}")]
        words += ["--env", f"GITHUB_API_URL={hub.url}"]
        env["PATH"] = f"{Path(served.anka).parent}:{acting.PATH}"
        return machine.run(text, *words, env=env, on=example.event)

    return start


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_works_as_it_stands(example, run):
    ran = run(example)
    # A job on a label that is made while the workflow runs is one that act has no machine for.
    made = {name for name, job in yaml.safe_load(example.workflow)["jobs"].items() if "${{" in str(job["runs-on"])}
    assert {"success"} == {job.result for name, job in ran.jobs.items() if name not in made}, ran.shown()
    assert [] == [told for job in ran.jobs.values() for step in job.steps.values() for told in step.annotations]
    assert "hush hush" not in ran.shown()


def test_the_outputs_that_an_example_shows_are_there(run):
    ran = run(next(each for each in EXAMPLES if "fromJSON" in each.text))
    assert "v2" in "\n".join(step.log for step in ran.job.steps.values()).splitlines(), ran.shown()


def test_a_commit_status_tells_how_it_went(run, hub):
    run(next(each for each in EXAMPLES if "commit-status" in each.text))
    (told,) = hub.repos[SCOPE].statuses.values()
    assert ["pending", "success"] == [each["state"] for each in told][-2:]


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
