"""A scenario's `explore` table as a setting: contexts with their programs, the checks, the names of words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, NoReturn

from percpu_emu.explore.model import Checks
from percpu_emu.explore.subject import After, Subject
from percpu_emu.kernel.layout import STATIC, STATIC_WORDS
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.naming import naming_of
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import MAX_CONTEXTS, MAX_CPUS, ContextSpec, Setting
from percpu_emu.lang.source import called, is_operation, is_program, steps_by_name
from percpu_emu.lang.structures import Struct, names_of_static, words_of
from percpu_emu.scenario.finding import shipped
from percpu_emu.scenario.load import Loaded, ScenarioError, shown
from percpu_emu.scenario.schema import ContextPart, ExplorePart
from percpu_emu.scenario.wording import allowed, did_you_mean, plural


def subject_of(loaded: Loaded, turns: int | None = None) -> Subject:
    """What a scenario has to explore; `turns` instead of those of its tasks that have more than one.

    Raises ScenarioError where it has nothing, or names what is not in its file of programs.
    """
    scenario, part, module = loaded.scenario, loaded.scenario.explore, loaded.module
    if part is None or module is None:
        raise ScenarioError(loaded.source, ["it has no table explore: it is for `percpu-emu run`"])
    if scenario.machine.cpus > MAX_CPUS:
        problem = f"machine.cpus: found {scenario.machine.cpus}, allowed for explore: at most {MAX_CPUS}"
        raise ScenarioError(loaded.blamed("machine.cpus"), [problem])
    names = _Names(loaded.source, part, module)
    contexts = [spec for context in part.contexts for spec in _specs(names, context, scenario.machine.cpus, turns)]
    if len(contexts) > MAX_CONTEXTS:
        problem = f"explore.contexts: found {len(contexts)} with all their CPUs, allowed: at most {MAX_CONTEXTS}"
        raise ScenarioError(loaded.blamed("machine.cpus"), [problem])
    bound = None if part.bound is None else part.bound * scenario.machine.cpus
    setting = Setting(
        scenario.machine.cpus,
        tuple(contexts),
        names.program("setup", 0),
        part.constants,
        scenario.machine.nodes,
        part.allocations_fail,
    )
    if part.expect is not None and part.expect not in LABELS[1:]:
        problem = f"explore.expect: found {shown(part.expect)}, {allowed(part.expect, LABELS[1:])}"
        raise ScenarioError(loaded.source, [problem])
    programs = [spec.program for spec in contexts]
    everything = [*programs, *filter(None, (setting.setup, names.program("total", 1)))]
    names.refuse_unknown_constants(everything)
    naming = naming_of(setting.setup, programs)
    return Subject(
        name=scenario.name,
        setting=setting,
        checks=Checks(names.program("total", 1), part.left, part.exclusive, bound),
        summary=scenario.summary,
        names={**names.of_static_objects(everything), **naming.names, **_word_names(module)},
        naming=naming,
        sometimes=tuple(part.sometimes),
        final=names.function("final"),
        invariant=names.function("invariant"),
        after=names.after(programs),
        fair=part.progress == "fair",
        expect=part.expect,
        missing=part.missing,
        turns=None if turns is None else tuple(spec.turns for spec in contexts),
        file="" if loaded.source in {str(entry.place) for entry in shipped().values()} else loaded.source,
        cpus=scenario.machine.cpus if "machine.cpus" in loaded.changed else None,
    )


def _specs(names: _Names, part: ContextPart, cpus: int, turns: int | None) -> Iterator[ContextSpec]:
    program = names.of_context(part)
    turns = turns if turns is not None and part.turns > 1 else part.turns
    where: list[int] = list(range(cpus)) if part.cpus == "all" else [cpu for cpu in part.cpus if isinstance(cpu, int)]
    label = part.name or part.program
    if not where:
        yield ContextSpec(label, program, "task", None, tuple(part.args), turns)
    for cpu in where:
        kind = "" if part.kind == "task" else f"{part.kind} "
        yield ContextSpec(
            f"{kind}{label} on CPU {cpu}", program, part.kind, cpu, tuple(part.args), turns, part.migrates
        )


class _Names:
    """Looks up what a scenario names in its file of programs."""

    def __init__(self, source: str, part: ExplorePart, module: ModuleType) -> None:
        self._source = source
        self._part = part
        self._module = module

    def program(self, key: str, arguments: int) -> ProgramFunction | None:
        """The program that a key names, None if the key is not given."""
        name = getattr(self._part, key)
        return None if name is None else self._program(f"explore.{key}", name, arguments)

    def of_context(self, part: ContextPart) -> ProgramFunction:
        """A context's program."""
        number = self._part.contexts.index(part)
        return self._program(f"explore.contexts[{number}].program", part.program, len(part.args))

    def refuse_unknown_constants(self, programs: Sequence[ProgramFunction]) -> None:
        """Raise ScenarioError for a constant that no program knows: it would change nothing."""
        reached = dict.fromkeys(part for program in programs for part in called(program, and_queued=True))
        modules = [vars(self._module), *(program.__globals__ for program in reached)]
        known = {name for names in modules for name, value in names.items() if type(value) is int}
        for name in self._part.constants:
            if name not in known:
                near = did_you_mean(name, known) or "allowed: an int of a module that its programs are in"
                raise ScenarioError(self._source, [f"explore.constants.{name}: no such constant; {near}"])

    def of_static_objects(self, programs: Sequence[ProgramFunction]) -> dict[int, str]:
        """Names of the words of static objects. Raises ScenarioError where those of two modules share words."""
        reached = [part for program in programs for part in called(program, and_queued=True)]
        scopes = [vars(self._module), *(program.__globals__ for program in reached)]
        objects = {
            name: value for scope in reversed(scopes) for name, value in scope.items() if isinstance(value, Struct)
        }
        owners: dict[int, Struct] = {}
        for name, value in objects.items():
            for word in range(value, value + words_of(type(value))):
                if owners.setdefault(word, value) is not value:
                    problem = (
                        f"explore.programs: {name} shares words with static data of another module: one may have it"
                    )
                    raise ScenarioError(self._source, [problem])
        return names_of_static(objects)

    def function(self, key: str) -> Callable[[Any], str | None] | None:
        """The Python function that a key names, None if the key is not given."""
        name = getattr(self._part, key)
        return None if name is None else self._function(f"explore.{key}", name)

    def after(self, programs: Sequence[ProgramFunction]) -> tuple[After, ...]:
        """The checks right after steps. Raises ScenarioError for a name that fits no step of the contexts."""
        reached = dict.fromkeys(part for program in programs for part in called(program, and_queued=True))
        steps = steps_by_name(reached) if self._part.after else {}
        for step in self._part.after:
            if step not in steps:
                names = [name for name in steps if name.rpartition(":")[2].isdecimal() or ":" not in name]
                problem = f"explore.after: found {shown(step)}, {allowed(step, names, ', or PROGRAM:OPERATION')}"
                raise ScenarioError(self._source, [problem])
        return tuple(
            After(step, frozenset(steps[step]), self._function(f"explore.after.{step}", name))
            for step, name in self._part.after.items()
        )

    def _function(self, key: str, name: str) -> Callable[[Any], str | None]:
        function = getattr(self._module, name, None)
        of_the_language = is_program(function) or is_operation(function)
        if not inspect.isfunction(function) or of_the_language or function.__code__.co_argcount != 1:
            self._refuse(key, name, "a Python function (state) -> what is wrong, or None")
        checked: Callable[[Any], str | None] = function
        return checked

    def _program(self, key: str, name: str, arguments: int) -> ProgramFunction:
        function = getattr(self._module, name, None)
        if function is None or not is_program(function):
            here = [n for n, value in vars(self._module).items() if is_program(value)]
            self._refuse(key, name, f"a program of {self._part.programs}: {', '.join(here)}")
        program: ProgramFunction = function
        if program.__code__.co_argcount != arguments:
            wants = program.__code__.co_argcount
            self._refuse(key, name, f"a program with {plural(arguments, 'parameter')}, and this one has {wants}")
        return program

    def _refuse(self, key: str, found: str, allowed: str) -> NoReturn:
        raise ScenarioError(self._source, [f"{key}: found {shown(found)}, allowed: {allowed}"])


def _word_names(module: ModuleType) -> dict[int, str]:
    """The static words of a file of programs by their constants' names, and what it says of further addresses."""
    static = range(STATIC, STATIC + STATIC_WORDS)
    names = {v: n.lower() for n, v in vars(module).items() if n.isupper() and type(v) is int and v in static}
    return names | dict(getattr(module, "NAMES", {}))
