"""The archive that ``doctor --bundle`` writes: what a bug report needs, and no secret.

Written whole or not at all, for this user alone, and never over another file unless that was asked for. What may go in
is decided in ``rules.diagnosis.redaction``; every member passes the redactor as well.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import platform
import ssl
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from anka_ci import __version__, document, settings
from anka_ci.errors import AnkaCiError, NotOursError, UsageError
from anka_ci.rules.diagnosis import redaction
from anka_ci.rules.diagnosis.facts import Read, ServerFacts
from anka_ci.rules.diagnosis.host import HostFacts
from anka_ci.secret import MASK, Redactor

FOLDER = "anka-ci-doctor"
PACKAGES = (
    *("requests", "urllib3", "certifi", "jinja2", "PyYAML", "aiohttp", "cryptography"),
    *("PyGithub", "python-jenkins"),
)
SHOWN = ("PATH", "LANG", "LC_ALL", "TERM", "SHELL", "NO_PROXY", "no_proxy", "CI", "GITHUB_ACTIONS", "JENKINS_HOME")
"""Variables whose values are told; of those of Anka and of proxies only the names are."""
README = """\
What `anka-ci doctor --bundle` found, to attach to a bug report.

Secrets are masked as ***: those of the settings and the environment in every spelling, and what servers tell under
names such as password, token or script. Names of hosts, nodes, templates and users are in here, because most faults
cannot be found without them: look into the files before you hand them on.

findings.txt, findings.json  what was found
versions.json                what runs here
environment.json             names of variables, values masked
settings.yml                 the settings file without comments, values of secret keys masked
answers/                     what the servers answered: status, headers, body
"""


def check(file: Path, *, overwrite: bool) -> None:
    """Raise ``UsageError`` or ``NotOursError`` when the archive could not be written, before anything is asked."""
    if file.is_dir() or not file.parent.is_dir():
        raise UsageError(f"the bundle cannot be written to {file}: it is a folder, or its folder is not there")
    if os.path.lexists(file) and not overwrite:
        raise _there(file)


def _there(file: Path) -> NotOursError:
    return NotOursError(f"{file} is there already", hint="name another file, or give --overwrite")


def write(file: Path, members: Mapping[str, bytes], now: float, *, overwrite: bool) -> int:
    """Write the archive, readable by this user only; its size in bytes.

    ``NotOursError`` when there is such a file by now and ``overwrite`` is not set, ``UsageError`` when it cannot be
    written; nothing is left behind then.
    """
    packed = pack(members, now)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # 0600
        with os.fdopen(handle, "wb") as opened:
            opened.write(packed)
            opened.flush()
            os.fsync(handle)
        if overwrite:
            Path(temporary).replace(file)
        else:
            os.link(temporary, file)  # fails where a rename would replace
    except FileExistsError:
        raise _there(file) from None
    except OSError as error:
        raise UsageError(f"the bundle cannot be written to {file}: {error.strerror}") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
    return len(packed)


def pack(members: Mapping[str, bytes], now: float) -> bytes:
    """A gzipped tar of the members in one folder, with nothing of this user or host in its headers."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(now)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def members(
    findings: Mapping[str, object],
    text: str,
    servers: Sequence[ServerFacts],
    host: HostFacts,
    env: Mapping[str, str],
    redactor: Redactor,
) -> dict[str, bytes]:
    """Every file of the archive by its name, redacted."""
    found: dict[str, object] = {
        "README.txt": README,
        "findings.txt": text,
        "findings.json": findings,
        "versions.json": versions(servers, host),
        "environment.json": environment(env),
        "settings.yml": settings_file(settings.path(env)),
    }
    for number, facts in enumerate(servers, 1):
        kind = facts.what.split()[-1]
        reads = [("", read) for read in (facts.first, *facts.reads) if read is not None]
        reads += [("-unsigned", facts.anonymous)] if facts.anonymous is not None else []
        reads += [(f"-way-{place}", way.read) for place, way in enumerate(facts.ways, 1)]
        for who, read in reads:
            name = f"answers/{number}-{kind}-{read.name.replace(' ', '-')}{who}.json"
            found[name] = _answer(facts.url, read)
    return {name: _file(value, redactor) for name, value in found.items()}


def _file(value: object, redactor: Redactor) -> bytes:
    if isinstance(value, str):
        return redactor(value).encode()
    # Once as data, so that no escape of JSON hides a secret, and once as text.
    return redactor(json.dumps(redactor.tree(value), indent=2, ensure_ascii=False) + "\n").encode()


def _answer(url: str, read: Read) -> dict[str, object]:
    found: dict[str, object] = {"asked": f"GET {url}{read.path}", "seconds": round(read.seconds, 3)}
    if read.failure:
        return {**found, "failure": read.failure}
    told = {"status": read.status, "headers": redaction.headers(read.headers), "body": redaction.body(read.content)}
    return {**found, **told}


def versions(servers: Sequence[ServerFacts], host: HostFacts) -> dict[str, object]:
    """What runs here and there."""
    packages = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return {
        "anka-ci": __version__,
        "python": sys.version,
        "openssl": ssl.OPENSSL_VERSION,
        "platform": platform.platform(),
        "packages": packages,
        "anka": dict(host.command.version),
        "servers": {f"{facts.what} {facts.url}": facts.status.version if facts.status else None for facts in servers},
    }


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Names of the variables that matter here; the values of the harmless ones."""
    names = [name for name in sorted(env) if name.startswith("ANKA") or name.lower().endswith("_proxy")]
    return dict.fromkeys(names, MASK) | {name: env[name] for name in SHOWN if name in env}


def settings_file(file: Path) -> str:
    """The settings file, parsed and written again, so that comments are gone; values of secret keys masked."""
    if not file.exists():
        return f"# there is no {file}\n"
    try:
        return document.dump(redaction.tree(document.read(file).plain()))
    except AnkaCiError as error:
        return f"# left out, because it could not be read: {error.message}\n"
