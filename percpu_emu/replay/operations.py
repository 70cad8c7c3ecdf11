"""Every operation: on a word, or on the machine; and the steps that are no operation.

What opens, closes and waits is in the plan, so that those operations do nothing here but to be recorded.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang import instructions as i
from percpu_emu.lang.context import MAX_NOTES
from percpu_emu.lang.operation import OPERATIONS
from percpu_emu.lang.words import wrap
from percpu_emu.replay import layout as at
from percpu_emu.replay.accesses import Arguments, Otherwise, WordOperations
from percpu_emu.replay.compiled import compiled
from percpu_emu.replay.memory import Violated
from percpu_emu.replay.plan import Part
from percpu_emu.replay.turns import advance

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Op, Operation
    from percpu_emu.lang.ops import ProgramFunction
    from percpu_emu.replay.control import Control
    from percpu_emu.replay.memory import Pool, ReplayedMemory
    from percpu_emu.replay.orders import Order
    from percpu_emu.replay.programs import Programs


class Operations(WordOperations):
    """Performs operations in one process. `perform` gives the result; None for a step that only begins one."""

    def __init__(self, control: Control, memory: ReplayedMemory, programs: Programs, cpu: int | None) -> None:
        super().__init__(control, memory, programs, cpu)
        self._irqs_off: dict[int, int] = {}
        """By context: while one of a CPU has turned them off, no other of that CPU runs."""
        self._queued = -1
        self._machine = self._machine_operations()
        self._table = {name: self._way(operation) for name, operation in OPERATIONS.items()}

    def perform(self, index: int, order: Order, op: Op) -> int | None:
        """Do step `index`, as far as its order says."""
        self._begin(index, order.context, order.site)
        self._queued = order.queued
        if order.part == Part.WHOLE:
            way, operation, writes = self._table[op.name]
            return way(operation, writes, op.args)
        if order.part == Part.FAIL:
            self._write_down(OPERATIONS[op.name], op.args)
            return 0
        if order.part == Part.STORE:
            return self.store(OPERATIONS[op.name], op.args)
        if order.part == Part.LOAD:
            self.load(OPERATIONS[op.name], op.args)
        else:
            self._write_down(OPERATIONS[op.name], op.args)
        return None

    def migrate(self, index: int, order: Order) -> None:
        """Step `index` moves a task and does nothing else."""
        record = self._control.address(self._control.layout.record(index))
        compiled().note(record, order.context, self._cpu, order.code, -1, at.NOTHING, order.target, 0, 0)

    def take_down(self, index: int, order: Order) -> None:
        """Step `index` takes a CPU out of the mask."""
        record, mask = self._control.address(self._control.layout.record(index)), CPU_ONLINE_MASK
        compiled().note(record, order.context, self._cpu, order.code, -1, mask, order.target, 0, 0)
        online = compiled().load(self._bases, record, mask)
        compiled().store(self._bases, record, mask, i.AND_WITH, online, ~(1 << order.target), 0)

    def _way(self, operation: Operation) -> tuple[Callable[[Operation, int, Arguments], int], Operation, int]:
        """How an operation is done as a whole, and whether it writes. One that is not known here raises KeyError."""
        if operation.opcode in (i.WAIT_UNTIL, i.SPIN_UNTIL):
            return self._wait_for_word, operation, 0
        if operation.opcode == i.CPUMASK_NEXT:
            return self._next_cpu, operation, 0
        if operation.is_access:
            return self._on_word, operation, 0 if operation.reads_only else 2 if operation.opcode == i.CMPXCHG else 1
        method = self._machine[operation.opcode]

        def on_machine(operation: Operation, _: int, args: Arguments) -> int:
            self._write_down(operation, args)
            return self._give(method(*args))

        return on_machine, operation, 0

    def _machine_operations(self) -> dict[int, Callable[..., int]]:
        """By what the operation does."""
        setting = self._control.setting
        recorded = (
            *(i.NOTHING, i.CPU_RELAX, i.MARK, i.RCU_READ_LOCK, i.RCU_READ_UNLOCK),
            *(i.PREEMPT_DISABLE, i.PREEMPT_ENABLE, i.SYNCHRONIZE_RCU, i.RCU_BARRIER),
        )
        return {
            **dict.fromkeys(recorded, lambda *_: 0),
            i.PROCESSOR_ID: lambda: setting.cpus if self._cpu < 0 else self._cpu,
            i.NR_CPU_IDS: lambda: setting.cpus,
            i.NR_NODE_IDS: lambda: setting.nodes,
            i.WARN_ON: self._warn_on,
            i.LEDGER_ADD: self._ledger_add,
            i.LEDGER_COMMIT: self._ledger_commit,
            i.CPU_DOWN: self._takedown_cpu,
            i.CPU_UP: self._bringup_cpu,
            i.MOVE_TO: self._migrate_to,
            i.LOCAL_IRQ_SAVE: lambda: self._set_irqs_off(1),
            i.LOCAL_IRQ_RESTORE: self._restore_irqs,
            i.CALL_RCU: self._queue,
            i.QUEUE_WORK: self._queue,
            i.IRQ_WORK: self._send,
            i.ALLOC_PERCPU: lambda size, _: self._memory.alloc(self._memory.areas, wrap(size)),
            i.KZALLOC: lambda size: self._memory.alloc(self._memory.objects, wrap(size)),
            i.FREE_PERCPU: lambda pointer: self._free(self._memory.areas, pointer),
            i.KFREE: lambda pointer: self._free(self._memory.objects, pointer),
        }

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

    def _is_online(self, cpu: int) -> bool:
        return 0 <= cpu < self._control.setting.cpus and not self._words[at.cpu_offset(int(cpu)) + at.OFF_LINE]

    def _takedown_cpu(self, cpu: int) -> int:
        others = [other for other in range(self._control.setting.cpus) if other != cpu and self._is_online(other)]
        return self._set_online(cpu, i.AND_WITH, ~(1 << int(cpu))) if self._is_online(cpu) and others else -errno.EINVAL

    def _bringup_cpu(self, cpu: int) -> int:
        is_off = 0 <= cpu < self._control.setting.cpus and not self._is_online(cpu)
        return self._set_online(cpu, i.OR_WITH, 1 << int(cpu)) if is_off else -errno.EINVAL

    def _set_online(self, cpu: int, opcode: int, bits: int) -> int:
        """Change the mask as the step that takes a CPU down does."""
        self._words[at.cpu_offset(int(cpu)) + at.OFF_LINE] = int(opcode == i.AND_WITH)
        record = self._control.address(self._record)
        self._words[self._record + at.ADDRESS] = CPU_ONLINE_MASK
        online = compiled().load(self._bases, record, CPU_ONLINE_MASK)
        compiled().store(self._bases, record, CPU_ONLINE_MASK, opcode, online, bits, 0)
        return 0

    def _migrate_to(self, cpu: int) -> int:
        """The plan says where it goes on; queued work stays."""
        is_queued = len(self._control.setting.contexts) <= self._number < self._control.layout.numbers
        is_there = cpu == self._control.setting.cpus or self._is_online(cpu)
        return 0 if is_there and not is_queued else -errno.EINVAL

    def _set_irqs_off(self, off: int) -> int:
        """Set the flag; what it was."""
        before = self._irqs_off.get(self._number, 0)
        self._irqs_off[self._number] = off
        return before

    def _restore_irqs(self, flags: int) -> int:
        self._set_irqs_off(int(wrap(flags) != 0))
        return 0

    def _queue(self, function: ProgramFunction, argument: int) -> int:
        """Queue a program as the callback of the plan; it computes up to its first operation, where it has one."""
        words, program = self._words, self._programs.number(function)
        words[self._record + at.ARGS] = self._queued
        try:
            advance(self._programs.start(program, [argument]), None)
        except StopIteration:
            return 0
        if self._queued < 0:
            raise Otherwise(f"{function.__name__} in a queue, for which there is no callback")
        base = self._control.layout.context(self._queued)
        words[base + at.TURN] = words[base + at.NOTED] = 0
        words[base + at.TURN_AT] = self._index + 1
        words[base + at.FUNCTION] = program
        words[base + at.ARGUMENT] = wrap(argument)
        return 0

    def _send(self, function: ProgramFunction, argument: int, cpu: int) -> int:
        """Have a CPU's process run it; the plan has no callback for one that is off line."""
        if not 0 <= wrap(cpu) < self._control.setting.cpus:
            raise Violated("fault", f"there is no CPU {wrap(cpu)}")
        if self._queued < 0:
            self._words[self._record + at.ARGS] = self._queued
            return 0
        self._queue(function, argument)
        return 1

    def _free(self, pool: Pool, pointer: int) -> int:
        self._memory.free(pool, wrap(pointer), self._index)
        return 0
