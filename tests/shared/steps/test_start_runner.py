"""The step ``start-runner``: one instance and one runner, or neither."""

import json

import pytest

from actions.github_double.server import TOKEN, Answer
from anka_ci import pipeline
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline
from anka_ci.commands import ci
from anka_ci.console import Console
from anka_ci.errors import (
    FellShortError,
    InterruptError,
    NotAuthorisedError,
    NotConnectedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.rules import hosting, lease
from anka_ci.runners import RunnerPlace
from anka_ci.settings import Context
from faulty import faulty
from hosted import SCOPE, hosted

__all__ = ["faulty", "hosted"]


def test_a_runner_is_online_and_its_instance_bears_its_name_and_a_lease(hosted):
    world = hosted()
    planned = [world.start(plan_only=True, owner="build-42").plan for _ in range(2)]
    assert planned[0]["digest"] == planned[1]["digest"]
    assert ([], []) == (world.names, world.left)
    began = int(world.clock.now())
    done = world.start(owner="build-42", lease="1h", labels=["xcode-16", "big"])
    (held,), (shown,) = world.github.all(), world.anka.controller.instances.all()
    name = done.outputs["runner"]
    assert (name, name, [name, "xcode-16", "big"], 1) == (held.name, shown.name, held.labels, held.group)
    assert held.labels == done.outputs["labels"]
    assert (shown.id, f"{world.double.url}/repos/{SCOPE}") == (done.outputs["instance-id"], done.outputs["where"])
    named = hosting.read(name)
    assert ("build-42", began, name) == (named.owner, named.began, shown.metadata[hosting.MARK])
    assert "build-42" == lease.read(shown.external_id).owner
    assert planned[0]["expects"].items() <= done.outputs.items()


def test_what_the_agent_signs_in_with_is_in_no_plan_result_or_event_and_is_masked(hosted):
    world = hosted()
    done = world.start()
    (held,) = world.github.all()
    (config,) = [answer.body["encoded_jit_config"] for _, answer in world.double.told if answer.status == 201]
    said = json.dumps([done.emit(), [repr(event) for event in world.world.told]])
    assert (False, False) == (held.secret in said, config in said)
    assert "a *** b" == world.redactor(f"a {config} b")


def test_a_runner_of_an_organisation_is_in_a_group_that_is_named_or_numbered(hosted):
    world = hosted(virtual_nodes=4)
    for group, number in (("macs", 7), ("7", 7), (None, 1)):
        name = world.start(scope="mobile", **({"runner_group": group} if group else {})).outputs["runner"]
        assert number == world.github.named(name).group
    with pytest.raises(NotFoundError, match="no runner group 'mac'") as caught:
        world.start(scope="mobile", runner_group="mac")
    assert "did you mean 'macs'?" == caught.value.hint
    with pytest.raises(UsageError, match="a repository has no groups of its own"):
        world.start(runner_group="macs")
    assert (3, 3) == (len(world.names), len(world.left))


def test_what_is_not_online_in_time_or_is_interrupted_or_ended_is_taken_down(hosted):
    world = hosted(virtual_nodes=8)
    world.agents = False
    with pytest.raises(FellShortError, match=r"not online within 1m.*the instance was ended, the runner was removed"):
        world.start(online_within="1m")
    with pytest.raises(FellShortError, match=r"not done within 20 s.*the instance was ended, the runner was removed"):
        world.start(world.doors(deadline=Deadline(world.clock, 20)))
    cancelled = Cancelled()

    def tell(event):
        if "waiting for" in getattr(event, "text", ""):
            cancelled.set("SIGTERM")

    with pytest.raises(InterruptError, match="the instance was ended, the runner was removed") as caught:
        world.start(world.doors(cancelled=cancelled, tell=tell))
    assert {"runner", "instance-id", "expires"} <= set(caught.value.outputs)

    def end(event):
        if "waiting for" in getattr(event, "text", ""):
            for each in world.left:
                world.world.anka.controller.instances.terminate(each)

    with pytest.raises(FellShortError, match=r"its instance .* Terminat.*the runner was removed"):
        world.start(world.doors(tell=end))

    def remove(event):
        if "waiting for" in getattr(event, "text", ""):
            world.github.end_job(world.names[0])

    with pytest.raises(
        FellShortError, match=r"it is gone: it ran a job already.*the instance was ended, the runner is"
    ):
        world.start(world.doors(tell=remove))
    assert ([], []) == (world.names, world.left)
    with pytest.raises(FellShortError, match=r"not online within 5m.* and its instance are kept"):
        world.start(on_failure="keep")
    assert (1, 1) == (len(world.names), len(world.left))


def test_what_the_controller_refuses_or_loses_leaves_no_runner(hosted):
    world = hosted('http: [{match: "POST /api/v1/vm", times: 1, does: drop}]')
    with pytest.raises(UnreachableError, match="nothing was started; the runner was removed"):
        world.start()
    assert ([], []) == (world.names, world.left)
    world = hosted('http: [{match: "POST /api/v1/vm", times: 1, does: lose}]')
    assert [world.start().outputs["instance-id"]] == world.left
    world = hosted('http: [{match: "DELETE /api/v1/vm", does: answer, status: 500}]')
    world.agents = False
    with pytest.raises(FellShortError, match=r"ending .* failed .* `sweep` ends it.*, the runner was removed"):
        world.start()


def test_an_answer_of_github_that_is_lost_leaves_no_runner_and_starts_nothing(hosted):
    world = hosted()
    asked = []

    def lose(request):
        if request.path.endswith("generate-jitconfig") and not asked:
            asked.append(request)
            assert 201 == world.double.answer(request).status
            return Answer(0)
        return None

    world.double.faults.append(lose)
    with pytest.raises(UnreachableError, match="no answer"):
        world.start()
    assert (1, [], []) == (len(asked), world.names, world.left)


def test_an_interruption_while_github_registers_leaves_no_runner(hosted):
    world, cancelled = hosted(), Cancelled()

    def limit(request):
        if request.path.endswith("generate-jitconfig") and not cancelled:
            cancelled.set("SIGTERM")
            assert 201 == world.double.answer(request).status
            return Answer(429, {"message": "slow down"}, {"Retry-After": "5"})
        return None

    world.double.faults.append(limit)
    with pytest.raises(InterruptError, match=r"interrupted .SIGTERM"):
        world.start(world.doors(cancelled=cancelled))
    assert ([], []) == (world.names, world.left)


def test_a_token_that_may_not_or_that_is_missing_starts_nothing(hosted):
    world = hosted()
    next(iter(world.double.tokens.values())).permissions["administration"] = "read"
    with pytest.raises(NotAuthorisedError) as caught:
        world.start()
    assert "Administration: write" in caught.value.hint
    world.env = {"GITHUB_REPOSITORY": SCOPE, "GITHUB_TOKEN": ""}
    with pytest.raises(NotConnectedError, match="no token for GitHub; GITHUB_TOKEN is empty"):
        world.start(world.doors())
    world.env = {"GH_TOKEN": "x"}
    with pytest.raises(NotConnectedError, match="no repository or organisation is named"):
        world.step("start-runner", world.doors(), template="sonoma")
    with pytest.raises(NotConnectedError, match="no CI system is connected"):
        world.start(world.world.doors())
    assert ([], []) == (world.names, world.left)


def test_a_token_that_is_an_input_wins_and_is_told_nowhere(hosted):
    world = hosted()
    world.env["ANKA_CI_GITHUB_TOKEN_FILE"] = "/nowhere"
    world.env["ANKA_CI_GITHUB_TOKEN"] = "another one"
    done = world.start(runners_token=TOKEN)
    assert (1, False) == (len(world.names), TOKEN in json.dumps(done.emit()))
    assert world.names == world.step("stop-runner", owner="anyone", scope=SCOPE, runners_token=TOKEN).outputs["removed"]


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({"template": "tahoe"}, NotFoundError, "no template 'tahoe'"),
        ({"node": "node-9"}, NotFoundError, "no node 'node-9'"),
        ({"scope": "mobile/app/x"}, UsageError, "is no repository"),
        ({"scope": "mobile app"}, UsageError, "'mobile app' has no runners"),
        ({"scope": ""}, UsageError, "scope: is given but empty"),
        ({"labels": "[]"}, UsageError, "labels: is given but empty"),
        ({"owner": "x" * 29}, UsageError, "28 characters"),
        ({"owner": "a/b"}, UsageError, "the owner 'a/b' may hold letters"),
        ({"lease": "0"}, UsageError, "the lease has to last"),
        ({"script": "a", "script_file": "b"}, UsageError, "script or script-file, not both"),
        ({"script_file": "nowhere.sh"}, UsageError, "nowhere.sh cannot be read"),
        ({"online_within": "0"}, UsageError, "one second at least"),
        ({"vcpu": "0"}, UsageError, "more than nothing"),
        ({"scope": "mobile/gone"}, NotFoundError, "GitHub answered 404"),
        ({"scope": "mobile", "runner_group": "99"}, NotFoundError, "GitHub answered 404"),
    ],
)
def test_bad_input(hosted, inputs, error, said):
    world = hosted()
    with pytest.raises(error, match=said):
        world.start(**inputs)
    assert ([], []) == (world.names, world.left)


