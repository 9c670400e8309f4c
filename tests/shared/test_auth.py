"""What is configured for signing in: layers, files and spellings, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anka_ci import auth, settings
from anka_ci.errors import UsageError
from anka_ci.inputs import SharedInputs
from anka_ci.secret import MASK, Redactor, Secret

KEY = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(("QUJD" * 16, "REVG" * 16, "R0g=")) + "\n-----END PRIVATE KEY-----\n"
CERTIFICATE = KEY.replace("PRIVATE KEY", "CERTIFICATE").replace("QUJD", "SktM")
LINE = "QUJD" * 40


def kinds(context: settings.Context) -> dict[str, list[str]]:
    return {
        service: [way.kind for way in auth.describe(context) if way.service == service]
        for service in ("controller", "registry")
    }


def load(env: dict[str, str], tmp_path: Path, text: str = "", shared: SharedInputs | None = None) -> settings.Context:
    """With ``text`` as the only context of the settings file."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    file = tmp_path / "settings.yml"
    file.write_text(f"default: lab\ncontexts:\n  lab:\n    controller: http://lab:8090\n{lines}")
    return settings.load({"ANKA_CI_SETTINGS": str(file), **env}, shared)


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        ({}, "none"),
        ({"ANKA_CI_TOKEN": "hush"}, "token"),
        ({"ANKA_CI_CERTIFICATE": CERTIFICATE, "ANKA_CI_KEY": KEY}, "certificate"),
        ({"ANKA_CI_CERTIFICATE": CERTIFICATE + KEY}, "certificate"),
        ({"ANKA_CI_CERTIFICATE": LINE, "ANKA_CI_PASSPHRASE": "p"}, "certificate"),
        ({"ANKA_CI_API_KEY_ID": "ci", "ANKA_CI_API_KEY": LINE}, "api-key"),
        ({"ANKA_CI_CLIENT_ID": "ci", "ANKA_CI_CLIENT_SECRET": "hush"}, "oidc"),
    ],
)
def test_each_way_from_the_environment(tmp_path: Path, env: dict[str, str], kind: str) -> None:
    assert {"controller": [kind], "registry": [kind]} == kinds(load(env, tmp_path))
    registrys = {name.replace("ANKA_CI_", "ANKA_CI_REGISTRY_"): value for name, value in env.items()}
    assert {"controller": ["none"], "registry": [kind]} == kinds(load(registrys, tmp_path))
    files = {}
    for name, value in env.items():
        (tmp_path / name).write_text(value)
        files[name if name.endswith("ID") else f"{name}_FILE"] = value if name.endswith("ID") else str(tmp_path / name)
    assert {"controller": [kind], "registry": [kind]} == kinds(load(files, tmp_path))


@pytest.mark.parametrize(
    ("text", "env", "found"),
    [
        ("token-env: A", {"A": "hush"}, ("token", "token")),
        ("token-env: A", {}, ("none", "none")),
        ("api-key-id: ci\napi-key-env: A", {"A": LINE}, ("api-key", "api-key")),
        ("api-key-id: ci", {"ANKA_CI_API_KEY": LINE}, ("api-key", "api-key")),
        ("client-id: ci\nclient-secret-env: A", {"A": "hush"}, ("oidc", "oidc")),
        ("certificate-env: A\nkey-env: B", {"A": CERTIFICATE, "B": KEY}, ("certificate", "certificate")),
        ("token-env: A\nregistry-sign-in:\n  token-env: B", {"A": "a", "B": "b"}, ("token", "token")),
        ("token-env: A\nregistry-sign-in: none", {"A": "hush"}, ("token", "none")),
        ("token-env: A", {"A": "hush", "ANKA_CI_REGISTRY_SIGN_IN": "none"}, ("token", "none")),
        ("token-env: A\nregistry-sign-in:\n  ca: /ca.pem", {"A": "hush"}, ("token", "token")),
        ("api-key-id: ci\napi-key-env: A", {"A": LINE, "ANKA_CI_TOKEN": "hush"}, ("token", "token")),
        ("registry-sign-in:\n  token-env: A", {"A": "hush", "ANKA_CI_REGISTRY_API_KEY_ID": "ci"}, None),
    ],
)
def test_the_settings_file_and_who_wins(
    tmp_path: Path, text: str, env: dict[str, str], found: tuple[str, str] | None
) -> None:
    if found is None:
        with pytest.raises(UsageError, match="ANKA_CI_REGISTRY_API_KEY_ID is given, but no api-key"):
            load(env, tmp_path, text)
        return
    context = load(env, tmp_path, text)
    assert {"controller": [found[0]], "registry": [found[1]]} == kinds(context)


def test_an_input_wins_over_the_environment(tmp_path: Path) -> None:
    env = {"ANKA_CI_TOKEN": "hush", "ANKA_CI_API_KEY": LINE}
    with pytest.raises(UsageError, match="more than one way"):
        load(env, tmp_path)
    assert {"controller": ["api-key"], "registry": ["api-key"]} == kinds(
        load(env, tmp_path, shared=SharedInputs(api_key_id="ci"))
    )


