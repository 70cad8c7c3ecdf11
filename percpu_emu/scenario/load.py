"""Finding, reading and checking a scenario file: whatever is wrong with it is reported before anything starts."""

from __future__ import annotations

import copy
import re
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pydantic import ValidationError

from percpu_emu.kernel.profile import KernelProfile, ProfileError, load_profile, profile_names
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.scenario.decorator import SESSION, DeclaredScenario, WrongDeclaration
from percpu_emu.scenario.figures import figure_names, growing_figures
from percpu_emu.scenario.finding import SEPARATOR, NotFound, Place, find
from percpu_emu.scenario.paths import is_a_file
from percpu_emu.scenario.programs import ProgramNotFound, find_program, load_module
from percpu_emu.scenario.schema import InterruptsPart, Scenario, WorkerPart
from percpu_emu.scenario.wording import allowed, did_you_mean

MOST_PROBLEMS: Final = 10
LONGEST_PROBLEM: Final = 600
LONGEST_VALUE: Final = 80


def printable(text: object, longest: int | None = None) -> str:
    """As a terminal can show it, on one line: what a file says is not to move the cursor nor to fill the screen."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
    return shown if longest is None or len(shown) <= longest else f"{shown[:longest]}..."


class ScenarioError(ValueError):
    """What is wrong with a scenario: one line each, with file, key path, what was found and what is allowed."""

    def __init__(self, source: str, problems: list[str]) -> None:
        shown = [printable(problem, LONGEST_PROBLEM) for problem in problems[:MOST_PROBLEMS]]
        shown += [f"and {len(problems) - MOST_PROBLEMS} more problems"] if len(problems) > MOST_PROBLEMS else []
        super().__init__("\n".join(f"{printable(source)}: {problem}" for problem in shown))
        self.source = source
        self.problems = problems


@dataclass(frozen=True)
class Loaded:
    """A scenario that was checked, with what it names."""

    scenario: Scenario
    source: str
    profile: KernelProfile
    workers: list[ProgramFunction]
    interrupts: list[ProgramFunction]
    changed: frozenset[str] = frozenset()
    """Keys that were given on the command line instead."""
    module: ModuleType | None = None
    """The file of programs that `explore` names."""
    given: str = ""
    """The options that changed something: `--cpus 0`."""

    @property
    def path(self) -> str:
        """The path of its file, "" where no file holds it."""
        return "" if self.source.startswith(SESSION) else self.source.partition(SEPARATOR)[0]

    @property
    def is_resized(self) -> bool:
        """Whether its figures cannot be compared with those that its file gives: another machine, or other cgroups."""
        return bool(self.changed & SIZE_KEYS)

    def blamed(self, key: str) -> str:
        """Who gave the value of a key: the file, or options."""
        return self.given if key in self.changed else self.source


SIZE_KEYS: Final = frozenset(
    {"machine.cpus", "machine.nodes", "machine.kernel", "machine.guard", "cgroups", "protocols"}
)
"""Keys whose change makes the scenario's expected figures meaningless."""
_OPTIONS: Final = {"protocols": "--protocol"}
"""Options that are not named as the last part of their key."""


def load(name: str | DeclaredScenario, overrides: Mapping[str, Any] | None = None) -> Loaded:
    """The scenario of that name, or in the file at that path, with some keys replaced (`machine.cpus`: 64).

    What `@scenario` declares is read from its file, and taken as it is where no file holds it.
    """
    if isinstance(name, DeclaredScenario):
        if name.is_in_a_session:
            source = f"{SESSION}{SEPARATOR}{name.function.__name__}"
            return _checked(_declared(name, source), name.module, source, Path(), overrides or {})
        name = f"{name.file}{SEPARATOR}{name.name}"
    try:
        place = find(name)
    except NotFound as error:
        raise ScenarioError(name, [str(error)]) from error
    document, declaring = document_of(place)
    return _checked(document, declaring, str(place), place.path.parent, overrides or {})


