"""What each operation does in the oracle. Every function takes the state, the context and the operation's arguments."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from percpu_emu.kernel.layout import CPU_ONLINE_MASK
from percpu_emu.lang.context import MAX_NOTES
from percpu_emu.lang.ops import PerCpuAddress, ProgramFunction
from percpu_emu.lang.setting import UNIT_SHIFT, unit_word
from percpu_emu.lang.words import wrap

from .oracle_context import Context
from .oracle_programs import Violated

if TYPE_CHECKING:
    from .oracle_model import Model

Pointer: TypeAlias = int | PerCpuAddress
MAX_NESTING: Final = 255


def perform(model: Model, context: Context) -> int:
    """Do a context's next operation; its result."""
    name, arguments = context.op
    if "this_cpu_" in name:
        return _this_cpu(model, context, _own_name(name), *arguments)
    return wrap(int(_OPERATIONS[name](model, context, *arguments) or 0))


# --- the own copy


def load(model: Model, context: Context) -> int:
    """The first half of a read-modify-write of the own copy."""
    return model.memory.read(_own(model, context, context.op.args[0]))


def split_address(context: Context) -> int | None:
    """Where a context's next operation goes to, if other CPUs see it as a load and a store."""
    name = _own_name(context.op.name)
    if context.cpu is None or name not in _THIS_CPU or name in ("read", "write"):
        return None
    return unit_word(context.cpu, int(context.op.args[0]))


def _own_name(name: str) -> str:
    return name.lstrip("_").removeprefix("this_cpu_") if "this_cpu_" in name else ""


def _own(model: Model, context: Context, pointer: int) -> int:
    if context.cpu is None:
        raise Violated("off-cpu", "an operation on the own copy by what runs on no CPU")
    return model.memory.address(PerCpuAddress(pointer, context.cpu))


def _this_cpu(model: Model, context: Context, name: str, pointer: int, *values: int) -> int:
    address = _own(model, context, pointer)
    old = model.memory.read(address) if context.loaded is None else context.loaded
    new, result = _THIS_CPU[name](old, *map(int, values))
    if name != "read":
        model.memory.write(address, new)
    return wrap(result)


# --- words


def read(model: Model, _: Context, pointer: Pointer) -> int:
    return model.memory.read(model.memory.address(pointer))


def change(model: Model, context: Context, pointer: Pointer, new: Callable[[int], int]) -> int:
    """The word, which is `new` of it from now on."""
    address = model.memory.address(pointer)
    old = model.memory.read(address)
    cpu = (address >> UNIT_SHIFT) - 1
    if cpu >= 0 and cpu != context.cpu and cpu not in model.down and model.contexts:  # there are none in the setup
        model.written_remotely.add(address)
        if model.checks.exclusive:
            raise Violated("remote-write", f"{pointer} is written from elsewhere")
    model.memory.write(address, new(old))
    return old


def write(model: Model, context: Context, pointer: Pointer, value: int) -> None:
    change(model, context, pointer, lambda _: int(value))


def add(model: Model, context: Context, pointer: Pointer, value: int) -> None:
    fetch_add(model, context, pointer, value)


def fetch_add(model: Model, context: Context, pointer: Pointer, value: int) -> int:
    return change(model, context, pointer, lambda old: old + int(value))


def add_return(model: Model, context: Context, pointer: Pointer, value: int) -> int:
    return fetch_add(model, context, pointer, value) + int(value)


def xchg(model: Model, context: Context, pointer: Pointer, value: int) -> int:
    return change(model, context, pointer, lambda _: int(value))


def cmpxchg(model: Model, context: Context, pointer: Pointer, old: int, new: int) -> int:
    """One that fails writes what stands there."""
    return change(model, context, pointer, lambda seen: int(new) if seen == wrap(old) else seen)


def cpumask_next(model: Model, context: Context, cpu: int, mask: Pointer) -> int:
    word, cpus = read(model, context, mask), model.setting.cpus
    return next((after for after in range(max(0, int(cpu) + 1), cpus) if word >> after & 1), cpus)


# --- sections, waiting


def rcu_read_lock(_: Model, context: Context) -> None:
    context.rcu = _deeper(context.rcu)


def rcu_read_unlock(_: Model, context: Context) -> None:
    context.rcu = _less_deep(context.rcu)


def preempt_disable(_: Model, context: Context) -> None:
    context.preempt = _deeper(context.preempt)


