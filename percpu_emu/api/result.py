"""The result of a call of the API."""

from __future__ import annotations

import html as escaping
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from percpu_emu.api.counterexample import Counterexample
from percpu_emu.scenario.verdict import RESULTS, Verdict, exit_code

if TYPE_CHECKING:
    from percpu_emu.explore import counterexample as explored
    from percpu_emu.report.result import Report


class Check(NamedTuple):
    """One property and its result."""

    name: str
    ok: bool | None
    """None: not judged, for the reason in `detail`."""
    detail: str


class ScenarioFailed(AssertionError):
    """A scenario failed, or nothing is proved. The message says which, and how."""

    def __init__(self, result: Result) -> None:
        super().__init__(str(result))
        self.result = result


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """What came of an exploration, a run or a replay. It does not change."""

    _report: Report
    counterexample: Counterexample | None = None
    """A schedule that breaks a check; None where none was found."""

    @property
    def name(self) -> str:
        """The scenario."""
        return self._report.subject

    @property
    def verdict(self) -> Verdict:
        """Pass only where every check that a pass needs was judged and holds."""
        return self._report.verdict

    @property
    def as_expected(self) -> bool | None:
        """Whether the check that failed is the one that the scenario expects; None where it expects none."""
        return self._report.as_expected

    @property
    def ok(self) -> bool:
        """A pass, or exactly the failure that the scenario expects: exit code 0 on the command line."""
        return exit_code(self.verdict, self.as_expected) == 0

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every property that was looked at."""
        return tuple(Check(check.name, check.ok, check.detail) for check in self._report.checks)

    @property
    def scope(self) -> Mapping[str, Any]:
        """What was and was not controlled, and how far it got."""
        return MappingProxyType(self._report.scope)

    @property
    def figures(self) -> Mapping[str, Any]:
        """Numbers, such as states and steps."""
        return MappingProxyType(self._report.figures)

    @property
    def notes(self) -> tuple[str, ...]:
        """What else there is to know, such as why a search is not complete."""
        return tuple(self._report.notes)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self._report.seconds

    def to_dict(self) -> dict[str, Any]:
        """The object that the command line prints with `--json`."""
        return self._report.model_dump(mode="json")

    def raise_for_verdict(self) -> None:
        """Raise ScenarioFailed unless the result is ok."""
        __tracebackhide__ = True  # pytest shows the line that calls it
        if not self.ok:
            raise ScenarioFailed(self)

    def __str__(self) -> str:
        return "\n".join(self._lines(self.counterexample))

    def __repr__(self) -> str:
        return f"<Result {self._headline()}>"

    def _repr_html_(self) -> str:
        """For notebooks: the lines, and the counterexample as a page to step through."""
        text = escaping.escape("\n".join(self._lines(None)))
        return f"<pre>{text}</pre>{self.counterexample._repr_html_() if self.counterexample else ''}"

    def _headline(self) -> str:
        return f"{self.name}: {': '.join([self.verdict, *self._reasons()][:2])}"

    def _reasons(self) -> Iterator[str]:
        """Why it is so, the most important first."""
        if self._report.expectation:
            yield self._report.expectation
        yield from (check.detail for check in self.checks if check.ok is False)
        if self.verdict == "inconclusive":
            yield from self.notes
            yield from (check.detail for check in self.checks if check.ok is None)

    def _lines(self, counterexample: Counterexample | None) -> Iterator[str]:
        yield self._headline()
        if counterexample is not None:
            yield f"\n{counterexample}\n"
        yield from (f"{RESULTS[check.ok]}: {check.name}: {check.detail}" for check in self.checks)
        yield from (f"note: {note}" for note in self.notes)


def result_of(report: Report, example: explored.Counterexample | None) -> Result:
    """The result that a report is about, with the counterexample that is in it."""
    if example is None or report.counterexample is None:
        return Result(report)
    told = report.counterexample
    shown = Counterexample(told.check, told.token, told.preemptions, told.steps, tuple(told.story), example.trace)
    return Result(report, shown)