def _checked(
    document: dict[str, Any], declaring: ModuleType | None, source: str, folder: Path, overrides: Mapping[str, Any]
) -> Loaded:
    overrides = {key: value for key, value in overrides.items() if value is not None}
    given = _as_options(overrides)
    scenario = _validate(document, source, overrides, given)
    try:
        profile = load_profile(scenario.machine.kernel)
    except ProfileError as error:
        found = f"machine.kernel: found {shown(scenario.machine.kernel)}"
        problems = [f"{found}: {line}" for line in str(error).splitlines()]
        if "no kernel" in str(error):
            problems = [f"{found}, {allowed(scenario.machine.kernel, profile_names(), ', or a path')}"]
        raise ScenarioError(given if "machine.kernel" in overrides else source, problems) from error
    changed = frozenset(key for key, value in overrides.items() if _at(document, key) != value)
    if "protocols" not in changed:
        _refuse_unknown_figures(scenario, source)
    workers = _programs("workers", scenario.workers, source, folder)
    interrupts = _programs("interrupts", scenario.interrupts, source, folder)
    module = declaring or _module(scenario, source, folder)
    return Loaded(scenario, source, profile, workers, interrupts, changed, module, given)


def _as_options(overrides: Mapping[str, Any]) -> str:
    """Overrides as they stand on the command line."""
    given = []
    for key, value in overrides.items():
        name = _OPTIONS.get(key, f"--{key.rpartition('.')[2]}")
        values = value if isinstance(value, list) else [value]
        given += [name if one is True else f"{name} {one}" for one in values]
    return printable(" ".join(given), LONGEST_VALUE)


def _refuse_unknown_figures(scenario: Scenario, source: str) -> None:
    problems = []
    for number, part in enumerate(scenario.expect):
        known = figure_names(scenario) if part.growth_within is None else growing_figures(scenario)
        if part.figure not in known:
            near = did_you_mean(part.figure, known) or f"allowed: {', '.join(known) or 'none'}"
            problems.append(f"expect[{number}].figure: found {shown(part.figure)}; {near}")
    if problems:
        raise ScenarioError(source, problems)


def _module(scenario: Scenario, source: str, folder: Path) -> ModuleType | None:
    if scenario.explore is None:
        return None
    path = folder / scenario.explore.programs
    if not is_a_file(path):
        found = shown(scenario.explore.programs)
        problem = f"explore.programs: found {found}, allowed: a file of programs; {folder} has no such"
        raise ScenarioError(source, [problem])
    return _loaded_module(path, source, "explore.programs: ")


def _loaded_module(path: Path, source: str, where: str) -> ModuleType:
    try:
        return load_module(path)
    except ProgramNotFound as error:
        raise ScenarioError(source, [f"{where}{error}"]) from error


def document_of(place: Place) -> tuple[dict[str, Any], ModuleType | None]:
    """What a scenario says, as a TOML file does; and the module that declares it in Python. Raises ScenarioError."""
    if place.path.suffix != ".py":
        return _parse(place.path), None
    module = _loaded_module(place.path, str(place), "")
    declared = [value for value in vars(module).values() if isinstance(value, DeclaredScenario)]
    found = next((one for one in declared if one.name == place.name), None)
    if found is None:
        raise ScenarioError(str(place), [f"no scenario {shown(place.name)} is left when the file has been executed"])
    return _declared(found, str(place)), module


def _declared(declared: DeclaredScenario, source: str) -> dict[str, Any]:
    try:
        return declared.document()
    except WrongDeclaration as error:
        raise ScenarioError(source, [f"{declared.name}: {error}"]) from error
    except Exception as error:  # whatever a user's function raises
        raise ScenarioError(source, [f"{declared.name}{_raised(error, declared.file)}"]) from error


