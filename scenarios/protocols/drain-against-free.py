"""A drain looks into a cgroup that another CPU's stock refers to: outside a read-side section, or inside one."""

from __future__ import annotations

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
    this_cpu_xchg,
    write_once,
)
from percpu_emu.lang.structures import Ptr, Struct, Word, sizeof
from percpu_emu.scenario.decorator import Contexts, scenario


class Cgroup(Struct):
    """A memory cgroup."""

    flags: Word


class Stock(Struct):
    """Charges that a CPU has in stock, and the cgroup that they belong to, with a reference."""

    cached: Ptr[Cgroup]


stock = Stock.static_per_cpu()


def setup() -> Program[None]:
    """CPU 1 has a stock of charges of a cgroup that has no other reference."""
    memcg = yield kzalloc(sizeof(Cgroup))
    yield write_once(per_cpu(stock.cached, 1), memcg)


def drain_stock() -> Program[None]:
    """Give this CPU's stock back, and with it the last reference: the cgroup is freed."""
    memcg = yield this_cpu_xchg(stock.cached, 0)
    yield synchronize_rcu()
    yield kfree(memcg)


def drain_all_stock() -> Program[int]:
    """Look what CPU 1 has in stock."""
    flags = 0
    memcg: Cgroup = yield read_once(per_cpu(stock.cached, 1))
    if memcg:
        flags = yield read_once(memcg.flags)  # wrong: CPU 1 may have let go of it
    return flags


@scenario(
    cpus=2,
    setup=setup,
    left=0,
    expect="use-after-free",
    missing="the read-side section around reading the pointer and looking into the cgroup",
)
def drain_against_free(m: Contexts) -> None:
    """A drain follows another CPU's cached pointer while that CPU drops the last reference.

    Every CPU keeps a stock of charges, and the cgroup that they belong to, with a reference. drain_all_stock looks
    through the stocks of all CPUs: it read the cached pointer of another CPU and then looked into the cgroup. In
    between that CPU may have given its stock back and dropped the last reference: the cgroup is freed (S14, 5.4).

    The fixed version looks inside a read-side section: cgroups are freed a grace period after they cannot be found any
    more.
    """
    m.task(drain_all_stock, cpu=0)
    m.task(drain_stock, cpu=1)


def drain_all_stock_in_a_section() -> Program[int]:
    """Look what CPU 1 has in stock."""
    flags = 0
    yield rcu_read_lock()
    memcg: Cgroup = yield rcu_dereference(per_cpu(stock.cached, 1))
    if memcg:
        flags = yield read_once(memcg.flags)
    yield rcu_read_unlock()
    return flags


@scenario(cpus=2, setup=setup, left=0)
def drain_against_free_fixed(m: Contexts) -> None:
    """A drain follows another CPU's cached pointer inside a read-side section.

    The cgroup is freed a grace period after the stock's pointer to it is gone. A reader of that pointer may look into
    the cgroup until its section ends.
    """
    m.task(drain_all_stock_in_a_section, cpu=0, name="drain_all_stock")
    m.task(drain_stock, cpu=1)
