"""Rendered Jenkins jobs in the Groovy that Jenkins has inside: their scripts run, and every Jenkinsfile is Groovy."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from integration.grooves import case

ROOT = Path(__file__).parent.parent.parent
GOLDEN = sorted((ROOT / "tests" / "pipelines").glob("*.Jenkinsfile"))
NASTY = 'it\'s "so" $HOME ${HOME} $$ $(id) `id` \\ \\n \\u0041 \'\'\' """ ünï 🍎 & < ]]>'
PIPELINE = """\
version: 1
# {nasty}
parameters:
  value: {{default: {value}}}
  note: {{required: false}}
  size: {{choices: [small, large], default: large}}
  force: false
secrets: [WORD]
job: {{runner: [macos, "big one"], timeout: 10m, concurrency: "to ${{{{ params.size }}}}"}}
jenkins: {{credentials: {{WORD: anka-token}}}}
steps:
- run: printf '%s|%s|%s|%s' "$VALUE" "$NOTE" "$FORCE" "$WORD" >"arrived-$SIZE"
  env:
    VALUE: '${{{{ params.value }}}}'
    NOTE: '${{{{ params.note }}}}'
    FORCE: '${{{{ params.force }}}}'
    SIZE: '${{{{ params.size }}}}'
"""


def script(folder: Path, text: str) -> str:
    """The script of the rendered job of a pipeline file."""
    (folder / "nasty.yml").write_text(text)
    words = [sys.executable, "-Im", "anka_ci.cli", "job", "render", "--ci", "jenkins", "nasty.yml"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return ET.fromstring(done.stdout.split("?>", 1)[1]).findtext("definition/script") or ""


def test_the_script_of_a_job_runs_what_the_file_says_with_what_was_entered(groovy, tmp_path: Path) -> None:
    text = PIPELINE.format(nasty=NASTY, value=json.dumps(NASTY, ensure_ascii=False))
    found = script(tmp_path, text)
    workspace = tmp_path / "job" / "workspace"
    given = {"value": NASTY, "note": "", "size": "small", "force": True}
    answers = groovy(case("job", found), params=given)
    assert {"run": {"exitCode": "0"}} == answers["job"].get("returned"), answers["job"]
    assert text == (workspace / "nasty.yml").read_text()
    assert f"{NASTY}||true|***" == (workspace / "arrived-small").read_text().replace("a secret token", "***")
    assert [
        {"node": 'macos && "big one"'},
        {"timeout": 1200, "unit": "SECONDS"},
        {"lock": "to small"},
    ] == answers["job"]["called"]
    (ran,) = answers["job"]["ran"]
    assert "a secret token" not in json.dumps(ran["environment"])


def test_a_job_with_a_repository_checks_it_out_first(groovy, tmp_path: Path) -> None:
    more = 'jenkins: {credentials: {WORD: anka-token}, scm: {url: "https://git.example/it\'s", credentials: reader}}'
    text = PIPELINE.format(nasty="", value="v1").replace("jenkins: {credentials: {WORD: anka-token}}", more)
    answers = groovy(case("job", script(tmp_path, text)), params={"value": "v1", "size": "large", "force": False})
    assert "(usage)" in answers["job"]["message"]  # no file came: the checkout here brings nothing
    checkout = answers["job"]["called"][-1]["checkout"]
    assert {
        "$class": "GitSCM",
        "branches": [{"name": "*/main"}],
        "userRemoteConfigs": [{"url": "https://git.example/it's", "credentialsId": "reader"}],
    } == checkout


def test_every_jenkinsfile_is_groovy(groovy) -> None:
    answers = groovy(*(case(file.name, file.read_text(), only_parse=True) for file in GOLDEN))
    assert {file.name: None for file in GOLDEN} == {name: each.get("message") for name, each in answers.items()}
    broken = groovy(case("broken", GOLDEN[0].read_text() + "}", only_parse=True))
    assert "MultipleCompilationErrorsException" == broken["broken"]["thrown"]
