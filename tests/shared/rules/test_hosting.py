"""The rule ``hosting``: names that tie a runner to its instance, and what is left alone."""

import pytest

from anka_ci.rules import hosting
from anka_ci.runners import Runner
from anka_ci.secret import Secret
from anka_ci.wire.instance import Instance

NOW = 1_790_000_000
HOME, OTHER = "0123abcd", "ffffffff"


def name(owner="me", home=HOME, age=3600):
    return f"anka-ci-{owner}-{NOW - age:010}-{home}00c0ffee"


def runner(text, online=False, busy=False):
    return Runner(id=text, name=text, online=online, busy=busy)


def instance(text, lease="anka-ci/me/20360131T120000Z", state="Started", metadata=None):
    return Instance(id=f"i-{text}", state=state, name=text, external_id=lease, metadata=metadata or {})


def test_a_name_says_whose_it_is_when_it_was_made_and_where_and_no_two_are_alike():
    longest = "build-4.2_" + "x" * 18
    made = [hosting.make(longest, HOME, NOW + 0.9) for _ in range(2)]
    assert 2 == len({each.text for each in made})
    assert (longest, NOW, HOME) == (made[0].owner, made[0].began, made[0].home)
    assert (made[0], 64) == (hosting.read(made[0].text), max(len(each.text) for each in made))


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        7,
        "mac-mini-4",
        "anka-ci-me-soon",
        name()[:-1],
        name() + "0",
        "x" + name(),
        name("a b"),
        name(home="x"),
    ],
)
def test_a_name_of_anybody_else_says_nothing(text):
    assert None is hosting.read(text)


@pytest.mark.parametrize("owner", ["", "a/b", "x" * 29, "a b"])
def test_an_owner_without_a_place_in_a_name(owner):
    with pytest.raises(ValueError, match="the owner"):
        hosting.make(owner, HOME, NOW)


@pytest.mark.parametrize(
    ("found", "hosts"),
    [
        (instance(name()), True),
        (instance("", metadata={hosting.MARK: name()}), True),
        (instance(name(), lease="job-7"), False),
        (instance(name(), lease=""), False),
        (instance(name(), state="Terminated"), False),
        (instance("mac"), False),
    ],
)
def test_an_instance_hosts_a_runner_by_its_name_and_its_lease_together(found, hosts):
    assert hosts is (hosting.runner_of(found) is not None)


def test_what_is_left_alone_and_what_only_seems_so():
    pair, young = name(age=4000), name(age=299)
    found = [instance(pair), instance(name()), instance(young), instance(name(home=OTHER)), instance("mac")]
    listed = [runner(pair, online=True), runner("mac-mini-4"), runner(name("you")), runner(name("you", age=10))]
    listed += [runner(name("on"), online=True), runner(name("busy"), busy=True), runner(name("far", OTHER))]
    seen = hosting.orphans(found, listed, HOME, NOW, None)
    assert [f"i-{name()}"] == [each.id for each in seen.instances]
    assert [name("you")] == [each.name for each in seen.runners]
    assert [name("far", OTHER)] == [each.name for each in seen.elsewhere]
    assert hosting.Orphans(instances=(), runners=(), elsewhere=()) == hosting.orphans(found, listed, HOME, NOW, "them")


def test_the_script_starts_the_agent_in_its_folder_after_the_setup_and_quotes_what_is_given():
    text = hosting.script(Secret("nohup ./run.sh &"), "my agent's", "echo 'hi'\nexit 0")
    assert (
        "set -eu\ncd ~\nsh -euc 'echo '\"'\"'hi'\"'\"'\nexit 0' </dev/null\n"
        "cd -- 'my agent'\"'\"'s' || { echo 'there is no folder my agent'\"'\"'s in the guest: its template has to "
        "hold the runner'\"'\"'s agent, or a script has to bring it' >&2; exit 1; }\nnohup ./run.sh &\n"
    ) == text
