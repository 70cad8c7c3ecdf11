"""A run as one HTML file: verdict, scope, plots, checks, figures, notes. It loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from percpu_emu import __version__
from percpu_emu.report.manual.markdown import upper_first
from percpu_emu.report.manual.verdict import MEANS
from percpu_emu.report.markup import Element, make, rendered
from percpu_emu.report.one_file import filled, page_file
from percpu_emu.report.run_figures import figures_table, memory_tables, outcomes_table, plots
from percpu_emu.scenario.verdict import RESULTS
from percpu_emu.scenario.wording import plural

if TYPE_CHECKING:
    from percpu_emu.report.result import Report, ReportedCheck, ReportedCounterexample
    from percpu_emu.report.run_series import RunSeries

_STYLES: Final = ("base.css", "run.css")
_CLASSES: Final = {True: "ok", False: "failed", None: "open"}
"""Of the style sheet."""
"""A result in words, and the class of its mark."""
_SCOPE: Final = {
    "engine": "Engine",
    "cpus": "CPUs",
    "nodes": "NUMA nodes",
    "kernel": "Kernel",
    "contexts": "Contexts",
    "constants": "Constants",
    "recorded": "Recorded",
    "controlled": "Controlled",
    "faults": "Faults",
    "interrupts": "Interrupts",
    "not_controlled": "Not controlled",
}
"""The words for keys of a scope; the parameters of a torture keep their names."""


def page(report: Report, series: RunSeries, *, summary: str, command: str) -> str:
    """The whole file, of a run of the scenario with that summary, by that command."""
    sections = [
        _head(report, summary),
        _verdict(report, command),
        *([_counterexample(report.counterexample)] if report.counterexample else []),
        *_section("Over time", *plots(series)),
        *_section("Outcomes", *outcomes_table(report.figures)),
        *_section("Memory", *memory_tables(report.figures)),
        *_section("Checks", *([_checks(report.checks)] if report.checks else [])),
        *_section("Figures", *figures_table(report.figures)),
        *_section("Scope", _scope(report.scope)),
        *_section("Notes", *_notes(report.notes)),
        make("footer", f"percpu-emu {__version__} ", make("code", report.file)),
    ]
    parts = {
        "TITLE": rendered(make("title", f"{report.subject}: {report.verdict}")),
        "STYLE": "".join(map(page_file, _STYLES)),
        "BODY": rendered(make("main", *sections)),
    }
    return filled("run.html", parts)


def _section(title: str, *content: Element) -> Iterator[Element]:
    """A section, where it has content."""
    if content:
        kind = title.lower().replace(" ", "-")
        yield make("section", make("h2", title), make("div", *content, class_="content"), id=kind)


def _head(report: Report, summary: str) -> Element:
    return make("header", make("h1", report.subject), make("p", summary))


def _verdict(report: Report, command: str) -> Element:
    word = make("strong", report.verdict, class_=f"verdict {report.verdict}")
    said = [
        make("p", word, f" in {report.seconds:.2f} s"),
        make("p", f"{upper_first(MEANS[report.verdict])}. {_scope_in_words(report.scope)}"),
    ]
    if report.expectation:
        said.append(make("p", f"{upper_first(report.expectation)}.", class_="expectation"))
    again = make("p", "The command that makes this page again:")
    return make("section", *said, again, make("pre", command), id="verdict", class_=_tone(report))


def _scope_in_words(scope: dict[str, Any]) -> str:
    machine = f"{plural(scope['cpus'], 'CPU')}, {plural(scope['nodes'], 'NUMA node')}, kernel {scope['kernel']}"
    return f"The verdict is for what this run did, on {machine}."


def _tone(report: Report) -> str:
    """As which verdict the section is coloured: a failure that is expected is as good as a pass."""
    return report.verdict if report.as_expected is None else "pass" if report.as_expected else "fail"


def _counterexample(example: ReportedCounterexample) -> Element:
    content = make(
        "div",
        make("pre", example.columns),
        make("ol", *[make("li", sentence) for sentence in example.story]),
        make("p", "The command that replays it, step by step:"),
        make("pre", example.replay),
        class_="content",
    )
    return make("section", make("h2", f"Counterexample: {example.check}"), content, id="counterexample")


def _checks(checks: list[ReportedCheck]) -> Element:
    rows = []
    for check in checks:
        word, kind = RESULTS[check.ok], _CLASSES[check.ok]
        mark = make("td", word, class_=f"result {kind}")
        rows.append(make("tr", mark, make("th", check.name, scope="row"), make("td", check.detail)))
    return make("table", make("tbody", *rows))


def _notes(notes: list[str]) -> list[Element]:
    return [make("ul", *[make("li", note) for note in notes])] if notes else []


def _scope(scope: dict[str, Any]) -> Element:
    """What the verdict is for: what was controlled, and what was not."""
    entries = [(key, value) for key, value in scope.items() if value not in ([], {}, "")]
    terms = [(make("dt", _SCOPE[key] if key in _SCOPE else make("code", key)), *_said(value)) for key, value in entries]
    return make("dl", *[element for pair in terms for element in pair])


def _said(value: Any) -> list[Element]:
    if isinstance(value, dict):
        return [make("dd", f"{name} = {one}") for name, one in value.items()]
    return [make("dd", str(one)) for one in (value if isinstance(value, list) else [value])]
