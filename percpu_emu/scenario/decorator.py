"""`@scenario`: a scenario in the Python file of its programs, with the keys of the TOML form.

    @scenario(cpus=2, setup=setup, total=total, left=0, expect="lost-count")
    def flush_then_swap(m: Contexts) -> None:
        \"\"\"The slots are flushed before updates are turned to the atomic twin.

        What it is about, in prose.
        \"\"\"
        m.task(update, cpu=0)
        m.task(release)

The function's name is the scenario's, its first line of documentation the summary. Both forms are checked by the same
schema.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, TypedDict, Unpack

from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import Argument
from percpu_emu.scenario.wording import did_you_mean

Cpus = int | Sequence[int] | Literal["all"] | None
"""Where a context runs: a CPU, one context on each of several, or None: a task of the coordinator."""


class Keys(TypedDict, total=False):
    """What a scenario may say, by the names of the TOML form (`scenario.schema`). Programs stand for their names."""

    name: str
    cpus: int
    nodes: int
    setup: ProgramFunction
    constants: Mapping[str, int]
    total: ProgramFunction
    left: int
    bound: int
    allocations_fail: int
    exclusive: bool
    sometimes: Sequence[str]
    final: Callable[[Any], str | None]
    invariant: Callable[[Any], str | None]
    after: Mapping[str, Callable[[Any], str | None]]
    progress: Literal["possible", "fair"]
    expect: str
    missing: str
    seed: int
    seconds: float
    observe: Sequence[ProgramFunction]
    outcomes: Sequence[Mapping[str, str]]
    faults: Mapping[str, Any]


SESSION: Final = "this session"
"""In the place of a file's path: what was typed at a prompt or in a notebook's cell."""
KEYS_OF_MACHINE: Final = frozenset({"cpus", "nodes"})
KEYS_OF_TOP: Final = frozenset({"name", "seed", "seconds", "observe", "outcomes", "faults"})
"""Keys of the table machine, and of the file's top; all others are of the table explore."""


class Contexts:
    """Collects the contexts of a scenario. Arguments are numbers, "cpu" (its own) or "turn" (from 0)."""

    def __init__(self) -> None:
        self.tables: list[dict[str, Any]] = []

    def task(
        self,
        program: ProgramFunction,
        *args: Argument,
        cpu: Cpus = None,
        name: str | None = None,
        turns: int = 1,
        migrates: int = 0,
    ) -> None:
        """A task: `turns` times the program; it may move to another CPU `migrates` times."""
        self._add("task", program, args, cpu, name=name, turns=turns, migrates=migrates)

    def interrupt(self, program: ProgramFunction, *args: Argument, cpu: Cpus, name: str | None = None) -> None:
        """An interrupt, which may come at any moment."""
        self._add("interrupt", program, args, cpu, name=name)

    def offline(self, program: ProgramFunction, *args: Argument, cpu: Cpus, name: str | None = None) -> None:
        """A CPU goes down; then the program runs."""
        self._add("offline", program, args, cpu, name=name)

    def kill(self, program: ProgramFunction, *args: Argument, cpu: Cpus, name: str | None = None) -> None:
        """The same at any moment, in the middle of what the CPU does."""
        self._add("kill", program, args, cpu, name=name)

    def _add(
        self, kind: str, program: ProgramFunction, args: Sequence[Argument], cpu: Cpus, **keys: str | int | None
    ) -> None:
        if inspect.isgenerator(program):
            raise WrongDeclaration(f"m.{kind}: a program is named and not called, and its arguments follow the name")
        cpus = [] if cpu is None else [cpu] if isinstance(cpu, int) else cpu if cpu == "all" else list(cpu)
        given = [int(argument) if isinstance(argument, int) else argument for argument in args]
        table = {"program": program, "kind": kind, "cpus": cpus, "args": given, **keys}
        self.tables.append({key: value for key, value in table.items() if value is not None})


class WrongDeclaration(ValueError):
    """`@scenario` or the body of its function says what there is not."""


def _refuse_wrong(keys: Mapping[str, Any]) -> None:
    for key, value in keys.items():
        if key not in Keys.__annotations__:
            near = did_you_mean(key, Keys.__annotations__)
            said = f"; {near}" if near else f", allowed: {', '.join(Keys.__annotations__)}"
            raise WrongDeclaration(f"@scenario({key}=...): unknown key{said}")
        if inspect.isgenerator(value):
            raise WrongDeclaration(f"@scenario({key}=...): a program is named there, and not called")


@dataclass(frozen=True)
class DeclaredScenario:
    """What `@scenario` makes of a function."""

    function: Callable[[Contexts], None]
    keys: Mapping[str, Any] = field(hash=False)

    @property
    def name(self) -> str:
        """The scenario's name: the function's, with dashes, unless it is given."""
        return str(self.keys.get("name", dashed(self.function.__name__)))

    @property
    def file(self) -> str:
        """The path of the file that declares it."""
        return inspect.getsourcefile(self.function) or "<unknown>"

    @property
    def is_in_a_session(self) -> bool:
        """Whether it was declared at a prompt or in a notebook's cell, and no file holds it."""
        return not Path(self.file).is_file()

    @property
    def module(self) -> ModuleType:
        """What stands beside it now, its programs among that, as a module."""
        module = ModuleType(self.function.__module__)
        vars(module).update(self.function.__globals__)
        return module

    def document(self) -> dict[str, Any]:
        """What a TOML file of the scenario holds."""
        summary, description = told(inspect.getdoc(self.function))
        contexts = Contexts()
        self.function(contexts)
        _refuse_wrong(self.keys)
        top = {"name": self.name, "summary": summary, "description": description}
        programs = SESSION if self.is_in_a_session else Path(self.file).name
        document: dict[str, Any] = {
            **top,
            "machine": {},
            "explore": {"programs": programs, "contexts": self._plain(contexts.tables)},
        }
        for key, value in self.keys.items():
            table = document if key in KEYS_OF_TOP else document["machine" if key in KEYS_OF_MACHINE else "explore"]
            table[key] = self._plain(value)
        return document

    def _plain(self, value: Any) -> Any:
        """A value as TOML has it; functions are their names in the module, which need not be their own."""
        if isinstance(value, Mapping):
            return {key: self._plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(inner) for inner in value]
        if not callable(value):
            return value
        names = [name for name, held in self.function.__globals__.items() if held is value]
        here = self.function.__globals__
        if not names and _name_of(value) in here and getattr(value, "__globals__", here) is not here:
            raise ValueError(f"{_name_of(value)}: the program of that name in {Path(self.file).name} is another one")
        return names[0] if names else _name_of(value)


def scenario(**keys: Unpack[Keys]) -> Callable[[Callable[[Contexts], None]], DeclaredScenario]:
    """Declare the scenario whose contexts the decorated function gives."""
    return lambda function: DeclaredScenario(function, keys)


def dashed(name: str) -> str:
    """A function's name as a scenario's."""
    return name.replace("_", "-").strip("-")


def told(documentation: str | None) -> tuple[str, str]:
    """A function's documentation as a scenario's summary and description."""
    summary, _, description = (documentation or "").partition("\n")
    return summary.removesuffix("."), description.strip()


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", function))
