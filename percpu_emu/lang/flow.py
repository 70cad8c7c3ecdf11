"""What the virtual engine has to know of bytecode: registers that are live, and what can still be done from where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from percpu_emu.lang import instructions as i
from percpu_emu.lang.source import ProgramSource

if TYPE_CHECKING:
    from percpu_emu.lang.code import Code, Stretch

MAX_REGISTERS = 62
MAX_DEPTH = 16
"""Sections deeper than that count as so deep, and are not left again: more may wait as readers than do."""
_JUMPS = range(i.JUMP, i.JUMP_UNLESS_LT + 1)
_WITHOUT_DST = {*_JUMPS, i.RESULT, i.TURN_END, i.END}


def following(code: Code, at: int) -> list[int]:
    """The rows that can come after a row."""
    opcode, dst = code.rows[at][:2]
    if opcode == i.END:
        return []
    if opcode == i.JUMP:
        return [dst]
    return [at + 1, dst] if opcode in _JUMPS else [at + 1]


def defined(row: list[int]) -> int | None:
    """The register that a row writes."""
    return row[i.DST] if row[i.OPCODE] not in _WITHOUT_DST and row[i.DST] >= 0 else None


def used(row: list[int]) -> set[int]:
    """The registers that a row reads."""
    return {operand for operand in row[i.A : i.OWN] if operand >= 0}


class Liveness:
    """Of one stretch: the registers whose values are still needed before each row."""

    def __init__(self, code: Code, stretch: Stretch) -> None:
        self._code = code
        self._stretch = stretch
        self.before: dict[int, set[int]] = {at: set() for at in range(stretch.start, stretch.end)}
        changed = True
        while changed:
            changed = False
            for at in reversed(range(stretch.start, stretch.end)):
                row = code.rows[at]
                dst = defined(row)
                live = (self.after(at) - ({dst} if dst is not None else set())) | used(row)
                changed |= live != self.before[at]
                self.before[at] = live

    def after(self, at: int) -> set[int]:
        """The registers needed after a row."""
        return set().union(*[self.before[next_] for next_ in following(self._code, at)])


def merge_moves(code: Code, stretch: Stretch) -> None:
    """`t = op; x = t` becomes `x = op` where nothing else needs t: fewer instructions, and fewer registers."""
    liveness = Liveness(code, stretch)
    targets = {row[i.DST] for row in code.rows[stretch.start : stretch.end] if row[i.OPCODE] in _JUMPS}
    for at in range(stretch.start, stretch.end - 1):
        row, move = code.rows[at], code.rows[at + 1]
        temporary = defined(row)
        falls_through = following(code, at) == [at + 1] and at + 1 not in targets
        if temporary is None or move[i.OPCODE] != i.MOV or move[i.A] != temporary or not falls_through:
            continue
        if temporary not in liveness.after(at + 1):
            row[i.DST] = move[i.DST]
            code.rows[at + 1] = [i.JUMP, at + 2, -1, -1, -1, 0]


def drop_empty_jumps(code: Code) -> None:
    """Take out jumps to the next row, and number everything anew."""
    dropped = {at for at, row in enumerate(code.rows) if row[i.OPCODE] == i.JUMP and row[i.DST] == at + 1}
    number, kept = {}, 0
    for at in range(len(code.rows) + 1):
        number[at] = kept
        kept += at not in dropped
    for row in code.rows:
        if row[i.OPCODE] in _JUMPS:
            row[i.DST] = number[row[i.DST]]
    code.rows = [row for at, row in enumerate(code.rows) if at not in dropped]
    code.polling = {number[at] for at in code.polling if at not in dropped}
    code.sites = {number[at]: site for at, site in code.sites.items()}
    code.calls = {number[at]: calls for at, calls in code.calls.items()}
    code.names = {number[at]: name for at, name in code.names.items()}
    code.locking = {number[at]: locking for at, locking in code.locking.items()}
    for stretch in code.stretches:
        stretch.start, stretch.end = number[stretch.start], number[stretch.end]


def thread_jumps(code: Code, stretch: Stretch) -> None:
    """A jump to a jump goes to where that one leads."""
    for at in range(stretch.start, stretch.end):
        row = code.rows[at]
        if row[i.OPCODE] in _JUMPS:
            seen: set[int] = set()
            while code.rows[row[i.DST]][i.OPCODE] == i.JUMP and row[i.DST] not in seen:
                seen.add(row[i.DST])
                row[i.DST] = code.rows[row[i.DST]][i.DST]


def colour_registers(code: Code, stretch: Stretch) -> None:
    """Give registers that are never live together one number: small states, and equal ones where values are dead."""
    liveness = Liveness(code, stretch)
    together: dict[int, set[int]] = {register: set() for register in range(stretch.registers)}
    groups = [set(range(stretch.parameters)) | liveness.before[stretch.start]]
    for at in range(stretch.start, stretch.end):
        dst = defined(code.rows[at])
        if dst is not None:
            for other in liveness.after(at) - {dst}:
                together[dst].add(other)
                together[other].add(dst)
    for group in groups:
        for register in group:
            together[register] |= group - {register}
    colours: dict[int, int] = {}
    for register in range(stretch.registers):
        taken = {colours[other] for other in together[register] if other in colours}
        colours[register] = next(colour for colour in range(len(taken) + 1) if colour not in taken)
    for row in code.rows[stretch.start : stretch.end]:
        if row[i.OPCODE] not in _WITHOUT_DST and row[i.DST] >= 0:
            row[i.DST] = colours[row[i.DST]]
        row[i.A : i.OWN] = [colours.get(operand, operand) for operand in row[i.A : i.OWN]]
    stretch.registers = max(colours.values(), default=-1) + 1


def improve(code: Code) -> None:
    """Everything above: the same programs in fewer rows and registers."""
    for stretch in code.stretches:
        merge_moves(code, stretch)
        thread_jumps(code, stretch)
    drop_empty_jumps(code)
    for stretch in code.stretches:
        colour_registers(code, stretch)
        if stretch.registers > MAX_REGISTERS:
            source = ProgramSource(stretch.function)
            source.refuse(source.tree, f"{source.name} has more than {MAX_REGISTERS} values at once, calls included")


def live_masks(code: Code) -> list[int]:
    """For each row, the registers that are live before it, as bits."""
    masks = [0] * len(code.rows)
    for stretch in code.stretches:
        for at, live in Liveness(code, stretch).before.items():
            masks[at] = sum(1 << register for register in live)
    return masks


# --- what can still be done


def reachable(code: Code, starts: Iterable[int], entries: list[int], *, through_waits: bool) -> set[int]:
    """The rows that can be reached from `starts`, those themselves included; through what is queued, too.

    `entries`: where each queued program begins. Without `through_waits`, not past a wait for a grace period: a
    `synchronize_rcu`, and what `call_rcu` has queued.
    """
    found: set[int] = set()
    todo = list(starts)
    while todo:
        at = todo.pop()
        if at in found:
            continue
        found.add(at)
        opcode = code.rows[at][i.OPCODE]
        if opcode == i.SYNCHRONIZE_RCU and not through_waits:
            continue
        todo += following(code, at)
        if opcode in (i.QUEUE_WORK, i.IRQ_WORK) or (opcode == i.CALL_RCU and through_waits):
            number = code.value(code.rows[at][i.A])
            assert number is not None
            todo.append(entries[number])
    return found


def waits_as_reader(code: Code, stretch: Stretch, waits: set[int]) -> bool:
    """Whether a program can wait or poll inside a section: at one of the operations `waits`, or in a loop."""
    todo = [(stretch.start, (0, 0, 0))]
    found: set[tuple[int, tuple[int, int, int]]] = set()
    while todo:
        at, depths = todo.pop()
        if (at, depths) in found:
            continue
        found.add((at, depths))
        if any(depths) and (code.rows[at][i.OPCODE] in waits or at in code.polling):
            return True
        todo += [(next_, after) for after in _depths_after(code, at, depths) for next_ in following(code, at)]
    return False


def _depths_after(code: Code, at: int, depths: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Read-side sections, preemption and interrupts off after a row. Leaving what was not entered ends the program."""
    rcu, preempt, irq = depths
    opcode = code.rows[at][i.OPCODE]
    if opcode in (i.RCU_READ_LOCK, i.RCU_READ_UNLOCK):
        rcu = _counted(rcu, opcode == i.RCU_READ_LOCK)
    elif opcode in (i.PREEMPT_DISABLE, i.PREEMPT_ENABLE):
        preempt = _counted(preempt, opcode == i.PREEMPT_DISABLE)
    elif opcode == i.LOCAL_IRQ_SAVE:
        irq = 1
    elif opcode == i.LOCAL_IRQ_RESTORE:
        flags = code.value(code.rows[at][i.A])
        return [(rcu, preempt, off) for off in ((0, 1) if flags is None else (int(flags != 0),))]
    return [] if min(rcu, preempt) < 0 else [(rcu, preempt, irq)]


def _counted(depth: int, entering: bool) -> int:
    """A depth after a section is entered or left; from MAX_DEPTH on it stays as it is."""
    if depth == MAX_DEPTH:
        return depth
    return depth + 1 if entering else depth - 1
