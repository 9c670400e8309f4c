"""The repository over real HTTP against the double: files, commits, pull requests, statuses, and every refusal."""

from __future__ import annotations

import base64
import logging
import threading

import pytest

from actions.github_double.git import Entry
from actions.github_double.server import TOKEN, Answer, Double, Token
from anka_ci.clock import Cancelled, Deadline, ManualClock, SystemClock
from anka_ci.errors import (
    InterruptError,
    NotAuthorisedError,
    NotFoundError,
    NotOursError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.secret import Redactor
from anka_ci.server import certificates
from anka_ci_actions.service import ChangedMeanwhileError, connect

FOLDER = ".github/workflows"
A, B = f"{FOLDER}/a.yml", f"{FOLDER}/b.yml"


@pytest.fixture(scope="module")
def running():
    with Double("/api/v3") as double:
        yield double


@pytest.fixture
def github(running):
    """The double, empty but for one repository."""
    running.repos, running.renamed, running.tokens = {}, {}, {TOKEN: Token()}
    running.faults, running.seen, running.actions_may_propose = [], [], True
    running.add("octo/there", {A: "a\n", B: "b\n", "README.md": "hello\n"})
    return running


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def there(github, clock, said):
    """The repository as our code sees it, with an hour to go."""
    return connect(github.env, clock=clock, deadline=Deadline(clock, 3600), tell=lambda event: said.append(event.text))


def repo(github):
    return github.repos["octo/there"]


def test_the_files_of_a_folder_cost_one_read_each_and_are_read_once(github, there):
    head = there.head("main")
    github.seen.clear()
    found = there.files(head, FOLDER)
    assert {A: "a\n", B: "b\n"} == {path: each.text for path, each in found.items()}
    assert repo(github).trees[repo(github).changed(None, "b.yml", Entry("100644", "blob", found[B].sha))]
    assert 6 == len(github.seen), "the commit, three trees, two blobs"
    github.seen.clear()
    assert {A} == {*there.files(head, FOLDER, ["a.yml", "c.yml"])} == {*there.files(head, FOLDER, [A])}
    assert [] == [call for call in github.calls() if "blobs" in call]


def test_folders_are_no_files_a_link_is_where_it_leads_and_a_folder_may_be_missing(github, there):
    made = repo(github)
    tree = made.changed(
        made.commits[made.refs["main"]].tree, f"{FOLDER}/link", Entry("120000", "blob", made.blob(b"a"))
    )
    tree = made.changed(tree, f"{FOLDER}/below/c.yml", Entry("100644", "blob", made.blob(b"c")))
    tree = made.changed(tree, f"{FOLDER}/bytes.yml", Entry("100755", "blob", made.blob(b"\xff\n")))
    made.refs["main"] = made.commit(tree, (made.refs["main"],), "links")
    found = there.files("main", FOLDER)
    assert [A, B, f"{FOLDER}/bytes.yml", f"{FOLDER}/link"] == [*found]
    assert "a" == found[f"{FOLDER}/link"].text
    assert "\ufffd\n" == found[f"{FOLDER}/bytes.yml"].text
    assert {} == there.files("main", "not/there") == there.files("main", "README.md")
    assert ["README.md"] == [*there.files("main", "")]
    with pytest.raises(NotFoundError, match="no branch 'gone' in octo/there"):
        there.files("gone", FOLDER)


def test_many_changes_are_one_commit(github, there):
    before = there.head("main")
    made = there.commit("main", {A: "new\n", B: None, f"{FOLDER}/c.yml": "c\n"}, "Change three", expected_head=before)
    assert made == there.head("main") != before
    assert (before,) == repo(github).commits[made].parents
    assert "Change three" == repo(github).commits[made].message
    assert ["new\n", None, "c\n"] == [repo(github).text(f"{FOLDER}/{name}.yml") for name in "abc"]
    assert "hello\n" == repo(github).text("README.md")


def test_what_changes_nothing_makes_no_commit(github, there):
    before = there.head("main")
    github.seen.clear()
    assert before == there.commit("main", {A: "a\n", "no/such/file": None}, "Nothing", expected_head=before)
    assert before == there.head("main")
    assert ["POST /git/trees"] == github.calls("POST")


def test_a_branch_that_moved_is_left_alone(github, there):
    before = there.head("main")
    repo(github).push({"README.md": "by hand\n"})
    with pytest.raises(ChangedMeanwhileError, match="the branch main changed meanwhile") as raised:
        there.commit("main", {A: "new\n"}, "Change", expected_head=before)
    assert 3 == raised.value.code
    assert "a\n" == repo(github).text(A)


@pytest.mark.parametrize("when", ["POST /repos/octo/there/git/commits", "PATCH"])
def test_a_branch_that_moves_while_we_write_is_left_alone(github, there, when):
    before = there.head("main")

    def meanwhile(request):
        if f"{request.verb} {request.path}".startswith(when):
            github.faults.clear()
            repo(github).push({"README.md": "by hand\n"})

    github.faults.append(meanwhile)
    with pytest.raises(ChangedMeanwhileError):
        there.commit("main", {A: "new\n"}, "Change", expected_head=before)
    assert ("by hand\n", "a\n") == (repo(github).text("README.md"), repo(github).text(A))


def test_of_two_writers_at_once_one_wins_and_one_is_told(github):
    head = repo(github).refs["main"]
    ended = {}

    def write(name):
        try:
            mine = connect(github.env, write_pause=0)
            ended[name] = mine.commit("main", {f"{FOLDER}/{name}.yml": name}, name, expected_head=head)
        except ChangedMeanwhileError as error:
            ended[name] = error

    writers = [threading.Thread(target=write, args=[name]) for name in ("one", "two")]
    for each in writers:
        each.start()
    for each in writers:
        each.join(30)
    (won,) = [name for name, each in ended.items() if isinstance(each, str)]
    assert {"one", "two"} == {*ended}
    assert ended[won] == repo(github).refs["main"]
    assert won == repo(github).text(f"{FOLDER}/{won}.yml")


def test_a_branch_under_a_rule_says_what_else_can_be_done(github, there):
    repo(github).protected.add("main")
    with pytest.raises(RefusedError, match="Changes must be made through a pull request") as raised:
        there.commit("main", {A: "new\n"}, "Change", expected_head=there.head("main"))
    assert not isinstance(raised.value, ChangedMeanwhileError)
    assert "propose a pull request" in raised.value.hint


def test_a_lost_answer_to_the_move_of_a_branch_is_looked_after(github, there):
    before = there.head("main")

    def lost(request):
        if request.verb == "PATCH":
            github.faults.clear()
            github.answer(request)
            return Answer(0)
        return None

    github.faults.append(lost)
    made = there.commit("main", {A: "new\n"}, "Change", expected_head=before)
    assert made == repo(github).refs["main"]
    assert 1 == len([each for each in github.seen if each.verb == "PATCH"]) - 1, "asked once, and once by the fault"


def test_an_empty_repository_has_no_head(github):
    github.add("octo/empty")
    assert None is connect(github.env, repo="octo/empty").head("main")
    assert None is connect(github.env).head("feature/none")


def test_a_proposal_makes_a_branch_and_one_pull_request_which_is_kept_up_to_date(github, there):
    head = there.head("main")
    first = there.commit("anka-ci/jobs", {A: "one\n"}, "Propose", expected_head=head, base="main")
    opened = there.propose("anka-ci/jobs", "main", "Title", "Body")
    assert (1, True) == (opened.number, opened.created)
    assert first == there.commit("anka-ci/jobs", {A: "one\n"}, "Propose", expected_head=head, base="main"), "the same"
    second = there.commit("anka-ci/jobs", {A: "two\n"}, "Propose", expected_head=head, base="main")
    assert first != second == there.head("anka-ci/jobs")
    assert (head,) == repo(github).commits[second].parents, "one commit, not a pile"
    again = there.propose("anka-ci/jobs", "main", "New title", "Body")
    assert (1, opened.url, False) == (again.number, again.url, again.created)
    assert ["New title"] == [each["title"] for each in repo(github).pulls]
    assert head == there.head("main")
    github.seen.clear()
    there.propose("anka-ci/jobs", "main", "New title", "Body")
    assert ["GET /pulls"] == github.calls()


def test_a_proposal_moves_with_its_base(github, there):
    there.commit("anka-ci/jobs", {A: "one\n"}, "Propose", expected_head=there.head("main"), base="main")
    moved = repo(github).push({"README.md": "later\n"})
    made = there.commit("anka-ci/jobs", {A: "one\n"}, "Propose", expected_head=moved, base="main")
    assert (moved,) == repo(github).commits[made].parents
    assert "later\n" == repo(github).text("README.md", "anka-ci/jobs")


def test_a_branch_with_the_work_of_others_is_not_moved(github, there):
    head = there.head("main")
    there.commit("anka-ci/jobs", {A: "one\n"}, "Propose", expected_head=head, base="main")
    theirs = repo(github).push({A: "by hand\n"}, "Mend", "anka-ci/jobs")
    with pytest.raises(NotOursError, match="holds commits that are not of anka-ci"):
        there.commit("anka-ci/jobs", {A: "two\n"}, "Propose", expected_head=head, base="main")
    assert theirs == repo(github).refs["anka-ci/jobs"]


def test_a_branch_that_somebody_pushes_to_right_before_it_is_moved_keeps_their_work(github, there):
    head = there.head("main")
    there.commit("anka-ci/jobs", {A: "one\n"}, "Propose", expected_head=head, base="main")
    theirs = []

    def meanwhile(request):
        if f"{request.verb} {request.path}" == "POST /repos/octo/there/git/commits":
            github.faults.clear()
            theirs.append(repo(github).push({A: "by hand\n"}, "Mend", "anka-ci/jobs"))

    github.faults.append(meanwhile)
    with pytest.raises(ChangedMeanwhileError):
        there.commit("anka-ci/jobs", {A: "two\n"}, "Propose", expected_head=head, base="main")
    assert theirs == [repo(github).refs["anka-ci/jobs"]]


def test_a_pull_request_that_somebody_opens_at_the_same_time_is_taken(github, there):
    there.commit("anka-ci/jobs", {A: "one\n"}, "Propose", expected_head=there.head("main"), base="main")

    def meanwhile(request):
        if f"{request.verb} {request.path}" == "POST /repos/octo/there/pulls":
            github.faults.clear()
            github.answer(request)

    github.faults.append(meanwhile)
    assert (1, False) == (lambda pull: (pull.number, pull.created))(there.propose("anka-ci/jobs", "main", "T", "B"))
    assert 1 == len(repo(github).pulls)


def test_what_a_pull_request_is_refused_for_is_told(there):
    with pytest.raises(RefusedError, match="PullRequest head invalid"):
        there.propose("gone", "main", "T", "B")


def test_a_status_is_set_once_by_name_and_commit(github, there):
    sha = there.head("main")
    say = {"sha": sha, "name": "anka / sonoma", "url": "https://example.com/1"}
    assert there.set_status(**say, state="pending", description="on its way")
    assert there.set_status(**say, state="success", description="on 3 nodes")
    assert not there.set_status(**say, state="success", description="on 3 nodes")
    assert not there.set_status(**say | {"name": "Anka / Sonoma"}, state="success", description="on 3 nodes")
    assert there.set_status(**say | {"url": ""}, state="success", description="on 3 nodes")
    assert there.set_status(**say | {"name": "other"}, state="error", description="x" * 200)
    assert ["pending", "success", "success", "error"] == [each["state"] for each in repo(github).statuses[sha]]
    assert 140 == len(repo(github).statuses[sha][-1]["description"])
    with pytest.raises(UsageError, match="no state of a commit status"):
        there.set_status(**say, state="done", description="")
    github.fail(422, on="POST", message="No commit found for SHA: 000")
    with pytest.raises(RefusedError, match="No commit found"):
        there.set_status(sha, "x", "success", "")


def test_a_status_is_found_behind_a_hundred_others(github, there):
    sha = there.head("main")
    repo(github).statuses[sha] = [
        {"context": f"s{n}", "state": "success", "description": "", "target_url": None, "sha": sha, "id": n}
        for n in range(130)
    ]
    assert not there.set_status(sha, "s129", "success", "")


def test_a_renamed_repository_is_followed_and_told(github, there, said):
    github.rename("octo/there", "octo/here")
    assert "octo/here" == there.slug
    assert ["the repository octo/there is called octo/here now"] == said
    made = there.commit("main", {A: "new\n"}, "Change", expected_head=there.head("main"))
    assert made == github.repos["octo/here"].refs["main"]


def test_a_write_is_followed_with_its_verb_and_query_but_never_to_another_host(github, there):
    sha = there.head("main")
    github.fail(307, on="POST", headers={"Location": f"{github.url}/repos/octo/there/statuses/{sha}"})
    assert there.set_status(sha, "moved", "success", "")
    assert ["moved"] == [each["context"] for each in repo(github).statuses[sha]]
    for status in (301, 307):
        github.fail(status, headers={"Location": "http://127.0.0.2:1/repos/octo/there"})
        with pytest.raises(UsageError, match="correct the address"):
            there.head("main")


def test_writes_keep_their_distance_and_reads_do_not(github, there, clock):
    began = clock.now()
    head = there.head("main")
    assert 0 == clock.now() - began
    there.commit("main", {A: "new\n"}, "Change", expected_head=head)
    assert 2.0 == clock.now() - began, "three writes, two pauses of a second"


LIMITS = {
    "primary": (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000300"}, 301.0),
    "primary as 429": (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000010"}, 11.0),
    "retry-after": (429, {"Retry-After": "7"}, 7.0),
    "secondary": (403, {}, 60.0),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_a_rate_limit_is_waited_for(github, there, clock, said, kind):
    status, headers, seconds = LIMITS[kind]
    date = {"Date": "Tue, 14 Nov 2023 22:13:20 GMT"} if "primary" in kind else {}
    github.fail(status, headers=headers | date, message="You have exceeded a secondary rate limit. Wait.")
    began = clock.now()
    assert None is not there.head("main")
    assert seconds == clock.now() - began
    assert [f"GitHub's rate limit is reached; going on in {seconds:.0f} s"] == said


def test_a_write_that_met_a_limit_is_done_once(github, there):
    sha = there.head("main")
    github.fail(403, on="POST", times=2, message="You have exceeded a secondary rate limit.")
    assert there.set_status(sha, "x", "success", "")
    assert 1 == len(repo(github).statuses[sha])


def test_a_rate_limit_that_is_over_too_late_is_told_at_once(github, clock):
    there = connect(github.env, clock=clock, deadline=Deadline(clock, 60))
    github.fail(
        403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700003000"}, message="API rate limit"
    )
    began = clock.now()
    with pytest.raises(UnreachableError, match="which is too late") as raised:
        there.head("main")
    assert 0 == clock.now() - began
    assert "limits count per user" in raised.value.hint


def test_a_limit_without_end_is_given_up(github, clock):
    github.fail(429, times=100, headers={"Retry-After": "0"})
    with pytest.raises(RefusedError, match="429"):
        connect(github.env, clock=clock).head("main")


@pytest.mark.parametrize("status", [0, 500, 502, 503])
def test_a_read_is_tried_again_and_a_write_is_not_said_to_be_done(github, there, status):
    github.fail(status, times=4)
    head = there.head("main")
    assert head == repo(github).refs["main"]
    github.fail(status, on="POST /repos/octo/there/pulls", times=9)
    repo(github).push({A: "x"}, branch="mine")
    github.seen.clear()
    with pytest.raises(UnreachableError):
        there.propose("mine", "main", "T", "B")
    assert ["POST /pulls"] == github.calls("POST")


def test_what_is_no_github_is_told_apart(github, there):
    github.faults.append(lambda request: Answer(200, "<html>"))
    with pytest.raises(UnreachableError, match="that is no JSON") as raised:
        there.head("main")
    assert "/api/v3" in raised.value.hint
    assert 1 == len(github.seen), "another try would end alike"


@pytest.mark.parametrize("body", [{}, [], {"full_name": None}, None, 7])
def test_json_of_something_else_is_told_apart_too(github, there, body):
    github.faults.append(lambda request: Answer(200, body))
    with pytest.raises(UnreachableError, match="what answered is not GitHub"):
        there.default_branch()


def test_every_answer_of_something_else_is_told_apart(github, there):
    sha = there.head("main")
    github.faults.append(lambda request: Answer(200, {"message": "hello"}))
    tried = {
        "head": lambda: there.head("main"),
        "files": lambda: there.files(sha, FOLDER),
        "commit": lambda: there.commit("main", {A: "x"}, "x", expected_head=sha),
        "propose": lambda: there.propose("mine", "main", "T", "B"),
        "run": lambda: there.run(1),
        "dispatch": lambda: there.dispatch("a.yml", "main", {}),
        "status": lambda: there.set_status(sha, "x", "success", ""),
    }
    for each in tried.values():
        with pytest.raises(UnreachableError, match="what answered is not GitHub"):
            each()


def test_nobody_there_is_out_of_reach(clock):
    there = connect({"GH_TOKEN": "ghp_x", "GITHUB_API_URL": "http://127.0.0.1:9"}, repo="a/b", clock=clock)
    with pytest.raises(UnreachableError, match=r"http://127.0.0.1:9: no answer"):
        there.default_branch()


def test_an_enterprise_server_of_a_private_authority_is_trusted_when_that_is_named(tmp_path, monkeypatch, clock):
    files = certificates.files(tmp_path, ["127.0.0.1"], SystemClock(), client=False)
    with Double("/api/v3", certificates.context(files, None)) as double:
        double.add("octo/there", {})
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED") as raised:
            connect(double.env, clock=clock).default_branch()
        assert "REQUESTS_CA_BUNDLE" in raised.value.hint
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.ca))
        assert "main" == connect(double.env, clock=clock).default_branch()


def test_no_other_password_is_sent_and_nothing_of_an_answer_is_logged(github, tmp_path, monkeypatch, caplog):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    caplog.set_level(logging.DEBUG)
    repo(github).push({A: "hush hush\n"})
    there = connect(github.env)
    assert "hush hush\n" == there.files("main", FOLDER)[A].text
    sent = github.seen[0].headers
    assert (f"token {TOKEN}", "2022-11-28") == (sent["Authorization"], sent["X-GitHub-Api-Version"])
    assert sent["User-Agent"].startswith("anka-ci/")
    kept = base64.b64encode(b"hush hush\n").decode()
    assert "GET http" in caplog.text
    assert [] == [text for text in (TOKEN, "hush hush", kept) if text in caplog.text]


REFUSED = {
    "commit": ({"contents": "read"}, "contents: write", "Contents: write and Workflows: write"),
    "workflow": ({"contents": "write"}, "without `workflows` permission", "Contents: write and Workflows: write"),
    "propose": ({"contents": "write", "pull_requests": "read"}, "pull_requests: write", "Pull requests: write"),
    "status": ({"contents": "read", "statuses": "read"}, "statuses: write", "Commit statuses: write"),
    "read": ({}, "contents: read", "Contents: read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_permission_that_is_missing(github, there, case):
    permissions, told, ours = REFUSED[case]
    head = repo(github).refs["main"]
    repo(github).push({A: "x"}, branch="mine")
    github.tokens[TOKEN] = Token(permissions)
    tried = {
        "propose": lambda: there.propose("mine", "main", "T", "B"),
        "status": lambda: there.set_status(head, "x", "success", ""),
        "read": lambda: there.head("main"),
    }
    with pytest.raises(NotAuthorisedError) as raised:
        tried.get(case, lambda: there.commit("main", {A: "new\n"}, "Change", expected_head=head))()
    assert told in str(raised.value)
    assert ours in raised.value.hint
    assert "ANKA_CI_GITHUB_TOKEN (a fine-grained token)" in raised.value.hint
    assert TOKEN not in str(raised.value)
    assert 5 == raised.value.code


def test_other_refusals_say_what_they_are_about(github, there):
    head = repo(github).refs["main"]
    repo(github).push({A: "x"}, branch="mine")
    github.tokens[TOKEN] = Token(kind="integration")
    github.actions_may_propose = False
    with pytest.raises(NotAuthorisedError, match="Settings > Actions > General"):
        there.propose("mine", "main", "T", "B")
    github.fail(403, on="git/ref", message="Resource protected by organization SAML enforcement.")
    with pytest.raises(NotAuthorisedError, match="single sign-on"):
        there.head("main")
    github.fail(403, on="git/ref", message="Although you appear to have the correct authorization, the IP allow list…")
    with pytest.raises(NotAuthorisedError, match="IP allow list"):
        there.head("main")
    github.tokens[TOKEN] = Token(scopes="repo")
    with pytest.raises(NotAuthorisedError, match="repo and workflow"):
        there.commit("main", {A: "new\n"}, "Change", expected_head=head)
    github.tokens.clear()
    with pytest.raises(NotAuthorisedError, match="Bad credentials") as raised:
        there.head("main")
    assert "wrong, expired or revoked, or of another GitHub" in raised.value.hint


def test_a_repository_that_is_not_seen_may_be_a_matter_of_the_token(github):
    with pytest.raises(NotFoundError, match="GitHub answered 404") as raised:
        connect(github.env, repo="octo/secret").default_branch()
    assert "may not see it" in raised.value.hint
    assert 4 == raised.value.code


def test_an_interruption_ends_a_wait(github, clock):
    cancelled = Cancelled()
    there = connect(github.env, clock=clock, cancelled=cancelled)

    def fault(request):
        cancelled.set("SIGTERM")
        return Answer(429, {"message": "slow"}, {"Retry-After": "99"})

    github.faults.append(fault)
    with pytest.raises(InterruptError):
        there.head("main")


def test_the_token_is_learned_before_anything_is_asked(github):
    redactor = Redactor()
    connect(github.env, redactor=redactor)
    assert "a *** b" == redactor(f"a {TOKEN} b")
