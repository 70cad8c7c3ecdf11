"""Writes random small settings: programs of a few operations that race for a few words, as the text of a module."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang.setting import ContextSpec, Setting

from .writer_hotplug import add_hotplug, has_hotplug, is_mixed
from .writer_pairs import SORTS
from .writer_pieces import FAILING, HEAD, PLAIN, SHARES, Piece

if TYPE_CHECKING:
    from types import ModuleType

SLEEPS: Final = ("wait_until", "rcu_barrier", "synchronize_rcu", "lock_asleep")
OWN: Final = ("this_cpu", "SLOT, 0")


@dataclass(frozen=True)
class Written:
    """A random setting, before its module is made."""

    text: str
    contexts: tuple[dict[str, Any], ...]
    checks: dict[str, Any]
    """Besides what is always checked: `total`, `left`, `bound`, `exclusive`."""
    cpus: int
    allocations_fail: int = 0

    def setting(self, module: ModuleType) -> Setting:
        """The setting, with the programs of the module."""
        contexts = [dict(context) for context in self.contexts]
        specs = [ContextSpec(f"c{n}", getattr(module, c.pop("program")), **c) for n, c in enumerate(contexts)]
        return Setting(self.cpus, tuple(specs), module.setup, allocations_fail=self.allocations_fail)

    def checked(self, module: ModuleType) -> dict[str, Any]:
        """What is checked, as arguments of `oracle.reachable` and of `Checks`."""
        return self.checks | ({"total": module.total} if "total" in self.checks else {})


def write(seed: int) -> Written:
    """The setting of that seed."""
    return _Writer(random.Random(seed), random.Random(f"failures {seed}")).written(seed)


class _Writer:
    """One setting: contexts, then a program for each, then what is checked."""

    def __init__(self, chance: random.Random, of_failures: random.Random) -> None:
        self._chance = chance
        self._of_failures = of_failures
        self._cpus = chance.choice([1, 2, 2, 2, 2, 2, 3])
        self._count = chance.choice([2, 2, 2, 3, 3, 4])
        self._contexts = [self._context(number) for number in range(self._count)]

    def written(self, seed: int) -> Written:
        sizes = {2: [1, 2, 3], 3: [1, 1, 2], 4: [0, 1, 1]}[self._count]
        pieces = [[self._piece(self._any(), number) for _ in range(self._chance.choice(sizes))] for number in self._all]
        if self._chance.random() < 0.7 or not any(pieces):
            self._add_pair(pieces)
        failures = self._of_failures.choice([0, 1] if is_mixed(seed) else [0, 0, 0, 0, 1, 2])
        if failures:
            into = self._of_failures.choice([some for some in pieces if some])
            into[self._of_failures.randrange(len(into))] = list(self._of_failures.choice(FAILING))
        head = HEAD.replace("{small}", self._chance.choice(["8", "12"])).replace("{cpus}", str(self._cpus))
        if has_hotplug(seed):
            awake = [
                lines for lines, spec in zip(pieces, self._contexts, strict=True) if spec.get("kind") != "interrupt"
            ]
            head = add_hotplug(seed, awake or pieces, head, self._cpus)
        programs = [_program(number, [line for piece in pieces[number] for line in piece]) for number in self._all]
        return Written("\n\n".join([head, *programs]), tuple(self._contexts), self._checks(), self._cpus, failures)

    def _add_pair(self, pieces: list[list[list[str]]]) -> None:
        numbers, pair = self._chance.sample(self._all, 2), self._chance.choice(self._chance.choice(SORTS))
        for number, other, piece in zip(numbers, reversed(numbers), pair, strict=True):
            cpu = str(self._contexts[other]["cpu"] or 0)
            meeting = tuple(line.replace("{c}", cpu) for line in piece)
            pieces[number].insert(self._chance.randint(0, len(pieces[number])), self._piece(meeting, number))

    @property
    def _all(self) -> range:
        return range(self._count)

    def _checks(self) -> dict[str, Any]:
        checks: dict[str, Any] = {}
        if self._chance.random() < 0.5:
            checks["total"] = "total"
        if self._chance.random() < 0.1:
            checks["left"] = self._chance.choice([2, 3, 4])
        if self._chance.random() < 0.1:
            checks["bound"] = self._chance.choice([0, 1, 2])
        if self._chance.random() < 0.05:
            checks["exclusive"] = True
        return checks

    def _context(self, number: int) -> dict[str, Any]:
        chance = self._chance
        cpu = chance.choice([0, 0, 0, self._cpus - 1, self._cpus - 1, None])
        argument = chance.choice(["cpu", "turn", 1, 2])
        spec: dict[str, Any] = {"program": f"p{number}", "cpu": cpu, "arguments": (argument,)}
        roll = chance.random()
        if cpu is not None and roll < 0.15:
            spec["kind"] = "interrupt"
        elif cpu is not None and roll < 0.27 and number > 0:
            spec |= {"kind": chance.choice(["offline", "kill"]), "arguments": (cpu,)}
            spec["program"] = chance.choice(["down", "down", f"p{number}"])
        elif cpu is not None and roll < 0.37:
            spec["migrates"] = 1
        elif roll < 0.42:
            spec["turns"] = 2
        return spec

    # --- programs

    def _any(self) -> Piece:
        sorts, shares = zip(*SHARES, strict=True)
        (sort,) = self._chance.choices(sorts, shares)
        piece: Piece = self._chance.choice(sort)
        return piece

    def _piece(self, piece: Piece, number: int, depth: int = 0) -> list[str]:
        """The lines of a piece, or of another one where it does not suit the context."""
        context = self._contexts[number]
        while not self._suits(piece, context, inside=depth > 0):
            piece = self._any()
        lines: list[str] = []
        for template in piece:
            if template.strip() == "{inner}":
                indent = template[: len(template) - len(template.lstrip())]
                inner = self._piece(self._any(), number, depth + 1) if depth == 0 else [self._filled(PLAIN)]
                lines += [indent + line for line in inner]
            else:
                lines.append(self._filled(template))
        return lines

    def _suits(self, piece: Piece, context: dict[str, Any], *, inside: bool) -> bool:
        """What runs on no CPU has no copy of its own; sections and interrupts do not sleep. Mostly, that is."""
        if self._chance.random() < 0.03:
            return True
        text = "\n".join(piece)
        on_cpu = context["cpu"] is not None and context.get("kind") not in ("offline", "kill")
        if not on_cpu and any(word in text for word in OWN):
            return False
        atomic = inside or context.get("kind") == "interrupt"
        return not (atomic and any(word in text for word in SLEEPS))

    def _filled(self, template: str) -> str:
        chance = self._chance
        values = {
            "{w}": chance.choice("1123"),
            "{n}": chance.choice("001122t"),
            "{o}": chance.choice("00001111112") if chance.random() < 0.5 else "1",
            "{cpus}": str(self._cpus),
            "{s}": chance.choice(["1", "8", "12", "16", "4096"]),
        }
        for name, value in values.items():
            template = template.replace(name, value)
        return template


def _program(number: int, body: list[str]) -> str:
    lines = ["x = 0", *body, "yield smp_mb()", "return x"]
    return "\n".join([f"def p{number}(t):", *[f"    {line}" for line in lines]])
