"""``anka-ci doctor``: what stands between this host and its Anka, and what to do about it.

Reads only: no server, library or setting is changed. What is found out is in ``examine``, what it means in
``rules.diagnosis``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anka_ci import __version__, auth, inputs
from anka_ci.clock import Cancelled, Clock, SystemClock
from anka_ci.commands import add_input, bundle, origins, sign_ins
from anka_ci.commands.examine import CONTROLLER, OCI, Examination
from anka_ci.console import Console
from anka_ci.errors import AnkaCiError
from anka_ci.inputs import SharedInputs, show_size
from anka_ci.rules import diagnosis
from anka_ci.rules.diagnosis import Finding, Level
from anka_ci.rules.diagnosis import context as of_context
from anka_ci.rules.diagnosis import host as of_host
from anka_ci.rules.diagnosis import nodes as of_nodes
from anka_ci.rules.diagnosis import oci as of_oci
from anka_ci.rules.diagnosis import server as of_server
from anka_ci.rules.diagnosis.facts import ServerFacts
from anka_ci.rules.diagnosis.host import HostFacts
from anka_ci.settings import Context

SCHEMA = "anka-ci/doctor/1"
FIELDS = tuple(
    field for field in inputs.fields(SharedInputs) if not field.secret and field.key not in ("confirm", "summary")
)
WIDTH = 80
LABELS: dict[Level, str] = {"problem": "PROBLEM", "warning": "warning", "not known": "?", "ok": "ok"}
"""How a level is shown, in the order in which the levels are counted at the end."""
EPILOG = """\
The exit code is 0 when nothing is a problem, else that of the worst one:
2 a setting, 6 out of reach, 5 not let in, 3 refused, 7 fell short.
Each server is asked for 30 seconds at most. Secrets come from the environment
or from where the context says, and are never shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    group = parser.add_argument_group("the connection; an option wins over the environment and the context")
    for field in FIELDS:
        add_input(group, field)
    parser.add_argument("--node", metavar="NAME", help="this host's node, when it goes by another name")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, and nothing else, on stdout")
    parser.add_argument("--bundle", metavar="FILE.tar.gz", help="also write an archive for a bug report")
    parser.add_argument("--overwrite", action="store_true", help="write the bundle over a file that is there already")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell also what is asked of the servers")
    parser.epilog = EPILOG


def main(options: argparse.Namespace, console: Console) -> int:
    """Print the findings, and write the bundle if one is wanted; the exit code of the worst finding."""
    file = Path(options.bundle) if options.bundle is not None else None
    if file is not None:
        bundle.check(file, overwrite=options.overwrite)
    clock = SystemClock()
    found = examine(options, console, clock)
    code = diagnosis.worst(found.findings)
    document = {
        "schema": SCHEMA,
        "anka-ci": __version__,
        "context": found.context.name,
        "code": code,
        "findings": [finding.emit() for finding in found.findings],
    }
    if options.json:
        console.out(json.dumps(console.redactor.tree(document), indent=2, ensure_ascii=False) + "\n")
    else:
        console.out(text(found.findings))
    if file is not None:
        inside = bundle.members(
            document, text(found.findings), found.servers, found.host, console.env, console.redactor
        )
        size = bundle.write(file, inside, clock.now(), overwrite=options.overwrite)
        console.err(f"anka-ci: wrote {file} ({show_size(size)}); look into it before you hand it on\n")
    return code


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found out, and what it means."""

    context: Context
    servers: Sequence[ServerFacts]
    host: HostFacts
    findings: Sequence[Finding]


def examine(options: argparse.Namespace, console: Console, clock: Clock) -> Examined:
    """Everything there is to find."""
    values = {field.key: getattr(options, field.key) for field in FIELDS if getattr(options, field.key) is not None}
    shared = inputs.bind(SharedInputs, values, what="doctor")
    env, failure = console.env, None
    try:
        context = console.context(shared)
        contexts = sign_ins.contexts(env, shared, context)
    except AnkaCiError as error:
        failure = error
        env, contexts = sign_ins.parted(env, shared)
        contexts = contexts or [Context()]
        context = contexts[0]
    for each in contexts:
        for service in (auth.CONTROLLER, auth.REGISTRY):
            for secret in each.of(service).secrets():
                console.redactor.add(secret)
    findings = of_context.findings(origins.facts(env, shared, context, failure))
    cancelled = Cancelled()
    with console.interrupts(cancelled):
        looking = Examination(contexts, console.env, clock, cancelled)
        servers = looking.servers()
        host = looking.host(servers, options.node)
    for facts in servers:
        findings += of_oci.findings(facts) if facts.what == OCI else of_server.findings(facts)
        if facts.what == CONTROLLER:
            findings += of_nodes.findings(facts, host.largest)
        if facts is not servers[0] and servers[0].what == CONTROLLER and facts.what != OCI:
            findings.append(of_server.same_templates(servers[0], facts))
    findings += of_host.findings(host)
    if any(facts.what == OCI for facts in servers):
        findings += of_oci.command(host.command.version)
    return Examined(context=context, servers=servers, host=host, findings=findings)


def text(findings: Sequence[Finding]) -> str:
    """The findings for people: by area, each wrapped under its name, with what to do below it."""
    lines: list[str] = []
    shown = list(_together(findings))
    wide = max(len(finding.name) for finding in shown)
    area = ""
    for finding in shown:
        if finding.area != area:
            area = finding.area
            lines += ["", area]
        head = f"  {LABELS[finding.level]:7}  {finding.name:{wide}}  "
        lines += _wrapped(finding.seen, head, len(head))
        if finding.do:
            lines += _wrapped(finding.do, " " * (len(head) - 3) + "-> ", len(head))
    counts = Counter(finding.level for finding in findings)
    told = [f"{counts[level]} {_noun(level, counts[level])}" for level in LABELS if counts[level]]
    lines += ["", ", ".join(told)]
    for finding in findings:
        if finding.level == "problem":
            lines += _wrapped(f"{finding.name} of {finding.area}", "  - ", 4)
    return "\n".join(lines[1:]) + "\n"


def _together(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings, those that follow from one and the same cause as one."""
    for cause, group in itertools.groupby(findings, lambda each: (each.area, each.level, each.seen, each.do)):
        same = list(group)
        if cause[1] != "not known" or len(same) == 1:
            yield from same
        else:
            names = ", ".join(each.name for each in same[1:])
            yield replace(same[0], seen=f"{same[0].seen} (also: {names})")


def _wrapped(words: str, first: str, indent: int) -> list[str]:
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _noun(level: Level, count: int) -> str:
    return f"{level}s" if count > 1 and level in ("problem", "warning") else level
