"""Progress where no terminal is: few lines that a person reads, and what is kept for the result."""

from __future__ import annotations

from anka_ci.clock import ManualClock
from anka_ci.console import Console
from anka_ci.progress import MOST_SAID, Progress
from anka_ci.result import NodeChanged, Printed, Said, StepBegan, StepEnded, StepResult
from anka_ci.result import Progress as Far


class Folds:
    """A CI system that folds its log, as it is told to."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def open(self, title: str) -> None:
        self.told.append(f"open {title}")

    def close(self) -> None:
        self.told.append("close")


def test_off_a_terminal_progress_is_rare_and_a_node_tells_its_changes(capsys):
    clock = ManualClock()
    tell = Progress(Console({}), clock)
    for percent in range(101):
        tell(Far(subject="v1", done=percent / 100, total=1.0))
        clock.advance(1)
    for state in ("pulling", "pulling", "done", "done"):
        tell(NodeChanged(node="node-1", state=state))
    tell(NodeChanged(node="node-2", state="failed", reason="disk full"))
    told = capsys.readouterr()
    lines = ["  v1: 30 %", "  v1: 60 %", "  v1: 90 %"]
    lines += ["  node-1: pulling", "  node-1: done", "  node-2: failed (disk full)"]
    assert ("", lines) == (told.out, told.err.splitlines())


def test_quiet_tells_warnings_and_the_end_of_a_script_that_failed(capsys):
    tell = Progress(Console({}), ManualClock(), quiet=True)
    tell(Said(text="all is well"))
    tell(Said(text="look out", level="warning"))
    tell(NodeChanged(node="node-1", state="done"))
    tell(Printed(text="boom", stream="stderr"))
    failed = StepResult(id="x", step="run", status="failed", seconds=2, error={"message": "it failed"})
    tell(StepEnded(result=failed, number=1, total=1))
    assert ["look out", "boom", "[1/1] x failed in 2.0 s: it failed"] == capsys.readouterr().err.splitlines()


def fleet(tell, clock, count, failing=()):
    """A distribution to many nodes, as a wait tells it: a look every five seconds, a twentieth of the nodes in each."""
    names = [f"node-{number}" for number in range(count)]
    tell(Far(subject="v1", done=0, total=count, unit="nodes"))
    for name in names:
        tell(NodeChanged(node=name, state="queued"))
    for look in range(20):
        clock.advance(5)
        for name in names[count * look // 20 : count * (look + 1) // 20]:
            tell(NodeChanged(node=name, state="pulling"))
            tell(Far(subject="v1", done=0.5, total=1.0, node=name))
        for name in names[count * (look - 1) // 20 if look else 0 : count * look // 20]:
            tell(NodeChanged(node=name, state="failed" if name in failing else "done", reason="disk full"))
        tell(Far(subject="v1", done=count * look // 20, total=count, unit="nodes"))


def test_of_many_nodes_few_lines_tell_how_many_are_where_and_each_failure(capsys):
    clock = ManualClock()
    fleet(Progress(Console({}), clock), clock, 2000, failing={"node-7", "node-900"})
    lines = capsys.readouterr().err.splitlines()
    tallies = [line for line in lines if "2000 nodes" in line]
    alone = [line for line in lines if line not in tallies]
    assert ["  node-7: failed (disk full)", "  node-900: failed (disk full)"] == alone
    assert 9 <= len(tallies) <= 14
    assert "  v1: 0 of 2000 nodes ended (100 pulling, 1900 queued)" == tallies[0]
    assert "  v1: 200 of 2000 nodes ended (199 done, 1 failed, 100 pulling, 1700 queued)" in tallies
    assert tallies == sorted(tallies, key=lambda line: int(line.split()[1]))


def test_with_debug_every_change_of_many_nodes_is_told(capsys):
    clock = ManualClock()
    fleet(Progress(Console({}), clock, verbose=True), clock, 40)
    lines = capsys.readouterr().err.splitlines()
    assert {"  node-39: queued", "  node-37: done (disk full)"} <= set(lines)


def test_of_few_nodes_one_line_tells_how_far_all_are(capsys):
    clock = ManualClock()
    tell = Progress(Console({}), clock)
    tell(Far(subject="v1", done=0, total=2, unit="nodes"))
    for second in range(61):
        for node in ("a", "b"):
            tell(Far(subject="v1", done=second / 100, total=1.0, node=node))
        clock.advance(1)
    tell(NodeChanged(node="a", state="done"))
    assert ["  a 30%, b 29%", "  a 60%, b 59%", "  a: done"] == capsys.readouterr().err.splitlines()


def test_warnings_and_notices_are_kept_once_for_the_result_and_a_fault_is_not(capsys):
    tell = Progress(Console({}), ManualClock(), quiet=True)
    for _ in range(2):
        tell(Said(text="look out", level="warning"))
    tell(StepBegan(id="give", step="distribute", number=1, total=1))
    tell(Said(text="following", level="notice"))
    tell(Said(text="by the way"))
    tell(Said(text="Traceback", level="fault"))
    assert [
        {"step": "", "level": "warning", "text": "look out"},
        {"step": "give", "level": "notice", "text": "following"},
    ] == tell.said
    assert ["look out", "look out", "Traceback"] == capsys.readouterr().err.splitlines()
    for number in range(2 * MOST_SAID):
        tell(Said(text=str(number), level="warning"))
    assert MOST_SAID == len(tell.said)


def test_a_step_is_folded_when_it_prints_and_its_end_stands_outside(capsys):
    console = Console({})
    console.groups = folds = Folds()
    tell = Progress(console, ManualClock())
    for number, id in enumerate(("silent", "loud"), 1):
        tell(StepBegan(id=id, step="run", number=number, total=2))
        if id == "loud":
            tell(Printed(text="boom", stream="stdout"))
            folds.told.append("boom")
        tell(StepEnded(result=StepResult(id=id, step="run", status="done"), number=number, total=2))
        folds.told.append(f"ended {id}")
    assert ["open [2/2] loud (run)", "boom", "close", "ended loud"] == folds.told[-4:]
    assert [] == [each for each in folds.told if "silent (" in each]
    assert ["[1/2] silent done in 0.0 s", "boom", "[2/2] loud done in 0.0 s"] == capsys.readouterr().err.splitlines()
