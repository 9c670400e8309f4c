"""Contexts: a named Anka installation, from a settings file, the environment and a step's own inputs.

The only reader of the settings file. A step's input wins over the environment, the environment over the file. Nothing
here falls back to the embedded server.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci.errors import UsageError, suggestion
from anka_ci.inputs import SharedInputs, duration
from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.document import Node, Place

KEYS = {
    "controller",
    "registry",
    "registries",
    "token-env",
    "token-file",
    "ca",
    "proxy",
    "protected",
    "tag-pattern",
    "anka",
    "timeout",
}
"""What a context in the settings file may hold."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """One Anka installation. ``registry_urls`` are in failover order, empty: what the controller reports.

    ``anka`` is the command as an argument list, empty: the ``anka`` on the PATH. ``protected`` asks for a confirmation
    for every write; ``tag_pattern`` is a regular expression that a new tag has to match as a whole. ``timeout`` in
    seconds.
    """

    name: str = ""
    controller_url: str | None = None
    registry_urls: tuple[str, ...] = ()
    token: Secret | None = None
    ca: str | None = None
    proxy: str | None = None
    protected: bool = False
    tag_pattern: str | None = None
    anka: tuple[str, ...] = ()
    timeout: float | None = None


def path(env: Mapping[str, str]) -> Path:
    """Where the settings file is: ``ANKA_CI_SETTINGS``, or ``anka-ci/settings.yml`` in the configuration folder."""
    if env.get("ANKA_CI_SETTINGS"):
        return Path(env["ANKA_CI_SETTINGS"])
    config = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".config")
    return Path(config) / "anka-ci" / "settings.yml"


def load(env: Mapping[str, str], shared: SharedInputs | None = None, file_context: str | None = None) -> Context:
    """The context that a step, the environment, a pipeline file (``file_context``) or the settings' default names.

    Raises ``UsageError`` for an unknown context or key, and for a URL or pattern that is none.
    """
    shared = shared or SharedInputs()
    file = path(env)
    name = shared.context or env.get("ANKA_CI_CONTEXT") or file_context
    found = _from_file(file, name, env) if name or file.exists() else Context()
    registry = shared.registry_url or env.get("ANKA_CI_REGISTRY_URL")
    anka = shared.anka or env.get("ANKA_CI_ANKA")
    token = Secret(shared.token) if shared.token else sign_in(env).token
    controller = shared.controller_url or env.get("ANKA_CI_CONTROLLER_URL") or found.controller_url
    urls = [registry] if registry else found.registry_urls
    return Context(
        name=found.name,
        controller_url=_url(controller, "the controller URL") if controller else None,
        registry_urls=tuple(_url(each, "the registry URL") for each in urls),
        token=token or found.token,
        ca=shared.ca or env.get("ANKA_CI_CA") or found.ca,
        proxy=env.get("ANKA_CI_PROXY") or found.proxy,
        protected=found.protected,
        tag_pattern=found.tag_pattern,
        anka=command(anka) if anka else found.anka,
        timeout=shared.timeout if shared.timeout is not None else found.timeout,
    )


def sign_in(env: Mapping[str, str]) -> Context:
    """What the environment alone says of signing in, as a context without addresses."""
    token = env.get("ANKA_CI_TOKEN")
    if not token and env.get("ANKA_CI_TOKEN_FILE"):
        return Context(token=_read(Path(env["ANKA_CI_TOKEN_FILE"])))
    return Context(token=Secret(token) if token else None)


def command(text: str) -> tuple[str, ...]:
    """A command as an argument list, split as a shell would, without running one."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"the anka command {text!r} cannot be split into words: {error}") from None
    if not words:
        raise UsageError("the anka command is empty", hint="set ANKA_CI_ANKA to the command, or unset it")
    return words


def _from_file(file: Path, name: str | None, env: Mapping[str, str]) -> Context:
    from anka_ci import document

    root = document.read(file).only({"default", "contexts"}, "the settings")
    contexts = root["contexts"].mapping("contexts") if "contexts" in root else {}
    if not name:
        if "default" not in root:
            return Context()
        name = root["default"].text("default")
    if name not in contexts:
        raise UsageError(f"no context {name!r} in {file}", hint=suggestion(name, contexts))
    found = contexts[name].only(KEYS, f"context {name}")

    def text(key: str) -> str | None:
        return found[key].text(key) if key in found else None

    registries = found.get("registries")
    urls = [node.text("registries") for node in registries.items("registries")] if registries else []
    single, pattern, anka, limit = text("registry"), text("tag-pattern"), text("anka"), text("timeout")
    if pattern:
        try:
            re.compile(pattern)
        except re.error as error:
            place = found["tag-pattern"].place
            raise UsageError(f"{place}: tag-pattern is no regular expression: {error}", **place.facts()) from None
    return Context(
        name=name,
        controller_url=text("controller"),
        registry_urls=tuple(urls or ([single] if single else [])),
        token=_token(found, env),
        ca=text("ca"),
        proxy=text("proxy"),
        protected=_flag(found, "protected"),
        tag_pattern=pattern,
        anka=command(anka) if anka else (),
        timeout=_timeout(found["timeout"].place, limit) if limit else None,
    )


def _timeout(place: Place, text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise UsageError(f"{place}: timeout: {error}", **place.facts()) from None


def _flag(found: Mapping[str, Node], key: str) -> bool:
    text = found[key].text(key).lower() if key in found else "false"
    if text not in ("true", "yes", "on", "false", "no", "off"):
        raise UsageError(f"{found[key].place}: {key} is neither true nor false", **found[key].place.facts())
    return text in ("true", "yes", "on")


def _token(found: Mapping[str, Node], env: Mapping[str, str]) -> Secret | None:
    """A context names where its token is; a token itself has no place in a file that people share."""
    if "token-env" in found:
        value = env.get(found["token-env"].text("token-env"))
        return Secret(value) if value else None
    if "token-file" in found:
        return _read(Path(found["token-file"].text("token-file")).expanduser())
    return None


def _read(file: Path) -> Secret:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UsageError(f"the token file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"the token file {file} cannot be read: it is not UTF-8 text") from None
    if not text:
        raise UsageError(f"the token file {file} is empty", hint="write the root token into it")
    return Secret(text)


def _url(text: str, what: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text):
        raise UsageError(f"{what} {text!r} is none", hint="write it like http://anka.internal:8090")
    return text.rstrip("/")
