"""Rendering: what is quoted for which language, and that nothing undefined slips through."""

import json
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import jinja2
import pytest

from anka_ci import adapter
from anka_ci.render import cell, environment, quote_groovy, quote_json, quote_shell, render

NASTY = "a'b\"c\\d\ne $(x) `y` ${z} ${{ s }} [[ t ]] <&> \t ü 🙂"


def test_a_value_keeps_its_text_in_every_language() -> None:
    assert NASTY == json.loads(quote_json(NASTY))
    assert [NASTY] == shlex.split(quote_shell(NASTY))
    literal = quote_groovy(NASTY)
    assert "\n" not in literal
    assert NASTY == literal[1:-1].encode().decode("unicode_escape").encode("latin-1").decode()
    assert "a \\| b c" == cell("a | b\n  c")


def test_our_delimiters_leave_those_of_others_alone_and_xml_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "x.yml.j2").write_text("${{ a }} ${b} [[ v | yaml ]]\n")
    (tmp_path / "x.xml.j2").write_text("<a>[[ v ]]</a>\n")
    assert f"${{{{ a }}}} ${{b}} {quote_json(NASTY)}\n" == render("anka_ci", "x.yml.j2", {"v": NASTY}, tmp_path)
    assert NASTY == ET.fromstring(render("anka_ci", "x.xml.j2", {"v": NASTY}, tmp_path)).text


def test_an_undefined_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.j2").write_text("[[ missing ]]")
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        environment("anka_ci", tmp_path).get_template("x.j2").render()


def test_what_was_left_out_is_not_given() -> None:
    assert {"tag": "", "all": "true"} == adapter.given({"tag": "", "template": adapter.LEFT_OUT, "all": "true"})
