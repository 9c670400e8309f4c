"""The step ``delete``: the whole template, only with the plan's digest."""

import json


def test_only_the_digest_confirms(cli):
    assert 10 == cli("delete", "sonoma").returncode
    assert 10 == cli("delete", "sonoma", "--confirm", "yes").returncode
    plan = json.loads(cli("delete", "sonoma", "--plan", "--json").stdout)["steps"][0]["plan"]
    assert 3 == len(plan["loses"])
    assert 0 == cli("delete", "sonoma", "--confirm", plan["digest"]).returncode
    assert 0 == json.loads(cli("list", "--json").stdout)["steps"][0]["outputs"]["count"]
