"""Layers: what comes free lies within the range that is announced, which is a point for chains of versions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anka_ci.rules.layers import Layers, Range
from anka_ci.wire.template import Template, Version

SIZES = {"a": 1, "b": 20, "c": 300, "d": 4000, "e": 50000}


def template(name, *versions, told=True, sizes=SIZES, states=()):
    """Versions as letters, each a layer; those of ``states`` are states."""
    found = tuple(
        Version(
            number=number,
            tag=f"v{number}",
            images=tuple(layer for layer in reversed(layers) if layer not in states),
            state_files=tuple(layer for layer in layers if layer in states),
            size=sum(sizes[layer] for layer in layers) if told else None,
        )
        for number, layers in enumerate(versions)
    )
    size = sum(sizes[layer] for layer in {*"".join(versions)})
    return Template(id=name, name=name, versions=found, size=size if told else None)


def freed(templates, *going, beside=()):
    layers = Layers(templates)
    by_name = {each.name: each for each in templates}
    pairs = [[(by_name[name], by_name[name].versions[number]) for name, number in each] for each in (going, beside)]
    found = layers.freed(layers.uses(pairs[0]), layers.uses(pairs[1]))
    return found.least, found.most


@pytest.mark.parametrize(
    ("templates", "going", "least", "most"),
    [
        ([template("t", "a", "ab", "abc")], [("t", 2)], 300, 300),
        ([template("t", "a", "ab", "abc")], [("t", 1), ("t", 2)], 320, 320),
        ([template("t", "a", "ab", "abc")], [("t", 0), ("t", 1), ("t", 2)], 321, 321),
        ([template("t", "ab", "abc", "abc")], [("t", 2)], 0, 0),  # the tags share all layers
        ([template("t", "ab"), template("u", "abc")], [("u", 0)], 300, 300),
        ([template("t", "ab"), template("u", "abc")], [("t", 0)], 0, 0),
        ([template("t", "ab"), template("u", "ac")], [("t", 0)], 0, 21),  # how large the shared one is is not told
        ([template("t", "ab"), template("u", "ac")], [("t", 0), ("u", 0)], 301, 322),
        ([template("t", "ab", "cd")], [("t", 1)], 4300, 4300),  # a push of another VM shares nothing
        ([template("t", "ab", "acd", states="bd")], [("t", 1)], 4300, 4300),  # the states are replaced
        ([template("t", "a", "ab", told=False)], [("t", 1)], 0, None),
        ([template("t", sizes={})], [], 0, 0),
        ([template("t", "a", sizes={"a": 0})], [("t", 0)], 0, 0),
    ],
)
def test_what_comes_free(templates, going, least, most):
    assert (least, most) == freed(templates, *going)


def test_what_two_removals_share_comes_free_with_the_second():
    templates = [template("t", "ab"), template("u", "abc")]
    assert (0, 0) == freed(templates, ("t", 0))
    assert (321, 321) == freed(templates, ("u", 0), beside=[("t", 0)])


def test_a_registry_that_names_no_layers_tells_sizes_all_the_same():
    bare = [Template(id="t", name="t", versions=(Version(number=0, tag="v0", size=7),), size=7)]
    assert (7, 7) == freed(bare, ("t", 0))


def test_sizes_that_contradict_each_other_are_believed_no_further_than_they_go():
    wrong = template("t", "a", "ab", "abc")
    versions = (wrong.versions[0], wrong.versions[1], Version(number=2, tag="v2", images=("c", "b", "a"), size=5))
    wrong = Template(id="t", name="t", versions=versions, size=321)
    right = template("u", "de")
    assert (0, 321) == freed([wrong, right], ("t", 2))
    assert (54000, 54000) == freed([wrong, right], ("u", 0))


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (0, 0, "0 B"),
        (1024, 1024, "1.0 KiB"),
        (0, 2048, "0 B to 2.0 KiB"),
        (0, None, "an unknown number of bytes"),
        (1024, None, "1.0 KiB or more"),
    ],
)
def test_a_range_in_words(least, most, text):
    assert text == str(Range(least=least, most=most))


SETS = st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    stacks=st.lists(SETS, min_size=1, max_size=3),
    sizes=st.lists(st.integers(0, 1000), min_size=8, max_size=8),
    chosen=st.data(),
)
def test_what_really_comes_free_lies_within_the_range(stacks, sizes, chosen):
    by_layer = dict(zip("abcdefgh", sizes, strict=True))
    stacks = [["".join(sorted(each)) for each in stack] for stack in stacks]
    templates = [template(f"t{number}", *stack, sizes=by_layer) for number, stack in enumerate(stacks)]
    every = [(number, index) for number, stack in enumerate(stacks) for index in range(len(stack))]
    going = chosen.draw(st.sets(st.sampled_from(every)))
    kept = {layer for number, index in every if (number, index) not in going for layer in stacks[number][index]}
    gone = {layer for number, index in going for layer in stacks[number][index]} - kept
    least, most = freed(templates, *((f"t{number}", index) for number, index in going))
    assert least <= sum(by_layer[layer] for layer in gone) <= most


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=8), cut=st.integers(0, 7))
def test_it_is_a_point_for_a_chain(sizes, cut):
    by_layer = dict(zip("abcdefgh", sizes, strict=False))
    layers = "".join(by_layer)
    chain = template("t", *(layers[: length + 1] for length in range(len(layers))), sizes=by_layer)
    true = sum(sizes[cut:])
    assert (true, true) == freed([chain], *(("t", number) for number in range(cut, len(sizes))))
