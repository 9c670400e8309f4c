"""Which registry a command of the stand-in means, and how it is signed in to there.

Apart from what is remembered, because HTTP and sign-in take as long to load as all the rest, and most commands need
neither.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from anka_ci.anka import Anka
from anka_ci.auth import SignIn
from anka_ci.auth.gather import Given, sign_in
from anka_ci.auth.gather import environment as gather_environment
from anka_ci.clock import Cancelled, Deadline, SystemClock
from anka_ci.settings import PREFIX, REGISTRY_PREFIX, Context
from anka_ci.standin.output import NO_REGISTRY, Failure
from anka_ci.standin.remotes import Remotes, check_url
from anka_ci.standin.words import Words

OPTIONS = {"cacert": "ca", "cert": "certificate", "key": "key", "api_key_id": "api-key-id", "api_key": "api-key"}
VARIABLES = {
    "ANKA_CA_BUNDLE": "ca",
    "ANKA_REGISTRY_API_KEY_ID": "api-key-id",
    "ANKA_REGISTRY_API_KEY": "api-key",
}


def connect(remotes: Remotes, words: Words, environment: Mapping[str, str], cancelled: Cancelled) -> Anka:
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
    url = check_url(url)
    found = sign_in(_layers(words.values, options, environment))
    context = Context(
        **{field.name: getattr(found, field.name) for field in dataclasses.fields(SignIn) if field.name != "verify"},
        registry_urls=(url,),
        verify=not (words.flag("insecure") or "insecure" in options or environment.get("ANKA_STANDIN_INSECURE") == "1"),
    )
    clock = SystemClock()
    return Anka(context, clock=clock, deadline=Deadline(clock, None), cancelled=cancelled)


def _layers(
    words: Mapping[str, str], remembered: Mapping[str, str], environment: Mapping[str, str]
) -> list[dict[str, Given]]:
    """How to sign in: by the options, by those that are remembered, by Anka's variables, and by those of anka-ci."""
    found = []
    for source in (words, remembered):
        layer = {}
        for option, key in OPTIONS.items():
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
    return [*found, anka, gather_environment(environment, REGISTRY_PREFIX), gather_environment(environment, PREFIX)]
