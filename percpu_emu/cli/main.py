"""The command line. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from percpu_emu import __version__
from percpu_emu.api.limits import DEPTH, MEGABYTES, SCHEDULES, SECONDS
from percpu_emu.cli import completing, talk
from percpu_emu.cli.arguments import (
    WORST,
    Busy,
    Chaos,
    Cpus,
    Described,
    Form,
    Github,
    Guard,
    Inject,
    Json,
    Junit,
    Kernel,
    Log,
    MutantNames,
    Name,
    Names,
    Nodes,
    Page,
    Protocols,
    Quiet,
    RunPage,
    Sarif,
    Scenario,
    Seed,
    TraceFile,
    TraceFormat,
    Width,
    machine_overrides,
)
from percpu_emu.cli.errors import PROGRAMS, SEARCH
from percpu_emu.cli.process import settle_in

app = typer.Typer(
    name="percpu-emu",
    help="A machine on which the per-CPU code of the Linux memory controller runs, races and can be watched.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say on stderr what is passed over.")] = False,
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Options before the command."""
    talk.begin(verbose=verbose, quiet=quiet, log=log)
    if show:
        typer.echo(f"percpu-emu {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_(as_json: Json = False, seed: Seed = None) -> None:
    """The bundled scenarios, programs, protocols and kernels."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("list", "", as_json=as_json):
        from percpu_emu.cli.catalogue import catalogue, print_catalogue

        entries = catalogue()
        if as_json:
            from percpu_emu.cli.reading import print_json

            print_json("list", "", entries, found=all(entries.values()), seed=seed)
        else:
            print_catalogue(entries)


@app.command()
def show(
    name: Described,
    form: Form = None,
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """What one of them is, in prose."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("show", name, as_json=as_json):
        from percpu_emu.cli.describe import describe
        from percpu_emu.cli.reading import print_json

        text = describe(name, form)
        if as_json:
            print_json("show", name, {"text": text}, found=bool(text), seed=seed)
        else:
            typer.echo(text)


@app.command("help")
def help_(
    topic: Annotated[str, typer.Argument(help="A topic, or an operation; without one, the list of all.")] = "",
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """The reference: language, operations, scenario files, checks, verdicts."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("help", topic, as_json=as_json):
        from percpu_emu.cli.manual import print_topic

        print_topic(topic, seed, as_json=as_json)


@app.command()
def run(
    name: Name,
    as_json: Json = False,
    cpus: Cpus = None,
    nodes: Nodes = None,
    cgroups: Annotated[int | None, typer.Option(help="How many cgroups the scenario makes.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long a timed step runs.")] = None,
    minutes: Annotated[float | None, typer.Option(help="The same in minutes.")] = None,
    kernel: Kernel = None,
    protocol: Protocols = None,
    live: Annotated[bool, typer.Option("--live", help="Draw the machine in the terminal while it runs.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Record every operation from the start, in a scenario without steps.")
    ] = False,
    inject: Inject = None,
    guard: Guard = False,
    chaos: Chaos = False,
    html: RunPage = None,
    junit: Junit = None,
    sarif: Sarif = None,
    github: Github = False,
    quiet: Quiet = False,
    log: Log = None,
    seed: Seed = None,
) -> None:
    """A scenario on real processes, at native speed."""
    overrides = machine_overrides(cpus, nodes, kernel, protocol, inject, seed, guard=guard, chaos=chaos) | {
        "cgroups": cgroups,
        "seconds": seconds if minutes is None else minutes * 60,
    }
    from percpu_emu.cli.errors import errors_for_people
    from percpu_emu.cli.face import Face

    face = Face(as_json, junit, sarif, github, quiet=quiet, log=log)
    with errors_for_people("run", name, as_json=as_json, compiles=PROGRAMS) as so_far:
        from percpu_emu.cli.run import run_and_report

        face.begin(so_far)
        raise typer.Exit(run_and_report(name, overrides, so_far, face, record=record, live=live, html=html))


@app.command(epilog=WORST)
def explore(
    names: Names,
    as_json: Json = False,
    strategy: Annotated[str, typer.Option(help="exhaustive, preemptions, pct or random")] = "exhaustive",
    cpus: Annotated[int | None, typer.Option(help="Possible CPUs.")] = None,
    turns: Annotated[int | None, typer.Option(help="Turns of every task that has more than one.")] = None,
    preemptions: Annotated[int | None, typer.Option(help="For preemptions: how many at most.")] = None,
    depth: Annotated[int, typer.Option(help="For pct: orderings that have to come together.")] = DEPTH,
    max_schedules: Annotated[int, typer.Option(help="Schedules of pct and random; states of the others.")] = SCHEDULES,
    max_seconds: Annotated[float, typer.Option(help="Time limit; met, the verdict is inconclusive.")] = SECONDS,
    max_megabytes: Annotated[int, typer.Option(help="Memory limit; met, the verdict is inconclusive.")] = MEGABYTES,
    no_reduction: Annotated[
        bool, typer.Option("--no-reduction", help="Try independent steps in every order, too.")
    ] = False,
    prefix: Annotated[str | None, typer.Option(help="Token of a schedule to begin with.")] = None,
    html: Page = None,
    trace: TraceFile = None,
    trace_format: TraceFormat = None,
    width: Width = None,
    junit: Junit = None,
    sarif: Sarif = None,
    github: Github = False,
    quiet: Quiet = False,
    log: Log = None,
    seed: Seed = None,
) -> None:
    """Every interleaving of small scenarios; the smallest counterexample where there is one."""
    from percpu_emu.cli.errors import errors_for_people
    from percpu_emu.cli.face import Face

    face = Face(as_json, junit, sarif, github, width, quiet, log)
    with errors_for_people("explore", " ".join(names), as_json=as_json, compiles=SEARCH) as so_far:
        from percpu_emu.cli.explore import explore_and_report
        from percpu_emu.cli.options import search_options
        from percpu_emu.cli.searching import Request
        from percpu_emu.cli.trace_files import trace_files

        face.begin(so_far)
        options = search_options(
            strategy, preemptions, depth, max_schedules, max_seconds, max_megabytes, seed, reduce=not no_reduction
        )
        request = Request(options, {"machine.cpus": cpus, "seed": seed}, turns, prefix)
        files = trace_files(html, trace, trace_format)
        raise typer.Exit(explore_and_report(names, request, so_far, face, files=files))


@app.command()
def replay(
    token: Annotated[str, typer.Argument(help="A schedule, as explore printed it.")],
    as_json: Json = False,
    scenario: Scenario = None,
    pdb: Annotated[bool, typer.Option("--pdb", help="Stop in the program before every step.")] = False,
    html: Page = None,
    trace: TraceFile = None,
    trace_format: TraceFormat = None,
    width: Width = None,
    quiet: Quiet = False,
    log: Log = None,
    seed: Seed = None,  # noqa: ARG001 - every command takes it
) -> None:
    """One schedule, step by step, on real processes."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("replay", token, as_json=as_json, compiles=PROGRAMS) as so_far:
        from percpu_emu.cli.face import Face
        from percpu_emu.cli.replay import replay_and_report
        from percpu_emu.cli.trace_files import trace_files

        face = Face(as_json, width=width, quiet=quiet, log=log)
        face.begin(so_far)
        raise typer.Exit(
            replay_and_report(token, scenario, debug=pdb, files=trace_files(html, trace, trace_format), face=face)
        )


@app.command(epilog=WORST)
def mutants(
    names: MutantNames = None,
    as_json: Json = False,
    junit: Junit = None,
    sarif: Sarif = None,
    github: Github = False,
    quiet: Quiet = False,
    log: Log = None,
    seed: Seed = None,  # noqa: ARG001 - every command takes it
) -> None:
    """Broken protocols, which have `expect`, and fixed ones, which have to pass: proof that the checks work."""
    from percpu_emu.cli.errors import errors_for_people
    from percpu_emu.cli.face import Face

    face = Face(as_json, junit, sarif, github, quiet=quiet, log=log)
    with errors_for_people("mutants", " ".join(names or []), as_json=as_json, compiles=SEARCH) as so_far:
        from percpu_emu.cli.explore import mutants_and_report

        face.begin(so_far)
        raise typer.Exit(mutants_and_report(names or [], so_far, face))


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="A report, as --json printed it.")],
    after: Annotated[Path, typer.Argument(help="A later one, of the same command and scenario.")],
    as_json: Json = False,
    seed: Seed = None,  # noqa: ARG001 - every command takes it
) -> None:
    """Two reports side by side: exit code 1 where a check fails that was ok, or the verdict got worse."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("compare", f"{before} {after}", as_json=as_json):
        from percpu_emu.cli.compare import compare_and_report

        raise typer.Exit(compare_and_report(before, after, as_json=as_json))


@app.command()
def footprint(
    context: typer.Context,
    kernel: Annotated[
        str,
        typer.Option(help="Kernel profile, by name (6.1, linux-6.1) or path.", autocompletion=completing.kernels),
    ] = "linux-6.1",
    cpus: Annotated[int, typer.Option(help="Possible CPUs: those that hot-plug may add count, too.")] = 32,
    nodes: Annotated[int, typer.Option(help="NUMA nodes.")] = 1,
    cgroups: Annotated[int | None, typer.Option(help="Dying cgroups.", show_default="1000")] = None,
    here: Annotated[
        bool, typer.Option("--here", help="The kernel and CPUs of this host, beside what its /proc and cgroups say.")
    ] = False,
    lag: Annotated[int, typer.Option(help="Removed cgroups that wait for their grace period at a time.")] = 1,
    protocol: Protocols = None,
    sweep: Annotated[
        str | None, typer.Option(help="cpus=8..512 in doublings, cpus=8..512:8 in steps; also nodes, cgroups, lag.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the sweep: FILE.svg or FILE.png.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the rows as CSV to this file.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    seed: Seed = None,  # noqa: ARG001 - every command takes it
) -> None:
    """What dying cgroups cost in slab and per-CPU memory, with and without early release."""
    from percpu_emu.cli.errors import errors_for_people, refuse_together
    from percpu_emu.cli.face import Face

    with errors_for_people("footprint", kernel, as_json=as_json) as so_far:
        from percpu_emu.cli.footprint import Machine, footprint_and_report
        from percpu_emu.scenario.here import read_here

        face = Face(as_json, quiet=quiet)
        face.begin(so_far)
        if here:
            refuse_together(context, "--here", "kernel", "cpus", "nodes")
        machine, names = Machine(cpus, nodes, cgroups, lag), protocol or ()
        host = read_here() if here else None
        raise typer.Exit(footprint_and_report(kernel, machine, names, face, host, sweep=sweep, plot=plot, csv=csv))


@app.command()
def quiz(
    name: Name,
    as_json: Json = False,
    answers: Annotated[bool, typer.Option("--answers", help="Print the answers, too.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="A random schedule, instead of the smallest that goes wrong.")
    ] = None,
) -> None:
    """A run with question marks for what is read and written: predict, then look."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("quiz", name, as_json=as_json, compiles=SEARCH):
        from percpu_emu.cli.quiz import quiz as ask

        ask(name, seed, answers=answers, as_json=as_json)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes one that is free.")] = 8765,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address only; open no browser.")] = False,
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """Lessons in a browser, on machines that run. Until Ctrl-C."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("demo", "", as_json=as_json):
        from percpu_emu.cli.demo import demonstrate

        demonstrate(port, seed, open_browser=not no_open, as_json=as_json)


@app.command()
def mount(
    point: Annotated[str, typer.Argument(help="A folder; what it holds is hidden meanwhile.")],
    as_json: Json = False,
    cpus: Cpus = None,
    nodes: Nodes = None,
    kernel: Kernel = None,
    protocol: Protocols = None,
    inject: Inject = None,
    guard: Guard = False,
    chaos: Chaos = False,
    busy: Busy = False,
    quiet: Quiet = False,
    log: Log = None,
    seed: Seed = None,
) -> None:
    """A running machine as files: a cgroup2 tree, meminfo, a tmp. Until umount or Ctrl-C; then its verdict."""
    from percpu_emu.cli.errors import errors_for_people
    from percpu_emu.cli.face import Face

    overrides = machine_overrides(cpus, nodes, kernel, protocol, inject, seed, guard=guard, chaos=chaos)
    face = Face(as_json, quiet=quiet, log=log)
    with errors_for_people("mount", point, as_json=as_json) as so_far:
        from percpu_emu.cli.mounting import mount_and_report

        face.begin(so_far)
        raise typer.Exit(mount_and_report(point, overrides, face, busy=busy))


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def shell(
    words: Annotated[list[str] | None, typer.Argument(metavar="[-- CMD ...]", help="None: a shell to type in.")] = None,
    as_json: Json = False,
    cpus: Cpus = None,
    nodes: Nodes = None,
    kernel: Kernel = None,
    protocol: Protocols = None,
    inject: Inject = None,
    guard: Guard = False,
    chaos: Chaos = False,
    busy: Busy = False,
    shim: Annotated[
        bool,
        typer.Option("--shim", help="A preload library, built by cc, for programs that ask for a mount of cgroup2."),
    ] = False,
    quiet: Quiet = False,
    seed: Seed = None,
) -> None:
    """A command inside the machine: /sys/fs/cgroup, /proc/meminfo and /tmp are the machine's. Its exit status."""
    from percpu_emu.cli.errors import errors_for_people

    overrides = machine_overrides(cpus, nodes, kernel, protocol, inject, seed, guard=guard, chaos=chaos)
    with errors_for_people("shell", " ".join(words or []), as_json=as_json):
        from percpu_emu.cli.mounting import shell_and_report

        talk.add(quiet=quiet, log=None)
        raise typer.Exit(shell_and_report(words or [], overrides, busy=busy, shim=shim, as_json=as_json))


