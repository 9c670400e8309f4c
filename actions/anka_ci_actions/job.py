"""GitHub Actions as a system of jobs: a pipeline file's job is a workflow file.

Names, renders, and opens the place where the files are kept; what becomes of each is decided by ``adapter.jobs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anka_ci import document, settings
from anka_ci.adapter.calls import Called
from anka_ci.adapter.jobs import Job, Keeper
from anka_ci.adapter.system import JobInputs, Means, Source
from anka_ci.errors import UsageError
from anka_ci.inputs import arg
from anka_ci_actions import called, mark, section, workflow
from anka_ci_actions.workflow import CHECKOUT, Uses
from anka_ci_actions.working_copy import WorkingCopy

USES_VARIABLE = "ANKA_CI_USES"
SETTINGS_KEYS = {"uses", "checkout"}
"""Under ``github`` in the settings file: the action that runs pipeline files, and the one that checks them out."""


@dataclass(frozen=True, kw_only=True)
class Inputs(JobInputs):
    """The options of ``anka-ci job`` for GitHub Actions."""

    uses: str | None = arg(
        "The action that runs pipeline files, as OWNER/anka-ci@REF (a commit's hash pins it; ` # v1` behind it says "
        f"which) or ./PATH; from {USES_VARIABLE} or `github: {{uses: …}}` of the settings file when left out.",
        default=None,
    )
    folder: str | None = arg(
        "A working copy whose workflow files are kept in step, without a token; committing them is yours.",
        default=None,
    )
    repo: str | None = arg("The repository on GitHub, as OWNER/NAME; GITHUB_REPOSITORY when left out.", default=None)
    github_url: str | None = arg(
        "Its API, such as https://HOST/api/v3; ANKA_CI_GITHUB_URL, GITHUB_API_URL or github.com's when left out.",
        default=None,
    )
    branch: str | None = arg("The branch that holds the workflow files; the default one when left out.", default=None)
    pull_request: bool = arg("Open a pull request with the changes, or update it; a commit otherwise.", default=False)

    def __post_init__(self) -> None:
        beside = [("repo", self.repo), ("github-url", self.github_url), ("branch", self.branch)]
        for key, value in (*beside, ("pull-request", self.pull_request or None)):
            if self.folder is not None and value is not None:
                raise ValueError(f"folder and {key} do not go together: a working copy asks no server")


def check(source: Source) -> None:
    """``UsageError`` for what is wrong with the section of a pipeline file, and for a job that can be no workflow."""
    found = section.read(source)
    if source.pipeline.job.runner:  # else no workflow is meant
        workflow.facts(source, found, Uses(action="./"), Uses(action="./"))


def names(sources: Sequence[Source], given: Inputs) -> Sequence[str]:
    """The paths of the workflow files."""
    return [section.read(source).workflow for source in sources]


def jobs(sources: Sequence[Source], given: Inputs, env: Mapping[str, str]) -> Sequence[Job]:
    """The workflow files, rendered."""
    kept = _kept(env)
    named = given.uses or env.get(USES_VARIABLE) or kept.get("uses")
    if not named:
        hint = f"give --uses OWNER/anka-ci@REF, set {USES_VARIABLE}, or write it in {settings.path(env)}"
        raise UsageError("where the actions of anka-ci are is not known", hint=hint)
    uses = Uses.read(named, "--uses" if given.uses else USES_VARIABLE if env.get(USES_VARIABLE) else "the settings")
    checkout = Uses.read(kept.get("checkout", CHECKOUT), "checkout in the settings")
    templates = Path(given.templates) if given.templates else None
    return [
        workflow.job(each, section.read(each), uses=uses, checkout=checkout, templates=templates) for each in sources
    ]


def written(job: Job) -> str:
    """A workflow file as it is written, its mark first."""
    return mark.put(job)


def calls(file: str, text: str) -> Called | None:
    """What the workflow in a file calls, as far as its text tells; None when it is none."""
    return called.calls(file, text)


def keeper(given: Inputs, means: Means) -> Keeper:
    """The working copy, or the branch of a repository on GitHub, that the options name."""
    if given.folder is not None:
        return WorkingCopy(_root(Path(given.folder)))
    from anka_ci_actions import service
    from anka_ci_actions.hosted import Hosted

    repository = service.connect(
        means.env,
        repo=given.repo,
        url=given.github_url,
        clock=means.clock,
        deadline=means.deadline,
        cancelled=means.cancelled,
        tell=means.tell,
        redactor=means.redactor,
    )
    return Hosted(repository, given.branch, propose=given.pull_request)


def _kept(env: Mapping[str, str]) -> dict[str, str]:
    """What the settings file says of workflows; nothing where there is no file."""
    file = settings.path(env)
    if not file.exists():
        return {}
    root = document.read(file).only(settings.ROOT_KEYS, "the settings")
    found = root["github"].only(SETTINGS_KEYS, "github") if "github" in root else {}
    return {key: node.text(f"github: {key}") for key, node in found.items()}


def _root(folder: Path) -> Path:
    """The top of the working copy that a folder is in; the folder itself where there is no ``.git`` above."""
    place = folder.absolute()
    if not place.is_dir():
        return folder
    return next((each for each in (place, *place.parents) if (each / ".git").exists()), folder)
