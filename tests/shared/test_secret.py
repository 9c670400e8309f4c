"""Secrets never print, and the redactor finds them in every spelling."""

from __future__ import annotations

import base64
import html
import json
import pickle
from collections.abc import Callable
from urllib.parse import quote

import pytest

from anka_ci.secret import MASK, Redactor, Secret

TEXT = 'hu$h/ +hush"é'


def test_a_secret_never_prints() -> None:
    secret = Secret(TEXT)
    assert [MASK] * 4 == [str(secret), repr(secret), f"{secret}", f"{secret!r:s}"]
    assert "[***]" == str([secret])
    assert TEXT == secret.reveal()
    assert Secret(MASK) == pickle.loads(pickle.dumps(secret))
    assert not Secret("")
    assert Secret("a") == Secret("a") != Secret("b")
    assert "a" != Secret("a")


@pytest.mark.parametrize(
    "shown",
    [
        TEXT,
        quote(TEXT, safe=""),
        base64.b64encode(TEXT.encode()).decode(),
        base64.urlsafe_b64encode(TEXT.encode()).decode(),
        base64.b64encode(b"root:" + TEXT.encode()).decode().rstrip("="),
        quote(TEXT, safe="").lower(),
        quote(TEXT),
        json.dumps(TEXT)[1:-1],
        html.escape(TEXT),
    ],
)
def test_every_spelling_is_masked(shown: str) -> None:
    assert f"x {MASK} y" == Redactor([Secret(TEXT)])(f"x {shown} y").replace("=", "")


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", '{"token":"'])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_inside_a_longer_text_that_is_base64_is_masked(before: str, encode: Callable[[bytes], bytes]) -> None:
    shown = encode(f"{before}{TEXT}ÿÿ-behind".encode()).decode()
    left = Redactor([Secret(TEXT)])(shown).split(MASK)
    assert 2 == len(left)
    # What is left decodes to what stands around it: no more than the bits of one byte at each end are the secret's.
    assert len(before) * 8 // 6 + 2 >= len(left[0])


def test_each_line_of_a_secret_is_masked() -> None:
    assert f"{MASK} and {MASK}" == Redactor([Secret("first\nsecond\n")])("first and second")


def test_short_secrets_do_not_mask_ordinary_text() -> None:
    assert "a cab" == Redactor([Secret("ca")])("a cab")


def test_credentials_in_urls_are_masked() -> None:
    assert f"at http://{MASK}@host/x" == Redactor()("at http://me:pass@host/x")
    assert "at http://host/x@y" == Redactor()("at http://host/x@y")
    assert f"ssh://{MASK}@host/x" == Redactor()("ssh://git:pass@host/x")
    assert "ssh://git@host/x" == Redactor()("ssh://git@host/x")


def test_trees_are_redacted_with_their_keys() -> None:
    assert {MASK: ["a", 1, None, {"b": MASK}]} == Redactor([Secret("hush")]).tree(
        {"hush": ("a", 1, None, {"b": "hush"})}
    )
