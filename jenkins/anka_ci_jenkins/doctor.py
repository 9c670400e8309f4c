"""Whether a Jenkins has what the jobs of pipeline files need: an answer, permissions, folders, plugins.

Reads only: the one write that it asks for is refused by Jenkins in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.adapter.checkup import Check
from anka_ci.adapter.system import Means, Source
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError
from anka_ci.inputs import Duration, arg
from anka_ci_jenkins import section
from anka_ci_jenkins.section import INLINE, MULTIBRANCH, Section

if TYPE_CHECKING:
    from anka_ci_jenkins.service.server import Item, Server

Needs = Callable[[Source, Section], bool]
ALWAYS = {
    "Pipeline: Job": ("workflow-job",),
    "Pipeline: Groovy": ("workflow-cps",),
    "Pipeline: Groovy Libraries": ("pipeline-groovy-lib", "workflow-cps-global-lib"),
    "Pipeline: Basic Steps": ("workflow-basic-steps",),
    "Pipeline: Nodes and Processes": ("workflow-durable-task-step",),
    "Credentials Binding": ("credentials-binding",),
}
"""The plugins that every job needs, by their names for people: their short names, of which one will do."""
SOME: dict[str, tuple[str, Needs]] = {
    "Pipeline: Declarative": ("pipeline-model-definition", lambda source, found: found.kind != INLINE),
    "Pipeline: Multibranch": ("workflow-multibranch", lambda source, found: found.kind == MULTIBRANCH),
    "Git": ("git", lambda source, found: found.scm is not None),
    "Folders": ("cloudbees-folder", lambda source, found: "/" in found.job),
    "Lockable Resources": ("lockable-resources", lambda source, found: source.pipeline.job.concurrency is not None),
}
"""The plugins that some jobs need, and which."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The options of ``anka-ci job doctor --ci jenkins``."""

    jenkins_url: str | None = arg("URL of the Jenkins server; ANKA_CI_JENKINS_URL when left out.", default=None)
    timeout: Duration | None = arg("Give up after this long; no limit when left out.", default=None)


def examine(given: Inputs, sources: Sequence[Source], means: Means) -> list[Check]:
    """Look at the server for these pipeline files; without any, for jobs with their script in the job.

    ``UsageError`` for an address or sign-in that is none; everything else that is wrong is a check.
    """
    from anka_ci_jenkins.service.server import connect

    server = connect(given.jenkins_url, means)
    pairs = [(source, section.read(source)) for source in sources]
    try:
        items = server.listing()
    except AnkaCiError as error:
        return [Check(name="server", error=error)]
    return [
        Check(name="server", said=f"{server.url} answers, and shows {len(items)} jobs and folders"),
        _may_read(server, items, [found.job for _, found in pairs]),
        _may_create(server),
        *_folders(server, items, [found for _, found in pairs]),
        *_plugins(server, pairs),
    ]


def _may_read(server: Server, items: Sequence[Item], wanted: Sequence[str]) -> Check:
    name = "permission Job/ExtendedRead"
    there = [each.name for each in items]
    look = next((each for each in wanted if each in there), there[0] if there else "")
    if not look:
        return Check(name=name, said="there is no job to try it on", known=False)
    try:
        server.config(look)
    except AnkaCiError as error:
        return Check(name=name, error=error)
    return Check(name=name, said=f"the configuration of {look} can be read")


def _may_create(server: Server) -> Check:
    """Jenkins looks at the permission first, and then misses the name of the job. Source: ``ItemGroupMixIn``."""
    name = "permission Job/Create"
    try:
        server.create_nothing()
    except RefusedError:
        return Check(name=name, said="the user has it; Job/Configure and Job/Delete show on the first use")
    except AnkaCiError as error:
        return Check(name=name, error=error)
    return Check(name=name, said="the server did not refuse a job without a name", known=False)


def _folders(server: Server, items: Sequence[Item], wanted: Sequence[Section]) -> list[Check]:
    there = {each.name for each in items}
    missing = {found.job.rpartition("/")[0] for found in wanted if not found.folders} - there - {""}
    hint = "make it in Jenkins, or let it be made: `jenkins: {folders: true}`"
    return [
        Check(name=f"folder {name}", error=NotFoundError("folder", name, where=server.url, hint=hint))
        for name in sorted(missing)
    ]


def _plugins(server: Server, pairs: Sequence[tuple[Source, Section]]) -> list[Check]:
    try:
        there = server.plugins()
    except NotAuthorisedError as error:
        said = f"{error.message}; whoever may look (Overall/SystemRead) can run this for all"
        return [Check(name="plugins", said=said, known=False)]
    except AnkaCiError as error:
        return [Check(name="plugins", error=error)]
    wanted = dict(ALWAYS)
    wanted |= {title: (name,) for title, (name, needs) in SOME.items() if any(needs(*pair) for pair in pairs)}
    return [_plugin(server, title, names, there) for title, names in wanted.items()]


def _plugin(server: Server, title: str, names: Sequence[str], there: Mapping[str, str]) -> Check:
    version = next((f"{name} {there[name]}" for name in names if name in there), "")
    if version:
        return Check(name=f"plugin {title}", said=version)
    hint = f"install {names[0]}: Manage Jenkins › Plugins"
    return Check(name=f"plugin {title}", error=NotFoundError("plugin", title, where=server.url, hint=hint))
