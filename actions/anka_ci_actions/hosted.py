"""The workflow files of a repository on GitHub: a keeper of jobs over its REST API.

All changes are one commit, or one pull request. Nothing is judged here, and no library of GitHub's is imported.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from anka_ci.adapter.jobs import Change, ChangedMeanwhileError, Found, Outcome
from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.result import Said
from anka_ci_actions import mark
from anka_ci_actions.section import FOLDER
from anka_ci_actions.service import Repository

TITLE = "Bring the workflows of anka-ci in step"
BODY = "`anka-ci job apply` wants these changes, so that each workflow is what its pipeline file says:"


class Hosted:
    """The keeper of ``.github/workflows`` on a branch (None: the default one).

    With ``propose`` the changes go to a branch of their own and a pull request to the branch; an open one is told, and
    updated.
    """

    loses = ""

    def __init__(self, repository: Repository, branch: str | None, *, propose: bool) -> None:
        self._repository = repository
        self._branch = branch
        self._propose = propose
        self._head = ""
        self._proposal = ""
        self._told = False

    @property
    def where(self) -> str:
        return f"{self._repository.slug} ({self._base})"

    @property
    def _base(self) -> str:
        return self._branch or self._repository.default_branch()

    def read(self, names: Collection[str]) -> Sequence[Found]:
        """The workflow files as they are at the branch's newest commit; a link is not ours.

        ``NotFoundError`` when there is no branch, ``RefusedError`` when a folder has the name of a file.
        """
        head = self._repository.head(self._base)
        if head is None:
            hint = "name a branch with --branch; an empty repository needs a first commit"
            raise NotFoundError("branch", self._base, where=self._repository.slug, hint=hint)
        self._head = head
        # One proposal for one set of jobs: those of other pipeline files are proposed by themselves.
        self._proposal = f"anka-ci/{PurePosixPath(min(names)).stem if len(names) == 1 else 'workflows'}"
        self._tell_of_proposal()
        found = []
        for path, file in self._repository.files(head, FOLDER, free=names).items():
            text, marked = mark.take(file.text)
            if path in names or (marked is not None and path.endswith((".yml", ".yaml"))):
                found.append(Found(name=path, text=text, mark=marked, revision=file.sha))
        return found

    def _tell_of_proposal(self) -> None:
        """Say once that an earlier apply has its pull request still open: nothing is in step before that is merged."""
        if not self._propose or self._told:
            return
        self._told = True
        pull = self._repository.proposed(self._proposal, self._base)
        if pull is not None:
            said = f"pull request {pull.number} of an earlier apply is open: {pull.url}"
            self._repository.connection.tell(Said(text=said))

    def write(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write them as one commit on the commit that was read; it is there as a whole or not at all."""
        try:
            told = self._write(changes)
        except RefusedError as error:
            if error.facts.get("status") == 409:  # GitHub is in the middle of another write, perhaps of these files
                error = ChangedMeanwhileError(error.message, hint=error.hint, **error.facts)
            return [Outcome(name=change.name, error=error) for change in changes]
        return [Outcome(name=change.name, outputs=told) for change in changes]

    def _write(self, changes: Sequence[Change]) -> dict[str, object]:
        texts = {change.name: mark.put(change.job) if change.job else None for change in changes}
        lines = "".join(f"- {_words(change)}\n" for change in changes)
        message = f"{TITLE}\n\n{lines}"
        if not self._propose:
            commit = self._repository.commit(self._base, texts, message, expected_head=self._head)
            return {"commit": commit, "branch": self._base}
        commit = self._repository.commit(self._proposal, texts, message, expected_head=self._head, base=self._base)
        if commit == self._head:
            return {}
        pull = self._repository.propose(self._proposal, self._base, TITLE, f"{BODY}\n\n{lines}")
        found: dict[str, object] = {"commit": commit, "branch": self._proposal}
        return found | {"pull-request": pull.number, "url": pull.url, "opened": pull.created}


def _words(change: Change) -> str:
    if change.job is None:
        return f"remove {change.name}"
    return f"{'make' if change.revision is None else 'change'} {change.name}, from {change.job.source}"
