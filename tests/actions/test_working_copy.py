"""``anka-ci job`` over a working copy: plan, apply and destroy as a person runs them, without any server."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from anka_ci import cli
from anka_ci.adapter import keeping
from anka_ci.adapter.jobs import Change, Job
from anka_ci.adapter.keeping import Aim
from anka_ci.errors import UsageError
from anka_ci_actions import mark
from anka_ci_actions.working_copy import WorkingCopy

A, B = ".github/workflows/a.yml", ".github/workflows/b.yml"
TEXT = "version: 1\njob: {runner: mac}\nsteps: [{use: list}]\n"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A working copy with two pipeline files."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "ci").mkdir()
    for name in "ab":
        (tmp_path / "ci" / f"{name}.yml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANKA_CI_USES", "octo/anka-ci@v1")
    monkeypatch.setenv("ANKA_CI_SETTINGS", str(tmp_path / "settings.yml"))
    return tmp_path


@pytest.fixture
def job(copy, capsys):
    """One ``anka-ci job`` here; its exit code, and what it prints."""

    def run(action, *words):
        code = cli.main(["job", action, "--ci", "github", "--folder", ".", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_a_plan_after_an_apply_says_in_step(copy, job):
    code, said = job("plan", "ci/a.yml")
    assert (9, False) == (code, (copy / A).exists())
    assert "+++ wanted/.github/workflows/a.yml\n" in said
    code, said = job("apply", "ci/a.yml")
    assert (0, True) == (code, (copy / A).exists())
    code, said = job("plan", "ci/a.yml")
    assert 0 == code
    assert f"{A}  in step  unchanged  ci/a.yml\n" in said
    assert [A] == [path.relative_to(copy).as_posix() for path in (copy / ".github").rglob("*") if path.is_file()]


def test_a_hand_edit_is_shown_and_kept_until_it_is_given_up(copy, job):
    job("apply", "ci/a.yml")
    ours = (copy / A).read_text()
    (copy / A).write_text(ours.replace("runs-on:", "runs-on: # mine\n     "))
    code, said = job("plan", "ci/a.yml")
    assert 8 == code
    assert "-    runs-on: # mine\n" in said
    code, said = job("apply", "ci/a.yml")
    assert 8 == code
    assert f"{A} was changed by hand\n  take the change over" in said
    assert "# mine" in (copy / A).read_text()
    assert 9 == job("plan", "ci/a.yml", "--take-ours")[0]
    assert 0 == job("apply", "--take-ours", "ci/a.yml")[0]
    assert ours == (copy / A).read_text()


def test_a_changed_pipeline_file_changes_its_workflow_only(copy, job):
    job("apply", "ci/a.yml", "ci/b.yml")
    before = (copy / B).read_text()
    (copy / "ci" / "a.yml").write_text(TEXT.replace("runner: mac", "runner: linux"))
    code, said = job("plan", "ci/a.yml", "ci/b.yml")
    assert 9 == code
    assert '-    runs-on: ["mac"]\n+    runs-on: ["linux"]\n' in said
    assert 0 == job("apply", "ci/a.yml", "ci/b.yml")[0]
    assert ('runs-on: ["linux"]' in (copy / A).read_text(), before) == (True, (copy / B).read_text())


def test_a_workflow_that_gets_another_name_leaves_none_behind(copy, job):
    job("apply", "ci/a.yml", "ci/b.yml")
    (copy / "ci" / "a.yml").write_text(f"{TEXT}github: {{workflow: c.yml}}\n")
    assert 0 == job("apply", "ci/a.yml")[0]
    assert ["b.yml", "c.yml"] == sorted(path.name for path in (copy / ".github" / "workflows").iterdir())


def test_a_pipeline_file_that_was_moved_takes_its_workflow_along_when_asked(copy, job):
    job("apply", "ci/a.yml")
    (copy / "ci" / "a.yml").rename(copy / "a.yml")
    code, said = job("apply", "a.yml")
    assert 8 == code
    assert f"{A} is not ours: it is made from ci/a.yml\n  if that file was moved, --take-ours hands the job on" in said
    assert (0, 0) == (job("apply", "a.yml", "--take-ours")[0], job("plan", "a.yml")[0])


def test_a_deleted_workflow_is_made_again(copy, job):
    job("apply", "ci/a.yml")
    (copy / A).unlink()
    assert 9 == job("plan", "ci/a.yml")[0]
    assert 0 == job("apply", "ci/a.yml")[0]
    assert (copy / A).exists()


def test_a_workflow_of_somebody_else_is_left(copy, job):
    (copy / A).parent.mkdir(parents=True)
    (copy / A).write_text("on: push\n")
    for action in ("plan", "apply"):
        code, said = job(action, "ci/a.yml")
        assert (8, "on: push\n") == (code, (copy / A).read_text())
        assert f"{A} is not ours: it carries no mark of anka-ci" in said
    code, said = job("destroy", "ci/a.yml")
    assert (8, True) == (code, (copy / A).exists())
    assert "remove it by hand" in said


def test_whoever_removes_the_mark_takes_the_file_over(copy, job):
    job("apply", "ci/a.yml")
    (copy / A).write_text((copy / A).read_text().split("\n", 1)[1])
    code, said = job("apply", "ci/a.yml")
    assert 8 == code
    assert "its text is the one that is wanted" in said


def test_destroy_removes_ours_also_when_the_pipeline_file_is_gone_or_wrong(copy, job):
    job("apply", "ci/a.yml", "ci/b.yml")
    (copy / "ci" / "a.yml").unlink()
    assert 0 == job("destroy", "ci/a.yml")[0]
    assert ([False, True], 0) == ([(copy / each).exists() for each in (A, B)], job("plan", "ci/b.yml")[0])
    (copy / "ci" / "b.yml").write_text("nonsense\n")
    assert 0 == job("destroy", "ci/b.yml")[0]
    assert not (copy / B).exists()


def test_all_of_ours_and_nothing_else_goes(copy, job):
    job("apply", "ci/a.yml", "ci/b.yml")
    (copy / ".github" / "workflows" / "c.yml").write_text("on: push\n")
    (copy / ".github" / "workflows" / "d.txt").write_text((copy / A).read_text())
    code, said = job("plan", "ci/a.yml", "--all")
    assert 9 == code
    assert f"{B}  obsolete" in said
    assert 0 == job("apply", "ci/a.yml", "--all")[0]
    assert ([True, False], 0) == ([(copy / each).exists() for each in (A, B)], job("destroy", "--all")[0])
    assert ["c.yml", "d.txt"] == sorted(path.name for path in (copy / ".github" / "workflows").iterdir())


def test_the_line_ends_of_a_check_out_are_no_edit(copy, job):
    job("apply", "ci/a.yml")
    (copy / A).write_bytes((copy / A).read_bytes().replace(b"\n", b"\r\n"))
    assert 0 == job("plan", "ci/a.yml")[0]


def test_the_result_document(copy, job):
    code, said = job("plan", "--json", "ci/a.yml")
    document = json.loads(said.partition("\nanka-ci: ")[0])
    assert (9, 9, "planned") == (code, document["code"], document["status"])
    assert ("create", "ci/a.yml") == tuple(document["steps"][0]["outputs"][key] for key in ("verdict", "source"))
    code, said = job("apply", "--json", "ci/a.yml")
    assert (0, "done", "done") == (code, json.loads(said)["status"], json.loads(said)["steps"][0]["status"])


def test_the_default_file_and_where_one_stands_do_not_matter(copy, job, monkeypatch):
    (copy / "anka-ci.yml").write_text(TEXT)
    assert 0 == job("apply")[0]
    assert (copy / ".github" / "workflows" / "anka-ci.yml").exists()
    monkeypatch.chdir(copy / "ci")
    code = cli.main(["job", "apply", "--ci", "github", "--folder", ".", "a.yml"])
    assert (0, "# Made from ci/a.yml by ") == (code, (copy / A).read_text()[:24])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--folder", "nowhere"], "nowhere is no folder"),
        (["--repo", "o/r"], "folder and repo do not go together"),
        (["--pull-request"], "folder and pull-request do not go together"),
        (["--jenkins-url", "http://ci.example"], "--jenkins-url belongs to --ci jenkins"),
        (["--tke-ours"], "unknown argument '--tke-ours'\n  did you mean '--take-ours'?"),
        (["--inputs-file", "inputs.yml"], "unknown input 'fodler'"),
    ],
)
def test_what_is_wrong_on_the_command_line(words, said, copy, job):
    (copy / "inputs.yml").write_text("fodler: x\n")
    code, told = job("apply", "ci/a.yml", *words)
    assert 2 == code
    assert said in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: ACTION"),
        (["rendr"], "invalid choice: 'rendr'"),
        (["plan", "ci/a.yml"], "the following arguments are required: --ci"),
        (["plan", "--ci", "travis"], "invalid choice: 'travis'"),
    ],
)
def test_the_action_and_the_system_have_to_be_named(words, said, copy, capsys):
    assert 2 == cli.main(["job", *words])
    assert said in capsys.readouterr().err


def test_files_of_two_repositories_are_refused(copy, job):
    (copy / "other" / ".git").mkdir(parents=True)
    (copy / "other" / "c.yml").write_text(TEXT)
    code, said = job("plan", "ci/a.yml", "other/c.yml")
    assert 2 == code
    assert "keep the jobs of one repository at a time" in said


def test_two_pipeline_files_of_one_name_are_refused(copy, job):
    (copy / "other").mkdir()
    (copy / "other" / "a.yml").write_text(TEXT)
    code, said = job("plan", "ci/a.yml", "other/a.yml")
    assert 2 == code
    assert f"ci/a.yml and other/a.yml would both be the job {A}" in said


def test_a_folder_that_cannot_be_made_is_told(copy, job):
    (copy / ".github").write_text("a file\n")
    code, said = job("apply", "ci/a.yml")
    assert 3 == code
    assert ".github/workflows: cannot be " in said


def test_a_file_in_the_way_fails_alone(copy, job):
    (copy / B).mkdir(parents=True)
    code, said = job("apply", "ci/a.yml", "ci/b.yml")
    assert 3 == code
    assert f"{B}: cannot be read: Is a directory" in said


def test_a_link_is_not_ours(copy, job):
    job("apply", "ci/a.yml")
    (copy / A).rename(copy / "elsewhere.yml")
    (copy / A).symlink_to(copy / "elsewhere.yml")
    assert 8 == job("apply", "ci/a.yml")[0]
    assert (copy / A).is_symlink()
    (copy / "elsewhere.yml").unlink()
    assert 8 == job("apply", "ci/a.yml")[0]
    assert "elsewhere.yml" == (copy / A).readlink().name
    assert (0, False) == (job("apply", "ci/a.yml", "--take-ours")[0], (copy / A).is_symlink())


def test_what_changes_between_reading_and_writing_is_not_overwritten(copy):
    keeper = WorkingCopy(copy)
    wanted = Job(name=A, text="on: push\n", source="ci/a.yml")
    (made,) = keeper.write([Change(name=A, job=wanted, revision=None)])
    assert made.error is None
    for change in (
        Change(name=A, job=wanted, revision=None),
        Change(name=A, job=wanted, revision="0" * 64),
        Change(name=A, job=None, revision="0" * 64),
        Change(name=B, job=None, revision="0" * 64),
    ):
        (outcome,) = keeper.write([change])
        assert outcome.error is not None
        assert "was changed meanwhile" in outcome.error.message
    assert mark.put(wanted) == (copy / A).read_text()


def test_two_applies_at_once_end_alike(copy):
    jobs = [Job(name=f".github/workflows/{n}.yml", text=f"on: push # {n}\n", source=f"{n}.yml") for n in range(20)]
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(keeping.apply(WorkingCopy(copy), Aim(jobs=jobs, sources=()))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [0, 0, 0, 0] == [result.code for result in results]
    assert {mark.put(job) for job in jobs} == {path.read_text() for path in (copy / A).parent.iterdir()}


def test_a_mark_is_put_and_taken():
    job = Job(name=A, text="on: push\n", source="a (b) by `anka-ci job` (sha256 0).yml")
    assert (job.text, job.mark) == mark.take(mark.put(job))
    assert ("on: push\n", None) == mark.take("on: push\n")
    assert None is mark.take(mark.put(job).replace(job.mark.hash, "z" * 64))[1]
    with pytest.raises(UsageError, match="is no folder"):
        WorkingCopy(Path("/nowhere"))
