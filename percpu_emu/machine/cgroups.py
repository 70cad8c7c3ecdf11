"""The cgroup tree: made, charged, removed, dying, freed (kernel/cgroup/cgroup.c, under cgroup_mutex).

The coordinator alone changes the tree. What races with the CPUs - the counters, the references, the release - are
programs; this is the part of the kernel around them, and the memory that a cgroup takes besides its counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from percpu_emu.kernel import css
from percpu_emu.kernel.charge import charge_pages, uncharge_pages
from percpu_emu.kernel.layout import CSS_REFCNT, MEM_CGROUP_WORDS, PERCPU_COUNT_PTR
from percpu_emu.kernel.pins import PIN_KINDS
from percpu_emu.kernel.profile import SlabObject
from percpu_emu.kernel.program_sizes import MADE_BY_PROGRAMS, program_sizes
from percpu_emu.lang import context as c
from percpu_emu.machine.counters import slot_areas
from percpu_emu.machine.ledger import LedgerAudit
from percpu_emu.machine.table import CgroupTable
from percpu_emu.shm import WORD_SIZE

if TYPE_CHECKING:
    from percpu_emu.kernel.profile import PercpuArea, Stage
    from percpu_emu.machine.machine import Machine


class CgroupError(ValueError):
    """A cgroup operation that the kernel would refuse, in its words."""


class NoMemory(CgroupError):
    """One that takes more memory than there is."""


@contextmanager
def _short_of_memory(path: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise NoMemory(f"{path or '/'}: cannot allocate memory ({error})") from error


@dataclass(eq=False)
class Cgroup:
    """One cgroup with the memory controller on."""

    name: str
    parent: Cgroup | None
    memcg: int = 0
    children: dict[str, Cgroup] = field(default_factory=dict)
    state: str = "online"
    """online; dying (removed); offline (updates are atomic, where the protocol does that); released (its slots are
    given back, dying still); freed."""
    nr_dying_descendants: int = 0
    pins: list[Pin] = field(default_factory=list)
    percpu: list[int] = field(default_factory=list)
    slab: list[int] = field(default_factory=list)
    charged: bool = False
    on_released: Callable[[], None] | None = None
    """Called when the last reference is gone: it is no descendant any more, not even a dying one."""

    def __str__(self) -> str:
        return self.path or "/"

    @property
    def path(self) -> str:
        """Path below the root, "" for the root."""
        return f"{self.parent.path}/{self.name}".lstrip("/") if self.parent else ""

    def ancestors(self) -> Iterator[Cgroup]:
        """The parent, its parent, and so on."""
        above = self.parent
        while above:
            yield above
            above = above.parent


@dataclass(eq=False)
class Pin:
    """Something charged to a cgroup that holds a reference on it: dying, the cgroup stays until it goes."""

    kind: str
    cgroup: Cgroup
    cpu: int
    user: str
    """Who still uses it, for people."""


PAGE_CACHE: Final = "page-cache"


class CgroupTree:
    """All cgroups of a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._profile = machine.config.profile
        self._program_sizes = program_sizes(self._profile)
        self.audit = LedgerAudit(machine.memory, machine.doubts)
        self.table = CgroupTable(machine, self._left_the_table)
        self.releases = 0
        """Cgroups whose slots were given back while they were dying."""
        self.caught = 0
        """Of these, how many had a CPU inside an update when the pointers were swapped."""
        self._by_memcg: dict[int, Cgroup] = {}
        self._boot_areas()
        self.root = self._make("/", None)
        self.root.charged = True  # its tasks use the global caches: a charge to it makes none
        machine.coordinator.after[css.css_killed_work_fn] = self._offline
        machine.coordinator.after[css.css_release_work_fn] = self._released_last
        machine.coordinator.before[css.css_free_rwork_fn] = self._before_free
        machine.coordinator.after[css.css_free_rwork_fn] = self._freed
        if machine.protocol.release:
            machine.coordinator.before[machine.protocol.release] = self._flushing
            machine.coordinator.after[machine.protocol.release] = self._slots_released

    # --- what a shell can do

    def find(self, path: str) -> Cgroup:
        """The cgroup at a path below the root."""
        cgroup = self.root
        for name in filter(None, path.split("/")):
            if name not in cgroup.children:
                raise CgroupError(f"{path}: no such cgroup")
            cgroup = cgroup.children[name]
        return cgroup

    def mkdir(self, path: str) -> Cgroup:
        """Make a cgroup. Raises CgroupError where it exists or has no parent, NoMemory; then nothing stays."""
        above, _, name = path.rpartition("/")
        parent = self.find(above)
        if name in parent.children:
            raise CgroupError(f"{path}: it exists already")
        with _short_of_memory(path):
            cgroup = self._make(name, parent)
        parent.children[name] = cgroup
        return cgroup

    def rmdir(self, cgroup: Cgroup) -> None:
        """Remove a cgroup. It dies: gone from the tree, in memory until the last reference is dropped."""
        if cgroup.parent is None:
            raise CgroupError("/: busy: it is the root")
        if cgroup.children:
            raise CgroupError(f"{cgroup.path}: busy: it has children")
        if cgroup.state != "online":
            raise CgroupError(f"{cgroup.path}: it was removed already")
        del cgroup.parent.children[cgroup.name]
        cgroup.state = "dying"
        for ancestor in cgroup.ancestors():
            ancestor.nr_dying_descendants += 1
        self._machine.execute(css.kill_css, cgroup.memcg)
        self._machine.events.emit("rmdir", cgroup=cgroup.path)

    def charge(self, cgroup: Cgroup, kind: str, cpu: int, user: str = "") -> Pin:
        """Have a CPU charge one object of a kind to a cgroup; it pins the cgroup until `uncharge`.

        Raises NoMemory; then nothing stays.
        """
        self._prepare_to_charge(cgroup)
        what, nid = PIN_KINDS[kind], self._machine.memory.layout.node_of(cpu)
        self._machine.run_on(cpu, what.charge, cgroup.memcg, nid, *what.arguments)
        pin = Pin(kind, cgroup, cpu, user)
        cgroup.pins.append(pin)
        return pin

    def charge_pages(self, cgroup: Cgroup, cpu: int, pages: int, user: str = "") -> list[Pin]:
        """The same for so many pages of page cache at once."""
        self._prepare_to_charge(cgroup)
        nid = self._machine.memory.layout.node_of(cpu)
        self._machine.run_on(cpu, charge_pages, cgroup.memcg, nid, *PIN_KINDS[PAGE_CACHE].arguments, pages)
        pins = [Pin(PAGE_CACHE, cgroup, cpu, user) for _ in range(pages)]
        cgroup.pins += pins
        return pins

    def uncharge_pages(self, pins: Sequence[Pin], cpu: int) -> None:
        """Have a CPU let go of pages of page cache; those of one cgroup and node at once."""
        groups: dict[tuple[Cgroup, int], list[Pin]] = {}
        for pin in pins:
            groups.setdefault((pin.cgroup, self._machine.memory.layout.node_of(pin.cpu)), []).append(pin)
        for (cgroup, nid), of_one in groups.items():
            arguments = PIN_KINDS[PAGE_CACHE].arguments
            self._machine.run_on(cpu, uncharge_pages, cgroup.memcg, nid, *arguments, len(of_one))
            gone = {*map(id, of_one)}
            cgroup.pins = [pin for pin in cgroup.pins if id(pin) not in gone]

    def _prepare_to_charge(self, cgroup: Cgroup) -> None:
        """What the first charge of a cgroup allocates."""
        if not cgroup.charged:
            with _short_of_memory(cgroup.path), ExitStack() as undo:
                self._allocate(cgroup, "charge", undo)
                undo.pop_all()
            cgroup.charged = True

    def uncharge(self, pin: Pin, cpu: int) -> None:
        """Have a CPU let go of a charged object; it may be another CPU than charged it."""
        what, nid = PIN_KINDS[pin.kind], self._machine.memory.layout.node_of(pin.cpu)
        self._machine.run_on(cpu, what.uncharge, pin.cgroup.memcg, nid, *what.arguments)
        pin.cgroup.pins.remove(pin)

    def living(self) -> Iterator[Cgroup]:
        """Every cgroup that is not freed yet, dying ones too, in no particular order."""
        return iter(self._by_memcg.values())

    def _left_the_table(self, memcg: int) -> None:
        """No worker updates it any more: hold its counters against the ledgers.

        Not where a protocol has updates of a removed cgroup go to an ancestor, and there is a descendant that may have
        been removed: CPUs may be updating this one. It is looked at when it is freed, and at the end.
        """
        cgroup = self._by_memcg[memcg]
        forwards = bool(self._machine.protocol.updates)
        if not (forwards and any(cgroup in one.ancestors() for one in self._by_memcg.values())):
            self.audit.check(memcg)

    def audit_all(self) -> None:
        """Hold every cgroup's counters against the ledgers. No CPU may be updating meanwhile."""
        for cgroup in self._by_memcg.values():
            self.audit.check(cgroup.memcg)

    # --- memory

    def _make(self, name: str, parent: Cgroup | None) -> Cgroup:
        """A cgroup with all that the kernel allocates for it at mkdir, in the kernel's order; or nothing at all."""
        cgroup = Cgroup(name, parent)
        with ExitStack() as undo:
            self._allocate(cgroup, "mkdir", undo)
            undo.pop_all()
        self._machine.execute(css.online_css, cgroup.memcg, parent.memcg if parent else 0)
        self._by_memcg[cgroup.memcg] = cgroup
        return cgroup

    def _boot_areas(self) -> None:
        """What the kernel itself had allocated before the first cgroup, less the root cgroup, which `_make` makes."""
        areas = [area for area in self._profile.percpu_area if area.stage == "mkdir"]
        root = sum(area.size * area.times(self._machine.topology.nodes) for area in areas)
        if self._profile.percpu.early > root:
            self._machine.memory.percpu.alloc((self._profile.percpu.early - root) & ~7)

    def _allocate(self, cgroup: Cgroup, stage: Stage, undo: ExitStack) -> None:
        lines: tuple[SlabObject | PercpuArea, ...] = (*self._profile.slab_object, *self._profile.percpu_area)
        made_elsewhere = MADE_BY_PROGRAMS - {"memcg_vmstats_percpu"}  # in whose place all of them are made
        for line in lines:
            if line.stage == stage and line.name not in made_elsewhere:
                for _ in range(line.times(self._machine.topology.nodes)):
                    self._allocate_one(cgroup, line, undo)

    def _allocate_one(self, cgroup: Cgroup, line: SlabObject | PercpuArea, undo: ExitStack) -> None:
        memory = self._machine.memory
        if line.name == "memcg_vmstats_percpu":
            self._make_memcg(cgroup, undo)
        elif line.name == "mem_cgroup.css.refcnt":
            self._make_refcnt(cgroup, undo)
        elif isinstance(line, SlabObject):
            cgroup.slab.append(memory.slab.alloc(line.size, line.align, line.cache))
            undo.callback(memory.slab.kfree, cgroup.slab[-1])
        else:
            cgroup.percpu.append(memory.percpu.alloc(line.size, line.align))
            memory.percpu.book.name(cgroup.percpu[-1], f"{line.name} of cgroup {cgroup}")
            undo.callback(memory.percpu.free, cgroup.percpu[-1])

    def _make_memcg(self, cgroup: Cgroup, undo: ExitStack) -> None:
        cgroup.memcg = self._machine.execute(css.mem_cgroup_alloc, *self._program_sizes)
        if not cgroup.memcg:
            raise MemoryError(f"for its counters: {self._machine.refusal}")
        undo.callback(self._machine.execute, css.mem_cgroup_free, cgroup.memcg)
        undo.callback(self._machine.execute, css.free_mem_cgroup_percpu, cgroup.memcg)
        for pointer, what in slot_areas(self._machine.memory, cgroup.memcg):
            self._machine.memory.percpu.book.name(pointer * WORD_SIZE, f"{what} of cgroup {cgroup}")

    def _make_refcnt(self, cgroup: Cgroup, undo: ExitStack) -> None:
        if not self._machine.execute(css.css_init, cgroup.memcg):
            raise MemoryError(f"for its reference count: {self._machine.refusal}")
        undo.callback(self._machine.execute, css.css_exit, cgroup.memcg)
        pointer = int(self._machine.memory.words[cgroup.memcg + CSS_REFCNT + PERCPU_COUNT_PTR]) >> 2
        self._machine.memory.percpu.book.name(pointer * WORD_SIZE, f"css.refcnt of cgroup {cgroup}")

    # --- how a cgroup dies: what the kernel's callbacks and work do, in order

    def _offline(self, memcg: int) -> None:
        machine = self._machine
        machine.execute(machine.protocol.css_offline, memcg)
        self.caught += self._inside_update(memcg) if machine.protocol.release else 0
        machine.execute(css.css_put_remote, memcg)
        self._by_memcg[memcg].state = "offline"

    def _inside_update(self, memcg: int) -> bool:
        """Whether a CPU is in the middle of an update of that cgroup's counters right now."""
        memory = self._machine.memory
        for cpu in (memory.blocks[: memory.topology.cpus, c.NOTED] > 0).nonzero()[0].tolist():
            if memcg <= memory.blocks[cpu, c.NOTES] < memcg + MEM_CGROUP_WORDS:
                return True
        return False

    def _flushing(self, memcg: int) -> None:
        self._machine.events.emit("flushing", cgroup=self._by_memcg[memcg].path)

    def _slots_released(self, memcg: int) -> None:
        self.releases += 1
        if cgroup := self._by_memcg.get(memcg):  # freed in the callback's own css_put, at the earliest later
            cgroup.state = "released"
            self._machine.events.emit("released", cgroup=cgroup.path)

    def _released_last(self, memcg: int) -> None:
        cgroup = self._by_memcg[memcg]
        for ancestor in cgroup.ancestors():
            ancestor.nr_dying_descendants -= 1
        if cgroup.on_released:
            cgroup.on_released()

    def _before_free(self, memcg: int) -> None:
        self._machine.execute(self._machine.protocol.css_free, memcg)
        self.audit.check(memcg)
        self.audit.forget(memcg)

    def _freed(self, memcg: int) -> None:
        cgroup = self._by_memcg.pop(memcg)
        for offset in cgroup.slab:
            self._machine.memory.slab.kfree(offset)
        for pointer in cgroup.percpu:
            self._machine.memory.percpu.free(pointer)
        cgroup.state = "freed"
        self._machine.events.emit("freed", cgroup=cgroup.path)
