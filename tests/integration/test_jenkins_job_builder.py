"""Jenkins Job Builder and we give the same configuration for the same job, as far as both can say it.

Installs it from the package index that pip is set up for. https://jenkins-job-builder.readthedocs.io/
"""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from anka_ci_jenkins import config

VERSION = "6.5.0"
OURS = {
    "inline": """
parameters:
  tag: {help: "The tag <to> make & 'so'", default: v1}
  force: {type: bool, default: "false"}
  size: {choices: [large, small], default: large}
job: {triggers: {schedule: ['17 3 * * 1', '0 12 * * *'], push: main}}
jenkins:
  {job: inline, keep: {builds: 30, days: 14}, poll: H/15 * * * *, scm: {url: "https://git.example/a.git"}}
""",
    "scm": """
jenkins:
  job: scm
  kind: scm
  scm: {url: "https://git.example/a.git", branch: release, credentials: reader, jenkinsfile: ci/Jenkinsfile}
""",
    "team": "jenkins: {job: team/inside, folders: true}\n",
    "branches": """
jenkins:
  job: branches
  kind: multibranch
  poll: '*/5 * * * *'
  scm: {url: "https://git.example/a.git", credentials: reader}
""",
}
THEIRS = """
- job:
    name: inline
    project-type: pipeline
    sandbox: true
    dsl: SCRIPT
    concurrent: false
    parameters:
      - string: {name: tag, default: v1, description: "The tag <to> make & 'so'"}
      - bool: {name: force, default: false, description: ''}
      - choice: {name: size, choices: [large, small], description: ''}
    triggers:
      - timed: "TZ=Etc/UTC\\n17 3 * * 1\\n0 12 * * *"
      - pollscm: {cron: H/15 * * * *}
    properties:
      - build-discarder: {days-to-keep: 14, num-to-keep: 30}
- job:
    name: scm
    project-type: pipeline
    pipeline-scm:
      scm:
        - git:
            {url: "https://git.example/a.git", branches: ['*/release'], credentials-id: reader, wipe-workspace: false}
      script-path: ci/Jenkinsfile
      lightweight-checkout: true
- job:
    name: team
    project-type: folder
- job:
    name: branches
    project-type: multibranch
    script-path: Jenkinsfile
    periodic-folder-trigger: 5m
    number-to-keep: -1
    scm:
      - git: {url: "https://git.example/a.git", credentials-id: reader}
"""
SOURCE = "sources/data/jenkins.branch.BranchSource"
FREESTYLE = [
    *("blockBuildWhenDownstreamBuilding", "blockBuildWhenUpstreamBuilding", "concurrentBuild", "canRoam"),
    *("publishers", "buildWrappers"),
]
"""What a freestyle job has, and neither a folder nor a multibranch project."""
ONLY_THEIRS = {
    "inline": [],
    # Fields that it writes for every git repository with Jenkins' defaults, and that pipelines do not have.
    "scm": [
        "definition/sandbox",
        *(f"definition/scm/userRemoteConfigs/hudson.plugins.git.UserRemoteConfig/{tag}" for tag in ("name", "refspec")),
        *(f"definition/scm/{tag}" for tag in ("disableSubmodules", "recursiveSubmodules", "remotePoll", "gitTool")),
        *(f"definition/scm/{tag}" for tag in ("reference", "gitConfigName", "gitConfigEmail")),
    ],
    "team": [*FREESTYLE, "scm"],
    # The id is any that stays the same; wiping the workspace is its default, and not wiping is Jenkins'.
    "branches": [
        *FREESTYLE,
        f"{SOURCE}/source/id",
        f"{SOURCE}/source/traits/jenkins.plugins.git.traits.WipeWorkspaceTrait",
    ],
}
ONLY_OURS = {"branches": [f"{SOURCE}/source/id", f"{SOURCE}/strategy"]}


def without(text: str, paths: list[str]) -> str:
    """The canonical text without the description and these elements, each of which has to be there."""
    root = ET.fromstring(config.canonical(text)[0])
    for path in paths:
        parent, _, tag = path.rpartition("/")
        place = root.find(parent) if parent else root
        assert place is not None, path
        child = place.find(tag)
        assert child is not None, path
        place.remove(child)
    description = root.find("description")
    if description is not None:
        root.remove(description)
    return config.canonical(ET.tostring(root, encoding="unicode"))[0]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("ours")
    (folder / ".git").mkdir()
    found = {}
    for name, text in OURS.items():
        (folder / f"{name}.yml").write_text(f"version: 1\n{text}\nsteps: [{{use: list}}]\n")
        words = [sys.executable, "-Im", "anka_ci.cli", "job", "render", "--ci", "jenkins", f"{name}.yml"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
        found[name] = done.stdout.split("---\n")[0].split("?>", 1)[1]
    return found


@pytest.fixture(scope="module")
def theirs(ours: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("theirs")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    words = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", f"jenkins-job-builder=={VERSION}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"jenkins-job-builder {VERSION} could not be installed by pip: {done.stderr[-300:]}")
    script = ET.fromstring(ours["inline"]).findtext("definition/script") or ""
    script = script.replace("{", "{{").replace("}", "}}")
    block = "|\n" + "".join(f"      {line}\n" for line in script.splitlines())
    (folder / "jobs.yaml").write_text(THEIRS.replace("SCRIPT", block))
    words = [str(folder / "venv" / "bin" / "jenkins-jobs"), "test", "jobs.yaml", "-o", "out", "--config-xml"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return {name: (folder / "out" / name / "config.xml").read_text() for name in OURS}


@pytest.mark.parametrize("name", OURS)
def test_both_say_the_same(name: str, ours: dict[str, str], theirs: dict[str, str]) -> None:
    assert without(theirs[name], ONLY_THEIRS[name]) == without(ours[name], ONLY_OURS.get(name, []))
