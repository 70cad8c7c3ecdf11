"""A task uses the per-CPU context of a CPU that goes down: without a lock, with one too few, and looking again.

mm/zswap.c since 5.11; CVE-2025-21693, 12dcb0ef5406 of 6.13. Since 2026 (ef3c0f6cb798) the contexts are kept.
"""

from __future__ import annotations

from percpu_emu.kernel.cpus_lock import cpus_read_lock, cpus_read_unlock
from percpu_emu.kernel.hotplug import cpuhp_setup_states, prepare
from percpu_emu.lang.ops import (
    Program,
    cmpxchg,
    kfree,
    kzalloc,
    per_cpu,
    read_once,
    smp_processor_id,
    smp_store_release,
    wait_until,
    write_once,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

NR_CPUS = 2


class Request(Struct):
    """What a compression works with."""

    value: Word


class Context(Struct):
    """What every CPU has: its request, NULL once it is down, and a mutex."""

    request: Ptr[Request]
    locked: Word


contexts = Context.static_per_cpu()


def make_context(cpu: int) -> Program[None]:
    """A startup: the CPU has a request."""
    request = yield kzalloc(sizeof(Request))
    yield write_once(per_cpu(contexts.request, cpu), request)


def setup() -> Program[None]:
    """Every CPU has a request."""
    for cpu in range(NR_CPUS):
        yield from make_context(cpu)


def lock_context(cpu: int) -> Program[None]:
    """Take the mutex of a CPU's context."""
    while (yield cmpxchg(per_cpu(contexts.locked, cpu), 0, 1)) != 0:
        yield wait_until(per_cpu(contexts.locked, cpu), 0)


def unlock_context(cpu: int) -> Program[None]:
    """Let it go."""
    yield smp_store_release(per_cpu(contexts.locked, cpu), 0)


def free_request(cpu: int) -> Program[None]:
    """A teardown: the CPU is off line, and its request goes."""
    yield kfree((yield read_once(per_cpu(contexts.request, cpu))))


def free_context(cpu: int) -> Program[None]:
    """The same under the mutex, and a task that comes later finds NULL."""
    yield from lock_context(cpu)
    yield from free_request(cpu)
    yield write_once(per_cpu(contexts.request, cpu), 0)
    yield from unlock_context(cpu)


def make_context_by_reclaim(cpu: int) -> Program[None]:
    """A startup for which memory has to be reclaimed, by compressing."""
    yield from compress_with_cpus_kept()
    yield from make_context(cpu)


unlocked_up, unlocked_down, _ = cpuhp_setup_states(prepare("mm/zswap:prepare", make_context, free_request))
reclaim_up, reclaim_down, _ = cpuhp_setup_states(prepare("mm/zswap:prepare", make_context_by_reclaim, free_request))
cpu_up, cpu_down, _ = cpuhp_setup_states(prepare("mm/zswap:prepare", make_context, free_context))


def compress_unlocked() -> Program[None]:
    """Compress with the request of the CPU on which the task is now."""
    cpu = yield smp_processor_id()
    request: Request = yield read_once(per_cpu(contexts.request, cpu))
    yield write_once(request.value, 1)  # wrong: the task may have moved, and that CPU may be off line


@scenario(
    cpus=2,
    setup=setup,
    left=1,
    expect="use-after-free",
    missing="the mutex of the context, for the task that uses it and for the callback that frees it",
)
def context_of_dead_cpu(m: Contexts) -> None:
    """A task takes the context of its CPU, and uses it after that CPU went down and the task went on elsewhere.

    zswap compresses with a request that every CPU has. The task may sleep, so preemption stays on. Then nothing keeps
    its CPU from going down: the task moves, and the callback of CPU hotplug frees the request (B17; CVE-2025-21693).

    The fixed version, context-looked-at-again, uses the context under its mutex.
    """
    m.task(compress_unlocked, cpu=1, name="compress")
    m.task(unlocked_down, 1, cpu=0, name="cpu_down")


def compress_with_cpus_kept() -> Program[None]:
    """The same, while no CPU comes or goes."""
    yield from cpus_read_lock()  # wrong: cpu_up itself may come here, which is in as the writer
    yield from compress_unlocked()
    yield from cpus_read_unlock()


def down_and_up() -> Program[None]:
    """CPU 1 goes and comes back."""
    yield from reclaim_down(1)
    yield from reclaim_up(1)


@scenario(
    cpus=2,
    setup=setup,
    left=2,
    expect="deadlock",
    missing="a lock of the context itself, which cpu_up does not hold while it allocates memory",
)
def context_kept_by_hotplug_lock(m: Contexts) -> None:
    """A task keeps CPUs from going down while it compresses, and cpu_up compresses to find memory.

    cpus_read_lock keeps the context where it is. But startups allocate memory under the lock of CPU hotplug, and to
    reclaim memory is to compress: cpu_up waits for itself (B17, what was tried first).

    The fixed version, context-looked-at-again, has a mutex for each context.
    """
    m.task(compress_with_cpus_kept, cpu=1, name="compress")
    m.task(down_and_up, cpu=0)


def compress_hastily() -> Program[None]:
    """Compress with the request of the CPU on which the task is now, under its mutex."""
    cpu = yield smp_processor_id()
    yield from lock_context(cpu)
    request: Request = yield read_once(per_cpu(contexts.request, cpu))
    yield write_once(request.value, 1)  # wrong: the CPU may have gone down before the mutex was taken
    yield from unlock_context(cpu)


@scenario(
    cpus=2,
    setup=setup,
    left=1,
    expect="wild-access",
    missing="the test under the mutex whether the context still has a request",
)
def context_locked_too_late(m: Contexts) -> None:
    """A task takes the mutex of a context after its CPU went down, and follows NULL.

    The mutex keeps the request while it is used. It does not keep the CPU from going down before it is taken (B17, the
    first half of 12dcb0ef5406).

    The fixed version, context-looked-at-again, tests the request, and tries again on the CPU that it runs on by then.
    """
    m.task(compress_hastily, cpu=1, name="compress")
    m.task(cpu_down, 1, cpu=0)


def compress() -> Program[None]:
    """Compress with the request of the CPU on which the task is now, if that has one."""
    done = 0
    while not done:
        cpu = yield smp_processor_id()
        yield from lock_context(cpu)
        request: Request = yield read_once(per_cpu(contexts.request, cpu))
        if request:
            yield write_once(request.value, 1)
            done = 1
        yield from unlock_context(cpu)


def go_and_come() -> Program[None]:
    """CPU 1 goes and comes back."""
    yield from cpu_down(1)
    yield from cpu_up(1)


@scenario(cpus=2, setup=setup, left=2)
def context_looked_at_again(m: Contexts) -> None:
    """A task tests under the mutex whether the context has a request, and takes another context if not.

    If the CPU went down before, the task is on another one by now.
    """
    m.task(compress, cpu=1)
    m.task(go_and_come, cpu=0)
