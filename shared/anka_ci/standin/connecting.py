"""Which registry a command of the stand-in means, and how it is signed in to there.

An OCI registry is one that ``--oci-version`` (``-o2``, ``-o v2``) or ``--prefix`` says it of, on this command or when
it was added; its sign-in is ``--user``, ``ANKA_REGISTRY_USER``, ``ANKA_REGISTRY_AUTH_TOKEN``, or what ``docker login``
left. ``--remote`` takes an address of the settings' kind as well (``oci://HOST/PREFIX``). Source: Anka's page on OCI
registries since 3.9; that a prefix alone is enough is from its examples.

A proxy is that of ``ANKA_CI_PROXY``, else of ``http_proxy`` and ``https_proxy``, and ``no_proxy`` is honoured. Of Anka
that is documented for the activation of a licence and, from the system's settings, for ``create`` (3.4 on) only: its
pages on licences and its release notes. Whether its registry commands do so is undocumented.

Apart from what is remembered, because HTTP and sign-in take as long to load as all the rest, and most commands need
neither.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from anka_ci.anka import Anka
from anka_ci.auth import API_KEY, OIDC, TOKEN, SignIn
from anka_ci.auth.gather import WAYS, Given, sign_in
from anka_ci.auth.gather import environment as gather_environment
from anka_ci.clock import Cancelled, Clock, Deadline, SystemClock
from anka_ci.errors import UsageError
from anka_ci.settings import PREFIX, REGISTRY_PREFIX, Context, docker_config, of_anka
from anka_ci.standin.desk import Desk
from anka_ci.standin.local import settings
from anka_ci.standin.output import NO_REGISTRY, Failure
from anka_ci.standin.remotes import Remotes, check_url
from anka_ci.standin.words import Words
from anka_ci.wire.address import Address

OPTIONS = {"cacert": "ca", "cert": "certificate", "key": "key", "api_key_id": "api-key-id", "api_key": "api-key"}
VARIABLES = {
    "ANKA_CA_BUNDLE": "ca",
    "ANKA_REGISTRY_API_KEY_ID": "api-key-id",
    "ANKA_REGISTRY_API_KEY": "api-key",
}


def connect(
    remotes: Remotes, words: Words, environment: Mapping[str, str], cancelled: Cancelled, clock: Clock | None = None
) -> Anka:
    """The doors to the registry that a command means: ``-a``, ``-r``, ``ANKA_REGISTRY``, or the default."""
    options: Mapping[str, str] = {}
    remote, url = words.get("remote"), words.get("registry_path")
    if url is None and remote is not None:
        known = remotes.all().get(remote)
        options = known or {}
        url = remote if known is None and "://" in remote else remotes.url(remote)
    url = url or environment.get("ANKA_REGISTRY")
    if not url:
        default = remotes.default()
        if default is None:
            hint = "name one with `--remote URL`, ANKA_REGISTRY or `anka registry add NAME URL`"
            raise Failure("No registry configured", NO_REGISTRY, hint=hint)
        options = remotes.all()[default]
        url = options["url"]
    address = _oci(url, {**options, **words.values})
    found = sign_in(_layers(words.values, options, environment, oci=address is not None))
    context = Context(
        **{field.name: getattr(found, field.name) for field in dataclasses.fields(SignIn) if field.name != "verify"},
        registry_urls=(check_url(url) if address is None else address.emit(),),
        docker_config=docker_config(environment) if address is not None else None,
        verify=not (words.flag("insecure") or "insecure" in options or environment.get("ANKA_STANDIN_INSECURE") == "1"),
    )
    clock = clock or SystemClock()
    return Anka(context, clock=clock, deadline=Deadline(clock, None), cancelled=cancelled)


def opened(desk: Desk, words: Words) -> Anka:
    """The same for a command; the setting ``ca_bundle`` counts as its variable does."""
    ca = settings(desk)["ca_bundle"]
    environment = {**desk.environment, **({"ANKA_CA_BUNDLE": ca} if ca else {})}
    return connect(desk.remotes, words, environment, desk.cancelled, desk.library.clock)


def _oci(url: str, words: Mapping[str, str]) -> Address | None:
    """The address of an OCI registry; None for an Anka registry."""
    version, prefix = words.get("oci_version"), words.get("prefix")
    if version is not None and version not in ("2", "v2"):
        raise UsageError(f"no such version of the OCI distribution API: {version}", hint="there is v2")
    try:
        address = Address.read(url)
        if version is None and prefix is None:
            return address
        return Address.of(address.url if address else url, prefix or (address.prefix if address else ""))
    except ValueError as error:
        raise UsageError(str(error), hint="write it like `--remote https://oci.example --prefix team`") from None


def _layers(
    words: Mapping[str, str], remembered: Mapping[str, str], environment: Mapping[str, str], *, oci: bool
) -> list[dict[str, Given]]:
    """How to sign in: by the options, by those that are remembered, by Anka's variables, and by those of anka-ci.

    To an OCI registry only by what was meant for one.
    """
    found = []
    for source in (words, remembered):
        layer = {}
        for option, key in (OPTIONS | {"user": "user"}).items():
            if source.get(option):
                spelling = "--" + option.replace("_", "-")
                file = option in ("cert", "key")
                text = source[option]
                layer[key] = Given(source=spelling, file=text) if file else Given(source=spelling, text=text)
        found.append(layer)
    anka = {}
    for name, key in VARIABLES.items():
        if environment.get(name):
            anka[key] = Given(source=name, text=environment[name])
    ours, everywhere = gather_environment(environment, REGISTRY_PREFIX), gather_environment(environment, PREFIX)
    if not oci:
        return [*found, anka, ours, everywhere]
    everywhere = {key: each for key, each in everywhere.items() if key in ("ca", "proxy")}
    of_an_anka = {key for way in (TOKEN, API_KEY, OIDC) for key in WAYS[way]}
    layers = [*found, {**anka, **of_anka(environment)}, ours, everywhere]
    return [{key: each for key, each in layer.items() if key not in of_an_anka} for layer in layers]
