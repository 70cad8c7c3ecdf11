"""A setting made ready for the virtual engine: its code, the layout of its states, and the state it starts from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from percpu_emu.explore.compiled import compiled
from percpu_emu.kernel.layout import BOOT, CPU_ONLINE_MASK, CPU_POSSIBLE_MASK, STATIC, STATIC_WORDS, cpumask_of
from percpu_emu.lang import flow
from percpu_emu.lang.bytecode import Compiler
from percpu_emu.lang.checks import LABELS
from percpu_emu.lang.code import Code, Stretch
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.setting import ContextSpec, Setting
from percpu_emu.lang.virtual import layout, outcomes

Words = npt.NDArray[np.int64]
KINDS: Final = {"task": layout.TASK, "interrupt": layout.INTERRUPT, "offline": layout.OFFLINE, "kill": layout.KILL}
MAX_LOCAL: Final = 1 << 12
GROWS: Final = {
    outcomes.NO_CALLBACK: "callbacks",
    outcomes.NO_WORD: "words",
    outcomes.NO_REGION: "areas",
    outcomes.NO_TAKING: "takings",
    outcomes.NO_LOCK: "locks",
}
"""What a model needs more of, by the reason for which a step ran out of room."""


@dataclass(frozen=True)
class Limits:
    """How much room states have; a search that meets a limit begins anew with more."""

    callbacks: int = 2
    words: int = 48
    areas: int = 8
    objects: int = 8
    locks: int = 4
    """That a context may hold at a time."""
    takings: int = 64
    """Ways in which locks are taken."""

    def grown(self, reason: int) -> Limits:
        """More of what a step ran out of."""
        grow = GROWS[reason]
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values[grow] *= 2
        if grow == "areas":
            values["objects"] *= 2
        return Limits(**values)


@dataclass(frozen=True)
class Checks:
    """What is checked besides what every step is checked for."""

    total: ProgramFunction | None = None
    """`(counter)`: the counter's value with all slots; it has to be what the ledger says at the end."""
    left: int | None = None
    """How many regions may be allocated at the end."""
    exclusive: bool = False
    """Only a CPU itself writes its slots."""
    bound: int | None = None
    """How far a counter's twin may be from its ledger."""


class SetupFailed(ValueError):
    """The setup program of a setting breaks a rule, or does not end."""


