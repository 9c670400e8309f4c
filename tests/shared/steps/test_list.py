"""The step ``list``, as a process against the embedded server."""

import json


def test_every_template_is_listed(cli):
    done = cli("list", "--json")
    (step,) = json.loads(done.stdout)["steps"]
    assert (0, 1) == (done.returncode, step["outputs"]["count"])
    assert {"name": "sonoma", "arch": "arm64"}.items() <= step["outputs"]["templates"][0].items()


def test_an_unknown_template_exits_4_and_names_the_nearest(cli):
    done = cli("list", "--template", "sonomma")
    assert (4, "") == (done.returncode, done.stdout)
    assert "did you mean 'sonoma'?" in done.stderr


def test_a_template_given_but_empty_is_refused(cli):
    done = cli("list", "--template", "")
    assert 2 == done.returncode
    assert "given but empty" in done.stderr
