"""A percpu_ref is killed and freed: while its own RCU callback is queued, or when that has run."""

from __future__ import annotations

from percpu_emu.kernel.percpu_ref import percpu_ref_exit, percpu_ref_init, percpu_ref_kill, percpu_ref_switch_to_atomic
from percpu_emu.lang.ops import Program, call_rcu, kfree, kzalloc, rcu_barrier
from percpu_emu.lang.setting import FIRST_OBJECT, OBJECT_WORDS
from percpu_emu.lang.structures import AtomicLong, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario

REF = FIRST_OBJECT  # what the setup allocates
NAMES = {OBJECT_WORDS: "ref slot"}


class Ref(Struct):
    """An object that begins with a percpu_ref."""

    pointer: Word
    count: AtomicLong


def setup() -> Program[None]:
    """An object with a reference count."""
    ref = yield kzalloc(sizeof(Ref))
    yield from percpu_ref_init(ref)


def release(ref: Ref) -> Program[None]:
    """Kill the reference count and free the object."""
    yield from percpu_ref_kill(ref)
    yield call_rcu(percpu_ref_switch_to_atomic, ref)
    yield from percpu_ref_exit(ref)  # wrong: the callback still needs it
    yield kfree(ref)


@scenario(
    cpus=1,
    setup=setup,
    left=0,
    expect="use-after-free",
    missing="waiting for the callback, by rcu_barrier, before the memory is freed",
)
def ref_freed_under_callback(m: Contexts) -> None:
    """A reference count is freed while the callback that turns it atomic is still to come.

    Killing a percpu_ref queues an RCU callback that sums its slots up. io_uring freed the memory in which the
    percpu_ref stands without waiting for that callback, which then ran on freed memory (S7, seen on 5.5, fixed for
    5.6). A first fix freed it in a second RCU callback; but in which order callbacks of different CPUs run is not
    guaranteed.

    The fixed version waits with rcu_barrier until the callback has run.
    """
    m.task(release, REF)


def waiting_release(ref: Ref) -> Program[None]:
    """Kill the reference count and free the object."""
    yield from percpu_ref_kill(ref)
    yield call_rcu(percpu_ref_switch_to_atomic, ref)
    yield rcu_barrier()
    yield from percpu_ref_exit(ref)
    yield kfree(ref)


@scenario(cpus=1, setup=setup, left=0)
def ref_freed_under_callback_fixed(m: Contexts) -> None:
    """A reference count is freed after the callback that turns it atomic.

    rcu_barrier waits for all callbacks that are queued, the percpu_ref's own too; then its memory is not needed any
    more.
    """
    m.task(waiting_release, REF, name="release")