@app.command()
def cache(
    what: Annotated[str, typer.Argument(help="show or clear")] = "show",
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """The cache of compiled code: where it is and how much it holds; or empty it."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("cache", what, as_json=as_json):
        from percpu_emu.cli.kept_code import show_or_clear

        show_or_clear(what, seed, as_json=as_json)


@app.command()
def profile(
    btf: Annotated[Path, typer.Option(help="BTF, a vmlinux that has it, or a compressed kernel (vmlinuz).")] = Path(
        "/sys/kernel/btf/vmlinux"
    ),
    boot_pages: Annotated[
        int | None,
        typer.Option(help="Pages of each CPU's unit before the first cgroup: Percpu of /proc/meminfo / CPUs / 4 kB."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the profile to this file.")] = None,
    as_json: Json = False,
    seed: Seed = None,
) -> None:
    """The sizes of a kernel, out of its own type information, as a profile for --kernel."""
    from percpu_emu.cli.errors import errors_for_people

    with errors_for_people("profile", str(btf), as_json=as_json):
        from percpu_emu.cli.profile import write_profile

        write_profile(btf, boot_pages, output, seed, as_json=as_json)


@app.command()
def schema(
    of: Annotated[str, typer.Argument(help="scenario, or report (what --json prints)")] = "scenario",
) -> None:
    """The JSON Schema of scenario files, or of what `--json` prints."""
    from percpu_emu.cli.errors import errors_for_people
    from percpu_emu.cli.schemas import schema_text

    with errors_for_people("schema", of, as_json=False):
        typer.echo(schema_text(of))


def main() -> NoReturn:
    """The `percpu-emu` command."""
    settle_in()
    if "--json" not in sys.argv:
        app()
        sys.exit(0)
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):  # of typer's errors in the use of the command line
            raise
        from percpu_emu.cli.errors import refuse_usage

        code = refuse_usage(error.format_message())
    sys.exit(code or 0)
