"""Contexts: a named Anka installation, from a settings file, the environment and a step's own inputs.

The only reader of the settings file. A step's input wins over the environment, the environment over the file. Nothing
here falls back to the embedded server.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci.auth import API_KEY, OIDC, REGISTRY, TOKEN, SignIn, gather
from anka_ci.auth.gather import Given
from anka_ci.errors import UsageError, suggestion
from anka_ci.inputs import SharedInputs, duration
from anka_ci.runners import RunnerPlace, runner_place
from anka_ci.wire.address import Address, is_oci

if TYPE_CHECKING:
    from anka_ci.document import Node, Place

KEYS = {
    "controller",
    "registry",
    "registries",
    "registry-sign-in",
    "protected",
    "tag-pattern",
    "anka",
    "timeout",
    "runners",
}
"""What a context in the settings file may hold, beside what says how to sign in."""
RUNNER_KEYS = {"ci", "scope", "group", "url"}
"""What its ``runners`` may hold."""
ROOT_KEYS = {"default", "contexts", "github"}
"""What the file may hold; ``github`` is read by the adapter of that name."""
SIGN_IN_KEYS = {"api-key-id", "client-id", "ca", "proxy"} | {
    f"{key}-{place}"
    for key in (
        *("token", "certificate", "key", "passphrase", "api-key", "client-secret"),
        *("user", "auth-token", "headers", "proxy"),
    )
    for place in ("env", "file")
}
"""How to sign in: a secret has no place in a file that people share, so the file says only where it is."""
PREFIX, REGISTRY_PREFIX = "ANKA_CI_", "ANKA_CI_REGISTRY_"
OF_ANKA = {"user": "ANKA_REGISTRY_USER", "auth-token": "ANKA_REGISTRY_AUTH_TOKEN"}
"""Anka's own variables for signing in to an OCI registry. Source: its page on OCI registries, since 3.9."""
SECRET_VARIABLES = (
    "ANKA_CI_SERVE_TOKEN",
    *("ANKA_CI_GITHUB_TOKEN", "ANKA_CI_STATUS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"),
    *OF_ANKA.values(),
    *(PREFIX + key.replace("-", "_").upper() for key in gather.SECRET_KEYS),
    *(REGISTRY_PREFIX + key.replace("-", "_").upper() for key in gather.SECRET_KEYS),
)
"""The variables that hold a secret."""
NOBODY = "none"
"""The way to say that the registry wants no sign-in, although the controller does."""


@dataclass(frozen=True, kw_only=True)
class Context(SignIn):
    """One Anka installation; what it says of signing in is the controller's, and the registry's unless that has its own
    ``registry_sign_in``. ``registry_urls`` are in failover order, empty: what the controller reports.

    ``anka`` is the command as an argument list, empty: the ``anka`` on the PATH. ``protected`` asks for a confirmation
    for every write; ``tag_pattern`` is a regular expression that a new tag has to match as a whole. ``timeout`` in
    seconds. ``docker_config`` is the file that ``docker login`` writes, for OCI registries.
    """

    name: str = ""
    controller_url: str | None = None
    registry_urls: tuple[str, ...] = ()
    registry_sign_in: SignIn | None = None
    protected: bool = False
    tag_pattern: str | None = None
    anka: tuple[str, ...] = ()
    timeout: float | None = None
    docker_config: str | None = None
    runners: RunnerPlace = RunnerPlace()

    def of(self, service: str) -> SignIn:
        """How a service (``auth.CONTROLLER``, ``auth.REGISTRY``) is signed in to.

        An OCI registry is somebody else's: it never gets what the controller is told.
        """
        if service == REGISTRY and self.registry_sign_in is not None:
            return self.registry_sign_in
        if service == REGISTRY and self.controller_url is not None and any(map(is_oci, self.registry_urls)):
            return SignIn(ca=self.ca, proxy=self.proxy, verify=self.verify)
        return self


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
    found, kept, registrys = _from_file(file, name, env) if name or file.exists() else (Context(), {}, {})
    registry = shared.registry_url or env.get("ANKA_CI_REGISTRY_URL")
    anka = shared.anka or env.get("ANKA_CI_ANKA")
    controller = shared.controller_url or env.get("ANKA_CI_CONTROLLER_URL") or found.controller_url
    urls = [registry] if registry else found.registry_urls
    layers = [_from_inputs(shared), gather.environment(env, PREFIX), kept]
    signed = gather.sign_in(layers)
    kinds = {is_oci(each) for each in urls}
    if len(kinds) > 1:
        raise UsageError("the context names Anka and OCI registries", hint="they are no copies of each other; name one")
    made = Context(
        **{field.name: getattr(signed, field.name) for field in dataclasses.fields(SignIn)},
        name=found.name,
        controller_url=_url(controller, "the controller URL") if controller else None,
        registry_urls=tuple(_registry(each) for each in urls),
        registry_sign_in=_registrys(env, layers, registrys, oci=kinds == {True}),
        protected=found.protected,
        tag_pattern=found.tag_pattern,
        anka=command(anka) if anka else found.anka,
        timeout=shared.timeout if shared.timeout is not None else found.timeout,
        docker_config=docker_config(env) if kinds == {True} else None,
        runners=runner_place(found.runners, env),
    )
    wrong = {*made.of(REGISTRY).kinds} & {TOKEN, API_KEY, OIDC} if kinds == {True} else set()
    if wrong:
        where = ", ".join(made.of(REGISTRY).sources) or "the sign-in"
        hint = f"set {REGISTRY_PREFIX}USER to USER:PASSWORD, or {REGISTRY_PREFIX}AUTH_TOKEN, or use `docker login`"
        raise UsageError(f"{where} is a way to sign in to Anka; an OCI registry does not take it", hint=hint)
    return made


