"""Operations on words: compiled code, on real memory, between what stood there before and what stands there after.

Each is written into the step's record before it is done, since an access can be the end of the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from percpu_emu.lang.ops import PerCpu
from percpu_emu.lang.setting import UNIT_SHIFT, unit_word
from percpu_emu.lang.words import wrap
from percpu_emu.machine.controlled import layout as at
from percpu_emu.machine.controlled.compiled import compiled
from percpu_emu.machine.controlled.memory import NotThere
from percpu_emu.machine.controlled.rules import NotEnabled

if TYPE_CHECKING:
    from percpu_emu.machine.controlled.control import Control
    from percpu_emu.machine.controlled.memory import ControlledMemory
    from percpu_emu.machine.controlled.programs import Programs
    from percpu_emu.machine.controlled.rules import Rules

READS: Final = {"read_once", "smp_load_acquire", "rcu_dereference", "wait_until", "this_cpu_read", "__this_cpu_read"}
CHANGES: Final = {
    *("write_once", "smp_store_release", "rcu_assign_pointer", "xchg", "cmpxchg"),
    *("atomic_long_add", "atomic_long_add_return", "atomic_long_fetch_add"),
}
IF_AS_EXPECTED: Final = {"cmpxchg", "this_cpu_cmpxchg"}


class Violated(Exception):
    """A check failed, in the step that is being done."""

    def __init__(self, check: str, detail: str, *guilty: int) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail
        self.guilty = guilty


class WordOperations:
    """Performs them in one process, for the step that it is doing: context `_number`, at `_site`, on `_cpu`."""

    def __init__(
        self, control: Control, memory: ControlledMemory, programs: Programs, rules: Rules, cpu: int | None
    ) -> None:
        self._control = control
        self._words = control.words
        self._memory = memory
        self._programs = programs
        self._rules = rules
        self._bases = memory.bases(cpu)
        self._access = compiled().access
        self._note = compiled().note
        self._number = self._cpu = self._site = self._record = self._index = self._base = 0

    def _on_word(self, code: int, writes: int, args: tuple[Any, ...]) -> int:
        return self._at_address(code, writes, self._address(code, args), args)

    def _on_own_word(self, code: int, writes: int, args: tuple[Any, ...]) -> int:
        pointer = int(args[0])
        if self._cpu < 0:
            self._write_down(code, args)
            raise Violated("off-cpu", "an access to this CPU's copy by what runs on no CPU")
        if not 0 <= pointer < 1 << UNIT_SHIFT:
            self._write_down(code, args)
            raise Violated("wild-access", f"{pointer:#x} is no per-CPU pointer")
        return self._at_address(code, writes, unit_word(self._cpu, pointer), args, pointer)

    def _at_address(self, code: int, writes: int, address: int, args: tuple[Any, ...], first: int | None = None) -> int:
        """`first`: the first argument, where that is not the address."""
        a = address if first is None else first
        b = wrap(args[1]) if len(args) > 1 else 0
        c = wrap(args[2]) if len(args) > 2 else 0
        record = self._control.address(self._record)
        try:
            self._memory.check(address)
        except NotThere as error:
            self._note(record, self._number, self._cpu, code, self._site, address, a, b, c)
            self._words[self._record + at.WROTE] = writes != 0
            raise Violated(error.check, error.detail) from None
        result: int = self._access(
            self._bases, record, self._number, self._cpu, code, self._site, address, a, b, c, writes
        )
        return result

    def _address(self, code: int, args: tuple[Any, ...]) -> int:
        pointer = args[0]
        if not isinstance(pointer, PerCpu):
            address = wrap(pointer)
            if address >= 1 << UNIT_SHIFT:
                self._write_down(code, args)
                raise Violated("wild-access", f"{address:#x} is beyond the kernel's memory")
            return address
        if not 0 <= pointer.cpu < self._control.setting.cpus or not 0 <= pointer.pointer < 1 << UNIT_SHIFT:
            self._write_down(code, args)
            raise Violated("wild-access", f"per_cpu({int(pointer.pointer)}, {int(pointer.cpu)}) is no address")
        return unit_word(int(pointer.cpu), int(pointer.pointer))

    def _wait_until(self, code: int, writes: int, args: tuple[Any, ...]) -> int:
        seen = self._on_word(code, writes, args)
        if seen != wrap(args[1]):
            name = self._rules.name(self._number)
            raise NotEnabled(f"{name} waits until the word is {int(args[1])}, which is {seen}")
        return 0

    # --- the record

    def _write_down(self, code: int, args: tuple[Any, ...]) -> None:
        a, b, c = (*map(self._as_word, args), 0, 0, 0)[:3]
        record = self._control.address(self._record)
        self._note(record, self._number, self._cpu, code, self._site, at.NOTHING, a, b, c)

    def _as_word(self, argument: Any) -> int:
        if isinstance(argument, int):
            return wrap(argument)
        if isinstance(argument, str):
            return self._programs.mark_number(argument)
        if isinstance(argument, PerCpu):
            return wrap(unit_word(int(argument.cpu), int(argument.pointer)))
        return 0  # a program: `_queue` says in which slot it is