def test_what_the_registry_has_of_its_own(tmp_path: Path) -> None:
    text = "token-env: A\nca: /a.pem\nproxy: http://a\nregistry-sign-in:\n  ca: /b.pem"
    context = load({"A": "hush", "ANKA_CI_REGISTRY_PROXY": "http://b"}, tmp_path, text)
    registry = context.of(auth.REGISTRY)
    assert ("/a.pem", "http://a", "/b.pem", "http://b") == (context.ca, context.proxy, registry.ca, registry.proxy)
    assert (Secret("hush"), Secret("hush")) == (context.token, registry.token)


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ("protected: false", {"ANKA_CI_PROXY_FILE": "FILE"}),
        ("proxy-file: FILE", {}),
        ("proxy-env: P", {"P": "http://me:hush@proxy.example:3128"}),
    ],
)
def test_a_proxy_whose_address_is_a_secret(tmp_path: Path, text: str, env: dict[str, str]) -> None:
    file = tmp_path / "proxy"
    file.write_text("http://me:hush@proxy.example:3128\n")
    env = {name: value.replace("FILE", str(file)) for name, value in env.items()}
    assert "http://me:hush@proxy.example:3128" == load(env, tmp_path, text.replace("FILE", str(file))).proxy


def test_an_id_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_text("ci\n")
    context = load({"ANKA_CI_API_KEY_ID_FILE": str(file), "ANKA_CI_API_KEY": LINE}, tmp_path)
    assert "ci" == context.api_key_id


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"ANKA_CI_TOKEN": "t", "ANKA_CI_CLIENT_ID": "c"}, "the root token (ANKA_CI_TOKEN) and an OpenID client"),
        ({"ANKA_CI_API_KEY_ID": "ci"}, "ANKA_CI_API_KEY_ID is given, but no api-key"),
        ({"ANKA_CI_API_KEY": LINE}, "ANKA_CI_API_KEY is given, but no api-key-id"),
        ({"ANKA_CI_CLIENT_SECRET": "x"}, "ANKA_CI_CLIENT_SECRET is given, but no client-id"),
        ({"ANKA_CI_KEY": KEY}, "ANKA_CI_KEY is given, but no certificate"),
        ({"ANKA_CI_CERTIFICATE": CERTIFICATE}, "ANKA_CI_CERTIFICATE holds no private key"),
        ({"ANKA_CI_CERTIFICATE": "/nowhere/c.pem"}, "'/nowhere/c.pem' is neither PEM text, nor base64, nor a file"),
        ({"ANKA_CI_TOKEN_FILE": "/nowhere/token"}, "/nowhere/token cannot be read"),
        ({"ANKA_CI_API_KEY_ID": "c", "ANKA_CI_API_KEY": "s3cret!"}, "ANKA_CI_API_KEY is neither PEM text"),
        ({"ANKA_CI_HEADERS": "{"}, "no JSON object"),
        ({"ANKA_CI_HEADERS": "X: s3cret!\nY"}, "'Y' is no header with a value"),
        ({"ANKA_CI_HEADERS": "Content-Length: 1"}, "is not yours to set"),
        ({"ANKA_CI_TOKEN": "t", "ANKA_CI_HEADERS": "authorization: Basic x"}, "and the header Authorization"),
        ({"ANKA_CI_REGISTRY_SIGN_IN": "no"}, "may only be none"),
        ({"ANKA_CI_CA_FILE": "/ca.pem"}, "ANKA_CI_CA_FILE is no variable"),
        ({"ANKA_CI_REGISTRY_CA_FILE": "/ca.pem"}, "ANKA_CI_REGISTRY_CA_FILE is no variable"),
        ({"ANKA_CI_PROXY_FILE": "/nowhere/proxy"}, "/nowhere/proxy cannot be read"),
        *(
            ({name: "s3cret!", f"{name}_FILE": "/f"}, f"{name} and {name}_FILE are both set")
            for name in (
                "ANKA_CI_TOKEN",
                "ANKA_CI_KEY",
                "ANKA_CI_REGISTRY_TOKEN",
                "ANKA_CI_CLIENT_SECRET",
                "ANKA_CI_PROXY",
            )
        ),
    ],
)
def test_what_makes_no_sense_is_told_without_the_secret(tmp_path: Path, env: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(env, tmp_path)
    assert said in caught.value.message
    assert "s3cret!" not in str(caught.value.emit())


@pytest.mark.parametrize("form", [KEY.replace("\n", " "), KEY.replace("\n", "\\n"), KEY, KEY.strip()])
def test_a_key_whose_lines_a_form_has_joined(tmp_path: Path, form: str) -> None:
    context = load({"ANKA_CI_CERTIFICATE": CERTIFICATE, "ANKA_CI_KEY": form}, tmp_path)
    assert context.key is not None
    assert KEY.split() == context.key.secret.reveal().split()


def test_headers_as_lines_and_as_json(tmp_path: Path) -> None:
    for text in ("X-One: a b\nX-Two: c:d\n", '{"X-One": "a b", "X-Two": "c:d"}'):
        context = load({"ANKA_CI_HEADERS": text}, tmp_path)
        assert {"X-One": "a b", "X-Two": "c:d"} == {name: value.reveal() for name, value in context.headers}


def test_nothing_that_is_told_holds_a_secret(tmp_path: Path) -> None:
    env = {"ANKA_CI_API_KEY_ID": "ci", "ANKA_CI_API_KEY": KEY, "ANKA_CI_HEADERS": "X: hush-hush"}
    context = load(env, tmp_path)
    told = repr(context) + str(auth.describe(context)) + context.hint()
    assert ("API key ci from ANKA_CI_API_KEY_ID, ANKA_CI_API_KEY", False, False) == (
        auth.describe(context)[0].detail,
        "hush" in told,
        "QUJD" in told,
    )
    redact = Redactor(context.secrets())
    assert f"{MASK}\n-----BEGIN PRIVATE KEY----- {MASK} {MASK}" == redact(
        f"{KEY}\n-----BEGIN PRIVATE KEY----- {'QUJD' * 16} {''.join(KEY.splitlines()[1:-1])}"
    )
