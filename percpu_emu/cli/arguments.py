"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from percpu_emu.cli import completing

_NAMES_HELP: Final = "Names of bundled scenarios, paths, folders, patterns such as 'raw-add-*'."
WORST: Final = (
    "Each of several scenarios is tried, within its own limits, and has a line. The exit code is the worst: "
    "1 (failed), then 2 (input), 3 (environment), 4 (inconclusive), 0."
)

Name: TypeAlias = Annotated[
    str,
    typer.Argument(help="Name of a bundled scenario, or path of a scenario file.", autocompletion=completing.scenarios),
]
Names: TypeAlias = Annotated[list[str], typer.Argument(help=_NAMES_HELP, autocompletion=completing.explored)]
MutantNames: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(help=_NAMES_HELP, show_default="the protocols that ship", autocompletion=completing.explored),
]
Described: TypeAlias = Annotated[
    str,
    typer.Argument(help="A scenario, program, protocol or kernel, or a path.", autocompletion=completing.anything),
]
Scenario: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Path of the scenario file, if it does not ship.", autocompletion=completing.scenarios),
]
Kernel: TypeAlias = Annotated[
    str | None, typer.Option(help="Kernel profile, by name or path.", autocompletion=completing.kernels)
]
Protocols: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Run under this protocol only; may be repeated.", autocompletion=completing.protocols),
]

Cpus: TypeAlias = Annotated[int | None, typer.Option(help="Possible CPUs, each a process.")]
Nodes: TypeAlias = Annotated[int | None, typer.Option(help="NUMA nodes.")]
Inject: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="A fault at injection points: mod_memcg_state:4=sleep:1ms@25%; `show` lists the points."),
]
Guard: TypeAlias = Annotated[
    bool, typer.Option("--guard", help="Freed per-CPU memory is gone: any access to it traps and is reported.")
]
Busy: TypeAlias = Annotated[
    bool, typer.Option("--busy", help="Every CPU updates the youngest cgroups meanwhile, dying ones, too.")
]
Shim: TypeAlias = Annotated[
    bool, typer.Option("--shim", help="A preload library, built by cc, for programs that ask for a mount of cgroup2.")
]
Chaos: TypeAlias = Annotated[bool, typer.Option("--chaos", help="Starve CPUs at random, for short and for long.")]

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Seed: TypeAlias = Annotated[int | None, typer.Option(help="Seed of all random choices.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict line only, and no progress.")]
Log: TypeAlias = Annotated[Path | None, typer.Option(help="Write progress and log lines to this file, not to stderr.")]
Page: TypeAlias = Annotated[Path | None, typer.Option("--html", help="Write the trace as a page to step through.")]
RunPage: TypeAlias = Annotated[
    Path | None, typer.Option("--html", help="Write the run as a page: verdict, checks, figures and plots.")
]
TraceFile: TypeAlias = Annotated[
    Path | None, typer.Option("--trace", help="Write the trace for another tool: FILE.json, FILE.log or FILE.mmd.")
]
TraceFormat: TypeAlias = Annotated[
    str | None, typer.Option(help="perfetto, shiviz or mermaid, whatever the ending of --trace FILE.")
]
Form: TypeAlias = Annotated[str | None, typer.Option("--as", help="A scenario in the other form: python or toml.")]
Width: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Characters a line, 40 or more; the terminal's by default. 72 suits commit messages."),
]
Junit: TypeAlias = Annotated[Path | None, typer.Option(help="Write the result as JUnit's XML, for a CI system.")]
Sarif: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write what is wrong as SARIF 2.1.0, at the lines to blame.")
]
Github: TypeAlias = Annotated[
    bool, typer.Option("--github", help="Annotate lines on GitHub: on stdout, with --json on stderr.")
]


def machine_overrides(
    cpus: int | None,
    nodes: int | None,
    kernel: str | None,
    protocol: list[str] | None,
    inject: list[str] | None,
    seed: int | None,
    *,
    guard: bool,
    chaos: bool,
) -> dict[str, Any]:
    """The options that describe a machine, by the keys of a scenario file; None where one is not given."""
    return {
        "faults.inject": inject or None,
        "faults.chaos": chaos or None,
        "machine.guard": guard or None,
        "machine.cpus": cpus,
        "machine.nodes": nodes,
        "machine.kernel": kernel,
        "protocols": protocol or None,
        "seed": seed,
    }
