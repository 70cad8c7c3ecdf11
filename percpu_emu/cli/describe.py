"""`percpu-emu show`: a scenario, program, protocol or kernel, in prose."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Final

from percpu_emu.bundled import bundled_files
from percpu_emu.cli.errors import WrongArgument
from percpu_emu.kernel.profile import KernelProfile, is_profile, load_profile, profile_names
from percpu_emu.kernel.protocols import PROTOCOLS, Protocol
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.source import called, sites
from percpu_emu.report.glossary import glossary_page
from percpu_emu.scenario.finding import SEPARATOR, declared_in, shipped
from percpu_emu.scenario.load import Loaded, load
from percpu_emu.scenario.programs import find_program
from percpu_emu.scenario.schema import Part
from percpu_emu.scenario.torture import TORTURERS
from percpu_emu.scenario.wording import did_you_mean
from percpu_emu.scenario.writing import as_python, as_toml

FORMS: Final[dict[str, Callable[[Loaded], str]]] = {"python": as_python, "toml": as_toml}


def describe(name: str, form: str | None = None) -> str:
    """The text, of a scenario in a form. Raises WrongArgument for an unknown name or form, and what loading raises."""
    if form is not None:
        if form not in FORMS:
            raise WrongArgument(f"--as {form}: allowed: {', '.join(FORMS)}")
        return FORMS[form](load(name))
    if name == "glossary":
        return glossary_page().rstrip()
    if name in PROTOCOLS:
        return _protocol(PROTOCOLS[name])
    if name in profile_names() or is_profile(Path(name)):
        return _kernel(load_profile(name))
    if name in shipped() or name.endswith(".toml") or SEPARATOR in name or _declares(Path(name)):
        return _scenario(load(name))
    if name in bundled_files("workers", ".py") or name.endswith(".py"):
        return _program(find_program(name, Path()))
    known = [*PROTOCOLS, *profile_names(), *bundled_files("workers", ".py"), *shipped()]
    near = did_you_mean(name, known) or "give a name that ships"
    raise WrongArgument(f"nothing is named {name!r}; {near} (`percpu-emu list` shows all)")


def _declares(path: Path) -> bool:
    """Whether it is a Python file that declares scenarios; one that cannot be read is reported by what loads it."""
    try:
        return path.suffix == ".py" and bool(declared_in(path))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return False


def _scenario(loaded: Loaded) -> str:
    scenario, machine = loaded.scenario, loaded.scenario.machine
    lines = [f"{scenario.name}: {scenario.summary}", scenario.description.rstrip()]
    if scenario.explore is not None:
        return "\n".join([*lines, *_explored(loaded)])
    lines.append(
        f"Machine: {machine.cpus} CPUs on {machine.nodes} node(s), kernel {machine.kernel}; "
        f"protocols: {', '.join(scenario.protocols)}; file: {loaded.source}"
    )
    if scenario.torture is not None:
        return "\n".join([*lines, *_points(list(TORTURERS))])
    lines += [f"Worker on {_cpus(worker.cpus)}: {worker.program}" for worker in scenario.workers]
    lines += [
        f"Interrupts on {_cpus(part.cpus)}: {part.program}, {part.rate:g} a second and CPU, by {part.by}"
        for part in scenario.interrupts
    ]
    lines += [f"Fault: {line}" for line in scenario.faults.inject] + ["Chaos."] * scenario.faults.chaos
    lines.append("Steps:")
    lines += [_step(step, 1) for step in scenario.steps]
    protocols = [program for name in scenario.protocols for program in PROTOCOLS[name].programs]
    return "\n".join([*lines, *_points([*loaded.workers, *loaded.interrupts, *protocols])])


def _explored(loaded: Loaded) -> list[str]:
    """What `explore` tries in every order: who does what how often, and the file of programs."""
    from percpu_emu.scenario.subjects import subject_of

    subject = subject_of(loaded)
    lines = [f"Machine: {subject.setting.cpus} CPUs; file: {loaded.source}", "In every order:"]
    for spec in subject.setting.contexts:
        times = f", {spec.turns} times" if spec.turns > 1 else ""
        lines.append(f"  {spec.name} ({spec.kind}): {spec.program.__name__}{times}")
    lines += [f"Fault: {line}" for line in loaded.scenario.faults.inject]
    lines += [f"Outcome {part.result} is {part.expect}: {part.explain}" for part in loaded.scenario.outcomes]
    if subject.expect:
        lines.append(f"Caught by: {subject.expect}. Missing: {subject.missing}.")
    programs = list(dict.fromkeys(spec.program for spec in subject.setting.contexts))
    source = inspect.getsource(loaded.module) if loaded.module else ""
    return [*lines, "", source, *_points(programs)]


def _cpus(cpus: str | list[int]) -> str:
    return "every CPU" if cpus == "all" else f"CPU {', '.join(map(str, cpus))}"


def _step(step: Part, depth: int) -> str:
    fields = {key: value for key, value in step if key not in ("do", "steps") and value not in (None, "")}
    words = " ".join(f"{key}={value}" for key, value in fields.items())
    line = f"{'  ' * depth}{getattr(step, 'do', '')} {words}".rstrip()
    inner = [_step(part, depth + 1) for part in getattr(step, "steps", [])]
    return "\n".join([line, *inner])


def _protocol(protocol: Protocol) -> str:
    module = inspect.getmodule(protocol.css_offline)
    functions = protocol.programs
    lines = [f"{protocol.name}: {protocol.summary}", inspect.getdoc(module) or "", ""]
    lines += [inspect.getsource(function) for function in functions]
    return "\n".join([*lines, *_points(functions)])


def _program(program: ProgramFunction) -> str:
    lines = [f"{program.__name__}: {inspect.getdoc(inspect.getmodule(program))}", "", inspect.getsource(program)]
    return "\n".join([*lines, *_points([program])])


def _points(programs: list[ProgramFunction]) -> list[str]:
    """The yields of these programs and of all that they call and queue, as `--inject` names them."""
    reached = dict.fromkeys(part for program in programs for part in called(program, and_queued=True))
    found = [f"  {site}" for program in reached for site in sites(program)]
    return ["Injection points:", *found] if found else []


def _kernel(profile: KernelProfile) -> str:
    lines = [f"{profile.name}: {profile.title}", "", f"{profile.trust.capitalize()}: {profile.basis}."]
    lines += [f"Assumed: {what}." for what in profile.assumed]
    lines += ["", "One memory cgroup takes, in the order of allocation:"]
    for line in (*profile.percpu_area, *profile.slab_object):
        where = "bytes on each CPU" if line in profile.percpu_area else "bytes of slab"
        label = ", calibrated: not traced to a structure" if getattr(line, "calibrated", False) else ""
        times = f" x {line.count}" if line.count > 1 else ""
        lines.append(f"  {line.size:6d}{times} {where} per {line.per}: {line.name} ({line.source}{label})")
    return textwrap.dedent("\n".join(lines))
