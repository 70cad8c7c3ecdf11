"""The page of a run: complete in itself, everything in it, its drawn numbers those of the series, and all escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from percpu_emu.machine import Event
from percpu_emu.report.manual.verdict import MEANS
from percpu_emu.report.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from percpu_emu.report.result import Report, ReportedCheck, ReportedCounterexample
from percpu_emu.report.run_page import page
from percpu_emu.report.run_series import RunSeries, bucket_of
from percpu_emu.scenario.figure_table import OF_A_RUN

from .browser import chromium
from .html_tree import named, of_class, text, tree

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree.ElementTree import Element

SCOPE = {"engine": "native", "cpus": 2, "nodes": 1, "kernel": "linux-5.0-mmotm", "not_controlled": "who runs when"}
READINGS = {
    "before": {"nr_dying_descendants": 0, "slab_kb": 800, "percpu_kb": 400, "os_percpu_kb": 400},
    "after": {"nr_dying_descendants": 9, "slab_kb": 1000, "percpu_kb": 1600, "os_percpu_kb": 1600},
}
FIGURES = {"original": {**READINGS, "updates": 30}, "patched": {**READINGS, "updates": 1234567, "releases": 9}}
OUTCOMES = [
    {"result": "0, 1", "samples": 30, "share": 0.75, "expect": "expected", "explain": "in order"},
    {"result": "0, 0", "samples": 10, "share": 0.25, "expect": "forbidden", "explain": "lost"},
    {"result": "1, 1", "samples": 0, "share": 0.0, "expect": "forbidden", "explain": "never seen"},
]
STRESS = {"rounds": 40, "rounds_per_s": 20, "violation": None, "outcomes": OUTCOMES}


def report(**more: Any) -> Report:
    checks = [
        ReportedCheck(name="nothing lost", ok=True, detail="12 comparisons"),
        ReportedCheck(name="no kernel warning", ok=False, detail="2 x WARN_ON"),
        ReportedCheck(name="leak", ok=None, detail="stopped before"),
    ]
    fields: dict[str, Any] = {"command": "run", "subject": "mine", "file": "mine.toml", "verdict": "fail"}
    fields |= {
        "scope": SCOPE,
        "checks": checks,
        "figures": FIGURES,
        "notes": ["fault all=kill: 3 times"],
        "seconds": 1.5,
    }
    return Report(**fields | more)


def series(counts: dict[str, list[tuple[float, int]]], grace_periods: list[float] | None = None) -> RunSeries:
    """Of updates, by protocol: the seconds of each sample, and the count there."""
    found = RunSeries()
    for name, samples in counts.items():
        found(Event("protocol", 0.0, {"name": name}))
        for seconds, count in samples:
            found(Event("sample", seconds, {"counts": {"updates": count}, "grace_periods": []}))
    if grace_periods:
        found(Event("sample", 99.0, {"counts": {}, "grace_periods": grace_periods}))
    return found


def made(
    report: Report, series: RunSeries | None = None, summary: str = "a summary", command: str = "again"
) -> Element:
    return tree(page(report, series or RunSeries(), summary=summary, command=command))


def marks(element: Element) -> list[str]:
    """What the marks of a plot say where the pointer rests."""
    return [text(title) for title in element.iter("title")]


def test_it_says_verdict_scope_checks_notes_and_the_command() -> None:
    found = made(report(), command="percpu-emu run mine --seconds 2")
    verdict = text(named(found, "verdict"))
    assert verdict.startswith("fail in 1.50 s")
    assert MEANS["fail"] in verdict.lower()
    assert "on 2 CPUs, 1 NUMA node, kernel linux-5.0-mmotm" in verdict
    assert "percpu-emu run mine --seconds 2" in verdict
    assert [text(row) for row in named(found, "checks").iter("tr")] == [
        "oknothing lost12 comparisons", "FAILEDno kernel warning2 x WARN_ON", "not judgedleakstopped before",
    ]  # fmt: skip
    assert "Not controlledwho runs when" in text(named(found, "scope"))
    assert text(named(found, "notes")) == "Notesfault all=kill: 3 times"


def test_a_failure_that_is_expected_has_the_tone_of_a_pass() -> None:
    expected = made(report(as_expected=True, expectation="expected: leak, found: leak"))
    assert named(expected, "verdict").get("class") == "pass"
    assert "Expected: leak, found: leak." in text(named(expected, "verdict"))
    assert named(made(report(as_expected=False)), "verdict").get("class") == "fail"


def test_every_figure_stands_beside_its_meaning() -> None:
    rows = {text(next(row.iter("th"))): row for row in named(made(report()), "figures").iter("tr")}
    assert "figure" in rows
    assert len(rows) == 1 + 8 + 2
    for name, row in list(rows.items())[1:]:
        assert text(list(row)[-1]).lower() == OF_A_RUN[name.rpartition(": ")[2]].replace("`", "").lower()
    assert [text(cell) for cell in rows["updates"].iter("td")][:2] == ["30", "1 234 567"]
    assert [text(cell) for cell in rows["releases"].iter("td")][:2] == ["-", "9"]


def test_a_figure_that_has_no_meaning_raises() -> None:
    with pytest.raises(KeyError, match="speed"):
        made(report(figures={"patched": {"speed": 1}}))


def test_the_lines_are_the_rates_of_the_series() -> None:
    found = made(report(), series({"original": [(2, 0), (3, 100), (4, 100)], "patched": [(7, 0), (9, 400)]}))
    plot = named(found, "over-time")
    assert marks(plot) == [
        "original, 0.0 to 1.0 s: 100 a second",
        "original, 1.0 to 2.0 s: 0 a second",
        "patched, 0.0 to 2.0 s: 200 a second",
    ]
    original, patched = plot.iter("polyline")
    assert drawn(original, seconds=2, highest=200) == [(0, 100), (1, 100), (1, 0), (2, 0)]
    assert drawn(patched, seconds=2, highest=200) == [(0, 200), (2, 200)]
    assert [text(key) for key in of_class(plot, "span", "key")] == ["original", "patched"]


def drawn(line: Element, seconds: float, highest: float) -> list[tuple[float, float]]:
    """Its points as a person reads them off the axes, which end there."""
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    across, up = (WIDTH - LEFT - RIGHT) / seconds, (HEIGHT - TOP - BOTTOM) / highest
    return [(round((x - LEFT) / across, 2), round((HEIGHT - BOTTOM - y) / up, 1)) for x, y in points]


@given(st.lists(st.integers(-7, 79), min_size=1, max_size=30))
@settings(max_examples=30)
def test_the_columns_of_the_histogram_are_the_grace_periods(buckets: list[int]) -> None:
    times = [10 ** ((bucket + 0.5) / 10) / 1e6 for bucket in buckets]
    columns = of_class(made(report(), series({"patched": []}, times)), "rect", "column")
    counted = [int(re.search(r": (\d+) grace periods", text(column))[1]) for column in columns]  # type: ignore[index]
    assert counted == [buckets.count(bucket) for bucket in sorted(set(buckets))]
    assert {bucket_of(seconds * 1e6) for seconds in times} == set(buckets)
    tallest = max(columns, key=lambda column: float(column.get("height", "")))
    for column, count in zip(columns, counted, strict=True):
        share = float(column.get("height", "")) / float(tallest.get("height", ""))
        assert share == pytest.approx(count / max(counted), abs=0.001)
        assert LEFT <= float(column.get("x", "")) <= WIDTH - RIGHT


def test_memory_is_a_bar_for_each_reading() -> None:
    percpu, slab = named(made(report()), "memory").iter("figure")
    names = ["original: before", "original: after", "patched: before", "patched: after"]
    assert [text(row) for row in percpu.iter("tr")] == [
        f"{name}{kb} kB" for name, kb in zip(names, ["400", "1 600"] * 2, strict=True)
    ]
    assert [float(bar.get("width", "")) for bar in of_class(percpu, "rect", "bar")] == [25, 100, 25, 100]
    assert [float(bar.get("width", "")) for bar in of_class(slab, "rect", "bar")] == [80, 100, 80, 100]


def test_outcomes_are_bars_and_a_forbidden_one_is_marked_where_it_was_seen() -> None:
    found = named(made(report(figures=STRESS)), "outcomes")
    bars = of_class(found, "rect", "bar")
    assert [(bar.get("width"), bar.get("class")) for bar in bars] == [
        ("100.0", "bar expected"), ("33.33", "bar forbidden"), ("0.0", "bar never"),
    ]  # fmt: skip
    assert [text(list(row.iter("td"))[1]) for row in found.iter("tr") if list(row.iter("td"))] == ["30", "10", "0"]


def test_a_counterexample_has_its_columns_story_and_command() -> None:
    example = ReportedCounterexample(
        check="lost-count", token="mine:11", preemptions=1, steps=2, columns="CPU 0 | CPU 1\n  1", story=["A", "B"],
        replay="percpu-emu replay mine:11",
    )  # fmt: skip
    found = named(made(report(counterexample=example)), "counterexample")
    assert [pre.text for pre in found.iter("pre")] == [example.columns, example.replay]
    assert [text(item) for item in found.iter("li")] == example.story


def test_what_a_run_does_not_have_is_no_empty_section() -> None:
    found = made(report(figures={}, notes=[]))
    assert [section.get("id") for section in found.iter("section")] == ["verdict", "checks", "scope"]


def test_a_run_too_short_for_a_plot_says_so() -> None:
    found = made(report(), series({"patched": [(1.0, 7)]}))
    assert text(named(found, "over-time")).endswith("Updates a second: The run was too short for a plot.")


texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cc"]), max_size=30),
    st.sampled_from(
        ["</title><script>alert(1)</script>", '"><img src=x onerror=y>', "@BODY@", "&lt;b&gt; &amp", "]]>", "-->"]
    ),
)


@given(texts, texts, texts, texts, texts)
@settings(max_examples=50)
def test_whatever_names_and_details_hold_is_text(name: str, detail: str, note: str, summary: str, command: str) -> None:
    plain = made(report(), series({"a": [(0, 0), (1, 9)], "b": [(0, 0), (1, 9)]}))
    hostile = report(
        subject=name, notes=[note], file=command, scope=SCOPE | {"not_controlled": f"some {detail}"},
        checks=[ReportedCheck(name=name, ok=ok, detail=detail) for ok in (True, False, None)],
    )  # fmt: skip
    found = made(hostile, series({name: [(0, 0), (1, 9)], "b": [(0, 0), (1, 9)]}), summary, command)
    assert shape(found) == shape(plain)
    assert [row[2].text or "" for row in named(found, "checks").iter("tr")] == [printed(detail)] * 3
    assert [pre.text or "" for pre in named(found, "verdict").iter("pre")] == [printed(command)]
    assert [item.text or "" for item in named(found, "notes").iter("li")] == [printed(note)]


def printed(text: str) -> str:
    """The text, its halves of characters escaped: no file in UTF-8 holds them."""
    return text.encode(errors="backslashreplace").decode()


def shape(element: Element) -> Any:
    """The elements and the names of their attributes, without what they say."""
    return element.tag, sorted(element.keys()), [shape(child) for child in element]


def test_it_asks_for_nothing_and_runs_nothing() -> None:
    found = page(report(), series({"a": [(0, 0), (1, 9)]}, [1e-5]), summary="", command="")
    assert "<script" not in found
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*\S+", found) == ['href="data:,">']
    assert not re.search(r"https?:|@import", found)


def test_a_browser_shows_it_at_any_width_without_a_complaint(tmp_path: Path) -> None:
    file = tmp_path / "run.html"
    counts = {"original": [(0.1 * n, 9**n) for n in range(9)], "patched": [(0.1 * n, 7 * n) for n in range(9)]}
    html = page(report(figures={**FIGURES}), series(counts, [1e-5, 2e-3]), summary="mine", command="again " * 40)
    file.write_text(html, encoding="utf-8")
    with chromium(tmp_path) as browser:
        browser.get(file.as_uri())
        for width in (1280, 500):
            browser.set_window_size(width, 900)
            wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide <= shown
        line, _ = browser.find_elements("css selector", "polyline")
        assert line.value_of_css_property("stroke") != "none"
        assert browser.get_log("browser") == []
