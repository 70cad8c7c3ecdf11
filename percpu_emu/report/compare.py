"""Two reports of one command on one subject, side by side: what differs, and whether anything got worse."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from percpu_emu.report.result import Report, ReportedCheck, reported
from percpu_emu.scenario.verdict import RESULTS, Check, Verdict, verdict_of
from percpu_emu.scenario.wording import plural

_RANKS: Final[dict[Verdict, int]] = {"fail": 0, "inconclusive": 1, "pass": 2}
_BROKEN: Final = [RESULTS[True], RESULTS[False]]
_ABSENT: Final = "absent"
_NAMES: Final = ("name", "result")
"""The keys that say which row a row of a list is."""
_MESSAGE: Final = 200
"""Characters of what is wrong with a file: it may quote the file."""


class NotComparable(ValueError):
    """A file holds no report, or the two reports are not of the same command and subject."""


def read_report(data: bytes, name: str) -> Report:
    """The report in a file of that name. Raises NotComparable where it holds none."""
    try:
        return Report.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        said = " ".join(f"{where}: {first['msg']}".removeprefix(": ").split())
        raise NotComparable(f"{name} holds no report of --json: {said[:_MESSAGE]}") from None


def compared(before: Report, after: Report, names: tuple[str, str], seconds: float = 0.0) -> Report:
    """The report of the comparison of two reports, read from files of those names. Raises NotComparable."""
    of = [f"{report.command} {report.subject}".rstrip() for report in (before, after)]
    if (before.command, before.subject) != (after.command, after.subject):
        raise NotComparable(f"not comparable: {names[0]} is of {of[0]}, {names[1]} of {of[1]}")
    changed = sorted(_changed_checks(before, after), key=lambda check: (check.ok is not False, check.ok is True))
    checks = [_of_verdict(before, after), *_of_expectation(before, after), *changed]
    scopes = ({**report.scope, "seed": report.seed} for report in (before, after))
    return Report(
        command="compare",
        subject=before.subject,
        verdict=verdict_of(checks, None),
        scope={"of": of[0], "before": names[0], "after": names[1], "differs": _differences(*scopes)},
        checks=reported(checks),
        figures=_with_ratios(_differences(_figures(before), _figures(after))),
        notes=list(_notes(before, after, len(changed))),
        seconds=round(seconds, 3),
    )


# --- what is judged


def _of_verdict(before: Report, after: Report) -> Check:
    worse = _RANKS[after.verdict] < _RANKS[before.verdict]
    why = f": {after.error.message}" if after.error else ""
    return Check("verdict", not worse, f"{_step(before.verdict, after.verdict)}{why}")


def _of_expectation(before: Report, after: Report) -> Iterator[Check]:
    """Whether the failure that the scenario expects is still the one that is found, where either report says."""
    if before.as_expected == after.as_expected:
        return
    said = [report.expectation or "no failure is expected" for report in (before, after)]
    lost = before.as_expected and (after.as_expected is False or after.verdict != "pass")
    yield Check("expectation", False if lost else after.as_expected, _step(*said), needed=False)


def _changed_checks(before: Report, after: Report) -> Iterator[Check]:
    """The checks whose result changed, and those that only one report has.

    One that was ok and fails is failed, one that is ok now is ok; of the others the verdict says whether that is worse.
    """
    old, new = _by_name(before), _by_name(after)
    for name in {**old, **new}:
        was, now = old.get(name), new.get(name)
        results = [RESULTS[check.ok] if check else _ABSENT for check in (was, now)]
        if results[0] != results[1]:
            detail = f": {now.detail}" if now and now.detail else ""
            ok = True if results[1] == RESULTS[True] else False if results == _BROKEN else None
            yield Check(name, ok, f"{_step(*results)}{detail}", needed=False)


def _by_name(report: Report) -> dict[str, ReportedCheck]:
    """The checks by name; one whose name comes again has a number, too."""
    seen: Counter[str] = Counter()
    found = {}
    for check in report.checks:
        seen[check.name] += 1
        times = seen[check.name]
        found[check.name if times == 1 else f"{check.name} no. {times}"] = check
    return found


def _step(before: str, after: str) -> str:
    return f"{before}, as before" if before == after else f"{before} -> {after}"


# --- what is shown


def _notes(before: Report, after: Report, changed: int) -> Iterator[str]:
    if not changed:
        yield f"every check is as before: {len(after.checks)}"
    elif same := len(_by_name(before).keys() | _by_name(after).keys()) - changed:
        yield f"{plural(same, 'other check')} as before"
    old, new = before.counterexample, after.counterexample
    if old and new and old.token == new.token:
        yield f"the same counterexample: {new.token}"


def _figures(report: Report) -> dict[str, Any]:
    """Everything that is counted or found, and the token of what goes wrong."""
    example = report.counterexample
    found = example.model_dump(include={"check", "token", "preemptions", "steps"}) if example else None
    figures = {"seconds": report.seconds, **report.figures}
    return {**figures, "reduction": report.reduction, "counterexample": found}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What differs, by name. A value that is absent is null."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    pairs = ((name, old.get(name), new.get(name)) for name in {**old, **new})
    return {name: {"before": was, "after": now} for name, was, now in pairs if was != now}


def _with_ratios(differences: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Differences with how many times the earlier number the later one is."""
    return {name: {**row, "ratio": _ratio(row["before"], row["after"])} for name, row in differences.items()}


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values inside, by a path of keys; a list of rows is a table, any other list is one value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        yield from _leaves(_rows(value), name)
    else:
        yield name, value


def _rows(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows by what names them, or by number where nothing tells all of them apart."""
    for key in _NAMES:
        names = [str(row[key]) for row in rows if key in row]
        if len({*names}) == len(rows):
            return dict(zip(names, rows, strict=True))
    return {str(number): row for number, row in enumerate(rows)}


def _ratio(before: Any, after: Any) -> float | None:
    """The later number by the earlier one; None where that is no number."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, after)):
        return None
    try:
        ratio = after / before
    except (ZeroDivisionError, OverflowError):
        return None
    return round(ratio, 3) if math.isfinite(ratio) else None
