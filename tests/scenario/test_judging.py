"""Three results of a check: ok, failed, not judged; and the verdict over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from percpu_emu.explore.search import Budget
from percpu_emu.explore.strategies import Options, explore
from percpu_emu.lang.checks import GROUPS
from percpu_emu.lang.checks import Check as Label
from percpu_emu.scenario.exploration import checks_of, scope_of, verdict
from percpu_emu.scenario.judging import NO_TOTAL, STOPPED, ledger_notes
from percpu_emu.scenario.load import load
from percpu_emu.scenario.subjects import subject_of
from percpu_emu.scenario.verdict import Check, exit_code, verdict_of

pytestmark = pytest.mark.timeout(360)  # the first of them compiles the search

PROGRAMS = """
from percpu_emu.kernel.layout import STATIC
from percpu_emu.lang.ops import *

COUNTER = STATIC
SLOT = 8
NAMES = {SLOT: "slot"}


def update():
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(COUNTER, 1)
    yield mark("updated")
    yield ledger_commit()


def forgets():
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(COUNTER, 1)


def noted():
    yield ledger_add(COUNTER, 1)
    yield atomic_long_add(COUNTER, 1)


def entered():
    yield from noted()
    yield ledger_commit()


def warns():
    x = yield read_once(COUNTER)
    yield warn_on(x)


def polls():
    while (yield read_once(COUNTER)) == 0:
        yield cpu_relax()


def adds():
    yield this_cpu_add(SLOT, 1)


def takes():
    yield xchg(per_cpu(SLOT, 0), 0)


def total(counter):
    return (yield read_once(counter))
"""


def subject(folder: Path, explore_: str, *programs: str) -> Any:
    (folder / "programs.py").write_text(PROGRAMS)
    contexts = "".join(
        f"[[explore.contexts]]\nprogram = '{name}'\ncpus = [{cpu}]\n" for cpu, name in enumerate(programs)
    )
    text = f"name = 'mine'\nsummary = ''\n[machine]\ncpus = 2\n[explore]\nprograms = 'programs.py'\n{explore_}\n"
    (folder / "mine.toml").write_text(text + contexts)
    return subject_of(load(str(folder / "mine.toml")))


def results(checks: list[Check]) -> dict[str, bool | None]:
    return {check.name: check.ok for check in checks}


def test_where_all_is_covered_every_check_is_ok(tmp_path: Path) -> None:
    explored = explore(subject(tmp_path, "total = 'total'\nleft = 0", "update", "update"), Options())
    checks = checks_of(explored)
    assert set(results(checks).values()) == {True}
    assert [check.name for check in checks] == ["memory", "program", "sections", "progress", "counts", "leak"]
    assert "0 areas and objects" in checks[-1].detail
    assert verdict(explored, checks) == "pass"


def test_after_a_violation_the_others_are_not_judged(tmp_path: Path) -> None:
    explored = explore(subject(tmp_path, "total = 'total'\nsometimes = ['updated']", "update", "warns"), Options())
    checks = checks_of(explored)
    assert results(checks)["program"] is False
    assert {check.detail for check in checks if check.ok is None and check.name != "marks"} == {STOPPED}
    assert [check.name for check in checks if check.ok] in ([], ["marks"])
    assert verdict(explored, checks) == "fail"


@pytest.mark.parametrize("options", [Options(budget=Budget(states=1)), Options(strategy="random", schedules=5)])
def test_a_search_that_does_not_cover_everything_finds_no_check_ok(tmp_path: Path, options: Options) -> None:
    explored = explore(subject(tmp_path, "total = 'total'", "update", "update"), options)
    checks = checks_of(explored)
    assert set(results(checks).values()) == {None}
    assert all(check.detail.endswith("without a violation, not all") for check in checks)
    assert verdict(explored, checks) == "inconclusive"


def test_a_mark_that_is_never_reached_leaves_it_open(tmp_path: Path) -> None:
    explored = explore(subject(tmp_path, "sometimes = ['updated']", "warns", "warns"), Options())
    checks = checks_of(explored)
    assert checks[-1] == Check("marks", None, "never reached: updated")
    assert verdict(explored, checks) == "inconclusive"


def test_a_ledger_without_total_is_reported_and_not_judged(tmp_path: Path) -> None:
    explored = explore(subject(tmp_path, "", "update", "update"), Options())
    checks = checks_of(explored)
    assert [check for check in checks if check.ok is None] == [Check("counts", None, NO_TOTAL, needed=False)]
    assert verdict(explored, checks) == "pass"
    without = explore(subject(tmp_path, "", "warns", "warns"), Options())
    assert "counts" not in results(checks_of(without))


def test_updates_that_never_enter_the_ledger_are_noted(tmp_path: Path) -> None:
    assert ledger_notes(subject(tmp_path, "total = 'total'", "update", "entered")) == []
    [note] = ledger_notes(subject(tmp_path, "total = 'total'", "forgets", "update"))
    assert note.startswith("forgets has ledger_add and no ledger_commit")


def test_every_check_belongs_to_a_line() -> None:
    assert {label.group for label in Label} == set(GROUPS)


OK, FAILED, OPEN, ASIDE = (
    Check("a", True, ""), Check("b", False, ""), Check("c", None, ""), Check("d", None, "", needed=False)
)  # fmt: skip


CASES: list[tuple[list[Check], str | None, str, int]] = [
    ([OK], None, "pass", 0),
    ([OK, ASIDE], None, "pass", 0),
    ([OK, FAILED, OPEN], None, "fail", 1),
    ([OK, FAILED], "cut", "fail", 1),
    ([OK], "cut", "inconclusive", 4),
    ([OK, OPEN], None, "inconclusive", 4),
    ([ASIDE], None, "inconclusive", 4),
    ([], None, "inconclusive", 4),
]


@pytest.mark.parametrize(("checks", "cut_short", "verdict", "code"), CASES)
def test_the_verdict_and_its_exit_code(checks: list[Check], cut_short: str | None, verdict: Any, code: int) -> None:
    assert verdict_of(checks, cut_short) == verdict
    assert exit_code(verdict) == code
    assert exit_code(verdict, as_expected=True) == 0
    assert exit_code(verdict, as_expected=False) == 1


def test_the_scope_says_what_confirms_a_verdict_and_what_it_is_under(tmp_path: Path) -> None:
    explored = explore(subject(tmp_path, "total = 'total'", "update", "update"), Options())
    scope = scope_of(explored)
    assert scope["confirmed"].startswith("the search without reduction agrees, in ")
    assert "scheduler" not in scope
    assert "remote_words" not in scope
    spins = scope_of(explore(subject(tmp_path, "", "polls", "update"), Options()))
    assert spins["scheduler"].startswith("fair: ")
    taken = scope_of(explore(subject(tmp_path, "", "adds", "takes"), Options()))
    assert taken["remote_words"] == ["slot of CPU 0"]
