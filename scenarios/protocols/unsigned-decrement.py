"""A decrement written as an addition: of an unsigned -1, which adds 2**32 - 1 to a 64-bit slot, or of a signed one."""

from __future__ import annotations

from percpu_emu.lang.ops import Program, counted, per_cpu, read_once, this_cpu_add
from percpu_emu.lang.structures import Struct, Word
from percpu_emu.lang.words import UINT_MAX
from percpu_emu.scenario.decorator import Contexts, scenario


class Slots(Struct):
    """What every CPU has of the counter."""

    slot: Word


class Counter(Struct):
    """The counter, which the ledger knows by this word; all of it is in the slots."""

    nr_pages: Word


slots = Slots.static_per_cpu()
counter = Counter()


def total(address: int) -> Program[int]:
    """The value of the counter: the sum of its slots."""
    x = yield read_once(address)
    x += yield read_once(per_cpu(slots.slot, 0))
    return x


def charge_and_uncharge() -> Program[None]:
    """A page comes and goes."""
    nr_pages = 1
    with counted(counter.nr_pages, nr_pages):
        yield this_cpu_add(slots.slot, nr_pages)
    with counted(counter.nr_pages, -nr_pages):
        yield this_cpu_add(slots.slot, -nr_pages & UINT_MAX)  # wrong: negated as an unsigned int


@scenario(
    cpus=1,
    total=total,
    expect="wrapped-counter",
    missing="making the operand signed, and as wide as the slot, before it is negated",
)
def unsigned_decrement(m: Contexts) -> None:
    """A page is uncounted by adding an unsigned 32-bit -1 to a 64-bit slot.

    `__this_cpu_add(slot, -nr_pages)` with an `unsigned int nr_pages` of 1 does not subtract 1 from a long: the negation
    is done in 32 bits and widened without a sign, so 0xffffffff is added. Moving mapped pages between cgroups made the
    count jump by 4 G pages (S10, 2013; this_cpu_sub casts its operand since).

    The fixed version adds a signed -1.
    """
    m.task(charge_and_uncharge, cpu=0)


def charge_and_uncharge_signed() -> Program[None]:
    """A page comes and goes."""
    nr_pages = 1
    with counted(counter.nr_pages, nr_pages):
        yield this_cpu_add(slots.slot, nr_pages)
    with counted(counter.nr_pages, -nr_pages):
        yield this_cpu_add(slots.slot, -nr_pages)


@scenario(cpus=1, total=total)
def unsigned_decrement_fixed(m: Contexts) -> None:
    """A page is uncounted by adding a signed -1.

    The operand is a signed word before it is negated, as this_cpu_sub has it.
    """
    m.task(charge_and_uncharge_signed, cpu=0, name="charge_and_uncharge")
