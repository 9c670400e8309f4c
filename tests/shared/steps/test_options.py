"""Every option that Anka's ``pull``, ``push`` and size check have is an input of a step, or left out for a reason."""

import re
from pathlib import Path

from anka_ci import inputs
from anka_ci.standin import registry
from anka_ci.standin.words import CONNECTION
from anka_ci.steps import catalog

README = Path(__file__).parents[3] / "shared" / "README.md"


def rows():
    """The table of the README: option to the steps and inputs that the row names, and what it says of them."""
    text = README.read_text(encoding="utf-8").partition("| option of `anka` |")[2].partition("\n\n")[0]
    for line in text.splitlines()[2:]:
        options, where, said = (cell.strip() for cell in line.strip().strip("|").split("|"))
        for option in re.findall("`(--[a-z-]+)`", options):
            yield option, re.findall("`([a-z-]+)`", where), where, said


def names(spellings):
    return {"--" + name.replace("_", "-") for name, _ in spellings.values()}


def test_every_option_is_in_the_table():
    known = {option for option, *_ in rows()}
    for name, spellings in {**{key: each.options for key, each in registry.COMMANDS.items()}, **registry.TOP}.items():
        if name in ("pull", "push", "check-download-size"):
            assert set() == names(spellings) - known, name
    assert set() == names(CONNECTION) - known


def test_the_table_names_inputs_that_are_there_or_says_why_there_is_none():
    shared = {field.key for field in inputs.fields(inputs.SharedInputs)}
    for option, words, where, said in rows():
        if where == "none":
            assert said, f"{option}: why is it left out?"
            continue
        steps = [word for word in words if word in catalog.BUILT]
        of = {field.key for step in steps for field in inputs.fields(catalog.load(step).Inputs)} if steps else shared
        assert set() == {word for word in words if word not in steps} - of, option