def preempt_enable(_: Model, context: Context) -> None:
    context.preempt = _less_deep(context.preempt)


def _deeper(depth: int) -> int:
    if depth == MAX_NESTING:
        raise Violated("unbalanced-section", f"more than {MAX_NESTING} sections inside each other")
    return depth + 1


def _less_deep(depth: int) -> int:
    if depth == 0:
        raise Violated("unbalanced-section", "the section was not entered")
    return depth - 1


def local_irq_save(_: Model, context: Context) -> int:
    flags, context.irqs_off = context.irqs_off, True
    return int(flags)


def local_irq_restore(_: Model, context: Context, flags: int) -> None:
    context.irqs_off = flags != 0


def rcu_dereference(model: Model, context: Context, pointer: Pointer) -> int:
    value = read(model, context, pointer)
    region = model.memory.region_at(value)
    if context.reader and region is not None:
        context.held |= {region.base}
    return value


def wait_until(model: Model, context: Context, pointer: Pointer, value: int) -> None:
    if not context.may_sleep:
        raise Violated("sleep-in-atomic", "wait_until")
    cond_load(model, context, pointer, value)


def cond_load(model: Model, context: Context, pointer: Pointer, value: int) -> int:
    seen = read(model, context, pointer)
    assert seen == wrap(value), "it is blocked until then"
    return seen


def _readers(model: Model, context: Context) -> frozenset[int]:
    """Inside its own section it waits for itself; an interrupt or a callback does not wait at all."""
    if context.kind in ("interrupt", "callback", "sent"):
        raise Violated("sleep-in-atomic", "synchronize_rcu")
    return model.readers()


def _callbacks(model: Model, context: Context) -> frozenset[int]:
    if not context.may_sleep:
        raise Violated("sleep-in-atomic", "rcu_barrier")
    return frozenset(number for number, slot in model.slots.items() if slot.kind == "callback")


def call_rcu(model: Model, context: Context, program: ProgramFunction, argument: int) -> None:
    model.queue("callback", context.cpu, program, argument).grace_period = model.readers()


def queue_work(model: Model, _: Context, program: ProgramFunction, argument: int) -> None:
    model.queue("work", None, program, argument)


def irq_work_queue_on(model: Model, _: Context, program: ProgramFunction, argument: int, cpu: int) -> int:
    if not 0 <= cpu < model.setting.cpus:
        raise Violated("fault", f"there is no CPU {cpu}")
    if cpu in model.down:
        return 0
    before = [slot.number for slot in model.slots.values() if slot.kind == "sent" and slot.cpu == cpu and not slot.over]
    model.queue("sent", cpu, program, argument).behind = frozenset(before)
    return 1


# --- memory, the machine, the ledger


def alloc_percpu(model: Model, _: Context, size: int, align: int) -> int:  # noqa: ARG001
    return model.memory.alloc("area", size)


def kzalloc(model: Model, _: Context, size: int) -> int:
    return model.memory.alloc("object", size)


def free_percpu(model: Model, context: Context, pointer: int) -> None:
    if pointer != 0:
        _freed(model, context, model.memory.free("area", pointer).base)


def kfree(model: Model, context: Context, pointer: int) -> None:
    if pointer != 0:
        _freed(model, context, model.memory.free("object", pointer).base)


def _freed(model: Model, context: Context, base: int) -> None:
    model.freed_early |= any(base in other.held for other in model.all() if other is not context)


def smp_processor_id(model: Model, context: Context) -> int:
    return model.setting.cpus if context.cpu is None else context.cpu


def nr_cpu_ids(model: Model, _: Context) -> int:
    return model.setting.cpus


def nr_node_ids(model: Model, _: Context) -> int:
    return model.setting.nodes


def takedown_cpu(model: Model, context: Context, cpu: int) -> int:
    if not context.may_sleep:
        raise Violated("sleep-in-atomic", "takedown_cpu")
    if not may_go_down(model, cpu):
        return -errno.EINVAL
    model.down |= {int(cpu)}
    model.memory.words[CPU_ONLINE_MASK] &= ~(1 << cpu)
    for other in model.slots.values():
        if other.cpu == cpu and not other.began:
            other.cpu = None
    return 0


def may_go_down(model: Model, cpu: int) -> bool:
    return model.is_online(cpu) and len(model.down) + 1 < model.setting.cpus


