"""Values, templates, distributions and manifests on the wire."""

from __future__ import annotations

import json
import re

import pytest

from anka_ci.errors import NotFoundError, UsageError
from anka_ci.wire import values
from anka_ci.wire.distribution import CANCELLED, Distribution, NodeShare
from anka_ci.wire.manifest import Layer, Manifest, oci_tag
from anka_ci.wire.template import Template, Version

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60),
        ("1970-01-01T00:01:00.123456789Z", 60.123456789),
        ("1970-01-01T02:01:00+0200", 60),
        (60, 60),
        (0, None),
        (True, None),
        (values.NEVER, None),
        ("yesterday", None),
        ("1970-13-01T00:00:00Z", None),
    ],
)
def test_times(written: object, seconds: float | None) -> None:
    assert seconds == values.read_time(written)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("", None),
        (None, None),
        ("9" * 400, None),
    ],
)
def test_how_long_to_stay_away(written: str | None, seconds: float | None) -> None:
    assert seconds == values.retry_after(written, 1_700_000_000)


def test_single_values() -> None:
    assert "1970-01-01T00:01:00.500000Z" == values.emit_time(60.5)
    assert ["0", "1", "0.5"] == [json.dumps(values.emit_share(share)) for share in (-1.0, 1.2, 0.5)]
    assert 7 == values.integer({"a": True, "b": "7"}, "a", "b")
    assert () == values.names({"a": None}, "a")


@pytest.mark.parametrize("tag", ["", "a b", "-x", "a/../b", "x" * 129, "a\x7f", "\ud800"])
def test_tags_that_break_things(tag: str) -> None:
    with pytest.raises(UsageError, match="the tag"):
        values.check_tag(tag)


def test_names_may_hold_inner_spaces() -> None:
    assert "macOS 14 é" == values.check_name("macOS 14 é")
    assert "a+b:c/d_1.0" == values.check_tag("a+b:c/d_1.0")
    with pytest.raises(UsageError, match="white space"):
        values.check_name(" x")


def template(*tags: str) -> Template:
    versions = [{"number": number, "tag": tag} for number, tag in enumerate(tags)]
    return Template.read({"id": "t", "name": "n", "versions": versions[::-1]})


def test_versions_are_picked() -> None:
    found = template("a", "b", "c")
    assert [0, 1, 2] == [version.number for version in found.versions or ()]
    assert [2, 1, 0, 2] == [
        version.number for version in (found.pick(), found.pick("b"), found.pick(number=0), found.pick("latest"))
    ]
    assert 0 == template("latest", "b").pick("latest").number
    assert [1, 2] == [version.number for version in found.newer_than(found.pick("a"))]
    with pytest.raises(UsageError, match="is version 1, not 2"):
        found.pick("b", 2)
    for wrong in ({"tag": "d"}, {"number": 9}):
        with pytest.raises(NotFoundError):
            found.pick(**wrong)
    with pytest.raises(NotFoundError):
        template().pick()


def test_templates_round_trip() -> None:
    assert Template(id="t", name="n") == Template.read({"t": "n"})
    assert template("a").emit() == Template.read(template("a").emit()).emit()
    with pytest.raises(ValueError, match="without number or tag"):
        Version.read({"number": 1})


def test_distributions_round_trip() -> None:
    nodes = {"n1": NodeShare(done=True, progress=1), "n2": NodeShare(error=CANCELLED), "n3": NodeShare(progress=0.5)}
    found = Distribution(id="d", template_id="t", nodes=nodes, requested=60.0, tag="a", version=0)
    assert found == Distribution.read(found.emit())
    assert ["done", "cancelled", "pulling"] == [share.state for share in nodes.values()]
    assert not found.ended
    with pytest.raises(ValueError, match="without request_id"):
        Distribution.read({"request": None})


def test_manifests_round_trip() -> None:
    layers = (Layer(file="1.ank", digest=DIGEST, size=1), Layer(file="2.ank", digest=DIGEST, size=2))
    found = Manifest(id="T", name="n", tag="a+b", config_digest=DIGEST, config_size=3, layers=layers)
    assert found == Manifest.read(found.emit())
    assert ("2.ank", "1.ank") == tuple(layer.file for layer in found.of_role("disk"))
    assert "t" == found.repository
    assert Manifest.read(b"{}") is None
    with pytest.raises(ValueError, match="lacks"):
        Manifest.read(found.emit().replace(b'"anka-ci.id"', b'"anka-ci.di"'))
    for odd in (b"[]", b'"x"', b"null", b"1"):
        with pytest.raises(ValueError, match="lacks"):
            Manifest.read(re.sub(rb'"annotations":{"anka-ci.id".*?}', b'"annotations":' + odd, found.emit()))
    with pytest.raises(ValueError, match="no sha256 digest"):
        Manifest.read(found.emit().replace(b"sha256:", b"sha1:"))
    assert "v1.0" == oci_tag("v1.0")
    assert oci_tag("a/b").startswith("_x.")
