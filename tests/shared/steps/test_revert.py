"""The step ``revert``: nothing goes without a confirmation, and then exactly what was said."""

import json


def tags(cli):
    done = cli("show", "sonoma", "--json")
    return [version["tag"] for version in json.loads(done.stdout)["steps"][0]["outputs"]["versions"]]


def digest(cli, *options):
    return json.loads(cli("revert", "sonoma", *options, "--plan", "--json").stdout)["steps"][0]["plan"]["digest"]


def test_without_confirmation_it_prints_what_would_be_lost_and_does_nothing(cli):
    done = cli("revert", "sonoma", "--tag", "v1")
    assert 10 == done.returncode
    assert "sonoma:v1 (version 1" in done.stderr
    assert ["base", "v1"] == tags(cli)


def test_yes_is_enough_for_the_newest_version(cli):
    assert 0 == cli("revert", "sonoma", "--tag", "v1", "--confirm", "yes").returncode
    assert ["base"] == tags(cli)


def test_yes_is_not_enough_for_more(cli):
    assert 10 == cli("revert", "sonoma", "--tag", "base", "--confirm", "yes").returncode
    assert ["base", "v1"] == tags(cli)


def test_the_digest_confirms_the_whole_stack(cli):
    confirm = digest(cli, "--tag", "base")
    assert 0 == cli("revert", "sonoma", "--tag", "base", "--confirm", confirm).returncode
    assert 4 == cli("show", "sonoma").returncode


def test_a_digest_of_another_plan_is_refused(cli):
    stale = digest(cli, "--tag", "base")
    done = cli("revert", "sonoma", "--tag", "v1", "--confirm", stale)
    assert 10 == done.returncode
    assert "does not fit" in done.stderr


def test_a_selector_is_needed(cli):
    done = cli("revert", "sonoma", "--confirm", "yes")
    assert 2 == done.returncode
    assert "either tag or version, or latest" in done.stderr
