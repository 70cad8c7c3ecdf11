"""Lines and a histogram as SVG, and bars for tables. Colours and type come from the page; a mark says its value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from percpu_emu.report.markup import Element, make
from percpu_emu.report.run_series import Stretch, bucket_us
from percpu_emu.report.tables import number_text

WIDTH: Final = 520
HEIGHT: Final = 210
LEFT: Final = 58
RIGHT: Final = 20
TOP: Final = 12
BOTTOM: Final = 28
"""The margins of the area that values are drawn in."""
_MINUTES_FROM: Final = 300.0
"""Seconds from which on a time axis counts minutes."""
_ABOUT: Final = 5
"""Steps of an axis."""
_SHORT: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIMES: Final = ((1e6, "s"), (1e3, "ms"), (1.0, "us"))
"""Units of a time, in microseconds."""


@dataclass(frozen=True)
class Line:
    """What changes over time."""

    name: str
    stretches: Sequence[Stretch]


@dataclass(frozen=True)
class Area:
    """Where values stand in a plot whose axes end at `x` and `y`; both begin at zero."""

    x: float
    y: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a value."""
        across, up = (WIDTH - LEFT - RIGHT) * x / self.x, (HEIGHT - TOP - BOTTOM) * y / self.y
        return round(LEFT + across, 2), round(HEIGHT - BOTTOM - up, 2)


def lines(title: str, unit: str, drawn: Sequence[Line]) -> Element:
    """Lines over time, in steps, which all have a stretch; with more than one, a legend names them."""
    longest = max(stretch.end for line in drawn for stretch in line.stretches)
    highest = max(stretch.value for line in drawn for stretch in line.stretches)
    per, name = (60.0, "min") if longest >= _MINUTES_FROM else (1.0, "s")
    area = Area(longest, _ticks(highest)[-1])
    marks = [(tick * per, f"{tick:g} {name}") for tick in _ticks(longest / per) if tick * per <= longest]
    parts = [
        *_frame(area, marks),
        *(part for number, line in enumerate(drawn) for part in _line(area, line, number, unit)),
    ]
    legend = [make("span", line.name, class_=f"key series{number}") for number, line in enumerate(drawn)]
    return _figure(title, parts, legend if len(drawn) > 1 else [])


def _line(area: Area, line: Line, number: int, unit: str) -> Iterator[Element]:
    path, stretches = list[str](), list[Element]()
    for stretch in line.stretches:
        (left, y), (right, _) = area.at(stretch.start, stretch.value), area.at(stretch.end, stretch.value)
        path += [f"{left},{y}", f"{right},{y}"]
        when = f"{stretch.start:.1f} to {stretch.end:.1f} s"
        said = make("title", f"{line.name}, {when}: {number_text(round(stretch.value))} {unit}".removeprefix(", "))
        stretches.append(make("line", said, x1=left, x2=right, y1=y, y2=y, class_=f"stretch series{number}"))
    yield make("polyline", points=" ".join(path), class_=f"line series{number}")
    yield from stretches


def histogram(title: str, buckets: Mapping[int, int], what: str) -> Element:
    """Times by bucket (`run_series.bucket_us`), on a logarithmic axis from one power of ten to another."""
    decades = [math.log10(bucket_us(bucket)) for bucket in (min(buckets), max(buckets) + 1)]
    first, last = math.floor(decades[0] + 1e-9), math.ceil(decades[1] - 1e-9)
    area = Area(last - first, _ticks(max(_ABOUT, *buckets.values()))[-1])  # counts have whole ticks
    parts = [*_frame(area, [(decade - first, _time(10.0**decade)) for decade in range(first, last + 1)])]
    for bucket, count in sorted(buckets.items()):
        begin, end = bucket_us(bucket), bucket_us(bucket + 1)
        left, top = area.at(math.log10(begin) - first, count)
        right, bottom = area.at(math.log10(end) - first, 0)
        said = f"{_time(begin)} to {_time(end)}: {number_text(count)} {what}"
        size = {"width": round(right - left - 1, 2), "height": round(bottom - top, 2)}
        parts.append(make("rect", make("title", said), x=left, y=top, **size, class_="column"))
    return _figure(title, parts, [])


def bar(value: float, most: float, kind: str = "") -> Element:
    """A bar for the cell of a table, as long as the value is of the most."""
    length = round(100 * value / most, 2) if most else 0.0
    mark = make("rect", width=length, height=10, class_=f"bar {kind}".rstrip())
    return make("svg", mark, viewBox="0 0 100 10", preserveAspectRatio="none", class_="bar", aria_hidden="true")


def _figure(title: str, parts: Sequence[Element], legend: Sequence[Element]) -> Element:
    svg = make("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    return make("figure", make("figcaption", title, *legend), svg)


def _frame(area: Area, across: Sequence[tuple[float, str]]) -> Iterator[Element]:
    """The lines and the numbers of both axes."""
    for tick in _ticks(area.y):
        left, y = area.at(0, tick)
        yield make("line", x1=left, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
        yield make("text", _short(tick), x=left - 6, y=y + 4, class_="up")
    for tick, label in across:
        x, bottom = area.at(tick, 0)
        yield make("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="grid")
        yield make("text", label, x=x, y=bottom + 18, class_="across")


def _ticks(highest: float) -> list[float]:
    """From zero, in steps of 1, 2 or 5, to the first that is not below the highest value."""
    if highest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest / _ABOUT))
    step = next(times * power for times in (1, 2, 5, 10) if times * power * _ABOUT >= highest * (1 - 1e-9))
    return [round(number * step, 12) for number in range(math.ceil(highest / step - 1e-9) + 1)]


def _short(value: float) -> str:
    """A number with three digits and the letter for its thousands."""
    return next((f"{value / size:.3g} {letter}" for size, letter in _SHORT if value >= size), f"{value:.3g}")


def _time(microseconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _TIMES if microseconds >= size * (1 - 1e-9)), _TIMES[-1])
    return f"{microseconds / size:.3g} {unit}"
