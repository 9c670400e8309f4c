"""Jenkins as a system of jobs: a pipeline file's job is a pipeline job, or one for every branch of a repository.

Names, renders, and opens the server where the jobs are kept; what becomes of each is decided by ``adapter.jobs``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anka_ci.adapter.calls import Called
from anka_ci.adapter.jobs import Job, Keeper
from anka_ci.adapter.system import JobInputs, Means, Source
from anka_ci.errors import UsageError
from anka_ci.inputs import arg
from anka_ci_jenkins import called, config, project, section


@dataclass(frozen=True, kw_only=True)
class Inputs(JobInputs):
    """The options of ``anka-ci job`` for Jenkins."""

    jenkins_url: str | None = arg(
        "URL of the Jenkins server; ANKA_CI_JENKINS_URL when left out. Who signs in is in ANKA_CI_JENKINS_USER and "
        "ANKA_CI_JENKINS_TOKEN.",
        default=None,
    )
    jenkinsfile: bool = arg("Render the Jenkinsfiles rather than the jobs.", default=False)


def check(source: Source) -> None:
    """``UsageError`` for what is wrong with the section of a pipeline file."""
    section.read(source)


def names(sources: Sequence[Source], given: Inputs) -> Sequence[str]:
    """The full names of the jobs."""
    return [section.read(source).job for source in sources]


def jobs(sources: Sequence[Source], given: Inputs, env: Mapping[str, str]) -> Sequence[Job]:
    """The jobs, rendered, and the folders that are wanted for them, these first; or the Jenkinsfiles."""
    sections = [section.read(source) for source in sources]
    templates = Path(given.templates) if given.templates else None
    pairs = list(zip(sources, sections, strict=True))
    if given.jenkinsfile:
        return [project.jenkinsfile(source, found, templates) for source, found in pairs]
    folders = project.folders(sections, templates)
    return [*folders, *(project.job(source, found, templates) for source, found in pairs)]


def written(job: Job) -> str:
    """A job as Jenkins gets it, with its mark; a Jenkinsfile as it is."""
    return config.written(job) if job.text.startswith("<") else job.text


def calls(file: str, text: str) -> Called | None:
    """What the Jenkinsfile or configuration in a file calls, as far as its text tells; None when it is neither."""
    return called.calls(file, text)


def keeper(given: Inputs, means: Means) -> Keeper:
    """The server that the options name."""
    if given.jenkinsfile:
        raise UsageError("job: a Jenkinsfile is kept in its repository", hint="render it, and commit it there")
    from anka_ci_jenkins.service.keeper import JenkinsJobs
    from anka_ci_jenkins.service.server import connect

    return JenkinsJobs(connect(given.jenkins_url, means))
