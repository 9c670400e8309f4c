"""The step ``show``, as a process against the embedded server."""

import json

import pytest


def outputs(done):
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)["steps"][0]["outputs"]


def test_the_newest_version_is_shown(cli):
    found = outputs(cli("show", "sonoma", "--json"))
    assert ("v1", 1, 3) == (found["tag"], found["version"], len(found["layers"]))
    assert ["base", "v1"] == [version["tag"] for version in found["versions"]]


def test_the_second_tag_shares_the_layers_of_the_first(cli):
    base, v1 = (outputs(cli("show", "sonoma", "--tag", tag, "--json")) for tag in ("base", "v1"))
    assert base["layers"] == v1["layers"][1:]
    assert v1["size"] > base["size"] > 0


def test_the_configuration_names_the_newest_layer(cli):
    found = outputs(cli("show", "sonoma", "--config", "--json"))
    assert found["layers"][0] == found["config"]["hard_drives"][0]["file"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--tag", "v2"), 4, "no tag 'v2'"),
        (("--version", "7"), 4, "no version '7'"),
        (("--tag", "v1", "--version", "0"), 2, "is version 1, not 0"),
        (("--tag", ""), 2, "given but empty"),
        (("--version", "one"), 2, "not a whole number"),
    ],
)
def test_a_bad_selector(cli, options, code, said):
    done = cli("show", "sonoma", *options)
    assert code == done.returncode
    assert said in done.stderr


def test_without_an_address_it_says_what_to_set(cli):
    done = cli("show", "sonoma", env={"ANKA_CI_REGISTRY_URL": "", "ANKA_CI_CONTROLLER_URL": ""})
    assert 2 == done.returncode
    assert "ANKA_CI_CONTROLLER_URL" in done.stderr