@dataclass
class Model:
    """A setting in the virtual engine."""

    setting: Setting
    checks: Checks = field(default_factory=Checks)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        setting = self.setting
        self.compiler = Compiler(setting.constants)
        self._shared: dict[Any, Stretch] = {}
        stretches = [self._stretch(spec) for spec in setting.contexts]
        total = self.compiler.callback(self.checks.total) if self.checks.total else None
        queued: list[Stretch] = []
        while len(queued) < len(self.code.queued):
            queued.append(self.compiler.callback(self.code.queued[len(queued)]))
        flow.improve(self.code)
        self.queued = queued
        self.stretches = stretches
        self.total = total
        self.vm = self._vm()
        self.initial = self._initial()

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Everything on which the meaning of a schedule depends: programs, contexts, setup, memory at the start."""
        specs = [
            (spec.name, spec.kind, spec.cpu, spec.turns, spec.migrates, stretch.start)
            for spec, stretch in zip(self.setting.contexts, self.stretches, strict=True)
        ]
        start = sorted(self.words(self.initial).items())
        first = int(self.vm[layout.FIRST_REGION])
        regions = [int(word) for word in self.initial[first:] if word]
        failing = [self.setting.allocations_fail] if self.setting.allocations_fail else []
        return (
            self.code.rows,
            self.code.constants,
            self.setting.cpus,
            self.setting.nodes,
            specs,
            start,
            regions,
            *failing,
        )

    @property
    def code(self) -> Code:
        """The compiled programs."""
        return self.compiler.code

    @property
    def size(self) -> int:
        """Words of a state."""
        return int(self.vm[layout.STATE_WORDS])

    def _stretch(self, spec: ContextSpec) -> Stretch:
        own = self.setting.cpus if spec.cpu is None else spec.cpu
        arguments = tuple(own if argument == "cpu" else argument for argument in spec.arguments)
        down = spec.kind in ("offline", "kill")
        key = (spec.program, arguments, spec.turns, down)
        if key not in self._shared:
            self._shared[key] = self.compiler.task(spec.program, arguments, spec.turns, down)
        return self._shared[key]

    # --- layout

    def _vm(self) -> Words:
        code, limits, contexts = self.code, self.limits, len(self.setting.contexts)
        held = limits.locks if code.locking else 0
        callback_registers = max((stretch.registers for stretch in self.queued), default=0)
        checker = self.total.registers if self.total else 0
        registers = (
            [s.registers for s in self.stretches] + [max(1, callback_registers)] * limits.callbacks + [checker + 1]
        )
        blocks, at = [], layout.HEADER_WORDS
        for count in registers[:-1]:
            blocks.append(at)
            at += layout.REGISTERS + count + held
        state_words = at + limits.words + limits.areas + limits.objects
        blocks.append(state_words)  # the checker's block lies behind what is compared
        kinds = [KINDS[spec.kind] for spec in self.setting.contexts]
        kinds += [layout.CALLBACK] * limits.callbacks + [layout.TASK]
        targets = [spec.cpu if spec.home is None and spec.cpu is not None else -1 for spec in self.setting.contexts]
        table = 1 << max(6, (limits.words * 4 - 1).bit_length())
        header = {
            layout.CPUS: self.setting.cpus,
            layout.CONTEXTS: contexts,
            layout.MAX_CALLBACKS: limits.callbacks,
            layout.STATE_WORDS: state_words,
            layout.FIRST_WORD: at,
            layout.MAX_WORDS: limits.words,
            layout.FIRST_REGION: at + limits.words,
            layout.MAX_AREAS: limits.areas,
            layout.MAX_OBJECTS: limits.objects,
            layout.EXCLUSIVE: int(self.checks.exclusive),
            layout.ONLINE_MASK: CPU_ONLINE_MASK,
            layout.TOTAL_ENTRY: self.total.start if self.total else -1,
            layout.LEFT: -1 if self.checks.left is None else self.checks.left,
            layout.BOUND: -1 if self.checks.bound is None else self.checks.bound,
            layout.CHECKER: contexts + limits.callbacks,
            layout.HASH_MASK: table - 1,
            layout.NODES: self.setting.nodes,
            layout.HELD_LOCKS: held,
            layout.MAX_TAKINGS: limits.takings,
            layout.KERNEL_FIRST: BOOT,
            layout.KERNEL_END: STATIC + STATIC_WORDS,
        }
        parts = {
            layout.CODE: [value for row in code.rows for value in row],
            layout.CONSTANTS: code.constants,
            layout.LIVE_MASKS: flow.live_masks(code),
            layout.ENTRIES: [s.start for s in self.queued],
            layout.BLOCKS: blocks,
            layout.REGISTER_COUNTS: registers,
            layout.KINDS: kinds,
            layout.TARGETS: [*targets, *[-1] * (limits.callbacks + 1)],
            layout.KEYS: [layout.EMPTY] * table,
            layout.INDICES: [0] * table,
            layout.ADDRESSES: [0] * limits.words,
            layout.LOG: [0] * layout.LOG_WORDS,
            layout.REMOTE: [0] * limits.words,
            layout.MARKS: [0] * max(1, len(code.marks)),
            layout.LOCKING: [_locking(code, row) for row in range(len(code.rows))],
            layout.TAKINGS: [0] * ((limits.takings + 1) * (layout.TAKING_HELD + held)),
            layout.SCRATCH: [0] * (layout.REGISTERS + max(registers)),
        }
        return flat(header, parts, layout.VM_HEADER)

    @property
    def buffer_words(self) -> int:
        """Words of a buffer in which a state is worked on: the checker's block comes behind it."""
        return (
            self.size
            + layout.REGISTERS
            + int(self.vm[self.vm[layout.REGISTER_COUNTS] + self.vm[layout.CHECKER]] + self.vm[layout.HELD_LOCKS])
        )

    # --- the first state

    def _initial(self) -> Words:
        state = np.zeros(self.buffer_words, dtype=np.int64)
        state[layout.ONLINE] = (1 << self.setting.cpus) - 1
        state[layout.FAILURES] = self.setting.allocations_fail
        self._boot_masks(state)
        if self.setting.setup is not None:
            self._set_up(state)
        for number, (spec, stretch) in enumerate(zip(self.setting.contexts, self.stretches, strict=True)):
            base = self.block(number)
            state[base + layout.PC] = stretch.start
            state[base + layout.CPU] = 0 if spec.home is None else spec.home + 1
            state[base + layout.MIGRATIONS] = spec.migrates
            waiting = spec.kind == "interrupt"
            state[base + layout.STATUS] = layout.WAITING if waiting else layout.RUNNING
            if compiled().compute(self.vm, state, number) != outcomes.DONE:
                raise SetupFailed(f"{spec.name}: before its first operation it has no result, or goes on for ever")
        return state[: self.size].copy()

    def _boot_masks(self, state: Words) -> None:
        everyone = (1 << self.setting.cpus) - 1
        masks = {CPU_POSSIBLE_MASK: everyone, CPU_ONLINE_MASK: everyone}
        masks |= {cpumask_of(cpu): 1 << cpu for cpu in range(self.setting.cpus)}
        for address, mask in masks.items():
            state[self.vm[layout.FIRST_WORD] + compiled().make_word(self.vm, address)] = mask

    def _set_up(self, state: Words) -> None:
        """Run the setup in a model of its own, which has the same memory, and take its words and regions over."""
        assert self.setting.setup is not None
        alone = Setting(
            self.setting.cpus,
            (ContextSpec("setup", self.setting.setup),),
            None,
            self.setting.constants,
            self.setting.nodes,
        )
        model = Model(alone, limits=self.limits)
        found = model.initial.copy()
        buffer = np.zeros(model.buffer_words, dtype=np.int64)
        buffer[: model.size] = found
        for _ in range(MAX_LOCAL):
            if compiled().blocked(model.vm, buffer, 0):
                break
            violated = compiled().step(model.vm, buffer, 0)
            if violated < 0:
                raise OutOfRoom(violated)
            if violated:
                raise SetupFailed(f"{self.setting.setup.__name__}: {LABELS[violated]} in the setup")
        if buffer[model.block(0) + layout.STATUS] != layout.OVER:
            raise SetupFailed(f"{self.setting.setup.__name__}: it waits, or does not end")
        callbacks = range(1, 1 + self.limits.callbacks)
        if any(buffer[model.block(callback) + layout.STATUS] != layout.UNUSED for callback in callbacks):
            raise SetupFailed(f"{self.setting.setup.__name__}: what it queues would run after it, which no setup can")
        here, there = self.vm, model.vm
        for word in range(int(model.vm[layout.WORD_COUNT])):
            mine = compiled().make_word(self.vm, model.address(word))
            state[here[layout.FIRST_WORD] + mine] = buffer[there[layout.FIRST_WORD] + word]
        regions = self.limits.areas + self.limits.objects
        first, theirs = here[layout.FIRST_REGION], there[layout.FIRST_REGION]
        state[first : first + regions] = buffer[theirs : theirs + regions]
        state[layout.AREAS : layout.OBJECTS + 1] = buffer[layout.AREAS : layout.OBJECTS + 1]
        state[layout.ONLINE] = buffer[layout.ONLINE]

    # --- reading a state

    def block(self, context: int) -> int:
        """Where a context's block begins in a state."""
        return int(self.vm[self.vm[layout.BLOCKS] + context])

    def address(self, word: int) -> int:
        """The address of a word of the state."""
        return int(self.vm[self.vm[layout.ADDRESSES] + word])

    def words(self, state: Words) -> dict[int, int]:
        """The words of memory that are not 0, by address."""
        return {a: v for a, v in self._values(state) if a < layout.ENTERED}

    def ledgers(self, state: Words) -> dict[int, int]:
        """What is entered in the ledger, by the counter's address."""
        return {a - layout.LEDGER: v for a, v in self._values(state) if a >= layout.LEDGER}

    def counters(self) -> list[int]:
        """The counters that have a ledger, also one whose entries sum up to 0."""
        first, count = int(self.vm[layout.ADDRESSES]), int(self.vm[layout.WORD_COUNT])
        return sorted(a - layout.LEDGER for a in self.vm[first : first + count].tolist() if a >= layout.LEDGER)

    # --- what was learned of all states

    def remote_words(self, vm: Words | None = None) -> list[int]:
        """Copies of CPUs that contexts elsewhere have written, by address; of another array `vm` of this model."""
        vm = self.vm if vm is None else vm
        count, flags, addresses = (int(vm[at]) for at in (layout.WORD_COUNT, layout.REMOTE, layout.ADDRESSES))
        return sorted(vm[addresses : addresses + count][vm[flags : flags + count] == 1].tolist())

    def know_remote(self, addresses: Iterable[int]) -> None:
        """Offer the halves of read-modify-writes of these words."""
        for address in sorted(addresses):
            word = int(compiled().make_word(self.vm, address))
            if word < 0:
                raise OutOfRoom(outcomes.NO_WORD)
            self.vm[self.vm[layout.REMOTE] + word] = 1
            self.vm[layout.NEWS] = 2

    def marks(self, vm: Words | None = None) -> frozenset[str]:
        """The marks that were reached."""
        vm = self.vm if vm is None else vm
        return frozenset(name for number, name in enumerate(self.code.marks) if vm[vm[layout.MARKS] + number])

    def results(self, state: Words) -> tuple[int, ...]:
        """What the last turn of each context of the setting gave."""
        return tuple(int(state[self.block(n) + layout.RESULT]) for n in range(len(self.setting.contexts)))

    def _values(self, state: Words) -> Sequence[tuple[int, int]]:
        first = int(self.vm[layout.FIRST_WORD])
        count, addresses = int(self.vm[layout.WORD_COUNT]), int(self.vm[layout.ADDRESSES])
        where = self.vm[addresses : addresses + count].tolist()
        pairs = zip(where, state[first : first + count].tolist(), strict=True)
        return [(address, value) for address, value in pairs if value]


def _locking(code: Code, row: int) -> int:
    """What a row does to a lock, as LOCKING has it."""
    if row not in code.locking:
        return 0
    locking, _ = code.locking[row]
    return locking.offset << layout.EFFECT_BITS | locking.effect


class OutOfRoom(Exception):
    """A step ran out of room (`Limits.grown(reason)`)."""

    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


def flat(header: Mapping[int, int], parts: Mapping[int, Sequence[int]], size: int) -> Words:
    """One array of a header of `size` words, in which stands where each part begins, and the parts."""
    values = [header.get(at, 0) for at in range(size)]
    for where, part in parts.items():
        values[where] = len(values)
        values += part
    return np.array(values, dtype=np.int64)
