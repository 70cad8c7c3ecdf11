"""The numbers of a run as elements of its page: plots over time, memory and outcomes as bars, every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.report.manual.markdown import upper_first
from percpu_emu.report.markup import Element, make, with_code
from percpu_emu.report.plots import Line, bar, histogram, lines
from percpu_emu.report.tables import number_text
from percpu_emu.scenario.figure_table import OF_A_RUN

if TYPE_CHECKING:
    from percpu_emu.report.run_series import RunSeries

_MEMORY: Final = {"percpu_kb": "Percpu", "slab_kb": "Slab"}
_TOO_SHORT: Final = "The run was too short for a plot."


def plots(series: RunSeries) -> Iterator[Element]:
    """Rates of everything that was counted, and a histogram of grace periods for each part that has any."""
    counted = series.counted()
    for name in counted:
        rates = [Line(part.name, found) for part in series.parts if (found := part.rates(name))]
        title = f"{upper_first(name)} a second"
        yield lines(title, "a second", rates) if rates else make("p", f"{title}: {_TOO_SHORT}")
    for part in series.parts:
        if part.latencies:
            of = f", {part.name}" if len(series.parts) > 1 else ""
            yield histogram(f"Grace periods by length{of}", part.latencies, "grace periods")


def memory_tables(figures: Mapping[str, Any]) -> Iterator[Element]:
    """Percpu and Slab at each reading of each part, a table each."""
    parts = _by_part(figures)
    readings = [
        (f"{part}: {name}" if len(parts) > 1 else name, reading)
        for part, found in parts.items()
        for name, reading in found.items()
        if isinstance(reading, dict)
    ]
    for key, title in _MEMORY.items() if readings else ():
        most = max(reading[key] for _, reading in readings)
        rows = [_bar_row(name, reading[key], most, f"{number_text(reading[key])} kB") for name, reading in readings]
        yield make("figure", make("figcaption", title), make("table", make("tbody", *rows), class_="bars"))


def outcomes_table(figures: Mapping[str, Any]) -> Iterator[Element]:
    """What came out of rounds, a bar each; nothing where nothing was observed."""
    rows = figures.get("outcomes")
    if not rows:
        return
    head = [make("th", name) for name in ("result", "", "samples", "share", "expected", "how it comes about")]
    most = max(row["samples"] for row in rows)
    body = []
    for row in rows:
        kind = row["expect"] if row["samples"] else "never"
        share = make("td", f"{row['share']:.2%}", class_="number")
        more = [share, make("td", row["expect"], class_=f"expect {kind}"), make("td", row["explain"])]
        body.append(_bar_row(row["result"], row["samples"], most, number_text(row["samples"]), *more, kind=kind))
    yield make("table", make("thead", make("tr", *head)), make("tbody", *body), class_="bars outcomes")


def _bar_row(name: str, value: float, most: float, said: str, *more: Element, kind: str = "") -> Element:
    cells = [make("td", bar(value, most, kind), class_="bar"), make("td", said, class_="number"), *more]
    return make("tr", make("th", name, scope="row"), *cells)


def figures_table(figures: Mapping[str, Any]) -> Iterator[Element]:
    """Every figure, a column for each part, and what it counts."""
    by_part = {part: dict(_flat(found)) for part, found in _by_part(figures).items()}
    names = list(dict.fromkeys(name for found in by_part.values() for name in found))
    if not names:
        return
    head = [make("th", part, class_="number", scope="col") for part in ("figure", *by_part, "what it counts")]
    head[0].set("class", "")
    head[-1].set("class", "")
    rows = []
    for name in names:
        numbers = [_number_cell(found.get(name)) for found in by_part.values()]
        meaning = upper_first(OF_A_RUN[name.rpartition(": ")[2]])
        rows.append(make("tr", make("th", make("code", name), scope="row"), *numbers, make("td", *with_code(meaning))))
    yield make("table", make("thead", make("tr", *head)), make("tbody", *rows))


def _by_part(figures: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The figures by protocol; by no name where a run has only one part."""
    return figures if all(isinstance(found, dict) for found in figures.values()) else {"": figures}


def _flat(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values; those of a reading begin with its name. Outcomes have a table of their own."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from ((f"{name}: {key}", number) for key, number in value.items())
        elif name != "outcomes":
            yield name, value


def _number_cell(value: Any) -> Element:
    if isinstance(value, list):
        unbroken = [number_text(one).replace(" ", "\N{NO-BREAK SPACE}") for one in value]
        return make("td", ", ".join(unbroken), class_="numbers")
    return make("td", value if isinstance(value, str) else number_text(value), class_="number")
