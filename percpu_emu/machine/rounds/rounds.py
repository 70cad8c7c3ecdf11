"""Rounds: a machine whose processes are processes, all let off at the same time, again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from percpu_emu.kernel.layout import BOOT, CPU_POSSIBLE_MASK, MASK_WORDS, STATIC, STATIC_WORDS
from percpu_emu.kernel.profile import KernelProfile
from percpu_emu.kernel.protocols import PROTOCOLS
from percpu_emu.lang import context as c
from percpu_emu.lang.service import ProgramFault
from percpu_emu.lang.setting import FIRST_OBJECT, MAX_CONTEXTS, OBJECT_WORDS
from percpu_emu.machine.config import MachineConfig
from percpu_emu.machine.cpu import Ending
from percpu_emu.machine.events import EventStream
from percpu_emu.machine.faults import Fault
from percpu_emu.machine.machine import Machine, Trapped
from percpu_emu.machine.memory import PAGE_WORDS, Topology
from percpu_emu.machine.recording import CALLBACK, Recorded, Rings
from percpu_emu.machine.rounds.ending import EndState
from percpu_emu.machine.rounds.image import GO, PROCESS, RESULTS, TOKENS, RoundImage, process
from percpu_emu.machine.rounds.regions import Regions
from percpu_emu.machine.rounds.watching import RoundFailed, Watcher
from percpu_emu.machine.signals import signals
from percpu_emu.shm import PAGE_SIZE, WORD_SIZE
from percpu_emu.shm.mapping import forbid

MAX_REGIONS: Final = 64
"""Areas, and objects, that a round may allocate."""


@dataclass
class Rounds:
    """Rounds on a machine of their own; a context manager. A round is `begin`, `run`, any checks, `end`."""

    image: RoundImage
    profile: KernelProfile
    nodes: int
    events: EventStream
    faults: Sequence[Fault] = ()
    chaos: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    """What words are called, by address or per-CPU pointer."""
    patience: float = 10.0
    """Seconds after which a round is given up."""
    count: int = 0
    """How many have begun."""

    def __post_init__(self) -> None:
        spread = Topology.spread(self.image.setting.cpus, self.nodes).cpus_per_node
        more = len(self.image.processes) + 1 - self.image.setting.cpus  # one whose ledger is the coordinator's
        topology = Topology((*spread[:-1], spread[-1] + more))  # those of the coordinator are CPUs that no mask shows
        self._percpu: Any = None
        self._slab: Any = None
        self._rings = Rings(len(self.image.processes) + 1 + len(self.image.interrupted))
        config = MachineConfig(
            topology,
            self.profile,
            PROTOCOLS["patched"],
            stall_seconds=self.patience,
            image=self.image,
            faults=self.faults,
            chaos=self.chaos,
            traps=True,
        )
        try:
            self.machine = Machine(config, self.events)
        except BaseException:
            self._rings.close()
            raise
        memory: Any = self.machine.memory
        self._bases = memory.context(memory.coordinator).bases()
        areas = min(memory.layout.unit_pages - 1, MAX_REGIONS)
        try:
            asks = self._who, lambda: self.machine.requester
            self._percpu = memory.percpu = Regions("per-CPU area", OBJECT_WORDS, areas, self._places, *asks)
            self._slab = memory.slab = Regions("object", FIRST_OBJECT, MAX_REGIONS, self._object_places, *asks)
            self._watcher = Watcher(self.machine, self.image, self._rings, self.names, [self._percpu, self._slab])
            self._forbid_the_rest()
        except BaseException:
            self._close()
            raise
        self._ledgers: dict[int, list[Any]] = {}
        self._commands: dict[int, int] = {}
        self._ring_of = {number: number for number in self.image.working} | {
            memory.coordinator: len(self.image.processes)
        }
        self._noted: set[int] = set()

    def __enter__(self) -> Self:
        cpus, memory, processes = self.image.setting.cpus, self.machine.memory, self.image.processes
        try:
            self.machine.__enter__()
        except BaseException:
            self._close()
            raise
        self._rings.set_context(len(processes), CALLBACK)
        memory.blocks[memory.coordinator, c.COORDINATORS_LEDGER] = memory.context(len(processes)).ledger
        memory.set_online(range(cpus))
        memory.header[c.NR_CPU_IDS] = cpus
        memory.header[c.TOKENS] = self._rings.word(TOKENS)
        memory.words[CPU_POSSIBLE_MASK : CPU_POSSIBLE_MASK + MASK_WORDS] = 0
        memory.words[CPU_POSSIBLE_MASK] = (1 << cpus) - 1
        self._boot = memory.words[BOOT : STATIC + STATIC_WORDS].copy()
        self.machine.attend(self._watcher)
        for number, at in enumerate(processes):
            self._rings.words[PROCESS + number * 8 + 2] = -1 if at.cpu is None else at.cpu
            if at.cpu is not None and at.interrupts:
                memory.blocks[number, c.INTERRUPT] = memory.block_address(memory.interrupt(at.cpu))
                memory.blocks[number, c.IRQ_HANDLER] = self.image.module.handler.address
                memory.blocks[number, c.IRQ_TABLE] = self._rings.word(GO)
        for place, cpu in enumerate(self.image.interrupted):
            self._ring_of[memory.interrupt(cpu)] = len(processes) + 1 + place
        for number in self.image.working:
            self._commands[number] = self.machine.cpus.run(number, process, number, self._rings.word(0))
        return self

    def __exit__(self, *_: object) -> None:
        signals().publish(self._rings.word(GO), -1)
        self._close()

    # --- a round

    def begin(self, seed: int, delays: Sequence[int]) -> None:
        """Run the setup. `delays`: for each working process, how long it is held up at the start."""
        self.count += 1
        self._rings.clear()
        memory = self.machine.memory
        for number in range(memory.contexts):
            memory.blocks[number, c.CHANCE] = seed + number * 7919
        self._rings.words[TOKENS : TOKENS + 8 * self.image.setting.cpus] = 0
        self._rings.words[RESULTS : RESULTS + MAX_CONTEXTS] = 0
        memory.blocks[:, c.AT] = 0
        for number, delay in zip(self.image.working, delays, strict=True):
            self._rings.words[PROCESS + number * 8 + 1] = delay
        setup = self.image.setting.setup
        if setup is not None:
            with self._watched("the setup"):
                self.machine.execute(setup)
                self.machine.settle()

    def run(self, *, record: bool, disturb: bool) -> None:
        """Have all processes run their contexts, and let everything settle. Raises RoundFailed.

        `record` what they do; have faults `disturb` it.
        """
        memory = self.machine.memory
        for number, ring in self._ring_of.items():
            memory.blocks[number, c.RECORD] = self._rings.address(ring) if record else 0
            memory.blocks[number, c.FAULTS] = self.machine.faults.address if disturb else 0
        signals().publish(self._rings.word(GO), self.count)
        with self._watched("a callback"):
            self.machine.wait_for(self._is_over)
            self.machine.settle()
        memory.blocks[memory.coordinator, [c.RECORD, c.FAULTS]] = 0

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Raise RoundFailed for what goes wrong inside; `what` is it that the coordinator runs there."""
        self._watcher.begin(self.patience)
        try:
            yield
            self._watcher.attend(time.monotonic())
        except Trapped as error:
            raise self._watcher.ended_by(self.machine.memory.coordinator) from error
        except (ValueError, ArithmeticError, ProgramFault) as error:
            raise RoundFailed(getattr(error, "check", "fault"), f"{what} failed: {error}") from error
        finally:
            self._watcher.end()

    def end(self) -> None:
        """Make everything as it was before the setup."""
        memory = self.machine.memory
        for page in self._pages():
            for ledger in self._ledgers[page]:
                ledger[:] = 0
        self._percpu.begin()
        self._slab.begin()
        memory.words[BOOT : STATIC + STATIC_WORDS] = self._boot
        self._clear_area(0)

    # --- the result

    def ledgers(self) -> dict[int, int]:
        """What is entered in the ledgers: counter -> what was added. Freed counters are left out."""
        memory = self.machine.memory
        notes = memory.blocks[list(self._ring_of), c.NOTES : c.NOTES + 2 * c.MAX_NOTES : 2]
        self._noted.update(notes.ravel().tolist())  # for those that come to 0 in all
        found: dict[int, int] = {}
        for page in {STATIC // PAGE_WORDS, *(word // PAGE_WORDS for word in self._slab.live)} & self._pages():
            added = np.sum(self._ledgers[page], axis=0)
            noted = {counter % PAGE_WORDS for counter in self._noted if counter and counter // PAGE_WORDS == page}
            found |= {page * PAGE_WORDS + word: int(added[word]) for word in noted | set(added.nonzero()[0].tolist())}
        return found

    def added_by(self, counter: int) -> dict[str, int]:
        """Who has entered how much for a counter: by the names of a process's contexts."""
        page, word = divmod(counter, PAGE_WORDS)
        amounts = {number: int(ledger[word]) for number, ledger in enumerate(self._ledgers[page]) if ledger[word]}
        callbacks = len(self.image.processes)
        return {"callbacks" if n == callbacks else self._watcher.owners(n): amount for n, amount in amounts.items()}

    def state(self) -> EndState:
        """What a round has left, for a scenario's own check."""
        results = [int(word) for word in self._rings.words[RESULTS:][: len(self.image.setting.contexts)]]
        return EndState(self.machine.memory, self._percpu, self._slab, self.ledgers(), results)

    @property
    def exhausted(self) -> bool:
        """Whether a program has asked for more memory than there is."""
        return bool(self._percpu.exhausted or self._slab.exhausted)

    @property
    def left(self) -> int:
        """Per-CPU areas and objects that are allocated."""
        return len(self._percpu.live) + len(self._slab.live)

    def warnings(self) -> list[str]:
        """The `warn_on`s that have fired."""
        blocks = self.machine.memory.blocks
        return [str(self.image.warnings[int(block[c.WARN_SITE])]) for block in blocks[blocks[:, c.WARNINGS] > 0]]

    def marks(self) -> dict[str, int]:
        """How often each mark was reached, all rounds together."""
        counts = self.machine.memory.blocks[:, c.MARKS : c.MARKS + c.MAX_MARKS].sum(axis=0)
        return {name: int(counts[number]) for number, name in enumerate(self.image.marks)}

    def recorded(self) -> tuple[list[Recorded], bool]:
        """What was recorded of this round, and whether that is all of it."""
        return self._rings.merged(self.image.sites)

    # --- inside

    def _forbid_the_rest(self) -> None:
        """Have an access trap that goes to no region, nor to the static words, as far as pages can tell them apart."""
        memory = self.machine.memory
        pages = {address for part in (self._percpu, self._slab) for address in part.addresses}
        pages |= {memory.word_address(word) for word in range(BOOT, STATIC + STATIC_WORDS, PAGE_WORDS)}
        pages |= {memory.context(cpu).unit for cpu in range(self.image.setting.cpus)}  # the static area's
        for segment in memory.segments:
            _forbid_between(segment, pages)

    def _pages(self) -> set[int]:
        """Pages of the kernel's memory that may hold counters."""
        pages = {STATIC // PAGE_WORDS, *(word // PAGE_WORDS for word in self._slab.used)}
        memory = self.machine.memory
        for page in pages - self._ledgers.keys():
            self._ledgers[page] = [memory.ledger_page(number, page) for number in range(len(self.image.processes) + 1)]
        return pages

    def _clear_area(self, pointer: int) -> None:
        self.image.module.clear(self._bases, self.image.setting.cpus, pointer, OBJECT_WORDS)

    def _places(self, word: int) -> list[int]:
        """Where the pages of a per-CPU area lie."""
        memory = self.machine.memory
        return [memory.context(cpu).unit + word * WORD_SIZE for cpu in range(self.image.setting.cpus)]

    def _object_places(self, word: int) -> list[int]:
        return [self.machine.memory.word_address(word)]

    def _who(self, number: int) -> str:
        """Whose context asks the coordinator for something, and from where."""
        return self._watcher.whereabouts(number)

    def _close(self) -> None:
        for regions in (self._percpu, self._slab):
            if regions is not None:
                regions.close()
        try:
            self.machine.close()
        finally:
            self._rings.close()

    def _is_over(self) -> bool:
        done = self._rings.words[PROCESS::8]
        if all(int(done[number]) == self.count for number in self._commands):
            return True
        online = self.machine.cpus.online
        for number, command in self._commands.items():
            if number not in online:
                raise self._watcher.ended_by(number)
            if self.machine.cpus.done(number, command):
                raise self._refused(number)
        return False

    def _refused(self, number: int) -> RoundFailed:
        """Why a process's program has ended: what it asked for, or its arithmetic."""
        where, ending = self._watcher.whereabouts(number), self.machine.memory.blocks[number, c.RESULT + 1]
        self._watcher.attend(time.monotonic())  # which knows of what was asked for in vain
        if ending == Ending.FAULTY:
            what = self.image.places[int(self.machine.memory.blocks[number, c.RESULT])]
            return RoundFailed("fault", f"{self._watcher.name(number)}: {what}")
        return RoundFailed("fault", f"{where}: the program failed")


def _forbid_between(segment: range, kept: set[int]) -> None:
    """Forbid all of a segment's pages but those that begin at these addresses."""
    within = sorted(page for page in kept if page in segment)
    behind = [page + PAGE_SIZE for page in within]
    for first, last in zip([segment.start, *behind], [*within, segment.stop], strict=True):
        if first < last:
            forbid(first, last - first)
