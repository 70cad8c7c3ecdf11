"""A setting: which contexts run which programs on how small a machine. It is what can be explored and replayed.

The rules, the same in the virtual engine, on real processes and in the tests' oracle:

* **Contexts** are numbered: those of the setting first, then slots for what `call_rcu`, `queue_work` and
  `irq_work_queue_on` queue, as many as are needed up to MAX_NUMBERS in all; a queued program takes the lowest free
  slot, which is free again when the program has ended. Every context does its arithmetic for free: a *step* is one
  operation, with everything up to the next one.
* **A schedule** is a sequence of choices. Choice `c` has context c do its next operation; `c + MIGRATE * (1 + cpu)`
  moves task c to that CPU and does nothing else; `c + HALF` does only the load of a read-modify-write of the own
  copy, and the next choice `c` its store. Between the two, nothing else runs on that CPU, and the task does not move.
  `c + FAIL` has context c's next operation, an allocation, give 0: at most `allocations_fail` times in a schedule.
* **Tasks** run on a CPU, or on none: the coordinator's. A task on a CPU waits while an interrupt is active there, and
  while another task of that CPU may not be preempted. It is mid-turn from the first operation of a turn to its last.
* **Interrupts** start once, or never, at any step while interrupts are on in their CPU and none is active there; the
  CPU's tasks wait until it has ended. A callback that a context of a CPU has queued runs there, as an interrupt does.
  Beside everything else run the callbacks that the coordinator's contexts have queued, those of a CPU that goes down,
  and all queued work.
* **Interrupts that are sent** (`irq_work_queue_on`) run on the CPU that is named, if it is on line, as interrupts do,
  but each has to come: those of one CPU in the order in which they were sent, each when the one before has ended.
* **Read-side**: a context is a reader inside `rcu_read_lock`, with preemption or interrupts off, and throughout an
  interrupt. `call_rcu` and `synchronize_rcu` wait for the contexts that are readers when they are called, until each
  has stopped being one; a callback runs then, or any time later. `queue_work` waits for no reader. `rcu_barrier`
  waits for all callbacks queued by then. `synchronize_rcu` and `rcu_barrier` take two steps: one in which the wait is
  registered, and one when it is over; `wait_until` takes one.
* **Sections** of each kind are left as often as they are entered, by the end of a turn. In one, in an interrupt and in
  an RCU callback, `wait_until` and `rcu_barrier` are refused; `smp_cond_load_acquire` spins, and keeps CPU and
  section. An interrupt whose first operation spins begins by a step of its own.
* **Offline** takes its CPU down in its first step, possible while no task there is mid-turn, no interrupt active, and
  none that was sent there still to come: the CPU leaves CPU_ONLINE_MASK, its tasks and pending interrupts are over.
  Then it runs its program. **Kill** does the same at any moment, and what was sent to the CPU is lost; a killed
  context is no reader any more, and what it had noted in the ledger is in doubt.
* **takedown_cpu** takes a CPU off line while another one is on line, no context there is in a section or inside one
  instruction, and no interrupt active or sent there. Its tasks take no further step there: each moves, by a choice as
  above that does not count as one of its moves, to a CPU that is on line, unless its own comes back first. Its
  interrupts cannot come meanwhile. **migrate_to** has its task go on on another CPU at once.
* **Memory**: the k-th per-CPU allocation, from 0, is at pointer `OBJECT_WORDS * (k + 1)`, the k-th object at
  `FIRST_OBJECT + OBJECT_WORDS * k`: nothing is handed out twice. A region has 1 to 4096 bytes, and the words that
  begin in them; no access goes beyond, nor to NULL. Per-CPU words 0 to OBJECT_WORDS - 1 are the static area. In
  addresses, a CPU's copy of per-CPU word p is `unit_word(cpu, p)`; kernel words are below 2**32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from percpu_emu.lang.ops import ProgramFunction

MIGRATE: Final = 64
HALF: Final = 1 << 12
FAIL: Final = 1 << 13
MAX_CONTEXTS: Final = 48
"""Of a setting."""
MAX_NUMBERS: Final = 62
"""Contexts and callbacks together: as many bits has a word that says whom a wait is for."""
MAX_CPUS: Final = 16
OBJECT_WORDS: Final = 512
FIRST_OBJECT: Final = 1 << 18
UNIT_SHIFT: Final = 32
STATIC: Final = (1 << 16) + 4608
"""Words that the programs of a scenario may use as static data of their own."""
STATIC_WORDS: Final = 512
ONLY_OF_TASKS: Final = {"turns": 1, "migrates": 0}
"""What only a task may have more of: everything else runs once, and where it is."""

ContextKind: TypeAlias = Literal["task", "interrupt", "offline", "kill"]
Argument: TypeAlias = 'int | Literal["cpu", "turn"]'


def context_of(choice: int) -> int:
    """The context that a choice is about."""
    return choice % MIGRATE


def is_migration(choice: int) -> bool:
    """Whether a choice moves a task to another CPU."""
    return MIGRATE <= choice < HALF


def is_half(choice: int) -> bool:
    """Whether a choice does the load of a read-modify-write alone."""
    return HALF <= choice < FAIL


def fails(choice: int) -> bool:
    """Whether a choice is an allocation that gives nothing."""
    return choice >= FAIL


def unit_word(cpu: int, pointer: int) -> int:
    """The address of a CPU's copy of the per-CPU word `pointer`."""
    return (cpu + 1 << UNIT_SHIFT) + pointer


@dataclass(frozen=True)
class ContextSpec:
    """One context. `arguments` are numbers, "cpu" (its own) or "turn" (from 0)."""

    name: str
    program: ProgramFunction
    kind: ContextKind = "task"
    cpu: int | None = None
    """Where it runs, or which CPU an `offline` or `kill` takes down; None: the coordinator's."""
    arguments: tuple[Argument, ...] = ()
    turns: int = 1
    """How often a task runs its program."""
    migrates: int = 0
    """How many times a task may move to another CPU, between two steps with preemption on."""

    def __post_init__(self) -> None:
        for name, most in ONLY_OF_TASKS.items():
            if self.kind != "task" and getattr(self, name) > most:
                raise ValueError(f"{self.name}: {name} is at most {most} for kind {self.kind!r}, which runs once")

    @property
    def home(self) -> int | None:
        """The CPU it runs on at first; what takes a CPU down runs on none."""
        return None if self.kind in ("offline", "kill") else self.cpu


@dataclass(frozen=True)
class Setting:
    """Everything that an engine needs to run a schedule."""

    cpus: int
    contexts: tuple[ContextSpec, ...]
    setup: ProgramFunction | None = None
    """Run by the coordinator before anything else, alone; it takes no arguments."""
    constants: Mapping[str, int] = field(default_factory=dict)
    """Module constants by name, made smaller than the kernel's: MEMCG_CHARGE_BATCH = 1. The same in every engine."""
    nodes: int = 1
    allocations_fail: int = 0
    """How many allocations of its contexts may give 0, whichever."""
