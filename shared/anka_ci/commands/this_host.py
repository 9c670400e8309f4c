"""What ``doctor`` finds out about this host: its software, its ``anka`` command and the library behind it.

Reads only, and never raises for what it finds; what the facts mean is decided in ``rules.diagnosis``.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import pwd
import shutil
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from anka_ci import __version__, host
from anka_ci.anka import Anka
from anka_ci.errors import AnkaCiError, InterruptError
from anka_ci.host import sudo
from anka_ci.rules.diagnosis.facts import ServerFacts
from anka_ci.rules.diagnosis.host import BARE, CommandFacts, Found, HostFacts, LibraryFacts, this_node
from anka_ci.rules.diagnosis.nodes import rows
from anka_ci.rules.diagnosis.server import largest

MOST_TAGS = 20
"""So many VMs are asked for their tags, one command each."""


def facts(anka: Anka, env: Mapping[str, str], servers: Sequence[ServerFacts], node: str | None) -> HostFacts:
    """This host, with what the servers told of it. ``anka`` is asked for its command only."""
    work = tempfile.gettempdir()
    usage = _usage(Path(work))
    command = _command(anka, env)
    nodes = next((found for each in servers if (found := rows(each)) is not None), None)
    seen = HostFacts(
        system=platform.system(),
        release=platform.mac_ver()[0] or platform.release(),
        machine=platform.machine(),
        python=platform.python_version(),
        anka_ci=__version__,
        user=_user(command.command),
        names=_names(servers),
        work=work,
        work_free=usage[0],
        work_total=usage[1],
        command=command,
        library=LibraryFacts(tags={}),
        node=node,
        nodes=None if nodes is None else tuple(each for each, _ in nodes),
        largest=largest(servers),
    )
    return dataclasses.replace(seen, library=_library(anka, seen))


def _command(anka: Anka, env: Mapping[str, str]) -> CommandFacts:
    words, found, program = _find(anka.context.anka, env.get("PATH", os.defpath))
    version: dict[str, object] = {}
    license: dict[str, object] = {}
    failure = ""
    if program:
        door = host.Host(anka, words)
        try:
            version = door.version(again=True)
            license = door.license()
        except InterruptError:
            raise
        except AnkaCiError as error:
            failure = "" if version else error.message
    return CommandFacts(
        found=found,
        command=words,
        program=program,
        source="ANKA_CI_ANKA or `anka`" if anka.context.anka else "",
        version=version,
        license=license,
        failure=failure,
    )


def _library(anka: Anka, found: HostFacts) -> LibraryFacts:
    if not found.command.version:
        return LibraryFacts(tags={})
    door = host.Host(anka, found.command.command)
    folder, vms, tags, failure = None, None, {}, ""
    node = this_node(found)
    held = {template.id.lower(): template.tag for template in (node.templates or () if node else ())}
    try:
        folder = door.library()
        vms = tuple(door.vms())
        # Only where the current tag is not the one that the node is said to hold is there a question.
        asked = [vm for vm in vms if held.get(vm.id.lower(), vm.tag) != vm.tag]
        for vm in asked[:MOST_TAGS]:
            tags[vm.id.lower()] = tuple(door.tags(vm.id))
    except InterruptError:
        raise
    except AnkaCiError as error:
        failure = error.message
    free, total = _usage(folder) if folder else (None, 0)
    return LibraryFacts(folder=str(folder or ""), free=free, total=total, vms=vms, tags=tags, failure=failure)


def _find(configured: tuple[str, ...], path: str) -> tuple[tuple[str, ...], Found, str]:
    """The command, how it was found, and the file of its first word; as ``Host.open`` finds it."""
    word = configured[0] if configured else "anka"
    if "/" in word:
        return configured, "configured", word if os.access(word, os.X_OK) else ""
    program = shutil.which(word, path=path) or ""
    if program:
        usual = program in host.PLACES and not configured
        found: Found = "bare path" if shutil.which(word, path=BARE) else "usual place" if usual else "path"
        return configured or (program,), found, program
    if configured:
        return configured, "configured", ""
    program = next((place for place in host.PLACES if os.access(place, os.X_OK)), "")
    return ((program,), "usual place", program) if program else ((), "", "")


def _names(servers: Sequence[ServerFacts]) -> tuple[str, ...]:
    """The names of this host, and its address on the way to each server, as that sees it without a NAT between."""
    found = [socket.gethostname(), platform.node()]
    for facts in servers:
        for address in facts.reach.addresses[:1]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as way:  # connecting a datagram socket sends nothing
                    way.connect((address, facts.reach.port))
                    found.append(way.getsockname()[0])
            except OSError:
                continue
    return tuple(dict.fromkeys(name for name in found if name and not name.startswith("127.") and name != "::1"))


def _usage(folder: Path) -> tuple[int | None, int]:
    """Free and total bytes of the disk that holds a folder, which need not be there yet."""
    for place in (folder, *folder.parents):
        try:
            usage = shutil.disk_usage(place)
        except FileNotFoundError:
            continue
        except OSError:
            break
        return usage.free, usage.total
    return None, 0


def _user(command: Sequence[str]) -> str:
    """Whose library the command works on."""
    number = sudo.owner(command) if command else os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