def _raised(error: Exception, file: str) -> str:
    """Where in a file an exception comes from, what it says, and the name that may be meant."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    known = dir(error.obj) if isinstance(error, AttributeError) else []
    near = did_you_mean(error.name or "", known) if isinstance(error, AttributeError) else ""
    return f"{f', line {lines[-1]}' if lines else ''}: {type(error).__name__}: {error}{f'; {near}' if near else ''}"


def _parse(path: Path) -> dict[str, Any]:
    source = str(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ScenarioError(source, ["not TOML: tables and lists stand too deep inside each other"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(source, [f"cannot be read: {error}"]) from error
    except ValueError as error:  # a TOMLDecodeError, or Python's own for a number of thousands of digits
        raise ScenarioError(source, [f"not TOML: {printable(error)}"]) from error


def _replace(document: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in overrides.items():
        *tables, last = key.split(".")
        table = document
        for name in tables:
            inner = table.setdefault(name, {})
            if not isinstance(inner, dict):
                return document  # the file is wrong there, which is said soon
            table = inner
        table[last] = value
    return document


def _at(document: dict[str, Any], key: str) -> Any:
    value: Any = document
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _validate(original: dict[str, Any], source: str, overrides: Mapping[str, Any], given: str) -> Scenario:
    """The scenario, checked. What is wrong is blamed on the options where the file alone is right."""
    if overrides:
        _validate(original, source, {}, "")
    document = _replace(copy.deepcopy(original), overrides)
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        problems = [_problem(document, dict(item)) for item in error.errors()]
        raise ScenarioError(given or source, problems) from error
    except RecursionError as error:
        raise ScenarioError(source, ["the whole file: tables stand too deep inside each other"]) from error


def _problem(document: dict[str, Any], error: dict[str, Any]) -> str:
    location = _key_path(document, error["loc"], missing=error["type"] == "missing")
    context = error.get("ctx", {})
    match error["type"]:
        case "unknown_key":
            near = did_you_mean(context["key"], context["allowed"].split(", "))
            said = f"; {near}" if near else f", allowed: {context['allowed']}"
            text = f"{_join(location, context['key'])}: unknown key{said}"
        case "wrong_key":
            text = f"{_join(location, context['key'])}: found {context['found']}, allowed: {context['allowed']}"
        case "missing":
            text = f"{location}: missing"
        case "union_tag_invalid":
            text = f"{location}.do: found {shown(context['tag'])}, allowed: {context['expected_tags']}"
        case "union_tag_not_found":
            text = f"{location}.do: missing; it says what the step does"
        case "value_error":
            text = f"{location or 'the whole file'}: {context['error']}"
        case _:
            may_be = error["msg"].removeprefix("Input should be ")
            near = did_you_mean(str(error["input"]), re.findall(r"'([^']*)'", context.get("expected", "")))
            said = f"found {shown(error['input'])}, allowed: {may_be}{f'; {near}' if near else ''}"
            text = f"{location or 'the whole file'}: {said}"
    return text


def shown(value: Any) -> str:
    """What was found, on one line and not too long."""
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than Python writes down
        text = "a number of thousands of digits"
    return printable(text, LONGEST_VALUE)


def _key_path(document: Any, location: tuple[int | str, ...], *, missing: bool) -> str:
    """The path as it stands in the file: pydantic's location names the kind of each step and union, too."""
    path, here = "", document
    for part in location:
        if isinstance(part, int) and isinstance(here, list):
            path, here = f"{path}[{part}]", here[part] if part < len(here) else None
        elif isinstance(here, dict) and (part in here or (missing and part == location[-1])):
            path, here = _join(path, str(part)), here.get(part)
    return path


def _join(path: str, key: str) -> str:
    key = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else shown(key)  # which is quoted in the file, too
    return f"{path}.{key}" if path else key


def _programs(
    key: str, parts: Sequence[WorkerPart | InterruptsPart], source: str, folder: Path
) -> list[ProgramFunction]:
    programs = []
    for index, part in enumerate(parts):
        try:
            programs.append(find_program(part.program, folder))
        except ProgramNotFound as error:
            raise ScenarioError(source, [f"{key}[{index}].program: {error}"]) from error
    return programs