def bringup_cpu(model: Model, _: Context, cpu: int) -> int:
    if cpu not in model.down:
        return -errno.EINVAL
    model.down -= {int(cpu)}
    model.memory.words[CPU_ONLINE_MASK] |= 1 << cpu
    return 0


def migrate_to(model: Model, context: Context, cpu: int) -> int:
    if not context.may_sleep:
        raise Violated("sleep-in-atomic", "migrate_to")
    if context.queued or not (cpu == model.setting.cpus or model.is_online(cpu)):
        return -errno.EINVAL
    context.cpu = None if cpu == model.setting.cpus else int(cpu)
    return 0


def ledger_add(_: Model, context: Context, counter: int, delta: int) -> None:
    if len(context.notes) == MAX_NOTES:
        raise Violated("fault", f"an update notes at most {MAX_NOTES} counters")
    context.notes += ((int(counter), int(delta)),)


def ledger_commit(model: Model, context: Context) -> None:
    for counter, delta in context.notes:
        model.ledger[counter] = wrap(model.ledger.get(counter, 0) + delta)
    context.notes = ()


def warn_on(_model: Model, _context: Context, condition: int) -> int:
    if condition:
        raise Violated("warning", "warn_on")
    return 0


def mark(model: Model, _: Context, name: str) -> None:
    model.marks.add(name)


def nothing(_model: Model, _context: Context, *_arguments: object) -> None:
    pass


_OPERATIONS: Final[dict[str, Callable[..., int | None]]] = {
    "xchg_relaxed": xchg,
    "atomic_long_read_acquire": read,
    "smp_wmb": nothing,
    "smp_rmb": nothing,
    "read_once": read,
    "smp_load_acquire": read,
    "rcu_dereference": rcu_dereference,
    "write_once": write,
    "smp_store_release": write,
    "rcu_assign_pointer": write,
    "atomic_long_add": add,
    "atomic_long_add_return": add_return,
    "atomic_long_fetch_add": fetch_add,
    "xchg": xchg,
    "cmpxchg": cmpxchg,
    "cpumask_next": cpumask_next,
    "wait_until": wait_until,
    "smp_cond_load_acquire": cond_load,
    "rcu_read_lock": rcu_read_lock,
    "rcu_read_unlock": rcu_read_unlock,
    "preempt_disable": preempt_disable,
    "preempt_enable": preempt_enable,
    "local_irq_save": local_irq_save,
    "local_irq_restore": local_irq_restore,
    "call_rcu": call_rcu,
    "queue_work": queue_work,
    "irq_work_queue_on": irq_work_queue_on,
    "synchronize_rcu": nothing,
    "rcu_barrier": nothing,
    "alloc_percpu": alloc_percpu,
    "free_percpu": free_percpu,
    "kzalloc": kzalloc,
    "kfree": kfree,
    "smp_processor_id": smp_processor_id,
    "takedown_cpu": takedown_cpu,
    "bringup_cpu": bringup_cpu,
    "migrate_to": migrate_to,
    "nr_cpu_ids": nr_cpu_ids,
    "nr_node_ids": nr_node_ids,
    "ledger_add": ledger_add,
    "ledger_commit": ledger_commit,
    "warn_on": warn_on,
    "smp_mb": nothing,
    "cpu_relax": nothing,
    "quiescent_state": nothing,
    "mark": mark,
}

WAITS_FOR: Final[dict[str, Callable[[Any, Context], frozenset[int]]]] = {
    "synchronize_rcu": _readers,
    "rcu_barrier": _callbacks,
}
"""The operations of two steps: in the first one the wait is registered."""

_THIS_CPU: Final[dict[str, Callable[..., tuple[int, int]]]] = {
    "read": lambda old: (old, old),
    "write": lambda _, value: (value, 0),
    "add": lambda old, value: (old + value, 0),
    "sub": lambda old, value: (old - value, 0),
    "inc": lambda old: (old + 1, 0),
    "dec": lambda old: (old - 1, 0),
    "and": lambda old, value: (old & value, 0),
    "or": lambda old, value: (old | value, 0),
    "add_return": lambda old, value: (old + value, old + value),
    "xchg": lambda old, value: (value, old),
    "cmpxchg": lambda old, expected, new: (new if old == expected else old, old),
}
"""By name: what stands there afterwards, and the result."""
