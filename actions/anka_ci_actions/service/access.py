"""Which GitHub, which repository and whose token: what the environment and the options say, checked.

Asks nobody and imports no GitHub library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from anka_ci.errors import UsageError
from anka_ci.secret import Secret

PUBLIC = "https://api.github.com"
TOKEN, TOKEN_FILE, URL = "ANKA_CI_GITHUB_TOKEN", "ANKA_CI_GITHUB_TOKEN_FILE", "ANKA_CI_GITHUB_URL"
TOKEN_VARIABLES = (TOKEN, "GITHUB_TOKEN", "GH_TOKEN")
"""Where a token is looked for, in this order; ``ANKA_CI_GITHUB_TOKEN_FILE`` stands beside the first."""
OF_HOME = ("GITHUB_TOKEN", "GH_TOKEN")
"""Those of them that belong to ``GITHUB_API_URL``, or else to github.com, and are never sent to another server."""
KINDS = {
    "ghp_": "a classic token",
    "github_pat_": "a fine-grained token",
    "gho_": "an OAuth token",
    "ghu_": "a user token of a GitHub App",
    "ghs_": "an installation token (a job's GITHUB_TOKEN, or that of a GitHub App)",
}
"""Kinds of token by how they begin. Source:
https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
"""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where GitHub's API is (``url``, without a slash at its end), and the token with the name of its place."""

    url: str
    token: Secret
    source: str

    @property
    def kind(self) -> str:
        """What kind of token it is, as far as its beginning tells."""
        text = self.token.reveal()
        return next((kind for start, kind in KINDS.items() if text.startswith(start)), "a token")


def access(env: Mapping[str, str], url: str | None = None, *, variables: Sequence[str] = TOKEN_VARIABLES) -> Access:
    """How GitHub is reached; ``UsageError`` for an address or a token that is none.

    The address is ``url``, else ``ANKA_CI_GITHUB_URL``, else ``GITHUB_API_URL`` (which a runner sets), else
    github.com's. The token is that of the first of ``variables`` that holds something.
    """
    found = next(
        (
            (where, text)
            for where, text in (("the GitHub URL", url), *((name, env.get(name)) for name in (URL, "GITHUB_API_URL")))
            if text
        ),
        ("", PUBLIC),
    )
    address = _address(*found)
    source, token = _token(env, variables, address)
    return Access(url=address, token=token, source=source)


def slug(env: Mapping[str, str], repo: str | None = None) -> str:
    """The repository as ``OWNER/NAME``: ``repo``, else ``GITHUB_REPOSITORY``, which a runner sets."""
    text = repo if repo is not None else env.get("GITHUB_REPOSITORY", "")
    if not text and repo is None:
        raise UsageError("no repository is named", hint="give --repo OWNER/NAME, or set GITHUB_REPOSITORY")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", text) or {".", ".."} & {*text.split("/")}:
        raise UsageError(f"{text!r} is no repository", hint="write it as OWNER/NAME, without the server's address")
    return text


def _token(env: Mapping[str, str], variables: Sequence[str], address: str) -> tuple[str, Secret]:
    home = urlsplit((env.get("GITHUB_API_URL") or PUBLIC).lower()).netloc
    away = (
        [name for name in variables if name in OF_HOME and env.get(name)]
        if urlsplit(address.lower()).netloc != home
        else []
    )
    variables = [name for name in variables if name not in away]
    if env.get(TOKEN) and env.get(TOKEN_FILE):
        raise UsageError(f"{TOKEN} and {TOKEN_FILE} are both set", hint="leave one of them out")
    if env.get(TOKEN_FILE) and not env.get(variables[0]):
        try:
            return TOKEN_FILE, _checked(Path(env[TOKEN_FILE]).expanduser().read_text(encoding="utf-8"), TOKEN_FILE)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            hint = f"name a file with the token in it, or set {TOKEN}"
            raise UsageError(f"{TOKEN_FILE}: {env[TOKEN_FILE]} cannot be read: {why}", hint=hint) from None
    for name in variables:
        if env.get(name):
            return name, _checked(env[name], name)
    empty = [name for name in variables if name in env]
    said = f"no token for GitHub; {' and '.join(empty)} is empty" if empty else "no token for GitHub"
    if away:
        said = f"no token for {address}; {' and '.join(away)} is for {home}, and is not sent elsewhere"
    hint = f"set {TOKEN} (or {TOKEN_FILE}); in a workflow `env: {{ {TOKEN}: ${{{{ secrets.NAME }}}} }}`"
    if empty:
        hint += "; a pull request from a fork gets no secrets"
    raise UsageError(said, hint=hint)


def _checked(text: str, where: str) -> Secret:
    """The token of ``where``; what is surely none is refused here, without showing it."""
    token = text.strip()
    wrong = ""
    if not token:
        wrong = "is empty"
    elif token.startswith("-----BEGIN"):
        wrong = "holds a private key; a GitHub App needs an installation token made from it"
    elif token.startswith("ghr_"):
        wrong = "holds a refresh token, which opens nothing by itself"
    elif token.startswith("eyJ"):
        wrong = "holds a JSON web token, which speaks for an App; an installation token of the App is needed"
    elif not re.fullmatch(r"[!-~]+", token):
        wrong = "holds something with spaces, line ends or foreign letters in it, which no token has"
    if wrong:
        raise UsageError(f"{where} {wrong}", hint="see the table of tokens in actions/README.md")
    return Secret(token)


def _address(where: str, text: str) -> str:
    parts = urlsplit(text.strip())
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        hint = "write it like https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server"
        raise UsageError(f"{where}: {text!r} is no address of GitHub's API", hint=hint)
    if host in ("github.com", "www.github.com"):
        raise UsageError(f"{where}: {text!r} is the site, not the API", hint=f"the API is at {PUBLIC}")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise UsageError(f"{where}: {text!r} would show the token on the network", hint="use https")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
