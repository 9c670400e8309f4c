"""What the host door makes of the answers of 2.x and 3.x, which are in ``tests/wire/anka``, and of noise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anka_ci import process
from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.errors import (
    AnkaCiError,
    FellShortError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.host import answers
from anka_ci.result import Progress, Said
from anka_ci.settings import Context
from anka_ci.wire.remote import Remote
from anka_ci.wire.vm import DownloadSize, Moved, Vm
from foreign_anka import WIRE, ForeignAnka, failed, ok

ID, OTHER = "c0847bc9-5d2d-4dbc-ba6a-240f7ff08032", "0b9c1a02-33aa-4a3e-8d3e-5b6b8e1a7c11"
KEYS = (
    "uuid",
    "name",
    "version",
    "status",
    "arch",
    "image_size",
    "access_date",
    "size",
    "cached",
    "bytes",
    "url",
    "host",
)
LAYER = "5d41402abc4b2a76b9719d911017c592.ank"
URL = "http://anka.internal:8089"
OLD = Vm(id=ID, name="11.6", tag="vanilla+port-forward-22", status="stopped")
NEW = Vm(id=ID, name="13.1-arm64", tag="v1", status="stopped", accessed=1675238400.0)

GOOD = [
    ("2.x/list", lambda host: host.vms(), [OLD, Vm(id=OTHER, name="scratch", status="running")]),
    (
        "3.x/list",
        lambda host: host.vms(),
        [NEW, Vm(id=OTHER, name="scratch", status="failed", accessed=1675238400.0)],
    ),
    ("3.x/list-none", lambda host: host.vms(), []),
    ("3.x/list-null", lambda host: host.vms(), []),
    (
        "2.x/show",
        lambda host: host.vm("11.6"),
        Vm(
            id=ID,
            name="11.6",
            tag="vanilla+port-forward-22",
            status="suspended",
            image_size=17574715392,
            accessed=1635930764.0,
        ),
    ),
    (
        "3.x/show",
        lambda host: host.vm(ID),
        Vm(
            id=ID,
            name="13.1-arm64",
            tag="v1",
            status="running",
            arch="arm64",
            image_size=21474836480,
            accessed=1675238400.0,
        ),
    ),
    ("2.x/show-tags", lambda host: host.tags("11.6"), ["v2", "base:port-forward-22:brew-git"]),
    ("3.x/show-tag", lambda host: host.tags(ID), ["v2", "v1"]),
    ("3.x/show-tag-none", lambda host: host.tags(ID), []),
    ("2.x/show-disk", lambda host: (host.top("vm", "v1"), host.layers("vm", "v1")), (LAYER, (LAYER,))),
    ("3.x/show-disk", lambda host: host.layers("vm", "v1"), (LAYER,)),
    ("3.x/no-code", lambda host: host.layers("vm", "v1"), None),
    ("2.x/describe", lambda host: (host.layers("vm"), host.config("vm")["nvram"]), ((LAYER,), True)),
    ("3.x/describe", lambda host: host.layers("vm"), (LAYER,)),
    (
        "2.x/size",
        lambda host: host.download_size(ID, "v1", URL),
        DownloadSize(size=17574715392, cached=0, download=17574715392, available=214748364800),
    ),
    (
        "3.x/size",
        lambda host: host.download_size(ID, "v1", URL),
        DownloadSize(size=21474836480, cached=20401094656, download=1073741824, available=214748364800),
    ),
    (
        "2.x/size-old",
        lambda host: host.download_size(ID, "v1", URL),
        DownloadSize(size=None, cached=None, download=1073741824),
    ),
    (
        "3.x/size-local",
        lambda host: host.download_size(ID, "v1", URL),
        DownloadSize(size=None, cached=None, download=0),
    ),
    ("2.x/pull", lambda host: host.pull(ID, "v1", registry_url=URL), Moved()),
    ("3.x/pull", lambda host: host.pull(ID, "v1", registry_url=URL), Moved()),
    ("2.x/push", lambda host: host.push(ID, "v1", registry_url=URL), Moved()),
    ("3.x/push", lambda host: host.push(ID, "v1", registry_url=URL), Moved()),
    ("2.x/start", lambda host: host.start(ID), None),
    ("3.x/start", lambda host: host.start(ID), None),
    ("2.x/done", lambda host: (host.stop(ID), host.suspend(ID), host.delete(ID)), (None, None, None)),
    ("3.x/done", lambda host: (host.stop(ID), host.suspend(ID), host.delete(ID)), (None, None, None)),
    ("2.x/license", lambda host: host.license()["status"], "valid"),
    ("3.x/license", lambda host: host.license()["license_type"], "com.veertu.anka.entplus"),
    (
        "2.x/list-repos",
        lambda host: host.remotes(),
        [Remote(name="registry_1", url=URL, default=True), Remote(name="registry_2", url="https://10.0.0.2")],
    ),
    (
        "3.x/list-repos",
        lambda host: host.remotes(),
        [Remote(name="registry_1", url=URL, default=True), Remote(name="registry_2", url="https://10.0.0.2")],
    ),
    ("2.x/list-repos-none", lambda host: host.remotes(), []),
    ("3.x/list-repos-none", lambda host: host.remotes(), []),
]


def foreign(folder, generation):
    return ForeignAnka(folder, {"2.x": "2.5.7", "3.x": "3.8.5"}[generation])


@pytest.mark.parametrize(("name", "call", "expected"), GOOD, ids=[name for name, _, _ in GOOD])
def test_good_answers(name, call, expected, tmp_path):
    command = foreign(tmp_path, name.split("/")[0])
    command.says("*", (WIRE / f"{name}.out").read_text())
    assert expected == call(command.doors().host)


@pytest.mark.parametrize("generation", ["2.x", "3.x"])
def test_a_clone_is_told_by_a_mapping_or_by_the_bare_id(generation, tmp_path):
    command = foreign(tmp_path, generation)
    command.says("*clone*", (WIRE / generation / "clone.out").read_text())
    command.says("*show*", (WIRE / generation / "show.out").read_text())
    assert ID == command.doors().host.clone(ID, "copy").id
    assert [["clone", ID, "copy"], ["show", OTHER]] == command.calls


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("2.x/not-found", NotFoundError, "no VM or tag 'vm'"),
        ("3.x/not-found", NotFoundError, "no VM or tag 'vm'"),
        ("2.x/no-code", RefusedError, "anka show vm: 11.6 failed to pause"),
        ("3.x/no-code", RefusedError, "maximum number of running instances exceeded"),
        ("2.x/no-registry", UnreachableError, "No registry configured"),
        ("2.x/aborted", RefusedError, "connection aborted"),
        ("2.x/uuid", RefusedError, "doesn't match"),
        ("3.x/checkout", RefusedError, "failed to checkout: Input/output error"),
        ("3.x/plus", RefusedError, "400 Did not find any versions with tag a b"),
        ("3.x/unreachable", UnreachableError, "Connection refused"),
        ("3.x/fail", RefusedError, "disk is full"),
    ],
)
@pytest.mark.parametrize("status", [0, 1])
def test_failures_of_both_generations(name, error, said, status, tmp_path):
    command = foreign(tmp_path, name.split("/")[0])
    command.says("*", (WIRE / f"{name}.out").read_text(), status=status)
    with pytest.raises(error, match=said):
        command.doors().host.vm("vm")


def test_messages_that_are_known_say_what_to_do(tmp_path):
    command = ForeignAnka(tmp_path)
    command.says("*", (WIRE / "3.x" / "checkout.out").read_text(), status=1)
    with pytest.raises(RefusedError) as caught:
        command.doors().host.reset("vm")
    assert "a layer on this host is damaged: delete the VM here, and pull it again" == caught.value.hint


@pytest.mark.parametrize(("name", "code"), [("2.x/exists", 18), ("3.x/exists", 18)])
def test_a_name_that_is_taken(name, code, tmp_path):
    command = foreign(tmp_path, name.split("/")[0])
    command.says("*clone*", (WIRE / f"{name}.out").read_text(), status=code)
    with pytest.raises(RefusedError, match="a VM named copy exists on this host"):
        command.doors().host.clone("vm", "copy")


@pytest.mark.parametrize(
    ("stdout", "stderr", "status", "error", "said"),
    [
        ("", "", 1, RefusedError, "no JSON came back .status 1.\n"),
        ("", "oops\n", 4, RefusedError, "no JSON came back .status 4.: oops\n"),
        ("Usage: anka show\n", "", 0, RefusedError, "no JSON came back .status 0.: Usage: anka show\n"),
        ("[]", "", 0, RefusedError, "no JSON came back"),
        ("[" * 100_000, "", 0, RefusedError, "no JSON came back"),
        ('{"status": "OK", "body": 7}', "", 0, RefusedError, "its answer is no mapping"),
        ('{"status": "ERROR", "code": "3", "message": "gone"}', "", 1, NotFoundError, "no VM or tag"),
        ('{"status": "ERROR", "message": "403 Forbidden"}', "", 1, NotAuthorisedError, "403 Forbidden"),
        ('{"status": "ERROR", "message": "http 401"}', "", 1, NotAuthorisedError, "http 401"),
        ('{"status": "ERROR", "message": "vm 401 is running"}', "", 1, RefusedError, "vm 401 is running"),
        ('progress\n{"status": "ERROR", "message": "no"}\n\n', "", 1, RefusedError, "anka show vm: no$"),
        ('{"status": "ERROR"}', "the reason\n", 1, RefusedError, "anka show vm: the reason$"),
        ('{"status": "ERROR"}', "", 0, RefusedError, "failed without a message"),
        ('{"status": "ERROR", "message": "vm: not found"}', "", 1, NotFoundError, "no VM or tag"),
        ('{"status": "OK", "body": {}}', "", 1, RefusedError, "anka show vm"),
    ],
)
def test_noise(stdout, stderr, status, error, said, tmp_path):
    command = ForeignAnka(tmp_path)
    command.says("*", stdout, stderr, status)
    with pytest.raises(error, match=said):
        command.doors().host.vm("vm")


@pytest.mark.parametrize("body", ['"text"', "7", '{"a": 1}'])
def test_a_list_has_to_be_one(body, tmp_path):
    command = ForeignAnka(tmp_path)
    command.says("*", f'{{"status": "OK", "body": {body}}}')
    for call in (command.doors().host.vms, lambda: command.doors().host.tags("vm")):
        with pytest.raises(RefusedError, match="its answer is no list"):
            call()


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n  \n"])
def test_a_success_may_come_behind_other_lines_and_with_any_end(end, tmp_path):
    command = ForeignAnka(tmp_path)
    command.says("*", '{"progress": 3}\nnoise\n' + ok([{"uuid": "u", "name": "ü"}]) + end, "debug: {}\n")
    assert [Vm(id="u", name="ü")] == command.doors().host.vms()


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        ("", "  3% [||   ] 16:15 ETA\r 75% [|||  ] 00:05 ETA\r 75% [|||  ] 00:04 ETA\r100% [||||]\n", [0.03, 0.75, 1]),
        ("Downloading files  [#---]   25%\rDownloading files  [####]  100%\n", "", [0.25, 1]),
        ("", "900% [x\n", [1]),
        ("99 % done\n", "all 100%\n", []),
    ],
)
def test_progress_of_both_generations(stdout, stderr, expected, tmp_path):
    told = []
    command = ForeignAnka(tmp_path)
    command.says("*", stdout + ok(), stderr)
    command.doors(told).host.pull("vm", "v1", registry_url=URL)
    assert [Progress(subject="v1", done=done, total=1.0) for done in expected] == told


PASSING = (
    failed("read tcp: connection reset by peer", code=1),
    failed("no way to it", code=30),
    failed("server answered 502 Bad Gateway"),
)


@pytest.mark.parametrize("answer", PASSING)
@pytest.mark.parametrize(
    "call",
    [
        lambda host: host.pull("vm", "v1", registry_url=URL),
        lambda host: host.download_size("vm", "v1", URL),
        lambda host: host.vms(),
    ],
)
def test_what_passes_is_tried_again_where_that_is_safe(answer, call, tmp_path):
    told: list[object] = []
    command = ForeignAnka(tmp_path)
    command.says("*", answer, status=1, times=2)
    command.says("*", ok([]) if call is None else ok({}))
    doors = command.doors(told)
    start = doors.clock.now()
    call(doors.host)
    first, *others = command.calls
    assert [first, first] == others
    assert 2.5 <= doors.clock.now() - start <= 5
    assert ["warning", "warning"] == [said.level for said in told if isinstance(said, Said)]
    assert "; trying again in " in told[0].text


@pytest.mark.parametrize(
    "call",
    [
        lambda host: host.push("vm", "v1", registry_url=URL),
        lambda host: host.clone("vm", "new"),
        lambda host: host.start("vm"),
        lambda host: host.delete("vm"),
    ],
)
def test_what_may_have_been_done_is_not_tried_again(call, tmp_path):
    command = ForeignAnka(tmp_path)
    command.says("*", PASSING[0], status=1)
    with pytest.raises(RefusedError, match="connection reset by peer"):
        call(command.doors().host)
    assert 1 == len(command.calls)


@pytest.mark.parametrize(
    "answer",
    [
        failed("No registry configured", code=30),
        failed("x509: certificate signed by unknown authority: handshake failed", code=30),
        failed("v1: not found", code=3),
        failed("vm: the VM is running", code=1),
        failed("disk: 503.ank is damaged: x509 503", code=1),
        "",
    ],
)
def test_what_stays_is_not_tried_again(answer, tmp_path):
    command = ForeignAnka(tmp_path)
    command.says("*", answer, status=1)
    with pytest.raises((RefusedError, UnreachableError, NotFoundError)):
        command.doors().host.pull("vm", "502", registry_url="http://127.0.0.1:503")
    assert 1 == len(command.calls)


def test_commands_that_do_not_run(tmp_path, monkeypatch):
    missing, plain, broken = (tmp_path / name for name in ("missing", "plain", "broken"))
    plain.write_text("#!/bin/sh\n")
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    for place, said in ((missing, "is not there"), (plain, "Permission denied"), (broken, "Exec format error")):
        with pytest.raises(UsageError, match=said) as caught:
            Anka(Context(anka=(str(place),))).host.vms()
        assert "ANKA_CI_ANKA" in caught.value.hint
    with pytest.raises(RefusedError, match="anka list: it was killed by SIGKILL: dying"):
        Anka(Context(anka=("sh", "-c", "echo dying >&2; kill -9 $$"))).host.vms()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("anka_ci.host.finding.PLACES", (str(tmp_path / "elsewhere"),))
    with pytest.raises(UsageError, match="no `anka` command on this machine"):
        _ = Anka(Context()).host
    (tmp_path / "bin" / "anka").write_text("#!/bin/sh\n")
    with pytest.raises(UsageError, match="bin/anka is no program that this user may run"):
        _ = Anka(Context()).host
    (tmp_path / "elsewhere").write_text("#!/bin/sh\n")
    (tmp_path / "elsewhere").chmod(0o755)
    assert (str(tmp_path / "elsewhere"),) == Anka(Context()).host.command


def test_nothing_is_started_behind_the_deadline(tmp_path):
    command = ForeignAnka(tmp_path)
    doors = command.doors(timeout=10)
    assert isinstance(doors.clock, ManualClock)
    doors.clock.advance(11)
    with pytest.raises(FellShortError, match=r"anka .*list: not done within 10 s"):
        doors.host.vms()
    assert [] == command.calls


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["OK", "ERROR"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(row=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=4), rows=JSON)
def test_no_good_answer_is_a_surprise(row, rows):
    assert Vm.read(row).running in (True, False)
    assert DownloadSize.read(row).download >= 0
    assert all(isinstance(each.url, str) for body in (row, rows, [row]) for each in Remote.read_all(body))
    assert answers.moved(row, "bytes_sent").moved is None


@settings(max_examples=200, deadline=None)
@given(status=JSON, code=JSON, message=JSON, exit_code=st.sampled_from([0, 1, 3, 30, 125, -9, -70]))
def test_no_failure_is_a_surprise(status, code, message, exit_code):
    text = json.dumps({"status": status, "code": code, "message": message})
    done = process.Finished(argv=("anka",), status=exit_code, stdout=text, stderr="")
    found = answers.envelope(done)
    if not answers.good(done, found):
        assert isinstance(answers.error(["list"], done, found, "vm"), AnkaCiError)
        assert answers.passing(done, found) in (True, False)


def test_an_envelope_on_stderr_is_read_where_stdout_is_empty(tmp_path):
    command = ForeignAnka(tmp_path)
    command.says("*", "", "noise\n" + (WIRE / "3.x" / "not-found.out").read_text(), status=3)
    with pytest.raises(NotFoundError):
        command.doors().host.vm("vm")
