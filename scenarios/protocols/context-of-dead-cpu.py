"""A task uses the per-CPU context of a CPU that goes down: without a lock, with one, and looking again.

mm/zswap.c since 5.11; CVE-2025-21693, 12dcb0ef5406 of 6.13. Since 2026 (ef3c0f6cb798) the contexts are kept.
"""

from __future__ import annotations

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


def setup() -> Program[None]:
    """Every CPU has a request."""
    for cpu in range(NR_CPUS):
        request = yield kzalloc(sizeof(Request))
        yield write_once(per_cpu(contexts.request, cpu), request)


def lock_context(cpu: int) -> Program[None]:
    """Take the mutex of a CPU's context."""
    while (yield cmpxchg(per_cpu(contexts.locked, cpu), 0, 1)) != 0:
        yield wait_until(per_cpu(contexts.locked, cpu), 0)


def unlock_context(cpu: int) -> Program[None]:
    """Let it go."""
    yield smp_store_release(per_cpu(contexts.locked, cpu), 0)


def free_context(cpu: int) -> Program[None]:
    """The CPU is down: its request goes."""
    request = yield read_once(per_cpu(contexts.request, cpu))
    yield write_once(per_cpu(contexts.request, cpu), 0)
    yield kfree(request)


def free_context_locked(cpu: int) -> Program[None]:
    """The same under the mutex."""
    yield from lock_context(cpu)
    yield from free_context(cpu)
    yield from unlock_context(cpu)


def compress_unlocked() -> Program[None]:
    """Compress with the request of the CPU on which the task is now."""
    cpu = yield smp_processor_id()
    request: Request = yield read_once(per_cpu(contexts.request, cpu))
    yield write_once(request.value, 1)  # wrong: the task may have moved, and that CPU may be down


@scenario(
    cpus=2,
    setup=setup,
    left=1,
    expect="use-after-free",
    missing="the mutex of the context, for the task that uses it and for the callback that frees it",
)
def context_of_dead_cpu(m: Contexts) -> None:
    """A task takes the context of its CPU, moves to another, and uses it after the first CPU went down.

    zswap compresses with a request that every CPU has. The task may sleep, so preemption stays on and it may move; then
    nothing keeps its CPU from going down, where the callback of CPU hotplug frees the request (B17; CVE-2025-21693).
    Keeping CPUs from going down meanwhile was tried, and is a deadlock with reclaim.

    The fixed version, context-looked-at-again, uses the context under its mutex.
    """
    m.task(compress_unlocked, cpu=1, name="compress", migrates=1)
    m.offline(free_context, "cpu", cpu=1, name="cpu_dead")


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
    m.task(compress_hastily, cpu=1, name="compress", migrates=1)
    m.offline(free_context_locked, "cpu", cpu=1, name="cpu_dead")


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


@scenario(cpus=2, setup=setup, left=1)
def context_looked_at_again(m: Contexts) -> None:
    """A task tests under the mutex whether the context has a request, and takes another context if not.

    If the CPU went down before, the task is on another one by now.
    """
    m.task(compress, cpu=1, migrates=1)
    m.offline(free_context_locked, "cpu", cpu=1, name="cpu_dead")
