"""Two reports side by side: what is worse, what differs, and what is no report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percpu_emu.report.compare import NotComparable, compared, read_report
from percpu_emu.report.result import Report, ReportedCheck, ReportedCounterexample, ReportedError

NAMES = ("a.json", "b.json")
VERDICTS = ["fail", "inconclusive", "pass"]


def report(verdict: str = "pass", checks: dict[str, bool | None] | None = None, **fields: Any) -> Report:
    reported = [ReportedCheck(name=name, ok=ok, detail=f"{name} it is") for name, ok in (checks or {}).items()]
    whole: dict[str, Any] = {"command": "explore", "subject": "mine", "scope": {}, **fields}
    return Report(verdict=verdict, checks=reported, **whole)  # type: ignore[arg-type]


def results(before: Report, after: Report) -> dict[str, bool | None]:
    return {check.name: check.ok for check in compared(before, after, NAMES).checks}


@pytest.mark.parametrize("before", VERDICTS)
@pytest.mark.parametrize("after", VERDICTS)
def test_a_verdict_that_got_worse_is_a_failure(before: str, after: str) -> None:
    found = compared(report(before), report(after), NAMES)
    assert found.verdict == ("fail" if VERDICTS.index(after) < VERDICTS.index(before) else "pass")
    assert found.checks[0].detail == (f"{before}, as before" if before == after else f"{before} -> {after}")


@pytest.mark.parametrize(
    ("before", "after", "ok"),
    [(True, False, False), (True, None, None), (False, True, True), (None, True, True), (None, False, None)],
)
def test_a_check_that_was_ok_and_fails_is_a_failure(before: bool | None, after: bool | None, ok: bool | None) -> None:
    assert results(report("fail", {"counts": before}), report("fail", {"counts": after})) == {
        "verdict": True,
        "counts": ok,
    }
    expected = "fail" if ok is False else "pass"
    assert compared(report("fail", {"x": before}), report("fail", {"x": after}), NAMES).verdict == expected


def test_what_broke_is_said_before_what_is_not_judged_and_what_is_mended() -> None:
    before = report("fail", {"mended": False, "unclear": True, "same": True, "broken": True})
    after = report("fail", {"mended": True, "unclear": None, "same": True, "broken": False})
    found = compared(before, after, NAMES)
    assert [check.name for check in found.checks] == ["verdict", "broken", "unclear", "mended"]
    assert found.checks[1].detail == "ok -> FAILED: broken it is"
    assert found.notes == ["1 other check as before"]


def test_checks_that_only_one_report_has_are_not_judged() -> None:
    found = compared(report(checks={"gone": True}), report(checks={"new": False}), NAMES)
    assert {check.name: (check.ok, check.detail.split(":")[0]) for check in found.checks[1:]} == {
        "gone": (None, "ok -> absent"),
        "new": (None, "absent -> FAILED"),
    }


def test_checks_of_the_same_name_are_compared_in_their_order() -> None:
    twice = report(checks={"a": True})
    both = twice.model_copy(update={"checks": [*twice.checks, ReportedCheck(name="a", ok=False, detail="")]})
    assert results(both, twice.model_copy(update={"checks": [*twice.checks] * 2})) == {"verdict": True, "a no. 2": True}


@pytest.mark.parametrize(
    ("before", "after", "verdict", "ok"),
    [
        (True, False, "pass", False),
        (True, None, "inconclusive", False),
        (True, None, "pass", None),
        (False, True, "fail", True),
        (None, False, "fail", False),
    ],
)
def test_an_expected_failure_that_is_not_found_any_more_is_a_failure(
    before: bool | None, after: bool | None, verdict: str, ok: bool | None
) -> None:
    found = results(report("fail", as_expected=before), report(verdict, as_expected=after))
    assert found == {"verdict": True, "expectation": ok}


def test_a_report_of_an_error_says_it() -> None:
    failed = report("inconclusive", error=ReportedError(kind="interrupted", message="interrupted: all is ended"))
    assert compared(report(), failed, NAMES).checks[0].detail == "pass -> inconclusive: interrupted: all is ended"


@pytest.mark.parametrize("other", [{"command": "run"}, {"subject": "yours"}])
def test_reports_of_something_else_are_refused(other: dict[str, str]) -> None:
    with pytest.raises(NotComparable, match=r"^not comparable: a\.json is of explore mine, b\.json of (run|explore)"):
        compared(report(), report(**other), NAMES)


def test_scopes_that_differ_are_said() -> None:
    before, after = report(scope={"cpus": 2, "memory": "sc"}, seed=1), report(scope={"cpus": 3, "memory": "sc"}, seed=2)
    assert compared(before, after, NAMES).scope["differs"] == {
        "cpus": {"before": 2, "after": 3},
        "seed": {"before": 1, "after": 2},
    }


def test_figures_that_changed_have_a_ratio_where_they_are_numbers() -> None:
    before = report(figures={"states": 100, "same": 3, "zero": 0, "on": False, "per": {"x": 2.0}, "gone": 1})
    after = report(figures={"states": 250, "same": 3, "zero": 4, "on": True, "per": {"x": 1.0}}, seconds=2.0)
    ratios = {name: row["ratio"] for name, row in compared(before, after, NAMES).figures.items()}
    assert ratios == {"seconds": None, "states": 2.5, "zero": None, "on": None, "per.x": 0.5, "gone": None}


@pytest.mark.parametrize(("before", "after"), [(10**400, 1.5), (1.5, 10**400), (1e-300, 1e300), (False, 2), (2, True)])
def test_where_no_ratio_is_a_number_there_is_none(before: float, after: float) -> None:
    found = compared(report(figures={"x": before}), report(figures={"x": after}), NAMES)
    assert found.figures == {"x": {"before": before, "after": after, "ratio": None}}


def test_rows_of_a_table_are_compared_by_their_names() -> None:
    before = report(figures={"protocols": [{"name": "a", "states": 1}, {"name": "b", "states": 2}]})
    after = report(figures={"protocols": [{"name": "b", "states": 4}, {"name": "a", "states": 1}]})
    assert compared(before, after, NAMES).figures == {"protocols.b.states": {"before": 2, "after": 4, "ratio": 2.0}}
    unnamed = [report(figures={"rows": [{"n": number}, {"n": 7}]}) for number in (1, 2)]
    assert compared(unnamed[0], unnamed[1], NAMES).figures.keys() == {"rows.0.n"}


def test_tokens_are_compared() -> None:
    examples = [
        ReportedCounterexample(check="leak", token=token, preemptions=1, steps=9, columns=token, story=[])
        for token in ("mine:0.aaaa", "mine:1.aaaa")
    ]
    before, after = (report("fail", counterexample=example) for example in examples)
    assert compared(before, after, NAMES).figures == {
        "counterexample.token": {"before": "mine:0.aaaa", "after": "mine:1.aaaa", "ratio": None}
    }
    assert "the same counterexample: mine:0.aaaa" in compared(before, before, NAMES).notes


# --- files that are damaged or foreign

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)
REPORTS = st.builds(
    report,
    st.sampled_from(VERDICTS),
    st.dictionaries(st.text(), st.none() | st.booleans(), max_size=4),
    scope=OBJECTS,
    figures=OBJECTS,
    reduction=st.none() | OBJECTS,
    seed=st.none() | st.integers(),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_report_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(NotComparable, match=r"\Aa\.json holds no report of --json: .+\Z") as refused:
        read_report(data, "a.json")
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'{"command": "\\ud800"}'],
    ids=["empty", "no keys", "bytes", "deep list", "deep object", "long number", "half a character"],
)
def test_hostile_files_are_refused(data: bytes) -> None:
    with pytest.raises(NotComparable, match=r"^a\.json holds no report of --json: "):
        read_report(data, "a.json")


def read_or_refusal(data: bytes) -> Report | str:
    try:
        return read_report(data, "a.json")
    except NotComparable as refused:
        return str(refused)


@given(REPORTS, st.data())
def test_a_damaged_report_is_refused_or_read(whole: Report, data: st.DataObject) -> None:
    text = bytearray(whole.model_dump_json().encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.integers(0, 255))
    for damaged in (bytes(text), bytes(text[:at])):
        found = read_or_refusal(damaged)
        if isinstance(found, Report):
            assert compared(found, found, NAMES).verdict == "pass"
        else:
            assert len(found.splitlines()) == 1


@given(REPORTS, REPORTS)
def test_any_two_reports_are_compared_and_one_with_itself_differs_in_nothing(before: Report, after: Report) -> None:
    found = compared(before, after, NAMES)
    assert read_report(found.model_dump_json().encode(), "c.json").verdict == found.verdict
    same = compared(before, before, NAMES)
    assert (same.verdict, len(same.checks), same.figures, same.scope["differs"]) == ("pass", 1, {}, {})