def test_a_name_that_is_taken_is_refused(hosted, monkeypatch):
    world = hosted()
    name = world.start().outputs["runner"]
    with pytest.raises(RefusedError, match="GitHub answered 409"):
        world.anka.runners(SCOPE).register(name, [name])


PIPELINE = """\
version: 1
secrets: [RUNNERS_TOKEN]
steps:
  - id: mac
    use: start-runner
    with: {{template: sonoma, scope: {scope}, runners-token: "${{{{ secrets.RUNNERS_TOKEN }}}}", controller-url: {url}}}
  - id: ended
    use: stop-runner
    always: true
    with:
      runner: ${{{{ steps.mac.outputs.runner }}}}
      scope: {scope}
      runners-token: ${{{{ secrets.RUNNERS_TOKEN }}}}
"""


def test_steps_of_a_pipeline_file_with_a_secret_and_a_connection_of_their_own(hosted, tmp_path):
    world = hosted()
    url = world.anka.context.controller_url
    (tmp_path / "mac.yml").write_text(PIPELINE.format(scope=SCOPE, url=url))
    found = pipeline.load(tmp_path / "mac.yml")
    setting = pipeline.prepare(found, {}, {"RUNNERS_TOKEN": TOKEN}, world.clock)
    world.env = {"ANKA_CI_GITHUB_URL": world.double.url}
    done = pipeline.run(found, world.anka, setting, connect=lambda own: world.anka.context)
    assert ["done", "done"] == [each.status for each in done.steps], done.error
    assert ([], [], False) == (world.names, world.left, TOKEN in json.dumps(done.emit()))


def test_a_ci_system_that_is_not_known_is_told_with_the_nearest():
    context = Context(runners=RunnerPlace(ci="gitub"))
    with pytest.raises(UsageError, match="no CI system 'gitub' that has runners") as caught:
        Anka(context, runners_by=ci.runners(Console({}))).runners("mobile")
    assert "did you mean 'github'?" == caught.value.hint
