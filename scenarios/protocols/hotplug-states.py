"""States of CPU hotplug: a startup that fails half-way, and two states in the wrong order."""

from __future__ import annotations

import errno

from percpu_emu.kernel.hotplug import cpuhp_setup_states, prepare
from percpu_emu.lang.ops import (
    Program,
    kfree,
    kzalloc,
    per_cpu,
    rcu_dereference,
    rcu_read_lock,
    rcu_read_unlock,
    read_once,
    synchronize_rcu,
    write_once,
    xchg,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Buffer(Struct):
    """What users of a CPU's buffers work with."""

    value: Word


class Buffers(Struct):
    """On every CPU: its two buffers, and whether they are for use."""

    first: Ptr[Buffer]
    second: Ptr[Buffer]
    enabled: Word


buffers = Buffers.static_per_cpu()


def alloc_buffers_hastily(cpu: int) -> Program[int]:
    """A startup: both buffers, or -ENOMEM."""
    first = yield kzalloc(sizeof(Buffer))
    if not first:
        return -errno.ENOMEM
    second = yield kzalloc(sizeof(Buffer))
    if not second:
        return -errno.ENOMEM  # wrong: the first one stays
    yield from set_buffers(cpu, first, second)
    return 0


def alloc_buffers(cpu: int) -> Program[int]:
    """A startup: both buffers, or none and -ENOMEM."""
    first = yield kzalloc(sizeof(Buffer))
    if not first:
        return -errno.ENOMEM
    second = yield kzalloc(sizeof(Buffer))
    if not second:
        yield kfree(first)
        return -errno.ENOMEM
    yield from set_buffers(cpu, first, second)
    return 0


def set_buffers(cpu: int, first: int, second: int) -> Program[None]:
    """The CPU has these."""
    yield write_once(per_cpu(buffers.first, cpu), first)
    yield write_once(per_cpu(buffers.second, cpu), second)


def free_buffers(cpu: int) -> Program[None]:
    """A teardown; a CPU that has been on line since boot has none."""
    yield kfree((yield xchg(per_cpu(buffers.first, cpu), 0)))
    yield kfree((yield xchg(per_cpu(buffers.second, cpu), 0)))


def enable(cpu: int) -> Program[None]:
    """A startup: the buffers are for use."""
    yield write_once(per_cpu(buffers.enabled, cpu), 1)


def disable(cpu: int) -> Program[None]:
    """A teardown: no new users, and those that there are have ended."""
    yield write_once(per_cpu(buffers.enabled, cpu), 0)
    yield synchronize_rcu()


hasty_up, hasty_down, _ = cpuhp_setup_states(prepare("buffers", alloc_buffers_hastily, free_buffers))
mixed_up, mixed_down, _ = cpuhp_setup_states(
    prepare("users", enable, disable),
    prepare("buffers", alloc_buffers, free_buffers),  # wrong: on the way down it comes before the state of its users
)
cpu_up, cpu_down, _ = cpuhp_setup_states(
    prepare("buffers", alloc_buffers, free_buffers),
    prepare("users", enable, disable),
)


def set_up() -> Program[None]:
    """CPU 1 is off line."""
    yield from hasty_down(1)


def set_up_with_users() -> Program[None]:
    """CPU 1 has buffers, for use."""
    yield from alloc_buffers(1)
    yield from enable(1)


def hasty_trip() -> Program[None]:
    """CPU 1 comes, if it can, and goes."""
    yield from hasty_up(1)
    yield from hasty_down(1)


def use(cpu: int) -> Program[None]:
    """Use the buffers of a CPU, where they are for use."""
    yield rcu_read_lock()
    if (yield read_once(per_cpu(buffers.enabled, cpu))):
        buffer: Buffer = yield rcu_dereference(per_cpu(buffers.first, cpu))
        yield write_once(buffer.value, 1)
    yield rcu_read_unlock()


@scenario(
    cpus=2,
    setup=set_up,
    left=0,
    allocations_fail=1,
    expect="leak",
    missing="freeing the first buffer where there is no second one",
)
def hotplug_startup_leaks(m: Contexts) -> None:
    """A startup fails in its middle and leaves behind what it has done.

    Where a startup fails, the teardowns of the states below it run, and not its own: that undoes what a startup that
    succeeds has done. One that fails has to leave nothing behind.

    The fixed version, hotplug-states, frees the first buffer.
    """
    m.task(hasty_trip, cpu=0)


@scenario(
    cpus=2,
    setup=set_up_with_users,
    left=0,
    expect="wild-access",
    missing="the state of the buffers below the state of their users",
)
def hotplug_states_in_wrong_order(m: Contexts) -> None:
    """The buffers of a CPU that goes are freed before their users are gone.

    Teardowns run in the order opposite to that of the startups. The state of what others use has to be the lower one:
    it is there before them, and goes after them.

    The fixed version, hotplug-states, has the two states in that order.
    """
    m.task(use, 1, cpu=0)
    m.task(mixed_down, 1, cpu=1, name="cpu_down")


def trip() -> Program[None]:
    """CPU 1 goes, comes if it can, and goes."""
    yield from cpu_down(1)
    yield from cpu_up(1)
    yield from cpu_down(1)


@scenario(cpus=2, setup=set_up_with_users, left=0, allocations_fail=1)
def hotplug_states(m: Contexts) -> None:
    """What a CPU has is there before its users, and goes after them; a startup that fails leaves nothing behind.

    The task that uses the buffers of CPU 1 is on CPU 1 itself at first, and goes on on CPU 0.
    """
    m.task(use, 1, cpu=1)
    m.task(trip, cpu=0)
