"""Draws docs/footprint-days.svg: eight days of production hosts, and what `percpu-emu footprint` counts for them.

python benchmarks/production_curve.py [FILE]

The days are those of the cover letter of "mm: reparent slab memory on cgroup removal", v4, May 2019: averages of web
hosts that ran a kernel of about 5.1, some with the series and some without. It names no CPU count.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from percpu_emu.scenario.footprint import Plan, grown_kb, kernel_named

PAGE: Final = Path(__file__).parent.parent / "docs" / "footprint-days.svg"
ORIGINAL: Final = (56, 362, 628, 752, 1070, 1250, 1490, 1560)
"""Dying cgroups, day by day, on hosts without the series."""
PATCHED: Final = (23, 46, 51, 55, 60, 57, 67, 69)
DIFFERENCE_MB: Final = (22, 74, 123, 152, 164, 182, 214, 241)
"""By how much Slab and Percpu of the former exceeded those of the latter."""
KERNEL: Final = "linux-5.0-mmotm"
CPUS: Final = {32: "#9ecae1", 64: "#4292c6", 96: "#08519c"}
MORE: Final = tuple(without - with_series for without, with_series in zip(ORIGINAL, PATCHED, strict=True))


def counted_mb(cpus: int) -> list[float]:
    """What so many more dying cgroups take by the tool's account, in MB."""
    kernel = kernel_named(KERNEL)
    return [grown_kb(Plan(kernel, cpus, 1, cgroups), "original") / 1024 for cgroups in MORE]


def main(path: Path = PAGE) -> None:
    """Draw it."""
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "percpu-emu"
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for cpus, color in CPUS.items():
        axes.plot(MORE, counted_mb(cpus), color=color, label=f"percpu-emu footprint, {cpus} CPUs")
    axes.plot(MORE, DIFFERENCE_MB, "o", color="#b5361c", label="production hosts, day 0 to 7")
    axes.set_title("Eight days of dying cgroups in production", loc="left", fontsize=12)
    axes.set_xlabel("dying cgroups more than on hosts with kmem_cache reparenting")
    axes.set_ylabel("Slab and Percpu more, MB")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    source = (
        f"Source: the series' cover letter, v4, May 2019; {KERNEL}, counted by python benchmarks/production_curve.py"
    )
    figure.supxlabel(source, x=0.01, ha="left", fontsize=7.5, color="#555555")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
