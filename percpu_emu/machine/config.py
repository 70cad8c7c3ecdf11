"""What a machine is made of, and which programs are compiled for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from percpu_emu.kernel import css
from percpu_emu.kernel.charge import charge_page, charge_slab, uncharge_page, uncharge_slab
from percpu_emu.kernel.profile import KernelProfile
from percpu_emu.kernel.protocols import PROTOCOLS, Protocol
from percpu_emu.lang.image import Image
from percpu_emu.lang.ops import ProgramFunction
from percpu_emu.lang.reference import performer_text
from percpu_emu.machine.faults import FAULTS_TEXT, Fault
from percpu_emu.machine.interrupts import INTERRUPTS_TEXT, Interrupts
from percpu_emu.machine.memory import Topology
from percpu_emu.machine.rcu import Rcu
from percpu_emu.machine.signals import SIGNALS_TEXT
from percpu_emu.machine.traps import TRAPS_TEXT

_AT_START: Final[list[ProgramFunction]] = [charge_page, css.css_killed_ref_fn]
"""Programs that are compiled before the CPU processes start, with the workers and the release."""
_SHARED: Final = [protocol for protocol in PROTOCOLS.values() if not protocol.updates]
"""The protocols that update counters as the patchset does: their machines have the same programs."""
_WHEN_NEEDED: Final[list[ProgramFunction]] = list(
    dict.fromkeys(program for protocol in _SHARED for program in (protocol.css_free, protocol.cpu_dead))
)
"""Programs that the coordinator compiles when it first runs them: they go over all CPUs, and many runs need none."""
_RELEASES: Final[list[ProgramFunction]] = [protocol.release for protocol in _SHARED if protocol.release]
_NUMBERED: Final[list[ProgramFunction]] = [uncharge_page, charge_slab, uncharge_slab]
"""Programs that CPUs run by the reference engine; compiled where updates are replaced: that engine cannot."""
_OF_THE_COORDINATOR: Final[list[ProgramFunction]] = [
    css.mem_cgroup_alloc,
    css.css_init,
    css.online_css,
    css.kill_css,
    css.css_killed_work_fn,
    css.css_release_work_fn,
    css.css_free_rwork_fn,
    *(protocol.css_offline for protocol in _SHARED),
]
"""Programs that the coordinator runs by it; they have a number so that their injection points are known."""


@dataclass(frozen=True)
class MachineConfig:
    """What a machine is made of."""

    topology: Topology
    profile: KernelProfile
    protocol: Protocol
    workers: Sequence[ProgramFunction] = ()
    stall_seconds: float = 21.0
    programs: Sequence[ProgramFunction] = ()
    """Programs for `run_on`, besides the kernel's own; the reference engine runs them."""
    compiled: Sequence[ProgramFunction] = ()
    """Programs of the kernel that are compiled, too, where the reference engine is too slow for what is done."""
    image: Image | None = None
    """An image of the machine's own, instead of one of the kernel's programs, the workers and `programs`."""
    interrupts: Sequence[Interrupts] = ()
    faults: Sequence[Fault] = ()
    chaos: int | None = None
    """Starve CPUs at random, with this seed (`machine.chaos`)."""
    seed: int = 1
    """Of the chances of faults."""
    traps: bool = False
    """Whether an access of the coordinator to pages that are gone is caught, and raises Trapped. Who runs the machine
    then tells itself of a CPU that was ended by one."""
    guard: bool = False
    """Give every area of per-CPU memory pages of its own, which are gone when it is freed; with `traps`."""
    rcu: type[Rcu] = Rcu
    control_cpu: bool = False
    """Whether a dead CPU's slots are folded by another CPU, as in the kernel, instead of by the coordinator: while
    callbacks run and cgroups go offline."""

    @property
    def may_kill(self) -> bool:
        """Whether a fault kills CPUs."""
        return any(fault.kind == "kill" for fault in self.faults)


def image_of(config: MachineConfig) -> Image:
    """The programs of a machine."""
    return config.image or _image(
        tuple(config.compiled),
        tuple(config.workers),
        (*config.programs, *_missing(config.protocol)),
        tuple(source.program for source in config.interrupts),
        config.protocol if config.protocol.updates else None,
        instrumented=bool(config.faults) or config.guard,
    )


def _missing(protocol: Protocol) -> list[ProgramFunction]:
    """The programs of a protocol that no machine has by itself: a variant's own. CPUs run them by reference."""
    there = [*_RELEASES, *_WHEN_NEEDED, *_OF_THE_COORDINATOR, *(update for _, update in protocol.updates)]
    return [program for program in protocol.programs if program not in there]


def texts_of(config: MachineConfig, image: Image) -> list[str]:
    """What is compiled, or loaded, before a CPU's process is forked."""
    releases = [program for program in (*_RELEASES, config.protocol.release) if program and program in image.entries]
    programs = [
        *_AT_START,
        *dict.fromkeys(releases),
        *config.compiled,
        *config.workers,
        *(source.program for source in config.interrupts),
    ]
    if (config.control_cpu or config.may_kill) and config.protocol.cpu_dead in image.entries:
        programs.append(config.protocol.cpu_dead)
    texts = [SIGNALS_TEXT, TRAPS_TEXT, performer_text()]
    texts += config.image.texts if config.image else [image.text(program) for program in programs]
    texts += [INTERRUPTS_TEXT] if config.interrupts else []
    return texts + ([FAULTS_TEXT] if image.instrumented else [])


@cache
def _image(
    compiled: tuple[ProgramFunction, ...],
    workers: tuple[ProgramFunction, ...],
    programs: tuple[ProgramFunction, ...],
    interrupts: tuple[ProgramFunction, ...],
    protocol: Protocol | None,
    *,
    instrumented: bool,
) -> Image:
    """Machines that run the same programs share their image: one protocol after the other does.

    `protocol`: one with updates of its own. Everything that updates a counter is compiled then, with these.
    """
    entries = [*_AT_START, *_RELEASES, *_WHEN_NEEDED]
    if protocol is not None:
        own = [protocol.css_free, protocol.cpu_dead, *([protocol.release] if protocol.release else [])]
        entries = [*_AT_START, *own, *_NUMBERED]
    return Image(
        list(dict.fromkeys([*entries, *compiled])),
        workers,
        numbered=[*_NUMBERED, *_OF_THE_COORDINATOR, *programs],
        interrupts=interrupts,
        instead=dict(protocol.updates) if protocol else {},
        instrumented=instrumented,
    )
