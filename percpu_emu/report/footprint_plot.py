"""A sweep as a picture, for a slide: units, legend, and where the figures come from. Needs matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from percpu_emu.report.result import Report

MB: Final = 1024
GB: Final = MB * MB
_AXES: Final = {
    "cpus": "possible CPUs",
    "nodes": "NUMA nodes",
    "cgroups": "dying cgroups",
    "lag": "removed cgroups that wait for their grace period",
}
_STYLES: Final = {"original": ("#b5361c", "o"), "patched": ("#1f6f8b", "s"), "patch-2022": ("#5b8c2a", "^")}
_DOUBLES: Final = 1.5
"""From this ratio of neighbouring values on, an axis is logarithmic."""


def draw(report: Report, path: Path) -> None:
    """Draw the sweep of a report into an SVG or PNG file."""
    sweep: str = report.scope["sweep"]
    name = sweep.partition("=")[0]
    rows = report.figures["sweep"]
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    axes = figure.add_subplot()
    _draw_lines(axes, rows, name, report.scope["protocols"])
    fixed = [_counted(report.scope[key], words) for key, words in _AXES.items() if key not in (name, "lag")]
    axes.set_title(f"What dying memory cgroups cost: {', '.join(fixed)}", loc="left", fontsize=13, pad=12)
    numbers = [f"--{key} {report.scope[key]}" for key in _AXES if key != name]
    command = " ".join(["percpu-emu footprint --kernel", report.scope["kernel"], *numbers, "--sweep", sweep])
    source = f"Source: structure sizes of {report.scope['kernel']}, placed by the kernel's allocators. {command}"
    figure.supxlabel("\n".join(textwrap.wrap(source, 120)), x=0.01, ha="left", fontsize=8, color="#555555")
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "percpu-emu"}):  # text stays text, equal input equal files
        figure.savefig(path, dpi=110, metadata=metadata)


def _counted(number: int, words: str) -> str:
    return f"{number} {words.removesuffix('s') if number == 1 else words}"


def _draw_lines(axes: Axes, rows: list[dict[str, Any]], name: str, protocols: list[str]) -> None:
    curves: dict[tuple[int, ...], list[str]] = {}
    for protocol in protocols:  # those that cost the same share a curve
        curves.setdefault(tuple(row[f"{protocol}_kb"] for row in rows), []).append(protocol)
    unit, kb = ("GB", GB) if max(map(max, curves)) >= GB else ("MB", MB)
    values = [row[name] for row in rows]
    for sizes, names in curves.items():
        color, marker = _STYLES[names[0]]
        axes.plot(values, [size / kb for size in sizes], label=", ".join(names), color=color, marker=marker)
        last = f"{sizes[-1] / kb:.3g} {unit}"
        axes.annotate(last, (values[-1], sizes[-1] / kb), (0, 7), textcoords="offset points", color=color, ha="center")
    axes.margins(x=0.06, y=0.1)
    if len(values) > 2 and values[-1] >= _DOUBLES * values[-2]:
        axes.set_xscale("symlog" if values[0] == 0 else "log", base=2)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xticks(values, [str(value) for value in values])
        axes.minorticks_off()
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(_AXES[name])
    axes.set_ylabel(f"Slab and Percpu of the dying cgroups, {unit}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
