"""One repository: its branches and files, commits of many files at once, and pull requests.

Judges nothing: what is ours, and what may be replaced, is ``anka_ci.adapter``'s to say. A branch never moves but
forward, except one that holds nothing but our own proposal.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from anka_ci.adapter.jobs import ChangedMeanwhileError
from anka_ci.errors import NotFoundError, NotOursError, RefusedError, UnreachableError
from anka_ci.result import Said
from anka_ci_actions.service import pulls, runs, statuses, trees
from anka_ci_actions.service.connection import Connection
from anka_ci_actions.service.failures import part
from anka_ci_actions.service.permissions import READ_FILES, REPOSITORY, WRITE_FILES
from anka_ci_actions.service.pulls import PullRequest
from anka_ci_actions.service.runs import Run

PROPOSED = "Proposed-by: anka-ci"
"""The last line of a commit on a branch of ours, by which we know that the branch may be moved."""


@dataclass(frozen=True)
class File:
    """A file of a commit; ``sha`` is that of its content. Bytes that are no UTF-8 show as U+FFFD in ``text``."""

    path: str
    text: str
    sha: str


class Repository:
    """Calls about one repository; each raises as ``Connection.call`` does. Follows a rename, and says so once."""

    def __init__(self, connection: Connection, slug: str) -> None:
        self.connection = connection
        self._asked = slug
        self._texts: dict[str, str] = {}

    @cached_property
    def _facts(self) -> Mapping[str, Any]:
        """See https://docs.github.com/en/rest/repos/repos#get-a-repository."""
        found: Mapping[str, Any] = self.connection.get(REPOSITORY, f"/repos/{self._asked}")
        name = str(part(found, "full_name"))
        if name.lower() != self._asked.lower():
            self.connection.tell(Said(text=f"the repository {self._asked} is called {name} now", level="warning"))
        return found

    @property
    def slug(self) -> str:
        """``OWNER/NAME``, as it is called now."""
        return str(self._facts["full_name"])

    @property
    def path(self) -> str:
        """How the path of every call about it begins."""
        return f"/repos/{self.slug}"

    def default_branch(self) -> str:
        return str(part(self._facts, "default_branch"))

    def head(self, branch: str) -> str | None:
        """The commit that a branch is at; None when there is no such branch.

        See https://docs.github.com/en/rest/git/refs#get-a-reference.
        """
        try:
            found = self.connection.get(READ_FILES, f"{self.path}/git/ref/heads/{branch}")
            return str(part(found, "object", "sha"))
        except NotFoundError:
            return None
        except RefusedError as error:
            if error.facts.get("status") == 409:  # so it says that there is not one commit in it
                return None
            raise

    def files(
        self, ref: str, folder: str, names: Collection[str] = (), *, free: Collection[str] = ()
    ) -> Mapping[str, File]:
        """The files right in ``folder`` of a commit or branch, by path; only those of ``names`` when there are any.

        Folders in it and submodules are left out, and the text of a link is where it leads. One read per part of
        ``folder``, and one per content that was not read before. ``NotFoundError`` when there is no such commit or
        branch; a folder that is not there is empty.

        ``free`` are paths that are to be written: a write would replace a folder or a submodule there, with all that is
        in it, and a file or a link in the place of ``folder``. ``RefusedError`` when there is one.
        See https://docs.github.com/en/rest/git/trees#get-a-tree and .../git/blobs#get-a-blob.
        """
        sha = ref if _is_sha(ref) else self.head(ref)
        if sha is None:
            raise NotFoundError("branch", ref, where=self.slug)
        tree = trees.of_commit(self.connection, self.path, sha)
        entries = trees.folder(self.connection, self.path, tree, folder, free)
        wanted = {f"{folder}/{each['path']}".lstrip("/"): each for each in entries if each["mode"] in trees.FILES}
        return {
            path: File(path, self._text(each["sha"]), each["sha"])
            for path, each in sorted(wanted.items())
            if not names or path in names or each["path"] in names
        }

    def commit(
        self,
        branch: str,
        changes: Mapping[str, str | None],
        message: str,
        *,
        expected_head: str,
        base: str | None = None,
    ) -> str:
        """One commit of all ``changes`` (path to new text, or None to remove it); the commit the branch is at then.

        Without ``base`` it stands on ``expected_head``, where ``branch`` has to be still. With ``base``, a branch to be
        proposed to, it stands on ``expected_head``, where ``base`` has to be, and ``branch`` is made, or moved when it
        holds nothing but an earlier proposal of ours. What changes nothing makes no commit: the answer is
        ``expected_head`` then, and ``branch`` stays as it is.

        Raises ``ChangedMeanwhileError`` when the branch moved meanwhile, ``NotOursError`` when ``branch`` holds commits
        of somebody else, ``RefusedError`` when a rule protects it. See https://docs.github.com/en/rest/git.
        """
        before = self.head(branch if base is None else base)
        if before != expected_head:
            raise _moved(branch if base is None else base, expected_head, before)
        tree = trees.of_commit(self.connection, self.path, expected_head)
        made = self._make_tree(tree, self._effective(tree, changes))
        if made == tree:
            return expected_head
        if base is None:
            sha = self._make_commit(message, made, expected_head)
            self._move(branch, sha, expected_head)
            return sha
        there = self.head(branch)
        if there is not None and self._is_proposal(base, branch, there, made, expected_head):
            return there
        sha = self._make_commit(f"{message.rstrip()}\n\n{PROPOSED}\n", made, expected_head)
        if there is None:
            self._create(branch, sha)
        else:
            self._move(branch, sha, there, force=True)
        return sha

    def propose(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Open a pull request from ``branch`` to ``base``, or update the open one."""
        return pulls.propose(self.connection, self.slug, branch, base, title, body)

    def proposed(self, branch: str, base: str) -> PullRequest | None:
        """The open pull request from ``branch`` to ``base``; None when there is none."""
        return pulls.proposed(self.connection, self.slug, branch, base)

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> Run:
        """Start a workflow (file name or id) at a branch or tag; see ``runs.dispatch``."""
        return runs.dispatch(self.connection, self.path, workflow, ref, inputs)

    def run(self, run_id: int) -> Run:
        """A workflow run as it is now."""
        return runs.run(self.connection, self.path, run_id)

    def failed(self, run_id: int) -> list[str]:
        """What failed in a run, job by job, in words."""
        return runs.failed(self.connection, self.path, run_id)

    def cancel(self, run_id: int) -> bool:
        """Ask for the end of a run; False when it had ended already."""
        return runs.cancel(self.connection, self.path, run_id)

    def afterwards(self, seconds: float) -> Repository:
        """The same repository for what is left to do after an interruption or the end of the time."""
        found = Repository(self.connection.afterwards(seconds), self._asked)
        if "_facts" in self.__dict__:
            found.__dict__["_facts"] = self._facts
        return found

    def set_status(self, sha: str, name: str, state: str, description: str, url: str = "") -> bool:
        """Set a commit status; False when it says so already. See ``statuses.put``."""
        return statuses.put(self.connection, self.path, sha, name, state, description, url)

    def _text(self, sha: str) -> str:
        if sha not in self._texts:
            body = self.connection.get(READ_FILES, f"{self.path}/git/blobs/{sha}")
            try:
                text = str(part(body, "content"))
                raw = base64.b64decode(text) if part(body, "encoding") == "base64" else text.encode()
            except binascii.Error as error:
                raise UnreachableError(f"{self.slug}: the content {sha} came damaged ({error})") from None
            self._texts[sha] = raw.decode("utf-8", "replace")
        return self._texts[sha]

    def _effective(self, tree: str, changes: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """The changes without removals of what is not there, which GitHub refuses."""
        folders = {path.rpartition("/")[0] for path, text in changes.items() if text is None}
        there = {
            "/".join(filter(None, (folder, each["path"])))
            for folder in folders
            for each in trees.folder(self.connection, self.path, tree, folder)
        }
        return {path: text for path, text in changes.items() if text is not None or path in there}

    def _make_tree(self, tree: str, changes: Mapping[str, str | None]) -> str:
        if not changes:
            return tree
        entries = [
            {"path": path, "mode": "100644", "type": "blob", **({"sha": None} if text is None else {"content": text})}
            for path, text in sorted(changes.items())
        ]
        body = {"base_tree": tree, "tree": entries}
        reply = self.connection.call(WRITE_FILES, "POST", f"{self.path}/git/trees", body=body, idempotent=True)
        return str(part(reply.body, "sha"))

    def _make_commit(self, message: str, tree: str, parent: str) -> str:
        body = {"message": message, "tree": tree, "parents": [parent]}
        # Done twice, it leaves one more commit that no branch knows.
        reply = self.connection.call(WRITE_FILES, "POST", f"{self.path}/git/commits", body=body, idempotent=True)
        return str(part(reply.body, "sha"))

    def _create(self, branch: str, sha: str) -> None:
        body = {"ref": f"refs/heads/{branch}", "sha": sha}
        try:
            self.connection.call(WRITE_FILES, "POST", f"{self.path}/git/refs", body=body)
        except (RefusedError, UnreachableError) as error:
            self._settle(branch, sha, None, error)

    def _move(self, branch: str, sha: str, before: str, *, force: bool = False) -> None:
        """Move a branch; without ``force`` GitHub refuses unless it is still at an ancestor of the new commit.

        With ``force`` GitHub compares nothing, so we look once more when the next write may go.
        """
        body = {"sha": sha, "force": force}
        if force:
            self.connection.wait_for_turn()
            if (now := self.head(branch)) != before:
                raise _moved(branch, before, now)
        try:
            self.connection.call(WRITE_FILES, "PATCH", f"{self.path}/git/refs/heads/{branch}", body=body)
        except (RefusedError, UnreachableError, NotFoundError) as error:
            self._settle(branch, sha, before, error)

    def _settle(self, branch: str, sha: str, before: str | None, error: Exception) -> None:
        """After a failed move: it may have been done all the same, or somebody else may have been faster."""
        now = self.head(branch)
        if now == sha:
            return
        if now != before:
            raise _moved(branch, before, now) from error
        if isinstance(error, RefusedError):
            error.hint = error.hint or f"if a rule protects {branch}, propose a pull request instead"
        raise error

    def _is_proposal(self, base: str, branch: str, head: str, tree: str, parent: str) -> bool:
        """Whether the branch is this very proposal already; ``NotOursError`` when it holds commits of others.

        See https://docs.github.com/en/rest/commits/commits#compare-two-commits; it lists 250 commits at most.
        """
        found = self.connection.get(READ_FILES, f"{self.path}/compare/{parent}...{head}")
        commits = part(found, "commits")
        ends = {each["sha"]: each["commit"]["message"].rstrip().split("\n")[-1] for each in commits}
        others = [sha for sha, end in ends.items() if end != PROPOSED]
        if others or part(found, "total_commits") > len(commits):
            raise NotOursError(
                f"the branch {branch} of {self.slug} holds commits that are not of anka-ci",
                hint=f"merge or remove it, or propose by another branch; they are not in {base}",
                commits=others[:10],
            )
        last = commits[-1] if commits else None
        return (
            last is not None
            and last["sha"] == head
            and last["commit"]["tree"]["sha"] == tree
            and [each["sha"] for each in last["parents"]] == [parent]
        )


def _is_sha(text: str) -> bool:
    return len(text) == 40 and not set(text) - set("0123456789abcdef")


def _moved(branch: str, expected: str | None, found: str | None) -> ChangedMeanwhileError:
    words = f"it is at {found[:12]}" if found else "it is gone"
    was = f"at {expected[:12]}" if expected else "not there"
    return ChangedMeanwhileError(f"the branch {branch} changed meanwhile: it was {was}, {words}", hint="look again")