def docker_config(env: Mapping[str, str]) -> str | None:
    """The file that ``docker login`` writes: in ``DOCKER_CONFIG``, or in ``~/.docker``."""
    folder = env.get("DOCKER_CONFIG") or (str(Path(env["HOME"]) / ".docker") if env.get("HOME") else "")
    return str(Path(folder) / "config.json") if folder else None


def of_anka(env: Mapping[str, str]) -> dict[str, Given]:
    """What Anka's own variables say of signing in to an OCI registry."""
    return {key: Given(source=name, text=env[name]) for key, name in OF_ANKA.items() if env.get(name)}


def _from_inputs(shared: SharedInputs) -> dict[str, Given]:
    values = {key: getattr(shared, key.replace("-", "_"), None) for key in gather.KEYS}
    return {key: Given(source=f"the input {key}", text=value) for key, value in values.items() if value}


def _registrys(
    env: Mapping[str, str], controllers: list[dict[str, Given]], kept: Mapping[str, Given] | None, *, oci: bool
) -> SignIn | None:
    """The registry's own sign-in; None: the controller's. ``kept`` is what the file says of it, None: nobody."""
    variable = env.get(REGISTRY_PREFIX + "SIGN_IN")
    if variable and variable != NOBODY:
        raise UsageError(f"{REGISTRY_PREFIX}SIGN_IN may only be {NOBODY}", hint="or name the registry's own sign-in")
    own = [gather.environment(env, REGISTRY_PREFIX), of_anka(env) if oci else {}, kept or {}]
    reach = [*own, *controllers]
    if variable or (kept is None and not gather.named(own[:2])):
        return gather.sign_in([], reach=reach)
    if gather.named(own):
        return gather.sign_in(own, reach=reach)
    # Only the CA, the proxy or the headers are others.
    return gather.sign_in(controllers, reach=reach) if any(own) else None


def command(text: str) -> tuple[str, ...]:
    """A command as an argument list, split as a shell would, without running one."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"the anka command {text!r} cannot be split into words: {error}") from None
    if not words:
        raise UsageError("the anka command is empty", hint="set ANKA_CI_ANKA to the command, or unset it")
    return words


Layers = tuple["Context", dict[str, Given], "dict[str, Given] | None"]


def _from_file(file: Path, name: str | None, env: Mapping[str, str]) -> Layers:
    """The context without its sign-in, what it says of signing in, and of signing in to the registry."""
    from anka_ci import document

    root = document.read(file).only(ROOT_KEYS, "the settings")
    contexts = root["contexts"].mapping("contexts") if "contexts" in root else {}
    if not name:
        if "default" not in root:
            return Context(), {}, {}
        name = root["default"].text("default")
    if name not in contexts:
        raise UsageError(f"no context {name!r} in {file}", hint=suggestion(name, contexts))
    found = contexts[name].only(KEYS | SIGN_IN_KEYS, f"context {name}")

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
    context = Context(
        name=name,
        controller_url=text("controller"),
        registry_urls=tuple(urls or ([single] if single else [])),
        protected=_flag(found, "protected"),
        tag_pattern=pattern,
        anka=command(anka) if anka else (),
        timeout=_timeout(found["timeout"].place, limit) if limit else None,
        runners=_runners(found["runners"]) if "runners" in found else RunnerPlace(),
    )
    other = found.get("registry-sign-in")
    what = f"registry-sign-in of context {name}"
    if other is None:
        return context, _layer(found, env), {}
    if other.value == NOBODY:
        return context, _layer(found, env), None
    return context, _layer(found, env), _layer(other.only(SIGN_IN_KEYS, what), env)


def _layer(found: Mapping[str, Node], env: Mapping[str, str]) -> dict[str, Given]:
    """What a part of the settings file says of signing in; a variable that is not set says nothing.

    ``UsageError`` for two keys that say the same part.
    """
    layer: dict[str, Given] = {}
    names: dict[str, str] = {}
    for name in sorted(SIGN_IN_KEYS & {*found}):
        value, key = found[name].text(name), name.removesuffix("-env").removesuffix("-file")
        if (other := names.setdefault(key, name)) != name:
            place = found[name].place
            raise UsageError(f"{place}: {name} and {other} are both given", hint="leave one out", **place.facts())
        if name.endswith("-env"):
            if env.get(value):
                layer[key] = Given(source=value, text=env[value])
        elif name.endswith("-file"):
            layer[key] = Given(source=f"{name} in the settings", file=value)
        else:
            layer[key] = Given(source=f"{name} in the settings", text=value)
    return layer


def _runners(node: Node) -> RunnerPlace:
    told = {key: each.text(f"runners: {key}") for key, each in node.only(RUNNER_KEYS, "runners").items()}
    if "url" in told:
        told["url"] = _url(told["url"], "the URL of the CI system's API")
    return RunnerPlace(**told)


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


def _registry(text: str) -> str:
    """A registry's URL, which may be the address of an OCI registry."""
    try:
        address = Address.read(text)
    except ValueError as error:
        raise UsageError(f"the registry URL {text!r}: {error}", hint="write it like oci://oci.example/team") from None
    return address.emit() if address else _url(text, "the registry URL")


def _url(text: str, what: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text):
        raise UsageError(f"{what} {text!r} is none", hint="write it like http://anka.internal:8090")
    return text.rstrip("/")
