"""Operations on words: compiled code, on real memory, between what stood there before and what stands there after.

Each is written into the step's record before it is done, since an access can be the end of the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from percpu_emu.lang import instructions as i
from percpu_emu.lang.ops import PerCpuAddress
from percpu_emu.lang.setting import UNIT_SHIFT, unit_word
from percpu_emu.lang.words import wrap
from percpu_emu.replay import layout as at
from percpu_emu.replay.compiled import compiled
from percpu_emu.replay.memory import Violated

if TYPE_CHECKING:
    from percpu_emu.lang.operation import Operation
    from percpu_emu.replay.control import Control
    from percpu_emu.replay.memory import ReplayedMemory
    from percpu_emu.replay.programs import Programs

Arguments = tuple[Any, ...]


class Otherwise(Exception):
    """A step is another than planned."""


class WordOperations:
    """Performs them in one process, for the step that it is doing: context `_number`, at `_site`."""

    def __init__(self, control: Control, memory: ReplayedMemory, programs: Programs, cpu: int | None) -> None:
        self._control = control
        self._words = control.words
        self._memory = memory
        self._programs = programs
        self.stand_for(control.process_of(cpu))
        self._access = compiled().access
        self._number = self._site = self._record = self._index = self._base = 0
        self._loaded: dict[int, int] = {}
        """By context: what the first half of its read-modify-write has loaded."""

    def stand_for(self, process: int) -> None:
        """Do what follows as that CPU, or as the coordinator: a setup moves, and all of it runs in one process."""
        cpu = None if process == self._control.coordinator else process
        self._cpu = -1 if cpu is None else cpu
        self._bases = self._memory.bases(cpu)

    def _begin(self, index: int, number: int, site: int) -> None:
        layout = self._control.layout
        self._index, self._number, self._site = index, number, site
        self._record, self._base = layout.record(index), layout.context(number)

    # --- the operation as a whole

    def _on_word(self, operation: Operation, writes: int, args: Arguments) -> int:
        address = self._address(operation, args)
        a = int(args[0]) if operation.own else address
        b = wrap(args[1]) if len(args) > 1 else 0
        c = wrap(args[2]) if len(args) > 2 else 0
        self._check(operation, address, args)
        record, code = self._control.address(self._record), operation.number
        result: int = self._access(
            self._bases, record, self._number, self._cpu, code, self._site, address, a, b, c, writes
        )
        return result

    def _wait_for_word(self, operation: Operation, _: int, args: Arguments) -> int:
        """The word has the value, by the plan; where it is the wait itself that is wrong, no matter which."""
        seen = self.load(operation, args)
        if seen != wrap(args[1]) and not self._control.plan.last_violates(self._index):
            raise Otherwise(f"{operation.name} of a word that is {seen}, and waits until it is {int(args[1])}")
        return self._give(seen if operation.opcode == i.SPIN_UNTIL else 0)

    def _next_cpu(self, operation: Operation, _: int, args: Arguments) -> int:
        mask, cpus = self.load(operation, args), self._control.setting.cpus
        above = range(max(0, int(args[0]) + 1), cpus)
        return self._give(next((cpu for cpu in above if mask >> cpu & 1), cpus))

    # --- halves

    def load(self, operation: Operation, args: Arguments) -> int:
        """Load the word, and no more."""
        address = self._address(operation, args)
        self._check(operation, address, args)
        self._write_down(operation, args, address)
        value: int = compiled().load(self._bases, self._control.address(self._record), address)
        self._loaded[self._number] = value
        return value

    def store(self, operation: Operation, args: Arguments) -> int:
        """Store what follows from the value that was loaded."""
        address = self._address(operation, args)
        self._check(operation, address, args)
        self._write_down(operation, args, address)
        record, loaded = self._control.address(self._record), self._loaded.pop(self._number)
        c = wrap(args[2]) if len(args) > 2 else 0
        result: int = compiled().store(
            self._bases, record, address, operation.opcode, loaded, operation.operand_of(args), c
        )
        return result

    # --- where the word is

    def _address(self, operation: Operation, args: Arguments) -> int:
        pointer = args[operation.address_at]
        if operation.own:
            if self._cpu < 0:
                self._refuse(operation, args, "off-cpu", "an access to this CPU's copy by what runs on no CPU")
            if not 0 <= pointer < 1 << UNIT_SHIFT:
                self._refuse(operation, args, "wild-access", f"{pointer:#x} is not a per-CPU pointer")
            return unit_word(self._cpu, int(pointer))
        if isinstance(pointer, PerCpuAddress):
            if not 0 <= pointer.cpu < self._control.setting.cpus:
                text = f"per_cpu({int(pointer.pointer)}, {int(pointer.cpu)}) is not an address"
                self._refuse(operation, args, "wild-access", text)
            return wrap(unit_word(int(pointer.cpu), int(pointer.pointer)))
        return wrap(pointer)

    def _check(self, operation: Operation, address: int, args: Arguments) -> None:
        try:
            self._memory.check(address)
        except Violated:
            self._write_down(operation, args, address)
            self._words[self._record + at.WROTE] = not operation.reads_only
            raise

    def _refuse(self, operation: Operation, args: Arguments, check: str, detail: str) -> None:
        self._write_down(operation, args)
        raise Violated(check, detail)

    # --- the record

    def _give(self, result: int) -> int:
        if result:
            self._words[self._record + at.GAVE] = result
        return result

    def _write_down(self, operation: Operation, args: Arguments, address: int = at.NOTHING) -> None:
        a, b, c = (*map(self._as_word, args), 0, 0, 0)[:3]
        record = self._control.address(self._record)
        compiled().note(record, self._number, self._cpu, operation.number, self._site, address, a, b, c)

    def _as_word(self, argument: Any) -> int:
        if isinstance(argument, int):
            return wrap(argument)
        if isinstance(argument, str):
            return self._programs.mark_number(argument)
        if isinstance(argument, PerCpuAddress):
            return wrap(unit_word(int(argument.cpu), int(argument.pointer)))
        return 0  # a program: the plan says which callback it is
