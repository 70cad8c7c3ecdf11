"""Every operation, by name: on a word, or on the machine by the rules; and the steps that are no operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.context import MAX_NOTES
from percpu_emu.lang.words import wrap
from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.accesses import CHANGES, IF_AS_EXPECTED, READS, Violated, WordOperations
from percpu_emu.machine.controlled.compiled import codes, compiled
from percpu_emu.machine.controlled.control import context_offset
from percpu_emu.machine.controlled.layout import Event, Kind
from percpu_emu.machine.controlled.memory import NotThere

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Op
    from percpu_emu.lang.ops import ProgramFunction
    from percpu_emu.machine.controlled.control import Control
    from percpu_emu.machine.controlled.memory import ControlledMemory, Pool
    from percpu_emu.machine.controlled.programs import Programs
    from percpu_emu.machine.controlled.rules import Rules


class Operations(WordOperations):
    """Performs operations in one process. `perform` gives the result; None for a wait that it only registered."""

    def __init__(
        self, control: Control, memory: ControlledMemory, programs: Programs, rules: Rules, cpu: int | None
    ) -> None:
        super().__init__(control, memory, programs, rules, cpu)
        self._table = {name: self._way(name, code) for name, code in codes().items()}

    def perform(self, index: int, number: int, site: int, op: Op) -> int | None:
        """Do step `index`, context `number`'s operation."""
        words = self._words
        self._index, self._number, self._site = index, number, site
        self._base = context_offset(number)
        self._cpu = words[self._base + at.CPU]
        self._record = self._control.record(index)
        way, code, detail = self._table[op.name]
        return way(code, detail, op.args)

    def migrate(self, index: int, number: int, cpu: int) -> None:
        """Step `index` moves a task and does nothing else."""
        here = self._words[context_offset(number) + at.CPU]
        record = self._control.address(self._control.record(index))
        self._note(record, number, here, Event.MIGRATE, -1, at.NOTHING, cpu, 0, 0)
        self._rules.migrate(number, cpu)

    def take_down(self, index: int, number: int, cpu: int) -> None:
        """Step `index` takes a CPU out of the mask; what was there is over."""
        self._rules.take_down(cpu)
        record = self._control.record(index)
        code, mask = codes()["write_once"], CPU_ONLINE_MASK
        now = compiled().perform(self._bases, codes()["read_once"], mask, 0, 0) & ~(1 << cpu)
        self._access(self._bases, self._control.address(record), number, -1, code, -1, mask, mask, now, 0, 1)
        kills = self._words[context_offset(number) + at.KIND] == Kind.KILL
        self._words[record + at.CODE] = 1 + (Event.KILL if kills else Event.OFFLINE)
        self._words[record + at.ARGS] = cpu

    def _way(self, name: str, code: int) -> tuple[Callable[[int, Any, tuple[Any, ...]], int | None], int, Any]:
        """How an operation is done: the method, and what that has to know besides the arguments."""
        writes = 0 if name in READS else 2 if name in IF_AS_EXPECTED else 1
        if "this_cpu_" in name:
            return self._on_own_word, code, writes
        if name == "wait_until":
            return self._wait_until, code, writes
        if name in READS | CHANGES:
            return self._on_word, code, writes
        return self._on_machine, code, getattr(self, f"_{name}", self._nothing)

    # --- the machine: noted first, then done by the method of the operation's name

    def _on_machine(self, code: int, method: Callable[..., int | None], args: tuple[Any, ...]) -> int | None:
        self._write_down(code, args)
        result = method(*args)
        if result:
            self._words[self._record + at.GAVE] = result
        return result

    def _nothing(self, *_: object) -> int:
        return 0

    def _cpumask_next(self, cpu: int, mask: int) -> int:
        if cpu + 1 >= self._control.setting.cpus:
            return self._control.setting.cpus
        return self._at_address(codes()["cpumask_next"], 0, wrap(mask), (cpu, mask), int(cpu))

    def _smp_processor_id(self) -> int:
        return self._control.setting.cpus if self._cpu < 0 else self._cpu

    def _nr_cpu_ids(self) -> int:
        return self._control.setting.cpus

    def _nr_node_ids(self) -> int:
        return self._control.setting.nodes

    def _warn_on(self, condition: int) -> int:
        if condition:
            raise Violated("warning", "WARN_ON")
        return 0

    def _ledger_add(self, _counter: int, _delta: int) -> int:
        if self._words[self._base + at.NOTED] == MAX_NOTES:
            raise Violated("fault", f"an update notes at most {MAX_NOTES} counters")
        self._words[self._base + at.NOTED] += 1
        return 0

    def _ledger_commit(self) -> int:
        self._words[self._base + at.NOTED] = 0
        return 0

    # --- RCU, preemption, interrupts

    def _rcu_read_lock(self) -> int:
        return self._deepen(at.RCU_DEPTH, 1)

    def _rcu_read_unlock(self) -> int:
        return self._deepen(at.RCU_DEPTH, -1)

    def _preempt_disable(self) -> int:
        return self._deepen(at.PREEMPT_DEPTH, 1)

    def _preempt_enable(self) -> int:
        return self._deepen(at.PREEMPT_DEPTH, -1)

    def _deepen(self, field: int, by: int) -> int:
        self._words[self._base + field] += by
        self._rules.settle(self._number)
        return 0

    def _local_irq_save(self) -> int:
        return self._rules.set_irqs_off(self._number, 1)

    def _local_irq_restore(self, flags: int) -> int:
        self._rules.set_irqs_off(self._number, wrap(flags))
        return 0

    def _call_rcu(self, function: ProgramFunction, argument: int) -> int:
        slot = self._queue(function, argument, Kind.CALLBACK, self._cpu)
        self._wait(slot, self._words[at.READERS])
        return 0

    def _queue_work(self, function: ProgramFunction, argument: int) -> int:
        self._queue(function, argument, Kind.WORK, -1)
        return 0

    def _queue(self, function: ProgramFunction, argument: int, kind: Kind, cpu: int) -> int:
        words = self._words
        slots = [slot for slot in self._control.slots if words[context_offset(slot) + at.IS_OVER]]
        if not slots:
            raise Violated("fault", f"more than {len(self._control.slots)} callbacks are queued")
        base = context_offset(slots[0])
        for field in range(at.CONTEXT_WORDS):
            words[base + field] = 0
        words[base + at.OWNER] = self._control.coordinator if cpu < 0 else cpu
        words[base + at.CPU] = cpu
        words[base + at.KIND] = kind
        words[base + at.TURN_AT] = self._index + 1
        words[base + at.FUNCTION] = self._programs.number(function)
        words[base + at.ARGUMENT] = wrap(argument)
        words[self._record + at.ARGS] = slots[0]
        if not self._programs.does_something(function, argument):
            words[base + at.IS_OVER] = 1
        return slots[0]

    def _synchronize_rcu(self) -> int | None:
        return self._wait_for_rcu(1, self._words[at.READERS])

    def _rcu_barrier(self) -> int | None:
        return self._wait_for_rcu(at.IN_BARRIER, self._rules.callbacks())

    def _wait_for_rcu(self, how: int, others: int) -> int | None:
        registered = self._base + at.REGISTERED
        if self._words[registered]:
            self._words[registered] = 0
            return 0
        self._words[registered] = how
        self._wait(self._number, others)
        return None

    def _wait(self, number: int, others: int) -> None:
        self._rules.wait_for(number, others)
        self._words[self._record + at.WAITS_FOR] = others

    # --- memory

    def _alloc_percpu(self, size: int, _align: int) -> int:
        return self._memory.alloc(self._memory.percpu, int(size))

    def _kzalloc(self, size: int) -> int:
        return self._memory.alloc(self._memory.objects, int(size))

    def _free_percpu(self, pointer: int) -> int:
        return self._free(self._memory.percpu, pointer)

    def _kfree(self, pointer: int) -> int:
        return self._free(self._memory.objects, pointer)

    def _free(self, pool: Pool, pointer: int) -> int:
        try:
            self._memory.free(pool, wrap(pointer), self._index)
        except NotThere as error:
            before = [error.freed_at] if 0 <= error.freed_at < self._control.steps else []
            raise Violated(error.check, error.detail, *before) from None
        return 0
