"""The jobs of one Jenkins server as a keeper of jobs.

One listing and one read per job at most; a few at a time. Jenkins cannot write on a condition, so a job is read once
more right before it is written: what somebody changes in the moment between is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from anka_ci.adapter.jobs import Change, ChangedMeanwhileError, Found, Job, Mark, Outcome, digest
from anka_ci.errors import AnkaCiError, InterruptError, RefusedError, UnreachableError
from anka_ci_jenkins import config
from anka_ci_jenkins.section import FOLDERS
from anka_ci_jenkins.service.lanes import side_by_side
from anka_ci_jenkins.service.server import HOLDERS, Server


class JenkinsJobs:
    """The keeper of a server's jobs. A folder is removed only when nothing is left in it."""

    loses = "its builds"

    def __init__(self, server: Server) -> None:
        self._server = server
        self.where = server.url
        self._lost: UnreachableError | None = None

    def read(self, names: Collection[str]) -> Sequence[Found]:
        """The named jobs and those with our mark, which the listing tells by their descriptions."""
        items = self._server.listing()
        wanted = [each.name for each in items if each.name in names or config.mark_of(each.description) is not None]
        found = side_by_side(self._found, wanted, self._server.cancelled)
        there = [one for one in found if one is not None]
        return [_as_wanted(one) if one.name in names else one for one in there]

    def _found(self, name: str) -> Found | None:
        text = self._server.config(name)
        return None if text is None else _as_found(name, text)

    def write(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Folders before what is in them, and removed after it; each outcome is its own.

        Once the server cannot be reached, the changes that are left are not tried.
        """
        jobs = {change.name: change.job for change in changes}
        made = [each for each in changes if each.job is not None and _is_folder(each.job)]
        gone = [each for each in changes if each.job is None]
        rest = [each for each in changes if jobs[each.name] is not None and each not in made]
        outcomes = [self._write(each) for each in sorted(made, key=lambda each: each.name.count("/"))]
        outcomes += side_by_side(self._write, rest, self._server.cancelled, _left)
        outcomes += [self._write(each) for each in sorted(gone, key=lambda each: -each.name.count("/"))]
        by_name = {outcome.name: outcome for outcome in outcomes}
        return [by_name[change.name] for change in changes]

    def _write(self, change: Change) -> Outcome:
        if self._lost is not None:
            return Outcome(name=change.name, error=self._lost)
        try:
            self._put(change)
        except AnkaCiError as error:
            return Outcome(name=change.name, error=error)
        return Outcome(name=change.name)

    def _put(self, change: Change) -> None:
        """One change, if the job still is what it was judged on."""
        try:
            text = self._server.config(change.name)
        except UnreachableError as error:
            self._lost = error
            raise
        there = _as_found(change.name, text) if text is not None else None
        if (there.revision if there else None) != change.revision:
            raise ChangedMeanwhileError(f"the job {change.name} was changed meanwhile", hint="apply again")
        try:
            self._send(change, text)
        except UnreachableError:
            if not self._arrived(change):
                raise

    def _send(self, change: Change, text: str | None) -> None:
        if change.job is None:
            if text is not None and config.parse(text).tag == config.FOLDER:
                self._empty(change.name)
            self._server.remove(change.name)
        elif text is None:
            self._server.create(change.name, config.written(change.job))
        elif config.parse(text).tag != config.parse(change.job.text).tag:
            hint = "Jenkins cannot change the kind of a job: rename the old one, or remove it with its builds"
            raise RefusedError(f"the job {change.name} is there, of another kind", hint=hint)
        else:
            self._server.replace(change.name, config.written(change.job, text))

    def _arrived(self, change: Change) -> bool:
        """Whether a write whose answer was lost was done all the same."""
        text = self._server.config(change.name)
        if change.job is None or text is None:
            return change.job is None and text is None
        found = _as_found(change.name, text)
        return found.text == change.job.text and found.mark == change.job.mark

    def _empty(self, folder: str) -> None:
        """``RefusedError`` for a folder that holds anything: it would go as well."""
        held = [each.name for each in self._server.listing() if each.name.startswith(f"{folder}/")]
        if held:
            more = f" and {len(held) - 3} more" if len(held) > 3 else ""
            said = f"the folder {folder} holds {', '.join(held[:3])}{more}, which would go with it"
            raise RefusedError(said, hint="remove or move them first")


def _as_found(name: str, text: str) -> Found:
    """A job as it was read; one that is no XML for us is nobody's."""
    try:
        canonical, mark = config.canonical(text)
    except RefusedError:
        canonical, mark = text, None
    return Found(name=name, text=canonical, mark=mark, revision=digest(f"{mark}\n{canonical}"))


def _as_wanted(found: Found) -> Found:
    """A folder that somebody else made is as good as ours: it is wanted to be there, and is not touched."""
    if found.mark is not None or not found.text.startswith(f"<{config.FOLDER}"):
        return found
    return replace(found, mark=Mark(source=FOLDERS, hash=digest(found.text)))


def _is_folder(job: Job) -> bool:
    return config.parse(job.text).tag in HOLDERS


def _left(change: Change) -> Outcome:
    """What is to be said of a change whose answer was not waited for."""
    error = InterruptError(f"{change.name}: interrupted before Jenkins had answered", hint="plan tells what was done")
    return Outcome(name=change.name, error=error)
